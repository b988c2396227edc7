/* SPDX-License-Identifier: ISC */
/* The hash functions of the logins. All return false when OpenSSL refuses (memory, or a policy
 * without MD5). */
#ifndef AUTH_DIGEST_H
#define AUTH_DIGEST_H

#include "base/text.h"

#define DIGEST_LEN 32

bool digest_sha256(const void *p, size_t n, unsigned char out[DIGEST_LEN]);
/* HMAC-SHA-256 (RFC 2104). */
bool digest_hmac(const unsigned char *key, size_t key_n, struct text data,
                 unsigned char out[DIGEST_LEN]);
/* MD5 of a and b joined, as 32 hex digits and NUL. */
bool digest_md5_hex(struct text a, struct text b, char out[33]);
/* SCRAM's SaltedPassword (RFC 5802 chapter 3): SASLprep, then PBKDF2. */
bool digest_salted(struct text password, const unsigned char *salt, size_t salt_len,
                   uint32_t iterations, unsigned char out[DIGEST_LEN]);
/* Equal in time that does not depend on the content. */
bool digest_same(const void *a, const void *b, size_t n);

#endif
