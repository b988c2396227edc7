/* SPDX-License-Identifier: ISC */
/* Calls that need more stack than the caller may have. */
#ifndef BASE_DEEP_H
#define BASE_DEEP_H

#include <stdbool.h>
#include <stddef.h>

/* Runs fn(arg) on a thread of that stack size (bytes), with all signals blocked, and waits for its
 * end. false: no such thread can be started; fn did not run. */
bool deep_call(size_t stack, void (*fn)(void *arg), void *arg) __attribute__((warn_unused_result));

#endif
