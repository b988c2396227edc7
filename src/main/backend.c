/* SPDX-License-Identifier: ISC */
/* Own connections to a server over libpq: opening with time limits, and queries with errors as
 * values. */
#include "main/backend.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void drop_notice(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

/* libpq ends its texts with a line feed. */
static bool fail(struct err *e, const char *state, const char *what, const char *msg)
{
    size_t n = msg ? strlen(msg) : 0;

    while (n > 0 && (msg[n - 1] == '\n' || msg[n - 1] == ' '))
        n--;
    return err_set_state(e, state ? state : "", "%s: %.*s", what, (int)n, msg ? msg : "");
}

PGresult *backend_query(PGconn *c, const char *what, const char *sql, struct err *e)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType st = PQresultStatus(r);

    if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK)
        return r;
    fail(e, r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL, what,
         r ? PQresultErrorMessage(r) : PQerrorMessage(c));
    PQclear(r);
    return NULL;
}

PGconn *backend_open(const struct catalog_source *src, struct err *e)
{
    char port[16], connect_timeout[16], user_timeout[16], set[64];
    int connect_s = src->connect_timeout_s > 0 ? src->connect_timeout_s : 5;
    int query_ms = src->statement_timeout_ms > 0 ? src->statement_timeout_ms : 30000;
    const char *const names[] = { "host",
                                  "port",
                                  "dbname",
                                  "user",
                                  "password",
                                  "sslmode",
                                  "sslrootcert",
                                  "sslcert",
                                  "sslkey",
                                  "connect_timeout",
                                  "tcp_user_timeout",
                                  "client_encoding",
                                  "application_name",
                                  "gssencmode",
                                  NULL };
    const char *const values[] = { src->host,        port,          src->dbname,
                                   src->user,        src->password, src->sslmode,
                                   src->sslrootcert, src->sslcert,  src->sslkey,
                                   connect_timeout,  user_timeout,  "UTF8",
                                   "pgbulkhead",     "disable",     NULL };
    PGresult *r;
    PGconn *c;

    snprintf(port, sizeof(port), "%d", src->port);
    snprintf(connect_timeout, sizeof(connect_timeout), "%d", connect_s);
    snprintf(user_timeout, sizeof(user_timeout), "%d", query_ms + 5000);
    snprintf(set, sizeof(set), "SET statement_timeout = %d", query_ms);
    c = PQconnectdbParams(names, values, 0); /* 0: dbname is a name, never a connection string */
    if (!c) {
        err_set_state(e, "53200", "out of memory");
        return NULL;
    }
    if (PQstatus(c) != CONNECTION_OK) {
        fail(e, NULL, "cannot connect", PQerrorMessage(c));
        PQfinish(c);
        return NULL;
    }
    PQsetNoticeReceiver(c, drop_notice, NULL);
    r = backend_query(c, "statement_timeout", set, e);
    if (!r) {
        PQfinish(c);
        return NULL;
    }
    PQclear(r);
    return c;
}
