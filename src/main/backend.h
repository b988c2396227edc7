/* SPDX-License-Identifier: ISC */
/* A libpq connection to a database for the pooler's own questions: the catalog and the probe.
 * Blocking; helper threads only. */
#ifndef MAIN_BACKEND_H
#define MAIN_BACKEND_H

#include "base/err.h"

/* libpq's PGconn and PGresult; their header is needed only by those who use them */
struct pg_conn;
struct pg_result;

/* How to reach a database. Texts are NUL-terminated, borrowed for the call; NULL or "" = not given
 * (libpq's default). */
struct catalog_source {
    const char *host; /* name, address or directory of the Unix socket */
    int port;
    const char *dbname, *user, *password;
    const char *sslmode, *sslrootcert, *sslcert, *sslkey; /* as libpq's parameters of these names */
    int connect_timeout_s;                                /* 0 = 5 seconds */
    int statement_timeout_ms;                             /* of each query, 0 = 30 seconds */
};

/* An open connection with client_encoding UTF8, statement_timeout set and notices dropped; the
 * caller calls PQfinish. NULL: e, with the SQLSTATE where the server sent one. */
struct pg_conn *backend_open(const struct catalog_source *src, struct err *e);
/* Runs a query that gives rows (or a command); the caller calls PQclear. NULL: e. what: for the
 * error's text. */
struct pg_result *backend_query(struct pg_conn *c, const char *what, const char *sql,
                                struct err *e);

#endif
