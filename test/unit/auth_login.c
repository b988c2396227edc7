/* SPDX-License-Identifier: ISC */
/* login_check against login_answer, for every method and form of secret; hostile servers; alike
 * refusals. */
#include "tap.h"

#include "auth/login.h"
#include "wire/fields.h"

#define MD5_ALICE "md5ee69efad287c7423caf0b3229d71f567" /* password pencil */
#define SCRAM_PENCIL                                                                               \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const unsigned char seed[32] = { 7 };

struct result {
    enum auth_step check;
    struct err e;
    struct scram_keys keys;
    bool has_keys;
    char password[64];
    char requests[16]; /* codes of the Authentication messages, as letters */
    size_t n_requests;
};

/* Feeds what one side wrote to the other until there is an end. */
static void run(struct login_check *c, struct login_answer *a, struct buf *to_client,
                struct result *r)
{
    struct buf to_server;
    struct frame f;
    struct err e = { 0 };
    buf_init(&to_server);
    while (r->check != AUTH_REFUSED && buf_len(to_client)) {
        if (frame_peek(buf_data(to_client), buf_len(to_client), 100000, &f) != FRAME_OK ||
            f.type != 'R' || f.len > buf_len(to_client))
            abort();
        if (r->n_requests < 15)
            r->requests[r->n_requests++] = (char)('a' + buf_data(to_client)[8]);
        enum auth_step step =
            login_answer_step(a, buf_data(to_client) + 5, f.len - 5, &to_server, &e);
        buf_consume(to_client, f.len);
        if (step != AUTH_MORE) {
            if (r->check == AUTH_OK) /* the server failed the client */
                r->check = AUTH_MORE;
            break;
        }
        if (!buf_len(&to_server))
            continue;
        if (frame_peek(buf_data(&to_server), buf_len(&to_server), 100000, &f) != FRAME_OK ||
            f.type != 'p' || f.len != buf_len(&to_server))
            abort();
        r->check = login_check_step(c, buf_data(&to_server) + 5, f.len - 5, to_client, &r->e);
        buf_consume(&to_server, f.len);
    }
    buf_release(&to_server);
}

static struct result login(enum auth_method method, const char *secret, bool known,
                           const char *password, const struct scram_keys *keys)
{
    struct result r = { 0 };
    struct buf to_client;
    buf_init(&to_client);
    struct login_check *c = login_check_new(method, TEXT("alice"), text_of(secret), known, seed,
                                            128, NULL, &to_client, &r.check, &r.e);
    struct login_answer *a = login_answer_new(TEXT("alice"), text_of(password), keys);
    run(c, a, &to_client, &r);
    struct text t = login_check_password(c);
    if (t.n && t.n < sizeof(r.password))
        memcpy(r.password, t.p, t.n);
    if (login_check_keys(c)) {
        r.keys = *login_check_keys(c);
        r.has_keys = true;
    }
    login_answer_free(a);
    login_check_free(c);
    buf_release(&to_client);
    return r;
}

static void expect(enum auth_method method, const char *secret, bool known, const char *password,
                   bool good, const char *requests)
{
    struct result r = login(method, secret, known, password, NULL);
    is_int(r.check, good ? AUTH_OK : AUTH_REFUSED, "method %d secret %.20s password %.20s", method,
           secret, password);
    is_str(r.requests, requests, "its requests");
    is_str(r.e.sqlstate, good ? "" : "28P01", "SQLSTATE");
}

static void test_methods(void)
{
    static const char *const secrets[] = { "pencil", MD5_ALICE, SCRAM_PENCIL };
    for (int i = 0; i < 3; i++) {
        bool not_md5 = i != 1;
        expect(AUTH_M_PLAIN, secrets[i], true, "pencil", true, "d");
        expect(AUTH_M_PLAIN, secrets[i], true, "pencik", false, "d");
        expect(AUTH_M_PLAIN, secrets[i], false, "pencil", false, "d");
        expect(AUTH_M_MD5, secrets[i], true, "pencil", true, i == 2 ? "klm" : "f");
        expect(AUTH_M_MD5, secrets[i], true, "pencik", false, i == 2 ? "kl" : "f");
        expect(AUTH_M_SCRAM, secrets[i], true, "pencil", not_md5, not_md5 ? "klm" : "kl");
        expect(AUTH_M_SCRAM, secrets[i], true, "pencik", false, "kl");
        expect(AUTH_M_SCRAM, secrets[i], false, "pencil", false, "kl");
    }
    expect(AUTH_M_MD5, "pencil", true, MD5_ALICE, true, "f");
    expect(AUTH_M_MD5, "", false, "x", false, "f");
    expect(AUTH_M_MD5, "", true, "x", false, "f");
    expect(AUTH_M_TRUST, "", true, "", true, "");
    expect(AUTH_M_ANY, "", false, "", true, "");
    expect(AUTH_M_TRUST, "", false, "", false, "");
    expect(AUTH_M_CERT, "x", true, "x", false, "");
    is_str(login(AUTH_M_PLAIN, "pencil", true, "pencil", NULL).password, "pencil", "kept");
    is_str(login(AUTH_M_PLAIN, "pencil", true, "wrong", NULL).password, "", "not kept");
    ok(!login(AUTH_M_SCRAM, "pencil", true, "pencil", NULL).has_keys, "no server has our own salt");
}

static void test_pass_through(void)
{
    struct result r = login(AUTH_M_SCRAM, SCRAM_PENCIL, true, "pencil", NULL);
    ok(r.check == AUTH_OK && r.has_keys, "keys from a stored secret");
    struct result again = login(AUTH_M_SCRAM, SCRAM_PENCIL, true, "", &r.keys);
    is_int(again.check, AUTH_OK, "log in to a server with the same secret");
    again = login(AUTH_M_SCRAM, SCRAM_PENCIL, true, MD5_ALICE, &r.keys);
    is_int(again.check, AUTH_OK, "an md5 secret does not stand in the way");
    again = login(AUTH_M_SCRAM, "pencil", true, "", &r.keys);
    ok(again.check != AUTH_OK, "but not to one with another salt");
    r.keys.client_key[3] ^= 1;
    again = login(AUTH_M_SCRAM, SCRAM_PENCIL, true, "", &r.keys);
    is_int(again.check, AUTH_REFUSED, "nor with other keys");
}

/* Known and unknown users get the same first answers, and the same refusal. */
static void test_alike(void)
{
    static const char first[] = "SCRAM-SHA-256\0\0\0\0\12n,,n=,r=ab";
    struct text seen[3];
    struct buf out[3];
    for (int i = 0; i < 3; i++) {
        enum auth_step step;
        struct err e;
        buf_init(&out[i]);
        struct login_check *c = login_check_new(AUTH_M_SCRAM, TEXT("alice"), TEXT("pencil"), i != 1,
                                                seed, 128, NULL, &out[i], &step, &e);
        login_check_step(c, first, sizeof(first) - 1, &out[i], &e);
        login_check_free(c);
        struct text t = buf_text(&out[i]);
        const char *salt = t.n ? memmem(t.p, t.n, ",s=", 3) : NULL;
        seen[i] = salt ? text_n(salt, t.n - (size_t)(salt - t.p)) : TEXT("none");
        ok(salt, "has a salt");
    }
    is_text(seen[1], seen[0], "an unknown user's salt and count look like a known one's");
    is_text(seen[2], seen[0], "and both are stable");
    for (int i = 0; i < 3; i++)
        buf_release(&out[i]);
    static const enum auth_method methods[] = { AUTH_M_PLAIN, AUTH_M_MD5, AUTH_M_SCRAM };
    for (int i = 0; i < 3; i++) {
        struct result known = login(methods[i], "pencil", true, "wrong", NULL);
        struct result unknown = login(methods[i], "", false, "wrong", NULL);
        is_str(known.e.msg, unknown.e.msg, "same text");
        is_str(known.e.sqlstate, unknown.e.sqlstate, "same SQLSTATE");
        is_str(known.requests, unknown.requests, "same requests");
    }
}

static void bad_message(enum auth_method method, struct text body, const char *what)
{
    struct buf out;
    struct err e = { 0 };
    enum auth_step step;
    buf_init(&out);
    struct login_check *c = login_check_new(method, TEXT("alice"), TEXT("pencil"), true, seed, 1,
                                            NULL, &out, &step, &e);
    is_int(login_check_step(c, body.p, body.n, &out, &e), AUTH_REFUSED, "client: %s", what);
    is_str(e.sqlstate, "08P01", "SQLSTATE");
    is_int(login_check_step(c, "pencil", 7, &out, &e), AUTH_REFUSED, "no second try");
    login_check_free(c);
    buf_release(&out);
}

/* One message after another to an answering side that knows "pencil"; what the last one gave. */
static void hostile(const char *secret, struct text one, struct text two, enum auth_step want,
                    const char *what)
{
    struct buf out;
    struct err e = { 0 };
    buf_init(&out);
    struct login_answer *a = login_answer_new(TEXT("alice"), text_of(secret), NULL);
    enum auth_step step = login_answer_step(a, one.p, one.n, &out, &e);
    if (two.n) {
        ok(step == AUTH_MORE, "first message");
        step = login_answer_step(a, two.p, two.n, &out, &e);
    }
    is_int(step, want, "server: %s (%s)", what, e.msg);
    login_answer_free(a);
    buf_release(&out);
}

static void test_hostile(void)
{
    bad_message(AUTH_M_PLAIN, TEXT("pencil"), "no NUL");
    bad_message(AUTH_M_PLAIN, TEXT("pencil\0\0"), "two NULs");
    bad_message(AUTH_M_MD5, TEXT(""), "nothing");
    bad_message(AUTH_M_SCRAM, TEXT("pencil\0"), "a password for SCRAM");
    const struct text ok0 = TEXT("\0\0\0\0"), none = TEXT(""), plain = TEXT("\0\0\0\3");
    const struct text md5 = TEXT("\0\0\0\5salt"), sasl = TEXT("\0\0\0\12SCRAM-SHA-256\0\0");
    hostile("pencil", ok0, none, AUTH_OK, "trusts us");
    hostile("pencil", plain, ok0, AUTH_OK, "plain");
    hostile("pencil", md5, ok0, AUTH_OK, "md5");
    hostile("pencil", sasl, ok0, AUTH_REFUSED, "does not prove itself");
    hostile("pencil", sasl, TEXT("\0\0\0\14v=xyz"), AUTH_REFUSED, "final too early");
    hostile("pencil", sasl, plain, AUTH_REFUSED, "downgrade");
    hostile("pencil", md5, md5, AUTH_REFUSED, "asks again");
    hostile("pencil", TEXT("\0\0\0\13r=x"), none, AUTH_REFUSED, "continue first");
    hostile("pencil", TEXT("\0\0\0\7"), none, AUTH_REFUSED, "GSS");
    hostile("pencil", TEXT("\0\0\0"), none, AUTH_REFUSED, "cut code");
    hostile("pencil", TEXT("\0\0\0\5sal"), none, AUTH_REFUSED, "cut salt");
    hostile("pencil", TEXT("\0\0\0\0x"), none, AUTH_REFUSED, "long ok");
    hostile(MD5_ALICE, plain, none, AUTH_REFUSED, "wants what we do not have");
    hostile(MD5_ALICE, sasl, none, AUTH_REFUSED, "wants SCRAM, md5 is known");
    hostile(SCRAM_PENCIL, md5, none, AUTH_REFUSED, "wants md5, SCRAM is known");
    hostile("", plain, none, AUTH_REFUSED, "wants a password, none is known");
}

int main(void)
{
    test_methods();
    test_pass_through();
    test_alike();
    test_hostile();
    return tap_done();
}
