/* SPDX-License-Identifier: ISC */
/* The thread of one DELETE TENANT or EXPORT TENANT. */
#include "main/chore.h"

#include "base/check.h"
#include "base/thread.h"
#include "main/catalog.h"
#include "main/catalogd.h"
#include "main/life.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct chore {
    struct mail mail; /* first: the mail that ends it */
    struct loop *control;
    struct log *log;
    pthread_t thread;
    int cancel_fd;
    struct arena arena;
    const struct setup *setup;
    const struct database_conf *db;
    struct identity identity;
    struct console_life rq; /* texts in the arena */
    struct console_life_result result;
    struct err err;
    struct policy *policy;
    bool ok;
};

static const char *verb(const struct chore *c)
{
    return c->rq.verb == LIFE_EXPORT ? "EXPORT" : "DELETE";
}

static bool read_policy(struct chore *c, PGconn *pg)
{
    struct catalog *cat = catalog_read(pg, &c->err);

    if (cat)
        c->policy = policy_new(c->setup, c->db, cat, 0, NULL, &c->err);
    return c->policy != NULL;
}

static void keep_rows(struct chore *c, const struct tenant_tables *t)
{
    struct console_life_row *rows = ARENA_ARRAY(&c->arena, struct console_life_row, t->n + 1);

    for (int i = 0; i < t->n; i++) {
        const struct policy_relation *r = t->v[i].rel;
        rows[i] = (struct console_life_row){ r->schema, r->name, r->column->name,
                                             t->v[i].claim->name, t->v[i].rows };
        c->result.total += t->v[i].rows;
    }
    c->result.rows = rows;
    c->result.n = t->n;
    c->result.warnings = t->warnings;
    c->result.n_warnings = t->n_warnings;
}

static void work_with(struct chore *c, PGconn *pg)
{
    struct tenant_tables t;
    struct life_request rq = { .policy = c->policy,
                               .identity = &c->identity,
                               .database = c->db->name,
                               .dry_run = c->rq.dry_run,
                               .dir = c->rq.dir.p,
                               .cancel_fd = c->cancel_fd };

    c->ok = c->rq.verb == LIFE_EXPORT ? life_export(pg, &rq, &c->arena, &t, &c->err)
                                      : life_delete(pg, &rq, &c->arena, &t, &c->err);
    if (c->ok)
        keep_rows(c, &t);
}

static void *work(void *arg)
{
    struct chore *c = arg;
    struct catalog_source src;

    catalogd_source(c->setup, c->db, &src);
    PGconn *pg = backend_open(&src, &c->err);
    if (pg && read_policy(c, pg))
        work_with(c, pg);
    PQfinish(pg);
    if (c->ok)
        log_info(c->log, "%s TENANT of database \"%.*s\": %lld rows of %d tables%s", verb(c),
                 TEXT_ARG(c->db->name), (long long)c->result.total, c->result.n,
                 c->rq.dry_run ? " (dry run)" : "");
    else
        log_warn(c->log, "%s TENANT of database \"%.*s\" failed: %s", verb(c),
                 TEXT_ARG(c->db->name), c->err.msg);
    c->mail.kind = MAIL_CHORE;
    loop_post(c->control, &c->mail);
    return NULL;
}

static void chore_free(struct chore *c)
{
    if (c->policy)
        policy_unref(c->policy);
    setup_unref(c->setup);
    if (c->cancel_fd >= 0)
        close(c->cancel_fd);
    arena_release(&c->arena);
    free(c);
}

static bool prepare(struct chore *c, const struct console_life *rq, struct err *e)
{
    c->rq = *rq;
    c->rq.database = arena_text(&c->arena, rq->database);
    c->rq.tenant = arena_text(&c->arena, rq->tenant);
    c->rq.dir = arena_text(&c->arena, rq->dir);
    c->db = setup_database(c->setup, c->rq.database, &c->arena);
    if (!c->db)
        return err_set(e, "no such database: %.*s", TEXT_ARG(rq->database));
    if (!setup_tenant(c->setup, c->rq.tenant, &c->arena, &c->identity, e))
        return false;
    c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->cancel_fd >= 0 || err_set(e, "no file descriptor is left");
}

struct chore *chore_start(struct loop *control, struct log *log, const struct setup *s,
                          const struct console_life *rq, struct err *e)
{
    struct chore *c = calloc(1, sizeof(*c));

    if (!c) {
        err_set_state(e, "53200", "out of memory");
        return NULL;
    }
    c->control = control;
    c->log = log;
    c->cancel_fd = -1;
    c->setup = setup_ref(s);
    arena_init(&c->arena, 4096);
    if (!prepare(c, rq, e)) {
        chore_free(c);
        return NULL;
    }
    int rc = thread_start(&c->thread, 0, work, c);
    if (rc == 0)
        return c;
    chore_free(c);
    err_set_state(e, "53000", "cannot start a thread");
    return NULL;
}

void chore_cancel(struct chore *c)
{
    uint64_t one = 1;
    ssize_t n = write(c->cancel_fd, &one, sizeof(one));
    (void)n; /* full: it has been told before */
}

void chore_finish(struct mail *m)
{
    struct chore *c = (struct chore *)m;

    pthread_join(c->thread, NULL);
    c->rq.done(c->rq.arg, c->ok ? &c->result : NULL, &c->err);
    chore_free(c);
}

void chore_stop(struct chore *c)
{
    if (!c)
        return;
    chore_cancel(c);
    chore_finish(&c->mail);
}
