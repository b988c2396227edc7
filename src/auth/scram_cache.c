/* SPDX-License-Identifier: ISC */
/* SCRAM secrets of plain passwords, by user. A changed password is seen by its keyed hash. */
#include "auth/digest.h"
#include "auth/login.h"
#include "base/map.h"
#include "base/random.h"

#include <stdlib.h>

struct entry {
    struct buf user;
    unsigned char mark[DIGEST_LEN]; /* HMAC of the plain password under the cache's own key */
    struct buf secret;              /* SCRAM text */
};

struct scram_cache {
    unsigned char seed[32], key[32];
    uint32_t iterations;
    struct map users; /* user → struct entry */
};

struct scram_cache *scram_cache_new(const unsigned char seed[32], uint32_t iterations)
{
    struct scram_cache *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    memcpy(c->seed, seed, sizeof(c->seed));
    random_bytes(c->key, sizeof(c->key));
    c->iterations = iterations;
    map_init(&c->users);
    return c;
}

static void entry_free(struct entry *n)
{
    buf_release(&n->user);
    buf_wipe(&n->secret);
    wipe(n, sizeof(*n));
    free(n);
}

static void forget_all(struct scram_cache *c)
{
    struct text user;
    void *n;
    for (size_t pos = 0; map_next(&c->users, &pos, &user, &n);)
        entry_free(n);
    map_release(&c->users);
    map_init(&c->users);
}

void scram_cache_free(struct scram_cache *c)
{
    if (!c)
        return;
    forget_all(c);
    map_release(&c->users);
    wipe(c, sizeof(*c));
    free(c);
}

/* A new entry, not in the map yet; NULL when it cannot be made. */
static struct entry *make(struct scram_cache *c, struct text user, struct text secret)
{
    struct scram_secret s;
    unsigned char salt[sizeof(s.salt)];
    struct entry *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    scram_secret_mock(user, c->seed, &s);
    memcpy(salt, s.salt, s.salt_len);
    buf_text_append(&n->user, user);
    if (scram_secret_derive(secret, salt, s.salt_len, c->iterations, &s, NULL))
        scram_secret_write(&s, &n->secret);
    wipe(&s, sizeof(s));
    if (n->user.failed || n->secret.failed || !buf_len(&n->secret)) {
        entry_free(n);
        return NULL;
    }
    return n;
}

struct text scram_cache_get(struct scram_cache *c, struct text user, struct text secret)
{
    unsigned char mark[DIGEST_LEN];
    if (!secret.n || md5_is_secret(secret) || scram_is_secret(secret))
        return secret;
    if (!digest_hmac(c->key, sizeof(c->key), secret, mark))
        return secret;
    struct entry *n = map_get(&c->users, user);
    if (n && digest_same(n->mark, mark, sizeof(mark)))
        return buf_text(&n->secret);
    if (n) {
        map_del(&c->users, user);
        entry_free(n);
    }
    if (map_count(&c->users) >= SCRAM_CACHE_MAX)
        forget_all(c);
    n = make(c, user, secret);
    if (!n)
        return secret;
    memcpy(n->mark, mark, sizeof(mark));
    map_put(&c->users, buf_text(&n->user), n);
    return buf_text(&n->secret);
}
