/* SPDX-License-Identifier: ISC */
/* Stored SCRAM secrets: text form, making them, and the stand-in for unknown users. */
#include "auth/base64.h"
#include "auth/digest.h"
#include "auth/scram.h"
#include "base/random.h"

#include <limits.h>

#define PREFIX "SCRAM-SHA-256$"
#define SALT_LEN 16

static bool read_key(struct text t, unsigned char key[SCRAM_KEY])
{
    size_t n;
    return b64_decode(t, key, SCRAM_KEY, &n) && n == SCRAM_KEY;
}

bool scram_secret_read(struct text t, struct scram_secret *s)
{
    struct text rest, part;
    int64_t iterations;
    if (!text_starts(t, TEXT(PREFIX)))
        return false;
    rest = text_n(t.p + sizeof(PREFIX) - 1, t.n - (sizeof(PREFIX) - 1));
    if (!text_split(&rest, ':', &part) || !part.n || part.p[0] < '0' || part.p[0] > '9')
        return false;
    if (!text_to_int64(part, &iterations) || iterations < 1 || iterations > INT_MAX)
        return false;
    s->iterations = (uint32_t)iterations;
    if (!text_split(&rest, '$', &part) || !part.n)
        return false;
    if (!b64_decode(part, s->salt, sizeof(s->salt), &s->salt_len))
        return false;
    if (!text_split(&rest, ':', &part) || !rest.p)
        return false;
    return read_key(part, s->stored_key) && read_key(rest, s->server_key);
}

bool scram_secret_derive(struct text password, const unsigned char *salt, size_t salt_len,
                         uint32_t iterations, struct scram_secret *s, struct err *e)
{
    unsigned char salted[SCRAM_KEY], client_key[SCRAM_KEY];
    if (!salt_len || salt_len > sizeof(s->salt))
        return err_set_state(e, "08P01", "SCRAM salt has a bad length");
    memmove(s->salt, salt, salt_len);
    s->salt_len = salt_len;
    s->iterations = iterations;
    bool done = digest_salted(password, salt, salt_len, iterations, salted) &&
                digest_hmac(salted, SCRAM_KEY, TEXT("Client Key"), client_key) &&
                digest_sha256(client_key, SCRAM_KEY, s->stored_key) &&
                digest_hmac(salted, SCRAM_KEY, TEXT("Server Key"), s->server_key);
    wipe(salted, sizeof(salted));
    wipe(client_key, sizeof(client_key));
    return done || err_set_state(e, "53200", "the SCRAM secret could not be computed");
}

bool scram_secret_make(struct text password, uint32_t iterations, struct scram_secret *s,
                       struct err *e)
{
    unsigned char salt[SALT_LEN];
    random_bytes(salt, sizeof(salt));
    return scram_secret_derive(password, salt, sizeof(salt), iterations, s, e);
}

void scram_secret_mock(struct text user, const unsigned char seed[32], struct scram_secret *s)
{
    unsigned char salt[DIGEST_LEN];
    if (!digest_hmac(seed, 32, user, salt))
        random_bytes(salt, sizeof(salt));
    memcpy(s->salt, salt, SALT_LEN);
    s->salt_len = SALT_LEN;
    s->iterations = SCRAM_DEFAULT_ITERATIONS;
    random_bytes(s->stored_key, sizeof(s->stored_key));
    random_bytes(s->server_key, sizeof(s->server_key));
}

void scram_secret_write(const struct scram_secret *s, struct buf *out)
{
    buf_printf(out, PREFIX "%u:", (unsigned)s->iterations);
    b64_encode(out, s->salt, s->salt_len);
    buf_char(out, '$');
    b64_encode(out, s->stored_key, SCRAM_KEY);
    buf_char(out, ':');
    b64_encode(out, s->server_key, SCRAM_KEY);
}

bool scram_is_secret(struct text t)
{
    struct scram_secret s;
    bool is = scram_secret_read(t, &s);
    wipe(&s, sizeof(s));
    return is;
}
