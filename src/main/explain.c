/* SPDX-License-Identifier: ISC */
/* pgbulkhead explain: reads the configuration, gets the catalog by libpq, judges, prints. */
#include "main/explain.h"

#include "base/deep.h"
#include "main/catalog.h"
#include "main/catalogd.h"
#include "main/system.h"
#include "tenant/explain.h"
#include "tenant/lexer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/pgbulkhead/pgbulkhead.ini"
#define MAX_INPUT (64 << 20)

enum { EXIT_PASSED, EXIT_REFUSED, EXIT_TROUBLE };

struct command {
    const char *config, *tenant, *database, *dsn;
    int mode;
    bool extended;
    struct buf sql; /* all of it, a NUL behind */
    /* what it works with */
    struct setup *setup;
    const struct database_conf *db;
    struct identity identity;
    struct policy *policy;
    struct arena arena;
    int status;
};

static void usage(FILE *to)
{
    fputs(
        "Usage: pgbulkhead explain --tenant=TENANT [OPTION]... [STATEMENT]\n"
        "\n"
        "Says what would become of a tenant's statement, and why; from standard input when\n"
        "none is given. Nothing is run.\n"
        "\n"
        "  -c, --config=FILE     configuration; default " DEFAULT_CONFIG "\n"
        "  -t, --tenant=TENANT   whose statement it is\n"
        "  -d, --database=NAME   entry of [databases]; may be left out when one holds tenants\n"
        "  -m, --mode=MODE       audit, reject, rewrite or rls; default: as configured\n"
        "  -x, --extended        as sent by the extended protocol, with parameters\n"
        "      --dsn=DSN         read the catalog there: host=, port=, dbname=, user=, password=\n"
        "  -h, --help            show this text and exit\n"
        "\n"
        "Exit status: 0 passed or rewritten, 1 refused, 2 trouble.\n",
        to);
}

static bool read_mode(const char *name, int *mode)
{
    static const int modes[] = { TENANT_AUDIT, TENANT_REJECT, TENANT_REWRITE, TENANT_RLS };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(name, tenant_mode_name(modes[i])) == 0) {
            *mode = modes[i];
            return true;
        }
    fprintf(stderr, "pgbulkhead explain: --mode is audit, reject, rewrite or rls\n");
    return false;
}

/* false: exit with c->status. */
static bool read_options(struct command *c, int argc, char **argv)
{
    static const struct option longs[] = {
        { "config", required_argument, NULL, 'c' },   { "tenant", required_argument, NULL, 't' },
        { "database", required_argument, NULL, 'd' }, { "mode", required_argument, NULL, 'm' },
        { "extended", no_argument, NULL, 'x' },       { "dsn", required_argument, NULL, 'D' },
        { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
    };
    int ch;
    bool good = true;

    c->config = DEFAULT_CONFIG;
    c->mode = TENANT_MODE_UNSET;
    while (good && (ch = getopt_long(argc, argv, "c:t:d:m:xh", longs, NULL)) != -1) {
        switch (ch) {
        case 'c':
            c->config = optarg;
            break;
        case 't':
            c->tenant = optarg;
            break;
        case 'd':
            c->database = optarg;
            break;
        case 'm':
            good = read_mode(optarg, &c->mode);
            break;
        case 'x':
            c->extended = true;
            break;
        case 'D':
            c->dsn = optarg;
            break;
        case 'h':
            usage(stdout);
            c->status = EXIT_PASSED;
            return false;
        default:
            good = false;
        }
    }
    if (good && c->tenant && optind + 1 >= argc) {
        if (optind < argc)
            buf_text_append(&c->sql, text_of(argv[optind]));
        return true;
    }
    usage(stderr);
    return false;
}

static bool read_stdin(struct buf *b)
{
    ssize_t n;
    do {
        char *to = buf_reserve(b, 65536);
        if (!to)
            return false;
        n = read(STDIN_FILENO, to, 65536);
        if (n > 0)
            buf_commit(b, (size_t)n);
    } while (n > 0 && buf_len(b) < MAX_INPUT);
    return n == 0;
}

static bool trouble(const char *what)
{
    fprintf(stderr, "pgbulkhead explain: %s\n", what);
    return false;
}

static bool find_database(struct command *c)
{
    const struct setup *s = c->setup;
    int n = 0;

    if (c->database) {
        c->db = setup_database(s, text_of(c->database), &c->arena);
        return c->db || trouble("there is no such entry in [databases]");
    }
    for (int i = 0; i < s->n_databases; i++)
        if (s->n_databases == 1 || setup_tenant_mode(s, s->databases[i], NULL) != TENANT_OFF) {
            c->db = s->databases[i];
            n++;
        }
    return n == 1 || trouble(n ? "several databases hold tenants: give --database"
                               : "no database has a tenant_mode: give --database and --mode");
}

/* key=value pairs of --dsn over what the configuration says. */
static bool read_dsn(struct command *c, struct catalog_source *src)
{
    static const struct {
        const char *key;
        size_t offset;
    } texts[] = {
        { "host", offsetof(struct catalog_source, host) },
        { "dbname", offsetof(struct catalog_source, dbname) },
        { "user", offsetof(struct catalog_source, user) },
        { "password", offsetof(struct catalog_source, password) },
        { "sslmode", offsetof(struct catalog_source, sslmode) },
    };
    struct text rest = text_of(c->dsn), pair;

    while (text_split(&rest, ' ', &pair)) {
        struct text value = pair, key;
        if (!pair.n)
            continue;
        int64_t port;
        size_t i = 0;
        text_split(&value, '=', &key);
        while (i < sizeof(texts) / sizeof(texts[0]) && !text_is(key, texts[i].key))
            i++;
        if (!value.p || (i == sizeof(texts) / sizeof(texts[0]) && !text_is(key, "port")))
            return trouble("--dsn takes host=, port=, dbname=, user=, password=, sslmode=");
        if (i < sizeof(texts) / sizeof(texts[0])) {
            const char *to = arena_text(&c->arena, value).p;
            memcpy((char *)src + texts[i].offset, &to, sizeof(to));
        } else if (!text_to_int64(value, &port) || port < 1 || port > 65535) {
            return trouble("--dsn: port is a number from 1 to 65535");
        } else {
            src->port = (int)port;
        }
    }
    return true;
}

static bool load(struct command *c)
{
    struct buf problems;
    struct err e = { 0 };
    struct catalog_source src;

    buf_init(&problems);
    c->setup = setup_load(c->config, 1, NULL, 0, &problems);
    if (!c->setup)
        fprintf(stderr, "%.*s", TEXT_ARG(buf_text(&problems)));
    buf_release(&problems);
    if (!c->setup || !find_database(c))
        return false;
    if (c->mode == TENANT_MODE_UNSET)
        c->mode = setup_tenant_mode(c->setup, c->db, NULL);
    if (c->mode == TENANT_OFF)
        return trouble("the database has no tenant_mode: give --mode");
    if (!setup_tenant(c->setup, text_of(c->tenant), &c->arena, &c->identity, &e))
        return trouble(e.msg);
    catalogd_source(c->setup, c->db, &src);
    if (c->dsn && !read_dsn(c, &src))
        return false;
    struct catalog *cat = catalog_load(&src, &e);
    if (!cat)
        return trouble(e.msg);
    c->policy = policy_new(c->setup, c->db, cat, 1, NULL, &e);
    return c->policy || trouble(e.msg);
}

/* Line ends and other control characters in values are blanks: a row is a line. */
static void print_text(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char ch = (unsigned char)t.p[i];
        putchar(ch < 0x20 || ch == 0x7f ? ' ' : ch);
    }
}

static void print_row(void *arg, const struct explain_row *r)
{
    (void)arg;
    printf("%.*s: ", TEXT_ARG(r->item));
    print_text(r->value);
    if (r->cls.n) {
        printf(": ");
        print_text(r->cls);
        if (r->how.n) {
            printf("; ");
            print_text(r->how);
        }
        if (r->source.n) {
            printf(" (");
            print_text(r->source);
            putchar(')');
        }
    }
    putchar('\n');
}

static void explain_one(struct command *c, struct tenant_engine *e, struct text sql, bool titled)
{
    const struct tenant_ask ask = { .policy = c->policy,
                                    .identity = &c->identity,
                                    .mode = c->mode,
                                    .extended = c->extended,
                                    .sql = arena_text(&c->arena, sql) };
    enum tenant_action action;

    if (titled) {
        printf("%sstatement: ", c->status < 0 ? "" : "\n");
        print_text(sql);
        putchar('\n');
    }
    if (!explain_statement(e, &ask, print_row, NULL, &action)) {
        trouble("out of memory");
        c->status = EXIT_TROUBLE;
    } else if (c->status < EXIT_REFUSED) {
        c->status = action == VERDICT_REFUSE ? EXIT_REFUSED : EXIT_PASSED;
    }
}

/* Each statement by itself; a text that cannot be tokenised as a whole. */
static void explain_all(void *arg)
{
    struct command *c = arg;
    const struct tenant_engine_opts o = { .max_statement =
                                              (size_t)c->setup->g.tenant_max_statement };
    struct tenant_engine *e = tenant_engine_new(&o);
    struct text sql = buf_text(&c->sql), one;
    struct token *t;
    struct err err = { 0 };
    int n = lexer_run(sql, &c->arena, &t, NULL, &err), found = 0;
    uint32_t from = 0;

    c->status = -1;
    for (int pass = 0; e && n > 0 && pass < 2; pass++) {
        bool any = false;
        from = 0;
        for (int i = 0; i <= n; i++) {
            bool end = i == n || token_is_char(sql, t[i], ';');
            any |= !end && !token_is_comment(t[i]);
            if (!end)
                continue;
            uint32_t to = i == n ? (uint32_t)sql.n : t[i].off;
            one = text_trim(text_n(sql.p + from, to - from));
            if (any && pass == 0)
                found++;
            else if (any)
                explain_one(c, e, one, found > 1);
            any = false;
            from = i == n ? to : to + 1;
        }
    }
    if (e && n < 0)
        explain_one(c, e, sql, false);
    else if (!e || !found)
        c->status = -1;
    tenant_engine_free(e);
}

int explain_main(int argc, char **argv)
{
    struct command c = { .status = EXIT_TROUBLE };

    buf_init(&c.sql);
    arena_init(&c.arena, 4096);
    system_forget_libpq();
    if (read_options(&c, argc, argv)) {
        if (!buf_len(&c.sql) && !read_stdin(&c.sql))
            trouble("cannot read the statement");
        else if (load(&c) && (!deep_call(LOOP_STACK, explain_all, &c) || c.status < 0)) {
            trouble("no statement was given");
            c.status = EXIT_TROUBLE;
        }
    }
    policy_unref(c.policy);
    setup_unref(c.setup);
    arena_release(&c.arena);
    buf_release(&c.sql);
    return c.status;
}
