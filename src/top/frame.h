/* SPDX-License-Identifier: ISC */
/*
 * What is shown: lines of text with a style each, apart from how a terminal shows them. Texts of
 * others are made harmless here: what is no printable character of the locale becomes \xHH.
 */
#ifndef TOP_FRAME_H
#define TOP_FRAME_H

#include "base/buf.h"

enum frame_style { STYLE_PLAIN, STYLE_TITLE, STYLE_HEAD, STYLE_CHOSEN, STYLE_WARNING, STYLE_BAD };

struct frame_line {
    size_t at, n; /* bytes in text */
    enum frame_style style;
};

#define FRAME_LINES 2000

struct frame {
    int width; /* columns; what is wider is cut */
    struct buf text;
    struct frame_line lines[FRAME_LINES];
    int n;
    /* private */
    int column; /* of the line being written */
    bool full;
};

void frame_init(struct frame *f);
void frame_release(struct frame *f);
void frame_clear(struct frame *f, int width);

/* A line is begun, written to, and ended. */
void frame_begin(struct frame *f);
void frame_end(struct frame *f, enum frame_style style);
/* Appends text of any origin; cut at the line's end. */
void frame_put(struct frame *f, const char *s);
/* The same, in just `width` columns; right: to the right. What does not fit is cut and ends in ~.
 */
void frame_cell(struct frame *f, const char *s, int width, bool right);
void frame_printf(struct frame *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Columns that the text takes. */
int frame_width(const char *s);
struct text frame_line(const struct frame *f, int i);

#endif
