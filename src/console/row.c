/* SPDX-License-Identifier: ISC */
/* Values of a row as text. */
#include "console/row.h"

#include "base/check.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>

void row_text(struct row *r, struct text t)
{
    CHECK(r->n < ROW_MAX);
    r->value[r->n++] = t.p ? t : TEXT("");
}

void row_z(struct row *r, const char *z)
{
    if (z)
        row_text(r, text_of(z));
    else
        row_null(r);
}

void row_null(struct row *r)
{
    CHECK(r->n < ROW_MAX);
    r->value[r->n++] = (struct text){ NULL, 0 };
}

static void made(struct row *r, int n)
{
    r->value[r->n] = text_n(r->room[r->n], (size_t)n);
    r->n++;
}

void row_int(struct row *r, int64_t v)
{
    CHECK(r->n < ROW_MAX);
    made(r, snprintf(r->room[r->n], sizeof(r->room[0]), "%" PRId64, v));
}

void row_uint(struct row *r, uint64_t v)
{
    CHECK(r->n < ROW_MAX);
    made(r, snprintf(r->room[r->n], sizeof(r->room[0]), "%" PRIu64, v));
}

void row_real(struct row *r, double v)
{
    CHECK(r->n < ROW_MAX);
    if (isnan(v)) {
        row_null(r);
        return;
    }
    int n = snprintf(r->room[r->n], sizeof(r->room[0]), "%.3f", v);
    while (n > 1 && r->room[r->n][n - 1] == '0')
        n--;
    made(r, r->room[r->n][n - 1] == '.' ? n - 1 : n);
}

void row_ptr(struct row *r, const void *p)
{
    CHECK(r->n < ROW_MAX);
    if (p)
        made(r, snprintf(r->room[r->n], sizeof(r->room[0]), "%p", p));
    else
        row_text(r, TEXT(""));
}

void row_time(struct row *r, uint64_t wall_us)
{
    CHECK(r->n < ROW_MAX);
    made(r, (int)clock_format(wall_us, CLOCK_SECONDS, r->room[r->n], sizeof(r->room[0])));
}

void row_end(struct row *r, int n_columns, struct buf *out)
{
    CHECK(r->n == n_columns);
    wire_datarow_build(out, r->value, r->n);
    r->n = 0;
}
