/* SPDX-License-Identifier: ISC */
/* Tables of refused statements and of tenants. */
#include "session/notes.h"

#include "base/buf.h"

#include <stdlib.h>

/* One allocation: the texts lie behind it. */
struct kept {
    struct note note; /* tenant and user point to last_* */
    struct text key;
    char last_tenant[128], last_user[64], last_trace[64];
    char texts[];
};

struct notes {
    struct map by_key; /* → struct kept */
    size_t n;
    struct map tenants; /* → struct tenant_note */
    struct list idle;   /* tenant_note.node */
    size_t n_idle;
};

struct notes *notes_new(void)
{
    struct notes *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    map_init(&n->by_key);
    map_init(&n->tenants);
    list_init(&n->idle);
    return n;
}

static void free_tenant(struct tenant_note *t)
{
    if (t->use.held)
        top_forget(t);
    for (int i = 0; i < NOTES_USERS; i++)
        free(t->users[i]);
    free((void *)(uintptr_t)t->name.p);
    free(t);
}

void notes_free(struct notes *n)
{
    size_t pos = 0;
    struct text key;
    void *value;

    if (!n)
        return;
    notes_reset(n, ~0U);
    while (map_next(&n->tenants, &pos, &key, &value))
        free_tenant(value);
    map_release(&n->tenants);
    map_release(&n->by_key);
    free(n);
}

/* ---- statements ---- */

static void put(struct buf *key, struct text t)
{
    uint32_t n = (uint32_t)t.n;
    buf_append(key, &n, sizeof(n));
    buf_text_append(key, t);
}

static void make_key(struct buf *key, const struct note *w)
{
    const int head[2] = { (int)w->kind, w->reason };
    buf_append(key, head, sizeof(head));
    put(key, w->database);
    put(key, w->about);
    put(key, w->template);
}

/* The rarest, of these the one that was not met for longest. */
static void evict(struct notes *n)
{
    size_t pos = 0;
    struct text key;
    void *value;
    struct kept *out = NULL;

    while (map_next(&n->by_key, &pos, &key, &value)) {
        struct kept *k = value;
        if (!out || k->note.count < out->note.count ||
            (k->note.count == out->note.count && k->note.last < out->note.last))
            out = k;
    }
    if (!out)
        return;
    map_del(&n->by_key, out->key);
    free(out);
    n->n--;
}

static struct text copy(char **at, struct text t)
{
    struct text to = { *at, t.n };
    if (t.n)
        memcpy(*at, t.p, t.n);
    *at += t.n;
    return to;
}

static struct kept *keep(struct notes *n, const struct note *w, struct text key, usec_t now)
{
    if (n->n >= NOTES_STATEMENTS)
        evict(n);
    struct kept *k =
        malloc(sizeof(*k) + key.n + w->database.n + w->template.n + w->about.n + w->fix.n);
    if (!k)
        return NULL;
    char *at = k->texts;
    k->key = copy(&at, key);
    k->note = (struct note){ .kind = w->kind, .reason = w->reason, .first = now };
    k->note.database = copy(&at, w->database);
    k->note.template = copy(&at, w->template);
    k->note.about = copy(&at, w->about);
    k->note.fix = copy(&at, w->fix);
    map_put(&n->by_key, k->key, k);
    n->n++;
    return k;
}

/* As much as there is room for, whole characters. */
static struct text cut(char *to, size_t size, struct text t)
{
    size_t len = t.n < size ? t.n : size;
    while (len < t.n && len > 0 && ((unsigned char)t.p[len] & 0xc0) == 0x80)
        len--;
    if (len)
        memcpy(to, t.p, len);
    return text_n(to, len);
}

void notes_add(struct notes *n, const struct note *w, usec_t now)
{
    struct buf key;

    buf_init(&key);
    make_key(&key, w);
    struct kept *k = key.failed ? NULL : map_get(&n->by_key, buf_text(&key));
    if (!k && !key.failed)
        k = keep(n, w, buf_text(&key), now);
    buf_release(&key);
    if (!k)
        return;
    k->note.count++;
    k->note.last = now;
    k->note.tenant = cut(k->last_tenant, sizeof(k->last_tenant), w->tenant);
    k->note.user = cut(k->last_user, sizeof(k->last_user), w->user);
    k->note.trace = cut(k->last_trace, sizeof(k->last_trace), w->trace);
}

void notes_reset(struct notes *n, unsigned kinds)
{
    size_t pos = 0;
    struct text key;
    void *value;

    while (map_next(&n->by_key, &pos, &key, &value)) {
        struct kept *k = value;
        if (!(kinds & 1U << k->note.kind))
            continue;
        map_del(&n->by_key, key);
        free(k);
        n->n--;
    }
}

const struct note *notes_next(const struct notes *n, size_t *pos)
{
    struct text key;
    void *value;
    return map_next(&n->by_key, pos, &key, &value) ? &((struct kept *)value)->note : NULL;
}

/* ---- tenants ---- */

static struct tenant_note *new_tenant(struct notes *n, struct text name)
{
    struct tenant_note *t = calloc(1, sizeof(*t));
    char *copied = t ? text_dup(name) : NULL;

    if (!copied) {
        free(t);
        return NULL;
    }
    t->name = text_n(copied, name.n);
    list_init(&t->node);
    map_put(&n->tenants, t->name, t);
    return t;
}

static void add_user(struct tenant_note *t, struct text user)
{
    for (int i = 0; i < t->n_users && i < NOTES_USERS; i++)
        if (text_is(user, t->users[i]))
            return;
    if (t->n_users == NOTES_USERS)
        t->n_users++;
    else if (t->n_users < NOTES_USERS && (t->users[t->n_users] = text_dup(user)) != NULL)
        t->n_users++;
}

struct tenant_note *notes_join(struct notes *n, struct text tenant, struct text user)
{
    struct tenant_note *t = map_get(&n->tenants, tenant);

    if (!t)
        t = new_tenant(n, tenant);
    if (!t)
        return NULL;
    if (t->clients == 0 && list_linked(&t->node)) {
        list_del(&t->node);
        n->n_idle--;
    }
    t->clients++;
    add_user(t, user);
    return t;
}

void notes_leave(struct notes *n, struct tenant_note *t)
{
    if (--t->clients > 0)
        return;
    list_push_tail(&n->idle, &t->node);
    if (++n->n_idle <= NOTES_TENANTS)
        return;
    struct tenant_note *old = LIST_ENTRY(list_pop(&n->idle), struct tenant_note, node);
    n->n_idle--;
    map_del(&n->tenants, old->name);
    free_tenant(old);
}

struct tenant_note *notes_tenant(struct notes *n, struct text tenant)
{
    return map_get(&n->tenants, tenant);
}

void notes_scale(struct notes *n, double divisor)
{
    size_t pos = 0;
    struct text key;
    void *value;

    while (map_next(&n->tenants, &pos, &key, &value))
        top_scale(value, divisor);
}

const struct tenant_note *notes_next_tenant(const struct notes *n, size_t *pos)
{
    struct text key;
    void *value;
    return map_next(&n->tenants, pos, &key, &value) ? value : NULL;
}
