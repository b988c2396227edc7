/* SPDX-License-Identifier: ISC */
/* What both sides of SCRAM share: message pieces and the keys' arithmetic (RFC 5802 chapter 3). */
#ifndef AUTH_SCRAM_PROOF_H
#define AUTH_SCRAM_PROOF_H

#include "auth/scram.h"

#define SCRAM_MECHANISM "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"
#define SCRAM_BINDING_TYPE "tls-server-end-point"
#define SCRAM_GS2_PLUS "p=" SCRAM_BINDING_TYPE ",,"
#define SCRAM_MAX_MESSAGE 65536 /* bytes of one message; sane ones have about 200 */
#define SCRAM_NONCE_LEN 24      /* characters of our own nonces: 18 random bytes */

/* Takes the next comma-separated attribute off *rest and gives its value; false when it is not
 * `name`. */
bool scram_attr(struct text *rest, char name, struct text *value);
/* Not empty, printable ASCII without comma? */
bool scram_is_nonce(struct text t);
/* Sets b to a random nonce. */
void scram_new_nonce(struct buf *b);
/* HMAC of the three joined messages under key. false: out of memory. */
bool scram_sign(const unsigned char key[SCRAM_KEY], struct text client_first_bare,
                struct text server_first, struct text client_final_without_proof,
                unsigned char out[SCRAM_KEY]);
/* The attribute c of client-final: base64 of the GS2 header, followed by the binding data if there
 * are any. */
void scram_binding_input(struct buf *out, const char *gs2_header, const struct scram_binding *b);
/* Fill e and return AUTH_REFUSED: a malformed message (08P01), no memory (53200). */
enum auth_step scram_malformed(struct err *e, const char *what);
enum auth_step scram_no_memory(struct err *e);

#endif
