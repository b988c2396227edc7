/* SPDX-License-Identifier: ISC */
/* Hash functions over OpenSSL. */
#include "auth/digest.h"

#include "auth/saslprep.h"
#include "base/random.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

bool digest_sha256(const void *p, size_t n, unsigned char out[DIGEST_LEN])
{
    return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1;
}

bool digest_hmac(const unsigned char *key, size_t key_n, struct text data,
                 unsigned char out[DIGEST_LEN])
{
    if (key_n > INT_MAX)
        return false;
    return HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)data.p, data.n, out, NULL);
}

bool digest_md5_hex(struct text a, struct text b, char out[33])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[16];
    out[0] = '\0';
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool done = c && EVP_DigestInit_ex(c, EVP_md5(), NULL) == 1 &&
                EVP_DigestUpdate(c, a.p, a.n) == 1 && EVP_DigestUpdate(c, b.p, b.n) == 1 &&
                EVP_DigestFinal_ex(c, sum, NULL) == 1;
    EVP_MD_CTX_free(c);
    if (!done)
        return false;
    for (int i = 0; i < 16; i++) {
        out[2 * i] = hex[sum[i] >> 4];
        out[2 * i + 1] = hex[sum[i] & 15];
    }
    out[32] = '\0';
    wipe(sum, sizeof(sum));
    return true;
}

bool digest_salted(struct text password, const unsigned char *salt, size_t salt_len,
                   uint32_t iterations, unsigned char out[DIGEST_LEN])
{
    if (password.n > INT_MAX || salt_len > INT_MAX || iterations < 1 || iterations > INT_MAX)
        return false;
    struct buf prepared;
    buf_init(&prepared);
    saslprep(password, &prepared);
    bool done =
        !prepared.failed &&
        PKCS5_PBKDF2_HMAC(prepared.p ? buf_data(&prepared) : "", (int)buf_len(&prepared), salt,
                          (int)salt_len, (int)iterations, EVP_sha256(), DIGEST_LEN, out) == 1;
    buf_wipe(&prepared);
    return done;
}

bool digest_same(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
