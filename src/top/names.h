/* SPDX-License-Identifier: ISC */
/*
 * Names of hosts to addresses without waiting: a thread asks the system, the owner polls a
 * descriptor.
 */
#ifndef TOP_NAMES_H
#define TOP_NAMES_H

#include "base/err.h"

#include <stdbool.h>

/* Each host once for each of its addresses, in libpq's form of lists: "a,a,b", "::1,127.0.0.1,",
 * and the port of each. An address is empty where the host has none to look up (a directory). */
struct names {
    char *hosts, *addresses, *ports;
};
void names_release(struct names *n);

/* Has the list (libpq's "host") anything that must be looked up? */
bool names_needed(const char *hosts);

struct look_up;
/* Begins. ports: one for all or one for each. NULL: e. */
struct look_up *look_up_start(const char *hosts, const char *ports, struct err *e);
/* Readable when it is done. */
int look_up_fd(const struct look_up *l);
/* Is it done? Then its answer is in out (to be released), or in e when no host has an address; l is
 * gone. *good says which. */
bool look_up_done(struct look_up *l, struct names *out, bool *good, struct err *e);
/* Nobody wants the answer any more; the thread ends by itself. NULL: nothing. */
void look_up_forget(struct look_up *l);

#endif
