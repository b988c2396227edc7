/* SPDX-License-Identifier: ISC */
/* Base 64 (RFC 4648 chapter 4), strict: padding is needed, unused bits are 0, nothing else is
 * skipped. */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include "base/buf.h"

/* Appends the text form of n bytes. */
void b64_encode(struct buf *out, const unsigned char *p, size_t n);
/* Decodes into out[0..cap), their number into *n. false: malformed, or more than cap bytes. */
bool b64_decode(struct text in, unsigned char *out, size_t cap, size_t *n);
/* Base 64 URL (RFC 4648 chapter 5) as tokens have it (RFC 7515): no padding, unused bits are 0,
 * nothing is skipped. Otherwise as b64_decode. */
bool b64url_decode(struct text in, unsigned char *out, size_t cap, size_t *n);

#endif
