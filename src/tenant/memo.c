/* SPDX-License-Identifier: ISC */
/* Snippets parsed before; see memo.h. What is made from them is compared with the parse of the
 * whole new text like anything else, so nothing rests on this. */
#include "tenant/memo.h"

#define MEMO_BYTES 262144
#define MARK '\001' /* no claim or name makes a constant that starts so: those are quoted names */

void memo_init(struct memo *m)
{
    map_init(&m->trees);
    arena_init(&m->arena, 16384);
    buf_init(&m->key);
}

void memo_release(struct memo *m)
{
    map_release(&m->trees);
    arena_release(&m->arena);
    buf_release(&m->key);
}

void memo_trim(struct memo *m)
{
    if (m->arena.used < MEMO_BYTES && m->key.cap < MEMO_BYTES && !m->key.failed)
        return;
    memo_release(m);
    memo_init(m);
}

void memo_mark(struct buf *out, int k)
{
    buf_char(out, '\'');
    buf_char(out, MARK);
    buf_char(out, (char)('0' + k));
    buf_char(out, '\'');
}

static void clear_locs(struct node *n)
{
    if (!n)
        return;
    n->loc = -1;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE)
            clear_locs(n->fields[i].node);
}

struct filling {
    struct arena *arena;
    const struct text *values;
    int n;
};

/* Strings but for constants' values: nobody changes them, so that they need not be copied. */
static bool is_name(const struct node *up, const struct node *n)
{
    return n->kind == N_String && up->kind != N_A_Const;
}

static struct node *fill(const struct filling *f, const struct node *n)
{
    struct node *c = arena_alloc(f->arena, sizeof(*c) + sizeof(*c->fields) * n->n_fields);
    *c = *n;
    c->lit = NULL;
    c->cap = n->n_fields;
    c->fields = (struct field *)(void *)(c + 1);
    for (uint32_t i = 0; i < n->n_fields; i++) {
        c->fields[i] = n->fields[i];
        if (n->fields[i].type == F_NODE && n->fields[i].node && !is_name(n, n->fields[i].node))
            c->fields[i].node = fill(f, n->fields[i].node);
    }
    struct field *val = n->kind == N_A_Const && c->n_fields ? &c->fields[0] : NULL;
    if (!val || val->type != F_NODE || !node_is(val->node, N_String) || val->node->n_fields != 1)
        return c;
    struct field *s = &val->node->fields[0];
    int k = s->s.n == 2 && s->s.p[0] == MARK ? s->s.p[1] - '0' : -1;
    if (k >= 0 && k < f->n)
        s->s = f->values[k];
    return c;
}

struct node *memo_tree(struct memo *m, const struct tree_parser *p, struct arena *a,
                       const struct text *values, int n_values)
{
    buf_char(&m->key, 0);
    if (m->key.failed)
        return NULL;
    m->key.n--;
    struct text sql = buf_text(&m->key);
    struct node *n = map_get(&m->trees, sql);
    if (!n) {
        struct tree t;
        if (!tree_parse(p, sql, &m->arena, &t, NULL) || t.n_stmts != 1)
            return NULL;
        n = t.stmts[0].stmt;
        clear_locs(n);
        map_put(&m->trees, arena_text(&m->arena, sql), n);
    }
    return fill(&(struct filling){ a, values, n_values }, n);
}
