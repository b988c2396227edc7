/* SPDX-License-Identifier: ISC */
/* Servers as the probe saw them, and our own connections to them. */
#include "metrics/collect.h"

#include <stdio.h>

/* ---- about the last probe ---- */

static void write_probes(const struct collect *c, struct expo *x)
{
    static const enum metric said[] = { METRIC_backend_up, METRIC_backend_probe_success,
                                        METRIC_backend_probe_timestamp_seconds,
                                        METRIC_backend_probe_duration_seconds };

    for (size_t k = 0; k < sizeof(said) / sizeof(said[0]); k++) {
        collect_family(x, said[k]);
        for (int i = 0; i < c->backends->n; i++) {
            const struct backend *b = &c->backends->list[i];
            expo_label(x, "backend", text_of(b->name));
            if (said[k] == METRIC_backend_probe_timestamp_seconds)
                expo_usec(x, b->at_wall);
            else if (said[k] == METRIC_backend_probe_duration_seconds)
                expo_usec(x, b->last.duration_us);
            else
                expo_int(x, b->last.ok);
        }
    }
}

/* ---- what the last one that worked told; nothing that is unknown or stale ---- */

static const struct backend_row *fresh(const struct collect *c, int i)
{
    return backends_values(c->backends, &c->backends->list[i], c->survey->now);
}

static void write_infos(const struct collect *c, struct expo *x)
{
    static const char *const roles[] = { [BACKEND_ROLE_UNKNOWN] = "role=\"unknown\"",
                                         [BACKEND_PRIMARY] = "role=\"primary\"",
                                         [BACKEND_STANDBY] = "role=\"standby\"" };

    collect_family(x, METRIC_backend_role_info);
    for (int i = 0; i < c->backends->n; i++) {
        const struct backend_row *r = fresh(c, i);
        if (!r)
            continue;
        expo_label(x, "backend", text_of(c->backends->list[i].name));
        expo_labels(x, roles[r->role]);
        expo_int(x, 1);
    }
    collect_family(x, METRIC_backend_version_info);
    for (int i = 0; i < c->backends->n; i++) {
        const struct backend_row *r = fresh(c, i);
        char version[32];
        if (!r || r->version <= 0)
            continue;
        if (r->version >= 100000)
            snprintf(version, sizeof(version), "%d.%d", r->version / 10000, r->version % 10000);
        else
            snprintf(version, sizeof(version), "%d.%d.%d", r->version / 10000,
                     r->version / 100 % 100, r->version % 100);
        expo_label(x, "backend", text_of(c->backends->list[i].name));
        expo_label(x, "version", text_of(version));
        expo_int(x, 1);
    }
}

enum unit { UNIT_NUMBER, UNIT_USEC };

static void write_numbers(const struct collect *c, struct expo *x)
{
    static const struct {
        enum metric metric;
        enum unit unit;
        size_t offset;
    } numbers[] = {
#define NUMBER(name, unit, member) { METRIC_##name, unit, offsetof(struct backend_row, member) }
        NUMBER(backend_connections_max, UNIT_NUMBER, max_connections),
        NUMBER(backend_connections_reserved, UNIT_NUMBER, reserved),
        NUMBER(backend_connections_used, UNIT_NUMBER, used),
        NUMBER(backend_oldest_transaction_seconds, UNIT_USEC, oldest_transaction_us),
        NUMBER(backend_transaction_id_age, UNIT_NUMBER, transaction_id_age),
        NUMBER(backend_replication_lag_seconds, UNIT_USEC, replication_lag_us),
        NUMBER(backend_vacuums, UNIT_NUMBER, vacuums),
        NUMBER(backend_vacuum_oldest_seconds, UNIT_USEC, vacuum_oldest_us),
#undef NUMBER
    };

    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        collect_family(x, numbers[k].metric);
        for (int i = 0; i < c->backends->n; i++) {
            const struct backend_row *r = fresh(c, i);
            int64_t v = BACKEND_UNKNOWN;
            if (r)
                memcpy(&v, (const char *)r + numbers[k].offset, sizeof(v));
            if (v < 0)
                continue;
            expo_label(x, "backend", text_of(c->backends->list[i].name));
            if (numbers[k].unit == UNIT_USEC)
                expo_usec(x, (uint64_t)v);
            else
                expo_int(x, v);
        }
    }
}

static void write_databases(const struct collect *c, struct expo *x)
{
    static const struct {
        enum metric metric;
        size_t offset;
    } numbers[] = {
#define NUMBER(name, member) { METRIC_##name, offsetof(struct backend_db, member) }
        NUMBER(backend_database_size_bytes, size),
        NUMBER(backend_database_blocks_hit_total, blocks_hit),
        NUMBER(backend_database_blocks_read_total, blocks_read),
        NUMBER(backend_index_blocks_hit_total, index_hit),
        NUMBER(backend_index_blocks_read_total, index_read),
#undef NUMBER
    };

    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        collect_family(x, numbers[k].metric);
        for (int i = 0; i < c->backends->n; i++) {
            const struct backend_row *r = fresh(c, i);
            for (int d = 0; r && d < r->n_dbs; d++) {
                int64_t v;
                memcpy(&v, (const char *)&r->dbs[d] + numbers[k].offset, sizeof(v));
                if (v < 0)
                    continue;
                expo_label(x, "backend", text_of(c->backends->list[i].name));
                expo_label(x, "database", text_of(r->dbs[d].name));
                expo_int(x, v);
            }
        }
    }
}

/* ---- ours ---- */

struct own {
    struct text name;
    int64_t n;
};

/* Our servers by host and port; a list of hosts cannot be told apart here. */
static void write_own(const struct collect *c, struct expo *x)
{
    struct arena arena;
    struct map by_name;
    size_t pos = 0;
    struct text key;
    void *value;

    arena_init(&arena, 0);
    map_init(&by_name);
    for (int i = 0; i < c->survey->n_pools; i++) {
        const struct pool *p = c->survey->pools[i].pool;
        const struct database_conf *db = p ? setup_database(c->setup, p->db_name, &arena) : NULL;
        if (!db || db->n_hosts > 1)
            continue;
        struct text name =
            arena_printf(&arena, "%s:%d", db->n_hosts ? db->hosts[0] : "unix", db->port);
        struct own *o = map_get(&by_name, name);
        if (!o) {
            o = ARENA_NEW(&arena, struct own);
            o->name = name;
            map_put(&by_name, name, o);
        }
        o->n += atomic_load_explicit(&p->servers, memory_order_relaxed);
    }
    collect_family(x, METRIC_backend_connections_own);
    while (map_next(&by_name, &pos, &key, &value)) {
        expo_label(x, "backend", key);
        expo_int(x, ((struct own *)value)->n);
    }
    map_release(&by_name);
    arena_release(&arena);
}

/* ---- what the configuration says of their disks ---- */

static void write_storage(const struct collect *c, struct expo *x)
{
    struct arena arena;
    struct map by_name;
    size_t pos = 0;
    struct text key;
    void *value;

    arena_init(&arena, 0);
    map_init(&by_name);
    for (int i = 0; i < c->setup->n_databases; i++) {
        const struct database_conf *db = c->setup->databases[i];
        for (int h = 0; db->storage_capacity > 0 && h < db->n_hosts; h++) {
            struct text name = arena_printf(&arena, "%s:%d", db->hosts[h], db->port);
            const struct database_conf *most = map_get(&by_name, name);
            if (!most || most->storage_capacity < db->storage_capacity)
                map_put(&by_name, name, (void *)(uintptr_t)db);
        }
    }
    collect_family(x, METRIC_backend_storage_capacity_bytes);
    while (map_next(&by_name, &pos, &key, &value)) {
        expo_label(x, "backend", key);
        expo_int(x, ((const struct database_conf *)value)->storage_capacity);
    }
    map_release(&by_name);
    arena_release(&arena);
}

void collect_backends(const struct collect *c, struct expo *x)
{
    write_probes(c, x);
    write_infos(c, x);
    write_numbers(c, x);
    write_own(c, x);
    write_storage(c, x);
    write_databases(c, x);
}
