/* SPDX-License-Identifier: ISC */
/* What transport_tls.c and tls_ctx.c share; nobody else includes this. */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include "base/map.h"
#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

#define TLS_DIGEST 32

/* A private key in use. */
struct tls_key {
    char *file;
    EVP_PKEY *key;
};

/* A certificate for a name that clients ask for. */
struct tls_name {
    char *name; /* lower case */
    SSL_CTX *ssl;
};

struct tls_ctx {
    _Atomic int refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio; /* socket input and output by way of the loop's buffers */
    bool server_side;
    enum tls_mode mode;
    int64_t cert_expiry;
    struct tls_file *files;
    int n_files;
    struct tls_key *keys;
    int n_keys;
    char *kept_key; /* file of a key that came from the previous context */
    struct tls_name *names;
    int n_names;
    struct map by_name; /* name → struct tls_name */
    unsigned char digest[TLS_DIGEST];
};

/* ---- tls_cert.c ---- */
/* Loads certificate chain and key into ssl; the key from o->previous when its file cannot be read
 * and that one has it. */
bool tls_load_cert(struct tls_ctx *c, SSL_CTX *ssl, const struct tls_opts *o, const char *cert,
                   const char *key, struct err *e);
/* Remembers when the CA file's first certificate ends. false: e (memory). */
bool tls_note_ca(struct tls_ctx *c, const char *file, struct err *e);
/* Makes the contexts of o->sni by `make`, and lets c->ssl choose among them. */
bool tls_load_names(struct tls_ctx *c, const struct tls_opts *o,
                    SSL_CTX *(*make)(struct tls_ctx *c, const struct tls_opts *o, const char *cert,
                                     const char *key, struct err *e),
                    struct err *e);
/* Fills c->digest. */
bool tls_digest(struct tls_ctx *c, const struct tls_opts *o, struct err *e);
void tls_free_certs(struct tls_ctx *c);

/* Fills e with "TLS setup failed: what "value": OpenSSL's reason"; false. */
bool tls_fail(struct err *e, const char *what, const char *value);

/* The method for struct tls_ctx.bio (transport_tls.c); NULL: no memory. */
BIO_METHOD *tls_bio_method(void);
/* Reason of the oldest entry of OpenSSL's queue, where the cause stands, and empties the queue. */
const char *tls_error_text(char *buf, size_t size);

#endif
