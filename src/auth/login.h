/* SPDX-License-Identifier: ISC */
/*
 * Checking a client's password by auth_type, message by message; whoever calls does the I/O.
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "auth/scram.h"

enum auth_method { AUTH_M_TRUST, AUTH_M_ANY, AUTH_M_PLAIN, AUTH_M_MD5, AUTH_M_SCRAM, AUTH_M_CERT };

struct login_check; /* one exchange */

/* method: as configured. secret: the user's entry of auth_file (plain, md5 or SCRAM text), empty
 * and known=false for an unknown user (then every exchange runs to its end and is refused). md5
 * with a SCRAM secret switches to SCRAM; plain passwords work with every method. seed: 32 bytes
 * stable for the process, for mock salts. iterations: for SCRAM built from plain passwords. The
 * first message(s) for the client are appended to out (AuthenticationMD5Password,
 * AuthenticationSASL, AuthenticationCleartextPassword; nothing for trust). *step: AUTH_MORE;
 * AUTH_OK at once for any, and for trust with a known user; AUTH_REFUSED with e for trust
 * without one, for cert (the TLS layer's matter, never decided here) and when memory is short.
 * NULL only when memory is short. A known user with an empty secret cannot log in. Cost: SCRAM
 * with a plain secret computes PBKDF2 here, for known users only (milliseconds, and their
 * presence may be timed): callers that check often should keep the SCRAM form of a plain secret
 * (scram_cache_get) and pass that. PLAIN with a SCRAM secret computes it at the step.
 * binding: of the client's TLS connection, for SCRAM; NULL: none. When it is required and there are
 * no data, SCRAM is refused. */
struct login_check *login_check_new(enum auth_method method, struct text user, struct text secret,
                                    bool known, const unsigned char seed[32], uint32_t iterations,
                                    const struct scram_binding *binding, struct buf *out,
                                    enum auth_step *step, struct err *e);
/* Body of a PasswordMessage/SASL message ('p'). Appends whole messages for the client to out
 * (never AuthenticationOk). AUTH_REFUSED: e.msg is the closing text ("password authentication
 * failed", "SASL authentication failed"), e.sqlstate 28P01 (or 08P01 for malformed). Every
 * refusal of known and unknown users looks the same. 53200: memory was short. */
enum auth_step login_check_step(struct login_check *c, const char *body, size_t n, struct buf *out,
                                struct err *e);
/* After AUTH_OK: keys for pass-through (NULL when there are none), and the plain password if the
 * client sent it (empty otherwise). Valid until login_check_free. */
const struct scram_keys *login_check_keys(const struct login_check *c);
struct text login_check_password(const struct login_check *c);
void login_check_free(struct login_check *c);

/*
 * SCRAM secrets made from plain passwords, so that PBKDF2 is computed once per user and not per
 * login. One thread; the process's seed and iterations as for login_check_new. Holds at most
 * SCRAM_CACHE_MAX users, then starts anew.
 */
#define SCRAM_CACHE_MAX 10000
struct scram_cache;
/* NULL: out of memory. */
struct scram_cache *scram_cache_new(const unsigned char seed[32], uint32_t iterations);
void scram_cache_free(struct scram_cache *c);
/* The SCRAM text of a plain secret; SCRAM and md5 secrets and the empty one are given back as
 * they are. Valid until the next call. When it cannot be computed, the plain secret is given
 * back. */
struct text scram_cache_get(struct scram_cache *c, struct text user, struct text secret);

/* Answering a server's Authentication request on our own login. */
struct login_answer;
/* user; secret: plain password, md5 secret, or empty; keys: SCRAM pass-through or NULL (copied). */
struct login_answer *login_answer_new(struct text user, struct text secret,
                                      const struct scram_keys *keys);
/* Before the first step: binding data of the connection to the server, for SCRAM (copied). When it
 * is required, a server that lets us in without having been bound is refused. */
void login_answer_bind(struct login_answer *a, const struct scram_binding *b);
/* Body of an Authentication message ('R', code included). Appends whole messages for the server
 * to out. AUTH_OK on AuthenticationOk (refused if a SCRAM exchange was begun and the server did
 * not prove itself). e on AUTH_REFUSED. */
enum auth_step login_answer_step(struct login_answer *a, const char *body, size_t n,
                                 struct buf *out, struct err *e);
void login_answer_free(struct login_answer *a);

#endif
