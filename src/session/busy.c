/* SPDX-License-Identifier: ISC */
/* Busy tenants: each worker keeps the busiest of its own, the control thread puts them together. */
#include "session/busy.h"

#include "session/client.h"

#include <stdlib.h>

#define HERE_MAX 64 /* that a worker tells of */

struct found {
    const struct share *share; /* on the worker's thread only */
    size_t name;               /* database and tenant in names */
    size_t database_n, tenant_n;
    int64_t waiting, active, weight;
    usec_t oldest;
};

struct part {
    struct found v[HERE_MAX];
    int n;
    bool more;
    struct buf names;
};

struct run {
    struct hub *hub;
    void (*done)(void *arg, struct busy *b);
    void *arg;
    struct part part[MAX_WORKERS];
};

/* ---- on a worker ---- */

/* The share's entry. A full table gives the place of its least busy one to a busier one; NULL when
 * there is none. weight: what is known of it beforehand. */
static struct found *entry(struct part *p, const struct share *s, int64_t weight)
{
    struct found *least = NULL;

    for (int i = 0; i < p->n; i++) {
        if (p->v[i].share == s)
            return &p->v[i];
        if (!least || p->v[i].weight < least->weight)
            least = &p->v[i];
    }
    if (p->n < HERE_MAX)
        least = &p->v[p->n++];
    else {
        p->more = true;
        if (least->weight >= weight)
            return NULL;
    }
    *least = (struct found){ .share = s, .weight = weight };
    return least;
}

static void see_turn(struct part *p, const struct turn *t)
{
    struct list *first = list_first(&t->clients);

    if (!t->here || !first)
        return;
    struct found *f = entry(p, t->here->share, 1000000 + t->n); /* who waits comes first */
    if (!f)
        return;
    usec_t since = LIST_ENTRY(first, struct client, turn_node)->wait_at;
    f->waiting += t->n;
    if (!f->oldest || since < f->oldest)
        f->oldest = since;
}

static void see_active(struct part *p, const struct client *c)
{
    const struct share *s = c->turn && c->turn->here ? c->turn->here->share : NULL;
    struct found *f = s ? entry(p, s, quota_used(&s->servers)) : NULL;

    if (f)
        f->active++;
}

static void keep_names(struct part *p)
{
    for (int i = 0; i < p->n; i++) {
        struct found *f = &p->v[i];
        f->name = buf_len(&p->names);
        f->database_n = f->share->db->name.n;
        f->tenant_n = f->share->tenant.n;
        buf_text_append(&p->names, f->share->db->name);
        buf_text_append(&p->names, f->share->tenant);
    }
}

static void look(struct engine *e, void *arg)
{
    struct part *p = &((struct run *)arg)->part[e->id];

    LIST_FOREACH(n, &e->shards) {
        const struct shard *sh = LIST_ENTRY(n, struct shard, node);
        LIST_FOREACH(t, &sh->ring) {
            see_turn(p, LIST_ENTRY(t, struct turn, node));
        }
        LIST_FOREACH(c, &sh->active) {
            see_active(p, LIST_ENTRY(c, struct client, node));
        }
    }
    LIST_FOREACH(n, &e->held_shares) {
        LIST_FOREACH(t, &LIST_ENTRY(n, struct share_here, node)->parked) {
            see_turn(p, LIST_ENTRY(t, struct turn, node));
        }
    }
    keep_names(p);
}

/* ---- on the control thread ---- */

static int by_trouble(const void *x, const void *y)
{
    const struct busy_tenant *a = x, *b = y;

    if (a->waiting != b->waiting)
        return a->waiting > b->waiting ? -1 : 1;
    if (a->active != b->active)
        return a->active > b->active ? -1 : 1;
    int order = text_cmp(a->database, b->database);
    return order ? order : text_cmp(a->tenant, b->tenant);
}

static void merge(struct busy_tenant *all, int *n, const struct part *p)
{
    for (int i = 0; i < p->n; i++) {
        const struct found *f = &p->v[i];
        const char *name = p->names.p + f->name;
        struct busy_tenant t = { text_n(name, f->database_n),
                                 text_n(name + f->database_n, f->tenant_n), f->waiting, f->active,
                                 f->oldest };
        struct busy_tenant *to = NULL;
        for (int k = 0; k < *n && !to; k++)
            if (text_eq(all[k].tenant, t.tenant) && text_eq(all[k].database, t.database))
                to = &all[k];
        if (!to) {
            all[(*n)++] = t;
            continue;
        }
        to->waiting += t.waiting;
        to->active += t.active;
        if (t.oldest && (!to->oldest || t.oldest < to->oldest))
            to->oldest = t.oldest;
    }
}

void busy_free(struct busy *b)
{
    for (int i = 0; b && i < MAX_WORKERS; i++)
        buf_release(&b->names[i]);
    free(b);
}

/* The parts' names become the answer's. NULL: out of memory. */
static struct busy *answer(struct run *r)
{
    int n_workers = r->hub->n_engines, n = 0;
    struct busy_tenant *all = calloc((size_t)n_workers * HERE_MAX, sizeof(*all));
    struct busy *b = calloc(1, sizeof(*b));
    bool ok = all && b;

    for (int i = 0; i < n_workers && ok; i++) {
        struct part *p = &r->part[i];
        ok = !p->names.failed;
        if (!ok)
            break;
        merge(all, &n, p);
        b->more |= p->more;
        b->names[i] = p->names;
        buf_init(&p->names);
    }
    if (ok && n) {
        qsort(all, (size_t)n, sizeof(*all), by_trouble);
        b->n = n < BUSY_TENANTS ? n : BUSY_TENANTS;
        b->more |= n > b->n;
        memcpy(b->v, all, sizeof(*all) * (size_t)b->n);
    }
    free(all);
    if (!ok)
        busy_free(b);
    return ok ? b : NULL;
}

static void put_together(void *arg)
{
    struct run *r = arg;

    r->done(r->arg, answer(r));
    for (int i = 0; i < MAX_WORKERS; i++)
        buf_release(&r->part[i].names);
    free(r);
}

void busy_run(struct hub *h, void (*done)(void *arg, struct busy *b), void *arg)
{
    struct run *r = calloc(1, sizeof(*r));

    if (!r) {
        done(arg, NULL);
        return;
    }
    r->hub = h;
    r->done = done;
    r->arg = arg;
    if (!hub_call(h, look, r, put_together)) {
        free(r);
        done(arg, NULL);
    }
}
