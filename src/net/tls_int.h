/* SPDX-License-Identifier: ISC */
/* What transport_tls.c and tls_ctx.c share; nobody else includes this. */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

struct tls_ctx {
    _Atomic int refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio; /* socket input and output by way of the loop's buffers */
    bool server_side;
    enum tls_mode mode;
    int64_t cert_expiry;
};

/* The method for struct tls_ctx.bio (transport_tls.c); NULL: no memory. */
BIO_METHOD *tls_bio_method(void);
/* Reason of the oldest entry of OpenSSL's queue, where the cause stands, and empties the queue. */
const char *tls_error_text(char *buf, size_t size);

#endif
