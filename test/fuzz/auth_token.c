/* SPDX-License-Identifier: ISC */
/*
 * Tokens of an attacker who has no key: none may be taken, whatever it is. The input is a token as
 * a whole, a content under a good signature (then it must be read without harm, and what is taken
 * must be complete), and a statement about the tenant.
 */
#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/token.h"
#include "tenant/switch.h"

#include <stdlib.h>

#define SECRET "0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text b64url(struct text t, struct arena *a)
{
    struct buf b;

    buf_init(&b);
    b64_encode(&b, (const unsigned char *)t.p, t.n);
    struct text out = arena_text(a, buf_text(&b));
    char *p = (char *)(uintptr_t)out.p;
    for (size_t i = 0; i < out.n; i++)
        p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
    while (out.n && p[out.n - 1] == '=')
        p[--out.n] = '\0';
    buf_release(&b);
    return out;
}

static void signed_content(const struct token_keys *keys, const struct token_rules *rules,
                           struct text body, struct arena *a)
{
    unsigned char mac[DIGEST_LEN];
    struct token t;
    struct err e = { 0 };
    struct text data = arena_printf(a, "v1.%s", b64url(body, a).p);

    CHECK(digest_hmac((const unsigned char *)SECRET, 32, data, mac));
    struct text sig = b64url(text_n((const char *)mac, sizeof(mac)), a);
    if (token_read(keys, rules, arena_printf(a, "%s.%s", data.p, sig.p), 1000, a, &t, &e))
        CHECK(t.tenant.p && t.exp > 1000 && !e.msg[0]);
    else
        CHECK(e.msg[0] && text_is(text_of(e.sqlstate), "28000"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct token_key_conf conf[] = { { TEXT("a"), TOKEN_V1, TEXT(SECRET) },
                                           { TEXT("a"), TOKEN_HS256, TEXT(SECRET) } };
    struct token_rules rules = { "", "", "tenant", 30, 0, size % 2 == 0 };
    struct text in, value;
    struct token t;
    struct err e = { 0 };
    const char *tag;
    struct arena a;

    arena_init(&a, 0);
    in = arena_text(&a, text_n((const char *)data, size)); /* a NUL byte behind it */
    struct token_keys *keys = token_keys_new(conf, 2, &e);
    CHECK(keys);
    CHECK(!token_read(keys, &rules, in, 1000, &a, &t, &e) && e.msg[0]);
    if (size < 5000)
        signed_content(keys, &rules, in, &a);
    token_keys_free(keys);
    if (!memchr(in.p, '\0', in.n)) {
        e.msg[0] = '\0';
        enum switch_kind kind = switch_read(in, &a, &value, &tag, &e);
        CHECK((kind == SWITCH_BAD) == (e.msg[0] != '\0'));
        CHECK(!value.p || kind == SWITCH_SET_TENANT || kind == SWITCH_SET_TOKEN ||
              kind == SWITCH_BAD);
    }
    arena_release(&a);
    return 0;
}
