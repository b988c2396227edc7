/* SPDX-License-Identifier: ISC */
/*
 * The values of [databases], [users] and [peers]: `key=value key='quoted value'`. White space may
 * stand around the =; inside quotes '' stands for one quote. A value may be empty.
 */
#ifndef CONF_DSN_H
#define CONF_DSN_H

#include "base/check.h"
#include "base/err.h"
#include "conf/keys.h"

struct dsn_pair {
    struct text key; /* slice of the input */
    struct text
        value; /* slice of the input, or on the chain of secrets (a quoted value may be one) */
    bool quoted;
};

enum dsn_step { DSN_PAIR, DSN_END, DSN_BAD };

/* Takes the next pair off *rest. DSN_BAD: e says what is wrong and never shows a value. */
enum dsn_step dsn_next(struct text *rest, struct dsn_pair *out, struct secret **secrets,
                       struct err *e) MUST_CHECK;

#endif
