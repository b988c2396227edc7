/* SPDX-License-Identifier: ISC */
/* A libpq connection to a database for the pooler's own questions: the catalog and the probe.
 * Blocking, but for backend_begin; helper threads only. */
#ifndef MAIN_BACKEND_H
#define MAIN_BACKEND_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libpq's PGconn and PGresult; their header is needed only by those who use them */
struct pg_conn;
struct pg_result;
struct setup;
struct database_conf;

/* How to reach a database. Texts are NUL-terminated, borrowed for the call; NULL or "" = not given
 * (libpq's default). */
struct catalog_source {
    const char *host;     /* names, addresses or directories of Unix sockets, comma list */
    const char *hostaddr; /* addresses of the names in host, where they are known */
    int port;
    const char *dbname, *user, *password;
    const char *sslmode, *sslrootcert, *sslcert, *sslkey; /* as libpq's parameters of these names */
    const char *session_attrs;                            /* as libpq's target_session_attrs */
    const char *channel_binding, *ssl_min_protocol_version, *sslnegotiation; /* likewise */
    int connect_timeout_s;                                                   /* 0 = 5 seconds */
    int statement_timeout_ms; /* of each query, 0 = 30 seconds */
};

/* Fills what the keys of server_tls_* say beyond mode and files. */
void backend_tls_wishes(const struct setup *s, const struct database_conf *db,
                        struct catalog_source *src);
/* An open connection with client_encoding UTF8, statement_timeout set and notices dropped; the
 * caller calls PQfinish. NULL: e, with the SQLSTATE where the server sent one. */
struct pg_conn *backend_open(const struct catalog_source *src, struct err *e);
/* Begins to connect (PQconnectPoll goes on; libpq's own time limits do not hold); notices are
 * dropped. Does not block when host holds addresses, sockets, or names with hostaddr. NULL: out of
 * memory. */
struct pg_conn *backend_begin(const struct catalog_source *src);
/* Runs a query that gives rows (or a command); the caller calls PQclear. NULL: e. what: for the
 * error's text. */
struct pg_result *backend_query(struct pg_conn *c, const char *what, const char *sql,
                                struct err *e);
/* As backend_query, but ends early when cancel_fd (an eventfd, -1 = none) becomes readable: then
 * the server is asked to cancel, and e says so. */
struct pg_result *backend_run(struct pg_conn *c, const char *what, const char *sql, int cancel_fd,
                              struct err *e);
/* Runs COPY ... TO STDOUT; each piece goes to take, which returns false to end it (it has set e).
 * *rows gets the number of the command's tag. */
bool backend_copy_out(struct pg_conn *c, const char *sql, int cancel_fd,
                      bool (*take)(void *arg, const char *p, size_t n, struct err *e), void *arg,
                      int64_t *rows, struct err *e);

#endif
