/* SPDX-License-Identifier: ISC */
/* One line of the console taken apart: words, quoted names and values, and the value of SET. */
#ifndef CONSOLE_PARSE_H
#define CONSOLE_PARSE_H

#include "base/arena.h"
#include "base/err.h"

#define STATEMENT_ARGS 12

struct statement {
    struct text word;                 /* the first one; empty: nothing but blanks and comments */
    struct text args[STATEMENT_ARGS]; /* the others, without quotes; NUL-terminated */
    int n_args;
    /* SET: args[0] is the key, this is the value, NUL-terminated. EXPLAIN: all behind the word */
    struct text value;
};

/* Words are separated by blanks and comments; 'x' and "x" are taken without quotes (a doubled quote
 * stands for one). A semicolon may end the line. For SET: key, = or TO, value (quoted, or the rest
 * of the line). Slices live in `a` or in sql. false: e ("syntax error", "one command at a time").
 */
bool statement_parse(struct text sql, struct arena *a, struct statement *st, struct err *e);

/* Takes blanks, comments and one word off the text; out is without quotes and NUL-terminated, and
 * empty at the end of the text. false: e. */
bool statement_word(struct text *rest, struct arena *a, struct text *out, struct err *e);

#endif
