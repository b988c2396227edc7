/* SPDX-License-Identifier: ISC */
/* Tokens: the RFCs' examples, what is refused, keys, replay. */
#include "auth/token.h"

#include "auth/base64.h"
#include "auth/digest.h"
#include "tap.h"

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW INT64_C(1800000000)

static struct arena arena;
static struct token_rules rules = { "", "", "tenant", 30, 0, false };

static struct text b64url(struct text t)
{
    struct buf b;
    struct text out;

    buf_init(&b);
    b64_encode(&b, (const unsigned char *)t.p, t.n);
    out = arena_text(&arena, buf_text(&b));
    char *p = (char *)(uintptr_t)out.p;
    for (size_t i = 0; i < out.n; i++)
        p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
    while (out.n && p[out.n - 1] == '=')
        p[--out.n] = '\0';
    buf_release(&b);
    return out;
}

static struct text hmac_of(const char *secret, struct text data)
{
    unsigned char mac[DIGEST_LEN];

    digest_hmac((const unsigned char *)secret, strlen(secret), data, mac);
    return b64url(text_n((const char *)mac, sizeof(mac)));
}

static struct text hs256(const char *header, const char *payload)
{
    struct text h = b64url(text_of(header)), p = b64url(text_of(payload));
    struct text data = arena_printf(&arena, "%s.%s", h.p, p.p);

    return arena_printf(&arena, "%s.%s", data.p, hmac_of(SECRET, data).p);
}

static struct text v1(const char *payload)
{
    struct text data = arena_printf(&arena, "v1.%s", b64url(text_of(payload)).p);
    return arena_printf(&arena, "%s.%s", data.p, hmac_of(SECRET, data).p);
}

static struct token_keys *keys_of(int n, const struct token_key_conf *c)
{
    struct err e = { 0 };
    struct token_keys *k = token_keys_new(c, n, &e);

    if (!k)
        printf("# %s\n", e.msg);
    return k;
}

static struct err why;
static bool reads(const struct token_keys *k, struct text t, struct token *out)
{
    why.msg[0] = '\0';
    return token_read(k, &rules, t, NOW, &arena, out, &why);
}

static void refused(const struct token_keys *k, struct text t, const char *like, const char *what)
{
    struct token out;
    bool got = reads(k, t, &out);

    if (!ok(!got && strstr(why.msg, like) && strcmp(why.sqlstate, "28000") == 0, "refused: %s",
            what))
        printf("# %s\n", got ? "taken" : why.msg);
}

#define HEAD "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "{\"tenant\":\"acme\",\"exp\":1800000100}"

/* RFC 7515 appendices A.1 (HS256), A.2 (RS256), A.3 (ES256); their payload is RFC 7519's example.
 */
static const char a1[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char a1_key[] =
    "b64:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
static const char a2[] =
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5juj"
    "Gbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6L"
    "bgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char a3[] =
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
static const char a2_n[] =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Q"
    "lL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
    "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF"
    "8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
static const char a3_x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
static const char a3_y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/* DER of a public key by its parts, as PEM text. */
static struct text pem_of(const unsigned char *head, size_t n_head, const char *one,
                          const char *two, const unsigned char *tail, size_t n_tail)
{
    unsigned char der[800];
    size_t n, at = n_head;
    struct buf b;

    memcpy(der, head, n_head);
    b64url_decode(text_of(one), der + at, sizeof(der) - at, &n);
    at += n;
    if (two) {
        b64url_decode(text_of(two), der + at, sizeof(der) - at, &n);
        at += n;
    }
    memcpy(der + at, tail, n_tail);
    at += n_tail;
    buf_init(&b);
    b64_encode(&b, der, at);
    struct text body = arena_text(&arena, buf_text(&b));
    buf_clear(&b);
    buf_text_append(&b, TEXT("-----BEGIN PUBLIC KEY-----\n"));
    for (size_t i = 0; i < body.n; i += 64) {
        buf_append(&b, body.p + i, body.n - i < 64 ? body.n - i : 64);
        buf_char(&b, '\n');
    }
    buf_text_append(&b, TEXT("-----END PUBLIC KEY-----\n"));
    struct text out = arena_text(&arena, buf_text(&b));
    buf_release(&b);
    return out;
}

static struct text rsa_pem(void)
{
    static const unsigned char head[] = { 0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a,
                                          0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
                                          0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01,
                                          0x0a, 0x02, 0x82, 0x01, 0x01, 0x00 };
    static const unsigned char tail[] = { 0x02, 0x03, 0x01, 0x00, 0x01 };
    return pem_of(head, sizeof(head), a2_n, NULL, tail, sizeof(tail));
}

static struct text ec_pem(void)
{
    static const unsigned char head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };
    return pem_of(head, sizeof(head), a3_x, a3_y, head, 0);
}

static void vectors(void)
{
    const struct token_key_conf conf[] = {
        { TEXT("a"), TOKEN_HS256, text_of(a1_key) },
        { TEXT("b"), TOKEN_RS256, rsa_pem() },
        { TEXT("c"), TOKEN_ES256, ec_pem() },
    };
    struct token_keys *all = keys_of(3, conf);
    const char *const tokens[] = { a1, a2, a3 };
    struct token out;

    ok(all != NULL, "the keys of RFC 7515 can be used");
    for (int i = 0; i < 3; i++) {
        struct token_keys *others = keys_of(i == 0 ? 2 : 1, i == 0 ? conf + 1 : conf);
        struct text t = text_of(tokens[i]);
        refused(all, t, "expired", "RFC 7515's example, well signed, long ago");
        ok(!token_read(all, &rules, t, 1300819380 + 29, &arena, &out, &why) &&
               strstr(why.msg, "no tenant"),
           "not expired within the leeway; it names no tenant");
        ok(!token_read(all, &rules, t, 1300819380 + 30, &arena, &out, &why) &&
               strstr(why.msg, "expired"),
           "and expired at its end");
        refused(others, t, "not signed", "by other keys it is not");
        for (int k = 0; k < 3; k++) { /* a bit of the header, payload, signature */
            char *bent = arena_strdup(&arena, tokens[i]);
            size_t at = k == 0 ? 12 : k == 1 ? 80 : t.n - 20;
            bent[at] = bent[at] == 'A' ? 'B' : 'A';
            refused(all, text_n(bent, t.n), "token", "one character changed");
        }
        refused(all, text_n(t.p, t.n - 1), "token", "one character less");
        refused(all, arena_printf(&arena, "%s=", tokens[i]), "not signed", "padding");
        refused(all, arena_printf(&arena, "%sA", tokens[i]), "not signed", "more behind it");
        refused(all, arena_printf(&arena, "%s.", tokens[i]), "malformed", "a fourth part");
        token_keys_free(others);
    }
    /* the public key as a shared secret */
    const struct token_key_conf confused = { TEXT("b"), TOKEN_RS256, rsa_pem() };
    struct token_keys *k = keys_of(1, &confused);
    struct text h = b64url(TEXT("{\"alg\":\"HS256\"}")), p = b64url(TEXT(GOOD));
    struct text data = arena_printf(&arena, "%s.%s", h.p, p.p);
    refused(k, arena_printf(&arena, "%s.%s", data.p, hmac_of(confused.key.p, data).p), "not signed",
            "HS256 by the text of an RS256 key");
    token_keys_free(k);
    token_keys_free(all);
}

static struct token_keys *hmac_keys(void)
{
    const struct token_key_conf conf[] = { { TEXT("old"), TOKEN_HS256,
                                             TEXT("ffffffffffffffffffffffffffffffff") },
                                           { TEXT("k1"), TOKEN_HS256, TEXT(SECRET) },
                                           { TEXT("short"), TOKEN_V1, TEXT(SECRET) } };
    return keys_of(3, conf);
}

static void headers(struct token_keys *k)
{
    struct token t;
    static const char *const bad[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"\"}",
        "{}",
        "[]",
        "null",
        "\"HS256\"",
        "{\"alg\":1}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"b64\":false}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"HS256\",\"kid\":1}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\",\"cty\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWE\"}",
        "{\"alg\":\"HS256\",\"typ\":7}",
        "{\"alg\":\"HS256\"} x",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\\u0000\"}",
        "",
        "{\"alg\":\"v1\"}",
        "{\"alg\":\"HS256 \"}",
        "{alg:\"HS256\"}",
        "{\"alg\":\"\xff\"}",
    };
    ok(reads(k, hs256(HEAD, GOOD), &t), "a good one: %s", why.msg);
    is_text(t.tenant, "acme", "its tenant");
    is_int(t.exp, 1800000130, "its end, with the leeway");
    ok(reads(k, hs256("{\"alg\":\"HS256\",\"kid\":\"k1\"}", GOOD), &t), "with the key's name");
    ok(reads(k, hs256("{\"alg\":\"HS256\",\"jku\":\"https://x\",\"x5u\":\"y\"}", GOOD), &t),
       "references to keys are not followed");
    refused(k, hs256("{\"alg\":\"HS256\",\"kid\":\"old\"}", GOOD), "not signed",
            "another key's name");
    refused(k, hs256("{\"alg\":\"HS256\",\"kid\":\"\"}", GOOD), "not signed", "an empty name");
    refused(k, hs256("{\"alg\":\"HS256\",\"kid\":\"short\"}", GOOD), "not signed",
            "the name of a key for the short form");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(k, hs256(bad[i], GOOD), "token", bad[i]);
    struct text p = b64url(TEXT(GOOD)), none = b64url(TEXT("{\"alg\":\"none\"}"));
    refused(k, arena_printf(&arena, "%s.%s.", none.p, p.p), "header", "alg none, no signature");
    struct text h = b64url(TEXT(HEAD));
    refused(k, arena_printf(&arena, "%s.%s.", h.p, p.p), "not signed", "no signature");
    refused(k, arena_printf(&arena, "%s.%s", h.p, p.p), "malformed", "two parts");
    refused(k, TEXT(""), "malformed", "nothing");
    refused(k, TEXT(".."), "header", "dots");
    refused(k, TEXT("v1.."), "not signed", "v1 and dots");
    /* the forms are not each other's */
    struct text data = arena_printf(&arena, "v1.%s", p.p);
    ok(reads(k, v1(GOOD), &t), "the short form");
    struct text jwt_mac = hs256(HEAD, GOOD);
    const char *dot = strrchr(jwt_mac.p, '.');
    refused(k, arena_printf(&arena, "%s%s", data.p, dot), "not signed", "a JWT's signature");
    char *text = arena_alloc(&arena, TOKEN_MAX + 2);
    memset(text, 'A', TOKEN_MAX + 1);
    text[TOKEN_MAX + 1] = '\0';
    refused(k, text_n(text, TOKEN_MAX + 1), "too long", "a long one");
}

static void payloads(struct token_keys *k)
{
    struct token t;
    static const struct {
        const char *payload, *like;
    } bad[] = {
        { "{\"tenant\":\"acme\"}", "expires" },
        { "{\"tenant\":\"acme\",\"exp\":null}", "expires" },
        { "{\"tenant\":\"acme\",\"exp\":\"1800000100\"}", "expires" },
        { "{\"tenant\":\"acme\",\"exp\":-1}", "expires" },
        { "{\"tenant\":\"acme\",\"exp\":1e300}", "expires" },
        { "{\"tenant\":\"acme\",\"exp\":9223372036854775808}", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1799999970}", "expired" },
        { "{\"tenant\":\"acme\",\"exp\":0}", "expired" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"nbf\":1800000031}", "not valid yet" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"iat\":1800000031}", "not valid yet" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"nbf\":true}", "times" },
        { "{\"exp\":1800000100}", "no tenant" },
        { "{\"tenant\":null,\"exp\":1800000100}", "no tenant" },
        { "{\"tenant\":[\"acme\"],\"exp\":1800000100}", "no tenant" },
        { "{\"tenant\":1.5,\"exp\":1800000100}", "no tenant" },
        { "{\"tenant\":true,\"exp\":1800000100}", "no tenant" },
        { "{\"tenant\":\"acme\",\"tenant\":\"beta\",\"exp\":1800000100}", "malformed" },
        { "{\"tenant\":\"acme\",\"\\u0074enant\":\"beta\",\"exp\":1800000100}", "malformed" },
        { "{\"tenant\":\"a\\u0000b\",\"exp\":1800000100}", "malformed" },
        { "{\"tenant\":\"a\xff\",\"exp\":1800000100}", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100} {}", "malformed" },
        { "[{\"tenant\":\"acme\",\"exp\":1800000100}]", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,}", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"exp\":1900000000}", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"aud\":\"db\"}", "aud" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"sub\":5}", "user" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"user\":\"\"}", "user" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claims\":[]}", "claims" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claims\":{\"tenant\":\"beta\"}}", "claims" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claim.tenant\":\"beta\"}", "claims" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claim.\":\"x\"}", "claims" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claim.n\":1,\"claims\":{\"n\":2}}", "claims" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claims\":{\"n\":1,\"n\":2}}", "malformed" },
        { "{\"tenant\":\"acme\",\"exp\":1800000100,\"claims\":{\"n\":{}}}", "claims" },
        { "", "malformed" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(k, hs256(HEAD, bad[i].payload), bad[i].like, bad[i].payload);
        refused(k, v1(bad[i].payload), bad[i].like, "the same in the short form");
    }
    ok(reads(k,
             hs256(HEAD, "{\"tenant\":42,\"exp\":1.8000001e9,\"nbf\":1800000030,\"iat\":1,"
                         "\"sub\":\"alice\",\"claims\":{\"no\":7,\"id\":\"x\"},\"claim.z\":\"\"}"),
             &t),
       "all kinds: %s", why.msg);
    is_text(t.tenant, "42", "a number as its digits");
    is_text(t.sub, "alice", "sub");
    is_int(t.n_claims, 3, "claims");
    is_text(t.claims[0].name, "z", "by prefix");
    is_text(t.claims[1].value, "7", "in the object");
    char deep[6000];
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"a\":", 5);
    deep[5900] = '\0';
    refused(k, v1(deep), "malformed", "deep nesting");
}

static void rule_by_rule(struct token_keys *k)
{
    struct token t;

    rules.audience = "db";
    refused(k, hs256(HEAD, GOOD), "aud", "no audience");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"aud\":\"DB\"}"), "aud",
            "another");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"aud\":[]}"), "aud",
            "none of none");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"aud\":[\"db\",1]}"), "aud",
            "one that is no text");
    ok(reads(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"aud\":\"db\"}"), &t),
       "the audience");
    ok(reads(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"aud\":[\"x\",\"db\"]}"), &t),
       "among several");
    rules.audience = "";
    rules.issuer = "idp";
    refused(k, hs256(HEAD, GOOD), "iss", "no issuer");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"iss\":\"idp2\"}"), "iss",
            "another");
    ok(reads(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"iss\":\"idp\"}"), &t),
       "the issuer");
    rules.issuer = "";
    rules.max_age_s = 60;
    refused(k, hs256(HEAD, GOOD), "issued", "no time of issue");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"iat\":1799999909}"), "expired",
            "too old");
    ok(reads(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800009999,\"iat\":1799999950}"), &t) &&
           t.exp == 1799999950 + 90,
       "young enough, and void when it is old");
    rules.max_age_s = 0;
    rules.tenant_claim = "org";
    refused(k, hs256(HEAD, GOOD), "no tenant", "another member names the tenant");
    rules.tenant_claim = "tenant";
    rules.once = true;
    refused(k, hs256(HEAD, GOOD), "jti", "no jti");
    refused(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"jti\":\"\"}"), "jti",
            "an empty jti");
    struct token one, two;
    ok(reads(k, hs256(HEAD, "{\"tenant\":\"a\",\"exp\":1800000100,\"jti\":\"1\"}"), &one) &&
           reads(k, hs256(HEAD, "{\"tenant\":\"b\",\"exp\":1800000200,\"jti\":\"2\"}"), &two),
       "with jti");
    struct token_replay *r = token_replay_new(2);
    ok(token_replay_take(r, &one, NOW), "taken once");
    ok(!token_replay_take(r, &one, NOW), "and not twice");
    ok(token_replay_take(r, &two, NOW), "another");
    one.id[0] ^= 1;
    ok(!token_replay_take(r, &one, NOW), "no room for a third");
    ok(token_replay_take(r, &one, 1800000130), "until one has expired");
    token_replay_free(r);
    rules.once = false;
}

static void key_errors(void)
{
    static const struct {
        struct token_key_conf c;
        const char *like;
    } bad[] = {
        { { TEXT("k"), TOKEN_HS256, TEXT("short") }, "32 bytes" },
        { { TEXT("k"), TOKEN_V1, TEXT("b64:AAAA") }, "32 bytes" },
        { { TEXT("k"), TOKEN_V1, TEXT("b64:+/+/") }, "base64url" },
        { { TEXT("k"), TOKEN_RS256, TEXT(SECRET) }, "PEM" },
        { { TEXT("k"), TOKEN_ES256, TEXT("") }, "PEM" },
    };
    struct err e = { 0 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(!token_keys_new(&bad[i].c, 1, &e) && strstr(e.msg, bad[i].like), "key: %s", bad[i].like);
    const struct token_key_conf wrong[] = { { TEXT("k"), TOKEN_ES256, rsa_pem() },
                                            { TEXT("k"), TOKEN_RS256, ec_pem() } };
    ok(!token_keys_new(&wrong[0], 1, &e) && strstr(e.msg, "P-256"), "an RSA key for ES256");
    ok(!token_keys_new(&wrong[1], 1, &e) && strstr(e.msg, "RSA"), "an EC key for RS256");
    struct token_keys *none = token_keys_new(NULL, 0, &e);
    refused(none, hs256(HEAD, GOOD), "not signed", "without keys nothing is taken");
    token_keys_free(none);
}

int main(void)
{
    arena_init(&arena, 0);
    vectors();
    struct token_keys *k = hmac_keys();
    headers(k);
    payloads(k);
    rule_by_rule(k);
    token_keys_free(k);
    key_errors();
    unsigned char out[8];
    size_t n;
    ok(!b64url_decode(TEXT("AB"), out, 8, &n) && !b64url_decode(TEXT("A"), out, 8, &n) &&
           !b64url_decode(TEXT("AA=="), out, 8, &n) && !b64url_decode(TEXT("A A"), out, 8, &n) &&
           !b64url_decode(TEXT("AAAAAAAAAAAAAAAA"), out, 8, &n) &&
           b64url_decode(TEXT("_-8"), out, 8, &n) && n == 2 && out[0] == 0xff,
       "base64url is strict");
    arena_release(&arena);
    return tap_done();
}
