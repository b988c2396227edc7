/* SPDX-License-Identifier: ISC */
/*
 * The TLS transport. OpenSSL reads and writes through a BIO of ours: input comes in big pieces by
 * way of a buffer of the loop, output is gathered there and sent by one system call; what the
 * socket does not take stays, as records, in conn.out. So OpenSSL never waits for room to write,
 * and a conn's buffer is empty while it is idle.
 */
#include "net/conn_int.h"
#include "net/tls_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TLS_OUT_KEEP (1 << 18) /* a loop's record buffer larger than that is given back */
#define TLS_OWED_MAX (1 << 16) /* bytes kept for a peer that asks for answers and reads none */
#define BIO_OURS (BIO_TYPE_SOURCE_SINK | 0x7f)

struct tls {
    SSL *ssl;
    struct tls_ctx *ctx;
    struct conn *conn;
    struct buf raw;     /* records read but not opened yet, kept over a turn */
    struct buf early;   /* plain output from before the end of the handshake */
    const char *window; /* records in loop.tls_in, during one call */
    size_t window_n;
    bool drained; /* the socket has nothing more for now */
    bool eof, failed;
    int sys_errno; /* of the socket */
    bool reading;  /* what is written now answers what TLS itself was asked (key updates) */
    size_t owed;   /* such answers in conn.out */
    bool done;     /* the handshake is over: it counts as open in the loop */
    bool counted;  /* its failure was */
    char *error;   /* why TLS failed; NULL: no memory for the text */
    char *describe;
};

/* ---- the BIO ---- */

/* One read from the socket into the loop's buffer; false: nothing to be had (eof, sys_errno,
 * drained). */
static bool fill_window(struct tls *t)
{
    struct loop *l = t->conn->loop;
    if (t->eof || t->drained || t->sys_errno)
        return false;
    if (!l->tls_in && !(l->tls_in = malloc(LOOP_SCRATCH))) {
        t->sys_errno = ENOMEM;
        return false;
    }
    ssize_t n;
    do {
        n = recv(t->conn->fd, l->tls_in, LOOP_SCRATCH, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        t->window = l->tls_in;
        t->window_n = (size_t)n;
        t->drained = n < LOOP_SCRATCH;
        return true;
    }
    if (n == 0)
        t->eof = true;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        t->drained = true;
    else
        t->sys_errno = errno;
    return false;
}

static int bio_read(BIO *b, char *to, size_t room, size_t *got)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    *got = 0;
    size_t kept = buf_len(&t->raw);
    if (kept > 0) {
        *got = room < kept ? room : kept;
        memcpy(to, buf_data(&t->raw), *got);
        buf_consume(&t->raw, *got);
        return 1;
    }
    if (t->window_n == 0 && !fill_window(t)) {
        if (!t->eof && !t->sys_errno)
            BIO_set_retry_read(b);
        return t->eof ? 0 : -1;
    }
    *got = room < t->window_n ? room : t->window_n;
    memcpy(to, t->window, *got);
    t->window += *got;
    t->window_n -= *got;
    return 1;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *done)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    bool blocked = conn_blocked(t->conn);
    struct buf *sink = blocked ? &t->conn->out : &t->conn->loop->tls_out;
    t->owed = !blocked ? 0 : t->reading ? t->owed + n : t->owed;
    if (t->owed > TLS_OWED_MAX) {
        t->sys_errno = ENOBUFS;
        *done = 0;
        return -1;
    }
    buf_append(sink, p, n);
    if (sink->failed) {
        t->sys_errno = ENOMEM;
        *done = 0;
        return -1;
    }
    *done = n;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_OURS, "conn");
    if (!m)
        return NULL;
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

/* ---- around each call of OpenSSL's ---- */

static void begin(struct tls *t)
{
    t->drained = false;
    ERR_clear_error();
}

static void set_error(struct tls *t, const char *text)
{
    if (t->failed)
        return;
    t->failed = true;
    t->error = strdup(text);
}

/* Sends the records made; keeps records that were read but not wanted yet. */
static void finish(struct tls *t)
{
    struct conn *c = t->conn;
    struct buf *out = &c->loop->tls_out;
    if (out->failed) {
        buf_release(out);
        conn_write_failed(c, ENOMEM);
    } else if (buf_len(out) > 0) {
        if (!c->write_errno)
            conn_send_raw(c, buf_data(out), buf_len(out));
        buf_clear(out);
        if (out->cap > TLS_OUT_KEEP)
            buf_release(out);
    }
    if (conn_blocked(c))
        conn_arm_write(c);
    if (t->window_n > 0) {
        buf_append(&t->raw, t->window, t->window_n);
        t->window_n = 0;
        if (t->raw.failed)
            set_error(t, "out of memory");
    }
    t->window = NULL;
    if (buf_len(&t->raw) == 0 && t->raw.p)
        buf_release(&t->raw);
}

static void note_failure(struct tls *t)
{
    char text[256];
    if (t->sys_errno)
        set_error(t, errno_text(t->sys_errno, text, sizeof(text)));
    else
        set_error(t, tls_error_text(text, sizeof(text)));
    ERR_clear_error();
}

/* Encrypts; OpenSSL takes all, because our BIO does. */
static void seal(struct tls *t, const char *p, size_t n)
{
    while (n > 0 && !t->conn->write_errno) {
        size_t done = 0;
        if (!SSL_write_ex(t->ssl, p, n, &done)) {
            int err = t->sys_errno ? t->sys_errno : t->eof ? EPIPE : EPROTO;
            ERR_clear_error();
            conn_write_failed(t->conn, err);
            return;
        }
        p += done;
        n -= done;
    }
}

/* ---- the transport ---- */

static ssize_t tls_read(struct conn *c, char *to, size_t room)
{
    struct tls *t = c->tls;
    size_t got = 0;
    if (!t->failed) {
        begin(t);
        t->reading = true;
        while (got < room) {
            size_t n = 0;
            if (SSL_read_ex(t->ssl, to + got, room - got, &n)) {
                got += n;
                continue;
            }
            int why = SSL_get_error(t->ssl, 0);
            if (why == SSL_ERROR_ZERO_RETURN)
                t->eof = true;
            else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE && !t->eof)
                note_failure(t);
            ERR_clear_error();
            break;
        }
        t->reading = false;
        finish(t);
    }
    if (got > 0)
        return (ssize_t)got;
    return t->failed ? IO_FAILED : t->eof ? IO_EOF : IO_AGAIN;
}

static void gather(struct tls *t, const struct iovec *v, int n)
{
    struct buf *plain = &t->conn->loop->tls_plain;
    for (int i = 0; i < n; i++) {
        const char *p = v[i].iov_base;
        size_t left = v[i].iov_len;
        while (left > 0) {
            size_t have = buf_len(plain);
            if (have == 0 && (left >= TLS_RECORD || i == n - 1)) {
                size_t whole = i == n - 1 ? left : left - left % TLS_RECORD;
                seal(t, p, whole);
                p += whole;
                left -= whole;
                continue;
            }
            size_t part = left < TLS_RECORD - have ? left : TLS_RECORD - have;
            buf_append(plain, p, part);
            if (plain->failed) {
                buf_release(plain);
                conn_write_failed(t->conn, ENOMEM);
                return;
            }
            p += part;
            left -= part;
            if (buf_len(plain) == TLS_RECORD) {
                seal(t, buf_data(plain), TLS_RECORD);
                buf_clear(plain);
            }
        }
    }
    if (buf_len(plain) > 0)
        seal(t, buf_data(plain), buf_len(plain));
    buf_clear(plain);
}

static void tls_write(struct conn *c, const struct iovec *v, int n)
{
    struct tls *t = c->tls;
    if (c->handshaking) {
        for (int i = 0; i < n; i++)
            buf_append(&t->early, v[i].iov_base, v[i].iov_len);
        if (t->early.failed)
            conn_write_failed(c, ENOMEM);
        return;
    }
    begin(t);
    gather(t, v, n);
    finish(t);
}

static bool tls_pending(const struct conn *c)
{
    const struct tls *t = c->tls;
    return t->failed || t->eof || buf_len(&t->raw) > 0 || SSL_pending(t->ssl) > 0;
}

static const char *tls_why(const struct conn *c, char *buf, size_t size)
{
    (void)buf;
    (void)size;
    return c->tls->error ? c->tls->error : "out of memory";
}

static void tls_shut(struct conn *c)
{
    struct tls *t = c->tls;
    if (t->failed || t->eof || c->handshaking || SSL_in_init(t->ssl))
        return;
    begin(t);
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    finish(t);
}

static void tls_drop(struct conn *c)
{
    tls_free(c->tls);
    c->tls = NULL;
}

const struct transport transport_tls = {
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .why = tls_why,
    .shut = tls_shut,
    .free = tls_drop,
};

/* ---- counting, in the loop that has the connection ---- */

void tls_count(const struct tls *t, bool more)
{
    int v = SSL_version(t->ssl) - TLS1_VERSION;

    if (t->done && t->conn->loop && v >= 0 && v < TLS_VERSIONS)
        stat_add(&t->conn->loop->tls.open[!t->ctx->server_side][v], more ? 1 : UINT64_MAX);
}

static void count_failure(struct tls *t, enum tls_failure why)
{
    if (t->counted || t->done || !t->conn->loop)
        return;
    t->counted = true;
    stat_inc(&t->conn->loop->tls.failed[!t->ctx->server_side][why]);
}

/* Of OpenSSL's oldest error, where the cause stands. */
static enum tls_failure reason_of(unsigned long code)
{
    int reason = ERR_GET_REASON(code);

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return TLS_FAIL_OTHER;
    if (reason >= SSL_AD_REASON_OFFSET)
        return TLS_FAIL_ALERT;
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return TLS_FAIL_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAIL_PROTOCOL;
    default:
        return TLS_FAIL_OTHER;
    }
}

/* ---- handshake ---- */

/* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=X25519" */
static void describe(struct tls *t)
{
    char kx[96] = "";
    long group = SSL_get_negotiated_group(t->ssl);
    EVP_PKEY *key = NULL;
    if (group != NID_undef) {
        const char *name = group & TLSEXT_nid_unknown ? NULL : OBJ_nid2sn((int)group);
        snprintf(kx, sizeof(kx), "/ECDH=%s", name ? name : SSL_group_to_name(t->ssl, (int)group));
    } else if (SSL_get_peer_tmp_key(t->ssl, &key)) {
        snprintf(kx, sizeof(kx), "/DH=%d", EVP_PKEY_get_bits(key));
        EVP_PKEY_free(key);
    }
    ERR_clear_error();
    if (asprintf(&t->describe, "%s/%s%s", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl),
                 kx) < 0)
        t->describe = NULL;
}

static void note_handshake_failure(struct tls *t)
{
    char text[384], reason[256];
    long verify = SSL_get_verify_result(t->ssl);
    unsigned long code = ERR_peek_last_error();
    count_failure(t, t->eof         ? TLS_FAIL_CLOSED
                     : t->sys_errno ? TLS_FAIL_SOCKET
                                    : reason_of(ERR_peek_error()));
    if (t->eof) {
        set_error(t, "connection closed by peer");
    } else if (verify != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        snprintf(text, sizeof(text), "certificate verify failed: %s",
                 X509_verify_cert_error_string(verify));
        set_error(t, text);
    } else if (t->sys_errno) {
        set_error(t, errno_text(t->sys_errno, reason, sizeof(reason)));
    } else {
        set_error(t, tls_error_text(reason, sizeof(reason)));
    }
    ERR_clear_error();
}

int tls_handshake(struct conn *c)
{
    struct tls *t = c->tls;
    begin(t);
    int rc = SSL_do_handshake(t->ssl);
    int why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
    if (rc != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        note_handshake_failure(t);
    finish(t); /* also an alert that says why we refuse */
    if (t->failed)
        return -1;
    if (rc != 1)
        return 0;
    describe(t);
    t->done = true;
    tls_count(t, true);
    if (buf_len(&t->early) > 0) {
        begin(t);
        seal(t, buf_data(&t->early), buf_len(&t->early));
        finish(t);
    }
    buf_wipe(&t->early);
    return 1;
}

static bool is_address(const char *host)
{
    unsigned char bin[16];
    return inet_pton(AF_INET, host, bin) == 1 || inet_pton(AF_INET6, host, bin) == 1;
}

/* SNI and the name that the certificate must bear. */
static bool set_host(struct tls *t, const char *host)
{
    bool address = host && is_address(host);
    if (host && *host && !address) {
        char *copy = strdup(host); /* OpenSSL's macro knows no const */
        bool fine = copy && SSL_set_tlsext_host_name(t->ssl, copy) == 1;
        free(copy);
        if (!fine)
            return false;
    }
    if (t->ctx->mode != TLS_VERIFY_FULL)
        return true;
    X509_VERIFY_PARAM *vp = SSL_get0_param(t->ssl);
    X509_VERIFY_PARAM_set_hostflags(vp, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return address ? X509_VERIFY_PARAM_set1_ip_asc(vp, host)
                   : X509_VERIFY_PARAM_set1_host(vp, host, 0);
}

struct tls *tls_new(struct conn *c, struct tls_ctx *ctx, bool server, const char *host,
                    struct err *e)
{
    CHECK(ctx->server_side == server);
    if (!server && ctx->mode == TLS_VERIFY_FULL && (!host || !*host)) {
        err_set(e, "verify-full needs a host name");
        return NULL;
    }
    ERR_clear_error();
    struct tls *t = calloc(1, sizeof(*t));
    BIO *bio = NULL;
    if (!t || !(t->ssl = SSL_new(ctx->ssl)) || !(bio = BIO_new(ctx->bio))) {
        if (t)
            SSL_free(t->ssl);
        free(t);
        err_set(e, "out of memory");
        return NULL;
    }
    t->conn = c;
    t->ctx = tls_ctx_ref(ctx);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        if (!set_host(t, host)) {
            char text[256];
            err_set(e, "host name \"%s\": %s", host ? host : "",
                    tls_error_text(text, sizeof(text)));
            tls_free(t);
            return NULL;
        }
    }
    return t;
}

bool tls_feed(struct tls *t, const char *p, size_t n)
{
    buf_append(&t->raw, p, n);
    return !t->raw.failed;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    count_failure(t, TLS_FAIL_ABANDONED);
    tls_count(t, false);
    SSL_free(t->ssl);
    tls_ctx_unref(t->ctx);
    buf_wipe(&t->raw);
    buf_wipe(&t->early);
    free(t->error);
    free(t->describe);
    free(t);
}

const char *tls_describe(const struct tls *t)
{
    return t && t->describe ? t->describe : "";
}

const char *tls_version(const struct tls *t)
{
    return t && t->describe ? SSL_get_version(t->ssl) : "";
}

bool tls_alpn(const struct tls *t)
{
    const unsigned char *name;
    unsigned n = 0;
    if (t)
        SSL_get0_alpn_selected(t->ssl, &name, &n);
    return n > 0; /* each side offers or takes the one only */
}

struct tls_ctx *tls_context(const struct tls *t)
{
    return t->ctx;
}

size_t tls_end_point(const struct tls *t, unsigned char out[TLS_END_POINT_MAX])
{
    if (!t || !t->describe)
        return 0;
    return x509_end_point(
        t->ctx->server_side ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl), out);
}

char *tls_peer_cn(const struct tls *t)
{
    if (!t || t->ctx->mode < TLS_VERIFY_CA || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return NULL;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    int at = name ? X509_NAME_get_index_by_NID(name, NID_commonName, -1) : -1;
    if (at < 0)
        return NULL;
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    char *cn = NULL;
    /* A NUL inside would let a certificate pass for another name. */
    if (n >= 0 && !memchr(utf8, '\0', (size_t)n))
        cn = strndup((const char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return cn;
}

enum tls_field_found tls_peer_field(const struct tls *t, enum tls_field field, char **out)
{
    *out = NULL;
    if (!t || t->ctx->mode < TLS_VERIFY_CA || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return TLS_FIELD_NONE;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    return cert ? x509_field(cert, field, out) : TLS_FIELD_NONE;
}
