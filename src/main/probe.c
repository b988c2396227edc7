/* SPDX-License-Identifier: ISC */
/* One probe of a server: connecting and its questions. */
#include "main/probe.h"

#include "base/text.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads of one answer: some megabytes, libpq taking 16 kB at a time; 200 rows are much less. */
#define READS_MAX 500
#define MONITOR "pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')"
#define NO_RIGHTS "the role is no member of pg_read_all_stats (or pg_monitor)"
/* clang-format off */
#define USECS(interval) "(EXTRACT(epoch FROM " interval ") * 1000000)::bigint"
#define SINCE(column)                                                                              \
    "COALESCE(" USECS("pg_catalog.max(pg_catalog.clock_timestamp() - " column ")") ", 0)"
#define SQL_LAG                                                                                    \
    "SELECT CASE WHEN pg_catalog.pg_last_wal_receive_lsn() ="                                      \
    " pg_catalog.pg_last_wal_replay_lsn() THEN 0 ELSE "                                            \
    USECS("pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()") " END"
#define SQL_TRANSACTION                                                                            \
    "SELECT CASE WHEN " MONITOR " THEN " SINCE("xact_start") " END"                                \
    " FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'"                      \
    " AND pid <> pg_catalog.pg_backend_pid()"
#define SQL_VACUUM                                                                                 \
    "SELECT pg_catalog.count(*), CASE WHEN " MONITOR " THEN " SINCE("a.xact_start") " END"         \
    " FROM pg_catalog.pg_stat_progress_vacuum v"                                                   \
    " LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)"
/* clang-format on */

static void take_set(struct probe *p, const PGresult *r);
static void take_limits(struct probe *p, const PGresult *r);
static void take_used(struct probe *p, const PGresult *r);
static void take_role(struct probe *p, const PGresult *r);
static void take_lag(struct probe *p, const PGresult *r);
static void take_xid(struct probe *p, const PGresult *r);
static void take_blocks(struct probe *p, const PGresult *r);
static void take_transaction(struct probe *p, const PGresult *r);
static void take_vacuum(struct probe *p, const PGresult *r);
static void take_sizes(struct probe *p, const PGresult *r);
static void take_indexes(struct probe *p, const PGresult *r);

/* In the order of enum probe_question. names: $1 is the array of our databases' names. */
static const struct question {
    const char *about, *sql;
    int columns;
    bool names;
    void (*take)(struct probe *p, const PGresult *r);
} questions[PROBE_QUESTIONS] = {
    [ASK_SET] = { "settings of its session", NULL, 2, false, take_set },
    [ASK_LIMITS] = { "connection limits",
                     "SELECT pg_catalog.current_setting('max_connections'),"
                     " pg_catalog.current_setting('superuser_reserved_connections'),"
                     " COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')",
                     3, false, take_limits },
    [ASK_USED] = { "number of connections",
                   "SELECT pg_catalog.sum(numbackends) FROM pg_catalog.pg_stat_database", 1, false,
                   take_used },
    [ASK_ROLE] = { "role", "SELECT pg_catalog.pg_is_in_recovery()", 1, false, take_role },
    [ASK_LAG] = { "replication lag", SQL_LAG, 1, false, take_lag },
    [ASK_XID] = { "age of transaction ids",
                  "SELECT pg_catalog.max(pg_catalog.age(datfrozenxid))"
                  " FROM pg_catalog.pg_database",
                  1, false, take_xid },
    [ASK_BLOCKS] = { "blocks read",
                     "SELECT datname, blks_hit, blks_read FROM pg_catalog.pg_stat_database"
                     " WHERE datname = ANY ($1::name[]) LIMIT 200",
                     3, true, take_blocks },
    [ASK_TRANSACTION] = { "oldest transaction", SQL_TRANSACTION, 1, false, take_transaction },
    [ASK_VACUUM] = { "running VACUUMs", SQL_VACUUM, 2, false, take_vacuum },
    [ASK_SIZES] = { "sizes of databases",
                    "SELECT datname, CASE WHEN " MONITOR
                    " OR pg_catalog.has_database_privilege(oid, 'CONNECT')"
                    " THEN pg_catalog.pg_database_size(oid) END FROM pg_catalog.pg_database"
                    " WHERE datname = ANY ($1::name[]) LIMIT 200",
                    2, true, take_sizes },
    [ASK_INDEXES] = { "blocks of indexes",
                      "SELECT pg_catalog.current_database(),"
                      " COALESCE(pg_catalog.sum(idx_blks_hit), 0),"
                      " COALESCE(pg_catalog.sum(idx_blks_read), 0)"
                      " FROM pg_catalog.pg_statio_user_indexes",
                      3, false, take_indexes },
};

const char *probe_question_name(enum probe_question q)
{
    return questions[q].about;
}

/* ---- answers ---- */

#define NUMBER_MAX (INT64_C(1) << 53) /* sums of what a server claims do not overflow */

static int64_t number(const PGresult *r, int row, int column)
{
    int64_t n;

    if (PQgetisnull(r, row, column) || !text_to_int64(text_of(PQgetvalue(r, row, column)), &n) ||
        n < 0 || n > NUMBER_MAX)
        return BACKEND_UNKNOWN;
    return n;
}

static struct backend_db *db_named(const struct probe *p, const char *name)
{
    for (int i = 0; i < p->row.n_dbs; i++)
        if (strcmp(p->row.dbs[i].name, name) == 0)
            return &p->row.dbs[i];
    return NULL;
}

/* Why something is unknown: the first line of what libpq or we say. */
static void gap(struct probe *p, const char *why)
{
    struct probe_gap *g = &p->gaps[p->at];
    size_t n = strcspn(why, "\n");

    g->is = true;
    snprintf(g->why, sizeof(g->why), "%.*s", (int)(n < 150 ? n : 150), why);
}

static void take_set(struct probe *p, const PGresult *r)
{
    (void)p;
    (void)r;
}

static void take_limits(struct probe *p, const PGresult *r)
{
    int64_t superusers = number(r, 0, 1), others = number(r, 0, 2);

    p->row.max_connections = number(r, 0, 0);
    p->row.reserved = superusers >= 0 && others >= 0 ? superusers + others : BACKEND_UNKNOWN;
}

static void take_used(struct probe *p, const PGresult *r)
{
    p->row.used = number(r, 0, 0);
}

static void take_role(struct probe *p, const PGresult *r)
{
    p->row.in_recovery = PQgetvalue(r, 0, 0)[0] == 't';
    p->row.role = p->row.in_recovery ? BACKEND_STANDBY : BACKEND_PRIMARY;
}

/* NULL: nothing was replayed since its start; no lag can be told. */
static void take_lag(struct probe *p, const PGresult *r)
{
    p->row.replication_lag_us = number(r, 0, 0);
}

static void take_xid(struct probe *p, const PGresult *r)
{
    p->row.transaction_id_age = number(r, 0, 0);
}

static void take_blocks(struct probe *p, const PGresult *r)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct backend_db *db = db_named(p, PQgetvalue(r, i, 0));
        if (!db)
            continue;
        db->blocks_hit = number(r, i, 1);
        db->blocks_read = number(r, i, 2);
    }
}

static void take_transaction(struct probe *p, const PGresult *r)
{
    p->row.oldest_transaction_us = number(r, 0, 0);
    if (PQgetisnull(r, 0, 0))
        gap(p, NO_RIGHTS);
}

static void take_vacuum(struct probe *p, const PGresult *r)
{
    p->row.vacuums = number(r, 0, 0);
    p->row.vacuum_oldest_us = number(r, 0, 1);
    if (PQgetisnull(r, 0, 1))
        gap(p, NO_RIGHTS);
}

static void take_sizes(struct probe *p, const PGresult *r)
{
    char why[160];

    for (int i = 0; i < PQntuples(r); i++) {
        struct backend_db *db = db_named(p, PQgetvalue(r, i, 0));
        if (!db)
            continue;
        db->size = number(r, i, 1);
        if (!PQgetisnull(r, i, 1))
            continue;
        snprintf(why, sizeof(why), "the role may not connect to %s", db->name);
        gap(p, why);
    }
}

static void take_indexes(struct probe *p, const PGresult *r)
{
    struct backend_db *db = db_named(p, PQgetvalue(r, 0, 0));

    if (!db)
        return;
    db->index_hit = number(r, 0, 1);
    db->index_read = number(r, 0, 2);
}

/* What a question that is about to be asked may fail to answer. */
static void unknown(struct probe *p, enum probe_question q)
{
    for (int i = 0; i < p->row.n_dbs; i++) {
        struct backend_db *db = &p->row.dbs[i];
        if (q == ASK_BLOCKS)
            db->blocks_hit = db->blocks_read = BACKEND_UNKNOWN;
        else if (q == ASK_SIZES)
            db->size = BACKEND_UNKNOWN;
        else if (q == ASK_INDEXES)
            db->index_hit = db->index_read = BACKEND_UNKNOWN;
    }
}

/* Sizes of databases stay from the time before. */
static void row_clear(struct backend_row *row)
{
    row->max_connections = row->reserved = row->used = BACKEND_UNKNOWN;
    row->in_recovery = false;
    row->role = BACKEND_ROLE_UNKNOWN;
    row->version = 0;
    row->oldest_transaction_us = row->transaction_id_age = row->replication_lag_us = row->vacuums =
        row->vacuum_oldest_us = BACKEND_UNKNOWN;
}

/* ---- names ---- */

static char *array_literal(const char *const *names, int n)
{
    size_t room = 3;

    for (int i = 0; i < n; i++)
        room += 2 * strlen(names[i]) + 3;
    char *text = malloc(room), *at = text;
    if (!text)
        return NULL;
    *at++ = '{';
    for (int i = 0; i < n; i++) {
        if (i)
            *at++ = ',';
        *at++ = '"';
        for (const char *s = names[i]; *s; s++) {
            if (*s == '"' || *s == '\\')
                *at++ = '\\';
            *at++ = *s;
        }
        *at++ = '"';
    }
    *at++ = '}';
    *at = '\0';
    return text;
}

bool probe_names(struct probe *p, const char *const *names, int n)
{
    n = n < BACKEND_DBS_MAX ? n : BACKEND_DBS_MAX;
    struct backend_db *dbs = n ? calloc((size_t)n, sizeof(*dbs)) : NULL;
    char *literal = n ? array_literal(names, n) : NULL;

    if (n && (!dbs || !literal)) {
        free(dbs);
        free(literal);
        return false;
    }
    for (int i = 0; i < n; i++) {
        const struct backend_db *was = db_named(p, names[i]);
        dbs[i] = was ? *was
                     : (struct backend_db){ .size = BACKEND_UNKNOWN,
                                            .blocks_hit = BACKEND_UNKNOWN,
                                            .blocks_read = BACKEND_UNKNOWN,
                                            .index_hit = BACKEND_UNKNOWN,
                                            .index_read = BACKEND_UNKNOWN };
        snprintf(dbs[i].name, sizeof(dbs[i].name), "%s", names[i]);
    }
    free(p->row.dbs);
    free(p->names);
    p->row.dbs = dbs;
    p->row.n_dbs = n;
    p->names = literal;
    return true;
}

/* ---- steps ---- */

static void end(struct probe *p, bool ok, usec_t now)
{
    p->state = ok ? PROBE_DONE : PROBE_FAILED;
    p->row.ok = ok;
    p->row.duration_us = now > p->began ? now - p->began : 0;
    if (!ok)
        probe_close(p);
}

static void fail(struct probe *p, const char *why, usec_t now)
{
    size_t n = strcspn(why, "\n");

    snprintf(p->error, sizeof(p->error), "%.*s", (int)(n < 500 ? n : 500), why);
    end(p, false, now);
}

static bool is_asked(const struct probe *p, enum probe_question q)
{
    if (q == ASK_LAG)
        return p->row.in_recovery;
    if (q == ASK_SIZES)
        return p->sizes && p->names;
    if (q == ASK_INDEXES)
        return p->sizes && db_named(p, PQdb(p->conn));
    return !questions[q].names || p->names;
}

static bool send_question(struct probe *p)
{
    const struct question *q = &questions[p->at];
    const char *values[1] = { p->names };
    char set[160];

    if (p->at != ASK_SET)
        return PQsendQueryParams(p->conn, q->sql, q->names ? 1 : 0, NULL, values, NULL, NULL, 0) ==
               1;
    snprintf(set, sizeof(set),
             "SELECT pg_catalog.set_config('search_path', '', false),"
             " pg_catalog.set_config('statement_timeout', '%llu', false)",
             (unsigned long long)(p->timeout / USEC_PER_MSEC));
    return PQsendQuery(p->conn, set) == 1;
}

/* The next question from p->at on, or the end. */
static void ask(struct probe *p, usec_t now)
{
    while (p->at < PROBE_QUESTIONS && !is_asked(p, p->at))
        p->at++;
    if (p->at == PROBE_QUESTIONS) {
        p->row.version = PQserverVersion(p->conn);
        end(p, true, now);
        return;
    }
    p->gaps[p->at].is = false;
    p->reads = 0;
    unknown(p, p->at);
    if (!send_question(p)) {
        fail(p, PQerrorMessage(p->conn), now);
        return;
    }
    p->state = PROBE_ASKING;
    /* the server's own limit comes first, and costs one value only */
    p->deadline = now + p->timeout + USEC_PER_SEC;
    p->want_write = PQflush(p->conn) == 1;
}

static void take(struct probe *p, const PGresult *r)
{
    const struct question *q = &questions[p->at];
    bool rows = q->names || PQntuples(r) == 1;

    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == q->columns && rows)
        q->take(p, r);
    else if (PQresultStatus(r) == PGRES_TUPLES_OK)
        gap(p, "the server's answer has not the expected shape");
    else
        gap(p, PQresultErrorMessage(r));
}

static void read_answer(struct probe *p, usec_t now)
{
    PGresult *r;

    if (PQconsumeInput(p->conn) != 1) {
        fail(p, PQerrorMessage(p->conn), now);
        return;
    }
    if (++p->reads > READS_MAX) { /* libpq would keep all of it */
        fail(p, "the server's answer is too long", now);
        return;
    }
    p->want_write = PQflush(p->conn) == 1;
    while (!PQisBusy(p->conn)) {
        r = PQgetResult(p->conn);
        if (!r)
            break;
        ExecStatusType st = PQresultStatus(r);
        take(p, r);
        PQclear(r);
        if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK && st != PGRES_FATAL_ERROR) {
            fail(p, "the server answers what was not asked", now); /* COPY, say */
            return;
        }
    }
    if (PQstatus(p->conn) != CONNECTION_OK) {
        fail(p, PQerrorMessage(p->conn), now);
        return;
    }
    if (!PQisBusy(p->conn) && PQtransactionStatus(p->conn) == PQTRANS_IDLE) {
        p->at++;
        ask(p, now);
    }
}

static void go_on_connecting(struct probe *p, usec_t now)
{
    switch (PQconnectPoll(p->conn)) {
    case PGRES_POLLING_READING:
        p->want_write = false;
        break;
    case PGRES_POLLING_WRITING:
        p->want_write = true;
        break;
    case PGRES_POLLING_OK:
        if (PQsetnonblocking(p->conn, 1) != 0) {
            fail(p, "out of memory", now);
            break;
        }
        p->at = ASK_SET;
        ask(p, now);
        break;
    default:
        fail(p, PQerrorMessage(p->conn), now);
    }
}

void probe_begin(struct probe *p, const struct catalog_source *src, usec_t timeout, bool sizes)
{
    usec_t now = clock_mono_us();

    row_clear(&p->row);
    p->error[0] = '\0';
    p->timeout = timeout;
    p->sizes = sizes;
    p->began = now;
    if (p->conn) {
        p->at = ASK_SET;
        ask(p, now);
        return;
    }
    p->conn = backend_begin(src);
    if (!p->conn) {
        fail(p, "out of memory", now);
    } else if (PQstatus(p->conn) == CONNECTION_BAD) {
        fail(p, PQerrorMessage(p->conn), now);
    } else {
        p->state = PROBE_CONNECTING;
        p->deadline = now + timeout;
        p->want_write = true;
    }
}

bool probe_busy(const struct probe *p)
{
    return p->state == PROBE_CONNECTING || p->state == PROBE_ASKING;
}

void probe_wait(const struct probe *p, struct pollfd *pfd)
{
    pfd->fd = PQsocket(p->conn);
    /* while it connects, libpq wants the one or the other */
    pfd->events = p->state == PROBE_CONNECTING ? (p->want_write ? POLLOUT : POLLIN)
                                               : (short)(POLLIN | (p->want_write ? POLLOUT : 0));
    pfd->revents = 0;
}

void probe_step(struct probe *p, bool ready, usec_t now)
{
    if (ready && p->state == PROBE_CONNECTING)
        go_on_connecting(p, now);
    else if (ready && p->state == PROBE_ASKING)
        read_answer(p, now);
    if (probe_busy(p) && now >= p->deadline)
        fail(p,
             p->state == PROBE_CONNECTING ? "cannot connect: no answer within probe_timeout"
                                          : "no answer within probe_timeout",
             now);
}

void probe_close(struct probe *p)
{
    PQfinish(p->conn);
    p->conn = NULL;
}

void probe_release(struct probe *p)
{
    probe_close(p);
    free(p->names);
    free(p->row.dbs);
}
