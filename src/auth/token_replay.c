/* SPDX-License-Identifier: ISC */
/* Tokens that were used once. */
#include "auth/token.h"

#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

#define SWEEP_EVERY 60 /* seconds */

struct used {
    unsigned char id[32];
    int64_t until;
};

struct token_replay {
    pthread_mutex_t mutex;
    struct map used;
    size_t max;
    int64_t swept;
};

struct token_replay *token_replay_new(size_t max)
{
    struct token_replay *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    if (pthread_mutex_init(&r->mutex, NULL) != 0) {
        free(r);
        return NULL;
    }
    map_init(&r->used);
    r->max = max;
    return r;
}

/* Forgets those that ended before `now`. */
static void sweep(struct token_replay *r, int64_t now)
{
    struct text key;
    void *value;

    for (size_t pos = 0; map_next(&r->used, &pos, &key, &value);) {
        struct used *u = value;
        if (u->until > now)
            continue;
        map_del(&r->used, key);
        free(u);
    }
    r->swept = now;
}

void token_replay_free(struct token_replay *r)
{
    if (!r)
        return;
    sweep(r, INT64_MAX);
    map_release(&r->used);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

bool token_replay_take(struct token_replay *r, const struct token *t, int64_t now)
{
    const struct text id = text_n((const char *)t->id, sizeof(t->id));
    struct used *u = malloc(sizeof(*u));
    bool ok = false;

    if (!u)
        return false;
    memcpy(u->id, t->id, sizeof(u->id));
    u->until = t->exp;
    pthread_mutex_lock(&r->mutex);
    if (now - r->swept >= SWEEP_EVERY || map_count(&r->used) >= r->max)
        sweep(r, now);
    if (!map_get(&r->used, id) && map_count(&r->used) < r->max) {
        map_put(&r->used, text_n((const char *)u->id, sizeof(u->id)), u);
        ok = true;
    }
    pthread_mutex_unlock(&r->mutex);
    if (!ok)
        free(u);
    return ok;
}
