/* SPDX-License-Identifier: ISC */
/* The last result of each server's probe. */
#include "watch/backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORGET_US (600 * USEC_PER_SEC)  /* servers that are not probed any more, at least */
#define PATIENCE_US (10 * USEC_PER_SEC) /* a probe may take that long beyond its turn */

void backends_init(struct backends *b)
{
    *b = (struct backends){ 0 };
}

static void release_one(struct backend *one)
{
    free(one->name);
    free(one->last.dbs);
}

void backends_release(struct backends *b)
{
    for (int i = 0; i < b->n; i++)
        release_one(&b->list[i]);
    free(b->list);
    backends_init(b);
}

static struct backend *find(const struct backends *b, const char *name)
{
    for (int i = 0; i < b->n; i++)
        if (strcmp(b->list[i].name, name) == 0)
            return &b->list[i];
    return NULL;
}

static struct backend *slot(struct backends *b, const char *name)
{
    struct backend *found = find(b, name);

    if (found)
        return found;
    if (b->n == b->cap) {
        int cap = b->cap ? b->cap * 2 : 8;
        struct backend *p = realloc(b->list, sizeof(*p) * (size_t)cap);
        if (!p)
            return NULL;
        b->list = p;
        b->cap = cap;
    }
    found = &b->list[b->n];
    *found = (struct backend){ .name = strdup(name) };
    found->last.backend = found->name;
    if (!found->name)
        return NULL;
    b->n++;
    return found;
}

static void forget_old(struct backends *b, usec_t now)
{
    usec_t limit = b->interval * BACKEND_STALE_AFTER + PATIENCE_US;
    int n = 0;

    if (limit < FORGET_US)
        limit = FORGET_US;
    for (int i = 0; i < b->n; i++) {
        if (now - b->list[i].at_mono > limit)
            release_one(&b->list[i]);
        else
            b->list[n++] = b->list[i];
    }
    b->n = n;
}

static bool is_named(const char *backend, const char *host, int port)
{
    size_t n = strlen(host);
    char tail[16];

    if (strncmp(backend, host, n) != 0)
        return false;
    snprintf(tail, sizeof(tail), ":%d", port);
    return strcmp(backend + n, tail) == 0;
}

static bool is_probed(const struct setup *s, const char *backend)
{
    for (int i = 0; i <= s->n_databases; i++) {
        const struct database_conf *db = i < s->n_databases ? s->databases[i] : s->autodb;
        for (int h = 0; db && (db->catalog_user || db->user) && h < db->n_hosts; h++)
            if (is_named(backend, db->hosts[h], db->port))
                return true;
    }
    return false;
}

void backends_keep(struct backends *b, const struct setup *s)
{
    int n = 0;

    for (int i = 0; i < b->n; i++) {
        if (s->g.probe_interval == 0 || !is_probed(s, b->list[i].name))
            release_one(&b->list[i]);
        else
            b->list[n++] = b->list[i];
    }
    b->n = n;
}

/* Without memory the databases of before stay. */
static void take_values(struct backend *to, const struct backend_row *row)
{
    struct backend_db *dbs = to->last.dbs;
    int n = row->n_dbs < BACKEND_DBS_MAX ? row->n_dbs : BACKEND_DBS_MAX, n_was = to->last.n_dbs;
    struct backend_db *copy = n > 0 ? calloc((size_t)n, sizeof(*copy)) : NULL;

    to->last = *row;
    to->last.backend = to->name;
    if (n > 0 && !copy) {
        to->last.dbs = dbs;
        to->last.n_dbs = n_was;
        return;
    }
    for (int i = 0; i < n; i++)
        copy[i] = row->dbs[i];
    free(dbs);
    to->last.dbs = copy;
    to->last.n_dbs = n;
}

void backends_put(struct backends *b, const struct backend_row *row, usec_t interval)
{
    usec_t now = clock_mono_us();
    struct backend *to = slot(b, row->backend);

    b->interval = interval;
    if (to) {
        to->at_wall = clock_wall_us();
        to->at_mono = now;
        to->last.ok = row->ok;
        to->last.duration_us = row->duration_us;
        if (row->ok) {
            take_values(to, row);
            to->ok_mono = now;
        }
    }
    forget_old(b, now);
}

const struct backend_row *backends_values(const struct backends *b, const struct backend *one,
                                          usec_t now_mono)
{
    usec_t limit = b->interval * BACKEND_STALE_AFTER + PATIENCE_US;

    if (!one->ok_mono || (now_mono > one->ok_mono && now_mono - one->ok_mono > limit))
        return NULL;
    return &one->last;
}

bool backends_up(const struct backends *b, const char *backend)
{
    const struct backend *found = find(b, backend);
    return !found || found->last.ok;
}

int64_t backends_capacity(const struct setup *s, const char *backend)
{
    int64_t most = 0;

    for (int i = 0; i < s->n_databases; i++) {
        const struct database_conf *db = s->databases[i];
        if (db->storage_capacity <= most)
            continue;
        for (int h = 0; h < db->n_hosts; h++)
            if (is_named(backend, db->hosts[h], db->port))
                most = db->storage_capacity;
    }
    return most;
}
