/* SPDX-License-Identifier: ISC */
/*
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) for both sides as step functions: bytes in, bytes out. No I/O.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

#define SCRAM_KEY 32
#define SCRAM_DEFAULT_ITERATIONS 4096
#define SCRAM_MAX_ITERATIONS 10000000 /* of a server we log in to */

enum auth_step { AUTH_MORE, AUTH_OK, AUTH_REFUSED };

/* A stored secret `SCRAM-SHA-256$<i>:<salt>$<StoredKey>:<ServerKey>` taken apart. */
struct scram_secret {
    uint32_t iterations;
    unsigned char salt[1024];
    size_t salt_len;
    unsigned char stored_key[SCRAM_KEY], server_key[SCRAM_KEY];
};

/* false: not such a secret. */
bool scram_secret_read(struct text t, struct scram_secret *s);
/* A secret from a plain password with a random salt (PBKDF2: costs milliseconds at high
 * iterations). false: e. */
bool scram_secret_make(struct text password, uint32_t iterations, struct scram_secret *s,
                       struct err *e);
/* The same with the salt given (1 to 1024 bytes). */
bool scram_secret_derive(struct text password, const unsigned char *salt, size_t salt_len,
                         uint32_t iterations, struct scram_secret *s, struct err *e);
/* A secret nobody can prove, with a salt that is stable per user name and `seed` (32 bytes): for
 * unknown users. It says SCRAM_DEFAULT_ITERATIONS. */
void scram_secret_mock(struct text user, const unsigned char seed[32], struct scram_secret *s);
/* Text form. */
void scram_secret_write(const struct scram_secret *s, struct buf *out);
/* Is `t` of the form of a SCRAM secret / of an md5 secret ("md5" and 32 hex digits)? */
bool scram_is_secret(struct text t);
bool md5_is_secret(struct text t);

/* What a client's proof tells: lets us log in to a server that has the same secret
 * (pass-through). */
struct scram_keys {
    bool valid;
    unsigned char client_key[SCRAM_KEY], server_key[SCRAM_KEY];
    /* valid only for a server that offers this salt and count */
    uint32_t iterations;
    unsigned char salt[1024];
    size_t salt_len;
};

/*
 * Channel binding: data of type tls-server-end-point that both ends of one TLS connection see (a
 * hash of the server's certificate). n = 0: there are none, and no binding is offered or used.
 */
#define SCRAM_BINDING_MAX 64
struct scram_binding {
    unsigned char data[SCRAM_BINDING_MAX];
    size_t n;
    bool required; /* an exchange without it is refused */
};

/* ---- server side: we check a client ---- */
struct scram_server;
/* The secret is copied. mock: go through the exchange and refuse at its end. NULL: out of
 * memory. */
struct scram_server *scram_server_new(const struct scram_secret *secret, bool mock);
/* Before scram_server_first: binding data of the client's connection (copied). */
void scram_server_bind(struct scram_server *s, const struct scram_binding *b);
/* What is offered, for AuthenticationSASL: names with a NUL behind each and one behind all. With
 * binding data SCRAM-SHA-256-PLUS is offered, first; alone when it is required. */
struct text scram_mechanisms(const struct scram_binding *b);
/* Body of the first message (SASLInitialResponse): mechanism and client-first. Answer for
 * AuthenticationSASLContinue. As PostgreSQL: the user name inside is ignored (the startup
 * packet's counts); the channel binding flag must fit the mechanism: p with PLUS, n without; y
 * (the client could bind, and saw no offer) is refused when we did offer it, for then somebody
 * took the offer away. Authorization identities and mandatory extensions are refused. */
enum auth_step scram_server_first(struct scram_server *s, const char *body, size_t n,
                                  struct buf *out, struct err *e);
/* Body of SASLResponse: client-final. On AUTH_OK, out is for AuthenticationSASLFinal and keys
 * (may be NULL) are filled. */
enum auth_step scram_server_final(struct scram_server *s, const char *body, size_t n,
                                  struct buf *out, struct scram_keys *keys, struct err *e);
void scram_server_free(struct scram_server *s);
/* For tests: our part of the nonce, before scram_server_first; printable, no comma. */
void scram_server_set_nonce(struct scram_server *s, struct text nonce);

/* ---- client side: we log in to a server ---- */
struct scram_client;
/* Either password (plain, when not empty) or keys (pass-through; salt and iterations of the
 * server must match when known, that is when keys->salt_len is not 0). Both are copied. The
 * server may ask for 1 to SCRAM_MAX_ITERATIONS iterations: RFC 7677's minimum of 4096 is not
 * enforced, as PostgreSQL itself can be told to store less. NULL: out of memory. */
struct scram_client *scram_client_new(struct text password, const struct scram_keys *keys);
/* Before scram_client_first: binding data of our connection to the server (copied). PLUS is used
 * when the server offers it; when it does not, the flag y says that we could. */
void scram_client_bind(struct scram_client *s, const struct scram_binding *b);
/* mechanisms: body of AuthenticationSASL after the code. out: whole SASLInitialResponse body. */
enum auth_step scram_client_first(struct scram_client *s, const char *mechs, size_t n,
                                  struct buf *out, struct err *e);
/* AuthenticationSASLContinue data → SASLResponse body. */
enum auth_step scram_client_continue(struct scram_client *s, const char *p, size_t n,
                                     struct buf *out, struct err *e);
/* AuthenticationSASLFinal data: the server's own proof must be right. */
enum auth_step scram_client_final(struct scram_client *s, const char *p, size_t n, struct err *e);
void scram_client_free(struct scram_client *s);
/* For tests: user name and nonce of client-first, before scram_client_first (else: no name, a
 * random nonce). */
void scram_client_set_nonce(struct scram_client *s, struct text user, struct text nonce);

/* ---- md5 ("md5" + md5(md5(password user) salt)), 35 characters and NUL ---- */
/* secret: plain password or stored md5 secret. false: OpenSSL has no MD5 (a policy forbids it);
 * out is all 0. */
bool md5_answer(struct text secret, struct text user, const unsigned char salt[4], char out[36]);
/* Is the client's answer right? Time depends on lengths only. */
bool md5_check(struct text secret, struct text user, const unsigned char salt[4],
               struct text answer);

#endif
