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

enum entry_type {
    E_NODE,
    E_BOOL,
    E_INT,
    E_SHORT,
    E_LONG,
    E_OID,
    E_CHAR,
    E_ENUM,
    E_STR,
    E_KID,
    E_LIST,
    E_VALUE,
    E_LOC
};

/* false: a value that this file does not know. */
typedef bool (*enum_map)(int from, int64_t *to);

#define TREE_ENUMS_WITHOUT_LIMIT
#define ENUM_TYPE(type)                                                                            \
    static bool map_##type(int from, int64_t *to)                                                  \
    {                                                                                              \
        switch ((type)from) {
#define ENUM_VALUE(type, value)                                                                    \
    case value:                                                                                    \
        *to = TREE_##value;                                                                        \
        return true;
#define ENUM_END(type)                                                                             \
    }                                                                                              \
    return false;                                                                                  \
    }
#include "tenant/tree_enums.def"
#undef ENUM_TYPE
#undef ENUM_VALUE
#undef ENUM_END

/* libpg_query puts "no limit" first so that it is 0; the server's headers have it last. */
static bool map_LimitOption(int from, int64_t *to)
{
    switch (from) {
    case 0:
        *to = TREE_LIMIT_OPTION_DEFAULT;
        return true;
    case 1:
        *to = TREE_LIMIT_OPTION_COUNT;
        return true;
    case 2:
        *to = TREE_LIMIT_OPTION_WITH_TIES;
        return true;
    default:
        return false;
    }
}

/* The lines of tree.def in one array: a node's line, then its fields. */
struct entry {
    uint8_t type;  /* enum entry_type */
    uint16_t role; /* of E_NODE the kind */
    uint16_t offset;
    enum_map map;
};

#define ENTRY(kind, tag, field) { kind, R_##field, offsetof(tag, field), NULL },
static const struct entry entries[] = {
#define NODE(tag) { E_NODE, N_##tag, 0, NULL },
#define BOOL(tag, field) ENTRY(E_BOOL, tag, field)
#define INT(tag, field) ENTRY(E_INT, tag, field)
#define SHORT(tag, field) ENTRY(E_SHORT, tag, field)
#define LONG(tag, field) ENTRY(E_LONG, tag, field)
#define OID(tag, field) ENTRY(E_OID, tag, field)
#define CHAR(tag, field) ENTRY(E_CHAR, tag, field)
#define ENUM(tag, field, enum_type) { E_ENUM, R_##field, offsetof(tag, field), map_##enum_type },
#define STR(tag, field) ENTRY(E_STR, tag, field)
#define KID(tag, field) ENTRY(E_KID, tag, field)
#define LIST(tag, field) ENTRY(E_LIST, tag, field)
#define VALUE(tag, field) ENTRY(E_VALUE, tag, field)
#define LOC(tag, field) { E_LOC, R_none, offsetof(tag, field), NULL },
#include "tenant/tree.def"
    { E_NODE, N_Unknown, 0, NULL },
};
#undef ENTRY

/* Where each node's line stands in that array. */
#define NODE(tag) AT_##tag,
#define BOOL(tag, field) AT_##tag##_##field,
#define INT(tag, field) AT_##tag##_##field,
#define SHORT(tag, field) AT_##tag##_##field,
#define LONG(tag, field) AT_##tag##_##field,
#define OID(tag, field) AT_##tag##_##field,
#define CHAR(tag, field) AT_##tag##_##field,
#define ENUM(tag, field, enum_type) AT_##tag##_##field,
#define STR(tag, field) AT_##tag##_##field,
#define KID(tag, field) AT_##tag##_##field,
#define LIST(tag, field) AT_##tag##_##field,
#define VALUE(tag, field) AT_##tag##_##field,
#define LOC(tag, field) AT_##tag##_##field,
enum {
#include "tenant/tree.def"
    AT_END
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

/* Index of the node's line, -1 opaque (*kind is set then), -2 unknown. */
static int entry_of(NodeTag tag, enum node_kind *kind)
{
    switch (tag) {
#define NODE(name)                                                                                 \
    case T_##name:                                                                                 \
        *kind = N_##name;                                                                          \
        return AT_##name;
#define OPAQUE(name)                                                                               \
    case T_##name:                                                                                 \
        *kind = N_##name;                                                                          \
        return -1;
#include "tenant/tree.def"
    default:
        *kind = N_Unknown;
        return -2;
    }
}

struct convert {
    struct arena *arena;
    int depth, max_depth;
    bool too_deep;
    const Node *shared; /* source of the MultiAssignRef before the current list element */
};

/* The member of a node that starts at an offset. */
#define MEMBER(type, base, off) (*(type const *)((const char *)(base) + (off)))

static struct node *convert(struct convert *c, const Node *from);

/* The columns of `SET (a, b) = source` are list elements that share one source node: the source of
 * the element before i. */
static const Node *source_before(const List *list, int i)
{
    const ResTarget *target = i > 0 ? list->elements[i - 1].ptr_value : NULL;
    if (!target || !IsA(target, ResTarget) || !target->val || !IsA(target->val, MultiAssignRef))
        return NULL;
    return ((const MultiAssignRef *)(const void *)target->val)->source;
}

/* A node and room for its fields, which are the caller's to fill, in one piece. */
static struct node *new_node(struct convert *c, enum node_kind kind, uint32_t n)
{
    struct node *to = arena_alloc(c->arena, sizeof(*to) + sizeof(*to->fields) * n);
    *to = (struct node){ .kind = kind, .loc = -1, .n_fields = n, .cap = n };
    to->fields = (struct field *)(void *)(to + 1);
    return to;
}

static struct node *convert_list(struct convert *c, const List *list)
{
    const Node *outer = c->shared;
    struct node *to = new_node(c, N_List, (uint32_t)list->length);
    for (int i = 0; i < list->length; i++) {
        c->shared = source_before(list, i);
        to->fields[i].role = R_none;
        to->fields[i].type = F_NODE;
        to->fields[i].node = convert(c, list->elements[i].ptr_value);
    }
    c->shared = outer;
    return to;
}

static int64_t scalar(const void *from, const struct entry *e)
{
    switch ((enum entry_type)e->type) {
    case E_BOOL:
        return MEMBER(bool, from, e->offset);
    case E_SHORT:
        return MEMBER(int16, from, e->offset);
    case E_LONG:
        return MEMBER(long, from, e->offset);
    case E_OID:
        return MEMBER(uint32, from, e->offset);
    case E_CHAR:
        return (unsigned char)MEMBER(char, from, e->offset);
    default:
        return MEMBER(int, from, e->offset);
    }
}

/* The node that a field of that type holds, NULL when there is none. */
static const Node *kid_of(const void *from, const struct entry *e)
{
    if (e->type == E_VALUE) { /* its tag is 0 in a NULL constant */
        if (MEMBER(NodeTag, from, e->offset) == T_Invalid)
            return NULL;
        return (const Node *)(const void *)((const char *)from + e->offset);
    }
    return MEMBER(Node *, from, e->offset);
}

/* Fills f and says whether the field is there. *known becomes false for a value that nobody
 * explained. */
static bool convert_field(struct convert *c, const void *from, const struct entry *e,
                          struct field *f, bool *known)
{
    f->role = (enum node_role)e->role;
    switch ((enum entry_type)e->type) {
    case E_ENUM:
        f->type = F_INT;
        f->i = 0;
        *known = e->map(MEMBER(int, from, e->offset), &f->i) && *known;
        return f->i != 0;
    case E_STR: {
        const char *s = MEMBER(char *, from, e->offset);
        if (!s)
            return false;
        f->type = F_STR;
        f->s = arena_text(c->arena, text_of(s));
        return true;
    }
    case E_KID:
    case E_LIST:
    case E_VALUE: {
        const Node *kid = kid_of(from, e);
        f->type = F_NODE;
        f->node = kid ? convert(c, kid) : NULL;
        return f->node && !(f->node->kind == N_List && f->node->n_fields == 0);
    }
    default:
        f->type = F_INT;
        f->i = scalar(from, e);
        return f->i != 0;
    }
}

/* A shared source is converted for the first of its columns only: a tree of copies could be
 * exponentially larger than its text. */
static void convert_source(struct convert *c, const MultiAssignRef *from, struct node *to)
{
    if (from->source != c->shared)
        node_add_node(c->arena, to, R_source, convert(c, from->source));
}

static struct node *convert_fields(struct convert *c, const Node *from, enum node_kind kind, int at)
{
    enum { MAX_FIELDS = 40 };
    struct field fields[MAX_FIELDS];
    uint32_t n = 0;
    bool known = true;
    int loc = -1;
    for (const struct entry *e = &entries[at + 1]; e->type != E_NODE; e++) {
        CHECK(n < MAX_FIELDS);
        if (e->type == E_LOC)
            loc = MEMBER(int, from, e->offset);
        else if (convert_field(c, from, e, &fields[n], &known))
            n++;
    }
    if (!known)
        return node_new(c->arena, N_Unknown);
    struct node *to = new_node(c, kind, n);
    to->loc = loc;
    if (n)
        memcpy(to->fields, fields, sizeof(*fields) * n);
    if (kind == N_A_Const) {
        to->lit = ARENA_NEW(c->arena, struct literal);
        if (n && fields[0].type == F_NODE)
            fields[0].node->lit = to->lit;
    }
    if (kind == N_MultiAssignRef)
        convert_source(c, (const MultiAssignRef *)(const void *)from, to);
    return to;
}

static struct node *convert(struct convert *c, const Node *from)
{
    struct node *to;
    if (!from || c->too_deep)
        return NULL;
    if (c->depth == c->max_depth) {
        c->too_deep = true;
        return NULL;
    }
    c->depth++;
    if (from->type == T_List) {
        to = convert_list(c, (const List *)(const void *)from);
    } else {
        enum node_kind kind;
        int at = entry_of(from->type, &kind);
        to = at >= 0 ? convert_fields(c, from, kind, at) : node_new(c->arena, kind);
    }
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

/* *count: fields that are there. */
static bool same_field(struct convert *c, const void *from, const struct entry *e,
                       const struct node *n, uint32_t *count)
{
    const struct field *f = *count < n->n_fields ? &n->fields[*count] : NULL;
    int64_t i = 0;
    if (e->type == E_STR) {
        const char *s = MEMBER(char *, from, e->offset);
        if (!s)
            return true;
        f = f && f->role == e->role ? f : node_field(n, (enum node_role)e->role);
        (*count)++;
        return f && f->type == F_STR && text_is(f->s, s);
    }
    if (e->type == E_KID || e->type == E_LIST || e->type == E_VALUE) {
        const Node *kid = kid_of(from, e);
        if (!kid || (kid->type == T_List && ((const List *)(const void *)kid)->length == 0))
            return true;
        f = f && f->role == e->role ? f : node_field(n, (enum node_role)e->role);
        (*count)++;
        return f && f->type == F_NODE && same(c, kid, f->node);
    }
    if (e->type == E_ENUM) {
        if (!e->map(MEMBER(int, from, e->offset), &i))
            return false;
    } else {
        i = scalar(from, e);
    }
    if (i == 0)
        return true;
    f = f && f->role == e->role ? f : node_field(n, (enum node_role)e->role);
    (*count)++;
    return f && f->type == F_INT && f->i == i;
}

static bool same_fields(struct convert *c, const Node *from, const struct node *n, int at)
{
    uint32_t count = 0;
    for (const struct entry *e = &entries[at + 1]; e->type != E_NODE; e++)
        if (e->type != E_LOC && !same_field(c, from, e, n, &count))
            return false;
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
    c->depth++;
    bool good;
    if (from->type == T_List) {
        good = same_list(c, (const List *)(const void *)from, n);
    } else {
        enum node_kind kind;
        int at = entry_of(from->type, &kind);
        good = at >= 0 && kind == n->kind && same_fields(c, from, n, at);
    }
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
