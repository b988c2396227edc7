/* SPDX-License-Identifier: ISC */
/* Names, access, comparison and building of nodes. */
#include "tenant/tree.h"

#include "base/check.h"

#define NODE(tag) [N_##tag] = #tag,
#define OPAQUE(tag) [N_##tag] = #tag,
static const char *const kind_names[N_COUNT] = {
    [N_Unknown] = "Unknown",
    [N_List] = "List",
#include "tenant/tree.def"
};

#define OPAQUE(tag) [N_##tag] = true,
static const bool kind_is_opaque[N_COUNT] = {
    [N_Unknown] = true,
#include "tenant/tree.def"
};

static const char *const role_names[R_COUNT] = {
    [R_none] = "",
#define ROLE(name) [R_##name] = #name,
#include "tenant/tree_roles.def"
#undef ROLE
};

const char *node_kind_name(enum node_kind k)
{
    return (unsigned)k < N_COUNT ? kind_names[k] : "Unknown";
}

const char *node_role_name(enum node_role r)
{
    return (unsigned)r < R_COUNT ? role_names[r] : "";
}

bool node_kind_opaque(enum node_kind k)
{
    return (unsigned)k >= N_COUNT || kind_is_opaque[k];
}

static inline struct field *find(const struct node *n, enum node_role r)
{
    if (!n || n->kind == N_List)
        return NULL;
    if (n->lit && n->kind != N_A_Const)
        n->lit->read = true;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].role == r)
            return &n->fields[i];
    return NULL;
}

struct field *node_field(const struct node *n, enum node_role r)
{
    return find(n, r);
}

struct node *node_get(const struct node *n, enum node_role r)
{
    const struct field *f = find(n, r);
    return f && f->type == F_NODE ? f->node : NULL;
}

int64_t node_int(const struct node *n, enum node_role r)
{
    const struct field *f = find(n, r);
    return f && f->type == F_INT ? f->i : 0;
}

struct text node_str(const struct node *n, enum node_role r)
{
    const struct field *f = find(n, r);
    return f && f->type == F_STR ? f->s : (struct text){ NULL, 0 };
}

bool node_has(const struct node *n, enum node_role r)
{
    return node_field(n, r) != NULL;
}

struct node *node_list(const struct node *n, enum node_role r)
{
    struct node *l = node_get(n, r);
    return node_is(l, N_List) ? l : NULL;
}

static bool equal(const struct node *a, const struct node *b, int depth);

static bool field_equal(const struct field *a, const struct field *b, int depth)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case F_INT:
        return a->i == b->i;
    case F_STR:
        return text_eq(a->s, b->s);
    case F_NODE:
        return equal(a->node, b->node, depth + 1);
    }
    return false;
}

static bool equal(const struct node *a, const struct node *b, int depth)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->n_fields != b->n_fields || node_kind_opaque(a->kind) ||
        depth > 2 * TREE_MAX_DEPTH)
        return false;
    for (uint32_t i = 0; i < a->n_fields; i++) {
        const struct field *f = &a->fields[i], *g = &b->fields[i];
        if (f->role != g->role)
            g = node_field(b, f->role);
        if (!g || !field_equal(f, g, depth))
            return false;
    }
    return true;
}

bool tree_equal(const struct node *a, const struct node *b)
{
    return equal(a, b, 0);
}

static void dump_text(struct text s, struct buf *out)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_char(out, '\\');
        buf_char(out, s.p[i]);
    }
    buf_char(out, '"');
}

void tree_dump(const struct node *n, struct buf *out)
{
    if (!n) {
        buf_append(out, "NULL", 4);
        return;
    }
    bool list = n->kind == N_List;
    buf_char(out, list ? '[' : '(');
    if (!list)
        buf_text_append(out, text_of(node_kind_name(n->kind)));
    for (uint32_t i = 0; i < n->n_fields; i++) {
        const struct field *f = &n->fields[i];
        if (!list || i > 0)
            buf_char(out, ' ');
        if (!list)
            buf_printf(out, "%s=", node_role_name(f->role));
        if (f->type == F_INT)
            buf_printf(out, "%lld", (long long)f->i);
        else if (f->type == F_STR)
            dump_text(f->s, out);
        else
            tree_dump(f->node, out);
    }
    buf_char(out, list ? ']' : ')');
}

struct node *node_new(struct arena *a, enum node_kind k)
{
    struct node *n = ARENA_NEW(a, struct node);
    n->kind = k;
    n->loc = -1;
    return n;
}

/* One more field at the end, zeroed. */
static struct field *grow(struct arena *a, struct node *n)
{
    if (n->n_fields == n->cap) {
        uint32_t cap = n->cap ? n->cap * 2 : 4;
        struct field *v = arena_alloc(a, sizeof(*v) * cap);
        if (n->n_fields)
            memcpy(v, n->fields, sizeof(*v) * n->n_fields);
        n->fields = v;
        n->cap = cap;
    }
    struct field *f = &n->fields[n->n_fields++];
    *f = (struct field){ 0 };
    return f;
}

static struct field *add(struct arena *a, struct node *n, enum node_role r, enum field_type type)
{
    CHECK(n->kind != N_List && !node_field(n, r));
    struct field *f = grow(a, n);
    f->role = r;
    f->type = type;
    return f;
}

void node_add_int(struct arena *a, struct node *n, enum node_role r, int64_t v)
{
    if (v)
        add(a, n, r, F_INT)->i = v;
}

void node_add_str(struct arena *a, struct node *n, enum node_role r, struct text s)
{
    if (s.p)
        add(a, n, r, F_STR)->s = arena_text(a, s);
}

void node_add_node(struct arena *a, struct node *n, enum node_role r, struct node *kid)
{
    if (kid && !(kid->kind == N_List && kid->n_fields == 0))
        add(a, n, r, F_NODE)->node = kid;
}

static void drop(struct node *n, enum node_role r)
{
    struct field *f = node_field(n, r);
    if (!f)
        return;
    uint32_t behind = n->n_fields - (uint32_t)(f - n->fields) - 1;
    memmove(f, f + 1, sizeof(*f) * behind);
    n->n_fields--;
}

void node_set_int(struct arena *a, struct node *n, enum node_role r, int64_t v)
{
    drop(n, r);
    node_add_int(a, n, r, v);
}

void node_set_str(struct arena *a, struct node *n, enum node_role r, struct text s)
{
    drop(n, r);
    node_add_str(a, n, r, s);
}

void node_set_node(struct arena *a, struct node *n, enum node_role r, struct node *kid)
{
    drop(n, r);
    node_add_node(a, n, r, kid);
}

struct node *node_string(struct arena *a, struct text s)
{
    struct node *n = node_new(a, N_String);
    node_add_str(a, n, R_sval, s.p ? s : TEXT(""));
    return n;
}

struct node *list_new(struct arena *a)
{
    return node_new(a, N_List);
}

void list_append(struct arena *a, struct node *list, struct node *kid)
{
    CHECK(list->kind == N_List);
    struct field *f = grow(a, list);
    f->type = F_NODE;
    f->node = kid;
}

void list_insert(struct arena *a, struct node *list, int at, struct node *kid)
{
    CHECK(at >= 0 && at <= list_len(list));
    list_append(a, list, kid);
    struct field new = list->fields[list->n_fields - 1];
    memmove(&list->fields[at + 1], &list->fields[at],
            sizeof(new) * (list->n_fields - 1 - (uint32_t)at));
    list->fields[at] = new;
}

void list_set(struct node *list, int i, struct node *kid)
{
    CHECK(i >= 0 && i < list_len(list));
    list->fields[i].node = kid;
}

struct node *node_copy(struct arena *a, const struct node *n)
{
    if (!n)
        return NULL;
    struct node *c = node_new(a, n->kind);
    c->loc = n->loc;
    c->lit = n->lit;
    c->n_fields = c->cap = n->n_fields;
    c->fields = arena_alloc(a, sizeof(*c->fields) * n->n_fields);
    for (uint32_t i = 0; i < n->n_fields; i++) {
        c->fields[i] = n->fields[i];
        if (n->fields[i].type == F_STR)
            c->fields[i].s = arena_text(a, n->fields[i].s);
        else if (n->fields[i].type == F_NODE)
            c->fields[i].node = node_copy(a, n->fields[i].node);
    }
    return c;
}
