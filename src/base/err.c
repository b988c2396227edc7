/* SPDX-License-Identifier: ISC */
/* Filling an error value. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct err *e, const char *sqlstate, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void fill(struct err *e, const char *sqlstate, const char *fmt, va_list ap)
{
    if (!e)
        return;
    size_t n = strnlen(sqlstate, sizeof(e->sqlstate) - 1);
    memcpy(e->sqlstate, sqlstate, n);
    e->sqlstate[n] = '\0';
    if (vsnprintf(e->msg, sizeof(e->msg), fmt, ap) < 0)
        e->msg[0] = '\0';
}

_Bool err_set(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, "", fmt, ap);
    va_end(ap);
    return 0;
}

_Bool err_set_state(struct err *e, const char *sqlstate, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, sqlstate, fmt, ap);
    va_end(ap);
    return 0;
}
