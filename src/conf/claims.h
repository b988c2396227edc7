/* SPDX-License-Identifier: ISC */
/* Claims of one line of the configuration while it is read. Private to conf. */
#ifndef CONF_CLAIMS_H
#define CONF_CLAIMS_H

#include "conf/dsn.h"
#include "conf/load.h"

#define MAX_CLAIMS 64 /* of one identity, the main one included */
#define CLAIM_MAX 1000

struct claims {
    struct claim list[MAX_CLAIMS]; /* [0] is kept for the tenant */
    int n;                         /* of the others */
    bool tenant, exempt;
};

/* A pair of a [users] line: tenant= or claim.NAME=. Problems are reported. */
void claims_of_user(struct load *l, struct claims *c, const struct dsn_pair *pair, struct place at);
/* Puts the line's claims into the user's entry, sorted by name behind the main one. Without
 * tenant= they wait for a tenant from another source. */
void claims_finish(struct load *l, struct user_conf *u, struct claims *c, struct place at);
/* tenants= of a [users] line taken apart. */
void claims_grants(struct load *l, struct user_conf *u, struct place at);

/* 1 to CLAIM_MAX bytes of valid UTF-8 without control characters? */
bool claim_value_ok(struct text t);

#endif
