/* SPDX-License-Identifier: ISC */
/*
 * Judging one parsed text: what all walker files share. A walker function returns false when the
 * statement is refused (the reason then stands in the walk); everything that it does not know is
 * refused.
 */
#ifndef TENANT_WALK_H
#define TENANT_WALK_H

#include "tenant/inject.h"
#include "tenant/memo.h"
#include "tenant/scope.h"
#include "tenant/tree.h"
#include "tenant/verdict.h"

/* A claim value that the statement's text or Bind needs. */
struct used_claim {
    struct text name, value;
    uint32_t type;
    const char *type_sql;
};

/* What is known of one parameter of the client's. */
struct param_use {
    int count;   /* occurrences */
    int checked; /* occurrences that must equal a claim */
    int claim;   /* index of the used claim it must equal */
    bool array;  /* each of its elements must */
    unsigned shape; /* PATTERN_*: what it must not be */
    char escape;
};

/* One leaf of a query below INSERT: its rows get the tenant column's value. */
struct arm {
    struct node *select;
    struct level *level;
    struct columns cols;
};

struct arms {
    struct arm *v;
    int n, cap;
};

struct proof; /* prove.c: what reject mode knows of the statement */

struct walk {
    const struct tenant_ask *ask;
    bool rewrite;  /* else the statement must prove it all itself */
    bool rls;      /* nor that: the server's policies decide */
    bool rls_rows; /* a relation with policies was named */
    struct arena *arena;
    struct verdict_full *out;
    struct proof *proof;
    struct inject *inj;
    struct tree_parser *parser;
    struct memo *memo;

    struct used_claim used[VERDICT_MAX_ADDED];
    int n_used;
    int emitted[VERDICT_MAX_ADDED]; /* used claim of each added value of the verdict */
    struct param_use *params;       /* [0] = $1 */
    int n_params;
    int depth;
    int seen;       /* nodes of the kinds that name things which were looked at */
    bool dependent; /* claim values were looked at */
    bool noisy;     /* a condition could fail on a row of another tenant */
    bool unsafe;    /* an operand could fail on other tenants' values: pattern.h */
    int unsafe_loc;
    bool shown;     /* what is walked is computed behind the filter: results, assigned values */
    bool in_any;    /* within what arrays_behind_any says */
    bool arrays;    /* an array could fail on other tenants' rows: arrays.h */
    int arrays_loc;
    const struct node *own_path; /* a cast to jsonpath that only its function sees */
    bool outer_on;  /* within the ON of an outer join */
    bool is_simple; /* simple protocol: values become literals (COPY also in the extended one) */
    bool alone;     /* the only statement of its message */
    int masks;      /* items to be replaced that have not been yet */
    bool unbound;   /* RESET ALL stands in front: tenant_guc is not set */
    const struct node *top; /* the statement */

    const struct rule_setting *settings[VERDICT_MAX_SETTINGS];
    int n_settings;

    bool refused;
    enum refusal reason;
    struct text message, detail, hint;
    int loc;                  /* byte offset or -1 */
    struct text subject, fix; /* trace.h */
    struct text added_to, added_fix;
    int n_conditions;
    const struct policy_relation **rels;
    int n_rels;
};

/* Refuses (the first refusal counts) and returns false. The DETAIL is printed; hint may be NULL. */
bool walk_refuse(struct walk *w, enum refusal r, int loc, const char *hint, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));

/* A whole statement. loc: where its text starts. */
bool walk_statement(struct walk *w, struct node *n, int loc);
enum stmt_kind walk_kind(const struct node *n);
/* Nodes below that walkers count in walk.seen. */
int walk_count_names(const struct node *n);

/* Statements about the session: walk_prepared.c, walk_session.c. loc: where the statement's text
 * starts. */
bool walk_prepare(struct walk *w, struct node *n, int loc);
bool walk_execute(struct walk *w, struct node *n, int loc);
bool walk_deallocate(struct walk *w, struct node *n, int loc);
bool walk_listen(struct walk *w, struct node *n, int loc);
bool walk_unlisten(struct walk *w, struct node *n, int loc);
bool walk_notify(struct walk *w, struct node *n, int loc);
bool walk_lock(struct walk *w, struct node *n, int loc);
bool walk_discard(struct walk *w, struct node *n, int loc);
bool walk_constraints(struct walk *w, struct node *n, int loc);
/* Is it a call of pg_notify that runs exactly once: a result column of the statement, which is a
 * SELECT without FROM? Then its channel, a literal, gets the tenant's prefix. */
bool walk_is_pg_notify(const struct walk *w, const struct node *call, struct text schema,
                       struct text name);
bool walk_pg_notify(struct walk *w, struct level *l, struct node *call);
/* RESET ALL: what stands behind it in the text runs without tenant_guc. */
void walk_unbound(struct walk *w);
/* May the statement stand there? */
bool walk_bound(struct walk *w, struct node *n, int loc);
/* The query of DECLARE, and a note of what the cursor reads. */
bool walk_cursor(struct walk *w, struct node *declare);
/* UPDATE or DELETE whose whole WHERE is CURRENT OF: the row passed the tenant's filter if the
 * session knows the cursor as a simple one. up, from: nothing else may be there. */
bool walk_current_of(struct walk *w, struct level *up, struct node *from, struct node *where,
                     const struct policy_relation *target);
/* The first token of a statement; -1: none. */
int walk_first_token(const struct inject *j, int loc);

/* Subscripts and fields behind the name of a column that is assigned to. */
bool walk_assigned(struct walk *w, struct level *l, struct node *target);

/* Parts, by file. up = scope around, NULL at the top. cols gets the result columns. arms (may be
 * NULL) collects leaves. */
bool walk_select(struct walk *w, struct level *up, struct node *n, struct columns *cols,
                 struct arms *arms);
bool walk_insert(struct walk *w, struct level *up, struct node *n, struct columns *cols);
bool walk_update(struct walk *w, struct level *up, struct node *n, struct columns *cols);
bool walk_delete(struct walk *w, struct level *up, struct node *n, struct columns *cols);
bool walk_merge(struct walk *w, struct level *up, struct node *n);
bool walk_copy(struct walk *w, struct node *n, int loc);
/* A query of any of the four kinds, as CTEs and COPY hold it. */
bool walk_query(struct walk *w, struct level *up, struct node *n, struct columns *cols);

bool walk_with(struct walk *w, struct level *l, struct node *with);
/* FROM and the like: adds items and tenant references to the level. owner: the statement whose
 * WHERE they fall under. */
bool walk_from(struct walk *w, struct level *l, struct node *list, struct node *owner);
/* The source of MERGE: filtered at its scans, because rows that match nothing act too. */
bool walk_source(struct walk *w, struct level *l, struct node *source);
/* SET lists of UPDATE and its kin. */
bool walk_set(struct walk *w, struct level *l, struct node *list, const struct tref *target);
/* The relation that INSERT, UPDATE or DELETE changes (never a CTE): checked for writing, added as
 * item 0. */
bool walk_target(struct walk *w, struct level *l, struct node *rv, struct node *owner,
                 struct item **item);
/* A relation outside of FROM: what it is, NULL when it is refused (trace: its row for trace_how);
 * and adding its schema to the text and tree. */
const struct policy_relation *walk_relation(struct walk *w, struct node *rv, int *trace);
bool walk_qualify(struct walk *w, struct node *rv, const struct policy_relation *r);
/* Result columns of a target list; walks the expressions too. */
bool walk_targets(struct walk *w, struct level *l, struct node *list, struct columns *cols);
bool walk_expr(struct walk *w, struct level *l, struct node *n);
bool walk_exprs(struct walk *w, struct level *l, struct node *list);
bool walk_type(struct walk *w, struct level *l, struct node *type_name, int loc);
/* The operator of that (unqualified) name, as PostgreSQL looks it up for constructs that use it
 * silently. */
bool walk_operator(struct walk *w, struct text schema, struct text name, int operands, int loc);

/* Settings that the rule of a relation asks for, which the statement reads (walk_settings.c). */
void walk_settings_of(struct walk *w, const struct policy_relation *r);
/* The same for those that it orders by a distance of; l: of the SELECT n. */
void walk_settings_order(struct walk *w, const struct level *l, struct node *n);
/* Are the statements of kinds that settings can hold for? */
bool walk_settings_fit(const struct walk *w, const struct tree *t);
/* Puts them around the text (simple protocol), and into the verdict. */
void walk_settings_wrap(struct walk *w, const struct tree *t, const struct snippet *text,
                        struct snippet *s);
void walk_settings_keep(struct walk *w);

/* tenant_mode=rls: may the relation be read (changed)? NULL (false): refused. */
const struct policy_relation *walk_rls_relation(struct walk *w, struct node *rv,
                                                const struct policy_relation *r);
bool walk_rls_target(struct walk *w, struct node *rv, const struct policy_relation *r);

/* The claim a relation compares with, as index of used[]; -1: refused. */
int walk_claim(struct walk *w, const struct policy_relation *rel, int loc);
/* Is the expression provably the claim's value? Constants are compared, parameters get a Bind
 * check, columns must be known to hold it. false: refused. allow_int: an integer literal is
 * converted as INSERT does. */
bool walk_value_is_claim(struct walk *w, struct level *l, struct node *n, int claim, int loc);

/* Is it a type whose cast leaves a value of the wanted type as it is? */
bool walk_same_type(struct node *type, uint32_t want);

enum value_kind { VALUE_OTHER, VALUE_EQUAL, VALUE_DIFFERENT, VALUE_PARAM };
/* What a constant or parameter is against a claim; param gets its number. Nothing is recorded. */
enum value_kind walk_constant(struct walk *w, struct node *n, int claim, bool assign, int *param);
/* Records that $param must equal the claim; $-param: an array, each of whose elements must. */
bool walk_check_param(struct walk *w, int param, int claim, int loc);

/* Name of a qualified name list (1 or 2 strings); false when longer. */
bool walk_name(struct node *list, struct text *schema, struct text *name);

#endif
