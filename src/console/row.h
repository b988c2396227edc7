/* SPDX-License-Identifier: ISC */
/* Rows of the console's tables: values added one by one in the order of the columns. */
#ifndef CONSOLE_ROW_H
#define CONSOLE_ROW_H

#include "wire/fields.h"

#include <inttypes.h>

#define ROW_MAX 64

/* Columns: text, int4, int8, numeric. */
#define COL_S(name)                                                                                \
    {                                                                                              \
        name, WIRE_TEXT                                                                            \
    }
#define COL_I(name)                                                                                \
    {                                                                                              \
        name, WIRE_INT4                                                                            \
    }
#define COL_Q(name)                                                                                \
    {                                                                                              \
        name, WIRE_INT8                                                                            \
    }
#define COL_N(name)                                                                                \
    {                                                                                              \
        name, WIRE_NUMERIC                                                                         \
    }
#define COLUMNS(table) ((int)(sizeof(table) / sizeof((table)[0])))

struct row {
    struct text value[ROW_MAX];
    char room[ROW_MAX][64]; /* digits, times, pointers, addresses */
    int n;
};

static inline void row_init(struct row *r)
{
    r->n = 0;
}
/* The slice must live until row_end. */
void row_text(struct row *r, struct text t);
void row_z(struct row *r, const char *z); /* NULL = SQL NULL */
void row_null(struct row *r);
void row_int(struct row *r, int64_t v);
void row_uint(struct row *r, uint64_t v);
/* With at most 3 decimals; NAN = SQL NULL. */
void row_real(struct row *r, double v);
void row_ptr(struct row *r, const void *p); /* "0x..." */
/* Wall clock time as `YYYY-MM-DD HH:MM:SS UTC`. */
void row_time(struct row *r, uint64_t wall_us);
/* Appends the DataRow; aborts unless there is a value for each of the n_columns. Ready for the next
 * row then. */
void row_end(struct row *r, int n_columns, struct buf *out);

#endif
