/* SPDX-License-Identifier: ISC */
/* Array constructors and slices that could fail on other tenants' rows. */
#ifndef TENANT_ARRAYS_H
#define TENANT_ARRAYS_H

#include "tenant/walk.h"

/* An A_ArrayExpr at that level. Notes one that could fail on a row where PostgreSQL may compute it
 * before the tenant's predicate; pattern_finish refuses then. */
void arrays_constructor(struct walk *w, const struct level *l, struct node *n);
/* `x op ANY (ARRAY[...])`, or ALL, of at least two elements with an operator that came with
 * PostgreSQL: it costs twice what the barrier does, and is no condition that the planner takes
 * apart (as it does `x = x`), so that all within it is computed behind the barrier. Not with
 * policies of the server's: those may cost more. */
bool arrays_behind_any(const struct walk *w, struct node *n);
/* What arrays_constructor does, for a slice of arg. */
void arrays_slice(struct walk *w, const struct level *l, struct node *arg);

#endif
