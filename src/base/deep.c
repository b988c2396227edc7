/* SPDX-License-Identifier: ISC */
/* A thread for one call. */
#include "base/deep.h"

#include <pthread.h>
#include <signal.h>

struct call {
    void (*fn)(void *arg);
    void *arg;
};

static void *run(void *arg)
{
    struct call *c = arg;
    c->fn(c->arg);
    return NULL;
}

bool deep_call(size_t stack, void (*fn)(void *arg), void *arg)
{
    struct call c = { fn, arg };
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;

    if (pthread_attr_init(&attr) != 0)
        return false;
    int rc = pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc == 0)
        rc = pthread_create(&thread, &attr, run, &c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return false;
    pthread_join(thread, NULL);
    return true;
}
