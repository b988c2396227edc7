/* SPDX-License-Identifier: ISC */
/*
 * A server's Authentication messages against login_answer. The input is a row of (length byte,
 * body). A server that begins SCRAM cannot prove itself, so the exchange must not end well; the
 * password may go out once only.
 */
#include "auth/login.h"
#include "base/check.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A count as high as a server may ask would take seconds. */
static bool too_slow(struct text t)
{
    size_t digits = 0;
    for (size_t i = 0; i < t.n; i++) {
        digits = t.p[i] >= '0' && t.p[i] <= '9' ? digits + 1 : 0;
        if (digits > 3)
            return true;
    }
    return false;
}

static void talk(const uint8_t *data, size_t size, struct text secret, bool with_keys)
{
    struct scram_keys keys = { .valid = with_keys, .iterations = 1, .salt = { 1 }, .salt_len = 1 };
    struct err e = { 0 };
    struct buf out;
    bool scram = false;
    int answers = 0;
    buf_init(&out);
    struct login_answer *a = login_answer_new(TEXT("u"), secret, with_keys ? &keys : NULL);
    CHECK(a);
    while (size) {
        size_t n = data[0] < size ? data[0] : size - 1;
        struct text body = text_n((const char *)data + 1, n);
        data += n + 1;
        size -= n + 1;
        if (too_slow(body))
            break;
        size_t before = buf_len(&out);
        enum auth_step step = login_answer_step(a, body.p, body.n, &out, &e);
        if (n > 3 && body.p[3] == 10 && step == AUTH_MORE)
            scram = true;
        answers += buf_len(&out) > before;
        CHECK(answers <= (scram ? 2 : 1));
        CHECK((step == AUTH_REFUSED) == !!e.msg[0]);
        CHECK(step != AUTH_OK || !scram);
        if (step != AUTH_MORE)
            break;
    }
    login_answer_free(a);
    buf_release(&out);
}

/* The nonce is known here, so that the fuzzer gets behind it. */
static void direct(struct text first, struct text last)
{
    struct err e = { 0 };
    struct buf out;
    buf_init(&out);
    struct scram_client *c = scram_client_new(TEXT("pencil"), NULL);
    CHECK(c);
    scram_client_set_nonce(c, TEXT(""), TEXT("a"));
    CHECK(scram_client_first(c, "SCRAM-SHA-256\0", 15, &out, &e) == AUTH_MORE);
    if (!too_slow(first) && scram_client_continue(c, first.p, first.n, &out, &e) == AUTH_MORE)
        CHECK(scram_client_final(c, last.p, last.n, &e) == AUTH_REFUSED);
    scram_client_free(c);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    talk(data, size, TEXT("pencil"), false);
    talk(data, size, TEXT("md5ee69efad287c7423caf0b3229d71f567"), false);
    talk(data, size, TEXT(""), true);
    if (size) {
        size_t n = data[0] < size ? data[0] : size - 1;
        direct(text_n((const char *)data + 1, n), text_n((const char *)data + 1 + n, size - 1 - n));
    }
    return 0;
}
