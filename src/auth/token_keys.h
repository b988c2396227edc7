/* SPDX-License-Identifier: ISC */
/* Keys of tokens as token.c uses them. */
#ifndef AUTH_TOKEN_KEYS_H
#define AUTH_TOKEN_KEYS_H

#include "auth/token.h"

#include <openssl/evp.h>

struct token_key {
    struct text kid; /* of the list's own memory */
    int alg;         /* enum token_alg */
    unsigned char *secret;
    size_t n_secret;
    EVP_PKEY *pkey;
};

struct token_keys {
    struct token_key *list;
    int n;
};

/* Is sig a signature of data by this key? */
bool token_key_verify(const struct token_key *k, struct text data, const unsigned char *sig,
                      size_t n_sig);

#endif
