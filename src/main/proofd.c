/* SPDX-License-Identifier: ISC */
/* PAM, LDAP, peer: queues of questions, and threads that block on them. */
#include "main/proofd.h"

#include "base/check.h"
#include "base/random.h"
#include "base/thread.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#define CREWS 2         /* PAM; all else */
#define THREADS 4       /* of a crew at most */
#define QUEUE_MAX 10000 /* questions that wait */
#define PASSWD_MAX (1 << 20)

struct crew {
    struct proofd *d;
    struct list jobs;
    int n_jobs;
    pthread_cond_t cond;
    pthread_t threads[THREADS];
    int n_threads, max_threads;
};

struct proofd {
    struct log *log;
    pthread_mutex_t mutex;
    bool stop;
    struct crew crew[CREWS];
};

/* The system user's name, malloc; NULL: there is none (or it is not to be had). */
static char *system_user(uid_t uid)
{
    struct passwd pw, *found = NULL;
    char *name = NULL;

    for (size_t size = 1024; size <= PASSWD_MAX && !name; size *= 4) {
        char *room = malloc(size);
        int rc = room ? getpwuid_r(uid, &pw, room, size, &found) : ENOMEM;
        if (rc == 0 && found)
            name = strdup(pw.pw_name);
        free(room);
        if (rc != ERANGE)
            break;
    }
    return name;
}

static enum outside_answer peer(const struct proof_ask *a, struct err *e)
{
    char *name = system_user(a->uid);
    struct text map = a->rule ? a->rule->map : text_n(NULL, 0);
    enum outside_answer got = OUTSIDE_NO;

    if (!name)
        err_set(e, "peer: system user %u is not known", (unsigned)a->uid);
    else if (access_mapped(a->setup->hba, map, name, text_of(a->user)))
        got = OUTSIDE_YES;
    else
        err_set(e, "peer: system user \"%s\" may not log in as this user", name);
    free(name);
    return got;
}

static void answer(struct proofd *d, struct proof_ask *a)
{
    const struct hba_rule *r = a->rule;
    enum outside_answer got = OUTSIDE_FAILED;
    struct err e = { 0 };

    if (clock_mono_us() > a->give_up) /* the client has gone by now */
        return;
    switch (a->kind) {
    case PROOF_PAM:
        got = outside_pam(r && r->pam_service ? r->pam_service : "pgbouncer", a->user, a->password,
                          a->rhost, &e);
        break;
    case PROOF_LDAP:
        got = outside_ldap(r && r->ldap ? r->ldap : a->setup->ldap, a->user, a->password, &e);
        break;
    case PROOF_PEER:
        got = peer(a, &e);
        break;
    }
    if (got != OUTSIDE_YES)
        log_often(d->log, LOG_LV_WARNING, text_of(a->rhost), "login of user \"%s\" from %s: %s",
                  a->user, a->rhost, e.msg);
    proof_post(a, got);
}

static void *work(void *arg)
{
    struct crew *w = arg;
    struct proofd *d = w->d;

    pthread_mutex_lock(&d->mutex);
    for (;;) {
        while (!d->stop && list_empty(&w->jobs))
            pthread_cond_wait(&w->cond, &d->mutex);
        if (d->stop)
            break;
        struct proof_ask *a = LIST_ENTRY(list_pop(&w->jobs), struct proof_ask, node);
        w->n_jobs--;
        pthread_mutex_unlock(&d->mutex);
        answer(d, a);
        proof_ask_free(a);
        pthread_mutex_lock(&d->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

struct proofd *proofd_new(struct log *log)
{
    struct proofd *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->log = log;
    pthread_mutex_init(&d->mutex, NULL);
    for (int i = 0; i < CREWS; i++) {
        d->crew[i].d = d;
        d->crew[i].max_threads = i == 0 ? 1 : THREADS;
        list_init(&d->crew[i].jobs);
        pthread_cond_init(&d->crew[i].cond, NULL);
    }
    return d;
}

void proofd_stop(struct proofd *d)
{
    struct list *n;

    pthread_mutex_lock(&d->mutex);
    d->stop = true;
    for (int i = 0; i < CREWS; i++)
        pthread_cond_broadcast(&d->crew[i].cond);
    pthread_mutex_unlock(&d->mutex);
    for (int i = 0; i < CREWS; i++) {
        struct crew *w = &d->crew[i];
        for (int k = 0; k < w->n_threads; k++)
            pthread_join(w->threads[k], NULL);
        while ((n = list_pop(&w->jobs)) != NULL)
            proof_ask_free(LIST_ENTRY(n, struct proof_ask, node));
        pthread_cond_destroy(&w->cond);
    }
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

/* With the mutex held: one more thread for a crew that has less than it may and work to do. */
static void add_thread(struct crew *w)
{
    if (w->n_threads < w->max_threads && thread_start(&w->threads[w->n_threads], 0, work, w) == 0)
        w->n_threads++;
}

void proofd_ask(struct proofd *d, struct proof_ask *a)
{
    struct crew *w = &d->crew[a->kind == PROOF_PAM ? 0 : 1];

    pthread_mutex_lock(&d->mutex);
    bool room = w->n_jobs < QUEUE_MAX && !d->stop;
    if (room) {
        list_push_tail(&w->jobs, &a->node);
        w->n_jobs++;
        add_thread(w);
        room = w->n_threads > 0;
        if (!room) {
            list_pop(&w->jobs); /* it is the only one */
            w->n_jobs--;
        }
        pthread_cond_signal(&w->cond);
    }
    pthread_mutex_unlock(&d->mutex);
    if (room)
        return;
    proof_post(a, OUTSIDE_FAILED);
    proof_ask_free(a);
}
