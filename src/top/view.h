/* SPDX-License-Identifier: ISC */
/* What `pgbulkhead top` shows of the consoles' tables: views, their order, and the frame. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "top/frame.h"
#include "top/source.h"

#define TOP_VIEWS 9

struct top_row {
    int source, row;
};

struct top {
    struct top_source *sources;
    int n_sources;
    double delay; /* seconds */
    /* of the view */
    int view;            /* 0 to TOP_VIEWS - 1 */
    int sort[TOP_VIEWS]; /* index of a column */
    bool up[TOP_VIEWS];  /* the smallest first */
    int chosen;          /* index in rows, those of the last frame */
    int first;           /* row at the top */
    unsigned shown;      /* bits of the columns that the last frame had; 0 = none was drawn */
    bool help;
    bool marks;         /* shows which row is chosen */
    char question[300]; /* to be answered by y; "" = none */
    char command[300];  /* what is then sent */
    int command_source;
    struct top_row *rows;
    int n_rows, cap_rows;
};

/* Views and columns as the program begins. */
void top_init(struct top *t);
void top_release(struct top *t); /* not the sources */
/* The view of that name ("pools") or key ("1"); -1: none. */
int top_view_named(const char *name);
/* Tables that the view needs, as bits for top_source_round. */
unsigned top_wanted(const struct top *t);
/* The next (by > 0) or the previous column that can be sorted by. */
void top_sort_move(struct top *t, int by);
/* Orders by the column of that name (its title or the console's); false: there is none. */
bool top_sort_named(struct top *t, const char *name);
/* Draws everything. height: lines of the terminal, 0 = as many as there are. */
void top_draw(struct top *t, struct frame *f, int width, int height);
/* Asks whether verb ("PAUSE") is to be sent for the chosen row's database; false: it has none. */
bool top_ask(struct top *t, const char *verb);

#endif
