/* SPDX-License-Identifier: ISC */
/* Checking a client's password: which exchange its method and secret call for, and the exchange. */
#include "auth/digest.h"
#include "auth/login.h"
#include "base/random.h"
#include "wire/fields.h"

#include <stdlib.h>

enum exchange { EXCHANGE_NONE, EXCHANGE_PLAIN, EXCHANGE_MD5, EXCHANGE_SCRAM, EXCHANGE_OVER };

struct login_check {
    enum exchange exchange;
    bool mock;   /* goes to its end and is refused */
    bool second; /* SCRAM: the client's first message was taken */
    bool made;   /* the SCRAM secret comes from a plain password: no server has it */
    struct buf user;
    struct buf secret; /* as stored */
    struct buf password;
    unsigned char salt[4];
    struct scram_server *scram;
    struct scram_keys keys;
};

static enum auth_step refuse(struct err *e, const char *sqlstate, const char *what)
{
    err_set_state(e, sqlstate, "%s", what);
    return AUTH_REFUSED;
}

static enum auth_step wrong_password(struct err *e)
{
    return refuse(e, "28P01", "password authentication failed");
}

/* Sets up the SCRAM side: the stored secret, one made from a plain password, or a mock. A made
 * secret and a mock have the same salt for the same user, so that they look alike. */
static bool begin_scram(struct login_check *c, const unsigned char seed[32], uint32_t iterations,
                        const struct scram_binding *binding, struct err *e)
{
    struct text secret = buf_text(&c->secret), user = buf_text(&c->user);
    struct scram_secret s;
    bool done = true;
    if (!iterations)
        iterations = SCRAM_DEFAULT_ITERATIONS;
    if (c->mock || md5_is_secret(secret)) {
        c->mock = true;
        scram_secret_mock(user, seed, &s);
        s.iterations = iterations;
    } else if (!scram_secret_read(secret, &s)) {
        unsigned char salt[sizeof(s.salt)];
        scram_secret_mock(user, seed, &s);
        memcpy(salt, s.salt, s.salt_len);
        c->made = true;
        done = scram_secret_derive(secret, salt, s.salt_len, iterations, &s, e);
    }
    if (done) {
        c->scram = scram_server_new(&s, c->mock);
        done = c->scram || err_set_state(e, "53200", "out of memory");
        if (c->scram && binding)
            scram_server_bind(c->scram, binding);
    }
    wipe(&s, sizeof(s));
    return done;
}

static enum exchange exchange_for(enum auth_method method, struct text secret)
{
    switch (method) {
    case AUTH_M_PLAIN:
        return EXCHANGE_PLAIN;
    case AUTH_M_MD5:
        return scram_is_secret(secret) ? EXCHANGE_SCRAM : EXCHANGE_MD5;
    case AUTH_M_SCRAM:
        return EXCHANGE_SCRAM;
    case AUTH_M_TRUST:
    case AUTH_M_ANY:
    case AUTH_M_CERT:
        break;
    }
    return EXCHANGE_NONE;
}

static enum auth_step begin(struct login_check *c, enum auth_method method, bool known,
                            const unsigned char seed[32], uint32_t iterations,
                            const struct scram_binding *binding, struct buf *out, struct err *e)
{
    struct text mechanisms = scram_mechanisms(binding);

    c->exchange = exchange_for(method, buf_text(&c->secret));
    switch (c->exchange) {
    case EXCHANGE_PLAIN:
        wire_auth_build(out, 3, NULL, 0);
        break;
    case EXCHANGE_MD5:
        random_bytes(c->salt, sizeof(c->salt));
        wire_auth_build(out, 5, c->salt, sizeof(c->salt));
        break;
    case EXCHANGE_SCRAM:
        if (binding && binding->required && !binding->n)
            return refuse(e, "28000", "channel binding is required: connect with TLS");
        if (!begin_scram(c, seed, iterations, binding, e))
            return AUTH_REFUSED;
        wire_auth_build(out, 10, mechanisms.p, mechanisms.n + 1); /* and the NUL that ends it */
        break;
    default:
        if (method == AUTH_M_ANY || (method == AUTH_M_TRUST && known))
            return AUTH_OK;
        return refuse(e, "28P01",
                      method == AUTH_M_TRUST ? "\"trust\" authentication failed"
                                             : "certificate authentication failed");
    }
    return out->failed ? refuse(e, "53200", "out of memory") : AUTH_MORE;
}

struct login_check *login_check_new(enum auth_method method, struct text user, struct text secret,
                                    bool known, const unsigned char seed[32], uint32_t iterations,
                                    const struct scram_binding *binding, struct buf *out,
                                    enum auth_step *step, struct err *e)
{
    struct login_check *c = calloc(1, sizeof(*c));
    *step = AUTH_REFUSED;
    if (!c) {
        refuse(e, "53200", "out of memory");
        return NULL;
    }
    c->mock = !known || !secret.n;
    buf_text_append(&c->user, user);
    if (!c->mock)
        buf_text_append(&c->secret, secret);
    if (c->user.failed || c->secret.failed) {
        refuse(e, "53200", "out of memory");
        login_check_free(c);
        return NULL;
    }
    *step = begin(c, method, known, seed, iterations, binding, out, e);
    if (*step != AUTH_MORE)
        c->exchange = EXCHANGE_OVER;
    return c;
}

void login_check_free(struct login_check *c)
{
    if (!c)
        return;
    buf_release(&c->user);
    buf_wipe(&c->secret);
    buf_wipe(&c->password);
    scram_server_free(c->scram);
    wipe(c, sizeof(*c));
    free(c);
}

/* Is the password the one of the stored secret? Time depends on neither's content, nor on the
 * stored one's length. -1: out of memory. */
static int same_password(const struct login_check *c, struct text given)
{
    struct text secret = buf_text(&c->secret), user = buf_text(&c->user);
    struct scram_secret stored, derived;
    unsigned char a[DIGEST_LEN], b[DIGEST_LEN];
    char hex[33];
    int same = -1;
    if (md5_is_secret(secret)) {
        if (digest_md5_hex(given, user, hex))
            same = digest_same(hex, secret.p + 3, 32);
        wipe(hex, sizeof(hex));
    } else if (scram_secret_read(secret, &stored)) {
        if (scram_secret_derive(given, stored.salt, stored.salt_len, stored.iterations, &derived,
                                NULL))
            same = digest_same(derived.stored_key, stored.stored_key, SCRAM_KEY);
        wipe(&stored, sizeof(stored));
        wipe(&derived, sizeof(derived));
    } else if (digest_sha256(given.n ? given.p : "", given.n, a) &&
               digest_sha256(secret.n ? secret.p : "", secret.n, b)) {
        same = digest_same(a, b, sizeof(a));
    }
    return same;
}

static enum auth_step plain_step(struct login_check *c, struct text given, struct err *e)
{
    int same = same_password(c, given);
    if (same < 0)
        return refuse(e, "53200", "out of memory");
    if (!same || c->mock || !given.n)
        return wrong_password(e);
    buf_text_append(&c->password, given);
    return c->password.failed ? refuse(e, "53200", "out of memory") : AUTH_OK;
}

static enum auth_step md5_step(struct login_check *c, struct text answer, struct err *e)
{
    bool same = md5_check(buf_text(&c->secret), buf_text(&c->user), c->salt, answer);
    return same && !c->mock ? AUTH_OK : wrong_password(e);
}

static enum auth_step scram_step(struct login_check *c, const char *body, size_t n, struct buf *out,
                                 struct err *e)
{
    struct buf answer;
    struct err why = { 0 };
    enum auth_step step;
    bool second = c->second;
    buf_init(&answer);
    c->second = true;
    if (second)
        step = scram_server_final(c->scram, body, n, &answer, &c->keys, &why);
    else
        step = scram_server_first(c->scram, body, n, &answer, &why);
    if (step == AUTH_REFUSED)
        refuse(e, why.sqlstate[0] ? why.sqlstate : "28P01",
               text_is(text_of(why.sqlstate), "53200") ? why.msg : "SASL authentication failed");
    else
        wire_auth_build(out, second ? 12 : 11, buf_data(&answer), buf_len(&answer));
    buf_release(&answer);
    if (step != AUTH_REFUSED && out->failed)
        return refuse(e, "53200", "out of memory");
    return step;
}

enum auth_step login_check_step(struct login_check *c, const char *body, size_t n, struct buf *out,
                                struct err *e)
{
    enum auth_step step;
    struct rd r = rd_init(body, n);
    struct text given;
    switch (c->exchange) {
    case EXCHANGE_PLAIN:
    case EXCHANGE_MD5:
        given = rd_cstr(&r);
        if (!rd_done(&r))
            step = refuse(e, "08P01", "password authentication failed");
        else if (c->exchange == EXCHANGE_PLAIN)
            step = plain_step(c, given, e);
        else
            step = md5_step(c, given, e);
        break;
    case EXCHANGE_SCRAM:
        step = scram_step(c, body, n, out, e);
        break;
    default:
        step = refuse(e, "08P01", "unexpected password message");
        break;
    }
    if (step != AUTH_MORE)
        c->exchange = EXCHANGE_OVER;
    if (step == AUTH_REFUSED) {
        wipe(&c->keys, sizeof(c->keys));
        buf_wipe(&c->password);
    }
    return step;
}

const struct scram_keys *login_check_keys(const struct login_check *c)
{
    return c->keys.valid && !c->made ? &c->keys : NULL;
}

struct text login_check_password(const struct login_check *c)
{
    return buf_text(&c->password);
}
