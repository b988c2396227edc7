/* SPDX-License-Identifier: ISC */
/* Statements shared by text within a worker, and the lists of what servers have prepared. */
#include "session/stmt.h"

#include "base/check.h"
#include "session/counts.h"
#include "wire/query.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a worker's statements ---- */

/* What makes two statements the same: pool, verdict (they decide what is sent), types, text. */
static bool build_key(struct buf *b, const void *pool, struct text sql, const char *types,
                      int n_types, const struct verdict *v)
{
    buf_append(b, &pool, sizeof(pool));
    buf_append(b, &v, sizeof(v));
    buf_append(b, &n_types, sizeof(n_types));
    buf_append(b, types, (size_t)n_types * 4);
    buf_text_append(b, sql);
    return !b->failed;
}

static uint32_t get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* ---- names on servers, shared by all workers ---- */

struct stmt_name {
    int refs;            /* under the hub's names_mutex */
    _Atomic bool proven; /* a server of the pool has prepared it */
    char name[32];
    size_t n_key;
    char key[];
};

static struct stmt_name *name_get(struct hub *h, const void *pool, const uint32_t *types,
                                  int n_types, struct text sent)
{
    struct buf key;

    buf_init(&key);
    buf_append(&key, &pool, sizeof(pool));
    buf_append(&key, &n_types, sizeof(n_types));
    buf_append(&key, types, sizeof(*types) * (size_t)n_types);
    buf_text_append(&key, sent);
    if (key.failed) {
        buf_release(&key);
        return NULL;
    }
    pthread_mutex_lock(&h->names_mutex);
    struct stmt_name *n = map_get(&h->names, buf_text(&key));
    if (n) {
        n->refs++;
    } else if ((n = calloc(1, sizeof(*n) + key.n)) != NULL) {
        n->refs = 1;
        n->n_key = key.n;
        memcpy(n->key, key.p, key.n);
        snprintf(n->name, sizeof(n->name), "PGBULKHEAD_%llu", (unsigned long long)++h->next_stmt);
        map_put(&h->names, text_n(n->key, n->n_key), n);
    }
    pthread_mutex_unlock(&h->names_mutex);
    buf_release(&key);
    return n;
}

static void name_put(struct hub *h, struct stmt_name *n)
{
    pthread_mutex_lock(&h->names_mutex);
    bool last = --n->refs == 0;
    if (last)
        map_del(&h->names, text_n(n->key, n->n_key));
    pthread_mutex_unlock(&h->names_mutex);
    if (last)
        free(n);
}

static void stmt_free(struct stmt *s)
{
    if (s->shared)
        name_put(s->engine->hub, s->shared);
    if (s->verdict)
        verdict_unref(s->engine->tenant, s->verdict);
    free((void *)(uintptr_t)s->key.p);
    free((void *)(uintptr_t)s->sql.p);
    if (s->sent.p != s->sql.p)
        free((void *)(uintptr_t)s->sent.p);
    free((void *)(uintptr_t)s->parse.p);
    free(s->effects);
    free(s->types);
    free(s->sent_types);
    free(s);
}

/* The text and types to send to servers: the client's, or the rewritten ones with our parameters
 * behind its own. */
static bool fill_sent(struct stmt *s, const struct identity *id)
{
    const struct verdict *v = s->verdict;

    s->sent = s->sql;
    int n = s->n_types;
    if (v && v->action == VERDICT_REWRITE && id) {
        struct buf out;
        buf_init(&out);
        bool ok = verdict_text(v, id, &out);
        buf_char(&out, '\0');
        if (!ok || out.failed) {
            buf_release(&out);
            return false;
        }
        s->sent = text_n(out.p, out.n - 1);
        if (v->n_added > 0)
            n = v->n_params + v->n_added;
    }
    s->n_sent_types = n;
    s->sent_types = calloc((size_t)n + 1, sizeof(uint32_t));
    if (!s->sent_types)
        return false;
    if (s->n_types)
        memcpy(s->sent_types, s->types,
               sizeof(uint32_t) * (size_t)(s->n_types < n ? s->n_types : n));
    for (int i = 0; v && v->action == VERDICT_REWRITE && id && i < v->n_added; i++)
        s->sent_types[v->n_params + i] = v->added[i].type;
    return true;
}

static bool give_name(struct stmt *s, const void *pool)
{
    s->shared = name_get(s->engine->hub, pool, s->sent_types, s->n_sent_types, s->sent);
    if (s->shared)
        s->name = s->shared->name;
    return s->shared != NULL;
}

static struct stmt *stmt_make(struct engine *e, struct buf *key, struct text sql, const char *types,
                              int n_types)
{
    struct stmt *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->engine = e;
    s->refs = 1;
    s->sql = text_n(text_dup(sql), sql.n);
    s->types = calloc((size_t)n_types + 1, sizeof(uint32_t));
    traceparent_find(sql, true, &s->trace);
    s->n_types = n_types;
    s->key = text_n(text_dup(buf_text(key)), buf_len(key));
    s->kind = (uint8_t)query_kind(sql.p, sql.n);
    s->maybe_effects = s->sql.p && effects_maybe(s->sql);
    if (!s->sql.p || !s->types || !s->key.p ||
        (s->maybe_effects && !effects_read(s->sql, false, &s->effects))) {
        stmt_free(s);
        return NULL;
    }
    for (int i = 0; i < n_types; i++)
        s->types[i] = get32(types + 4 * i);
    return s;
}

/* Is it the one that build_key names? */
static bool is_same(const struct stmt *s, const void *pool, struct text sql, const char *types,
                    int n_types, const struct verdict *v)
{
    if (s->pool != pool || s->verdict != v || s->by_sql || s->n_types != n_types ||
        !text_eq(s->sql, sql))
        return false;
    for (int i = 0; i < n_types; i++)
        if (s->types[i] != get32(types + 4 * i))
            return false;
    return true;
}

struct stmt *stmt_get(struct engine *e, const void *pool, struct text sql, const char *types,
                      int n_types, const struct tenant_ask *ask, struct stmt *guess)
{
    struct verdict *v = NULL;
    struct buf key;

    if (ask) {
        v = tenant_judge(e->tenant, ask);
        if (!v)
            return NULL;
    }
    if (guess && is_same(guess, pool, sql, types, n_types, v)) {
        if (v)
            verdict_unref(e->tenant, v);
        return stmt_ref(guess);
    }
    buf_init(&key);
    struct stmt *s = NULL;
    if (build_key(&key, pool, sql, types, n_types, v)) {
        s = map_get(&e->stmts, buf_text(&key));
        if (s) {
            s->refs++;
        } else if ((s = stmt_make(e, &key, sql, types, n_types)) != NULL) {
            s->pool = pool;
            s->verdict = v;
            if (v)
                verdict_ref(v);
            s->policy_generation = ask ? ask->policy->generation : 0;
            if (fill_sent(s, ask && ask->mode != TENANT_AUDIT ? ask->identity : NULL) &&
                give_name(s, pool)) {
                map_put(&e->stmts, s->key, s);
            } else {
                stmt_free(s);
                s = NULL;
            }
        }
    }
    buf_release(&key);
    if (v)
        verdict_unref(e->tenant, v);
    return s;
}

void stmt_prove(struct stmt *s)
{
    if (!s->proven)
        atomic_store(&s->shared->proven, s->proven = true);
}

bool stmt_proven(struct stmt *s)
{
    if (!s->proven)
        s->proven = atomic_load(&s->shared->proven);
    return s->proven;
}

struct stmt *stmt_ref(struct stmt *s)
{
    s->refs++;
    return s;
}

void stmt_unref(struct stmt *s)
{
    if (--s->refs > 0)
        return;
    CHECK(map_del(&s->engine->stmts, s->key) == s);
    stmt_free(s);
}

struct text stmt_parse(struct stmt *s)
{
    struct buf b;

    if (s->parse.p)
        return s->parse;
    buf_init(&b);
    wire_parse_build(&b, TEXT(""), s->sent, s->sent_types, (uint16_t)s->n_sent_types);
    if (b.failed)
        buf_release(&b);
    else
        s->parse = text_n(b.p, b.n);
    return s->parse;
}

/* ---- what a server has prepared ---- */

struct server_stmts *server_stmts_new(void)
{
    struct server_stmts *s = calloc(1, sizeof(*s));
    if (s) {
        map_init(&s->by_name);
        list_init(&s->lru);
    }
    return s;
}

void server_stmts_clear(struct server_stmts *s)
{
    struct list *n;
    while ((n = list_pop(&s->lru)) != NULL) {
        struct server_stmt *st = LIST_ENTRY(n, struct server_stmt, node);
        map_del(&s->by_name, text_of(st->name));
        free(st);
    }
    s->unnamed = 0;
}

void server_stmts_doubt(struct server_stmts *s)
{
    LIST_FOREACH(n, &s->lru) {
        LIST_ENTRY(n, struct server_stmt, node)->doubtful = true;
    }
}

void server_stmts_free(struct server_stmts *s)
{
    if (!s)
        return;
    server_stmts_clear(s);
    map_release(&s->by_name);
    free(s);
}

struct server_stmt *server_stmts_find(struct server_stmts *s, const char *name)
{
    struct server_stmt *st = map_get(&s->by_name, text_of(name));
    if (!st)
        return NULL;
    list_del(&st->node);
    list_push_tail(&s->lru, &st->node);
    return st;
}

bool server_stmts_add(struct server_stmts *s, const char *name)
{
    struct server_stmt *st = calloc(1, sizeof(*st));
    if (!st)
        return false;
    snprintf(st->name, sizeof(st->name), "%s", name);
    list_push_tail(&s->lru, &st->node);
    map_put(&s->by_name, text_of(st->name), st);
    return true;
}

void server_stmts_drop(struct server_stmts *s, const char *name)
{
    struct server_stmt *st = map_del(&s->by_name, text_of(name));
    if (st) {
        list_del(&st->node);
        free(st);
    }
}

const char *server_stmts_excess(const struct server_stmts *s, int64_t max)
{
    if ((int64_t)map_count(&s->by_name) <= max)
        return NULL;
    return LIST_ENTRY(list_first(&s->lru), struct server_stmt, node)->name;
}
