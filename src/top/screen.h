/* SPDX-License-Identifier: ISC */
/* The terminal (ncurses): shows frames, reads keys. The only file that knows curses. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "base/err.h"
#include "top/frame.h"

struct screen;

/* Keys besides characters. */
enum screen_key {
    KEYS_NONE = -1,
    KEYS_UP = 1000,
    KEYS_DOWN,
    KEYS_PAGE_UP,
    KEYS_PAGE_DOWN,
    KEYS_SIZE
};

/* Takes the terminal over. NULL: e. */
struct screen *screen_open(struct err *e);
/* Gives it back as it was. */
void screen_close(struct screen *s);
void screen_size(const struct screen *s, int *width, int *height);
void screen_show(struct screen *s, const struct frame *f);
/* Does not wait: a character, an enum screen_key, or KEYS_NONE. */
int screen_key(struct screen *s);

#endif
