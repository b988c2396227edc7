/* SPDX-License-Identifier: ISC */
/* A queue of jobs and the thread that works it off. */
#include "main/catalogd.h"

#include "base/check.h"
#include "base/thread.h"
#include "main/catalog.h"

#include <stdio.h>
#include <stdlib.h>

struct job {
    struct list node;
    const struct setup *setup; /* referenced */
    char *db_name;             /* entry in the setup, or made from "*" */
    const struct database_conf *db;
    struct arena arena;
};

struct catalogd {
    struct loop *control;
    struct log *log;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list jobs;
    bool stop;
    uint64_t generation; /* of policies */
};

static const char *const sslmodes[] = { "disable", "allow",     "prefer",
                                        "require", "verify-ca", "verify-full" };

/* in the order of enum session_attrs */
static const char *const session_attrs[] = { "any",     "read-write", "read-only",
                                             "primary", "standby",    "prefer-standby" };

/* A file of the configuration; where it names none, a path that cannot exist, because libpq would
 * look into a home directory that is none of ours. */
static const char *file_or_none(const char *s)
{
    return s && *s ? s : "/dev/null/none";
}

void catalogd_source(const struct setup *s, const struct database_conf *db,
                     struct catalog_source *src)
{
    const struct settings *g = &s->g;

    *src = (struct catalog_source){ .port = db->port, .dbname = db->dbname };
    src->host = *db->host_list ? db->host_list : g->unix_socket_dir;
    if (!*src->host)
        src->host = g->unix_socket_dir;
    src->user = db->catalog_user ? db->catalog_user : db->user;
    src->password = db->catalog_user ? db->catalog_password : db->password;
    if (src->user && !src->password) {
        const struct user_conf *u = setup_user(s, text_of(src->user));
        if (u && u->secret.n)
            src->password = u->secret.p;
    }
    src->sslmode = sslmodes[g->server_tls_sslmode];
    backend_tls_wishes(s, db, src);
    src->sslrootcert = file_or_none(g->server_tls_ca_file);
    src->sslcert = file_or_none(g->server_tls_cert_file);
    src->sslkey = file_or_none(g->server_tls_key_file);
    src->session_attrs = db->session_attrs != ATTRS_ANY ? session_attrs[db->session_attrs] : NULL;
    src->connect_timeout_s = 5;
}

static void run_catalog(struct catalogd *d, struct job *j)
{
    struct mail_catalog *m = calloc(1, sizeof(*m));
    struct catalog_source src;
    struct err err = { 0 };

    CHECK(m);
    m->mail.kind = MAIL_CATALOG;
    m->db_name = strdup(j->db_name);
    buf_init(&m->problems);
    catalogd_source(j->setup, j->db, &src);
    struct catalog *cat = catalog_load(&src, &err);
    if (cat) {
        pthread_mutex_lock(&d->mutex);
        uint64_t generation = ++d->generation;
        pthread_mutex_unlock(&d->mutex);
        m->policy = policy_new(j->setup, j->db, cat, generation, &m->problems, &err);
    }
    if (!m->policy)
        snprintf(m->text, sizeof(m->text), "%s", err.msg[0] ? err.msg : "unknown reason");
    loop_post(d->control, &m->mail);
}

static void job_free(struct job *j)
{
    setup_unref(j->setup);
    free(j->db_name);
    arena_release(&j->arena);
    free(j);
}

static void *work(void *arg)
{
    struct catalogd *d = arg;

    pthread_mutex_lock(&d->mutex);
    for (;;) {
        struct list *n;
        while (!d->stop && list_empty(&d->jobs))
            pthread_cond_wait(&d->cond, &d->mutex);
        if (d->stop)
            break;
        n = list_pop(&d->jobs);
        struct job *j = LIST_ENTRY(n, struct job, node);
        pthread_mutex_unlock(&d->mutex);
        run_catalog(d, j);
        job_free(j);
        pthread_mutex_lock(&d->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

struct catalogd *catalogd_start(struct loop *control, struct log *log)
{
    struct catalogd *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->control = control;
    d->log = log;
    list_init(&d->jobs);
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->cond, NULL);
    int rc = thread_start(&d->thread, 0, work, d);
    if (rc != 0) {
        free(d);
        return NULL;
    }
    return d;
}

void catalogd_stop(struct catalogd *d)
{
    struct list *n;

    pthread_mutex_lock(&d->mutex);
    d->stop = true;
    pthread_cond_signal(&d->cond);
    pthread_mutex_unlock(&d->mutex);
    pthread_join(d->thread, NULL);
    while ((n = list_pop(&d->jobs)) != NULL)
        job_free(LIST_ENTRY(n, struct job, node));
    pthread_mutex_destroy(&d->mutex);
    pthread_cond_destroy(&d->cond);
    free(d);
}

/* Puts the job in; one for the same database that waits already is replaced. */
static void enqueue(struct catalogd *d, struct job *j)
{
    pthread_mutex_lock(&d->mutex);
    LIST_FOREACH_SAFE(n, next, &d->jobs) {
        struct job *o = LIST_ENTRY(n, struct job, node);
        if (strcmp(o->db_name, j->db_name) == 0) {
            list_del(n);
            job_free(o);
        }
    }
    list_push_tail(&d->jobs, &j->node);
    pthread_cond_signal(&d->cond);
    pthread_mutex_unlock(&d->mutex);
}

static struct job *job_new(const struct setup *s)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->setup = setup_ref(s);
    arena_init(&j->arena, 1024);
    return j;
}

void catalogd_load(struct catalogd *d, const struct setup *s, const struct database_conf *db)
{
    struct job *j = job_new(s);

    if (!j)
        return;
    j->db_name = strndup(db->name.p, db->name.n);
    j->db = j->db_name ? setup_database(s, text_of(j->db_name), &j->arena) : NULL;
    if (j->db)
        enqueue(d, j);
    else
        job_free(j);
}

void catalogd_mail_free(struct mail *m)
{
    if (m->kind == MAIL_CATALOG) {
        struct mail_catalog *c = (struct mail_catalog *)m;
        free(c->db_name);
        buf_release(&c->problems);
    }
    free(m);
}
