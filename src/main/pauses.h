/* SPDX-License-Identifier: ISC */
/*
 * What PAUSE and DISABLE have set, as text between two processes of an online restart (takeover.h):
 * for each database a digit (1: paused, 2: disabled, 3: both) and its name with a NUL behind it; an
 * empty name is PAUSE without a name.
 */
#ifndef MAIN_PAUSES_H
#define MAIN_PAUSES_H

#include "base/buf.h"
#include "pool/ledger.h"

struct control;

/* Appends the entry of the database as it is now; db NULL: of all. */
void pauses_put(const struct control *c, const struct db_ledger *db, struct buf *out);
/* Appends those that are paused or disabled, and those of `before` (n, NULL: none), which another
 * process knows of; PAUSE without a name in any case. Gives what was appended as a list (malloc;
 * the caller frees; *n entries). NULL: out of memory. */
struct db_ledger **pauses_all(struct control *c, struct db_ledger **before, int n_before,
                              struct buf *out, int *n);
/* Sets what the entries say; databases that this process does not know are left out. running: the
 * workers run, and are told. */
void pauses_take(struct control *c, struct text entries, bool running);

#endif
