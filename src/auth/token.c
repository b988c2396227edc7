/* SPDX-License-Identifier: ISC */
/* Reading tokens: form, signature, then what they say (RFC 7515, 7518, 7519). */
#include "auth/token.h"

#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/token_keys.h"

#include <jansson.h>
#include <stdio.h>

#define MAX_CLAIMS 32
#define JTI_MAX 255
#define DATE_MAX 253402300800.0 /* the year 10000 */

static bool refuse(struct err *e, const char *what)
{
    return err_set_state(e, "28000", "%s", what);
}

/* A part in base64url that must be a JSON object without members given twice; NULL: it is not. */
static json_t *read_object(struct text part, struct arena *a)
{
    unsigned char *bytes = arena_alloc(a, part.n + 1);
    size_t n;

    if (!part.n || !b64url_decode(part, bytes, part.n, &n))
        return NULL;
    json_t *j = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL);
    if (j && !json_is_object(j)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

static struct text string_of(const json_t *j)
{
    return json_is_string(j) ? text_n(json_string_value(j), json_string_length(j))
                             : text_n(NULL, 0);
}

/* ---- the header ---- */

/* Algorithm and key name; false: something in it that we do not do. */
static bool read_header(const json_t *h, int *alg, struct text *kid)
{
    static const struct {
        const char *name;
        int alg;
    } algs[] = { { "HS256", TOKEN_HS256 }, { "RS256", TOKEN_RS256 }, { "ES256", TOKEN_ES256 } };
    struct text name = string_of(json_object_get(h, "alg"));
    const json_t *typ = json_object_get(h, "typ"), *key = json_object_get(h, "kid");

    *alg = -1;
    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
        if (text_is(name, algs[i].name))
            *alg = algs[i].alg;
    if (json_object_get(h, "crit") || json_object_get(h, "b64") || json_object_get(h, "cty") ||
        json_object_get(h, "enc") || json_object_get(h, "zip"))
        return false;
    if (typ && !text_is_i(string_of(typ), "JWT") && !text_is_i(string_of(typ), "at+jwt"))
        return false;
    *kid = string_of(key);
    return *alg >= 0 && (!key || kid->p);
}

/* The key that signed it; NULL: none of ours. */
static const struct token_key *signer(const struct token_keys *keys, int alg, struct text kid,
                                      struct text data, struct text coded, struct arena *a)
{
    unsigned char *sig = arena_alloc(a, coded.n + 1);
    size_t n;

    if (!coded.n || !b64url_decode(coded, sig, coded.n, &n))
        return NULL;
    for (int i = 0; i < keys->n; i++) {
        const struct token_key *k = &keys->list[i];
        if (k->alg == alg && (!kid.p || text_eq(k->kid, kid)) && token_key_verify(k, data, sig, n))
            return k;
    }
    return NULL;
}

/* ---- what it says ---- */

/* A NumericDate; 1: there, 0: absent, -1: not a date. */
static int read_date(const json_t *o, const char *name, int64_t *out)
{
    const json_t *j = json_object_get(o, name);
    double d;

    if (!j)
        return 0;
    if (!json_is_number(j))
        return -1;
    d = json_number_value(j);
    if (!(d >= 0 && d < DATE_MAX))
        return -1;
    *out = (int64_t)d;
    return 1;
}

static bool check_times(const json_t *o, const struct token_rules *r, int64_t now,
                        struct token *out, struct err *e)
{
    int64_t exp = 0, nbf = 0, iat = 0;
    int has_nbf = read_date(o, "nbf", &nbf), has_iat = read_date(o, "iat", &iat);

    if (read_date(o, "exp", &exp) != 1)
        return refuse(e, "the token does not say when it expires");
    if (has_nbf < 0 || has_iat < 0)
        return refuse(e, "the token's times are malformed");
    out->exp = exp + r->leeway_s;
    if (r->max_age_s) {
        if (!has_iat)
            return refuse(e, "the token does not say when it was issued");
        if (out->exp > iat + r->max_age_s + r->leeway_s)
            out->exp = iat + r->max_age_s + r->leeway_s;
    }
    if (now >= out->exp)
        return refuse(e, "the token has expired");
    if ((has_nbf && nbf > now + r->leeway_s) || (has_iat && iat > now + r->leeway_s))
        return refuse(e, "the token is not valid yet");
    return true;
}

static bool check_audience(const json_t *o, const char *ours)
{
    const json_t *aud = json_object_get(o, "aud"), *one;
    size_t i;
    bool found = false;

    if (!ours[0])
        return !aud; /* RFC 7519 chapter 4.1.3: not meant for us */
    if (json_is_string(aud))
        return text_is(string_of(aud), ours);
    if (!json_is_array(aud))
        return false;
    json_array_foreach(aud, i, one)
    {
        if (!json_is_string(one))
            return false;
        found = found || text_is(string_of(one), ours);
    }
    return found;
}

/* A text, or a whole number as its digits; false: neither. */
static bool value_of(const json_t *j, struct arena *a, struct text *out)
{
    if (json_is_string(j))
        *out = arena_text(a, string_of(j));
    else if (json_is_integer(j))
        *out = arena_printf(a, "%lld", (long long)json_integer_value(j));
    else
        return false;
    return true;
}

struct gathered {
    struct claim list[MAX_CLAIMS];
    int n;
};

static bool add_claim(struct gathered *g, struct text name, const json_t *value, struct arena *a)
{
    if (!name.n || text_is(name, "tenant") || g->n == MAX_CLAIMS)
        return false;
    for (int i = 0; i < g->n; i++)
        if (text_eq(g->list[i].name, name))
            return false;
    g->list[g->n].name = arena_text(a, name);
    return value_of(value, a, &g->list[g->n++].value);
}

static bool read_claims(json_t *o, struct arena *a, struct token *out)
{
    const struct text prefix = TEXT("claim.");
    struct gathered g = { .n = 0 };
    json_t *more = json_object_get(o, "claims"), *value;
    struct claim *list;
    const char *name;

    if (more && !json_is_object(more))
        return false;
    json_object_foreach(o, name, value)
    {
        struct text t = text_of(name);
        if (text_starts(t, prefix) &&
            !add_claim(&g, text_n(t.p + prefix.n, t.n - prefix.n), value, a))
            return false;
    }
    json_object_foreach(more, name, value)
    {
        if (!add_claim(&g, text_of(name), value, a))
            return false;
    }
    list = ARENA_ARRAY(a, struct claim, g.n + 1);
    memcpy(list, g.list, sizeof(*list) * (size_t)g.n);
    out->claims = list;
    out->n_claims = g.n;
    return true;
}

/* A text member into the arena; false: it is there and no text, or an empty one. */
static bool read_text(const json_t *o, const char *name, struct arena *a, struct text *out)
{
    const json_t *j = json_object_get(o, name);

    *out = text_n(NULL, 0);
    if (!j)
        return true;
    if (!json_is_string(j) || !json_string_length(j))
        return false;
    *out = arena_text(a, string_of(j));
    return true;
}

static bool read_id(const json_t *o, const struct token_key *key, struct token *out, struct err *e)
{
    struct text jti = string_of(json_object_get(o, "jti"));
    unsigned char bytes[1 + DIGEST_LEN + JTI_MAX];

    if (!jti.n || jti.n > JTI_MAX)
        return refuse(e, "the token has no jti, and may be used only once");
    bytes[0] = (unsigned char)key->alg;
    if (!digest_sha256(key->kid.p, key->kid.n, bytes + 1))
        return refuse(e, "the token cannot be checked");
    memcpy(bytes + 1 + DIGEST_LEN, jti.p, jti.n);
    return digest_sha256(bytes, 1 + DIGEST_LEN + jti.n, out->id) ||
           refuse(e, "the token cannot be checked");
}

static bool read_payload(json_t *o, const struct token_key *key, const struct token_rules *r,
                         int64_t now, struct arena *a, struct token *out, struct err *e)
{
    const json_t *tenant = json_object_get(o, r->tenant_claim);
    struct text iss;

    if (!check_times(o, r, now, out, e))
        return false;
    if (!check_audience(o, r->audience))
        return refuse(e, "the token is meant for somebody else (aud)");
    if (!read_text(o, "iss", a, &iss) || (r->issuer[0] && !text_is(iss, r->issuer)))
        return refuse(e, "the token comes from another issuer (iss)");
    if (!read_text(o, "sub", a, &out->sub) || !read_text(o, "user", a, &out->user))
        return refuse(e, "the token's user is malformed");
    if (!tenant || !value_of(tenant, a, &out->tenant))
        return refuse(e, "the token names no tenant");
    if (!read_claims(o, a, out))
        return refuse(e, "the token's claims are malformed");
    return !r->once || read_id(o, key, out, e);
}

bool token_read(const struct token_keys *keys, const struct token_rules *rules, struct text text,
                int64_t now, struct arena *a, struct token *out, struct err *e)
{
    struct text rest = text, head, body, data, kid = { NULL, 0 };
    const struct token_key *key;
    bool ok;
    int alg = TOKEN_V1;

    *out = (struct token){ .exp = 0 };
    if (text.n > TOKEN_MAX)
        return refuse(e, "the token is too long");
    if (!text_split(&rest, '.', &head) || !text_split(&rest, '.', &body) || !rest.p ||
        memchr(rest.p, '.', rest.n))
        return refuse(e, "the token is malformed");
    data = text_n(text.p, head.n + 1 + body.n);
    if (!text_is(head, "v1")) {
        json_t *h = read_object(head, a);
        ok = h && read_header(h, &alg, &kid);
        if (ok && kid.p)
            kid = arena_text(a, kid);
        json_decref(h);
        if (!ok)
            return refuse(e, "the token's header is not one that is taken here");
    }
    key = signer(keys, alg, kid, data, rest, a);
    if (!key)
        return refuse(e, "the token is not signed by a key that is known here");
    json_t *o = read_object(body, a);
    if (!o)
        return refuse(e, "the token's content is malformed");
    ok = read_payload(o, key, rules, now, a, out, e);
    json_decref(o);
    return ok;
}
