/* SPDX-License-Identifier: ISC */
/*
 * Right operands that can make an operator fail on a row: patterns of LIKE that end in their
 * escape character, and jsonpaths with variables or times. The predicate cannot stand in front of
 * them: see pattern.c.
 */
#ifndef TENANT_PATTERN_H
#define TENANT_PATTERN_H

#include "tenant/walk.h"

/* The operator expression (its operator is allowed). Notes in the walk what is not certain to be
 * harmless, and parameters that Bind is checked for. */
void pattern_operator(struct walk *w, struct node *a_expr);
/* The same for `x op ANY (SELECT ...)`. */
void pattern_sublink(struct walk *w, struct node *sublink);
/* A call's arguments are about to be walked: a jsonpath of jsonb_path_* is its own affair. */
void pattern_call(struct walk *w, struct node *call, struct text name);
/* The type is named; cast: by this TypeCast, else NULL. */
void pattern_type(struct walk *w, struct node *type, struct node *cast);
/* At the end: refuses what could fail on another tenant's row, and keeps the checks for Bind in the
 * verdict. */
bool pattern_finish(struct walk *w);

/* Is a value that came for a parameter harmless? format 1: binary. */
bool pattern_value_ok(const struct verdict_pattern *p, int format, struct text value);

#endif
