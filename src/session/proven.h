/* SPDX-License-Identifier: ISC */
/* What a pool's clients proved at their logins, for logging in to servers as the same user. Any
 * thread; the pool's mutex is taken. */
#ifndef SESSION_PROVEN_H
#define SESSION_PROVEN_H

#include "auth/scram.h"
#include "base/check.h"
#include "pool/ledger.h"

struct proven {
    struct scram_keys keys; /* .valid: there are some */
    char *password;         /* malloc; NULL: none came in clear */
    bool elsewhere;         /* PAM or a directory judged it: it goes before auth_file */
};

/* The newest client's, in place of what was there; NULL: none of that kind, what is there stays.
 * elsewhere: who judged the password.
 * When memory is short it is not kept: the next login brings it again. */
void pool_proven_put(struct pool *p, const struct scram_keys *keys, const char *password,
                     bool elsewhere);
/* A copy, to be given back by proven_release. false: out of memory. */
bool pool_proven_get(struct pool *p, struct proven *out) MUST_CHECK;
/* Wipes and frees what it holds. */
void proven_release(struct proven *p);
/* With the pool; no other thread runs. */
void pool_proven_free(struct pool *p);

#endif
