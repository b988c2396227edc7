/* SPDX-License-Identifier: ISC */
/*
 * Numbers of statements by template.
 *
 * Two tables of fixed size: entries in buckets by database and template, and in front of them a
 * cache from keys of texts (sketch_key) to entries, so that a text is taken apart once and later
 * found by its key. The cache holds no references: a hint says by its serial whether the entry is
 * still that statement's.
 */
#include "session/profile.h"

#include "base/check.h"
#include "session/session.h"
#include "tenant/sketch.h"

#include <stdlib.h>

#define WAYS 2         /* places for one key in the cache */
#define NAMES 1024     /* named portals and statements that are remembered, a power of two */
#define NAME_WAYS 4    /* places for one name */
#define EVICT_LOOKS 16 /* entries that are considered when one must go */
#define PER_ENTRY 4    /* keys for each entry */
#define FIRST_STEP 4   /* times below 2^4 µs are one step */

struct quick {
    uint64_t key[2];
    struct profile_hint hint;
};

struct profiles {
    uint64_t seed[2];
    size_t max, n; /* entries: at most, in use */
    struct profile *entries;
    struct profile **buckets;
    size_t n_buckets; /* a power of two */
    struct quick *quick;
    size_t n_quick; /* a power of two */
    struct quick names[NAMES];
    struct profile other; /* of all that was evicted */
    size_t hand;
    size_t bytes;
    struct engine_stats *stats;
    struct buf work;
};

static size_t power_of_two(size_t at_least)
{
    size_t n = 64;
    while (n < at_least)
        n *= 2;
    return n;
}

struct profiles *profiles_new(size_t max, const uint64_t seed[2], struct engine_stats *stats)
{
    struct profiles *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->seed[0] = seed[0];
    t->seed[1] = seed[1];
    t->max = max;
    t->stats = stats;
    t->n_buckets = power_of_two(max);
    t->n_quick = power_of_two(max * PER_ENTRY);
    t->entries = calloc(max, sizeof(*t->entries));
    t->buckets = calloc(t->n_buckets, sizeof(*t->buckets));
    t->quick = calloc(t->n_quick, sizeof(*t->quick));
    t->other = (struct profile){ .template = TEXT("<other statements>"), .table = t };
    buf_init(&t->work);
    if (t->entries && t->buckets && t->quick)
        return t;
    profiles_free(t);
    return NULL;
}

void profiles_free(struct profiles *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free((void *)(uintptr_t)t->entries[i].database.p);
    free(t->entries);
    free(t->buckets);
    free(t->quick);
    buf_release(&t->work);
    free(t);
}

/* ---- numbers ---- */

/* 16 µs is the first step's end; then four steps for each doubling. */
static unsigned step_of(uint64_t us)
{
    if (us < 1U << FIRST_STEP)
        return 0;
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    unsigned step = 1 + (top - FIRST_STEP) * 4 + (unsigned)(us >> (top - 2) & 3);
    return step < PROFILE_STEPS ? step : PROFILE_STEPS - 1;
}

/* The smallest time of the step. */
static uint64_t step_begin(unsigned step)
{
    if (step == 0)
        return 0;
    unsigned top = (step - 1) / 4 + FIRST_STEP;
    return (uint64_t)(4 + (step - 1) % 4) << (top - 2);
}

static void count(struct profile_counts *n, uint64_t took, uint64_t rows, uint64_t bytes)
{
    uint32_t *step = &n->steps[step_of(took)];

    if (n->calls++ == 0 || took < n->min_us)
        n->min_us = took;
    if (took > n->max_us)
        n->max_us = took;
    n->total_us += took;
    n->rows += rows;
    n->bytes += bytes;
    *step += *step != UINT32_MAX;
}

void profile_add(struct profile_counts *to, const struct profile_counts *from)
{
    if (!from->calls)
        return;
    if (!to->calls || from->min_us < to->min_us)
        to->min_us = from->min_us;
    if (from->max_us > to->max_us)
        to->max_us = from->max_us;
    to->calls += from->calls;
    to->errors += from->errors;
    to->rows += from->rows;
    to->bytes += from->bytes;
    to->total_us += from->total_us;
    to->wait_us += from->wait_us;
    for (int i = 0; i < PROFILE_TENANT_BITS / 64; i++)
        to->tenants[i] |= from->tenants[i];
    for (int i = 0; i < PROFILE_STEPS; i++) {
        uint32_t room = UINT32_MAX - to->steps[i];
        to->steps[i] += from->steps[i] < room ? from->steps[i] : room;
    }
}

uint64_t profile_quantile(const struct profile_counts *n, double share)
{
    uint64_t all = 0, below = 0;

    for (int i = 0; i < PROFILE_STEPS; i++)
        all += n->steps[i];
    if (!all)
        return 0;
    double rank = share * (double)all;
    for (unsigned i = 0; i < PROFILE_STEPS; i++) {
        uint64_t here = n->steps[i];
        if (here && (double)(below + here) >= rank) {
            double from = (double)step_begin(i);
            double to = i + 1 < PROFILE_STEPS ? (double)step_begin(i + 1) : (double)n->max_us;
            uint64_t us = (uint64_t)(from + (to - from) * (rank - (double)below) / (double)here);
            return us > n->max_us ? n->max_us : us < n->min_us ? n->min_us : us;
        }
        below += here;
    }
    return n->max_us;
}

/* As many draws as it takes on average to hit that many of the bits. */
uint64_t profile_tenants(const struct profile_counts *n)
{
    int set = 0;
    double draws = 0;

    for (int i = 0; i < PROFILE_TENANT_BITS / 64; i++)
        set += __builtin_popcountll(n->tenants[i]);
    for (int i = 0; i < set; i++)
        draws += (double)PROFILE_TENANT_BITS / (double)(PROFILE_TENANT_BITS - i);
    return (uint64_t)(draws + 0.5);
}

uint16_t profile_tenant_bit(const uint64_t seed[2], struct text tenant)
{
    return (uint16_t)(1 + map_hash(seed, tenant.p, tenant.n) % PROFILE_TENANT_BITS);
}

void profiles_reset(struct profiles *t)
{
    memset(&t->other.n, 0, sizeof(t->other.n));
    for (size_t i = 0; i < t->n; i++)
        memset(&t->entries[i].n, 0, sizeof(t->entries[i].n));
}

const struct profile *profiles_next(const struct profiles *t, size_t *pos)
{
    while (*pos < t->n) {
        const struct profile *e = &t->entries[(*pos)++];
        if (e->n.calls)
            return e;
    }
    return (*pos)++ == t->n && t->other.n.calls ? &t->other : NULL;
}

/* ---- entries ---- */

static void publish(struct profiles *t)
{
    if (!t->stats)
        return;
    atomic_store_explicit(&t->stats->profile_entries, t->n, memory_order_relaxed);
    atomic_store_explicit(&t->stats->profile_bytes,
                          t->bytes + t->n * sizeof(*t->entries) + t->n_quick * sizeof(*t->quick) +
                              sizeof(*t),
                          memory_order_relaxed);
}

static void unlink_entry(struct profiles *t, struct profile *e)
{
    struct profile **at = &t->buckets[e->hash & (t->n_buckets - 1)];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

/* An entry that nobody holds, of those next in turn the one that was used least. NULL: all of them
 * are held. */
static struct profile *victim(struct profiles *t)
{
    struct profile *out = NULL;

    for (int i = 0; i < EVICT_LOOKS && (size_t)i < t->max; i++) {
        struct profile *e = &t->entries[t->hand];
        t->hand = t->hand + 1 < t->max ? t->hand + 1 : 0;
        if (e->refs == 0 && (!out || e->used < out->used))
            out = e;
        e->used >>= 1;
    }
    return out;
}

static struct profile *free_entry(struct profiles *t)
{
    if (t->n < t->max)
        return &t->entries[t->n++];
    struct profile *e = victim(t);
    if (!e)
        return NULL;
    unlink_entry(t, e);
    profile_add(&t->other.n, &e->n);
    t->bytes -= e->database.n + e->template.n;
    free((void *)(uintptr_t)e->database.p);
    if (t->stats)
        stat_inc(&t->stats->profile_evictions);
    return e;
}

static struct profile *make(struct profiles *t, struct text db, struct text template, uint64_t hash)
{
    char *texts = malloc(db.n + template.n + 1);
    struct profile *e = texts ? free_entry(t) : NULL;

    if (!e) {
        free(texts);
        return &t->other;
    }
    if (db.n)
        memcpy(texts, db.p, db.n);
    if (template.n)
        memcpy(texts + db.n, template.p, template.n);
    *e = (struct profile){ .database = text_n(texts, db.n),
                           .template = text_n(texts + db.n, template.n),
                           .table = t,
                           .hash = hash,
                           .serial = e->serial + 1 };
    struct profile **bucket = &t->buckets[hash & (t->n_buckets - 1)];
    e->next = *bucket;
    *bucket = e;
    t->bytes += db.n + template.n;
    publish(t);
    return e;
}

static struct profile *entry(struct profiles *t, struct text db, struct text template)
{
    uint64_t hash = map_hash(t->seed, template.p, template.n) ^ map_hash(t->seed, db.p, db.n);
    struct profile *e = t->buckets[hash & (t->n_buckets - 1)];

    while (e && !(e->hash == hash && text_eq(e->template, template) && text_eq(e->database, db)))
        e = e->next;
    return e ? e : make(t, db, template, hash);
}

static struct profile *hinted(struct profile_hint h)
{
    return h.at && h.at->serial == h.serial ? h.at : NULL;
}

static struct profile_hint hint_to(const struct profile *e)
{
    if (!e || e == &e->table->other)
        return (struct profile_hint){ .at = NULL };
    return (struct profile_hint){ (struct profile *)(uintptr_t)e, e->serial };
}

/* The set's place for the key: its own, a free one, or the one to be overwritten. */
static struct quick *place(struct quick *set, int ways, const uint64_t key[2])
{
    struct quick *out = NULL;

    for (int i = 0; i < ways; i++) {
        if (set[i].key[0] == key[0] && set[i].key[1] == key[1])
            return &set[i];
        if (!out && !hinted(set[i].hint))
            out = &set[i];
    }
    return out ? out : &set[key[1] % (uint64_t)ways];
}

static void put(struct quick *q, const uint64_t key[2], const struct profile *e)
{
    *q = (struct quick){ { key[0], key[1] }, hint_to(e) };
}

/* ---- finding ---- */

static struct profiles *table_of(const struct client *c)
{
    return c->engine->setup->g.query_stats ? c->engine->profiles : NULL;
}

static struct text db_of(const struct client *c)
{
    return c->shard->pool->db_name;
}

static struct profile *fixed(struct client *c, struct text template)
{
    struct profiles *t = table_of(c);

    return t ? entry(t, db_of(c), template) : NULL;
}

/* How the server reads this client's texts. */
static struct sketch_reading reading(const struct client *c)
{
    const char *charset = c->vars.value[VAR_CLIENT_ENCODING],
               *conforming = c->vars.value[VAR_CONFORMING];

    return (struct sketch_reading){ .escapes = conforming && strcmp(conforming, "off") == 0,
                                    .odd_charset = sketch_odd_charset(charset) };
}

static struct profile *by_text(struct profiles *t, struct client *c, struct text sql,
                               struct quick *q, const uint64_t key[2])
{
    struct sketch_reading how = reading(c);

    buf_clear(&t->work);
    bool general = sketch_text(sql, &how, &t->work);
    if (t->work.failed) {
        buf_release(&t->work);
        return &t->other;
    }
    struct profile *e = entry(t, db_of(c), buf_text(&t->work));
    if (general && e != &t->other) /* else one text would name those of others */
        put(q, key, e);
    return e;
}

struct profile *profile_of(struct client *c, struct text sql)
{
    struct profiles *t = table_of(c);
    uint64_t key[2];

    if (!t)
        return NULL;
    sketch_key(sql, t->seed, (uint64_t)(uintptr_t)c->shard->pool->db, key);
    struct quick *q =
        place(&t->quick[key[0] & (t->n_quick - 1) & ~(uint64_t)(WAYS - 1)], WAYS, key);
    struct profile *e = q->key[0] == key[0] && q->key[1] == key[1] ? hinted(q->hint) : NULL;
    return e ? e : by_text(t, c, sql, q, key);
}

struct profile *profile_of_query(struct client *c, const char *m, size_t have, size_t len)
{
    if (len > have)
        return fixed(c, TEXT("<too long>"));
    return profile_of(c, text_n(m + 5, len > 6 ? len - 6 : 0));
}

struct profile *profile_of_function(struct client *c)
{
    return fixed(c, TEXT("<function call>"));
}

bool profile_wants(const struct client *c, size_t len)
{
    return len <= SKETCH_MAX_TEXT && table_of(c);
}

struct profile *profile_of_stmt(struct client *c, struct stmt *st)
{
    if (!table_of(c))
        return NULL;
    struct profile *e = hinted(st->profile);
    if (!e) {
        e = profile_of(c, st->by_sql ? sketch_prepared(st->sql) : st->sql);
        st->profile = hint_to(e);
    }
    return e;
}

/* ---- names ---- */

static void name_key(const struct profiles *t, const struct client *c, char kind, struct text name,
                     uint64_t key[2])
{
    key[0] = map_hash(t->seed, name.p, name.n) ^ (c->id * 0x9e3779b97f4a7c15ULL);
    key[1] = c->id << 8 | (unsigned char)kind;
}

void profile_name(struct client *c, char kind, struct text name, const struct profile *e)
{
    struct profiles *t = table_of(c);
    uint64_t key[2];

    if (!t)
        return;
    if (name.n == 0) {
        *(kind == 'P' ? &c->profile_portal : &c->profile_stmt) = hint_to(e);
        return;
    }
    name_key(t, c, kind, name, key);
    put(place(&t->names[key[0] & (NAMES - 1) & ~(uint64_t)(NAME_WAYS - 1)], NAME_WAYS, key), key,
        e);
}

struct profile *profile_named(struct client *c, char kind, struct text name)
{
    struct profiles *t = table_of(c);
    struct profile *e;
    uint64_t key[2];

    if (!t)
        return NULL;
    if (name.n == 0) {
        e = hinted(kind == 'P' ? c->profile_portal : c->profile_stmt);
    } else {
        name_key(t, c, kind, name, key);
        struct quick *q =
            place(&t->names[key[0] & (NAMES - 1) & ~(uint64_t)(NAME_WAYS - 1)], NAME_WAYS, key);
        e = q->key[0] == key[0] && q->key[1] == key[1] ? hinted(q->hint) : NULL;
    }
    return e ? e : fixed(c, kind == 'P' ? TEXT("<unknown portal>") : TEXT("<prepared by name>"));
}

/* ---- running ---- */

void profile_hold(struct profile **at, struct profile *e)
{
    if (e)
        e->refs++;
    if (*at)
        (*at)->refs--;
    *at = e;
}

void profile_drop(struct profile **at)
{
    if (*at)
        (*at)->refs--;
    *at = NULL;
}

static bool runs(const struct pend *p)
{
    return p->kind != PEND_PARSE && p->kind != PEND_BIND;
}

void profile_begin(struct client *c, struct pend *p, struct profile *e)
{
    if (!e)
        return;
    e->refs++;
    e->used += e->used != UINT8_MAX;
    p->profile = e;
    p->sent_at = c->engine->loop.now;
    if (!runs(p))
        return;
    if (!c->profile || c->profile_waits) {
        profile_hold(&c->profile, e);
        c->profile_waits = false;
    }
    if (c->waited) {
        e->n.wait_us += c->waited;
        c->profile_wait = c->waited;
        c->waited = 0;
    }
}

/* The statement is over. */
static void over(struct server *s, struct pend *p, uint64_t taken)
{
    struct profile *e = p->profile;
    struct client *c = s->client;
    usec_t now = s->shard->engine->loop.now;
    usec_t from = p->sent_at > s->answered_at ? p->sent_at : s->answered_at;
    usec_t took = now > from ? now - from : 0;

    count(&e->n, took, s->rows, taken - s->counted);
    if (c && c->tenant_bit) {
        unsigned bit = c->tenant_bit - 1U;
        e->n.tenants[bit / 64] |= 1ULL << bit % 64;
    }
    if (c && (!c->profile || took >= c->profile_took)) {
        profile_hold(&c->profile, e);
        c->profile_took = took;
    }
    s->rows = 0;
    s->counted = taken;
    s->answered_at = now;
    profile_drop(&p->profile);
}

void profile_end(struct server *s, struct pend *p, uint64_t taken)
{
    if (!p->profile)
        return;
    if (runs(p))
        over(s, p, taken);
    else
        profile_drop(&p->profile);
}

void profile_failed(struct server *s, struct pend *p, uint64_t taken)
{
    if (!p->profile) { /* of a batch that we made of a Query, perhaps */
        for (uint32_t i = 1; i < s->pending->n; i++) {
            p = pending_at(s->pending, i);
            if (p->profile)
                p->profile->n.errors += p->kind == PEND_SYNC;
            if (p->kind == PEND_SYNC)
                return;
        }
        return;
    }
    p->profile->n.errors++;
    p->failed = true;
    if (p->kind != PEND_QUERY && p->kind != PEND_FUNCTION) /* their end is still to come */
        over(s, p, taken);
}

void profile_rows(struct server *s, struct text tag)
{
    uint64_t rows = 0, unit = 1;
    size_t i = tag.n;

    for (; i > 0 && tag.p[i - 1] >= '0' && tag.p[i - 1] <= '9' && tag.n - i < 19; i--) {
        rows += (uint64_t)(tag.p[i - 1] - '0') * unit;
        unit *= 10;
    }
    if (i > 0 && tag.p[i - 1] == ' ')
        s->rows += rows;
}

void profile_lost(struct server *s)
{
    struct pend *p = s->pending ? pending_head(s->pending) : NULL;

    if (!p || !p->profile)
        return;
    p->profile->n.errors += !p->failed;
    over(s, p, s->counted);
}

void profile_refused(struct client *c, struct text sql)
{
    struct profile *e = sql.n ? profile_of(c, sql) : NULL;

    if (!e)
        return;
    count(&e->n, 0, 0, 0);
    e->n.errors++;
    e->used += e->used != UINT8_MAX;
    if (c->tenant_bit) {
        unsigned bit = c->tenant_bit - 1U;
        e->n.tenants[bit / 64] |= 1ULL << bit % 64;
    }
}

void profile_waits(struct client *c, struct profile *e)
{
    if (!e)
        return;
    profile_hold(&c->profile, e);
    c->profile_waits = true;
}

void profile_ready(struct client *c)
{
    profile_drop(&c->profile);
    c->profile_took = c->profile_wait = 0;
}

const struct profile *profile_running(const struct server *s, usec_t *since)
{
    for (uint32_t i = 0; s->pending && i < s->pending->n; i++) {
        const struct pend *p = pending_at(s->pending, i);
        if (!p->profile)
            continue;
        *since = p->sent_at > s->answered_at ? p->sent_at : s->answered_at;
        return p->profile;
    }
    return NULL;
}
