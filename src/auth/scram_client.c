/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256, the side that proves itself. */
#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/scram_proof.h"
#include "base/random.h"
#include "wire/frame.h"

#include <stdlib.h>

enum stage { STAGE_FIRST, STAGE_CONTINUE, STAGE_FINAL, STAGE_DONE };

struct scram_client {
    struct buf password; /* empty: keys are used */
    struct scram_keys keys;
    struct scram_binding binding;
    const char *gs2; /* the header that says how the exchange is bound */
    enum stage stage;
    struct buf user, nonce;
    struct buf client_first;           /* without its GS2 header */
    unsigned char expected[SCRAM_KEY]; /* the server's signature */
};

struct scram_client *scram_client_new(struct text password, const struct scram_keys *keys)
{
    struct scram_client *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    buf_text_append(&s->password, password);
    if (keys)
        s->keys = *keys;
    if (s->password.failed) {
        scram_client_free(s);
        return NULL;
    }
    return s;
}

void scram_client_bind(struct scram_client *s, const struct scram_binding *b)
{
    s->binding = *b;
}

void scram_client_free(struct scram_client *s)
{
    if (!s)
        return;
    buf_wipe(&s->password);
    buf_release(&s->user);
    buf_release(&s->nonce);
    buf_release(&s->client_first);
    wipe(s, sizeof(*s));
    free(s);
}

void scram_client_set_nonce(struct scram_client *s, struct text user, struct text nonce)
{
    buf_clear(&s->user);
    buf_clear(&s->nonce);
    buf_text_append(&s->user, user);
    buf_text_append(&s->nonce, nonce);
}

static enum auth_step refused(struct err *e, const char *what)
{
    err_set_state(e, "28P01", "%s", what);
    return AUTH_REFUSED;
}

enum { OFFERED_PLAIN = 1, OFFERED_PLUS = 2 };

/* Which of our mechanisms are in the server's list? -1: malformed list. */
static int offered(const char *mechs, size_t n)
{
    struct rd r = rd_init(mechs, n);
    int found = 0;
    for (;;) {
        struct text name = rd_cstr(&r);
        if (r.bad)
            return -1;
        if (!name.n)
            return rd_done(&r) ? found : -1;
        if (text_is(name, SCRAM_MECHANISM))
            found |= OFFERED_PLAIN;
        else if (text_is(name, SCRAM_MECHANISM_PLUS))
            found |= OFFERED_PLUS;
    }
}

/* Which mechanism, and with which GS2 header? NULL: none that may be used, e says why. */
static const char *choose(struct scram_client *s, int found, struct err *e)
{
    if (s->binding.n && found & OFFERED_PLUS) {
        s->gs2 = SCRAM_GS2_PLUS;
        return SCRAM_MECHANISM_PLUS;
    }
    if (s->binding.required) {
        refused(e, "channel binding is required, and the server does not offer it");
        return NULL;
    }
    if (!(found & OFFERED_PLAIN)) {
        refused(e, "server offers no SASL mechanism that we know (SCRAM-SHA-256)");
        return NULL;
    }
    s->gs2 = s->binding.n ? "y,," : "n,,";
    return SCRAM_MECHANISM;
}

enum auth_step scram_client_first(struct scram_client *s, const char *mechs, size_t n,
                                  struct buf *out, struct err *e)
{
    if (s->stage != STAGE_FIRST)
        return scram_malformed(e, "out of order");
    s->stage = STAGE_DONE;
    int found = offered(mechs, n);
    if (found < 0)
        return scram_malformed(e, "bad list of mechanisms");
    const char *mechanism = choose(s, found, e);
    if (!mechanism)
        return AUTH_REFUSED;
    if (!buf_len(&s->password) && !s->keys.valid)
        return refused(e, "server asks for a SCRAM login, but neither password nor keys are known");
    if (!buf_len(&s->nonce))
        scram_new_nonce(&s->nonce);
    buf_append(&s->client_first, "n=", 2);
    buf_text_append(&s->client_first, buf_text(&s->user));
    buf_append(&s->client_first, ",r=", 3);
    buf_text_append(&s->client_first, buf_text(&s->nonce));
    msg_cstr(out, text_of(mechanism));
    msg_u32(out, (uint32_t)(buf_len(&s->client_first) + strlen(s->gs2)));
    buf_append(out, s->gs2, strlen(s->gs2));
    buf_text_append(out, buf_text(&s->client_first));
    if (s->user.failed || s->nonce.failed || s->client_first.failed || out->failed)
        return scram_no_memory(e);
    s->stage = STAGE_CONTINUE;
    return AUTH_MORE;
}

struct server_first {
    struct text nonce;
    unsigned char salt[1024];
    size_t salt_len;
    uint32_t iterations;
};

/* server-first-message. NULL or what is wrong. */
static const char *read_server_first(const struct scram_client *s, struct text m,
                                     struct server_first *f)
{
    struct text own = buf_text(&s->nonce), salt, count;
    int64_t iterations;
    if (!m.n || m.n > SCRAM_MAX_MESSAGE || memchr(m.p, 0, m.n))
        return "bad length";
    if (text_starts(m, TEXT("m=")))
        return "mandatory extensions are not supported";
    if (!scram_attr(&m, 'r', &f->nonce) || !scram_is_nonce(f->nonce))
        return "no nonce, or one with bad characters";
    if (!text_starts(f->nonce, own) || f->nonce.n == own.n)
        return "nonce does not continue ours";
    if (!scram_attr(&m, 's', &salt) || !salt.n)
        return "no salt";
    if (!b64_decode(salt, f->salt, sizeof(f->salt), &f->salt_len) || !f->salt_len)
        return "bad salt";
    if (!scram_attr(&m, 'i', &count) || !count.n || count.p[0] < '0' || count.p[0] > '9' ||
        !text_to_int64(count, &iterations) || iterations < 1)
        return "bad iteration count";
    if (iterations > SCRAM_MAX_ITERATIONS)
        return "iteration count is too high";
    f->iterations = (uint32_t)iterations;
    return m.p ? "something behind the iteration count" : NULL;
}

/* ClientKey and ServerKey for what the server asks. */
static enum auth_step find_keys(const struct scram_client *s, const struct server_first *f,
                                unsigned char client_key[SCRAM_KEY],
                                unsigned char server_key[SCRAM_KEY], struct err *e)
{
    if (!buf_len(&s->password)) {
        const struct scram_keys *k = &s->keys;
        if (k->salt_len && (k->iterations != f->iterations || k->salt_len != f->salt_len ||
                            !digest_same(k->salt, f->salt, k->salt_len)))
            return refused(e, "the server's SCRAM secret differs from the one the client proved "
                              "(other salt or iteration count)");
        memcpy(client_key, k->client_key, SCRAM_KEY);
        memcpy(server_key, k->server_key, SCRAM_KEY);
        return AUTH_OK;
    }
    unsigned char salted[SCRAM_KEY];
    bool done =
        digest_salted(buf_text(&s->password), f->salt, f->salt_len, f->iterations, salted) &&
        digest_hmac(salted, SCRAM_KEY, TEXT("Client Key"), client_key) &&
        digest_hmac(salted, SCRAM_KEY, TEXT("Server Key"), server_key);
    wipe(salted, sizeof(salted));
    return done ? AUTH_OK : scram_no_memory(e);
}

enum auth_step scram_client_continue(struct scram_client *s, const char *p, size_t n,
                                     struct buf *out, struct err *e)
{
    struct server_first f;
    struct text server_first = text_n(p, n);
    if (s->stage != STAGE_CONTINUE)
        return scram_malformed(e, "out of order");
    s->stage = STAGE_DONE;
    const char *wrong = read_server_first(s, server_first, &f);
    if (wrong)
        return scram_malformed(e, wrong);
    unsigned char client_key[SCRAM_KEY], server_key[SCRAM_KEY], stored[SCRAM_KEY];
    unsigned char proof[SCRAM_KEY];
    enum auth_step step = find_keys(s, &f, client_key, server_key, e);
    struct buf final;
    buf_init(&final);
    if (step == AUTH_OK) {
        struct text first = buf_text(&s->client_first);
        buf_append(&final, "c=", 2);
        scram_binding_input(&final, s->gs2, s->gs2[0] == 'p' ? &s->binding : NULL);
        buf_append(&final, ",r=", 3);
        buf_text_append(&final, f.nonce);
        bool done = !final.failed && digest_sha256(client_key, SCRAM_KEY, stored) &&
                    scram_sign(stored, first, server_first, buf_text(&final), proof) &&
                    scram_sign(server_key, first, server_first, buf_text(&final), s->expected);
        for (int i = 0; done && i < SCRAM_KEY; i++)
            proof[i] ^= client_key[i];
        if (done) {
            buf_append(&final, ",p=", 3);
            b64_encode(&final, proof, SCRAM_KEY);
            if (!final.failed)
                buf_text_append(out, buf_text(&final));
        }
        step = done && !final.failed && !out->failed ? AUTH_MORE : scram_no_memory(e);
    }
    if (step == AUTH_MORE)
        s->stage = STAGE_FINAL;
    buf_release(&final);
    wipe(client_key, sizeof(client_key));
    wipe(server_key, sizeof(server_key));
    wipe(stored, sizeof(stored));
    return step;
}

enum auth_step scram_client_final(struct scram_client *s, const char *p, size_t n, struct err *e)
{
    unsigned char signature[SCRAM_KEY];
    struct text m = text_n(p, n), value;
    size_t len;
    if (s->stage != STAGE_FINAL)
        return scram_malformed(e, "out of order");
    s->stage = STAGE_DONE;
    if (!n || n > SCRAM_MAX_MESSAGE || memchr(p, 0, n))
        return scram_malformed(e, "bad length");
    if (text_starts(m, TEXT("e="))) {
        err_set_state(e, "28P01", "server refused the SCRAM exchange: %.*s", (int)n - 2, p + 2);
        return AUTH_REFUSED;
    }
    if (!scram_attr(&m, 'v', &value) || m.p || !b64_decode(value, signature, SCRAM_KEY, &len) ||
        len != SCRAM_KEY)
        return scram_malformed(e, "bad server signature");
    if (!digest_same(signature, s->expected, SCRAM_KEY))
        return refused(e, "server did not prove that it knows the password");
    return AUTH_OK;
}
