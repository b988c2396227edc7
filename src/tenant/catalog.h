/* SPDX-License-Identifier: ISC */
/*
 * What the tenant engine knows of one database's catalog: a plain snapshot, filled by main/catalog
 * over libpq (or by a test), immutable afterwards. Names are as stored (no quotes). All memory is
 * in its arena.
 */
#ifndef TENANT_CATALOG_H
#define TENANT_CATALOG_H

#include "base/arena.h"
#include "base/map.h"

struct cat_type {
    uint32_t oid;
    struct text schema, name;
    char typtype; /* b base, c composite, d domain, e enum, p pseudo, r range, m multirange */
    uint32_t base, elem;   /* domain's base type, array's element; 0 otherwise */
    uint32_t subtype;      /* range's and multirange's element type */
    struct text extension; /* empty when none */
    uint32_t *check_funcs; /* functions outside pg_catalog that a domain's CHECKs call */
    int n_check_funcs;
};

struct cat_column {
    struct text name;
    uint32_t type;      /* OID as declared (a domain stays a domain) */
    uint32_t base_type; /* domains resolved */
    int attnum;
    bool not_null, has_default, generated, identity;
    bool is_virtual; /* generated when it is read, not stored */
    bool collation_deterministic;
};

struct cat_relation {
    uint32_t oid;
    struct text schema, name;
    char kind; /* r p v m f S c t i */
    bool rls, rls_forced, has_triggers, has_rules, is_extension;
    uint32_t owner;        /* role */
    bool security_invoker; /* views: reads with the rights of who asks */
    struct cat_policy {
        struct text name, expr; /* expr: USING and WITH CHECK as text */
    } * policies;
    int n_policies;
    bool has_virtual;  /* a column that is */
    uint32_t *parents; /* pg_inherits: inheritance and partition parents */
    int n_parents;
    struct cat_column *columns; /* live ones by attnum */
    int n_columns;
    uint32_t *view_reads; /* relations a view's rule reads (pg_depend), for v and m */
    int n_view_reads;
    /* a view that shows plain columns of one relation and nothing else: for each of its columns
     * (as in columns) the relation's name for it; NULL for other views */
    struct text *view_origins;
    /* unique indexes (also primary keys) as column numbers; expressions are 0. A constraint has the
     * name of its index. */
    struct cat_index {
        struct text name;
        bool primary, partial;
        int *cols;
        int n_cols;
    } * uniques;
    int n_uniques;
    struct text citus_column; /* distribution column, empty otherwise */
};

struct cat_function {
    uint32_t oid;
    struct text schema, name;
    uint32_t *args; /* input argument types */
    int n_args;
    int n_defaults; /* of the last arguments */
    uint32_t ret;
    char kind;       /* f p a w */
    char volatility; /* i s v */
    bool strict, security_definer, leakproof, variadic, returns_set;
    struct text language, extension; /* extension empty when none */
    double cost;
};

struct cat_operator {
    uint32_t oid, left, right, result, func; /* func: OID of its function */
    struct text schema, name;
};

/* A role and what it can become: itself, or one it is a member of, over any number of steps. Only
 * those `as_` roles that row-level security does not hold, or that own relations. */
struct cat_role {
    uint32_t oid, as_oid;
    struct text name, as_name;
    bool as_super, as_bypass;
};

struct catalog {
    struct arena arena;
    int server_version;       /* server_version_num */
    struct text encoding;     /* server_encoding */
    struct text *search_path; /* schemas, "$user" left out, pg_catalog not listed */
    int n_search_path;
    struct cat_relation **relations;
    int n_relations; /* outside pg_catalog and information_schema; temp ones left out */
    /* outside pg_catalog, or put there by somebody (OID from 16384) */
    struct cat_function **functions;
    int n_functions;
    struct cat_operator **operators;
    int n_operators;
    struct cat_type **types;
    int n_types; /* all, built-in ones too */
    /* names that hide built-ins: casts made by users with a function outside pg_catalog: (source,
     * target) pairs */
    struct cat_cast {
        uint32_t source, target, func;
    } * casts;
    int n_casts;
    /* relations of pg_catalog and information_schema with their columns, names of pg_catalog's own
     * functions; both may be empty in tests (then no attribute `x.attr` of a system relation is
     * known) */
    struct cat_relation **system;
    int n_system;
    struct text *builtins;
    int n_builtins;
    struct cat_role *roles;
    int n_roles;
    /* logins that the server turns into another role by ALTER ROLE or ALTER DATABASE ... SET role
     */
    struct cat_role_switch {
        struct text role, setting; /* role empty: all; setting for people */
    } * role_switches;
    int n_role_switches;
    bool catalog_not_first; /* search_path names a schema before pg_catalog: names found in both are
                               refused */
};

/* A new empty catalog / frees it. */
struct catalog *catalog_new(void);
void catalog_free(struct catalog *c);

#endif
