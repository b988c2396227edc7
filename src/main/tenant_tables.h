/* SPDX-License-Identifier: ISC */
/*
 * The tables that hold a tenant's rows, in the order of their foreign keys: what deleting and
 * exporting a tenant go through. Reads the server over libpq; blocking, for a helper thread.
 */
#ifndef MAIN_TENANT_TABLES_H
#define MAIN_TENANT_TABLES_H

#include "base/err.h"
#include "tenant/policy.h"

struct pg_conn;

struct tenant_table {
    const struct policy_relation *rel;
    const struct claim *claim;
    struct text name;      /* "schema"."name" as SQL */
    struct text from;      /* the same, with ONLY where children are tables of their own */
    struct text condition; /* SQL: the tenant column equals the value */
    int group;             /* tables of one group reference one another in a circle */
    int64_t rows;          /* filled by whoever goes through the plan */
};

struct tenant_tables {
    struct tenant_table *v; /* those that are referenced come first */
    int n;
    const char *const *warnings; /* for people; about what the plan cannot vouch for */
    int n_warnings;
};

/* All base and partitioned tables of class REL_TENANT; views, foreign tables and partitions of a
 * listed parent are left out. Everything lives in `a` (and the policy, and the identity). false: e,
 * when the tenant has no value for a table's column. */
bool tenant_tables_plan(struct pg_conn *pg, const struct policy *p, const struct identity *id,
                        struct arena *a, struct tenant_tables *out, struct err *e) MUST_CHECK;

/* Would deleting the tenant's rows change rows that are not its own, through ON DELETE CASCADE, SET
 * NULL or SET DEFAULT? false: e names the foreign key (or a query failed). Call it in the
 * transaction that deletes, before the first DELETE. cancel_fd: see backend_run. */
bool tenant_tables_apart(struct pg_conn *pg, const struct policy *p, const struct tenant_tables *t,
                         int cancel_fd, struct err *e) MUST_CHECK;
#endif
