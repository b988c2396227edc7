/* SPDX-License-Identifier: ISC */
/*
 * Threads that ask PAM (one: not every module can do more), directories and the system's list of
 * users. They are started by the first question. Answers go to the asking worker as mails.
 */
#ifndef MAIN_PROOFD_H
#define MAIN_PROOFD_H

#include "session/proof.h"

struct proofd;
/* NULL: no memory. */
struct proofd *proofd_new(struct log *log);
/* Ends the threads after their present question; the others are dropped. Engines must still be
 * there (stopped). */
void proofd_stop(struct proofd *d);
/* Takes the question over. Any thread. */
void proofd_ask(struct proofd *d, struct proof_ask *a);

#endif
