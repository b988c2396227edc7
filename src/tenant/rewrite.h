/* SPDX-License-Identifier: ISC */
/* Rewrite mode: adds the predicates of a level and the tenant column of INSERT, to the text and to
 * the tree. */
#ifndef TENANT_REWRITE_H
#define TENANT_REWRITE_H

#include "tenant/walk.h"

/* Filters all tenant references of the level. owner: SelectStmt, UpdateStmt or DeleteStmt. */
bool rewrite_level(struct walk *w, struct level *l, struct node *owner);
/* Puts `(SELECT list FROM relation tail) AS name` in the place of a relation, and its tree into rv.
 */
bool rewrite_wrap(struct walk *w, struct node *rv, const struct snippet *list,
                  const struct snippet *tail);
/* Puts one argument in the place of those of a function call; open: the token of its `(`. */
bool rewrite_arguments(struct walk *w, struct node *call, int open, const struct snippet *arg);
/* `WHERE` of ON CONFLICT DO UPDATE: the target's row must be the tenant's. */
bool rewrite_conflict(struct walk *w, const struct tref *target, struct node *insert,
                      struct node *conflict);
/* Puts the value of the claim in place of a DEFAULT cell. */
bool rewrite_default(struct walk *w, struct node *cell, int claim);
/* INSERT without the tenant column: appends it to the column list (cols: the names when the
 * statement has no list) and its value to each leaf. */
bool rewrite_insert(struct walk *w, struct node *insert, const struct tref *target,
                    const struct text *cols, int n_cols, bool add, const struct arms *arms);
/* MERGE: filters the source at its scans and the target in ON, so that another tenant's row never
 * matches. *after: the token behind ON's condition. */
bool rewrite_merge(struct walk *w, struct level *l, const struct tref *target, struct node *merge,
                   int *after);
/* The number-th WHEN clause inserts: as rewrite_insert. */
bool rewrite_merge_insert(struct walk *w, struct node *when, int after, int number,
                          const struct tref *target, const struct text *cols, int n_cols, bool add);
/* COPY FROM: gives it the column list when it has none, and (add) the tenant column in front. */
bool rewrite_copy_columns(struct walk *w, struct node *copy, const struct tref *target,
                          const struct text *cols, int n_cols, bool add);
/* COPY of a plain tenant table TO: of a query that selects the columns of the tenant's rows. */
bool rewrite_copy_to(struct walk *w, struct node *copy, const struct policy_relation *r, int claim,
                     const struct text *cols, int n_cols);
/* The SQL of the claim's value, as parameter or literal with its cast. */
void rewrite_value(struct walk *w, struct snippet *s, int claim);

#endif
