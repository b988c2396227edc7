/* SPDX-License-Identifier: ISC */
/* What workers tell the console, written, read and merged. */
#include "console/parts.h"

#include <stdlib.h>

void part_put_uint(struct buf *b, uint64_t v)
{
    buf_append(b, &v, sizeof(v));
}

void part_put_text(struct buf *b, struct text t)
{
    part_put_uint(b, t.n);
    buf_text_append(b, t);
}

void part_take(struct text *rest, void *to, size_t n)
{
    size_t there = rest->n < n ? rest->n : n;

    memset(to, 0, n);
    memcpy(to, rest->p, there);
    *rest = text_n(rest->p + there, rest->n - there);
}

uint64_t part_take_uint(struct text *rest)
{
    uint64_t v;

    part_take(rest, &v, sizeof(v));
    return v;
}

struct text part_take_text(struct text *rest)
{
    uint64_t n = part_take_uint(rest);
    struct text t = text_n(rest->p, n < rest->n ? (size_t)n : rest->n);

    *rest = text_n(rest->p + t.n, rest->n - t.n);
    return t;
}

bool parts_whole(struct admin *a, const struct ask *ask)
{
    for (int i = 0; i < MAX_WORKERS; i++)
        if (ask->part[i].rows.failed) {
            admin_error(a, "53200", "out of memory");
            return false;
        }
    return true;
}

bool parts_merge(struct admin *a, const struct ask *ask, struct merged *m, merge_fn *take,
                 int (*cmp)(const void *, const void *))
{
    if (!parts_whole(a, ask))
        return false;
    *m = (struct merged){ .v = NULL };
    arena_init(&m->arena, 16384);
    map_init(&m->by_key);
    for (int i = 0; i < MAX_WORKERS; i++) {
        struct text rest = buf_text(&ask->part[i].rows);
        while (rest.n)
            if (!take(m, &rest)) {
                merged_release(m);
                admin_error(a, "53200", "out of memory");
                return false;
            }
    }
    if (m->n)
        qsort(m->v, m->n, sizeof(*m->v), cmp);
    return true;
}

void merged_release(struct merged *m)
{
    map_release(&m->by_key);
    arena_release(&m->arena);
    free(m->v);
}

bool merged_add(struct merged *m, struct text key, void *value)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;
        void **v = realloc(m->v, cap * sizeof(*v));
        if (!v)
            return false;
        m->v = v;
        m->cap = cap;
    }
    m->v[m->n++] = value;
    map_put(&m->by_key, key, value);
    return true;
}
