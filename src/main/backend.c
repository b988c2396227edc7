/* SPDX-License-Identifier: ISC */
/* Own connections to a server over libpq: opening with time limits, and queries with errors as
 * values. */
#include "main/backend.h"

#include "conf/setup.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- what may take long ---- */

static void cancel_now(PGconn *c)
{
    char text[256];
    PGcancel *k = PQgetCancel(c);

    if (k)
        (void)PQcancel(k, text, sizeof(text));
    PQfreeCancel(k);
}

/* Waits until libpq has something to read. false: canceled, and the server was told. */
static bool wait_input(PGconn *c, int cancel_fd, bool *canceled)
{
    struct pollfd fds[2] = { { PQsocket(c), POLLIN, 0 },
                             { *canceled ? -1 : cancel_fd, POLLIN, 0 } };

    if (poll(fds, 2, -1) < 0 && errno != EINTR)
        return false;
    if (fds[1].revents && !*canceled) {
        *canceled = true;
        cancel_now(c);
    }
    return !fds[0].revents || PQconsumeInput(c) == 1;
}

static bool is_good(const PGresult *r)
{
    ExecStatusType st = PQresultStatus(r);
    return st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_COPY_OUT;
}

/* The next result, NULL when there is none left or the connection broke (*ok is false then). */
static PGresult *next_result(PGconn *c, int cancel_fd, bool *canceled, bool *ok)
{
    while (PQisBusy(c)) {
        if (!wait_input(c, cancel_fd, canceled)) {
            *ok = false;
            return NULL;
        }
    }
    return PQgetResult(c);
}

static PGresult *failed(PGconn *c, PGresult *r, const char *what, bool canceled, struct err *e)
{
    if (canceled)
        err_set_state(e, "57014", "%s: canceled", what);
    else if (!e || !e->msg[0])
        fail(e, r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL, what,
             r ? PQresultErrorMessage(r) : PQerrorMessage(c));
    PQclear(r);
    return NULL;
}

PGresult *backend_run(PGconn *c, const char *what, const char *sql, int cancel_fd, struct err *e)
{
    bool canceled = false, ok = PQsendQuery(c, sql) == 1;
    PGresult *last = NULL, *r;

    while (ok && (r = next_result(c, cancel_fd, &canceled, &ok)) != NULL) {
        if (last && !is_good(last)) { /* the first error counts */
            PQclear(r);
            continue;
        }
        PQclear(last);
        last = r;
    }
    return ok && last && is_good(last) && !canceled ? last : failed(c, last, what, canceled, e);
}

bool backend_copy_out(PGconn *c, const char *sql, int cancel_fd,
                      bool (*take)(void *arg, const char *p, size_t n, struct err *e), void *arg,
                      int64_t *rows, struct err *e)
{
    bool canceled = false, ok = PQsendQuery(c, sql) == 1, good = true;
    PGresult *r = ok ? next_result(c, cancel_fd, &canceled, &ok) : NULL;
    char *piece;
    int n;

    if (!r || PQresultStatus(r) != PGRES_COPY_OUT)
        return failed(c, r, "COPY", canceled, e) != NULL;
    PQclear(r);
    while (ok && (n = PQgetCopyData(c, &piece, 1)) >= 0) {
        if (n == 0) {
            ok = wait_input(c, cancel_fd, &canceled);
            continue;
        }
        if (good && !take(arg, piece, (size_t)n, e)) {
            good = false;
            cancel_now(c);
        }
        PQfreemem(piece);
    }
    PGresult *last = NULL;
    while (ok && (r = next_result(c, cancel_fd, &canceled, &ok)) != NULL) {
        PQclear(last);
        last = r;
    }
    if (!ok || !good || canceled || !last || PQresultStatus(last) != PGRES_COMMAND_OK)
        return failed(c, last, "COPY", canceled, e) != NULL;
    *rows = strtoll(PQcmdTuples(last), NULL, 10);
    PQclear(last);
    return true;
}

void backend_tls_wishes(const struct setup *s, const struct database_conf *db,
                        struct catalog_source *src)
{
    static const char *const bindings[] = { "disable", "prefer", "require" };
    static const char *const versions[] = { NULL, "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
    int direct = db->server_tls_negotiation == SWITCH_UNSET ? s->g.server_tls_negotiation
                                                            : db->server_tls_negotiation;

    src->channel_binding = bindings[s->g.server_tls_channel_binding];
    src->ssl_min_protocol_version = versions[s->g.server_tls_min_version];
    /* older ones ask by SSLRequest, which servers answer too */
    src->sslnegotiation = direct && PQlibVersion() >= 170000 ? "direct" : NULL;
}

#define PARAMS 20

/* Parameters as libpq takes them; those that are numbers are kept here as text. */
struct params {
    const char *names[PARAMS], *values[PARAMS];
    int n;
    char port[16], connect_timeout[16], user_timeout[16];
};

static void param(struct params *p, const char *name, const char *value)
{
    p->names[p->n] = name;
    p->values[p->n++] = value;
}

static int query_limit_ms(const struct catalog_source *src)
{
    return src->statement_timeout_ms > 0 ? src->statement_timeout_ms : 30000;
}

static void params_fill(struct params *p, const struct catalog_source *src)
{
    *p = (struct params){ .n = 0 };
    snprintf(p->port, sizeof(p->port), "%d", src->port);
    snprintf(p->connect_timeout, sizeof(p->connect_timeout), "%d",
             src->connect_timeout_s > 0 ? src->connect_timeout_s : 5);
    snprintf(p->user_timeout, sizeof(p->user_timeout), "%d", query_limit_ms(src) + 5000);
    param(p, "host", src->host);
    param(p, "hostaddr", src->hostaddr);
    param(p, "port", p->port);
    param(p, "dbname", src->dbname);
    param(p, "user", src->user);
    param(p, "password", src->password);
    param(p, "sslmode", src->sslmode);
    param(p, "sslrootcert", src->sslrootcert);
    param(p, "sslcert", src->sslcert);
    param(p, "sslkey", src->sslkey);
    param(p, "connect_timeout", p->connect_timeout);
    param(p, "tcp_user_timeout", p->user_timeout);
    param(p, "client_encoding", "UTF8");
    param(p, "application_name", "pgbulkhead");
    param(p, "gssencmode", "disable");
    param(p, "target_session_attrs", src->session_attrs);
    param(p, "channel_binding", src->channel_binding);
    param(p, "ssl_min_protocol_version", src->ssl_min_protocol_version);
    param(p, "sslnegotiation", src->sslnegotiation);
    param(p, NULL, NULL);
}

PGconn *backend_begin(const struct catalog_source *src)
{
    struct params p;

    params_fill(&p, src);
    PGconn *c = PQconnectStartParams(p.names, p.values, 0);
    if (c)
        PQsetNoticeReceiver(c, drop_notice, NULL);
    return c;
}

PGconn *backend_open(const struct catalog_source *src, struct err *e)
{
    struct params p;
    char set[64];
    PGresult *r;
    PGconn *c;

    params_fill(&p, src);
    snprintf(set, sizeof(set), "SET statement_timeout = %d", query_limit_ms(src));
    c = PQconnectdbParams(p.names, p.values, 0); /* 0: dbname is a name, no connection string */
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
