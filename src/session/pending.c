/* SPDX-License-Identifier: ISC */
/* The queue of replies a server owes. */
#include "session/pending.h"

#include "base/check.h"
#include "session/profile.h"
#include "session/stmt.h"

#include <stdlib.h>

#define PART 64
_Static_assert(sizeof(struct pend) >= PART, "pending_push clears it in two parts");

static bool grow(struct pending *p)
{
    uint32_t cap = p->cap ? p->cap * 2 : 8;
    struct pend *ring = malloc(sizeof(*ring) * cap);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < p->n; i++)
        ring[i] = *pending_at(p, i);
    free(p->ring);
    p->ring = ring;
    p->cap = cap;
    p->head = 0;
    return true;
}

void pending_later(const struct pending *q, uint32_t from, struct pend_later *l)
{
    l->unnamed = NULL;
    l->named = from < q->n;
    if (!l->named)
        return;
    map_init(&l->closes);
    for (uint32_t i = from; i < q->n; i++) {
        struct pend *e = pending_at(q, i);
        if (e->undo == UNDO_UNNAMED && !l->unnamed)
            l->unnamed = e;
        else if (e->undo == UNDO_NAMED_CLOSE && !map_get(&l->closes, text_of(e->name)))
            map_put(&l->closes, text_of(e->name), e);
    }
}

struct pend *pending_later_close(const struct pend_later *l, const char *name)
{
    return l->named ? map_get(&l->closes, text_of(name)) : NULL;
}

void pending_later_release(struct pend_later *l)
{
    if (l->named)
        map_release(&l->closes);
}

struct pend *pending_push(struct pending *p, enum pend_kind kind, enum pend_action action)
{
    if (p->n == p->cap && !grow(p))
        return NULL;
    struct pend *e = &p->ring[(p->head + p->n++) & (p->cap - 1)];
    /* in two parts, for which compilers do not take the slow instruction for long stretches */
    memset(e, 0, PART);
    memset((char *)e + PART, 0, sizeof(*e) - PART);
    e->kind = (uint8_t)kind;
    e->action = (uint8_t)action;
    return e;
}

static void clear(struct pend *e)
{
    if (e->stmt)
        stmt_unref(e->stmt);
    if (e->verdict)
        verdict_unref(e->judge, e->verdict);
    free(e->name);
    free(e->bytes);
    profile_drop(&e->profile);
}

void pend_judged(struct pend *e, struct tenant_engine *judge, struct verdict *v)
{
    if (!v)
        return;
    verdict_ref(v);
    e->judge = judge;
    e->verdict = v;
}

void pending_pop(struct pending *p)
{
    CHECK(p->n > 0);
    clear(pending_at(p, 0));
    p->head = (p->head + 1) & (p->cap - 1);
    p->n--;
    if (p->n == 0 && p->cap > 64) {
        free(p->ring);
        *p = (struct pending){ 0 };
    }
}

void pending_unpush(struct pending *p)
{
    CHECK(p->n > 0);
    clear(pending_last(p));
    p->n--;
}

void pending_release(struct pending *p)
{
    while (p->n)
        pending_pop(p);
    free(p->ring);
    *p = (struct pending){ 0 };
}
