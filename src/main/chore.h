/* SPDX-License-Identifier: ISC */
/*
 * The administrator's long work on a tenant (DELETE TENANT, EXPORT TENANT): one piece at a time, on
 * a thread of its own over libpq, so that neither workers nor the control loop wait for it. The
 * result comes back to the control loop as a mail.
 */
#ifndef MAIN_CHORE_H
#define MAIN_CHORE_H

#include "console/console.h"

struct chore;

/* The number of the mail that ends a chore. */
#define MAIL_CHORE 210

/* Starts the work. log: what it did is written there, too. NULL: e. Control thread; it is ended by
 * chore_finish when the mail came (exactly once). */
struct chore *chore_start(struct loop *control, struct log *log, const struct setup *s,
                          const struct console_life *rq, struct err *e) MUST_CHECK;
/* Asks the server to stop it; the mail still comes. */
void chore_cancel(struct chore *c);
/* On the control thread, with the mail: waits for the thread, tells the console, frees. */
void chore_finish(struct mail *m);
/* At the end of the program: cancels, waits, tells the console, frees. NULL is fine. A mail of it
 * that still lies in the control loop's box must not be used any more. */
void chore_stop(struct chore *c);

#endif
