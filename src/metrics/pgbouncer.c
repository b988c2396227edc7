/* SPDX-License-Identifier: ISC */
/* The names of pgbouncer_exporter, from the same counters as our own. */
#include "metrics/pgbouncer.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct name {
    const char *name, *help;
    enum expo_type type;
};

static void begin(struct expo *x, const struct name *n)
{
    expo_family(x, n->name, n->type, n->help);
}

/* ---- what there is ---- */

enum {
#define PGB_DATABASE(name, ...) DATABASE_##name,
#include "metrics/pgbouncer.def"
    DATABASE_VALUES
};
enum {
#define PGB_TOTAL(name, ...) TOTAL_##name,
#include "metrics/pgbouncer.def"
    TOTALS
};
enum {
#define PGB_POOL(name, ...) POOL_##name,
#include "metrics/pgbouncer.def"
    POOL_VALUES
};

struct one_database {
    const struct database_conf *db;
    int64_t v[DATABASE_VALUES];
};

struct one_total {
    struct text db;
    uint64_t v[TOTALS];
};

/* Clients of tenants have pools of their own: here they are one with the others. */
struct one_pool {
    struct text db, user;
    int64_t v[POOL_VALUES];
    int64_t active, idle, waiting;
    usec_t wait;
};

struct objects {
    struct arena arena; /* entries made from "*" */
    struct one_database *database;
    struct one_total *total;
    struct one_pool *pool;
    int databases, totals, pools; /* how many */
};

static void add_database(const struct collect *c, struct objects *o, const struct database_conf *db,
                         const struct db_ledger *l)
{
    struct pool_limits lim;

    setup_limits(c->setup, db, NULL, &lim);
    o->database[o->databases++] = (struct one_database){
        db,
        {
#define PGB_DATABASE(name, value, help) [DATABASE_##name] = (value),
#include "metrics/pgbouncer.def"
        },
    };
}

static void add_total(const struct collect *c, struct objects *o, const struct db_ledger *l)
{
    struct one_total *t = &o->total[o->totals++];

    t->db = l->name;
    for (int w = 0; w < c->hub->n_engines; w++) {
#define PGB_TOTAL(name, member, is_us, help) t->v[TOTAL_##name] += stat_get(&l->stats[w].member);
#include "metrics/pgbouncer.def"
    }
}

static bool add_databases(const struct collect *c, struct objects *o)
{
    struct registry *r = &c->hub->registry;
    const struct setup *s = c->setup;

    int n;
    struct db_ledger **list = registry_dbs(r, &n);
    o->database = calloc((size_t)(s->n_databases + n) + 1, sizeof(*o->database));
    o->total = calloc((size_t)n + 1, sizeof(*o->total));
    if (!list || !o->database || !o->total) {
        free(list);
        return false;
    }
    for (int i = 0; i < s->n_databases; i++)
        add_database(c, o, s->databases[i], registry_find_db(r, s->databases[i]->name));
    for (int i = 0; i < n; i++) {
        const struct database_conf *db = setup_database(s, list[i]->name, &o->arena);
        if (db_ledger_forgotten(list[i]))
            continue;
        add_total(c, o, list[i]);
        if (db && db->is_auto)
            add_database(c, o, db, list[i]);
    }
    free(list);
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct one_pool *p = a, *q = b;
    int order = text_cmp(p->db, q->db);

    return order ? order : text_cmp(p->user, q->user);
}

static void join(struct one_pool *to, const struct one_pool *from)
{
    for (int i = 0; i < POOL_VALUES; i++)
        to->v[i] += from->v[i];
    to->active += from->active;
    to->idle += from->idle;
    to->waiting += from->waiting;
    to->wait = from->wait > to->wait ? from->wait : to->wait;
}

static bool add_pools(const struct collect *c, struct objects *o)
{
    const struct survey *s = c->survey;
    int n = 0;

    o->pool = calloc((size_t)s->n_pools + 1, sizeof(*o->pool));
    if (!o->pool)
        return false;
    for (int i = 0; i < s->n_pools; i++) {
        const struct survey_pool *p = &s->pools[i];
        if (!p->pool)
            continue;
        o->pool[n++] = (struct one_pool){
            .db = p->pool->db_name,
            .user = p->pool->user_name,
            .active = p->cl_active,
            .idle = p->cl_idle,
            .waiting = p->cl_waiting,
            .wait = p->oldest && s->now > p->oldest ? s->now - p->oldest : 0,
            .v = {
#define PGB_POOL(name, value, help) [POOL_##name] = (value),
#include "metrics/pgbouncer.def"
            },
        };
    }
    if (n > 0)
        qsort(o->pool, (size_t)n, sizeof(*o->pool), by_name);
    for (int i = 0; i < n; i++) {
        if (o->pools > 0 && by_name(&o->pool[o->pools - 1], &o->pool[i]) == 0)
            join(&o->pool[o->pools - 1], &o->pool[i]);
        else
            o->pool[o->pools++] = o->pool[i];
    }
    return true;
}

/* ---- writing ---- */

static void write_ones(const struct collect *c, const struct objects *o, struct expo *x)
{
    static const struct name version = { "pgbouncer_version_info", "Version of the pooler; 1",
                                         EXPO_GAUGE };
    static const struct name names[] = {
#define PGB_ONE(name, value, help) { "pgbouncer_" #name, help, EXPO_GAUGE },
#include "metrics/pgbouncer.def"
    };
    const int64_t v[] = {
#define PGB_ONE(name, value, help) (value),
#include "metrics/pgbouncer.def"
    };

    begin(x, &version);
    expo_label(x, "version", text_of(c->hub->version));
    expo_int(x, 1);
    for (size_t i = 0; i < COUNT(names); i++) {
        begin(x, &names[i]);
        expo_int(x, v[i]);
    }
}

static void database_labels(struct expo *x, const struct database_conf *db)
{
    char port[16];

    snprintf(port, sizeof(port), "%d", db->port);
    expo_label(x, "name", db->name);
    expo_label(x, "host", text_of(db->host));
    expo_label(x, "port", text_of(port));
    expo_label(x, "database", text_of(db->dbname));
    expo_label(x, "force_user", text_of(db->user));
    expo_label(x, "pool_mode",
               text_of(db->pool_mode == POOL_MODE_UNSET ? "" : pool_mode_name(db->pool_mode)));
}

static void write_databases(const struct objects *o, struct expo *x)
{
    static const struct name names[] = {
#define PGB_DATABASE(name, value, help) { "pgbouncer_" #name, help, EXPO_GAUGE },
#include "metrics/pgbouncer.def"
    };

    for (size_t k = 0; k < COUNT(names); k++) {
        begin(x, &names[k]);
        for (int i = 0; i < o->databases; i++) {
            database_labels(x, o->database[i].db);
            expo_int(x, o->database[i].v[k]);
        }
    }
}

static void write_totals(const struct objects *o, struct expo *x)
{
    static const struct name names[] = {
#define PGB_TOTAL(name, member, is_us, help) { "pgbouncer_" #name, help, EXPO_COUNTER },
#include "metrics/pgbouncer.def"
    };
    static const bool times[] = {
#define PGB_TOTAL(name, member, is_us, help) is_us,
#include "metrics/pgbouncer.def"
    };

    for (size_t k = 0; k < COUNT(names); k++) {
        begin(x, &names[k]);
        for (int i = 0; i < o->totals; i++) {
            expo_label(x, "database", o->total[i].db);
            if (times[k])
                expo_usec(x, o->total[i].v[k]);
            else
                expo_uint(x, o->total[i].v[k]);
        }
    }
}

static void pool_labels(struct expo *x, const struct one_pool *p)
{
    expo_label(x, "database", p->db);
    expo_label(x, "user", p->user);
}

static void write_pools(const struct objects *o, struct expo *x)
{
    static const struct name names[] = {
#define PGB_POOL(name, value, help) { "pgbouncer_" #name, help, EXPO_GAUGE },
#include "metrics/pgbouncer.def"
    };
    static const struct name wait = { "pgbouncer_pools_client_maxwait_seconds",
                                      "How long the longest waiting client has been waiting, "
                                      "whole seconds",
                                      EXPO_GAUGE };

    for (size_t k = 0; k < COUNT(names); k++) {
        begin(x, &names[k]);
        for (int i = 0; i < o->pools; i++) {
            pool_labels(x, &o->pool[i]);
            expo_int(x, o->pool[i].v[k]);
        }
    }
    begin(x, &wait);
    for (int i = 0; i < o->pools; i++) {
        pool_labels(x, &o->pool[i]);
        expo_uint(x, o->pool[i].wait / USEC_PER_SEC);
    }
}

/* application_name is always empty: its values have no ceiling, and no scrape walks clients. */
static void write_clients(const struct objects *o, struct expo *x)
{
    static const struct name clients = { "pgbouncer_client_connections",
                                         "Client connections by state", EXPO_GAUGE };

    begin(x, &clients);
    for (int i = 0; i < o->pools; i++) {
        const struct one_pool *p = &o->pool[i];
        const int64_t v[] = { p->active, p->idle, p->waiting };
        static const char *const states[] = { "active", "idle", "waiting" };
        for (int k = 0; k < 3; k++) {
            pool_labels(x, p);
            expo_labels(x, "application_name=\"\"");
            expo_label(x, "state", text_of(states[k]));
            expo_int(x, v[k]);
        }
    }
}

void pgbouncer_write(const struct collect *c, struct expo *x)
{
    struct objects o = { .databases = 0 };

    arena_init(&o.arena, 0);
    if (add_databases(c, &o) && add_pools(c, &o)) {
        write_ones(c, &o, x);
        write_databases(&o, x);
        write_totals(&o, x);
        write_pools(&o, x);
        write_clients(&o, x);
    }
    free(o.database);
    free(o.total);
    free(o.pool);
    arena_release(&o.arena);
}
