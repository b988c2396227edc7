/* SPDX-License-Identifier: ISC */
/*
 * Threads that look users up by auth_query over libpq, each with a few connections of its own that
 * it keeps. Answers go to the asking worker as mails.
 */
#ifndef MAIN_LOOKUPD_H
#define MAIN_LOOKUPD_H

#include "session/lookup.h"

struct lookupd;
/* NULL: no memory, or no thread. */
struct lookupd *lookupd_start(struct log *log);
/* Ends the threads after their present question; the others are dropped. Engines must still be
 * there (stopped). */
void lookupd_stop(struct lookupd *d);
/* Takes the question over. Any thread. */
void lookupd_ask(struct lookupd *d, struct lookup_ask *a);

#endif
