/* SPDX-License-Identifier: ISC */
/* A set-associative table of line kinds. */
#include "base/repeat.h"

#include "base/map.h"
#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 4
#define SETS (REPEAT_ENTRIES / WAYS)

struct entry {
    uint64_t hash; /* 0 = free */
    usec_t since, until;
    uint64_t seen, folded; /* in this period */
    int level;
    char *piece[2];
    size_t n[2];
};

struct repeat {
    pthread_mutex_t mutex;
    uint64_t seed[2];
    uint64_t folded, kinds; /* as struct repeat_stats */
    int pending;            /* entries with something folded */
    struct entry entry[SETS][WAYS];
};

struct repeat *repeat_new(void)
{
    struct repeat *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    if (pthread_mutex_init(&r->mutex, NULL) != 0) {
        free(r);
        return NULL;
    }
    random_bytes(r->seed, sizeof(r->seed));
    return r;
}

void repeat_free(struct repeat *r)
{
    if (!r)
        return;
    for (int s = 0; s < SETS; s++)
        for (int w = 0; w < WAYS; w++)
            for (int i = 0; i < 2; i++)
                free(r->entry[s][w].piece[i]);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

void repeat_due_free(struct repeat_due *d)
{
    free(d->piece[0]);
    free(d->piece[1]);
    *d = (struct repeat_due){ 0 };
}

static uint64_t hash_of(const struct repeat *r, const struct repeat_key *k)
{
    uint64_t part[2] = { map_hash(r->seed, k->kind.p, k->kind.n),
                         map_hash(r->seed, k->subject.p, k->subject.n) };
    uint64_t h = map_hash(r->seed, part, sizeof(part));

    return h ? h : 1;
}

/* Empties the entry; what was folded in it is due. */
static void clear(struct repeat *r, struct entry *e, struct repeat_due *due)
{
    if (e->folded) {
        *due = (struct repeat_due){ .count = e->folded,
                                    .level = e->level,
                                    .piece = { e->piece[0], e->piece[1] },
                                    .n = { e->n[0], e->n[1] } };
        r->pending--;
    }
    r->kinds -= e->hash != 0;
    *e = (struct entry){ 0 };
}

static struct entry *find(struct repeat *r, uint64_t hash)
{
    struct entry *set = r->entry[hash % SETS];

    for (int w = 0; w < WAYS; w++)
        if (set[w].hash == hash)
            return &set[w];
    return NULL;
}

/* A free entry of the set, or the one that began longest ago. */
static struct entry *place(struct repeat *r, uint64_t hash)
{
    struct entry *set = r->entry[hash % SETS], *old = set;

    for (int w = 0; w < WAYS; w++) {
        if (!set[w].hash)
            return &set[w];
        if (set[w].since < old->since)
            old = &set[w];
    }
    return old;
}

bool repeat_count(struct repeat *r, const struct repeat_key *k, int level, usec_t now,
                  int64_t limit, usec_t period, bool *first, struct repeat_due *due)
{
    uint64_t hash = hash_of(r, k);
    bool write;

    *first = false;
    *due = (struct repeat_due){ 0 };
    pthread_mutex_lock(&r->mutex);
    struct entry *e = find(r, hash);
    if (!e || now >= e->until) {
        if (!e)
            e = place(r, hash);
        clear(r, e, due);
        *e = (struct entry){ .hash = hash, .since = now, .until = now + period, .level = level };
        r->kinds++;
    }
    write = e->seen < (uint64_t)limit;
    e->seen++;
    if (!write) {
        *first = e->folded == 0;
        r->pending += e->folded == 0;
        e->folded++;
        r->folded++;
    }
    pthread_mutex_unlock(&r->mutex);
    return write;
}

void repeat_keep(struct repeat *r, const struct repeat_key *k, const struct text piece[2])
{
    uint64_t hash = hash_of(r, k);
    char *copy[2] = { text_dup(piece[0]), text_dup(piece[1]) };

    pthread_mutex_lock(&r->mutex);
    struct entry *e = find(r, hash);
    if (e && e->folded)
        for (int i = 0; i < 2; i++) {
            char *old = e->piece[i];
            e->piece[i] = copy[i];
            e->n[i] = copy[i] ? piece[i].n : 0;
            copy[i] = old;
        }
    pthread_mutex_unlock(&r->mutex);
    free(copy[0]);
    free(copy[1]);
}

bool repeat_take(struct repeat *r, usec_t now, bool all, struct repeat_due *due)
{
    *due = (struct repeat_due){ 0 };
    pthread_mutex_lock(&r->mutex);
    for (int i = 0; r->pending > 0 && i < REPEAT_ENTRIES && !due->count; i++) {
        struct entry *e = &r->entry[i / WAYS][i % WAYS];
        if (e->folded && (all || now >= e->until))
            clear(r, e, due);
    }
    pthread_mutex_unlock(&r->mutex);
    return due->count > 0;
}

struct repeat_stats repeat_stats(struct repeat *r)
{
    pthread_mutex_lock(&r->mutex);
    struct repeat_stats s = { r->folded, r->kinds };
    pthread_mutex_unlock(&r->mutex);
    return s;
}
