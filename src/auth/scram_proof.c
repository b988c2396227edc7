/* SPDX-License-Identifier: ISC */
/* Pieces of SCRAM that client and server share. */
#include "auth/scram_proof.h"

#include "auth/base64.h"
#include "auth/digest.h"
#include "base/random.h"

bool scram_attr(struct text *rest, char name, struct text *value)
{
    struct text part;
    if (!text_split(rest, ',', &part) || part.n < 2 || part.p[0] != name || part.p[1] != '=')
        return false;
    *value = text_n(part.p + 2, part.n - 2);
    return true;
}

bool scram_is_nonce(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] < 0x21 || t.p[i] > 0x7e || t.p[i] == ',')
            return false;
    }
    return t.n > 0;
}

void scram_new_nonce(struct buf *b)
{
    unsigned char raw[SCRAM_NONCE_LEN / 4 * 3];
    random_bytes(raw, sizeof(raw));
    buf_clear(b);
    b64_encode(b, raw, sizeof(raw));
}

bool scram_sign(const unsigned char key[SCRAM_KEY], struct text client_first_bare,
                struct text server_first, struct text client_final_without_proof,
                unsigned char out[SCRAM_KEY])
{
    struct buf all;
    buf_init(&all);
    buf_text_append(&all, client_first_bare);
    buf_char(&all, ',');
    buf_text_append(&all, server_first);
    buf_char(&all, ',');
    buf_text_append(&all, client_final_without_proof);
    bool done = !all.failed && digest_hmac(key, SCRAM_KEY, buf_text(&all), out);
    buf_release(&all);
    return done;
}

void scram_binding_input(struct buf *out, const char *gs2_header, const struct scram_binding *b)
{
    struct buf raw;
    buf_init(&raw);
    buf_append(&raw, gs2_header, strlen(gs2_header));
    if (b)
        buf_append(&raw, b->data, b->n);
    if (raw.failed)
        out->failed = true;
    else
        b64_encode(out, (const unsigned char *)buf_data(&raw), buf_len(&raw));
    buf_release(&raw);
}

enum auth_step scram_malformed(struct err *e, const char *what)
{
    err_set_state(e, "08P01", "malformed SCRAM message: %s", what);
    return AUTH_REFUSED;
}

enum auth_step scram_no_memory(struct err *e)
{
    err_set_state(e, "53200", "out of memory");
    return AUTH_REFUSED;
}
