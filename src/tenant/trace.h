/* SPDX-License-Identifier: ISC */
/*
 * What people are told of a judgement beyond the verdict: each relation with its class, the rule it
 * comes from and how it is held to the tenant (struct tenant_trace, filled only when asked for),
 * and of a refusal the thing it is about with a line that would let it through.
 */
#ifndef TENANT_TRACE_H
#define TENANT_TRACE_H

#include "tenant/walk.h"

/* A relation that the statement names, found as r (NULL: not known). Its row's number, or 0 when
 * nobody asked; trace_how takes it. */
int trace_relation(struct walk *w, struct node *rv, const struct policy_relation *r);
/* How the rows of that relation are held; row 0 is nothing. */
void trace_how(struct walk *w, int row, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A function or operator that may not be used. */
void trace_refused(struct walk *w, enum trace_kind kind, struct text name, struct text why,
                   int loc);

/* The relation is what the refusal is about; r NULL: it is not in the catalog. */
void about_relation(struct walk *w, struct node *rv, const struct policy_relation *r);
/* The function, by the name the statement uses; n_args -1: unknown. */
void about_function(struct walk *w, struct text schema, struct text name, int n_args);
void about_operator(struct walk *w, struct text schema, struct text name);
/* Reject mode: the reference that lacks its condition. */
void about_missing(struct walk *w, const struct tref *r);

/* Rewrite mode: the reference got a condition; its row is filled, and audit mode hears of it. */
void about_added(struct walk *w, const struct tref *r, const char *how);

/* Puts names and rules into the verdict's memory; at the end of the judgement. */
void trace_keep(struct walk *w);

/* A name as SQL writes it: quoted where it has to be. */
void trace_ident(struct buf *b, struct text name);

#endif
