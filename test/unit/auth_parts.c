/* SPDX-License-Identifier: ISC */
/* Base 64, SASLprep, stored secrets, md5, the cache of secrets. */
#include "tap.h"

#include "auth/base64.h"
#include "auth/login.h"
#include "auth/saslprep.h"

static const unsigned char seed[32] = { 1, 2, 3 };

static void decoded(const char *in, const char *want)
{
    unsigned char out[64];
    size_t n;
    bool done = b64_decode(text_of(in), out, sizeof(out), &n);
    ok(done == !!want, "decode %zu digits", strlen(in));
    if (want)
        is_text(text_n((const char *)out, n), want, "its bytes");
}

static void test_base64(void)
{
    struct buf b;
    buf_init(&b);
    const char *plain = "any carnal pleas", *coded[] = { "", "YQ==", "YW4=", "YW55", "YW55IA==" };
    for (size_t i = 0; i < 5; i++) {
        buf_clear(&b);
        b64_encode(&b, (const unsigned char *)plain, i);
        is_text(buf_text(&b), coded[i], "encode %zu bytes", i);
    }
    decoded("", "");
    decoded("YQ==", "a");
    decoded("YW4=", "an");
    decoded("YW55IA==", "any ");
    decoded("YQ", NULL);
    decoded("YQ=", NULL);
    decoded("YR==", NULL);
    decoded("YW5=", NULL);
    decoded("Y===", NULL);
    decoded("====", NULL);
    decoded("YQ==YW55", NULL);
    decoded("YW=5", NULL);
    decoded("YW 5", NULL);
    decoded("YW\n5", NULL);
    decoded("-_-_", NULL);
    unsigned char small[2];
    size_t n;
    ok(!b64_decode(TEXT("YW55"), small, 2, &n), "too long");
    ok(b64_decode(TEXT("YW4="), small, 2, &n) && n == 2, "just fits");
    buf_release(&b);
}

static void prepared(struct text in, struct text want, const char *what)
{
    struct buf b;
    buf_init(&b);
    saslprep(in, &b);
    is_text(buf_text(&b), want, "saslprep: %s", what);
    buf_release(&b);
}

static void test_saslprep(void)
{
    prepared(TEXT(""), TEXT(""), "empty");
    prepared(TEXT("a b\1"), TEXT("a b\1"), "ASCII stays");
    prepared(TEXT("I\xc2\xadX\xc3\xa9"), TEXT("IX\xc3\xa9"), "soft hyphen vanishes");
    prepared(TEXT("a\xc2\xa0"
                  "b\xe3\x80\x80"),
             TEXT("a b "), "spaces");
    prepared(TEXT("\xc2\xad"), TEXT("\xc2\xad"), "nothing left: as it is");
    prepared(TEXT("\xc2\xad\1"), TEXT("\xc2\xad\1"), "prohibited: as it is");
    prepared(TEXT("\xc2\xad\xff"), TEXT("\xc2\xad\xff"), "not UTF-8: as it is");
    prepared(TEXT("\xc2\xad\xc3"), TEXT("\xc2\xad\xc3"), "cut UTF-8");
    prepared(TEXT("\xc2\xad\xed\xa0\x80"), TEXT("\xc2\xad\xed\xa0\x80"), "surrogate");
    prepared(TEXT("\xc2\xad\xe0\x80\x80"), TEXT("\xc2\xad\xe0\x80\x80"), "overlong");
    prepared(TEXT("\xc2\xad\xf0\x9d\x84\x9e"), TEXT("\xf0\x9d\x84\x9e"), "four bytes");
    prepared(TEXT("\xc2\xad\xf0\x9f\x98\x80"), TEXT("\xc2\xad\xf0\x9f\x98\x80"),
             "not assigned in Unicode 3.2: as it is");
    prepared(TEXT("\xef\xac\x81x\xe2\x85\xa8"), TEXT("fixIX"), "NFKC takes apart");
    prepared(TEXT("u\xcc\x88\xe1\x84\x80\xe1\x85\xa1"), TEXT("\xc3\xbc\xea\xb0\x80"),
             "and together");
    prepared(TEXT("a\xcc\x81\xcc\xa3"), TEXT("\xe1\xba\xa1\xcc\x81"), "marks in their order");
    prepared(TEXT("\xe0\xa5\x98"), TEXT("\xe0\xa4\x95\xe0\xa4\xbc"), "not composed again");
    prepared(TEXT("\xcd\x80-"), TEXT("\xcd\x80-"), "prohibited before NFKC: as it is");
    prepared(TEXT("\xd7\x90\xc2\xad\xd7\x91"), TEXT("\xd7\x90\xd7\x91"), "right to left");
    prepared(TEXT("\xd7\x90\xc2\xad-\xd7\x91"), TEXT("\xd7\x90-\xd7\x91"), "with a hyphen");
    prepared(TEXT("\xd7\x90\xc2\xad-"), TEXT("\xd7\x90\xc2\xad-"),
             "a hyphen at the end: as it is");
    prepared(TEXT("\xd7\x90\xc2\xadx\xd7\x91"), TEXT("\xd7\x90\xc2\xadx\xd7\x91"),
             "both directions: as it is");
    prepared(TEXT("\xc2\xad\xf4\x90\x80\x80"), TEXT("\xc2\xad\xf4\x90\x80\x80"), "beyond Unicode");
}

static void test_secrets(void)
{
    static const char stored[] =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    struct scram_secret s, t;
    struct err e = { 0 };
    struct buf b;
    buf_init(&b);
    ok(scram_secret_read(text_of(stored), &s), "stored secret");
    is_int(s.iterations, 4096, "iterations");
    scram_secret_write(&s, &b);
    is_text(buf_text(&b), stored, "written as read");
    ok(scram_secret_derive(TEXT("pencil"), s.salt, s.salt_len, 4096, &t, &e), "derived");
    buf_clear(&b);
    scram_secret_write(&t, &b);
    is_text(buf_text(&b), stored, "the same from the password");
    size_t refused = 0;
    for (size_t i = 0; i < sizeof(stored) - 1; i++)
        refused += !scram_is_secret(text_n(stored, i));
    is_int(refused, sizeof(stored) - 1, "truncations");
    static const char *const bad[] = {
        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$-1:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==:x:y",
    };
    for (size_t i = 0; i < 5; i++)
        ok(!scram_is_secret(text_of(bad[i])), "not a secret: %s", bad[i]);
    scram_secret_mock(TEXT("u"), seed, &s);
    scram_secret_mock(TEXT("u"), seed, &t);
    ok(!memcmp(s.salt, t.salt, s.salt_len), "a mock's salt is stable");
    scram_secret_mock(TEXT("v"), seed, &t);
    ok(memcmp(s.salt, t.salt, s.salt_len), "and differs by user");
    ok(scram_secret_make(TEXT("p"), 1, &s, &e) && scram_secret_make(TEXT("p"), 1, &t, &e), "made");
    ok(memcmp(s.salt, t.salt, s.salt_len), "with random salts");
    buf_release(&b);
}

static void test_md5(void)
{
    static const unsigned char salt[4] = { 1, 2, 3, 4 };
    static const char stored[] = "md5ee69efad287c7423caf0b3229d71f567";
    char out[36];
    ok(md5_is_secret(text_of(stored)), "md5 secret");
    ok(!md5_is_secret(TEXT("md5EE69efad287c7423caf0b3229d71f567")), "upper case is a password");
    ok(!md5_is_secret(TEXT("md5ee69")), "so is a short one");
    ok(md5_answer(text_of(stored), TEXT("alice"), salt, out), "answer");
    is_str(out, "md537cba386e8b90f1e3941a0e792722253", "from the stored secret");
    ok(md5_answer(TEXT("pencil"), TEXT("alice"), salt, out), "answer");
    is_str(out, "md537cba386e8b90f1e3941a0e792722253", "from the password");
    ok(md5_check(text_of(stored), TEXT("alice"), salt, text_n(out, 35)), "right");
    ok(!md5_check(TEXT("pencil"), TEXT("bob"), salt, text_n(out, 35)), "another user");
    ok(!md5_check(text_of(stored), TEXT("alice"), salt, text_n(out, 34)), "cut");
    out[20] ^= 1;
    ok(!md5_check(text_of(stored), TEXT("alice"), salt, text_n(out, 35)), "tampered");
    ok(!md5_check(TEXT("pencil"), TEXT("alice"), salt, TEXT("")), "empty");
}

static void test_cache(void)
{
    struct scram_cache *c = scram_cache_new(seed, 10);
    struct text one = scram_cache_get(c, TEXT("u"), TEXT("p"));
    ok(scram_is_secret(one), "a plain secret becomes SCRAM");
    const char *p = one.p;
    ok(scram_cache_get(c, TEXT("u"), TEXT("p")).p == p, "and is found again");
    char *copy = strndup(one.p, one.n);
    struct text two = scram_cache_get(c, TEXT("u"), TEXT("q"));
    ok(scram_is_secret(two) && !text_is(two, copy), "a new password makes a new one");
    free(copy);
    is_text(scram_cache_get(c, TEXT("u"), TEXT("")), "", "empty stays");
    static const char md5[] = "md5ee69efad287c7423caf0b3229d71f567";
    is_text(scram_cache_get(c, TEXT("u"), text_of(md5)), md5, "md5 stays");
    scram_cache_free(c);
}

int main(void)
{
    test_base64();
    test_saslprep();
    test_secrets();
    test_md5();
    test_cache();
    return tap_done();
}
