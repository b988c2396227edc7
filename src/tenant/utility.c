/* SPDX-License-Identifier: ISC */
/* What sessions ask about statements of their own: EXECUTE's text and arguments, names of channels.
 */
#include "tenant/utility.h"

#include "auth/digest.h"
#include "tenant/pattern.h"
#include "tenant/value.h"

static bool refuse(struct tenant_refusal *r, enum refusal why, const char *message,
                   const char *detail, const char *hint)
{
    *r = (struct tenant_refusal){
        .reason = why, .message = text_of(message), .detail = text_of(detail), .hint = text_of(hint)
    };
    return false;
}

static const struct claim *find_claim(const struct identity *id, struct text name)
{
    for (int i = 0; i < id->n_claims; i++)
        if (text_eq(id->claims[i].name, name))
            return &id->claims[i];
    return NULL;
}

static bool check_argument(const struct verdict_check *k, const struct sql_prepared *p,
                           const struct identity *id, const uint32_t *types, int n_types,
                           struct tenant_refusal *r)
{
    const struct claim *c = find_claim(id, k->claim);
    uint32_t declared = k->param <= n_types ? types[k->param - 1] : 0;
    if (!c || !value_fits(k->type, c->value))
        return refuse(r, REFUSAL_no_claim,
                      "the tenant has no usable value for this relation's tenant column",
                      "A parameter is compared with a claim that the tenant does not have.",
                      "Give the user this claim in [users].");
    if (!k->array && (!value_param_ok(k->type, declared) || !value_param_keeps(declared, c->value)))
        return refuse(r, REFUSAL_bind_type, "parameter type of a tenant value is not supported",
                      "The parameter's declared type is not the tenant column's.",
                      "Declare the parameter as the column's type in PREPARE.");
    const struct sql_argument *a = &p->arg[k->param - 1];
    if (k->array || !a->constant || (a->cast_type && a->cast_type != k->type))
        return refuse(r, REFUSAL_unproven_value,
                      "value of the tenant column cannot be proven to be the tenant's",
                      "An argument of EXECUTE that stands for the tenant is computed.",
                      "Give the tenant's value as a literal.");
    if (!value_same(k->type, c->value, a->value))
        return refuse(
            r, REFUSAL_bind_value, "parameter value belongs to another tenant",
            "An argument of EXECUTE for the tenant column does not hold the tenant's value.",
            "Give the tenant's own value.");
    return true;
}

bool prepared_execute(const struct sql_prepared *p, const struct verdict *target,
                      const struct identity *id, const uint32_t *types, int n_types,
                      struct text server_name, struct buf *out, struct tenant_refusal *r)
{
    int n_added = target->action == VERDICT_REWRITE ? target->n_added : 0;
    int n_args = target->n_params > 0 ? p->n_args : 0; /* PostgreSQL does not look at them then */
    CHECK(p->what == SQL_EXECUTE && n_args == target->n_params);
    for (int i = 0; i < target->n_checks; i++)
        if (!check_argument(&target->checks[i], p, id, types, n_types, r))
            return false;
    for (int i = 0; i < target->n_patterns; i++) {
        const struct sql_argument *a = &p->arg[target->patterns[i].param - 1];
        if (!a->constant || !pattern_value_ok(&target->patterns[i], 0, a->value))
            return refuse(r, REFUSAL_pattern, "pattern could fail on another tenant's row",
                          "PostgreSQL may test it on other tenants' values, where this argument "
                          "could be an error.",
                          "Give the pattern as a literal that does not end in a backslash.");
    }
    buf_text_append(out, TEXT("EXECUTE "));
    wire_quote_ident(out, server_name);
    if (n_args + n_added == 0)
        return true;
    buf_char(out, '(');
    if (n_args > 0)
        buf_text_append(out, p->args);
    for (int i = 0; i < n_added; i++) {
        const struct claim *c = find_claim(id, target->added[i].claim);
        if (!c)
            return refuse(r, REFUSAL_no_claim,
                          "the tenant has no usable value for this relation's tenant column",
                          "The statement was prepared with a claim that the tenant does not have.",
                          "Give the user this claim in [users].");
        if (n_args + i > 0)
            buf_text_append(out, TEXT(", "));
        wire_quote_literal(out, c->value);
    }
    buf_char(out, ')');
    return true;
}

bool channel_prefix(const struct identity *id, char out[CHANNEL_PREFIX + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[DIGEST_LEN];
    if (id->n_claims == 0 || !digest_sha256(id->claims[0].value.p, id->claims[0].value.n, sum))
        return false;
    memcpy(out, "bh_", 3);
    for (int i = 0; i < 12; i++) {
        out[3 + 2 * i] = hex[sum[i] >> 4];
        out[4 + 2 * i] = hex[sum[i] & 15];
    }
    out[CHANNEL_PREFIX - 1] = '_';
    out[CHANNEL_PREFIX] = '\0';
    return true;
}
