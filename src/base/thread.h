/* SPDX-License-Identifier: ISC */
/* Starting threads. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Starts fn(arg) with all signals blocked, so that they come to the main thread. stack: bytes, 0 =
 * the system's default. Gives 0, or the number of the error. */
int thread_start(pthread_t *t, size_t stack, void *(*fn)(void *arg), void *arg);

#endif
