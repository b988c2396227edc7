/* SPDX-License-Identifier: ISC */
/* auth_query: a queue of questions, and threads that ask databases. */
#include "main/lookupd.h"

#include "base/check.h"
#include "base/thread.h"
#include "base/random.h"
#include "main/backend.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 3
#define KEPT 8            /* connections of a thread */
#define QUEUE_MAX 10000   /* questions that wait */
#define ANSWER_US 5000000 /* for one look-up */
#define QUIET_US 1000000  /* after a failed connection, no other attempt for so long */
#define CONNECT_S 5
#define STATEMENT "pgbulkhead_auth_query"

struct kept {
    char *key; /* malloc: how it was reached, and the query */
    PGconn *conn;
    usec_t used, failed_at; /* failed_at: conn is NULL since then */
};

struct lookupd {
    struct log *log;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list jobs;
    int n_jobs;
    bool stop;
    pthread_t threads[THREADS];
    int n_threads;
};

struct worker {
    struct lookupd *d;
    struct kept kept[KEPT];
};

/* ---- answers ---- */

static void answer_short(struct lookup_ask *a, enum lookup_result result, const char *text)
{
    struct mail_lookup *m = calloc(1, sizeof(*m));

    if (!m)
        return; /* client_login_timeout ends the login */
    m->result = result;
    snprintf(m->text, sizeof(m->text), "%s", text);
    lookup_post(a, m);
}

static bool failed(struct worker *w, struct lookup_ask *a, const char *what)
{
    struct text rest = text_of(what), line = rest;

    text_split(&rest, '\n', &line); /* libpq's texts have several, the first says it */
    log_often(w->d->log, LOG_LV_WARNING, text_of(a->db_name),
              "auth_query for database \"%s\": %.*s", a->db_name, TEXT_ARG(line));
    answer_short(a, LOOKUP_FAILED, "auth_query failed");
    return false;
}

static struct text put(struct mail_lookup *m, const PGresult *r, int col)
{
    if (PQgetisnull(r, 0, col))
        return text_n(NULL, 0);
    size_t n = (size_t)PQgetlength(r, 0, col);
    char *to = m->bytes + m->n_bytes;
    memcpy(to, PQgetvalue(r, 0, col), n);
    to[n] = '\0';
    m->n_bytes += n + 1;
    return text_n(to, n);
}

static struct text put_name(struct mail_lookup *m, const char *name)
{
    const struct text prefix = TEXT("claim.");
    struct text t = text_of(name);
    char *to = m->bytes + m->n_bytes;

    if (text_starts(t, prefix))
        t = text_n(t.p + prefix.n, t.n - prefix.n);
    memcpy(to, t.p, t.n + 1);
    m->n_bytes += t.n + 1;
    return text_n(to, t.n);
}

/* One row: user, secret, tenant, further claims by the columns' names. */
static bool answer_row(struct worker *w, struct lookup_ask *a, const PGresult *r)
{
    int cols = PQnfields(r);
    size_t room = 1;

    for (int i = 0; i < cols; i++)
        room += (size_t)PQgetlength(r, 0, i) + strlen(PQfname(r, i)) + 2;
    struct mail_lookup *m = calloc(1, sizeof(*m) + room);
    if (!m)
        return failed(w, a, "out of memory");
    m->result = LOOKUP_FOUND;
    m->user = put(m, r, 0);
    m->secret = put(m, r, 1);
    if (cols > 2)
        m->tenant = put(m, r, 2);
    for (int i = 3; i < cols; i++) {
        if (PQgetisnull(r, 0, i))
            continue;
        m->claims[m->n_claims].name = put_name(m, PQfname(r, i));
        m->claims[m->n_claims++].value = put(m, r, i);
    }
    lookup_post(a, m);
    return true;
}

static bool answer_result(struct worker *w, struct lookup_ask *a, const PGresult *r)
{
    int cols = PQnfields(r);

    if (cols < 2)
        return failed(w, a, "expected two columns: user and secret");
    if (cols > 2 && !(a->setup->tenant_sources & SOURCE_AUTH_QUERY))
        return failed(w, a, "it gives a tenant, but tenant_identity does not list auth_query");
    if (cols > 3 + LOOKUP_CLAIMS)
        return failed(w, a, "too many columns");
    for (int i = 3; i < cols; i++)
        for (int k = 3; k < i; k++)
            if (strcmp(PQfname(r, i), PQfname(r, k)) == 0)
                return failed(w, a, "a claim's column is there twice");
    if (PQntuples(r) == 0) {
        answer_short(a, LOOKUP_NOBODY, "");
        return true;
    }
    if (PQntuples(r) > 1)
        return failed(w, a, "more than one row");
    if (PQgetisnull(r, 0, 0) || !PQgetlength(r, 0, 0))
        return failed(w, a, "the user's name is null or empty");
    return answer_row(w, a, r);
}

/* ---- connections ---- */

static void kept_close(struct kept *k)
{
    PQfinish(k->conn);
    free(k->key);
    *k = (struct kept){ .conn = NULL };
}

/* The place for a key: its own, a free one, or that of the connection unused for longest. */
static struct kept *kept_for(struct worker *w, const char *key)
{
    struct kept *best = &w->kept[0];

    for (int i = 0; i < KEPT; i++) {
        struct kept *k = &w->kept[i];
        if (k->key && strcmp(k->key, key) == 0)
            return k;
        if (!k->key || (best->key && k->used < best->used))
            best = k;
    }
    kept_close(best);
    best->key = strdup(key);
    return best->key ? best : NULL;
}

/* The result of a statement that was sent; NULL: e. Waits for ANSWER_US at most. */
static PGresult *await(PGconn *c, struct err *e)
{
    usec_t until = clock_mono_us() + ANSWER_US;
    PGresult *r, *last = NULL;

    for (;;) {
        while (PQisBusy(c)) {
            usec_t now = clock_mono_us();
            struct pollfd p = { .fd = PQsocket(c), .events = POLLIN };
            bool late = now >= until || p.fd < 0;
            if (!late)
                poll(&p, 1, (int)((until - now) / 1000) + 1);
            if (late || !PQconsumeInput(c)) {
                err_set(e, "%s", late ? "no answer in time" : PQerrorMessage(c));
                PQclear(last);
                return NULL;
            }
        }
        r = PQgetResult(c);
        if (!r)
            break;
        PQclear(last);
        last = r;
        if (PQstatus(c) != CONNECTION_OK)
            break;
    }
    if (!last)
        err_set(e, "%s", PQerrorMessage(c));
    return last;
}

static bool connect_to(struct kept *k, const struct catalog_source *src, const char *query,
                       struct err *e)
{
    usec_t now = clock_mono_us();

    if (k->failed_at && now - k->failed_at < QUIET_US)
        return err_set(e, "the last attempt to connect has just failed");
    k->conn = backend_open(src, e);
    k->failed_at = k->conn ? 0 : now;
    if (!k->conn)
        return false;
    PGresult *r = PQsendPrepare(k->conn, STATEMENT, query, 0, NULL) ? await(k->conn, e) : NULL;
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (!ok)
        err_set(e, "%s", r ? PQresultErrorMessage(r) : PQerrorMessage(k->conn));
    PQclear(r);
    if (!ok) {
        PQfinish(k->conn);
        k->conn = NULL;
    }
    return ok;
}

static PGresult *ask_once(struct kept *k, const char *user, struct err *e)
{
    const char *const values[] = { user };

    if (!PQsendQueryPrepared(k->conn, STATEMENT, 1, values, NULL, NULL, 0)) {
        err_set(e, "%s", PQerrorMessage(k->conn));
        return NULL;
    }
    PGresult *r = await(k->conn, e);
    if (r && PQresultStatus(r) != PGRES_TUPLES_OK) {
        err_set(e, "%s", PQresultErrorMessage(r));
        PQclear(r);
        r = NULL;
    }
    return r;
}

/* A connection that was kept may be dead, or its statement out of date: then a fresh one is
 * asked. */
static PGresult *ask(struct kept *k, const struct catalog_source *src, const char *query,
                     const char *user, struct err *e)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !k->conn;
        if (fresh && !connect_to(k, src, query, e))
            return NULL;
        PGresult *r = ask_once(k, user, e);
        if (r)
            return r;
        PQfinish(k->conn);
        k->conn = NULL;
        if (fresh)
            return NULL;
    }
    return NULL;
}

/* ---- one question ---- */

static const char *first_of(const char *a, const char *b)
{
    return a ? a : b;
}

static const char *file_or_none(const char *s)
{
    return s && *s ? s : "/dev/null/none"; /* libpq would look into a home directory */
}

/* How to reach the database, by entry and user. host: comma list, in the arena. */
static void source_of(const struct setup *s, const struct database_conf *db, const char *user,
                      struct arena *a, struct catalog_source *src)
{
    static const char *const modes[] = { "disable", "allow",     "prefer",
                                         "require", "verify-ca", "verify-full" };
    const struct settings *g = &s->g;
    const struct user_conf *u = setup_user(s, text_of(user));
    struct buf hosts;

    buf_init(&hosts);
    for (int i = 0; i < db->n_hosts; i++)
        buf_printf(&hosts, "%s%s", i ? "," : "", *db->hosts[i] ? db->hosts[i] : g->unix_socket_dir);
    *src = (struct catalog_source){ .host = arena_text(a, buf_text(&hosts)).p,
                                    .port = db->port,
                                    .dbname = db->dbname,
                                    .user = user,
                                    .sslmode = modes[g->server_tls_sslmode],
                                    .sslrootcert = file_or_none(g->server_tls_ca_file),
                                    .sslcert = file_or_none(g->server_tls_cert_file),
                                    .sslkey = file_or_none(g->server_tls_key_file),
                                    .connect_timeout_s = CONNECT_S,
                                    .statement_timeout_ms = ANSWER_US / 1000 };
    backend_tls_wishes(s, db, src);
    buf_release(&hosts);
    if (u && u->secret.n)
        src->password = u->secret.p;
    else if (db->user && strcmp(db->user, user) == 0)
        src->password = db->password;
}

static void look_up(struct worker *w, struct lookup_ask *a, struct arena *scratch)
{
    const struct settings *g = &a->setup->g;
    const struct database_conf *db = setup_database(a->setup, text_of(a->db_name), scratch);
    const char *user = first_of(db ? db->auth_user : NULL, g->auth_user);
    const char *query = first_of(db ? db->auth_query : NULL, g->auth_query);
    const char *name = first_of(db ? db->auth_dbname : NULL, g->auth_dbname);
    struct catalog_source src;
    struct err e = { 0 };

    if (*name)
        db = setup_database(a->setup, text_of(name), scratch);
    if (!db && *name) {
        log_often(w->d->log, LOG_LV_ERROR, text_of(name),
                  "authentication database \"%s\" is not configured", name);
        answer_short(a, LOOKUP_FAILED, "bouncer config error");
        return;
    }
    if (!db || !*user) { /* the console, or a database that is not there: told after the password */
        answer_short(a, LOOKUP_NOBODY, "");
        return;
    }
    source_of(a->setup, db, user, scratch, &src);
    struct text key =
        arena_printf(scratch, "%llu %s %d %s %s %s", (unsigned long long)a->setup->generation,
                     src.host, src.port, src.dbname, src.user, query);
    struct kept *k = kept_for(w, key.p);
    if (!k) {
        failed(w, a, "out of memory");
        return;
    }
    k->used = clock_mono_us();
    PGresult *r = ask(k, &src, query, a->user, &e);
    if (r)
        answer_result(w, a, r);
    else
        failed(w, a, e.msg);
    PQclear(r);
}

/* ---- threads ---- */

static void *work(void *arg)
{
    struct lookupd *d = arg;
    struct worker w = { .d = d };

    pthread_mutex_lock(&d->mutex);
    for (;;) {
        while (!d->stop && list_empty(&d->jobs))
            pthread_cond_wait(&d->cond, &d->mutex);
        if (d->stop)
            break;
        struct lookup_ask *a = LIST_ENTRY(list_pop(&d->jobs), struct lookup_ask, node);
        d->n_jobs--;
        pthread_mutex_unlock(&d->mutex);
        struct arena scratch;
        arena_init(&scratch, 1024);
        look_up(&w, a, &scratch);
        arena_release(&scratch);
        lookup_ask_free(a);
        pthread_mutex_lock(&d->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    for (int i = 0; i < KEPT; i++)
        kept_close(&w.kept[i]);
    return NULL;
}

struct lookupd *lookupd_start(struct log *log)
{
    struct lookupd *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->log = log;
    list_init(&d->jobs);
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->cond, NULL);
    for (int i = 0; i < THREADS; i++)
        if (thread_start(&d->threads[d->n_threads], 0, work, d) == 0)
            d->n_threads++;
    if (d->n_threads)
        return d;
    lookupd_stop(d);
    return NULL;
}

void lookupd_stop(struct lookupd *d)
{
    struct list *n;

    pthread_mutex_lock(&d->mutex);
    d->stop = true;
    pthread_cond_broadcast(&d->cond);
    pthread_mutex_unlock(&d->mutex);
    for (int i = 0; i < d->n_threads; i++)
        pthread_join(d->threads[i], NULL);
    while ((n = list_pop(&d->jobs)) != NULL)
        lookup_ask_free(LIST_ENTRY(n, struct lookup_ask, node));
    pthread_mutex_destroy(&d->mutex);
    pthread_cond_destroy(&d->cond);
    free(d);
}

void lookupd_ask(struct lookupd *d, struct lookup_ask *a)
{
    pthread_mutex_lock(&d->mutex);
    bool room = d->n_jobs < QUEUE_MAX;
    if (room) {
        list_push_tail(&d->jobs, &a->node);
        d->n_jobs++;
        pthread_cond_signal(&d->cond);
    }
    pthread_mutex_unlock(&d->mutex);
    if (room)
        return;
    answer_short(a, LOOKUP_FAILED, "auth_query failed: too many at once");
    lookup_ask_free(a);
}
