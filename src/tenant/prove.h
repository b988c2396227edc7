/* SPDX-License-Identifier: ISC */
/*
 * Reject mode: does the statement itself restrict every tenant reference to the tenant's rows?
 * Facts are gathered level by level; what follows from them is decided at the end of the statement,
 * because a condition of a sub-query can rest on one of the query around it.
 *
 * What rests on more than equalities with values and between columns of one level (sub-queries'
 * columns, outer queries, OR, column aliases) is not only proven: the walk becomes noisy, and the
 * predicates are added all the same. So a mistake there could not show another tenant's row.
 */
#ifndef TENANT_PROVE_H
#define TENANT_PROVE_H

#include "tenant/walk.h"

/* Notes a level, whose FROM was walked, and what its WHERE and ON conditions state. false: out of
 * reach (refused). */
bool prove_level(struct walk *w, struct level *l, struct node *from, struct node *where);
/* MERGE: its ON filters the target (item 0) only. */
bool prove_merge(struct walk *w, struct level *l, struct node *on);
/* INSERT ... ON CONFLICT DO UPDATE whose arbiter holds the tenant column: the target's row is the
 * tenant's. by_name: as far as the catalog snapshot knows. */
void prove_target(struct walk *w, struct level *l, bool by_name);
/* The result columns of a sub-query in an expression. */
void prove_note(struct walk *w, const struct node *sublink, const struct columns *cols);
/* At the end of a statement: all references are pinned by AND-conjuncts of WHERE or of the ON
 * conditions that filter them; else refused with the missing condition as hint. Parameters that the
 * proof needs get a Bind check. */
bool prove_finish(struct walk *w);

#endif
