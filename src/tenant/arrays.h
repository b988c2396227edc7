/* SPDX-License-Identifier: ISC */
/* Array constructors and slices that could fail on other tenants' rows. */
#ifndef TENANT_ARRAYS_H
#define TENANT_ARRAYS_H

#include "tenant/walk.h"

/* An A_ArrayExpr at that level. Notes one that could fail on a row where PostgreSQL may compute it
 * before the tenant's predicate; pattern_finish refuses then. */
void arrays_constructor(struct walk *w, const struct level *l, struct node *n);
/* The same for a slice of arg. */
void arrays_slice(struct walk *w, const struct level *l, struct node *arg);

#endif
