/* SPDX-License-Identifier: ISC */
/*
 * Name resolution as PostgreSQL does it: query levels, the items of their FROM clauses, and CTEs.
 */
#ifndef TENANT_SCOPE_H
#define TENANT_SCOPE_H

#include "tenant/policy.h"
#include "tenant/tree.h"

struct snippet;

struct column {
    struct text name;
    int claim;        /* >= 0: the column always holds this used claim's value; -1: unknown */
    int held;         /* the same, or it is NULL */
    struct tref *ref; /* it is the tenant column of this reference at the same level */
};

struct columns {
    struct column *v;
    int n, cap;
    bool open;         /* there may be more columns than listed (and positions are unknown) */
    bool shifting;     /* positions could have changed since the catalog was read: names count */
    bool reads_shared; /* a shared or system relation is read below (for FOR UPDATE) */
};

struct item {
    struct text name;                  /* alias or relation name */
    struct text schema;                /* of a relation without alias, else empty */
    const struct policy_relation *rel; /* a relation, else NULL */
    bool relation_cols; /* column names are the relation's own (system columns included) */
    bool hidden;        /* by an alias of the join around it */
    int hidden_at;      /* number of the item that hides it */
    bool row_used;      /* named as a whole row */
    bool row_shown;     /* its whole row is a result column: the type shows */
    bool system_used;   /* a system column is named: only the relation itself has them */
    bool masked;        /* a column that reads as NULL may be read: see mask.h */
    bool sampled;
    struct node *rv; /* of a relation: its RangeVar */
    int trace;       /* the relation's row there: see trace.h */
    bool reads_shared;
    struct columns cols;
};

/* A reference to a tenant table which has to be filtered. */
struct tref {
    struct node *rv;
    struct item *item;
    int item_no;
    const struct policy_relation *rel;
    int claim;           /* index of used[] */
    bool only_wrap;      /* no condition outside can filter it: sub-select */
    bool renamed;        /* has column aliases */
    struct node *sample; /* RangeTableSample around it, else NULL */
    bool fence;          /* the sub-select must not be pulled up */
    bool is_target;      /* of UPDATE or DELETE */
    struct node *on;     /* JoinExpr whose ON filters it, NULL = WHERE of the owner */
    bool pinned;         /* proven by the statement */
    int trace;           /* its row (trace.h), 0 = none */
    struct tref *next;
};

struct join_range {
    struct node *join;
    int lo, mid, hi; /* items lo..mid-1 on the left, mid..hi-1 on the right */
    struct join_range *next;
};

struct cte {
    struct text name;
    struct columns cols;
    struct cte *next;
};

struct level {
    struct level *up;
    struct item **items;
    int n_items, cap;
    struct cte *ctes; /* visible ones, newest first */
    bool building;    /* the FROM clause is being walked: lookups go on outwards */
    struct tref *refs, **refs_end;
    struct join_range *joins, **joins_end;
    const struct snippet *table_list; /* what TABLE shows, when it is to be spelled out */
};

struct level *level_new(struct arena *a, struct level *up);
struct item *level_add(struct arena *a, struct level *l, struct text name);
struct tref *level_add_ref(struct arena *a, struct level *l);
void level_add_cte(struct arena *a, struct level *l, struct text name, const struct columns *cols);
/* The CTE an unqualified relation name means at this level, or NULL. */
const struct cte *level_cte(const struct level *l, struct text name);

void columns_add(struct arena *a, struct columns *c, struct text name, int claim);
/* First column of that name, or NULL. */
const struct column *columns_find(const struct columns *c, struct text name);
void columns_append(struct arena *a, struct columns *c, const struct columns *more);
/* Columns may be NULL now (nullable side of an outer join). */
void columns_forget(struct columns *c);
/* Nothing is certain about what the columns hold. */
void columns_unknown(struct columns *c);

/* The same for an item, whose column list may be shared with a CTE: on a copy. */
void item_forget(struct arena *a, struct item *i);

/* Fills the columns of a relation; claim: of its tenant column, -1 none. */
void columns_of_relation(struct arena *a, struct columns *c, const struct policy_relation *r,
                         int claim);
/* Column aliases of an alias node replace the first names. false: more aliases than columns of a
 * closed list. */
bool columns_rename(struct arena *a, struct columns *c, struct node *colnames);

enum attr_result {
    ATTR_COLUMN, /* provably a column */
    ATTR_MAYBE,  /* unknown columns: may be a function of that name */
    ATTR_NO,     /* known not to be a column */
    ATTR_NO_ITEM /* no relation of that name in scope */
};
/* qualifier.attr (schema may be empty). *item gets the item when it is unique. star: qualifier.* */
enum attr_result scope_attr(const struct level *l, struct text schema, struct text qualifier,
                            struct text attr, const struct item **item);
/* Visible item of that name, when all candidates are one; else NULL. */
const struct item *scope_item(const struct level *l, struct text name);
/* The claim that the unqualified column is known to hold at its level, -1 unknown. */
int scope_claim(const struct level *l, struct text column);

#endif
