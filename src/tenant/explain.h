/* SPDX-License-Identifier: ISC */
/*
 * One statement's judgement as rows for people: the verdict, the reason, each relation and why, the
 * text that would be sent. The console and the command line print them.
 */
#ifndef TENANT_EXPLAIN_H
#define TENANT_EXPLAIN_H

#include "tenant/tenant.h"

/* Columns of each row; empty ones have n = 0. */
struct explain_row {
    struct text item;   /* "verdict", "reason", "relation", "function", "text", ... */
    struct text value;  /* what it is */
    struct text cls;    /* relations: tenant, shared, ... */
    struct text how;    /* relations: how their rows are held to the tenant */
    struct text source; /* relations: the rule, or what the catalog says */
};
typedef void explain_fn(void *arg, const struct explain_row *row);

/* Judges ask (its trace is not looked at) and calls row for each row; the slices live during the
 * call only. *action gets the verdict. false: out of memory. */
bool explain_statement(struct tenant_engine *e, const struct tenant_ask *ask, explain_fn *row,
                       void *arg, enum tenant_action *action) MUST_CHECK;

#endif
