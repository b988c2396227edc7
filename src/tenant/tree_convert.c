/* SPDX-License-Identifier: ISC */
/*
 * libpg_query's native parse tree → our nodes. The only file that sees headers of PostgreSQL and
 * libpg_query.
 *
 * Only struct and enum definitions of the server's headers are used, never their variables:
 * libpg_query has its own, thread-local ones. The headers must be of the major version whose
 * grammar libpg_query holds.
 */
#include "tenant/tree.h"

#include "base/check.h"

#include <pg_query.h>
#define TREE_QUERY_VERSION_NUM PG_VERSION_NUM
#undef PG_MAJORVERSION
#undef PG_VERSION
#undef PG_VERSION_NUM
#include <postgres.h>

#include <nodes/parsenodes.h>
#include <nodes/primnodes.h>
#include <nodes/value.h>
#include <pg_query/pg_query_internal.h>

_Static_assert(PG_VERSION_NUM / 10000 == TREE_QUERY_VERSION_NUM / 10000,
               "PostgreSQL's server headers and libpg_query are of different major versions");
_Static_assert(PG_VERSION_NUM / 10000 == 15, "tree.def describes the nodes of PostgreSQL 15");

#define TREE_ENUMS_WITHOUT_LIMIT
/* Our number; -1: a value that this file does not know. */
#define TREE_ENUMS_WITHOUT_LIMIT
#define ENUM_TYPE(type)                                                                            \
    static int map_##type(int from)                                                                \
    {                                                                                              \
        switch ((type)from) {
#define ENUM_VALUE(type, value)                                                                    \
    case value:                                                                                    \
        return TREE_##value;
#define ENUM_END(type)                                                                             \
    }                                                                                              \
    return -1;                                                                                     \
    }
#include "tenant/tree_enums.def"
#undef ENUM_TYPE
#undef ENUM_VALUE
#undef ENUM_END

/* libpg_query puts "no limit" first so that it is 0; the server's headers have it last. */
static int map_LimitOption(int from)
{
    switch (from) {
    case 0:
        return TREE_LIMIT_OPTION_DEFAULT;
    case 1:
        return TREE_LIMIT_OPTION_COUNT;
    case 2:
        return TREE_LIMIT_OPTION_WITH_TIES;
    default:
        return -1;
    }
}

/* How many fields a kind can have: a byte for each, and one more. */
struct room {
    char none;
#define NODE(tag)                                                                                  \
    }                                                                                              \
    ;                                                                                              \
    struct room_##tag {                                                                            \
        char none;
#define BOOL(tag, field) char field;
#define INT(tag, field) char field;
#define SHORT(tag, field) char field;
#define LONG(tag, field) char field;
#define OID(tag, field) char field;
#define CHAR(tag, field) char field;
#define ENUM(tag, field, enum_type) char field;
#define STR(tag, field) char field;
#define KID(tag, field) char field;
#define LIST(tag, field) char field;
#define VALUE(tag, field) char field;
#include "tenant/tree.def"
};

/* The C type of each field is what tree.def says. */
#define SAME_TYPE(tag, field, ctype)                                                               \
    _Static_assert(_Generic(&((tag *)NULL)->field, ctype * : 1, default : 0), #tag "." #field);
#define POINTER(tag, field)                                                                        \
    _Static_assert(sizeof(((tag *)NULL)->field) == sizeof(void *), #tag "." #field);
#define BOOL(tag, field) SAME_TYPE(tag, field, bool)
#define INT(tag, field) SAME_TYPE(tag, field, int)
#define SHORT(tag, field) SAME_TYPE(tag, field, int16)
#define LONG(tag, field) SAME_TYPE(tag, field, long)
#define OID(tag, field) SAME_TYPE(tag, field, uint32)
#define CHAR(tag, field) SAME_TYPE(tag, field, char)
#define ENUM(tag, field, enum_type) SAME_TYPE(tag, field, enum_type)
#define STR(tag, field) SAME_TYPE(tag, field, char *)
#define KID(tag, field) POINTER(tag, field)
#define LIST(tag, field) SAME_TYPE(tag, field, List *)
#define LOC(tag, field) SAME_TYPE(tag, field, int)
#include "tenant/tree.def"
#undef SAME_TYPE
#undef POINTER

struct convert {
    struct arena *arena;
    int depth, max_depth;
    bool too_deep;
    const Node *shared; /* source of the MultiAssignRef before the current list element */
};

/* A field of the node `from` points to. */
#define PART(tag, field) (((const tag *)(const void *)from)->field)

static struct node *convert(struct convert *c, const Node *from);

static const Node *as_node(const void *from)
{
    return from;
}

/* The columns of `SET (a, b) = source` are list elements that share one source node: the source of
 * the element before i. */
static inline const Node *source_before(const List *list, int i)
{
    const ResTarget *target = i > 0 ? list->elements[i - 1].ptr_value : NULL;
    if (!target || !IsA(target, ResTarget) || !target->val || !IsA(target->val, MultiAssignRef))
        return NULL;
    return ((const MultiAssignRef *)(const void *)target->val)->source;
}

/* A node and room for its fields, which are the caller's to fill, in one piece. */
static inline struct node *new_node(struct convert *c, enum node_kind kind, uint32_t room)
{
    struct node *to = arena_alloc(c->arena, sizeof(*to) + sizeof(*to->fields) * room);
    *to = (struct node){ .kind = kind, .loc = -1, .cap = room };
    to->fields = (struct field *)(void *)(to + 1);
    return to;
}

static struct node *convert_list(struct convert *c, const List *list)
{
    const Node *outer = c->shared;
    struct node *to = new_node(c, N_List, (uint32_t)list->length);
    to->n_fields = to->cap;
    for (int i = 0; i < list->length; i++) {
        c->shared = source_before(list, i);
        to->fields[i].role = R_none;
        to->fields[i].type = F_NODE;
        to->fields[i].node = convert(c, list->elements[i].ptr_value);
    }
    c->shared = outer;
    return to;
}

static inline bool is_empty(const Node *kid)
{
    return !kid || (kid->type == T_List && ((const List *)(const void *)kid)->length == 0);
}

/* A value embedded in its parent: its tag is 0 in a NULL constant. */
static inline const Node *value_of(const Node *value)
{
    return value->type == T_Invalid ? NULL : value;
}

/* These put a field that is there at f and give the place for the next. */
static inline struct field *put_int(struct field *f, enum node_role r, int64_t v)
{
    if (!v)
        return f;
    *f = (struct field){ .role = r, .type = F_INT, .i = v };
    return f + 1;
}

static struct field *put_str(struct convert *c, struct field *f, enum node_role r, const char *s)
{
    if (!s)
        return f;
    *f = (struct field){ .role = r, .type = F_STR, .s = arena_text(c->arena, text_of(s)) };
    return f + 1;
}

static struct field *put_kid(struct convert *c, struct field *f, enum node_role r, const Node *kid)
{
    struct node *n = is_empty(kid) ? NULL : convert(c, kid);
    if (!n)
        return f;
    *f = (struct field){ .role = r, .type = F_NODE, .node = n };
    return f + 1;
}

/* A shared source is converted for the first of its columns only: a tree of copies could be
 * exponentially larger than its text. */
static void convert_source(struct convert *c, const MultiAssignRef *from, struct node *to)
{
    if (from->source != c->shared)
        node_add_node(c->arena, to, R_source, convert(c, from->source));
}

static void add_literal(struct convert *c, struct node *to)
{
    to->lit = ARENA_NEW(c->arena, struct literal);
    if (to->n_fields && to->fields[0].type == F_NODE)
        to->fields[0].node->lit = to->lit;
}

static struct node *convert_node(struct convert *c, const Node *from)
{
    struct node *to;
    struct field *f;
    int v, worst = 0;
    switch (from->type) {
    default:
        return node_new(c->arena, N_Unknown);
#define NODE(tag)                                                                                  \
    break;                                                                                         \
    case T_##tag:                                                                                  \
        to = new_node(c, N_##tag, sizeof(struct room_##tag) - 1);                                  \
        f = to->fields;
#define OPAQUE(tag)                                                                                \
    break;                                                                                         \
    case T_##tag:                                                                                  \
        return node_new(c->arena, N_##tag);
#define BOOL(tag, field) f = put_int(f, R_##field, PART(tag, field));
#define INT(tag, field) f = put_int(f, R_##field, PART(tag, field));
#define SHORT(tag, field) f = put_int(f, R_##field, PART(tag, field));
#define LONG(tag, field) f = put_int(f, R_##field, PART(tag, field));
#define OID(tag, field) f = put_int(f, R_##field, PART(tag, field));
#define CHAR(tag, field) f = put_int(f, R_##field, (unsigned char)PART(tag, field));
#define ENUM(tag, field, enum_type)                                                                \
    v = map_##enum_type(PART(tag, field));                                                         \
    worst |= v; /* negative: a value that nobody explained */                                      \
    f = put_int(f, R_##field, v);
#define STR(tag, field) f = put_str(c, f, R_##field, PART(tag, field));
#define KID(tag, field) f = put_kid(c, f, R_##field, as_node(PART(tag, field)));
#define LIST(tag, field) f = put_kid(c, f, R_##field, as_node(PART(tag, field)));
#define VALUE(tag, field) f = put_kid(c, f, R_##field, value_of(as_node(&PART(tag, field))));
#define LOC(tag, field) to->loc = PART(tag, field);
#include "tenant/tree.def"
    }
    if (worst < 0)
        return node_new(c->arena, N_Unknown);
    to->n_fields = (uint32_t)(f - to->fields);
    if (to->kind == N_A_Const)
        add_literal(c, to);
    if (to->kind == N_MultiAssignRef)
        convert_source(c, (const MultiAssignRef *)(const void *)from, to);
    return to;
}

/* The most frequent node, in one piece with its field and text. */
static struct node *convert_string(struct convert *c, const char *s)
{
    size_t n = strlen(s);
    struct node *to = arena_alloc(c->arena, sizeof(*to) + sizeof(*to->fields) + n + 1);
    struct field *f = (struct field *)(void *)(to + 1);
    char *copy = (char *)(f + 1);
    memcpy(copy, s, n + 1);
    *f = (struct field){ .role = R_sval, .type = F_STR, .s = { copy, n } };
    *to = (struct node){ .kind = N_String, .loc = -1, .n_fields = 1, .cap = 1, .fields = f };
    return to;
}

/* Its text; NULL when it is no string or has none. */
static inline const char *string_of(const Node *n)
{
    return n->type == T_String ? ((const String *)(const void *)n)->sval : NULL;
}

static struct node *convert(struct convert *c, const Node *from)
{
    struct node *to;
    const char *s;
    if (!from || c->too_deep)
        return NULL;
    if (c->depth == c->max_depth) {
        c->too_deep = true;
        return NULL;
    }
    if ((s = string_of(from)) != NULL)
        return convert_string(c, s);
    c->depth++;
    if (from->type == T_List)
        to = convert_list(c, (const List *)(const void *)from);
    else
        to = convert_node(c, from);
    c->depth--;
    return to;
}

/* ---- comparison with a tree of ours, as tree_equal of the converted one would be ---- */

static bool same(struct convert *c, const Node *from, const struct node *n);

static bool same_list(struct convert *c, const List *list, const struct node *n)
{
    const Node *outer = c->shared;
    bool good = n->kind == N_List && n->n_fields == (uint32_t)list->length;
    for (int i = 0; good && i < list->length; i++) {
        c->shared = source_before(list, i);
        good = same(c, list->elements[i].ptr_value, n->fields[i].node);
    }
    c->shared = outer;
    return good;
}

/* The field of that role, which is the i-th when they stand in the order of tree.def. */
static inline const struct field *field_at(const struct node *n, uint32_t i, enum node_role r)
{
    return i < n->n_fields && n->fields[i].role == r ? &n->fields[i] : node_field(n, r);
}

static inline bool same_int(const struct field *f, int64_t v)
{
    return f && f->type == F_INT && f->i == v;
}

static inline bool same_str(const struct field *f, const char *s)
{
    return f && f->type == F_STR && text_is(f->s, s);
}

static inline bool same_kid(struct convert *c, const struct field *f, const Node *kid)
{
    return f && f->type == F_NODE && same(c, kid, f->node);
}

static bool same_node(struct convert *c, const Node *from, const struct node *n)
{
    uint32_t count = 0; /* fields that are there */
    int64_t v;
    const char *s;
    const Node *kid;
    switch (from->type) {
    default:
        return false;
#define NODE(tag)                                                                                  \
    break;                                                                                         \
    case T_##tag:                                                                                  \
        if (n->kind != N_##tag)                                                                    \
            return false;
#define SAME_INT(field, value)                                                                     \
    v = value;                                                                                     \
    if (v && !same_int(field_at(n, count++, R_##field), v))                                        \
        return false;
#define SAME_KID(field, value)                                                                     \
    kid = value;                                                                                   \
    if (!is_empty(kid) && !same_kid(c, field_at(n, count++, R_##field), kid))                      \
        return false;
#define BOOL(tag, field) SAME_INT(field, PART(tag, field))
#define INT(tag, field) SAME_INT(field, PART(tag, field))
#define SHORT(tag, field) SAME_INT(field, PART(tag, field))
#define LONG(tag, field) SAME_INT(field, PART(tag, field))
#define OID(tag, field) SAME_INT(field, PART(tag, field))
#define CHAR(tag, field) SAME_INT(field, (unsigned char)PART(tag, field))
#define ENUM(tag, field, enum_type)                                                                \
    v = map_##enum_type(PART(tag, field)); /* of ours none is negative */                          \
    if (v < 0 || (v && !same_int(field_at(n, count++, R_##field), v)))                             \
        return false;
#define STR(tag, field)                                                                            \
    s = PART(tag, field);                                                                          \
    if (s && !same_str(field_at(n, count++, R_##field), s))                                        \
        return false;
#define KID(tag, field) SAME_KID(field, as_node(PART(tag, field)))
#define LIST(tag, field) SAME_KID(field, as_node(PART(tag, field)))
#define VALUE(tag, field) SAME_KID(field, value_of(as_node(&PART(tag, field))))
#include "tenant/tree.def"
    }
    if (n->kind == N_MultiAssignRef) {
        const Node *source = ((const MultiAssignRef *)(const void *)from)->source;
        if (source && source != c->shared) {
            const struct field *f = node_field(n, R_source);
            count++;
            if (!f || f->type != F_NODE || !same(c, source, f->node))
                return false;
        }
    }
    return count == n->n_fields; /* nothing else is in n: a role is there once */
}

static bool same(struct convert *c, const Node *from, const struct node *n)
{
    if (!from || !n)
        return !from && !n;
    if (c->depth == c->max_depth)
        return false;
    const char *s = string_of(from);
    if (s)
        return n->kind == N_String && n->n_fields == 1 && n->fields[0].role == R_sval &&
               same_str(&n->fields[0], s);
    c->depth++;
    bool good = from->type == T_List ? same_list(c, (const List *)(const void *)from, n)
                                     : same_node(c, from, n);
    c->depth--;
    return good;
}

static bool same_tree(struct convert *c, const List *list, const struct tree *t)
{
    bool good = t->n_stmts == (list ? list->length : 0);
    for (int i = 0; good && i < t->n_stmts; i++) {
        const RawStmt *raw = list->elements[i].ptr_value;
        good = IsA(raw, RawStmt) && raw->stmt && same(c, raw->stmt, t->stmts[i].stmt);
    }
    return good;
}

static bool convert_tree(struct convert *c, const List *list, struct text sql, struct tree *out)
{
    int n = list ? list->length : 0;
    out->stmts = ARENA_ARRAY(c->arena, struct tree_stmt, n);
    for (int i = 0; i < n; i++) {
        const RawStmt *raw = list->elements[i].ptr_value;
        struct tree_stmt *s = &out->stmts[out->n_stmts++];
        s->stmt = IsA(raw, RawStmt) ? convert(c, raw->stmt) : NULL;
        if (!s->stmt)
            s->stmt = node_new(c->arena, N_Unknown);
        s->loc = raw->stmt_location;
        s->len = raw->stmt_len ? raw->stmt_len : (int)sql.n - raw->stmt_location;
    }
    return !c->too_deep;
}

bool tree_parse(const struct tree_parser *p, struct text sql, struct arena *a, struct tree *out,
                struct err *e)
{
    struct convert c = { .arena = a,
                         .max_depth = p && p->max_depth > 0 ? p->max_depth : TREE_MAX_DEPTH };
    *out = (struct tree){ 0 };
    MemoryContext ctx = pg_query_enter_memory_context();
    PgQueryInternalParsetreeAndError r = pg_query_raw_parse(sql.p);
    bool fine = !r.error;
    if (r.error) {
        out->error_pos = r.error->cursorpos > 0 ? r.error->cursorpos : 0;
        err_set_state(e, "42601", "%s", r.error->message);
        pg_query_free_error(r.error);
    } else if (!convert_tree(&c, r.tree, sql, out)) {
        *out = (struct tree){ 0 };
        fine = err_set_state(e, "54001", "the statement is nested more than %d deep", c.max_depth);
    }
    free(r.stderr_buffer);
    pg_query_exit_memory_context(ctx);
    return fine;
}

bool tree_same(const struct tree_parser *p, struct text sql, const struct tree *t)
{
    struct convert c = { .max_depth = p && p->max_depth > 0 ? p->max_depth : TREE_MAX_DEPTH };
    MemoryContext ctx = pg_query_enter_memory_context();
    PgQueryInternalParsetreeAndError r = pg_query_raw_parse(sql.p);
    bool fine = !r.error && same_tree(&c, r.tree, t);
    if (r.error)
        pg_query_free_error(r.error);
    free(r.stderr_buffer);
    pg_query_exit_memory_context(ctx);
    return fine;
}

int tree_major(void)
{
    return PG_VERSION_NUM / 10000;
}
