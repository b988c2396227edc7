/* SPDX-License-Identifier: ISC */
/*
 * What becomes known of tenants' statements: the worker's tables (notes.h) and the audit log, a
 * line of JSON per statement, handed to the thread that writes it. Templates only, never literals.
 */
#ifndef SESSION_RECORD_H
#define SESSION_RECORD_H

#include "session/engine.h"

/* Whose client it is: the tenant, "*" for exempt ones, empty: nobody's. */
struct text record_tenant(const struct client *c);

/* The client is bound to a tenant now (again, when it became another's). */
void record_join(struct client *c);
/* A login to which no tenant is bound: refused, or in audit mode let in. */
void record_unbound(struct client *c);
/* It goes away. */
void record_leave(struct client *c);

/* What was done with a statement by its verdict: passed, rewritten, refused, or only looked at. */
void record_verdict(struct client *c, struct verdict *v, struct text sql);
/* Refused otherwise than by a verdict of its text (v: of its text, or NULL). sql may be cut or
 * empty. */
void record_refusal(struct client *c, enum refusal r, struct verdict *v, struct text sql);

/* Is a statement of this exempt client to be recorded? */
static inline bool record_wants_exempt(const struct client *c)
{
    return c->exempt && c->engine->hub->audit && writer_is_open(c->engine->hub->audit) &&
           c->engine->setup->g.tenant_audit != TENANT_AUDIT_REFUSED;
}
/* Longer messages are not waited for; what is there of them is recorded. */
static inline bool record_too_long(const struct client *c, uint32_t len)
{
    return (int64_t)len > c->engine->setup->g.tenant_max_statement;
}
/* An exempt client's statement was sent on (of others: nothing is done). sql may be cut. */
void record_exempt(struct client *c, struct text sql);
/* The same with the beginning of the message that it came in, as far as it is there. */
void record_exempt_query(struct client *c, const char *m, size_t have);

#endif
