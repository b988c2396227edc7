/* SPDX-License-Identifier: ISC */
/* Gathering problems and warnings while a configuration is loaded. */
#include "conf/trouble.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 5, 0))) static void add(struct buf *b, const struct trouble *t,
                                                      struct place at, struct text key,
                                                      const char *fmt, va_list ap)
{
    char what[1500];
    size_t start = b->n;

    vsnprintf(what, sizeof(what), fmt, ap);
    buf_text_append(b, text_of(at.file ? at.file : t->main_file));
    if (at.line > 0)
        buf_printf(b, ":%d", at.line);
    buf_text_append(b, TEXT(": "));
    if (key.n) {
        buf_text_append(b, key);
        buf_text_append(b, TEXT(": "));
    }
    buf_text_append(b, text_of(what));
    if (b->failed)
        check_no_memory(sizeof(what));
    for (size_t i = start; i < b->n; i++)
        if ((unsigned char)b->p[i] < 0x20 || b->p[i] == 0x7F)
            b->p[i] = '?';
    buf_char(b, '\n');
}

void trouble_problem(struct trouble *t, struct place at, struct text key, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(&t->problems, t, at, key, fmt, ap);
    va_end(ap);
    t->n_problems++;
}

void trouble_warn(struct trouble *t, struct place at, struct text key, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(&t->warnings, t, at, key, fmt, ap);
    va_end(ap);
}
