/* SPDX-License-Identifier: ISC */
/*
 * Lists in templates: "IN (?)", "IN (?, ?)" and "IN (-?::int, ?)" say the same, "IN (?, ...)"; so
 * do "ARRAY[?]" and "IN ((?, ?), (?, ?))", "IN ((?, ...))". Statements that differ only in how many
 * values they list have one template then.
 */
#ifndef TENANT_FOLD_H
#define TENANT_FOLD_H

#include "base/buf.h"
#include "tenant/lexer.h"

#define FOLD_GROWTH 5 /* bytes that a list may grow by when it is folded */

/* The innermost list that is being written; all 0 at the start. */
struct fold {
    bool word, dot; /* the last token was IN or ARRAY; a dot, so that what follows is a name */
    char close;     /* what ends the list; 0: there is none */
    int deeper;     /* brackets open in it */
    size_t open;    /* where its values begin in the output */
};

/* To be called before a token is appended to out, and before the blank in front of it; not for
 * comments. true: the list of values that it ends or goes on was folded, and wants no blank. */
bool fold_before(const struct fold *f, struct text sql, struct token t, struct buf *out);
/* ... and after it was appended. */
void fold_after(struct fold *f, struct text sql, struct token t, const struct buf *out);

#endif
