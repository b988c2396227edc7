/* SPDX-License-Identifier: ISC */
/* The probe of a server: one connection, one query. */
#include "main/probe.h"

#include "base/text.h"

#include <libpq-fe.h>
#include <string.h>

static int64_t number(const PGresult *r, int column)
{
    int64_t n = 0;

    if (PQgetisnull(r, 0, column) || !text_to_int64(text_of(PQgetvalue(r, 0, column)), &n))
        return 0;
    return n;
}

bool probe_backend(const struct catalog_source *src, struct probe_result *out, struct err *e)
{
    static const char sql[] =
        "SELECT pg_catalog.current_setting('max_connections'),"
        " pg_catalog.current_setting('superuser_reserved_connections'),"
        " COALESCE(pg_catalog.current_setting('reserved_connections', true), '0'),"
        " (SELECT pg_catalog.sum(numbackends) FROM pg_catalog.pg_stat_database),"
        " pg_catalog.pg_is_in_recovery()";
    usec_t start = clock_mono_us();
    PGconn *c;
    PGresult *r = NULL;

    memset(out, 0, sizeof(*out));
    c = backend_open(src, e);
    if (c)
        r = backend_query(c, "probe", sql, e);
    if (r && (PQntuples(r) != 1 || PQnfields(r) != 5)) {
        err_set(e, "probe: the server's answer has not the expected shape");
        PQclear(r);
        r = NULL;
    }
    if (r) {
        out->max_connections = number(r, 0);
        out->reserved = number(r, 1) + number(r, 2);
        out->used = number(r, 3);
        out->in_recovery = PQgetvalue(r, 0, 4)[0] == 't';
        out->version = PQserverVersion(c);
        PQclear(r);
    }
    PQfinish(c);
    out->duration_us = clock_mono_us() - start;
    return out->max_connections > 0;
}
