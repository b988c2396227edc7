/* SPDX-License-Identifier: ISC */
/*
 * What the catalogs tell about other tenants' rows (row counts, sizes, partition bounds, texts of
 * views) reads as NULL: a system relation with such columns is replaced by a sub-select where one
 * of them may be read, and functions that would tell get a NULL argument. In both modes.
 */
#ifndef TENANT_MASK_H
#define TENANT_MASK_H

#include "tenant/walk.h"

/* A masked column of the item may be read. Does nothing for items without such columns. */
void mask_item(struct walk *w, struct item *i);
/* The same for all items that qualifier.attr could mean; attr empty: the row or all columns.
 * Without a qualifier (empty): for a plain name. */
void mask_names(struct walk *w, struct level *l, struct text qualifier, struct text attr);
/* `*` of the level itself. */
void mask_star(struct walk *w, struct level *l);
/* A join of the items lo..hi-1: an alias, NATURAL or USING reads columns without naming them. */
void mask_join(struct walk *w, struct level *l, struct node *join, int lo, int hi);

/* Replaces the level's items of which masked columns may be read. Called once, when everything that
 * could name them has been walked. */
bool mask_level(struct walk *w, struct level *l);
/* A call of a strict function: its arguments are replaced by one NULL of the type. */
bool mask_call(struct walk *w, struct node *call, struct text type);

#endif
