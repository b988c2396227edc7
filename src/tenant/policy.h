/* SPDX-License-Identifier: ISC */
/*
 * What a tenant may touch in one database: the rules of the configuration laid over the catalog.
 * Immutable and refcounted; shared by all workers.
 */
#ifndef TENANT_POLICY_H
#define TENANT_POLICY_H

#include "conf/setup.h"
#include "tenant/catalog.h"

enum rel_class {
    REL_UNKNOWN, /* not in the catalog snapshot, or not classified: refused */
    REL_TENANT,
    REL_SHARED, /* readable, not writable */
    REL_DENY,
    REL_SYSTEM /* pg_catalog / information_schema relation that is free of data: readable */
};

struct policy_relation {
    enum rel_class cls;
    struct text schema, name;        /* as stored */
    const struct cat_relation *cat;  /* NULL for REL_SYSTEM */
    const struct cat_column *column; /* REL_TENANT */
    struct text claim; /* REL_TENANT: name of the claim in force; empty = decide per identity: claim
                          named like the column, else "tenant" */
    struct text type_sql; /* REL_TENANT: base type to cast the value to, e.g. "pg_catalog.text",
                             "pg_catalog.uuid" */
    uint32_t type_oid;    /* that type's OID */
    const struct tenant_rule *settings; /* the rule whose settings apply to its readers, or NULL */
    bool is_view;
    bool foreign; /* is a foreign table, or reading it reads one */
    /* r, p, or a view declared so that shows the tenant column of one tenant table */
    bool insertable;
    const struct policy_relation *base; /* of an insertable view: its table */
    struct text why; /* for people: the rule's file:line or "column tenant_id found in the catalog",
                        or why denied */
    bool by_rule;    /* a rule of [tenant_rules] says so, for it or for its parent */
    bool tainted;    /* a column's type calls functions that nobody allowed */
    /* tenant_mode=rls: do policies hold everybody here? rls_why: why not. rls_shows: reading it
     * passes a child's policies by */
    bool rls_open;
    struct text rls_why, rls_shows;
    /* REL_SYSTEM */
    const struct cat_relation *sys; /* its columns, NULL when the snapshot lacks them */
    const char *hidden; /* columns that tell about other tenants' rows, space separated */
    bool has_hidden;    /* these columns or some rows must not be read: see mask.h */
    struct text shown;  /* then the select list of what may be: NULL in the place of hidden columns;
                           empty when the columns are not known */
    struct text filter; /* and SQL behind FROM that leaves some rows only, with a space in front */
};

struct policy {
    _Atomic int refs;
    uint64_t generation; /* unique in the process; part of cache keys */
    const struct setup *setup;
    struct catalog *catalog;
    struct arena arena;
    struct map by_name; /* "schema\0name" */
    /* further indexes of the implementation */
    struct policy_index *index;
};

/* Takes the catalog over (also when it fails) and references the setup; db is not kept. NULL: e.
 * problems (may be NULL): lines about rules that name nothing ("file:line: public.nosuch: no such
 * relation in database X"); they are warnings. */
struct policy *policy_new(const struct setup *s, const struct database_conf *db, struct catalog *c,
                          uint64_t generation, struct buf *problems, struct err *e);
/* Any thread; the last unref frees the catalog too. */
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);

/* The relation a name means: schema empty = along the search path (pg_catalog first, as PostgreSQL;
 * temporary schemas are out of reach because tenants cannot make temporary objects). NULL: no such
 * relation in the snapshot. */
const struct policy_relation *policy_relation(const struct policy *p, struct text schema,
                                              struct text name);

/* May tenants call it? */
enum fn_class {
    FN_UNKNOWN, /* no such name in the snapshot or the built-in list */
    FN_DENY,
    FN_ALLOW,         /* may raise errors, has no side effect, reads nothing beyond its arguments */
    FN_ALLOW_SETTING, /* current_setting and the like: caller checks a constant setting name */
    FN_MASK           /* strict, tells about others: *why is the type of a NULL to call it with */
};
/* schema empty = by search path: allowed only when every function the name could mean (pg_catalog
 * first, then the search path; any of the possible overloads for that number of arguments) is
 * allowed. n_args -1 = unknown. *why (may be NULL) gets a static or policy-owned text. */
enum fn_class policy_function(const struct policy *p, struct text schema, struct text name,
                              int n_args, struct text *why);
/* Operators: schema empty = search path. left/right: number of operands 1 or 2. */
enum fn_class policy_operator(const struct policy *p, struct text schema, struct text name,
                              int n_operands, struct text *why);
/* Could the name mean an operator that did not come with PostgreSQL? Comparisons are not asked for:
 * those of extensions that are trusted do not fail. */
bool policy_operator_added(const struct policy *p, struct text schema, struct text name);
/* Types named in casts, column definitions and literals: false for reg* types (which look names up
 * and print foreign names), for domains/composites not reachable, unknown ones, and types with
 * user-defined casts or input functions that are not allowed. schema empty = search path. */
bool policy_type_ok(const struct policy *p, struct text schema, struct text name, struct text *why);
/* OID of the type a name means (schema empty = pg_catalog, then the search path), whether tenants
 * may name it or not; 0: not known. */
uint32_t policy_type_named(const struct policy *p, struct text schema, struct text name);
/* Is `attr` a column (or system column) of the relation? (else d.attr is a function call: refused)
 */
bool policy_has_column(const struct policy_relation *r, struct text attr);
/* May the column of a REL_SYSTEM relation be read? (pg_class.reltuples and the like tell about
 * others' rows) */
bool policy_system_column_ok(const struct policy_relation *r, struct text column);
/* Is it one of the reg* types of pg_catalog (schema empty or pg_catalog) that are harmless over
 * tableoid, an oid column of a system relation, or a string constant? policy_type_ok says no to
 * them. */
bool policy_type_reg(const struct policy *p, struct text schema, struct text name);
/* Is the database's encoding UTF8 (or not known, in tests)? Else statements of tenants are held to
 * ASCII. */
bool policy_utf8(const struct policy *p);
/* tenant_guc of the database, empty when there is none. Lives as long as the policy. */
struct text policy_guc(const struct policy *p);
/* The search_path the policy reckons with, as SQL ("public, \"My Schema\""): what a session of a
 * tenant has to run under. */
struct text policy_search_path(const struct policy *p);
/* Settings tenants may SET / SHOW; lower-cased by the caller? No: compared ASCII-case-insensitively
 * here. value: constant text when known (may be checked: standard_conforming_strings only on,
 * client_encoding only safe ones, search_path never). */
bool policy_setting_ok(const struct policy *p, struct text name, bool set, struct text value,
                       bool value_known, struct text *why);
/* Startup parameters and options of a tenant's client: same list, plus user, database,
 * application_name, ... "options" is taken apart (-c name=value, --name=value). search_path is
 * refused here. */
bool policy_startup_ok(struct text name, struct text value, struct text *why);

/* Does row-level security hold servers that log in as that role? *why: else, for people; lives as
 * long as the policy. */
bool policy_rls_role(const struct policy *p, struct text role, struct text *why);
/* Lines for the log ("ERROR ..." or "WARNING ...", each with a newline) about roles and tables that
 * row-level security does not hold, where tenant_mode=rls is in use. Often empty. */
struct text policy_rls_report(const struct policy *p);

/* Claim value of the identity that the relation compares with; NULL when the identity lacks it, or
 * when a varchar column could not hold it exactly (trailing blanks). */
const struct claim *policy_claim(const struct policy_relation *r, const struct identity *id);

/* Is the key that the DETAIL of a unique violation shows the tenant's own? schema, table, index:
 * from the error's fields. True only when the index holds the tenant column and the value printed
 * for it is the tenant's. */
bool policy_own_key(const struct policy *p, const struct identity *id, struct text schema,
                    struct text table, struct text index, struct text detail);

#endif
