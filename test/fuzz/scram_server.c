/* SPDX-License-Identifier: ISC */
/*
 * A client's messages against SCRAM's checking side and against login_check. The first byte is the
 * length of the first message; nobody here knows the password, so nobody may get in.
 */
#include "auth/login.h"
#include "base/check.h"

#include <stdlib.h>

#define STORED                                                                                     \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void exchange(struct text first, struct text second, bool mock)
{
    struct scram_secret secret;
    struct scram_keys keys = { 0 };
    struct err e = { 0 };
    struct buf out;
    CHECK(scram_secret_read(TEXT(STORED), &secret));
    struct scram_server *s = scram_server_new(&secret, mock);
    CHECK(s);
    buf_init(&out);
    scram_server_set_nonce(s, TEXT("server"));
    if (scram_server_first(s, first.p, first.n, &out, &e) == AUTH_MORE) {
        CHECK(buf_len(&out) && !e.msg[0]);
        buf_clear(&out);
        CHECK(scram_server_final(s, second.p, second.n, &out, &keys, &e) == AUTH_REFUSED);
    }
    CHECK(e.msg[0] && e.sqlstate[0] && !buf_len(&out) && !keys.valid);
    scram_server_free(s);
    buf_release(&out);
}

static void checked(enum auth_method method, struct text secret, struct text one, struct text two)
{
    static const unsigned char seed[32] = { 1 };
    struct err e = { 0 };
    struct buf out;
    enum auth_step step;
    buf_init(&out);
    struct login_check *c =
        login_check_new(method, TEXT("u"), secret, secret.n > 0, seed, 1, NULL, &out, &step, &e);
    CHECK(c && step == AUTH_MORE);
    step = login_check_step(c, one.p, one.n, &out, &e);
    if (step == AUTH_MORE)
        step = login_check_step(c, two.p, two.n, &out, &e);
    CHECK(step == AUTH_REFUSED && e.msg[0]);
    login_check_free(c);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t n = data[0] < size ? data[0] : size - 1;
    struct text first = text_n((const char *)data + 1, n);
    struct text second = text_n((const char *)data + 1 + n, size - 1 - n);
    struct scram_secret s;
    exchange(first, second, false);
    exchange(first, second, true);
    checked(AUTH_M_SCRAM, TEXT(STORED), first, second);
    checked(AUTH_M_SCRAM, TEXT(""), first, second);
    checked(AUTH_M_MD5, TEXT("Qm4#xT9!vLw2"), first, second);
    checked(AUTH_M_PLAIN, TEXT("Qm4#xT9!vLw2"), first, second);
    if (scram_secret_read(second, &s)) {
        struct buf b;
        buf_init(&b);
        scram_secret_write(&s, &b);
        CHECK(scram_is_secret(buf_text(&b)));
        buf_release(&b);
    }
    return 0;
}
