/* SPDX-License-Identifier: ISC */
/* The verdict cache of one engine. */
#include "tenant/cache.h"

#include "base/random.h"

#include <stdlib.h>

#define FIRST_BUCKETS 256
#define ENTRY_OVERHEAD 256 /* malloc and bucket overhead counted per entry */

bool cache_init(struct cache *c, size_t max_bytes)
{
    *c = (struct cache){ .max_bytes = max_bytes, .n_buckets = FIRST_BUCKETS };
    list_init(&c->by_age);
    random_bytes(c->seed, sizeof(c->seed));
    c->buckets = calloc(c->n_buckets, sizeof(*c->buckets));
    return c->buckets != NULL;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15ULL + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccdULL;
}

/* Without what a dependent verdict adds. */
static uint64_t ask_hash(const struct cache *c, const struct tenant_ask *q, struct text key)
{
    uint64_t h = map_hash(c->seed, key.p, key.n);
    h = mix(h, (uint64_t)q->mode * 2 + (q->extended ? 1 : 0));
    h = mix(h, q->policy->generation);
    if (q->extended && q->n_types > 0)
        h = mix(h, map_hash(c->seed, q->types, sizeof(*q->types) * (size_t)q->n_types));
    return h;
}

static uint64_t final_hash(uint64_t h, const struct tenant_ask *q, bool dependent)
{
    return dependent ? mix(h, q->identity->hash + 1) : h;
}

static bool same_claims(const struct verdict_full *v, const struct identity *id)
{
    if (v->n_claims != id->n_claims)
        return false;
    for (int i = 0; i < v->n_claims; i++) {
        if (!text_eq(v->claims[i].name, id->claims[i].name))
            return false;
        if (v->dependent && !text_eq(v->claims[i].value, id->claims[i].value))
            return false;
    }
    return true;
}

static bool same_ask(const struct verdict_full *v, const struct tenant_ask *q, struct text key)
{
    if (v->mode != q->mode || v->extended != q->extended ||
        v->generation != q->policy->generation || !text_eq(v->sql, key) ||
        !same_claims(v, q->identity))
        return false;
    if (!q->extended)
        return true;
    return v->n_types == q->n_types &&
           (q->n_types == 0 ||
            memcmp(v->types, q->types, sizeof(*q->types) * (size_t)q->n_types) == 0);
}

struct verdict_full *cache_find(struct cache *c, const struct tenant_ask *ask, struct text key,
                                cache_fits *fits, const void *arg)
{
    uint64_t base = c->asked = ask_hash(c, ask, key);
    for (int dependent = 0; dependent < 2; dependent++) {
        uint64_t h = final_hash(base, ask, dependent);
        for (struct verdict_full *v = c->buckets[h & (c->n_buckets - 1)]; v; v = v->next) {
            if (v->hash != h || v->dependent != (bool)dependent || !same_ask(v, ask, key) ||
                (fits && !fits(v, arg)))
                continue;
            list_del(&v->by_age);
            list_push_head(&c->by_age, &v->by_age);
            v->used = ++c->clock;
            return v;
        }
    }
    return NULL;
}

static void drop(struct cache *c, struct verdict_full *v)
{
    struct verdict_full **at = &c->buckets[v->hash & (c->n_buckets - 1)];
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    v->next = NULL;
    list_del(&v->by_age);
    v->cached = false;
    c->bytes -= v->bytes;
    c->entries--;
    if (--v->pub.refs == 0)
        verdict_free(v);
}

/* Doubles the table when it is full; staying small is not an error. */
static void grow(struct cache *c)
{
    size_t n = c->n_buckets * 2;
    struct verdict_full **b = calloc(n, sizeof(*b));
    if (!b)
        return;
    for (size_t i = 0; i < c->n_buckets; i++) {
        for (struct verdict_full *v = c->buckets[i], *next; v; v = next) {
            next = v->next;
            v->next = b[v->hash & (n - 1)];
            b[v->hash & (n - 1)] = v;
        }
    }
    free(c->buckets);
    c->buckets = b;
    c->n_buckets = n;
}

/* Keeps the number of entries with the key of v below max. */
static void thin_out(struct cache *c, const struct tenant_ask *ask, const struct verdict_full *v,
                     int max)
{
    int n = 0;
    struct verdict_full *oldest = NULL;
    for (struct verdict_full *o = c->buckets[v->hash & (c->n_buckets - 1)]; o; o = o->next) {
        if (o->hash != v->hash || o->dependent != v->dependent || !same_ask(o, ask, v->sql))
            continue;
        n++;
        if (!oldest || o->used < oldest->used)
            oldest = o;
    }
    if (n >= max) {
        drop(c, oldest);
        c->evictions++;
    }
}

void cache_add(struct cache *c, const struct tenant_ask *ask, struct text key, int max_same,
               struct verdict_full *v)
{
    size_t shared = v->model ? v->model->arena.used + sizeof(*v) : 0;
    size_t size = v->arena.used + 2 * key.n + sizeof(*v) + ENTRY_OVERHEAD + shared;
    if (!v->cacheable || v->cached || size > c->max_bytes / 8)
        return;
    v->sql = arena_text(&v->arena, key);
    v->extended = ask->extended;
    v->mode = ask->mode;
    v->generation = ask->policy->generation;
    v->n_types = ask->extended ? ask->n_types : 0;
    if (v->n_types > 0) {
        uint32_t *types = ARENA_ARRAY(&v->arena, uint32_t, v->n_types);
        memcpy(types, ask->types, sizeof(*types) * (size_t)v->n_types);
        v->types = types;
    }
    struct claim *claims = ARENA_ARRAY(&v->arena, struct claim, ask->identity->n_claims);
    for (int i = 0; i < ask->identity->n_claims; i++) {
        claims[i].name = arena_text(&v->arena, ask->identity->claims[i].name);
        if (v->dependent)
            claims[i].value = arena_text(&v->arena, ask->identity->claims[i].value);
    }
    v->claims = claims;
    v->n_claims = ask->identity->n_claims;
    v->bytes = v->arena.used + sizeof(*v) + ENTRY_OVERHEAD + shared;
    v->hash = final_hash(c->asked, ask, v->dependent);
    v->used = ++c->clock;
    if (max_same)
        thin_out(c, ask, v, max_same);
    while (c->bytes + v->bytes > c->max_bytes && !list_empty(&c->by_age)) {
        drop(c, LIST_ENTRY(list_last(&c->by_age), struct verdict_full, by_age));
        c->evictions++;
    }
    if (c->entries >= c->n_buckets)
        grow(c);
    v->next = c->buckets[v->hash & (c->n_buckets - 1)];
    c->buckets[v->hash & (c->n_buckets - 1)] = v;
    list_push_head(&c->by_age, &v->by_age);
    v->pub.refs++;
    v->cached = true;
    c->bytes += v->bytes;
    c->entries++;
}

void cache_release(struct cache *c)
{
    while (!list_empty(&c->by_age))
        drop(c, LIST_ENTRY(list_last(&c->by_age), struct verdict_full, by_age));
    free(c->buckets);
    *c = (struct cache){ .n_buckets = 0 };
}
