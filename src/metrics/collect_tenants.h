/* SPDX-License-Identifier: ISC */
/*
 * tenant_top_*_total: the tenants that use most of late, and all others together. A series counts
 * from when its tenant came in, so that neither it nor that of the others ever falls; what a tenant
 * that left had shown by then is nobody's any more. Control thread only.
 */
#ifndef METRICS_COLLECT_TENANTS_H
#define METRICS_COLLECT_TENANTS_H

#include "base/check.h"
#include "metrics/expo.h"
#include "session/top.h"

struct tops;

/* NULL: out of memory. */
struct tops *tops_new(void) MUST_CHECK;
void tops_free(struct tops *t);
/* The names that the next top_gather is to ask for; valid until tops_take. */
const struct text *tops_names(const struct tops *t, int *n);
/* What was gathered; k: how many are shown by each measure. */
void tops_take(struct tops *t, const struct top_found *f, int k);
/* The four families; nothing before tops_take. */
void tops_write(const struct tops *t, struct expo *x);

#endif
