/* SPDX-License-Identifier: ISC */
/* The command line, the keys, the loop. */
#include "top/top.h"

#include "base/random.h"
#include "top/screen.h"
#include "top/view.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define SOURCES_MAX 64

static void usage(FILE *to)
{
    fputs(
        "Usage: pgbulkhead top [OPTION]... HOST...\n"
        "\n"
        "Shows what consoles of pgbulkhead or PgBouncer tell, again and again. HOST is a name, an\n"
        "address or a directory of Unix sockets, with :PORT if it is not 6432, or a connection\n"
        "string of libpq. The user must be in admin_users or stats_users.\n"
        "\n"
        "  -U, --user=USER       log in as that user\n"
        "  -W, --password        ask for the password; else PGPASSWORD and ~/.pgpass\n"
        "  -d, --delay=SECONDS   time between looks; default 2\n"
        "  -v, --view=VIEW       pools, waiting, traffic, latency, tenants, denials, queries,\n"
        "                        activity or alerts\n"
        "  -s, --sort=COLUMN     by that column of the view\n"
        "  -b, --once, --batch   print one look as text and exit: 0 all answered, 1 not all\n"
        "  -h, --help            show this text and exit\n",
        to);
}

struct command_line {
    const char *user, *view, *sort;
    bool ask_password, batch;
    double delay;
    char password[256];
};

/* ---- the command line ---- */

static bool read_password(char *to, size_t room)
{
    struct termios was, quiet;
    bool terminal = tcgetattr(STDIN_FILENO, &was) == 0;

    if (terminal) {
        fputs("Password: ", stderr);
        quiet = was;
        quiet.c_lflag &= (tcflag_t)~ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    bool good = fgets(to, (int)room, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
        fputc('\n', stderr);
    }
    if (good)
        to[strcspn(to, "\n")] = '\0';
    return good;
}

/* -1: go on; else the exit status. */
static int read_options(struct command_line *l, int argc, char **argv)
{
    static const struct option longs[] = {
        { "user", required_argument, NULL, 'U' },
        { "password", no_argument, NULL, 'W' },
        { "delay", required_argument, NULL, 'd' },
        { "view", required_argument, NULL, 'v' },
        { "sort", required_argument, NULL, 's' },
        { "once", no_argument, NULL, 'b' },
        { "batch", no_argument, NULL, 'b' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int ch;
    char *end;

    while ((ch = getopt_long(argc, argv, "U:Wd:v:s:bh", longs, NULL)) != -1) {
        switch (ch) {
        case 'U':
            l->user = optarg;
            break;
        case 'W':
            l->ask_password = true;
            break;
        case 'd':
            l->delay = strtod(optarg, &end);
            if (*end || end == optarg || !(l->delay >= 0.1 && l->delay <= 3600)) {
                fputs("pgbulkhead top: --delay is 0.1 to 3600 seconds\n", stderr);
                return 2;
            }
            break;
        case 'v':
            l->view = optarg;
            break;
        case 's':
            l->sort = optarg;
            break;
        case 'b':
            l->batch = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind == argc || argc - optind > SOURCES_MAX) {
        usage(stderr);
        return 2;
    }
    return -1;
}

static bool open_sources(struct top *t, const struct command_line *l, char **where, int n)
{
    struct err e = { 0 };

    t->sources = calloc((size_t)n, sizeof(*t->sources));
    if (!t->sources) {
        fputs("pgbulkhead top: out of memory\n", stderr);
        return false;
    }
    for (int i = 0; i < n; i++) {
        t->n_sources = i + 1;
        if (top_source_init(&t->sources[i], where[i], l->user, l->ask_password ? l->password : NULL,
                            &e))
            continue;
        fprintf(stderr, "pgbulkhead top: %s\n", e.msg); /* not where: it may hold a password */
        return false;
    }
    return true;
}

static bool choose_view(struct top *t, const struct command_line *l)
{
    top_init(t);
    t->view = l->view ? top_view_named(l->view) : 0;
    if (t->view < 0) {
        fprintf(stderr, "pgbulkhead top: no view \"%s\"\n", l->view);
        return false;
    }
    if (l->sort && !top_sort_named(t, l->sort)) {
        fprintf(stderr, "pgbulkhead top: the view has no column \"%s\"\n", l->sort);
        return false;
    }
    return true;
}

/* ---- waiting ---- */

static void round_begin(struct top *t, usec_t now)
{
    for (int i = 0; i < t->n_sources; i++)
        top_source_round(&t->sources[i], top_wanted(t), now);
}

/* Waits for consoles, and for fd (-1: none), at most so long. true: something has changed. */
static bool wait_all(struct top *t, int fd, usec_t longest)
{
    struct pollfd fds[2 * SOURCES_MAX + 1] = { { .fd = fd, .events = POLLIN } };
    int n = 1, first[SOURCES_MAX], count[SOURCES_MAX];
    bool changed = false;

    for (int i = 0; i < t->n_sources; i++) {
        first[i] = n;
        count[i] = top_source_wait(&t->sources[i], fds + n);
        n += count[i];
    }
    if (poll(fds, (nfds_t)n, (int)(longest / USEC_PER_MSEC) + 1) < 0)
        return errno == EINTR; /* the window's size, say */
    usec_t now = clock_mono_us();
    for (int i = 0; i < t->n_sources; i++)
        changed = top_source_step(&t->sources[i], fds + first[i], count[i], now) || changed;
    return changed || fds[0].revents;
}

/* It hung up, or keys came from something that has ended: nobody will ever press q. */
static bool terminal_gone(void)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    int n = 0;

    if (poll(&p, 1, 0) <= 0)
        return false;
    return !(p.revents & POLLIN) || ioctl(STDIN_FILENO, FIONREAD, &n) != 0 || n == 0;
}

/* ---- one look as text ---- */

static int batch(struct top *t, struct frame *f)
{
    const char *columns = getenv("COLUMNS");
    long width = columns ? strtol(columns, NULL, 10) : 0;
    int away = 0;
    bool settled;

    round_begin(t, clock_mono_us());
    do {
        wait_all(t, -1, USEC_PER_SEC / 10);
        settled = true;
        for (int i = 0; i < t->n_sources; i++)
            settled = settled && top_source_settled(&t->sources[i]);
    } while (!settled);
    top_draw(t, f, width >= 40 && width <= 1000 ? (int)width : 80, 0);
    for (int i = 0; i < f->n; i++) {
        struct text l = frame_line(f, i);
        while (l.n && l.p[l.n - 1] == ' ')
            l.n--;
        printf("%.*s\n", TEXT_ARG(l));
    }
    for (int i = 0; i < t->n_sources; i++)
        away += t->sources[i].error[0] != '\0';
    return away || fflush(stdout) != 0 ? 1 : 0;
}

/* ---- the terminal ---- */

static void answer(struct top *t, int key)
{
    struct top_source *s = &t->sources[t->command_source];

    t->question[0] = '\0';
    if (key != 'y' && key != 'Y')
        return;
    for (int i = 0; i < t->n_sources; i++)
        if (!t->sources[i].command_busy)
            t->sources[i].outcome[0] = '\0';
    if (!top_source_command(s, t->command))
        snprintf(s->outcome, sizeof(s->outcome), "another command is under way");
}

static void show_view(struct top *t, int view)
{
    t->view = view;
    t->chosen = t->first = 0;
}

/* false: the end. *look: ask the consoles now. */
static bool key_pressed(struct top *t, int key, int page, bool *look)
{
    if (key == KEYS_SIZE)
        return true;
    if (t->question[0]) {
        answer(t, key);
        return true;
    }
    if (t->help) {
        t->help = false;
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'h':
    case '?':
        t->help = true;
        break;
    case '\t':
        show_view(t, (t->view + 1) % TOP_VIEWS);
        *look = true;
        break;
    case '<':
    case '>':
        top_sort_move(t, key == '<' ? -1 : 1);
        break;
    case 'i':
        t->up[t->view] = !t->up[t->view];
        break;
    case 'p':
    case 'r':
        if (!top_ask(t, key == 'p' ? "PAUSE" : "RESUME"))
            break;
        break;
    case '+':
        t->delay = t->delay < 1800 ? t->delay * 2 : 3600;
        break;
    case '-':
        t->delay = t->delay > 0.2 ? t->delay / 2 : 0.1;
        break;
    case ' ':
        *look = true;
        break;
    case KEYS_UP:
        t->chosen--;
        break;
    case KEYS_DOWN:
        t->chosen++;
        break;
    case KEYS_PAGE_UP:
        t->chosen -= page;
        break;
    case KEYS_PAGE_DOWN:
        t->chosen += page;
        break;
    default:
        if (key > '0' && key <= '0' + TOP_VIEWS) {
            show_view(t, key - '1');
            *look = true;
        }
    }
    return true;
}

static void interactive(struct top *t, struct screen *s, struct frame *f)
{
    usec_t next = 0;
    int width, height, key;

    t->marks = true;
    for (bool go_on = true; go_on;) {
        usec_t now = clock_mono_us();
        bool look = now >= next;
        screen_size(s, &width, &height);
        while (go_on && (key = screen_key(s)) != KEYS_NONE)
            go_on = key_pressed(t, key, height > 8 ? height - 6 : 2, &look);
        if (look) {
            round_begin(t, now);
            next = now + (usec_t)(t->delay * 1e6);
        }
        screen_size(s, &width, &height);
        top_draw(t, f, width, height);
        screen_show(s, f);
        while (go_on && (now = clock_mono_us()) < next && !wait_all(t, STDIN_FILENO, next - now))
            ;
        if (go_on && terminal_gone())
            go_on = false;
    }
}

static int run(struct top *t, const struct command_line *l)
{
    struct frame *f = calloc(1, sizeof(*f));
    struct err e = { 0 };
    int rc = 2;

    if (!f) {
        fputs("pgbulkhead top: out of memory\n", stderr);
        return 2;
    }
    frame_init(f);
    t->delay = l->delay;
    struct screen *s = l->batch ? NULL : screen_open(&e);
    if (l->batch) {
        rc = batch(t, f);
    } else if (s) {
        interactive(t, s, f);
        screen_close(s);
        rc = 0;
    } else {
        fprintf(stderr, "pgbulkhead top: %s\n", e.msg);
    }
    frame_release(f);
    free(f);
    return rc;
}

int top_main(int argc, char **argv)
{
    struct command_line l = { .delay = 2 };
    struct top t = { 0 };
    int rc = read_options(&l, argc, argv);

    if (rc >= 0)
        return rc;
    setlocale(LC_CTYPE, "");
    if (l.ask_password && !read_password(l.password, sizeof(l.password)))
        return 2;
    rc = 2;
    if (choose_view(&t, &l) && open_sources(&t, &l, argv + optind, argc - optind))
        rc = run(&t, &l);
    for (int i = 0; i < t.n_sources; i++)
        top_source_release(&t.sources[i]);
    free(t.sources);
    top_release(&t);
    wipe(l.password, sizeof(l.password));
    return rc;
}
