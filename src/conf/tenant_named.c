/* SPDX-License-Identifier: ISC */
/* The identity of a tenant that an administrator names, put together from the configuration. */
#include "conf/setup.h"

/* Adds the claims that are not there yet; one with another value is an error. */
static bool add_claims(struct claim *to, int *n, const struct claim *from, int n_from,
                       struct text user, struct err *e)
{
    for (int i = 0; i < n_from; i++) {
        const struct claim *c = &from[i];
        int k = 1;
        while (k < *n && !text_eq(to[k].name, c->name))
            k++;
        if (k < *n && !text_eq(to[k].value, c->value))
            return err_set(e,
                           "claim \"%.*s\" of tenant \"%.*s\" differs between users (see \"%.*s\")",
                           TEXT_ARG(c->name), TEXT_ARG(to[0].value), TEXT_ARG(user));
        if (k == *n)
            to[(*n)++] = *c;
    }
    return true;
}

bool setup_tenant(const struct setup *s, struct text tenant, struct arena *a, struct identity *out,
                  struct err *e)
{
    int room = 1, n = 1;

    *out = (struct identity){ .bound = false };
    if (!tenant.n)
        return err_set(e, "the tenant's name is empty");
    for (int i = 0; i < s->n_users; i++)
        room += s->users[i]->identity.n_claims;
    const struct tenant_conf *known = map_get(&s->tenant_by_name, tenant);
    if (known)
        room += known->n_claims;
    struct claim *claims = ARENA_ARRAY(a, struct claim, room);
    claims[0] = (struct claim){ TEXT("tenant"), arena_text(a, tenant) };
    for (int i = 0; i < s->n_users; i++) {
        const struct identity *id = &s->users[i]->identity;
        if (id->bound && text_eq(id->claims[0].value, tenant) &&
            !add_claims(claims, &n, id->claims + 1, id->n_claims - 1, s->users[i]->name, e))
            return false;
    }
    if (known && !add_claims(claims, &n, known->claims, known->n_claims, TEXT("[tenants]"), e))
        return false;
    out->bound = true;
    out->claims = claims;
    out->n_claims = n;
    identity_hash(out);
    return true;
}
