/* SPDX-License-Identifier: ISC */
/* Database servers of /api/status, as the probe saw them; sizes of databases on them. */
#include "metrics/status.h"

#include <stdio.h>

/* A number that the server may not have told. */
static void told(struct buf *b, const char *name, int64_t v)
{
    if (v == BACKEND_UNKNOWN)
        status_null(b, name);
    else
        status_int(b, name, v);
}

static void told_usec(struct buf *b, const char *name, int64_t us)
{
    if (us == BACKEND_UNKNOWN)
        status_null(b, name);
    else
        status_usec(b, name, (uint64_t)us);
}

/* 150014 → "15.14" */
static void write_version(struct buf *b, int version)
{
    char text[32];

    if (version <= 0) {
        status_null(b, "version");
        return;
    }
    snprintf(text, sizeof(text), "%d.%d", version / 10000, version % 10000);
    status_text(b, "version", text_of(text));
}

static void write_storage(const struct status *s, struct buf *b, const struct backend_row *r)
{
    int64_t capacity = backends_capacity(s->c->setup, r->backend), size = BACKEND_UNKNOWN;

    for (int i = 0; i < r->n_dbs; i++)
        if (r->dbs[i].size != BACKEND_UNKNOWN)
            size = (size == BACKEND_UNKNOWN ? 0 : size) + r->dbs[i].size;
    told(b, "database_bytes", size);
    if (capacity > 0)
        status_int(b, "storage_capacity_bytes", capacity);
    else
        status_null(b, "storage_capacity_bytes");
    status_share(b, "storage", size, size == BACKEND_UNKNOWN ? 0 : capacity);
}

static void write_values(const struct status *s, struct buf *b, const struct backend_row *r)
{
    static const char *const roles[] = { [BACKEND_ROLE_UNKNOWN] = "unknown",
                                         [BACKEND_PRIMARY] = "primary",
                                         [BACKEND_STANDBY] = "standby" };
    bool whole = r->used != BACKEND_UNKNOWN && r->max_connections != BACKEND_UNKNOWN &&
                 r->reserved != BACKEND_UNKNOWN;

    status_text(b, "role", text_of(roles[r->role]));
    write_version(b, r->version);
    told(b, "connections_used", r->used);
    told(b, "connections_max", r->max_connections);
    told(b, "connections_reserved", r->reserved);
    status_share(b, "utilisation", r->used, whole ? r->max_connections - r->reserved : 0);
    told_usec(b, "oldest_transaction_seconds", r->oldest_transaction_us);
    told_usec(b, "replication_lag_seconds", r->replication_lag_us);
    told(b, "vacuums", r->vacuums);
    write_storage(s, b, r);
}

static void write_backend(const struct status *s, struct buf *b, const struct backend *k)
{
    const struct backend_row *r = backends_values(s->c->backends, k, s->c->survey->now);

    json_key(b, NULL);
    buf_char(b, '{');
    status_text(b, "name", text_of(k->name));
    status_bool(b, "up", k->last.ok);
    status_usec(b, "probed", k->at_wall);
    status_usec(b, "probe_seconds", k->last.duration_us);
    if (r) {
        json_key(b, "values");
        buf_char(b, '{');
        write_values(s, b, r);
        buf_char(b, '}');
    } else
        status_null(b, "values");
    buf_char(b, '}');
}

void status_backends(const struct status *s, struct buf *out)
{
    const struct backends *all = s->c->backends;
    int shown = 0;

    json_key(out, "backends");
    buf_char(out, '{');
    status_int(out, "total", all->n);
    json_key(out, "list");
    buf_char(out, '[');
    for (int ok = 0; ok < 2; ok++) /* those that do not answer first */
        for (int i = 0; i < all->n && shown < STATUS_BACKENDS; i++)
            if (all->list[i].last.ok == (ok == 1)) {
                write_backend(s, out, &all->list[i]);
                shown++;
            }
    buf_text_append(out, TEXT("]}"));
}

/* The size that a server told of a database of this name, or BACKEND_UNKNOWN. */
static int64_t size_there(const struct status *s, const char *backend, const char *dbname)
{
    const struct backends *all = s->c->backends;

    for (int i = 0; i < all->n; i++) {
        if (strcmp(all->list[i].name, backend) != 0)
            continue;
        const struct backend_row *r = backends_values(all, &all->list[i], s->c->survey->now);
        for (int d = 0; r && d < r->n_dbs; d++)
            if (strcmp(r->dbs[d].name, dbname) == 0)
                return r->dbs[d].size;
    }
    return BACKEND_UNKNOWN;
}

void status_database_size(const struct status *s, struct text name, struct buf *out)
{
    int64_t size = BACKEND_UNKNOWN;
    struct arena arena;
    char backend[512];

    arena_init(&arena, 1024);
    const struct database_conf *db = setup_database(s->c->setup, name, &arena);
    for (int h = 0; db && db->dbname && h < db->n_hosts && size == BACKEND_UNKNOWN; h++) {
        snprintf(backend, sizeof(backend), "%s:%d", db->hosts[h], db->port);
        size = size_there(s, backend, db->dbname);
    }
    arena_release(&arena);
    told(out, "size_bytes", size);
}
