/* SPDX-License-Identifier: ISC */
/* A thread for one call. */
#include "base/deep.h"

#include "base/thread.h"

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
    pthread_t thread;

    if (thread_start(&thread, stack, run, &c) != 0)
        return false;
    pthread_join(thread, NULL);
    return true;
}
