/* SPDX-License-Identifier: ISC */
/* Starting threads. */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *t, size_t stack, void *(*fn)(void *arg), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    if (stack)
        rc = pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc == 0)
        rc = pthread_create(t, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}
