/* SPDX-License-Identifier: ISC */
/* Keys that tokens are signed with, and checking signatures (RFC 7518 chapter 3). */
#include "auth/token_keys.h"

#include "auth/base64.h"
#include "auth/digest.h"
#include "base/random.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define MIN_SECRET 32 /* RFC 7518 chapter 3.2 */
#define MIN_RSA_BITS 2048
#define HALF 32 /* bytes of r and of s */

static void key_release(struct token_key *k)
{
    free((void *)(uintptr_t)k->kid.p);
    if (k->secret)
        wipe(k->secret, k->n_secret);
    free(k->secret);
    EVP_PKEY_free(k->pkey);
}

void token_keys_free(struct token_keys *keys)
{
    if (!keys)
        return;
    for (int i = 0; i < keys->n; i++)
        key_release(&keys->list[i]);
    free(keys->list);
    free(keys);
}

static bool bad(struct err *e, const struct token_key_conf *c, const char *what)
{
    return err_set(e, "token key \"%.*s\": %s", TEXT_ARG(c->kid), what);
}

static bool shared_secret(struct token_key *k, const struct token_key_conf *c, struct err *e)
{
    const struct text coded = TEXT("b64:");

    k->secret = malloc(c->key.n + 1);
    if (!k->secret)
        return bad(e, c, "out of memory");
    k->n_secret = c->key.n;
    if (!text_starts(c->key, coded))
        memcpy(k->secret, c->key.p, c->key.n);
    else if (!b64url_decode(text_n(c->key.p + coded.n, c->key.n - coded.n), k->secret, c->key.n,
                            &k->n_secret))
        return bad(e, c, "not base64url (without padding)");
    if (k->n_secret < MIN_SECRET)
        return bad(e, c, "a shared secret needs at least 32 bytes");
    return true;
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return 0;
}

static bool public_key(struct token_key *k, const struct token_key_conf *c, struct err *e)
{
    char group[64];
    size_t n = 0;

    if (c->key.n > 65536)
        return bad(e, c, "too long");
    BIO *b = BIO_new_mem_buf(c->key.p, (int)c->key.n);
    k->pkey = b ? PEM_read_bio_PUBKEY(b, NULL, no_passphrase, NULL) : NULL;
    BIO_free(b);
    ERR_clear_error();
    if (!k->pkey)
        return bad(e, c, "expected @file with a public key in PEM (BEGIN PUBLIC KEY)");
    if (k->alg == TOKEN_RS256) {
        if (!EVP_PKEY_is_a(k->pkey, "RSA"))
            return bad(e, c, "RS256 needs an RSA key");
        return EVP_PKEY_get_bits(k->pkey) >= MIN_RSA_BITS ||
               bad(e, c, "RS256 needs a key of at least 2048 bits");
    }
    if (!EVP_PKEY_is_a(k->pkey, "EC") ||
        EVP_PKEY_get_group_name(k->pkey, group, sizeof(group), &n) != 1 ||
        (!text_is(text_of(group), "prime256v1") && !text_is(text_of(group), "P-256")))
        return bad(e, c, "ES256 needs a key on the curve P-256");
    return true;
}

struct token_keys *token_keys_new(const struct token_key_conf *conf, int n, struct err *e)
{
    struct token_keys *keys = calloc(1, sizeof(*keys));
    bool ok = true;

    if (keys)
        keys->list = calloc((size_t)n + 1, sizeof(*keys->list));
    if (!keys || !keys->list) {
        free(keys);
        err_set_state(e, "53200", "out of memory");
        return NULL;
    }
    for (int i = 0; ok && i < n; i++) {
        struct token_key *k = &keys->list[keys->n++];
        k->kid = text_n(text_dup(conf[i].kid), conf[i].kid.n);
        k->alg = conf[i].alg;
        if (!k->kid.p)
            ok = bad(e, &conf[i], "out of memory");
        else if (k->alg == TOKEN_V1 || k->alg == TOKEN_HS256)
            ok = shared_secret(k, &conf[i], e);
        else
            ok = public_key(k, &conf[i], e);
    }
    if (ok)
        return keys;
    token_keys_free(keys);
    return NULL;
}

/* ---- signatures ---- */

static bool verify_hmac(const struct token_key *k, struct text data, const unsigned char *sig,
                        size_t n_sig)
{
    unsigned char mac[DIGEST_LEN];
    bool ok = n_sig == sizeof(mac) && digest_hmac(k->secret, k->n_secret, data, mac) &&
              digest_same(mac, sig, sizeof(mac));

    wipe(mac, sizeof(mac));
    return ok;
}

static bool verify_pkey(EVP_PKEY *pkey, struct text data, const unsigned char *sig, size_t n_sig)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, pkey) == 1 &&
              EVP_DigestVerify(c, sig, n_sig, (const unsigned char *)data.p, data.n) == 1;

    EVP_MD_CTX_free(c);
    ERR_clear_error();
    return ok;
}

/* r and s side by side, 32 bytes each (RFC 7518 chapter 3.4), to the DER form of OpenSSL. */
static bool verify_es256(EVP_PKEY *pkey, struct text data, const unsigned char *sig, size_t n_sig)
{
    ECDSA_SIG *both = n_sig == HALF + HALF ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = both ? BN_bin2bn(sig, HALF, NULL) : NULL;
    BIGNUM *s = r ? BN_bin2bn(sig + HALF, HALF, NULL) : NULL;
    unsigned char *der = NULL;
    int n = -1;
    bool ok;

    if (s && ECDSA_SIG_set0(both, r, s) == 1) {
        r = s = NULL; /* they belong to it now */
        n = i2d_ECDSA_SIG(both, &der);
    }
    ok = n > 0 && verify_pkey(pkey, data, der, (size_t)n);
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(both);
    return ok;
}

bool token_key_verify(const struct token_key *k, struct text data, const unsigned char *sig,
                      size_t n_sig)
{
    switch (k->alg) {
    case TOKEN_V1:
    case TOKEN_HS256:
        return verify_hmac(k, data, sig, n_sig);
    case TOKEN_RS256:
        return verify_pkey(k->pkey, data, sig, n_sig);
    case TOKEN_ES256:
        return verify_es256(k->pkey, data, sig, n_sig);
    default:
        return false;
    }
}
