/* SPDX-License-Identifier: ISC */
/* DELETE TENANT: all rows of one tenant in one transaction. */
#include "base/buf.h"
#include "main/life.h"

#include <libpq-fe.h>
#include <stdlib.h>

static bool run(PGconn *pg, const char *what, const char *sql, int cancel_fd, struct err *e)
{
    PGresult *r = backend_run(pg, what, sql, cancel_fd, e);
    PQclear(r);
    return r != NULL;
}

/* One table: DELETE and its tag. */
static bool delete_one(PGconn *pg, struct tenant_table *t, int cancel_fd, struct arena *a,
                       struct err *e)
{
    struct text sql =
        arena_printf(a, "DELETE FROM %.*s WHERE %.*s", TEXT_ARG(t->from), TEXT_ARG(t->condition));
    struct text what = arena_printf(a, "DELETE FROM %.*s", TEXT_ARG(t->name));
    PGresult *r = backend_run(pg, what.p, sql.p, cancel_fd, e);

    if (r)
        t->rows = strtoll(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return r != NULL;
}

/* Tables that reference one another in a circle: one statement, so that their foreign keys are
 * looked at when all rows are gone. */
static bool delete_circle(PGconn *pg, struct tenant_table *t, int n, int cancel_fd, struct arena *a,
                          struct err *e)
{
    struct buf b;
    PGresult *r = NULL;

    buf_init(&b);
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s d%d AS (DELETE FROM %.*s WHERE %.*s RETURNING 1)", i ? "," : "WITH", i,
                   TEXT_ARG(t[i].from), TEXT_ARG(t[i].condition));
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s (SELECT pg_catalog.count(*) FROM d%d)", i ? "," : " SELECT", i);
    buf_char(&b, '\0');
    struct text what = arena_printf(a, "DELETE FROM %.*s and %d tables that it references",
                                    TEXT_ARG(t->name), n - 1);
    if (b.failed)
        err_set_state(e, "53200", "out of memory");
    else
        r = backend_run(pg, what.p, b.p, cancel_fd, e);
    for (int i = 0; r && i < n; i++)
        t[i].rows = strtoll(PQgetvalue(r, 0, i), NULL, 10);
    buf_release(&b);
    PQclear(r);
    return r != NULL;
}

/* The plan has parents first; children go first here. */
static void turn_around(struct tenant_tables *t)
{
    for (int i = 0; i < t->n / 2; i++) {
        struct tenant_table x = t->v[i];
        t->v[i] = t->v[t->n - 1 - i];
        t->v[t->n - 1 - i] = x;
    }
}

static bool delete_all(PGconn *pg, const struct life_request *rq, struct tenant_tables *t,
                       struct arena *a, struct err *e)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i].rel->cat->has_rules)
            return err_set(e, "table %.*s has rules: what DELETE does there is not known",
                           TEXT_ARG(t->v[i].name));
    for (int i = 0, n; i < t->n; i += n) {
        for (n = 1; i + n < t->n && t->v[i + n].group == t->v[i].group;)
            n++;
        if (!(n == 1 ? delete_one(pg, &t->v[i], rq->cancel_fd, a, e)
                     : delete_circle(pg, &t->v[i], n, rq->cancel_fd, a, e)))
            return false;
    }
    /* What was deferred shows now, in a dry run too. */
    return run(pg, "constraints", "SET CONSTRAINTS ALL IMMEDIATE", rq->cancel_fd, e);
}

bool life_delete(PGconn *pg, const struct life_request *rq, struct arena *a,
                 struct tenant_tables *t, struct err *e)
{
    bool ok = run(pg, "begin",
                  "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL row_security = off;"
                  " SET LOCAL search_path = ''; SET LOCAL statement_timeout = 0;"
                  " SET CONSTRAINTS ALL DEFERRED",
                  rq->cancel_fd, e);

    ok = ok && tenant_tables_plan(pg, rq->policy, rq->identity, a, t, e);
    if (ok)
        turn_around(t);
    ok = ok && tenant_tables_apart(pg, rq->policy, t, rq->cancel_fd, e) &&
         delete_all(pg, rq, t, a, e);
    if (!ok || rq->dry_run) {
        struct err ignored = { 0 };
        return run(pg, "rollback", "ROLLBACK", -1, ok ? e : &ignored) && ok;
    }
    return run(pg, "commit", "COMMIT", -1, e);
}
