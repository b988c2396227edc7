/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256, the side that checks. */
#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/scram_proof.h"
#include "base/random.h"
#include "wire/frame.h"

#include <stdlib.h>

enum stage { STAGE_FIRST, STAGE_FINAL, STAGE_DONE };

struct scram_server {
    struct scram_secret secret;
    bool mock;
    struct scram_binding binding; /* n = 0: not offered */
    bool plus;                    /* the mechanism with binding */
    char flag;                    /* the client's channel binding flag: n, y or p */
    enum stage stage;
    struct buf nonce;        /* our part, then both */
    struct buf client_first; /* without its GS2 header */
    struct buf server_first;
};

struct scram_server *scram_server_new(const struct scram_secret *secret, bool mock)
{
    struct scram_server *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->secret = *secret;
    s->mock = mock;
    return s;
}

void scram_server_bind(struct scram_server *s, const struct scram_binding *b)
{
    s->binding = *b;
}

struct text scram_mechanisms(const struct scram_binding *b)
{
    if (!b || !b->n)
        return TEXT(SCRAM_MECHANISM "\0");
    return b->required ? TEXT(SCRAM_MECHANISM_PLUS "\0")
                       : TEXT(SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0");
}

void scram_server_free(struct scram_server *s)
{
    if (!s)
        return;
    buf_release(&s->nonce);
    buf_release(&s->client_first);
    buf_release(&s->server_first);
    wipe(s, sizeof(*s));
    free(s);
}

void scram_server_set_nonce(struct scram_server *s, struct text nonce)
{
    buf_clear(&s->nonce);
    buf_text_append(&s->nonce, nonce);
}

/* Attributes behind those we know: a letter, =, anything. */
static bool extensions_fit(struct text rest)
{
    struct text part;
    while (text_split(&rest, ',', &part)) {
        if (part.n < 2 || part.p[1] != '=')
            return false;
        char letter = (char)(part.p[0] | 0x20);
        if (letter < 'a' || letter > 'z')
            return false;
    }
    return true;
}

/* Does the channel binding flag fit the mechanism and what we offered? NULL or what is wrong. */
static const char *check_flag(const struct scram_server *s, struct text flag)
{
    if (text_starts(flag, TEXT("p="))) {
        if (!s->plus)
            return "channel binding data with a mechanism without channel binding";
        return text_is(flag, "p=" SCRAM_BINDING_TYPE) ? NULL : "unknown type of channel binding";
    }
    if (!text_is(flag, "n") && !text_is(flag, "y"))
        return "unknown channel binding flag";
    if (s->plus)
        return "a mechanism with channel binding, but no binding data";
    return flag.p[0] == 'y' && s->binding.n
               ? "channel binding was offered, and the client says that "
                 "it was not"
               : NULL;
}

/* client-first-message: gs2-header, then the part that is signed. NULL or what is wrong. */
static const char *read_client_first(struct scram_server *s, struct text m, struct text *bare,
                                     struct text *nonce)
{
    struct text part, user;
    if (m.n > SCRAM_MAX_MESSAGE || memchr(m.p, 0, m.n))
        return "bad length";
    if (!text_split(&m, ',', &part))
        return "empty";
    const char *wrong = check_flag(s, part);
    if (wrong)
        return wrong;
    s->flag = part.p[0];
    if (!text_split(&m, ',', &part))
        return "no authorization identity field";
    if (part.n)
        return "authorization identities are not supported";
    if (!m.p)
        return "no user name field";
    *bare = m;
    if (text_starts(m, TEXT("m=")))
        return "mandatory extensions are not supported";
    if (!scram_attr(&m, 'n', &user))
        return "no user name field";
    if (!scram_attr(&m, 'r', nonce) || !scram_is_nonce(*nonce))
        return "no nonce, or one with bad characters";
    return extensions_fit(m) ? NULL : "bad extension";
}

enum auth_step scram_server_first(struct scram_server *s, const char *body, size_t n,
                                  struct buf *out, struct err *e)
{
    struct rd r = rd_init(body, n);
    struct text mechanism = rd_cstr(&r), bare, nonce;
    uint32_t len = rd_u32(&r);
    if (s->stage != STAGE_FIRST)
        return scram_malformed(e, "out of order");
    s->stage = STAGE_DONE;
    if (r.bad || len == UINT32_MAX || len == 0 || len != rd_left(&r))
        return scram_malformed(e, "bad initial response");
    s->plus = s->binding.n && text_is(mechanism, SCRAM_MECHANISM_PLUS);
    if (!s->plus && (!text_is(mechanism, SCRAM_MECHANISM) || s->binding.required))
        return scram_malformed(e, "a mechanism that was not offered");
    const char *wrong = read_client_first(s, rd_bytes(&r, len), &bare, &nonce);
    if (wrong)
        return scram_malformed(e, wrong);
    struct buf own = s->nonce;
    buf_init(&s->nonce);
    if (!buf_len(&own))
        scram_new_nonce(&own);
    buf_text_append(&s->nonce, nonce);
    buf_text_append(&s->nonce, buf_text(&own));
    buf_text_append(&s->client_first, bare);
    buf_append(&s->server_first, "r=", 2);
    buf_text_append(&s->server_first, buf_text(&s->nonce));
    buf_append(&s->server_first, ",s=", 3);
    b64_encode(&s->server_first, s->secret.salt, s->secret.salt_len);
    buf_printf(&s->server_first, ",i=%u", (unsigned)s->secret.iterations);
    bool failed = own.failed || s->nonce.failed || s->client_first.failed || s->server_first.failed;
    buf_release(&own);
    if (!failed)
        buf_text_append(out, buf_text(&s->server_first));
    if (failed || out->failed)
        return scram_no_memory(e);
    s->stage = STAGE_FINAL;
    return AUTH_MORE;
}

/* Is the attribute c of client-final what it must be? */
static bool binding_fits(const struct scram_server *s, struct text value)
{
    struct buf want;
    buf_init(&want);
    if (s->flag == 'p')
        scram_binding_input(&want, SCRAM_GS2_PLUS, &s->binding);
    else
        scram_binding_input(&want, s->flag == 'n' ? "n,," : "y,,", NULL);
    bool fits = !want.failed && text_eq_secret(value, buf_text(&want));
    buf_release(&want);
    return fits;
}

/* client-final-message: binding, nonce, extensions, proof. NULL or what is wrong. */
static const char *read_client_final(const struct scram_server *s, struct text m,
                                     struct text *without_proof, unsigned char proof[SCRAM_KEY])
{
    struct text whole = m, value, part = { NULL, 0 };
    size_t n;
    if (!m.n || m.n > SCRAM_MAX_MESSAGE || memchr(m.p, 0, m.n))
        return "bad length";
    if (!scram_attr(&m, 'c', &value) || !binding_fits(s, value))
        return "channel binding does not match";
    if (!scram_attr(&m, 'r', &value) || !text_eq_secret(value, buf_text(&s->nonce)))
        return "nonce does not match";
    while (m.p) { /* the last attribute is the proof */
        if (!text_split(&m, ',', &part) || !extensions_fit(part))
            return "bad extension";
        if (m.p && part.p[0] == 'p')
            return "something behind the proof";
    }
    if (!text_starts(part, TEXT("p=")))
        return "no proof";
    if (!b64_decode(text_n(part.p + 2, part.n - 2), proof, SCRAM_KEY, &n) || n != SCRAM_KEY)
        return "bad proof";
    *without_proof = text_n(whole.p, (size_t)(part.p - whole.p) - 1);
    return NULL;
}

/* Does the proof fit? Computes all for a mock too; leaves the client's key and the answer's
 * signature. */
static bool verify(const struct scram_server *s, struct text without_proof,
                   const unsigned char proof[SCRAM_KEY], unsigned char client_key[SCRAM_KEY],
                   unsigned char signature[SCRAM_KEY], bool *right)
{
    struct text first = buf_text(&s->client_first), second = buf_text(&s->server_first);
    unsigned char sig[SCRAM_KEY], stored[SCRAM_KEY];
    if (!scram_sign(s->secret.stored_key, first, second, without_proof, sig))
        return false;
    for (int i = 0; i < SCRAM_KEY; i++)
        client_key[i] = proof[i] ^ sig[i];
    if (!digest_sha256(client_key, SCRAM_KEY, stored) ||
        !scram_sign(s->secret.server_key, first, second, without_proof, signature))
        return false;
    *right = digest_same(stored, s->secret.stored_key, SCRAM_KEY);
    *right &= !s->mock;
    return true;
}

enum auth_step scram_server_final(struct scram_server *s, const char *body, size_t n,
                                  struct buf *out, struct scram_keys *keys, struct err *e)
{
    unsigned char proof[SCRAM_KEY], client_key[SCRAM_KEY], signature[SCRAM_KEY];
    struct text without_proof;
    bool right = false;
    if (s->stage != STAGE_FINAL)
        return scram_malformed(e, "out of order");
    s->stage = STAGE_DONE;
    const char *wrong = read_client_final(s, text_n(body, n), &without_proof, proof);
    if (wrong)
        return scram_malformed(e, wrong);
    enum auth_step step = AUTH_OK;
    if (!verify(s, without_proof, proof, client_key, signature, &right)) {
        step = scram_no_memory(e);
    } else if (!right) {
        err_set_state(e, "28P01", "SASL authentication failed");
        step = AUTH_REFUSED;
    } else {
        buf_append(out, "v=", 2);
        b64_encode(out, signature, SCRAM_KEY);
        if (out->failed)
            step = scram_no_memory(e);
    }
    if (step == AUTH_OK && keys) {
        keys->valid = true;
        memcpy(keys->client_key, client_key, SCRAM_KEY);
        memcpy(keys->server_key, s->secret.server_key, SCRAM_KEY);
        keys->iterations = s->secret.iterations;
        memcpy(keys->salt, s->secret.salt, s->secret.salt_len);
        keys->salt_len = s->secret.salt_len;
    }
    wipe(client_key, sizeof(client_key));
    wipe(signature, sizeof(signature));
    return step;
}
