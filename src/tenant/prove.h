/* SPDX-License-Identifier: ISC */
/* Reject mode: does the statement itself restrict every tenant reference of a level to the tenant's
 * rows? */
#ifndef TENANT_PROVE_H
#define TENANT_PROVE_H

#include "tenant/walk.h"

/* All references of the level (its FROM was walked) are pinned by AND-conjuncts of WHERE or of the
 * ON conditions that filter them; else refused with the missing condition as hint. Parameters that
 * the proof needs get a Bind check. */
bool prove_level(struct walk *w, struct level *l, struct node *from, struct node *where);
/* MERGE: its ON filters the target (item 0) only. */
bool prove_merge(struct walk *w, struct level *l, struct node *on);

#endif
