/* SPDX-License-Identifier: ISC */
/* Inside of a policy: what its files share. Not for others. */
#ifndef TENANT_POLICY_INDEX_H
#define TENANT_POLICY_INDEX_H

#include "base/buf.h"
#include "tenant/policy.h"

/* One user-defined function (or operator) with its verdict; those of one name are chained. */
struct fn_node {
    const struct cat_function *f; /* of an operator: its function, NULL when built in or unknown */
    const struct cat_operator *op;
    bool allowed;
    struct text why; /* when not allowed */
    struct fn_node *next;
};

struct builtin_fn {
    const char *name;
    enum fn_class cls;
    int n_args; /* -1 = any */
    const char *why;
};

struct policy_index {
    struct map functions, operators; /* "schema\0name" → first fn_node */
    struct map function_by_oid;      /* 4 bytes → fn_node */
    struct map types, type_by_oid;   /* → const struct cat_type */
    struct map tainted;       /* 4 bytes of a type's OID → char *: why it is not to be touched */
    struct map builtin_fns;   /* name → const struct builtin_fn */
    struct map builtin_names; /* names of the server's built-in functions → (void *)1 */
    struct map builtin_ops, builtin_types, reg_types;
    struct map role_problems; /* role → struct text: why policies do not hold it */
    struct text rls_report;
    const struct database_conf *db;
    struct text search_path; /* as SQL */
    const char *guc;         /* tenant_guc of the database, "" when none */
};

/* Key "schema\0name" in the caller's memory; false when it is longer than any name can be. */
#define POLICY_KEY_MAX 512
bool policy_key(char *buf, struct text schema, struct text name, struct text *key);
/* The same, living as long as the arena. */
struct text policy_key_in(struct arena *a, struct text schema, struct text name);
/* The bytes of an OID as a key. */
struct text policy_oid_key(const uint32_t *oid);

const struct cat_type *policy_type_by_oid(const struct policy *p, uint32_t oid);
/* Is the type with that OID free of functions that are not allowed (its own input, casts, domain
 * checks)? */
bool policy_type_oid_ok(const struct policy *p, uint32_t oid, int depth, struct text *why);

/* Steps of policy_new; each fills its part. */
void policy_index_types(struct policy *p);
void policy_index_functions(struct policy *p, struct buf *problems);
bool policy_index_casts(struct policy *p, struct err *e);
/* What reads as NULL in a system relation: fills has_hidden, shown and filter. */
void policy_index_masked(struct policy *p, struct policy_relation *r);
/* Appends the names of the settings that tenants may see as SQL: a condition over the column name.
 */
void policy_settings_filter(struct buf *out);
void policy_index_relations(struct policy *p, struct buf *problems);
void policy_index_rls(struct policy *p);

#endif
