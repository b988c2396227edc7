/* SPDX-License-Identifier: ISC */
/* Identities from what several sources say. */
#include "conf/identity.h"

#include "conf/claims.h"

#include <stdlib.h>

struct joining {
    struct claim claims[MAX_CLAIMS]; /* [0]: the tenant */
    const char *by[MAX_CLAIMS];      /* who said it */
    int n;
};

static bool refuse(struct err *e, const char *what, const struct identity_says *by)
{
    return err_set_state(e, "28000", "%s from the %s", what, by->source);
}

static bool join_tenant(struct joining *j, const struct identity_says *by, struct err *e)
{
    if (!by->tenant.p)
        return true;
    if (!claim_value_ok(by->tenant))
        return refuse(e, "no usable tenant", by);
    if (text_is(by->tenant, "*"))
        return refuse(e, "no tenant can be called *: refused", by);
    if (!j->n) {
        j->claims[0] = (struct claim){ TEXT("tenant"), by->tenant };
        j->by[0] = by->source;
        j->n = 1;
        return true;
    }
    if (text_eq(j->claims[0].value, by->tenant))
        return true;
    return err_set_state(e, "28000", "the %s and the %s name different tenants", j->by[0],
                         by->source);
}

static bool join_claims(struct joining *j, const struct identity_says *by, struct err *e)
{
    for (int i = 0; i < by->n_claims; i++) {
        const struct claim *c = &by->claims[i];
        int k = 1;

        while (k < j->n && !text_eq(j->claims[k].name, c->name))
            k++;
        if (k < j->n && text_eq(j->claims[k].value, c->value))
            continue;
        if (k < j->n)
            return err_set_state(e, "28000", "the %s and the %s disagree about claim \"%.*s\"",
                                 j->by[k], by->source, TEXT_ARG(c->name));
        if (!c->name.n || text_is(c->name, "tenant") || !claim_value_ok(c->name) ||
            !claim_value_ok(c->value))
            return refuse(e, "an unusable claim", by);
        if (j->n == MAX_CLAIMS)
            return refuse(e, "too many claims", by);
        j->claims[j->n] = *c;
        j->by[j->n++] = by->source;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return text_cmp(((const struct claim *)a)->name, ((const struct claim *)b)->name);
}

bool identity_join(const struct setup *s, const struct identity_says *says, int n, struct arena *a,
                   struct identity *out, struct err *e)
{
    struct joining j = { .n = 0 };
    const struct tenant_conf *known;
    struct claim *claims;

    *out = (struct identity){ .bound = false };
    for (int i = 0; i < n; i++)
        if (!join_tenant(&j, &says[i], e))
            return false;
    if (!j.n)
        return true;
    for (int i = 0; i < n; i++)
        if (!join_claims(&j, &says[i], e))
            return false;
    known = map_get(&s->tenant_by_name, j.claims[0].value);
    if (known && !join_claims(&j,
                              &(struct identity_says){ .source = "section [tenants]",
                                                       .claims = known->claims,
                                                       .n_claims = known->n_claims },
                              e))
        return false;
    qsort(j.claims + 1, (size_t)j.n - 1, sizeof(j.claims[0]), by_name);
    claims = ARENA_ARRAY(a, struct claim, j.n);
    for (int i = 0; i < j.n; i++)
        claims[i] =
            (struct claim){ arena_text(a, j.claims[i].name), arena_text(a, j.claims[i].value) };
    *out = (struct identity){ .bound = true, .claims = claims, .n_claims = j.n };
    identity_hash(out);
    return true;
}

void identity_says_user(const struct user_conf *user, struct identity_says *out)
{
    *out = (struct identity_says){ .source = "user's line in [users]" };
    if (user && !user->identity.exempt && !user->identity.bound) {
        out->claims = user->identity.claims;
        out->n_claims = user->identity.n_claims;
    }
}

bool identity_login(const struct setup *s, const struct user_conf *user, struct text user_name,
                    const struct identity_says *more, int n_more, struct arena *a,
                    struct identity *out, struct err *e)
{
    struct identity_says says[IDENTITY_SAYS_MAX + 2];
    int n = 0;

    *out = (struct identity){ .bound = false };
    CHECK(n_more <= IDENTITY_SAYS_MAX);
    if (user && user->identity.exempt) {
        for (int i = 0; i < n_more; i++)
            if (more[i].tenant.p)
                return err_set_state(e, "28000",
                                     "the user is exempt from tenant rules, but the %s names a "
                                     "tenant",
                                     more[i].source);
        out->exempt = true;
        return true;
    }
    identity_says_user(user, &says[n]);
    if (user && user->identity.bound) {
        says[n].tenant = user->identity.claims[0].value;
        says[n].claims = user->identity.claims + 1;
        says[n].n_claims = user->identity.n_claims - 1;
    } else if ((s->tenant_sources & SOURCE_USER) && user_name.n) {
        says[++n] = (struct identity_says){ .source = "user name", .tenant = user_name };
    }
    n++;
    for (int i = 0; i < n_more; i++)
        says[n++] = more[i];
    return identity_join(s, says, n, a, out, e);
}

bool identity_granted(const struct setup *s, const struct user_conf *user, struct text tenant,
                      bool given)
{
    if (!user || !user->tenants_list)
        return given;
    if (user->all_tenants)
        return map_get(&s->tenant_by_name, tenant) != NULL;
    for (int i = 0; i < user->n_tenants; i++)
        if (text_eq(user->tenants[i], tenant))
            return true;
    return false;
}

void setup_identity(const struct setup *s, const struct user_conf *user, struct text user_name,
                    struct arena *a, struct identity *out)
{
    struct err e = { 0 };

    if (!identity_login(s, user, user_name, NULL, 0, a, out, &e))
        *out = (struct identity){ .bound = false };
}
