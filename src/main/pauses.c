/* SPDX-License-Identifier: ISC */
/* PAUSE and DISABLE go from an old process to its successor, and changes back. */
#include "main/pauses.h"

#include "main/control.h"

#include <stdlib.h>
#include <string.h>

static bool is_set(const struct db_ledger *db)
{
    return atomic_load(&db->paused) || atomic_load(&db->disabled);
}

void pauses_put(const struct control *c, const struct db_ledger *db, struct buf *out)
{
    bool paused = atomic_load(db ? &db->paused : &c->hub.registry.paused);

    buf_char(out, (char)('0' + paused + (db && atomic_load(&db->disabled) ? 2 : 0)));
    buf_text_append(out, db ? db->name : TEXT(""));
    buf_char(out, '\0');
}

struct db_ledger **pauses_all(struct control *c, struct db_ledger **before, int n_before,
                              struct buf *out, int *n)
{
    int n_dbs, kept = 0;
    struct db_ledger **dbs = registry_dbs(&c->hub.registry, &n_dbs);

    *n = 0;
    if (!dbs)
        return NULL;
    pauses_put(c, NULL, out);
    for (int i = 0; i < n_before; i++)
        if (!is_set(before[i]))
            pauses_put(c, before[i], out);
    for (int i = 0; i < n_dbs; i++)
        if (is_set(dbs[i])) {
            pauses_put(c, dbs[i], out);
            dbs[kept++] = dbs[i];
        }
    *n = kept;
    return dbs;
}

/* ---- taking ---- */

struct told {
    bool pause;
    size_t n;
    char name[];
};

static void on_worker(struct engine *e, void *arg)
{
    const struct told *t = arg;

    if (t->pause)
        engine_close_idle(e, text_n(t->name, t->n));
    else
        engine_resume(e, text_n(t->name, t->n));
}

/* Without memory the workers' own ticks and releases come to it, later. */
static void tell(struct control *c, struct text name, bool pause)
{
    struct told *t = malloc(sizeof(*t) + name.n + 1);

    if (!t)
        return;
    t->pause = pause;
    t->n = name.n;
    memcpy(t->name, name.p, name.n + 1);
    if (!hub_call(&c->hub, on_worker, t, free))
        free(t);
}

/* The database's entry, made when the configuration knows it; NULL: it does not, or memory is
 * short. */
static struct db_ledger *find(struct control *c, struct text name)
{
    struct registry *r = &c->hub.registry;
    struct db_ledger *db = registry_find_db(r, name);
    struct arena a;

    if (db)
        return db;
    arena_init(&a, 1024);
    bool known = setup_database(c->setup, name, &a) != NULL;
    arena_release(&a);
    return known ? registry_db(r, name) : NULL;
}

void pauses_take(struct control *c, struct text entries, bool running)
{
    const char *p = entries.p, *end = p + entries.n;

    if (entries.n == 0 || end[-1] != '\0')
        return;
    for (struct text name; p < end; p += name.n + 2) {
        bool pause = (*p - '0') & 1, disable = (*p - '0') & 2;
        if (*p == '\0')
            return;
        name = text_of(p + 1);
        struct db_ledger *db = name.n ? find(c, name) : NULL;
        if (name.n && !db)
            continue;
        if (db)
            atomic_store(&db->disabled, disable);
        bool was = atomic_exchange(db ? &db->paused : &c->hub.registry.paused, pause);
        if (was != pause)
            log_info(&c->log, "%s%s%.*s by another process", pause ? "PAUSE" : "RESUME",
                     name.n ? " " : "", TEXT_ARG(name));
        if (running && was != pause)
            tell(c, name, pause);
    }
}
