/* SPDX-License-Identifier: ISC */
/* Hash map: linear probing over a power of two, removed slots stay marked until the next growth. */
#include "base/map.h"

#include "base/check.h"
#include "base/random.h"

#include <stdlib.h>

#define MAP_FIRST 16

struct map_slot {
    struct text key;
    uint64_t hash;
    void *value; /* NULL: empty, or removed when `removed` is set */
    bool removed;
};

/* SipHash as its paper gives it (Aumasson and Bernstein, 2012), one round per word and three at the
 * end. */
struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline struct sip round_once(struct sip v)
{
    v.a += v.b;
    v.b = rotl(v.b, 13) ^ v.a;
    v.a = rotl(v.a, 32);
    v.c += v.d;
    v.d = rotl(v.d, 16) ^ v.c;
    v.a += v.d;
    v.d = rotl(v.d, 21) ^ v.a;
    v.c += v.b;
    v.b = rotl(v.b, 17) ^ v.c;
    v.c = rotl(v.c, 32);
    return v;
}

uint64_t map_hash(const uint64_t seed[2], const void *p, size_t n)
{
    const unsigned char *s = p;
    struct sip v = { seed[0] ^ 0x736f6d6570736575ULL, seed[1] ^ 0x646f72616e646f6dULL,
                     seed[0] ^ 0x6c7967656e657261ULL, seed[1] ^ 0x7465646279746573ULL };
    uint64_t word;
    size_t left = n;
    for (; left >= 8; left -= 8, s += 8) {
        memcpy(&word, s, 8); /* byte order does not matter: hashes never leave the process */
        v.d ^= word;
        v = round_once(v);
        v.a ^= word;
    }
    word = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)s[i] << (8 * i);
    v.d ^= word;
    v = round_once(v);
    v.a ^= word;
    v.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        v = round_once(v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

void map_init(struct map *m)
{
    *m = (struct map){ 0 };
    random_bytes(m->seed, sizeof(m->seed));
}

void map_release(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->cap = m->used = m->dead = 0;
}

static struct map_slot *find(const struct map *m, struct text key, uint64_t hash)
{
    if (!m->cap)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->value) {
            if (s->hash == hash && text_eq(s->key, key))
                return s;
        } else if (!s->removed) {
            return NULL;
        }
    }
}

/* A slot for a key that is not there; the table has room. */
static struct map_slot *free_slot(const struct map *m, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static void resize(struct map *m)
{
    size_t cap = MAP_FIRST;
    while (cap < (m->used + 1) * 2)
        cap *= 2;
    struct map old = *m;
    m->slots = calloc(cap, sizeof(*m->slots));
    if (!m->slots)
        check_no_memory(cap * sizeof(*m->slots));
    m->cap = cap;
    m->dead = 0;
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            *free_slot(m, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void *map_get(const struct map *m, struct text key)
{
    if (!m->used)
        return NULL;
    struct map_slot *s = find(m, key, map_hash(m->seed, key.p, key.n));
    return s ? s->value : NULL;
}

void *map_put(struct map *m, struct text key, void *value)
{
    CHECK(value);
    uint64_t hash = map_hash(m->seed, key.p, key.n);
    struct map_slot *s = find(m, key, hash);
    if (s) {
        void *old = s->value;
        s->key = key;
        s->value = value;
        return old;
    }
    if ((m->used + m->dead + 1) * 4 > m->cap * 3)
        resize(m);
    s = free_slot(m, hash);
    if (s->removed)
        m->dead--;
    *s = (struct map_slot){ .key = key, .hash = hash, .value = value };
    m->used++;
    return NULL;
}

void *map_del(struct map *m, struct text key)
{
    if (!m->used)
        return NULL;
    struct map_slot *s = find(m, key, map_hash(m->seed, key.p, key.n));
    if (!s)
        return NULL;
    void *old = s->value;
    *s = (struct map_slot){ .removed = true };
    m->used--;
    m->dead++;
    return old;
}

bool map_next(const struct map *m, size_t *pos, struct text *key, void **value)
{
    while (*pos < m->cap) {
        const struct map_slot *s = &m->slots[(*pos)++];
        if (!s->value)
            continue;
        if (key)
            *key = s->key;
        if (value)
            *value = s->value;
        return true;
    }
    return false;
}
