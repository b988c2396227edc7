/* SPDX-License-Identifier: ISC */
/*
 * INSERT ... SELECT *: a star is replaced by the columns it stands for, by name, so that the value
 * of the tenant column can be followed whatever the order of the columns is on the server now.
 */
#ifndef TENANT_EXPAND_H
#define TENANT_EXPAND_H

#include "tenant/walk.h"

/* Rewrite mode, one leaf of a query below INSERT whose FROM was walked: replaces each star by names
 * when all are certain and one of them holds a claim; cols becomes what the select list now shows.
 * Else nothing changes. `TABLE x`: the list waits in the level for its WHERE, or is put at once
 * when there will be none. false: refused. */
bool expand_stars(struct walk *w, struct level *l, struct node *select, struct columns *cols);

#endif
