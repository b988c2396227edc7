/* SPDX-License-Identifier: ISC */
/* ncurses. */
#define NCURSES_NOMACROS 1
#include "top/screen.h"

#include <curses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <term.h>
#undef lines /* of struct frame */
#include <unistd.h>

struct screen {
    SCREEN *term;
    chtype styles[STYLE_BAD + 1];
};

/* As ncurses does itself at SIGINT and SIGTERM. */
static void give_back(int sig)
{
    endwin();
    raise(sig); /* the default by now: SA_RESETHAND */
}

/* Whatever ends us, the terminal is as it was. What is ignored (nohup) or taken (by a sanitizer)
 * stays so. */
static void guard_terminal(void)
{
    static const int ends[] = { SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    const struct sigaction ours = { .sa_handler = give_back,
                                    .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    struct sigaction now;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            (void)sigaction(ends[i], &ours, NULL);
}

struct screen *screen_open(struct err *e)
{
    struct screen *s = calloc(1, sizeof(*s));

    if (!s) {
        err_set(e, "out of memory");
        return NULL;
    }
    int known;
    if (setupterm(NULL, STDOUT_FILENO, &known) == OK) { /* asked first: newterm would leak */
        del_curterm(cur_term);
        s->term = newterm(NULL, stdout, stdin);
    }
    if (!s->term) {
        err_set(e, "the terminal (TERM) is not known or cannot be used; -b prints without one");
        free(s);
        return NULL;
    }
    set_term(s->term);
    guard_terminal();
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    s->styles[STYLE_TITLE] = A_BOLD;
    s->styles[STYLE_HEAD] = A_REVERSE;
    s->styles[STYLE_CHOSEN] = A_REVERSE;
    s->styles[STYLE_WARNING] = s->styles[STYLE_BAD] = A_BOLD;
    if (has_colors() && start_color() == OK && use_default_colors() == OK) {
        init_pair(1, COLOR_YELLOW, -1);
        init_pair(2, COLOR_RED, -1);
        s->styles[STYLE_WARNING] = (chtype)COLOR_PAIR(1);
        s->styles[STYLE_BAD] = (chtype)COLOR_PAIR(2) | A_BOLD;
    }
    return s;
}

void screen_close(struct screen *s)
{
    endwin();
    delscreen(s->term);
    free(s);
}

void screen_size(const struct screen *s, int *width, int *height)
{
    (void)s;
    *width = getmaxx(stdscr);
    *height = getmaxy(stdscr);
}

void screen_show(struct screen *s, const struct frame *f)
{
    int height = getmaxy(stdscr);

    werase(stdscr);
    for (int i = 0; i < f->n && i < height; i++) {
        struct text t = frame_line(f, i);
        wattrset(stdscr, (int)s->styles[f->lines[i].style]);
        mvwaddnstr(stdscr, i, 0, t.p, (int)t.n);
    }
    wattrset(stdscr, A_NORMAL);
    wrefresh(stdscr);
}

int screen_key(struct screen *s)
{
    int k = wgetch(stdscr);

    (void)s;
    switch (k) {
    case ERR:
        return KEYS_NONE;
    case KEY_UP:
        return KEYS_UP;
    case KEY_DOWN:
        return KEYS_DOWN;
    case KEY_PPAGE:
        return KEYS_PAGE_UP;
    case KEY_NPAGE:
        return KEYS_PAGE_DOWN;
    case KEY_RESIZE:
        return KEYS_SIZE;
    default:
        return k < 256 ? k : KEYS_SIZE; /* others just draw again */
    }
}
