/* SPDX-License-Identifier: ISC */
/* An error as a value: filled by whoever fails, shown by whoever called. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    char sqlstate[6]; /* "" when none applies */
    char msg[1000];   /* NUL-terminated, cut when longer; "" = no error */
};

/* Both return false, so that callers can write `return err_set(...)`. err may be NULL. */
_Bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Bool err_set_state(struct err *e, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
