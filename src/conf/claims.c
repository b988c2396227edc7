/* SPDX-License-Identifier: ISC */
/* tenant=, claim.NAME= and tenants= of [users], and the lines of [tenants]. */
#include "conf/claims.h"

#include <stdlib.h>

bool claim_value_ok(struct text t)
{
    return t.n > 0 && t.n <= CLAIM_MAX && key_text_is_clean(t);
}

static void add_claim(struct load *l, struct claims *c, struct text name, struct text value,
                      struct text key, struct place at)
{
    bool is_tenant = text_is(name, "tenant");

    if (!claim_value_ok(value) || !key_text_is_clean(name)) {
        trouble_problem(&l->t, at, key,
                        "must be 1 to %d bytes of valid UTF-8 without control characters",
                        CLAIM_MAX);
        return;
    }
    for (int i = 1; i <= c->n; i++) {
        if (text_eq(c->list[i].name, name)) {
            trouble_problem(&l->t, at, key, "given twice");
            return;
        }
    }
    if (is_tenant && c->tenant) {
        trouble_problem(&l->t, at, key, "given twice");
        return;
    }
    if (!is_tenant && c->n + 1 >= MAX_CLAIMS) {
        trouble_problem(&l->t, at, key, "more than %d claims", MAX_CLAIMS - 1);
        return;
    }
    c->tenant = c->tenant || is_tenant;
    c->list[is_tenant ? 0 : ++c->n] =
        (struct claim){ arena_text(l->a, name), arena_text(l->a, value) };
}

void claims_of_user(struct load *l, struct claims *c, const struct dsn_pair *pair, struct place at)
{
    const struct text prefix = TEXT("claim.");
    struct text name = TEXT("tenant");
    bool is_tenant = text_is(pair->key, "tenant");

    if (!is_tenant)
        name = text_n(pair->key.p + prefix.n, pair->key.n - prefix.n);
    if (!is_tenant && (!name.n || text_is(name, "tenant"))) {
        trouble_problem(&l->t, at, pair->key,
                        name.n ? "the main claim is written tenant=" : "the claim has no name");
        return;
    }
    if (is_tenant && text_is(pair->value, "*")) {
        if (pair->quoted)
            trouble_problem(&l->t, at, pair->key,
                            "no tenant can be called *; without quotes it means exempt");
        c->exempt = true;
        return;
    }
    add_claim(l, c, name, pair->value, pair->key, at);
}

static int by_name(const void *a, const void *b)
{
    return text_cmp(((const struct claim *)a)->name, ((const struct claim *)b)->name);
}

void claims_finish(struct load *l, struct user_conf *u, struct claims *c, struct place at)
{
    struct claim *list;
    int n = c->n + (c->tenant ? 1 : 0);

    if (c->exempt && (n || u->tenants_list || u->tenant_switch))
        trouble_problem(&l->t, at, TEXT("tenant"),
                        "* means exempt and stands alone, without claims");
    if (c->exempt) {
        u->identity.exempt = true;
        return;
    }
    if (!n)
        return;
    qsort(c->list + 1, (size_t)c->n, sizeof(c->list[0]), by_name);
    list = ARENA_ARRAY(l->a, struct claim, n);
    memcpy(list, c->tenant ? c->list : c->list + 1, sizeof(*list) * (size_t)n);
    u->identity.bound = c->tenant;
    u->identity.claims = list;
    u->identity.n_claims = n;
}

void claims_grants(struct load *l, struct user_conf *u, struct place at)
{
    if (!u->tenants_list)
        return;
    if (text_is(text_of(u->tenants_list), "*")) {
        u->all_tenants = true;
        return;
    }
    u->tenants = load_list(l, u->tenants_list, &u->n_tenants);
    if (!u->n_tenants)
        trouble_problem(&l->t, at, TEXT("tenants"), "names no tenant");
    for (int i = 0; i < u->n_tenants; i++) {
        if (!claim_value_ok(u->tenants[i]) || text_is(u->tenants[i], "*"))
            trouble_problem(&l->t, at, TEXT("tenants"),
                            "must be names separated by commas, each of 1 to %d bytes of valid "
                            "UTF-8 without control characters, or * alone",
                            CLAIM_MAX);
        for (int k = 0; k < i; k++)
            if (text_eq(u->tenants[i], u->tenants[k]))
                trouble_problem(&l->t, at, TEXT("tenants"), "\"%.*s\" is given twice",
                                TEXT_ARG(u->tenants[i]));
    }
}

/* ---- [tenants] ---- */

void load_tenant(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct text name, rest = line->value;
    struct claims claims = { .n = 0 };
    struct tenant_conf *t;
    struct dsn_pair pair;
    struct err e = { 0 };
    enum dsn_step step;

    if (!ini_unquote(line->key, l->a, &name) || !claim_value_ok(name) || text_is(name, "*")) {
        trouble_problem(&l->t, line->at, line->key,
                        "not a tenant's name; one with odd characters stands in \"...\"");
        return;
    }
    if (map_get(&s->tenant_by_name, name)) {
        trouble_problem(&l->t, line->at, line->key, "the tenant is described twice");
        return;
    }
    t = ARENA_NEW(l->a, struct tenant_conf);
    t->max_connections = t->max_client_connections = LIMIT_UNSET;
    while ((step = dsn_next(&rest, &pair, l->mem.secrets, &e)) == DSN_PAIR) {
        if (key_find(key_table_tenants(), pair.key))
            load_pair(l, key_table_tenants(), pair.key, pair.value, t, line->at);
        else if (!pair.key.n || text_is(pair.key, "tenant") ||
                 text_starts(pair.key, TEXT("claim.")))
            trouble_problem(&l->t, line->at, pair.key,
                            "expected the names of further claims, such as tenant_no=11");
        else
            add_claim(l, &claims, pair.key, pair.value, pair.key, line->at);
    }
    if (step == DSN_BAD)
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
    t->name = name;
    t->n_claims = claims.n;
    t->claims = ARENA_ARRAY(l->a, struct claim, claims.n + 1);
    qsort(claims.list + 1, (size_t)claims.n, sizeof(claims.list[0]), by_name);
    memcpy(t->claims, claims.list + 1, sizeof(*t->claims) * (size_t)claims.n);
    map_put(&s->tenant_by_name, t->name, t);
}
