/* SPDX-License-Identifier: ISC */
/*
 * SASLprep (RFC 4013) of passwords, as far as PostgreSQL and we agree on it: pure ASCII stays as it
 * is; non-ASCII spaces become spaces, soft hyphens and the like vanish. Text that is not UTF-8 or
 * holds prohibited characters is used as it is. Normalisation to NFKC, the list of unassigned
 * characters and the rule for right-to-left text are left out: a password that is not in NFKC
 * already gives another secret than PostgreSQL's, so its login is refused.
 */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

#include "base/buf.h"

/* Appends the prepared password to out (never longer than `in`). */
void saslprep(struct text in, struct buf *out);

#endif
