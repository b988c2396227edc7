/* SPDX-License-Identifier: ISC */
/*
 * Conditions that cannot raise an error about a row: PostgreSQL may test them before the tenant's
 * own predicate, on rows of other tenants, and an error would tell of these.
 */
#ifndef TENANT_QUIET_H
#define TENANT_QUIET_H

#include "tenant/tree.h"

/* Is the condition (NULL: none) quiet? Comparisons, tests and a few functions are; casts of
 * columns, arithmetic and unknown functions are not. */
bool quiet(struct node *n);
/* Is the operator's name one of = <> != < > <= >=? */
bool quiet_comparison(struct node *name);

#endif
