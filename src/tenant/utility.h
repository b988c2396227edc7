/* SPDX-License-Identifier: ISC */
/*
 * Statements that are about the session rather than about rows: what a verdict tells the session of
 * them (verdict.effects, .prepared, .cursors), and what the session asks back when they run.
 */
#ifndef TENANT_UTILITY_H
#define TENANT_UTILITY_H

#include "tenant/tenant.h"

/* ---- verdict.effects ---- */
enum {
    EFFECT_RESET = 1,   /* RESET ALL, DISCARD ALL: what the pooler had set is to be set again */
    EFFECT_DISCARD = 2, /* DISCARD ALL: role and prepared statements of the server too */
    EFFECT_LISTEN = 4,  /* LISTEN: only where the client keeps its server */
    EFFECT_HOLD = 8     /* a cursor WITH HOLD: likewise */
};

/* ---- verdict.prepared: PREPARE, EXECUTE, DEALLOCATE in SQL ---- */
enum sql_prepared_what { SQL_PREPARE, SQL_EXECUTE, SQL_DEALLOCATE };
struct sql_argument {
    bool constant;      /* a literal */
    struct text value;  /* its text */
    uint32_t cast_type; /* type (enum value_oid) that it is cast to, 0 = none */
};
struct sql_prepared {
    enum sql_prepared_what what;
    struct text name;  /* empty: DEALLOCATE ALL */
    struct text query; /* PREPARE: the statement, at its place in the client's text (blanks in
                          front), NUL behind it */
    uint32_t *types;   /* PREPARE: of the parameters, as Parse declares them */
    int n_types;
    struct text args; /* EXECUTE: the arguments as SQL */
    struct sql_argument *arg;
    int n_args;
};

/* The text that runs a statement which the server knows by server_name: the client's arguments and
 * our values. target: the verdict of the prepared statement; types: what its parameters were
 * declared as. Appends to out (no NUL). false: a constant that stands for the tenant is not the
 * tenant's; *r is a complete refusal. The number of arguments must be target->n_params, unless that
 * is 0. */
bool prepared_execute(const struct sql_prepared *p, const struct verdict *target,
                      const struct identity *id, const uint32_t *types, int n_types,
                      struct text server_name, struct buf *out,
                      struct tenant_refusal *r) MUST_CHECK;

/* ---- verdict.cursors: cursors that the statements declare, in order, and uses of CURRENT OF ----
 */
enum sql_cursor_what {
    SQL_CURSOR_SIMPLE, /* reads one tenant table, filtered and locked, and no other relation */
    SQL_CURSOR_OTHER,
    SQL_CURSOR_USED /* WHERE CURRENT OF: allowed for simple ones only */
};
struct sql_cursor {
    enum sql_cursor_what what;
    struct text name;
    const struct sql_cursor *next;
};

/* ---- channels of LISTEN and NOTIFY ---- */
#define CHANNEL_PREFIX 28
#define CHANNEL_MAX (63 - CHANNEL_PREFIX) /* bytes of a tenant's channel name */
/* What stands in front of a tenant's channels on the server: "bh_", 24 hexadecimal digits of the
 * SHA-256 of the tenant's value, "_"; NUL-terminated. false: no digest could be made. */
bool channel_prefix(const struct identity *id, char out[CHANNEL_PREFIX + 1]) MUST_CHECK;

#endif
