/* SPDX-License-Identifier: ISC */
/*
 * The database servers as the probe saw them last. Control thread only.
 */
#ifndef WATCH_BACKENDS_H
#define WATCH_BACKENDS_H

#include "base/clock.h"
#include "conf/setup.h"

#include <stdbool.h>
#include <stdint.h>

#define BACKEND_UNKNOWN (-1)  /* a number that the server did not tell, for want of rights, say */
#define BACKEND_NAME_MAX 64   /* bytes of a database's name on the server, with the NUL */
#define BACKEND_DBS_MAX 200   /* databases of one server that are looked at */
#define BACKEND_STALE_AFTER 3 /* intervals without success */

enum backend_role { BACKEND_ROLE_UNKNOWN, BACKEND_PRIMARY, BACKEND_STANDBY };

/* One database of ours on a server. Numbers may be BACKEND_UNKNOWN. */
struct backend_db {
    char name[BACKEND_NAME_MAX];
    int64_t size;                    /* bytes */
    int64_t blocks_hit, blocks_read; /* since the server's statistics were reset */
    int64_t index_hit, index_read;   /* likewise, blocks of user tables' indexes */
};

/* What a probe found out about a server. Numbers may be BACKEND_UNKNOWN. */
struct backend_row {
    const char *backend; /* "host:port" */
    bool ok;             /* it answered; the members below hold what the last success told */
    int64_t max_connections, reserved, used;
    bool in_recovery; /* role == BACKEND_STANDBY */
    enum backend_role role;
    int version;                       /* like 150014, 0 = unknown */
    int64_t oldest_transaction_us;     /* open transaction of any client, 0 = none is open */
    int64_t transaction_id_age;        /* of the database that is next to wrap around */
    int64_t replication_lag_us;        /* standbys only */
    int64_t vacuums, vacuum_oldest_us; /* VACUUMs that run, and since when the oldest does */
    struct backend_db *dbs;            /* n_dbs of them */
    int n_dbs;
    usec_t duration_us; /* of the last probe, whether it worked or not */
};

/* One probed server, kept between probes. */
struct backend {
    char *name;
    struct backend_row last; /* backend = name; dbs is owned */
    usec_t at_wall, at_mono; /* the last probe */
    usec_t ok_mono;          /* the last that worked, 0 = none did */
};

struct backends {
    struct backend *list; /* n of them; none is freed but by backends_put and backends_release */
    int n, cap;
    usec_t interval; /* probe_interval, as of the last probe */
};

void backends_init(struct backends *b);
void backends_release(struct backends *b);
/* A new result; copied. Of a failure (ok = false) only ok and duration_us are taken: the rest stays
 * as it was until it is stale. interval: of the probes. A server that has not been probed for ten
 * minutes (and three intervals) is forgotten. Without memory a new server is left out. */
void backends_put(struct backends *b, const struct backend_row *row, usec_t interval);
/* Forgets servers that the configuration has not, or asks nobody to probe; all of them when
 * probe_interval is 0: what is not probed is not stale. */
void backends_keep(struct backends *b, const struct setup *s);
/* What the last successful probe told; NULL when there was none, or none for
 * BACKEND_STALE_AFTER intervals: what is that old is nobody's present state. */
const struct backend_row *backends_values(const struct backends *b, const struct backend *one,
                                          usec_t now_mono);
/* storage_capacity of that server ("host:port"), bytes: the greatest of its entries. 0 = not
 * stated. */
int64_t backends_capacity(const struct setup *s, const char *backend);
/* Did the server answer its last probe? true when it was never probed. */
bool backends_up(const struct backends *b, const char *backend);

#endif
