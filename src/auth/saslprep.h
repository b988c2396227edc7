/* SPDX-License-Identifier: ISC */
/*
 * SASLprep (RFC 4013) of passwords as PostgreSQL does it: pure ASCII stays as it is; text that is
 * not UTF-8, or that the profile does not allow (prohibited or unassigned characters, mixed
 * directions), is used as it is, too; the rest is mapped and normalized to NFKC.
 */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

#include "base/buf.h"

/* Appends the prepared password to out; out.failed: no memory. */
void saslprep(struct text in, struct buf *out);

#endif
