/* SPDX-License-Identifier: ISC */
/* Shares by database and tenant: found under the registry's mutex at login, freed with their last
 * client. */
#include "pool/share.h"

#include "base/check.h"

#include <stdlib.h>

/* Key and tenant in one block behind the struct: "database\0tenant". */
static struct share *make(struct db_ledger *db, struct text tenant)
{
    size_t n = db->name.n + 1 + tenant.n;
    struct share *s = calloc(1, sizeof(*s) + n);
    if (!s)
        return NULL;
    char *key = (char *)(s + 1);
    memcpy(key, db->name.p, db->name.n);
    if (tenant.n)
        memcpy(key + db->name.n + 1, tenant.p, tenant.n);
    s->key = text_n(key, n);
    s->tenant = text_n(key + db->name.n + 1, tenant.n);
    s->db = db;
    return s;
}

struct share *share_get(struct registry *r, struct db_ledger *db, struct text tenant)
{
    struct share *fresh = make(db, tenant);
    if (!fresh)
        return NULL;
    pthread_mutex_lock(&r->mutex);
    struct share *s = map_get(&r->shares, fresh->key);
    if (!s) {
        s = fresh;
        fresh = NULL;
        map_put(&r->shares, s->key, s);
        atomic_fetch_add(&db->tenants, 1);
    }
    atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&r->mutex);
    free(fresh);
    return s;
}

void share_ref(struct share *s)
{
    CHECK(atomic_fetch_add(&s->refs, 1) > 0);
}

void share_unref(struct registry *r, struct share *s)
{
    pthread_mutex_lock(&r->mutex);
    bool last = atomic_fetch_sub(&s->refs, 1) == 1;
    if (last) {
        map_del(&r->shares, s->key);
        atomic_fetch_sub(&s->db->tenants, 1);
    }
    pthread_mutex_unlock(&r->mutex);
    if (!last)
        return;
    CHECK(atomic_load(&s->servers.used) == 0 && atomic_load(&s->clients.used) == 0);
    free(s);
}

void shares_release(struct registry *r)
{
    size_t pos = 0;
    void *value;
    while (map_next(&r->shares, &pos, NULL, &value))
        free(value);
    map_release(&r->shares);
}

int share_next_held(struct share *s, int self)
{
    uint64_t bits = atomic_load(&s->held);
    uint64_t behind = self < 63 ? bits & ~((UINT64_C(2) << self) - 1) : 0;

    if (!bits)
        return -1;
    return __builtin_ctzll(behind ? behind : bits);
}
