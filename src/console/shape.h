/* SPDX-License-Identifier: ISC */
/*
 * A result that a command has put together (RowDescription and DataRow messages, text format)
 * brought into the form that was asked for: rows chosen by LIKE, binary values, a number of rows at
 * a time.
 */
#ifndef CONSOLE_SHAPE_H
#define CONSOLE_SHAPE_H

#include "base/buf.h"

struct shape {
    const char *like;    /* pattern that the naming column must match; NULL = all rows */
    const char *formats; /* n_formats big-endian int16, as a Bind message has them */
    unsigned n_formats;  /* 0 = all text, 1 = the same for all columns */
    uint32_t max;        /* rows at most; 0 = no limit */
    bool head, rows;     /* pass on the RowDescription, the rows and everything else? */
};

/* Appends to out what the shape lets through of the messages in `in`, and the rows beyond max, in
 * their final form, to rest (not NULL when max is not 0). Gives whether there was a
 * RowDescription. The naming column is the first one, and "database" where the first is "type".
 * Memory: out->failed, rest->failed. */
bool shape_result(const struct shape *s, struct text in, struct buf *out, struct buf *rest);

/* The first max rows of `rest`, taken off it. */
void shape_more(struct buf *rest, uint32_t max, struct buf *out);

/* SQL's LIKE on UTF-8: % is anything, _ is a character, \ makes the next one ordinary. */
bool shape_like(struct text value, const char *pattern);

#endif
