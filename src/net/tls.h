/* SPDX-License-Identifier: ISC */
/* TLS contexts made from configuration (OpenSSL 3), immutable and shared by all loops. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/check.h"
#include "base/err.h"
#include "base/text.h"

#include <stdatomic.h>

enum tls_mode { TLS_DISABLE, TLS_ALLOW, TLS_PREFER, TLS_REQUIRE, TLS_VERIFY_CA, TLS_VERIFY_FULL };

struct tls_opts {
    bool server_side; /* we are the TLS server: for clients */
    enum tls_mode mode;
    const char *key_file, *cert_file, *ca_file; /* NULL or "" = none */
    const char *protocols; /* "secure", "all", "legacy", "tlsv1.2,tlsv1.3", ... */
    int min_version; /* 1 to 4 = TLS 1.0 to 1.3: older ones of `protocols` are left out; 0 = none */
    const char *ciphers, *ciphers13, *ecdhcurve, *dheparams;
    /* Further certificates of a server, chosen by the name the client asks for:
     * "name=certfile:keyfile", comma list; "*.name" is any one label in front. */
    const char *sni;
    const char *alpn;   /* protocol to agree on, static; NULL = PostgreSQL's */
    bool cert_optional; /* a server that verifies: clients without a certificate are let in too */
    /* Whose private keys go on when their files cannot be read any more (privileges dropped since);
     * may be NULL. */
    const struct tls_ctx *previous;
};

struct tls_ctx; /* refcounted, thread-safe */
/* Whom a process talks TLS with: clients of the pooler, its servers, readers of its metrics. */
enum tls_use { TLS_CLIENTS, TLS_SERVERS, TLS_READERS, TLS_USES };
/* "client", "server", "metrics". */
const char *tls_use_name(enum tls_use use);
/* NULL: e says file and reason ("TLS setup failed: ..."). */
struct tls_ctx *tls_ctx_new(const struct tls_opts *o, struct err *e) MUST_CHECK;
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c); /* NULL is fine */
/* Checks a protocols text; false with e. Words, separated by comma or colon: tlsv1.0 tlsv1.1
 * tlsv1.2 tlsv1.3, "tlsv1" (all), "secure", "default" and "all" (1.2 and 1.3), "legacy" (all four);
 * "!word" takes away. Old versions only when named. */
bool tls_protocols_check(const char *protocols, struct err *e);
/* End of validity of the certificate that ends first, seconds since 1970; 0 = none. */
int64_t tls_ctx_cert_expiry(const struct tls_ctx *c);
/* A file of certificates in use, and when the first of them ends (seconds since 1970). */
struct tls_file {
    char *name;
    bool ca; /* what peers are verified against; else our own */
    int64_t expiry;
};
/* Each file once; valid while c lives. Gives how many. */
int tls_ctx_files(const struct tls_ctx *c, const struct tls_file **out);
/* Would connections made under the one be made the same way under the other: same options, same
 * content of the CA and certificate files? NULL is a context of its own. */
bool tls_ctx_same(const struct tls_ctx *a, const struct tls_ctx *b);
/* The file of a key that was taken over from `previous`; NULL: none was. */
const char *tls_ctx_kept_key(const struct tls_ctx *c);

/* A session of OpenSSL under that context, for other loops than ours; NULL: no memory. */
struct ssl_st;
struct ssl_st *tls_ctx_session(const struct tls_ctx *c) MUST_CHECK;

struct tls; /* one connection's state */
/* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=..." as in SHOW CLIENTS; "" before the handshake. Valid
 * while the conn lives. */
const char *tls_describe(const struct tls *t);
/* "TLSv1.2", "TLSv1.3". */
const char *tls_version(const struct tls *t);
/* Was the protocol "postgresql" agreed (ALPN)? Both roles offer it; a server refuses a client that
 * offers others only. */
bool tls_alpn(const struct tls *t);
/* What the connection was made with; valid while the conn lives. */
struct tls_ctx *tls_context(const struct tls *t);
/* Channel binding tls-server-end-point (RFC 5929): a hash of the certificate of whichever side is
 * the TLS server. Gives its length; 0: none is defined for that certificate, or no handshake. */
#define TLS_END_POINT_MAX 64
size_t tls_end_point(const struct tls *t, unsigned char out[TLS_END_POINT_MAX]);
/* Did the peer give a certificate that was verified? Its subject's common name, allocated with
 * malloc, or NULL. */
char *tls_peer_cn(const struct tls *t);

/* A field of the peer's certificate, exactly: compared with nothing, folded by nothing. */
enum tls_field { TLS_FIELD_CN, TLS_FIELD_OU, TLS_FIELD_DNS, TLS_FIELD_URI, TLS_FIELD_EMAIL };
enum tls_field_found {
    TLS_FIELD_NONE,    /* no verified certificate, or one without the field */
    TLS_FIELD_ONE,     /* *out: the value in UTF-8, malloc */
    TLS_FIELD_SEVERAL, /* the field is there more than once: which one counts nobody can say */
    TLS_FIELD_BAD      /* a NUL byte within, not text, unreadable, or no memory */
};
enum tls_field_found tls_peer_field(const struct tls *t, enum tls_field field, char **out);
/* The same of any certificate. */
struct x509_st;
enum tls_field_found x509_field(struct x509_st *cert, enum tls_field field, char **out);
/* tls_end_point of any certificate. */
size_t x509_end_point(struct x509_st *cert, unsigned char out[TLS_END_POINT_MAX]);

#endif
