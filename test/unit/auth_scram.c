/* SPDX-License-Identifier: ISC */
/* SCRAM: RFC 7677's example, client against server, tampering, truncation, pass-through. */
#include "tap.h"

#include "auth/scram.h"
#include "wire/frame.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST "n,,n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" CLIENT_NONCE SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define FINAL                                                                                      \
    "c=biws,r=" CLIENT_NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define STORED                                                                                     \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define MECHS TEXT("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0")

static struct scram_secret stored(void)
{
    struct scram_secret s;
    if (!scram_secret_read(TEXT(STORED), &s))
        abort();
    return s;
}

static void initial(struct buf *b, const char *mechanism, struct text message)
{
    buf_clear(b);
    msg_cstr(b, text_of(mechanism));
    msg_u32(b, (uint32_t)message.n);
    msg_bytes(b, message.p, message.n);
}

/* A server with the example's secret and nonce; its answer to `first` (as the client sends it) is
 * left in out. */
static struct scram_server *server(struct text first, struct buf *out, enum auth_step *step,
                                   bool mock)
{
    struct scram_secret secret = stored();
    struct scram_server *s = scram_server_new(&secret, mock);
    struct err e = { 0 };
    struct buf b;
    buf_init(&b);
    scram_server_set_nonce(s, TEXT(SERVER_NONCE));
    initial(&b, "SCRAM-SHA-256", first);
    char *copy = malloc(buf_len(&b));
    if (!copy)
        abort();
    memcpy(copy, b.p, buf_len(&b));
    *step = scram_server_first(s, copy, buf_len(&b), out, &e);
    if (*step == AUTH_REFUSED && !e.msg[0])
        abort();
    free(copy);
    buf_release(&b);
    return s;
}

/* What the server says to a client-final after the example's client-first. */
static enum auth_step final_step(struct text final, bool mock, struct scram_keys *keys,
                                 char state[6])
{
    struct buf out;
    struct err e = { 0 };
    enum auth_step step;
    buf_init(&out);
    struct scram_server *s = server(TEXT(FIRST), &out, &step, mock);
    char *copy = malloc(final.n ? final.n : 1);
    if (!copy)
        abort();
    memcpy(copy, final.p, final.n);
    buf_clear(&out);
    step = scram_server_final(s, copy, final.n, &out, keys, &e);
    if (step == AUTH_OK && !text_is(buf_text(&out), SERVER_FINAL))
        step = AUTH_MORE;
    if (step == AUTH_REFUSED && buf_len(&out))
        step = AUTH_MORE;
    memcpy(state, e.sqlstate, 6);
    free(copy);
    scram_server_free(s);
    buf_release(&out);
    return step;
}

static void test_server_example(void)
{
    struct buf out;
    enum auth_step step;
    char state[6];
    struct scram_keys keys = { 0 };
    buf_init(&out);
    struct scram_server *s = server(TEXT(FIRST), &out, &step, false);
    is_int(step, AUTH_MORE, "client-first");
    is_text(buf_text(&out), SERVER_FIRST, "server-first");
    scram_server_free(s);
    is_int(final_step(TEXT(FINAL), false, &keys, state), AUTH_OK, "client-final");
    ok(keys.valid && keys.iterations == 4096 && keys.salt_len == 16, "keys");
    is_int(final_step(TEXT(FINAL), true, NULL, state), AUTH_REFUSED,
           "a mock refuses the right proof");
    is_str(state, "28P01", "as a wrong one");
    size_t refused = 0, n = sizeof(FINAL) - 1, ends = n;
    for (size_t i = 0; i < n; i++)
        refused += final_step(text_n(FINAL, i), false, NULL, state) == AUTH_REFUSED;
    is_int(refused, n, "truncations of client-final");
    refused = 0;
    for (size_t i = 0; i < n; i++) {
        char m[sizeof(FINAL)];
        memcpy(m, FINAL, sizeof(m));
        m[i] ^= 1;
        refused += final_step(text_n(m, n), false, NULL, state) == AUTH_REFUSED;
    }
    is_int(refused, n, "each byte tampered with");
    is_int(final_step(TEXT(FINAL ",x=y"), false, NULL, state), AUTH_REFUSED, "tail");
    is_int(final_step(text_n(FINAL, ends + 1), false, NULL, state), AUTH_REFUSED, "NUL behind");
    buf_release(&out);
}

static void first(struct text m, bool good, const char *what)
{
    struct buf out;
    enum auth_step step;
    buf_init(&out);
    scram_server_free(server(m, &out, &step, false));
    is_int(step, good ? AUTH_MORE : AUTH_REFUSED, "client-first: %s", what);
    buf_release(&out);
}

static void test_server_first(void)
{
    first(TEXT("y,,n=,r=abc"), true, "flag y, no name");
    first(TEXT("n,,n=,r=abc,x=1,Y=,z=3"), true, "extensions");
    first(TEXT("p=tls-server-end-point,,n=,r=abc"), false, "binding");
    first(TEXT("x,,n=,r=abc"), false, "unknown flag");
    first(TEXT("n,a=root,n=,r=abc"), false, "authorization identity");
    first(TEXT("n,,m=x,n=,r=abc"), false, "mandatory extension");
    first(TEXT("n,,r=abc"), false, "no name");
    first(TEXT("n,,n=,r="), false, "empty nonce");
    first(TEXT("n,,n=,r=a\x7f"), false, "nonce with DEL");
    first(TEXT("n,,n=,r=a\xc3\xa9"), false, "nonce with UTF-8");
    first(TEXT("n,,n=,r=abc,"), false, "comma at the end");
    first(TEXT("n,,n=,r=abc,1=2"), false, "bad extension");
    first(TEXT("n,,n=,r=ab\0c"), false, "NUL inside");
    size_t n = sizeof(FIRST) - 1;
    for (size_t i = 1; i <= n - sizeof(CLIENT_NONCE) + 1; i += 2)
        first(text_n(FIRST, i), false, "cut");
    struct scram_secret secret = stored();
    struct err e;
    struct buf b, out;
    buf_init(&b);
    buf_init(&out);
    for (int i = 0; i < 5; i++) {
        struct scram_server *s = scram_server_new(&secret, false);
        initial(&b, i == 0 ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", TEXT(FIRST));
        if (i == 1) /* no initial response */
            memset(b.p + 14, 0xff, 4);
        size_t len = buf_len(&b) - (i == 2) + (i == 3);
        buf_append(&b, "x", 1);
        if (i == 4)
            is_int(scram_server_final(s, FINAL, sizeof(FINAL) - 1, &out, NULL, &e), AUTH_REFUSED,
                   "final before first");
        else
            is_int(scram_server_first(s, b.p, len, &out, &e), AUTH_REFUSED, "envelope %d", i);
        is_str(e.sqlstate, "08P01", "SQLSTATE");
        scram_server_free(s);
    }
    buf_release(&b);
    buf_release(&out);
}

/* A client that has sent its first message. */
static struct scram_client *client(struct text password, const struct scram_keys *keys,
                                   struct buf *out)
{
    struct err e;
    struct scram_client *c = scram_client_new(password, keys);
    scram_client_set_nonce(c, TEXT("user"), TEXT(CLIENT_NONCE));
    if (scram_client_first(c, MECHS.p, MECHS.n + 1, out, &e) != AUTH_MORE)
        abort();
    return c;
}

static enum auth_step continued(struct text server_first, const struct scram_keys *keys,
                                struct text server_final, struct buf *out)
{
    struct buf b;
    struct err e = { 0 };
    buf_init(&b);
    struct scram_client *c = client(keys ? TEXT("") : TEXT("pencil"), keys, &b);
    char *copy = malloc(server_first.n ? server_first.n : 1);
    if (!copy)
        abort();
    memcpy(copy, server_first.p, server_first.n);
    buf_clear(out);
    enum auth_step step = scram_client_continue(c, copy, server_first.n, out, &e);
    if (step == AUTH_MORE)
        step = scram_client_final(c, server_final.p, server_final.n, &e);
    if (step == AUTH_REFUSED && (!e.msg[0] || !e.sqlstate[0]))
        step = AUTH_MORE;
    free(copy);
    scram_client_free(c);
    buf_release(&b);
    return step;
}

static void test_client_example(void)
{
    struct buf out;
    buf_init(&out);
    scram_client_free(client(TEXT("pencil"), NULL, &out));
    is_text(text_n(out.p + 18, buf_len(&out) - 18), FIRST, "client-first");
    is_text(text_n(out.p, 18), TEXT("SCRAM-SHA-256\0\0\0\0\40"), "its envelope");
    is_int(continued(TEXT(SERVER_FIRST), NULL, TEXT(SERVER_FINAL), &out), AUTH_OK, "exchange");
    is_text(buf_text(&out), FINAL, "client-final");
    static const char *const bad[] = {
        "",
        "r=",
        "r=" CLIENT_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=x" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=" CLIENT_NONCE "y,s=,i=4096",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10000001",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483648",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
        "r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y",
        "m=x,r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "e=other-error",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        is_int(continued(text_of(bad[i]), NULL, TEXT(SERVER_FINAL), &out), AUTH_REFUSED,
               "server-first: %s", bad[i]);
    size_t n = sizeof(SERVER_FIRST) - 1, refused = 0;
    for (size_t i = 0; i < n; i++)
        refused +=
            continued(text_n(SERVER_FIRST, i), NULL, TEXT(SERVER_FINAL), &out) == AUTH_REFUSED;
    is_int(refused, n, "truncations of server-first");
    n = sizeof(SERVER_FINAL) - 1;
    refused = 0;
    for (size_t i = 0; i < n; i++)
        refused +=
            continued(TEXT(SERVER_FIRST), NULL, text_n(SERVER_FINAL, i), &out) == AUTH_REFUSED;
    is_int(refused, n, "truncations of server-final");
    is_int(continued(TEXT(SERVER_FIRST), NULL, TEXT(SERVER_FINAL ",x=y"), &out), AUTH_REFUSED,
           "tail of server-final");
    is_int(continued(TEXT(SERVER_FIRST), NULL,
                     TEXT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), &out),
           AUTH_REFUSED, "unused bits");
    is_int(continued(TEXT(SERVER_FIRST), NULL,
                     TEXT("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &out),
           AUTH_REFUSED, "wrong server signature");
    is_int(continued(TEXT(SERVER_FIRST), NULL, TEXT("e=invalid-proof"), &out), AUTH_REFUSED,
           "server's error");
    struct scram_keys keys = { 0 };
    char state[6];
    final_step(TEXT(FINAL), false, &keys, state);
    is_int(continued(TEXT(SERVER_FIRST), &keys, TEXT(SERVER_FINAL), &out), AUTH_OK, "by keys");
    is_text(buf_text(&out), FINAL, "same proof");
    is_int(continued(TEXT("r=" CLIENT_NONCE "y,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4097"), &keys,
                     TEXT(SERVER_FINAL), &out),
           AUTH_REFUSED, "keys with another count");
    is_int(continued(TEXT("r=" CLIENT_NONCE "y,s=X22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), &keys,
                     TEXT(SERVER_FINAL), &out),
           AUTH_REFUSED, "keys with another salt");
    buf_release(&out);
}

static void test_mechanisms(void)
{
    const struct text lists[] = { TEXT("SCRAM-SHA-256-PLUS\0"), TEXT("SCRAM-SHA-256"), TEXT(""),
                                  TEXT("SCRAM-SHA-256\0"), TEXT("SCRAM-SHA-256\0\0x") };
    struct buf out;
    struct err e;
    buf_init(&out);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct scram_client *c = scram_client_new(TEXT("pencil"), NULL);
        size_t n = lists[i].n + (i == 0);
        is_int(scram_client_first(c, lists[i].p, n, &out, &e), AUTH_REFUSED, "list %zu", i);
        scram_client_free(c);
    }
    struct scram_client *c = scram_client_new(TEXT(""), NULL);
    is_int(scram_client_first(c, MECHS.p, MECHS.n + 1, &out, &e), AUTH_REFUSED, "nothing to prove");
    is_int(buf_len(&out), 0, "nothing was sent");
    scram_client_free(c);
    buf_release(&out);
}

/* Client and server, bound to what each of them sees. The step at which it ends. */
static enum auth_step bound(const struct scram_binding *at_client,
                            const struct scram_binding *at_server, char mechanism[32])
{
    struct scram_secret secret = stored();
    struct scram_server *s = scram_server_new(&secret, false);
    struct scram_client *c = scram_client_new(TEXT("pencil"), NULL);
    struct buf up, down;
    struct err e = { 0 };
    buf_init(&up);
    buf_init(&down);
    scram_client_bind(c, at_client);
    scram_server_bind(s, at_server);
    struct text mechs = scram_mechanisms(at_server);
    enum auth_step step = scram_client_first(c, mechs.p, mechs.n + 1, &up, &e);
    snprintf(mechanism, 32, "%.*s", (int)buf_len(&up), buf_len(&up) ? buf_data(&up) : "");
    if (step == AUTH_MORE)
        step = scram_server_first(s, buf_data(&up), buf_len(&up), &down, &e);
    buf_clear(&up);
    if (step == AUTH_MORE)
        step = scram_client_continue(c, buf_data(&down), buf_len(&down), &up, &e);
    buf_clear(&down);
    if (step == AUTH_MORE)
        step = scram_server_final(s, buf_data(&up), buf_len(&up), &down, NULL, &e);
    if (step == AUTH_OK)
        step = scram_client_final(c, buf_data(&down), buf_len(&down), &e);
    scram_client_free(c);
    scram_server_free(s);
    buf_release(&up);
    buf_release(&down);
    return step;
}

static void test_binding(void)
{
    const struct scram_binding none = { .n = 0 }, a = { .data = "aaaa", .n = 4 },
                               b = { .data = "aaab", .n = 4 }, longer = { .data = "aaaab", .n = 5 },
                               must = { .data = "aaaa", .n = 4, .required = true },
                               cannot = { .required = true };
    char m[32];
    is_int(bound(&a, &a, m), AUTH_OK, "bound");
    is_str(m, "SCRAM-SHA-256-PLUS", "its mechanism");
    is_int(bound(&must, &must, m), AUTH_OK, "required on both sides");
    is_str(m, "SCRAM-SHA-256-PLUS", "its mechanism");
    is_int(bound(&a, &b, m), AUTH_REFUSED, "other data");
    is_int(bound(&a, &longer, m), AUTH_REFUSED, "longer data");
    is_int(bound(&longer, &a, m), AUTH_REFUSED, "shorter data");
    is_int(bound(&none, &a, m), AUTH_OK, "a client that cannot");
    is_str(m, "SCRAM-SHA-256", "its mechanism");
    is_int(bound(&a, &none, m), AUTH_OK, "a server that cannot");
    is_str(m, "SCRAM-SHA-256", "its mechanism");
    is_int(bound(&must, &none, m), AUTH_REFUSED, "the client insists, the server cannot");
    is_int(bound(&cannot, &a, m), AUTH_REFUSED, "the client insists and cannot");
    is_int(bound(&none, &must, m), AUTH_REFUSED, "the server insists, the client cannot");
}

int main(void)
{
    test_binding();
    test_server_example();
    test_server_first();
    test_client_example();
    test_mechanisms();
    return tap_done();
}
