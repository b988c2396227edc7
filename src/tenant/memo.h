/* SPDX-License-Identifier: ISC */
/*
 * Parsed snippets of ours by their text, kept over statements: a predicate is the same for each
 * statement that names the relation in the same way. Claim values are not in the text: literals
 * that stand for them are replaced in each copy that is handed out.
 */
#ifndef TENANT_MEMO_H
#define TENANT_MEMO_H

#include "base/map.h"
#include "tenant/tree.h"

struct memo {
    struct map trees;
    struct arena arena;
    struct buf key; /* the text of the snippet in question */
};

void memo_init(struct memo *m);
void memo_release(struct memo *m);
/* Forgets everything when it is much; before a statement, as trees of one share texts with the
 * memo. */
void memo_trim(struct memo *m);

/* Writes a literal that stands for value number k. */
void memo_mark(struct buf *out, int k);
/* The tree of the one statement in m->key, as a copy in the arena with the values in place of their
 * marks and without positions; its strings live until memo_trim. NULL: it is none. */
struct node *memo_tree(struct memo *m, const struct tree_parser *p, struct arena *a,
                       const struct text *values, int n_values);

#endif
