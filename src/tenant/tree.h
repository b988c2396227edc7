/* SPDX-License-Identifier: ISC */
/*
 * PostgreSQL's raw parse tree in our own form: nodes with named fields. No header of PostgreSQL or
 * libpg_query is visible here. Everything lives in the caller's arena.
 *
 * Kinds are called N_<node tag>, fields R_<C field name>, enum values TREE_<PostgreSQL's name>. A
 * field that is NULL, an empty list, zero or false is absent. What the converter does not know
 * becomes N_Unknown, which callers refuse.
 */
#ifndef TENANT_TREE_H
#define TENANT_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define NODE(tag) N_##tag,
#define OPAQUE(tag) N_##tag,
enum node_kind {
    N_Unknown,
    N_List, /* fields with R_none; an element may be NULL */
#include "tenant/tree.def"
    N_COUNT
};

enum node_role {
    R_none,
#define ROLE(name) R_##name,
#include "tenant/tree_roles.def"
#undef ROLE
    R_COUNT
};

#define ENUM_TYPE(type)                                                                            \
    enum tree_##type                                                                               \
    {
#define ENUM_VALUE(type, value) TREE_##value,
#define ENUM_END(type)                                                                             \
    }                                                                                              \
    ;
#include "tenant/tree_enums.def"
#undef ENUM_TYPE
#undef ENUM_VALUE
#undef ENUM_END

enum field_type { F_INT, F_STR, F_NODE };

struct node;

struct field {
    enum node_role role;
    enum field_type type;
    union {
        int64_t i;
        struct text s;     /* NUL-terminated; present and empty differs from absent */
        struct node *node; /* NULL only in lists */
    };
};

/* What became of a constant of the parsed text while it was judged (template.h). */
struct literal {
    bool visited; /* the walker met it as an operand like any other */
    bool read;    /* somebody looked at its value */
};

struct node {
    enum node_kind kind;
    int loc; /* byte offset in the parsed text, -1 unknown; of operators the operator's, of RangeVar
                the first name's */
    uint32_t n_fields, cap;
    struct field *fields;
    struct literal *lit; /* of an A_Const and the value in it, also in copies; else NULL */
};

struct tree_stmt {
    struct node *stmt; /* never NULL */
    int loc; /* byte offset where the statement's text starts, white space and comments included */
    int len; /* bytes up to the `;`, or to the end of the text */
};

struct tree {
    struct tree_stmt *stmts;
    int n_stmts;   /* 0: nothing but white space, comments and `;` */
    int error_pos; /* of a failed tree_parse: 1-based position in characters, 0 unknown */
};

struct tree_parser {
    int max_depth; /* of the tree, in nodes and lists; 0 = TREE_MAX_DEPTH */
};

#define TREE_MAX_DEPTH 2000

/* Parses sql (a NUL byte stands behind it, none within) into out. The depth of the result is
 * limited; a long AND or OR list is one node. false: e has the parser's message with SQLSTATE
 * 42601, or 54001 when it is nested too deep; out->error_pos. p may be NULL. Safe in any thread.
 * The caller limits the size of the text (guard.h): libpg_query ends the process when it cannot get
 * memory. */
bool tree_parse(const struct tree_parser *p, struct text sql, struct arena *a, struct tree *out,
                struct err *e);

/* Does the text (as for tree_parse) parse to just these statements? The same as parsing it and
 * tree_equal for each, at less cost; nothing is noted as read. */
bool tree_same(const struct tree_parser *p, struct text sql, const struct tree *t);

/* The PostgreSQL major version whose grammar this is. */
int tree_major(void);

/* Fields. All accept n == NULL: absent. The fields of a value in an A_Const are read in this way
 * only: it is noted (struct literal), and a verdict that was reached without it holds for other
 * values too. */
static inline bool node_is(const struct node *n, enum node_kind k)
{
    return n && n->kind == k;
}

struct field *node_field(const struct node *n, enum node_role r); /* NULL when absent */
struct node *node_get(const struct node *n, enum node_role r);    /* NULL when absent */
int64_t node_int(const struct node *n, enum node_role r);         /* 0 when absent */
struct text node_str(const struct node *n, enum node_role r);     /* empty when absent */
bool node_has(const struct node *n, enum node_role r);

/* Lists: node_list is node_get that insists on an N_List. list_len of NULL is 0; list_at outside is
 * NULL. */
struct node *node_list(const struct node *n, enum node_role r);

static inline int list_len(const struct node *list)
{
    return node_is(list, N_List) ? (int)list->n_fields : 0;
}

static inline struct node *list_at(const struct node *list, int i)
{
    return i >= 0 && i < list_len(list) ? list->fields[i].node : NULL;
}

/* Notes that an A_Const was met as an operand like any other. */
static inline void node_visit(struct node *n)
{
    if (n->lit)
        n->lit->visited = true;
}

const char *node_kind_name(enum node_kind k);
const char *node_role_name(enum node_role r);
/* Known by kind only: fields are not converted, and two of them are never equal. */
bool node_kind_opaque(enum node_kind k);

/* Complete structural equality without regard to positions and the order of fields (lists in
 * order). Nodes that are opaque or unknown equal nothing. Trees deeper than twice TREE_MAX_DEPTH
 * are unequal. */
bool tree_equal(const struct node *a, const struct node *b);

/* Appends (Kind role=1 role="text" role=(Kind ...)), lists as [...]; for tests and diagnosis. */
void tree_dump(const struct node *n, struct buf *out);

/* Building. loc is -1. Absent values (0, NULL) are not stored by node_add_*; a role is added once.
 */
struct node *node_new(struct arena *a, enum node_kind k);
void node_add_int(struct arena *a, struct node *n, enum node_role r, int64_t v);
void node_add_str(struct arena *a, struct node *n, enum node_role r,
                  struct text s); /* s.p NULL: absent; copied */
void node_add_node(struct arena *a, struct node *n, enum node_role r, struct node *kid);
/* Sets, replaces or (NULL, 0) removes. node_set_node removes also for an empty list. */
void node_set_int(struct arena *a, struct node *n, enum node_role r, int64_t v);
void node_set_str(struct arena *a, struct node *n, enum node_role r, struct text s);
void node_set_node(struct arena *a, struct node *n, enum node_role r, struct node *kid);
struct node *node_string(struct arena *a, struct text s); /* N_String */
struct node *list_new(struct arena *a);
void list_append(struct arena *a, struct node *list, struct node *kid); /* kid may be NULL */
void list_insert(struct arena *a, struct node *list, int at, struct node *kid);
void list_set(struct node *list, int i, struct node *kid);
/* Deep copy, texts included. */
struct node *node_copy(struct arena *a, const struct node *n);

#endif
