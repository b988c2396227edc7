/* SPDX-License-Identifier: ISC */
/*
 * Who a login is for the tenant engine, put together from what several sources say. All of them
 * are exact: values are compared byte by byte, and sources that contradict one another bind nobody.
 */
#ifndef CONF_IDENTITY_H
#define CONF_IDENTITY_H

#include "conf/setup.h"

#define IDENTITY_SAYS_MAX 8

/* What one source says. */
struct identity_says {
    const char *source;         /* for people: "client certificate" */
    struct text tenant;         /* p NULL: it names none (an empty name is refused) */
    const struct claim *claims; /* others than the tenant, each name once */
    int n_claims;
};

/* One identity from all that is said, with the claims of the section [tenants] for its tenant.
 * Nobody names a tenant: true, and out is not bound. false: e (28000) says which sources
 * contradict one another, or which value cannot be a tenant (empty, too long, not UTF-8, control
 * characters, "*"). Everything is copied into `a`; claims are sorted behind the main one. */
bool identity_join(const struct setup *s, const struct identity_says *says, int n, struct arena *a,
                   struct identity *out, struct err *e) MUST_CHECK;

/* The same for a login: the user's line in [users], the user's name where tenant_identity says so
 * (the line's tenant= goes before it), and what further sources say. An exempt user stays exempt
 * only when no further source names a tenant. user may be NULL. */
bool identity_login(const struct setup *s, const struct user_conf *user, struct text user_name,
                    const struct identity_says *more, int n_more, struct arena *a,
                    struct identity *out, struct err *e) MUST_CHECK;

/* The claims of a user's line that belong to whatever tenant the user acts for: those of a line
 * without tenant=. */
void identity_says_user(const struct user_conf *user, struct identity_says *out);

/* May the user act for this tenant? Without tenants= on the user's line: given is the answer. */
bool identity_granted(const struct setup *s, const struct user_conf *user, struct text tenant,
                      bool given);

#endif
