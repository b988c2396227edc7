/* SPDX-License-Identifier: ISC */
/* SHOW POOLS, DATABASES, USERS, LISTS, MEM: what the ledgers and the workers' counts say. */
#include "console/internal.h"

#include <stdlib.h>

/* ---- pools ---- */

static const struct wire_column pool_columns[] = {
    COL_S("database"),
    COL_S("user"),
    COL_I("cl_active"),
    COL_I("cl_waiting"),
    COL_I("cl_active_cancel_req"),
    COL_I("cl_waiting_cancel_req"),
    COL_I("sv_active"),
    COL_I("sv_active_cancel"),
    COL_I("sv_being_canceled"),
    COL_I("sv_idle"),
    COL_I("sv_used"),
    COL_I("sv_tested"),
    COL_I("sv_login"),
    COL_I("maxwait"),
    COL_I("maxwait_us"),
    COL_S("pool_mode"),
    COL_S("load_balance_hosts"),
    COL_I("guarded"),
    COL_I("pinned"),
};

/* Empty unless there is a list to choose from. */
static const char *balance_name(const struct database_conf *db)
{
    if (!db || db->n_hosts < 2)
        return NULL;
    return db->load_balance ? "round-robin" : "disable";
}

static void put_zeros(struct row *r, int n)
{
    while (n-- > 0)
        row_int(r, 0);
}

static void put_pool(struct row *r, const struct survey_pool *p, const struct setup *s, usec_t now)
{
    struct arena arena;
    usec_t wait = p->oldest && now > p->oldest ? now - p->oldest : 0;

    arena_init(&arena, 1024);
    row_text(r, p->pool->db_name);
    row_text(r, p->pool->user_name);
    row_int(r, p->cl_active + p->cl_idle);
    row_int(r, p->cl_waiting);
    row_int(r, p->cancels);
    row_int(r, 0);
    row_int(r, p->sv[SERVER_ACTIVE]);
    row_int(r, p->cancels);
    row_int(r, p->sv[SERVER_BEING_CANCELED]);
    row_int(r, p->sv[SERVER_IDLE] + p->sv[SERVER_HANDOVER]);
    row_int(r, p->sv[SERVER_USED]);
    row_int(r, p->sv[SERVER_TESTED]);
    row_int(r, p->sv[SERVER_LOGIN]);
    row_uint(r, wait / USEC_PER_SEC);
    row_uint(r, wait % USEC_PER_SEC);
    row_z(r, pool_mode_name(atomic_load(&p->pool->pool_mode)));
    row_z(r, balance_name(setup_database(s, p->pool->db_name, &arena)));
    row_int(r, p->pool->guarded);
    row_int(r, atomic_load_explicit(&p->pool->pinned, memory_order_relaxed));
    arena_release(&arena);
}

static void put_own_pool(struct row *r, const struct console *c)
{
    row_z(r, CONSOLE_DB);
    row_z(r, CONSOLE_DB);
    row_int(r, c->n_admins);
    put_zeros(r, 12);
    row_z(r, "statement");
    row_null(r);
    put_zeros(r, 2);
}

static void pools_done(struct admin *a, const struct survey *s)
{
    const struct setup *setup = console_setup(a->console);
    struct row r;

    row_init(&r);
    wire_rowdesc_build(&a->out, pool_columns, COLUMNS(pool_columns));
    for (int i = 0; i < s->n_pools; i++) {
        if (!s->pools[i].pool)
            continue;
        put_pool(&r, &s->pools[i], setup, s->now);
        row_end(&r, COLUMNS(pool_columns), &a->out);
    }
    put_own_pool(&r, a->console);
    row_end(&r, COLUMNS(pool_columns), &a->out);
    admin_complete(a, TEXT("SHOW"));
}

void show_pools(struct admin *a, const struct statement *st)
{
    (void)st;
    admin_survey(a, pools_done);
}

/* ---- databases ---- */

static const struct wire_column database_columns[] = {
    COL_S("name"),
    COL_S("host"),
    COL_I("port"),
    COL_S("database"),
    COL_S("force_user"),
    COL_I("pool_size"),
    COL_I("min_pool_size"),
    COL_I("reserve_pool_size"),
    COL_I("server_lifetime"),
    COL_S("pool_mode"),
    COL_S("load_balance_hosts"),
    COL_I("max_connections"),
    COL_I("current_connections"),
    COL_I("max_client_connections"),
    COL_I("current_client_connections"),
    COL_I("paused"),
    COL_I("disabled"),
    COL_I("reserve_pool"), /* reserve_pool_size, as it was called before 1.24 */
    COL_S("tenant_mode"),
};

static void put_database(struct row *r, const struct setup *s, const struct database_conf *db,
                         const struct db_ledger *l)
{
    struct pool_limits lim;

    setup_limits(s, db, NULL, &lim);
    row_text(r, db->name);
    row_z(r, *db->host ? db->host : NULL);
    row_int(r, db->port);
    row_z(r, db->dbname);
    row_z(r, db->user);
    row_int(r, lim.pool_size);
    row_int(r, lim.min_pool_size);
    row_int(r, lim.reserve_pool_size);
    row_uint(r, lim.server_lifetime / USEC_PER_SEC);
    row_z(r, db->pool_mode == POOL_MODE_UNSET ? NULL : pool_mode_name(db->pool_mode));
    row_z(r, balance_name(db));
    row_int(r, lim.max_db_connections);
    row_int(r, l ? quota_used(&l->servers) : 0);
    row_int(r, lim.max_db_client_connections);
    row_int(r, l ? quota_used(&l->clients) : 0);
    row_int(r, l && atomic_load(&l->paused));
    row_int(r, l && atomic_load(&l->disabled));
    row_int(r, lim.reserve_pool_size);
    row_z(r, tenant_mode_name(setup_tenant_mode(s, db, NULL)));
}

static void put_own_database(struct row *r, const struct console *c, const struct setup *s)
{
    row_z(r, CONSOLE_DB);
    row_null(r);
    row_int(r, s->g.listen_port);
    row_z(r, CONSOLE_DB);
    row_z(r, CONSOLE_DB);
    row_int(r, 2);
    put_zeros(r, 3);
    row_z(r, "statement");
    row_null(r);
    put_zeros(r, 3);
    row_int(r, c->n_admins);
    put_zeros(r, 3);
    row_z(r, "off");
}

void show_databases(struct admin *a, const struct statement *st)
{
    const struct setup *s = console_setup(a->console);
    struct registry *reg = &a->console->hub->registry;
    struct arena arena;
    struct row r;
    int n;
    struct db_ledger **dbs = registry_dbs(&a->console->hub->registry, &n);

    (void)st;
    row_init(&r);
    arena_init(&arena, 0);
    wire_rowdesc_build(&a->out, database_columns, COLUMNS(database_columns));
    for (int i = 0; i < s->n_databases; i++) {
        put_database(&r, s, s->databases[i], registry_find_db(reg, s->databases[i]->name));
        row_end(&r, COLUMNS(database_columns), &a->out);
    }
    for (int i = 0; i < n; i++) { /* made from "*" */
        const struct database_conf *db = setup_database(s, dbs[i]->name, &arena);
        if (!db || !db->is_auto || db_ledger_forgotten(dbs[i]))
            continue;
        put_database(&r, s, db, dbs[i]);
        row_end(&r, COLUMNS(database_columns), &a->out);
    }
    put_own_database(&r, a->console, s);
    row_end(&r, COLUMNS(database_columns), &a->out);
    arena_release(&arena);
    free(dbs);
    admin_complete(a, TEXT("SHOW"));
}

/* ---- users ---- */

static const struct wire_column user_columns[] = {
    COL_S("name"),
    COL_S("pool_size"),
    COL_S("reserve_pool_size"),
    COL_S("pool_mode"),
    COL_I("max_user_connections"),
    COL_I("current_connections"),
    COL_I("max_user_client_connections"),
    COL_I("current_client_connections"),
    COL_S("tenant_mode"),
};

static void put_limit(struct row *r, int64_t v)
{
    if (v == LIMIT_UNSET)
        row_z(r, "");
    else
        row_int(r, v);
}

static void put_user(struct row *r, const struct setup *s, struct text name,
                     const struct user_conf *u, const struct user_ledger *l)
{
    int64_t servers = u ? u->max_user_connections : LIMIT_UNSET;
    int64_t clients = u ? u->max_user_client_connections : LIMIT_UNSET;

    row_text(r, name);
    put_limit(r, u ? u->pool_size : LIMIT_UNSET);
    put_limit(r, u ? u->reserve_pool_size : LIMIT_UNSET);
    row_z(r, !u || u->pool_mode == POOL_MODE_UNSET ? "" : pool_mode_name(u->pool_mode));
    row_int(r, servers == LIMIT_UNSET ? s->g.max_user_connections : servers);
    row_int(r, l ? quota_used(&l->servers) : 0);
    row_int(r, clients == LIMIT_UNSET ? s->g.max_user_client_connections : clients);
    row_int(r, l ? quota_used(&l->clients) : 0);
    row_z(r, !u || u->tenant_mode == TENANT_MODE_UNSET ? "" : tenant_mode_name(u->tenant_mode));
}

void show_users(struct admin *a, const struct statement *st)
{
    const struct setup *s = console_setup(a->console);
    struct map ledgers;
    struct row r;
    int n;
    struct user_ledger **users = registry_users(&a->console->hub->registry, &n);

    (void)st;
    row_init(&r);
    map_init(&ledgers);
    for (int i = 0; i < n; i++)
        map_put(&ledgers, users[i]->name, users[i]);
    wire_rowdesc_build(&a->out, user_columns, COLUMNS(user_columns));
    for (int i = 0; i < s->n_users; i++) {
        put_user(&r, s, s->users[i]->name, s->users[i], map_get(&ledgers, s->users[i]->name));
        row_end(&r, COLUMNS(user_columns), &a->out);
    }
    for (int i = 0; i < n; i++) { /* forced ones, and such as are in no file */
        if (setup_user(s, users[i]->name))
            continue;
        put_user(&r, s, users[i]->name, NULL, users[i]);
        row_end(&r, COLUMNS(user_columns), &a->out);
    }
    map_release(&ledgers);
    free(users);
    admin_complete(a, TEXT("SHOW"));
}

/* ---- lists ---- */

static const struct wire_column list_columns[] = { COL_S("list"), COL_I("items") };

static void put_item(struct admin *a, const char *name, uint64_t n)
{
    struct row r;

    row_init(&r);
    row_z(&r, name);
    row_uint(&r, n);
    row_end(&r, COLUMNS(list_columns), &a->out);
}

static void lists_done(struct admin *a, const struct survey *s)
{
    const struct setup *setup = console_setup(a->console);
    uint64_t autos = 0, pools = 0;
    int n;
    struct arena arena;
    struct db_ledger **dbs = registry_dbs(&a->console->hub->registry, &n);

    arena_init(&arena, 0);
    for (int i = 0; i < n; i++) {
        const struct database_conf *db = setup_database(setup, dbs[i]->name, &arena);
        autos += db && db->is_auto && !db_ledger_forgotten(dbs[i]);
    }
    arena_release(&arena);
    free(dbs);
    for (int i = 0; i < s->n_pools; i++)
        pools += s->pools[i].pool != NULL;
    pools++; /* the console's */
    wire_rowdesc_build(&a->out, list_columns, COLUMNS(list_columns));
    put_item(a, "databases", (uint64_t)setup->n_databases + autos + 1);
    put_item(a, "users", (uint64_t)setup->n_users);
    put_item(a, "peers", (uint64_t)setup->n_peers);
    put_item(a, "pools", pools);
    put_item(a, "peer_pools", (uint64_t)s->peer_pools);
    put_item(a, "free_clients", s->free_clients);
    put_item(a, "used_clients", (uint64_t)(s->clients + a->console->n_admins));
    put_item(a, "login_clients", (uint64_t)s->logins);
    put_item(a, "free_servers", s->free_servers);
    put_item(a, "used_servers", s->used_servers);
    put_item(a, "dns_names", (uint64_t)s->dns_names);
    put_item(a, "dns_zones", 0);
    put_item(a, "dns_queries", (uint64_t)s->dns_pending);
    put_item(a, "dns_pending", 0); /* never anything else in PgBouncer either */
    put_item(a, "workers", (uint64_t)a->console->hub->n_engines);
    admin_complete(a, TEXT("SHOW"));
}

void show_lists(struct admin *a, const struct statement *st)
{
    (void)st;
    admin_survey(a, lists_done);
}

/* ---- mem ---- */

static const struct wire_column mem_columns[] = {
    COL_S("name"), COL_I("size"), COL_I("used"), COL_I("free"), COL_I("memtotal"),
};

static void put_bytes(struct admin *a, const char *name, size_t size, size_t used, size_t spare,
                      size_t total)
{
    struct row r;

    row_init(&r);
    row_z(&r, name);
    row_uint(&r, size);
    row_uint(&r, used);
    row_uint(&r, spare);
    row_uint(&r, total < INT32_MAX ? total : INT32_MAX); /* the column's type */
    row_end(&r, COLUMNS(mem_columns), &a->out);
}

static void put_mem(struct admin *a, const char *name, size_t size, size_t used, size_t spare)
{
    put_bytes(a, name, size, used, spare, size * (used + spare));
}

static void mem_done(struct admin *a, const struct survey *s)
{
    struct console *c = a->console;
    int dbs, users, pools;

    free(registry_dbs(&c->hub->registry, &dbs));
    free(registry_users(&c->hub->registry, &users));
    free(registry_pools(&c->hub->registry, &pools));
    wire_rowdesc_build(&a->out, mem_columns, COLUMNS(mem_columns));
    put_mem(a, "user_cache", sizeof(struct user_ledger), (size_t)users, 0);
    size_t workers = (size_t)c->hub->registry.n_workers;
    put_mem(a, "db_cache", sizeof(struct db_ledger) + workers * sizeof(struct db_stats),
            (size_t)dbs, 0);
    put_mem(a, "pool_cache", sizeof(struct pool) + workers * sizeof(struct pool_worker),
            (size_t)pools, 0);
    put_mem(a, "server_cache", s->server_bytes, s->used_servers, s->free_servers);
    put_mem(a, "client_cache", s->client_bytes, s->used_clients, s->free_clients);
    put_mem(a, "iobuf_cache", s->scratch_bytes, (size_t)c->hub->n_engines, 0);
    put_mem(a, "prepared_statement_cache", sizeof(struct stmt), s->stmts, 0);
    put_bytes(a, "tenant_cache", s->verdicts ? s->verdict_bytes / s->verdicts : 0, s->verdicts, 0,
              s->verdict_bytes);
    admin_complete(a, TEXT("SHOW"));
}

void show_mem(struct admin *a, const struct statement *st)
{
    (void)st;
    admin_survey(a, mem_done);
}
