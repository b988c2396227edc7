/* SPDX-License-Identifier: ISC */
/* Basic and bearer logins, client certificates. */
#include "metrics/door.h"

#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/login.h"
#include "base/random.h"
#include "metrics/guesses.h"
#include "metrics/http.h"

#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define PROVEN 16 /* logins remembered */

struct door {
    struct log *log;
    unsigned char seed[32];
    unsigned char key[DIGEST_LEN]; /* of the process, for proven */
    /* Names, passwords and secrets that fitted, as HMACs: PBKDF2 is not computed for each
     * scrape. The next one takes the place of the oldest. */
    unsigned char proven[PROVEN][DIGEST_LEN];
    unsigned next;
    struct guesses guesses;
    uint64_t failures;
};

struct door *door_new(struct log *log, const unsigned char seed[32])
{
    struct door *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->log = log;
    memcpy(d->seed, seed, sizeof(d->seed));
    random_bytes(d->key, sizeof(d->key));
    random_bytes(d->proven, sizeof(d->proven));
    return d;
}

void door_free(struct door *d)
{
    if (d)
        wipe(d, sizeof(*d));
    free(d);
}

uint64_t door_failures(const struct door *d)
{
    return d->failures;
}

int door_addresses(const struct door *d)
{
    return guesses_count(&d->guesses, clock_mono_us());
}

/* ---- TLS ---- */

static SSL *ssl_of(struct evhttp_request *req)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct bufferevent *b = conn ? evhttp_connection_get_bufferevent(conn) : NULL;

    return b ? bufferevent_openssl_get_ssl(b) : NULL;
}

/* One that does not verify does not get past the handshake. */
static bool has_certificate(SSL *ssl)
{
    return SSL_get0_peer_certificate(ssl) && SSL_get_verify_result(ssl) == X509_V_OK;
}

/* ---- passwords ---- */

/* What stands for a login that fitted; false: no memory. Lengths keep the three parts apart. */
static bool proof_of(const struct door *d, struct text user, struct text password,
                     struct text secret, unsigned char out[DIGEST_LEN])
{
    struct buf b;

    buf_init(&b);
    buf_printf(&b, "%zu %zu ", user.n, password.n);
    buf_text_append(&b, user);
    buf_text_append(&b, password);
    buf_text_append(&b, secret);
    bool done = !b.failed && digest_hmac(d->key, sizeof(d->key), buf_text(&b), out);
    buf_wipe(&b);
    return done;
}

static bool is_proven(const struct door *d, const unsigned char proof[DIGEST_LEN])
{
    bool found = false;

    for (int i = 0; i < PROVEN; i++)
        found |= digest_same(d->proven[i], proof, DIGEST_LEN);
    return found;
}

static bool fits(const struct door *d, const struct setup *s, struct text user,
                 struct text password, struct text secret, bool known)
{
    struct buf out, body;
    struct err e = { 0 };
    enum auth_step step;

    buf_init(&out);
    buf_init(&body);
    buf_text_append(&body, password);
    buf_char(&body, '\0');
    struct login_check *c = login_check_new(AUTH_M_PLAIN, user, secret, known, d->seed,
                                            (uint32_t)s->g.scram_iterations, NULL, &out, &step, &e);
    if (c && step == AUTH_MORE && !body.failed)
        step = login_check_step(c, buf_data(&body), buf_len(&body), &out, &e);
    else
        step = AUTH_REFUSED;
    login_check_free(c);
    buf_wipe(&body);
    buf_release(&out);
    return step == AUTH_OK;
}

/* GUESSED: failed, and a password was computed for it. */
enum verdict { LET_IN, NO_LOGIN, FAILED, GUESSED, FLOODED };

static enum verdict password_verdict(struct door *d, const struct setup *s, struct text user,
                                     struct text password)
{
    const struct user_conf *u = setup_user(s, user);
    bool known = u && (u->is_admin || u->is_stats) && u->secret.n > 0;
    struct text secret = known ? u->secret : text_n(NULL, 0);
    unsigned char proof[DIGEST_LEN];

    if (!proof_of(d, user, password, secret, proof))
        return FAILED;
    if (known && is_proven(d, proof))
        return LET_IN;
    if (guesses_flooded(&d->guesses, clock_mono_us()))
        return FLOODED;
    if (!fits(d, s, user, password, secret, known))
        return GUESSED;
    memcpy(d->proven[d->next++ % PROVEN], proof, DIGEST_LEN);
    return LET_IN;
}

static enum verdict basic_verdict(struct door *d, const struct setup *s, struct text given)
{
    size_t n = 0;
    unsigned char *plain = malloc(given.n + 1);
    enum verdict v = FAILED;

    if (plain && b64_decode(given, plain, given.n, &n) && !memchr(plain, '\0', n)) {
        const unsigned char *colon = memchr(plain, ':', n);
        size_t user_n = colon ? (size_t)(colon - plain) : n;
        if (colon)
            v = password_verdict(d, s, text_n((char *)plain, user_n),
                                 text_n((char *)plain + user_n + 1, n - user_n - 1));
    }
    if (plain)
        wipe(plain, given.n + 1);
    free(plain);
    return v;
}

/* ---- tokens ---- */

/* Hashes are compared, so that not even the length of a token shows. */
static enum verdict token_verdict(const struct setup *s, struct text given)
{
    unsigned char want[DIGEST_LEN], have[DIGEST_LEN];
    bool found = false;

    if (!digest_sha256(given.p, given.n, have))
        return FAILED;
    for (int i = 0; i < s->n_metrics_tokens; i++)
        if (digest_sha256(s->metrics_tokens[i].p, s->metrics_tokens[i].n, want))
            found |= digest_same(want, have, DIGEST_LEN);
    return found ? LET_IN : FAILED;
}

/* ---- together ---- */

/* A scheme's name and a blank at the beginning: *rest is what follows. */
static bool scheme(struct text header, const char *name, struct text *rest)
{
    size_t n = strlen(name);

    if (header.n <= n || header.p[n] != ' ' || !text_is_i(text_n(header.p, n), name))
        return false;
    *rest = text_trim(text_n(header.p + n, header.n - n));
    return true;
}

static enum verdict judge(struct door *d, const struct setup *s, struct text header, bool blocked)
{
    struct text given;

    if (s->n_metrics_tokens > 0 && scheme(header, "Bearer", &given) &&
        token_verdict(s, given) == LET_IN) /* too long to be guessed: never held back */
        return LET_IN;
    if (blocked)
        return FLOODED;
    if (header.n == 0)
        return NO_LOGIN;
    if (s->g.metrics_login && scheme(header, "Basic", &given))
        return basic_verdict(d, s, given);
    return FAILED;
}

static void refuse(struct door *d, const struct setup *s, struct evhttp_request *req,
                   enum verdict v, const char *address)
{
    struct evkeyvalq *head = evhttp_request_get_output_headers(req);
    usec_t now = clock_mono_us();
    bool failed = v == FAILED || v == GUESSED;

    if (failed) {
        d->failures++;
        if (guesses_failed(&d->guesses, address, v == GUESSED, now)) /* others are counted only */
            log_warn(d->log, "metrics: login from %s failed", address ? address : "?");
    }
    if (v == FLOODED) {
        evhttp_add_header(head, "Retry-After", "1");
        http_text(req, 429, "too many failed logins\n");
        return;
    }
    if (s->g.metrics_login)
        evhttp_add_header(head, "WWW-Authenticate",
                          "Basic realm=\"pgbulkhead\", charset=\"UTF-8\"");
    if (s->n_metrics_tokens > 0)
        evhttp_add_header(head, "WWW-Authenticate",
                          failed ? "Bearer realm=\"pgbulkhead\", error=\"invalid_token\""
                                 : "Bearer realm=\"pgbulkhead\"");
    http_text(req, 401, failed ? "login failed\n" : "login needed\n");
}

bool door_admits(struct door *d, const struct setup *s, bool tls, struct evhttp_request *req)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    SSL *ssl = ssl_of(req);
    char *address = NULL;
    ev_uint16_t port = 0;
    struct buf b;

    if (tls && !ssl) { /* of before a RELOAD that asked for TLS, or made without memory */
        evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
        http_text(req, 403, "TLS needed\n");
        return false;
    }
    if (tls && s->g.metrics_tls_ca_file[0] && !has_certificate(ssl)) {
        http_text(req, 403, "client certificate needed\n");
        return false;
    }
    if (!s->g.metrics_login && s->n_metrics_tokens == 0)
        return true;
    if (conn)
        evhttp_connection_get_peer(conn, &address, &port);
    buf_init(&b);
    enum verdict v = judge(d, s, http_header(req, "Authorization", &b),
                           guesses_blocked(&d->guesses, address, clock_mono_us()));
    buf_wipe(&b);
    if (v != LET_IN)
        refuse(d, s, req, v, address);
    return v == LET_IN;
}
