/* SPDX-License-Identifier: ISC */
/* TLS contexts: from the configuration's words to an SSL_CTX. */
#include "net/tls_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct word {
    const char *word, *value;
};

/* Cipher lists (up to TLS 1.2) behind PgBouncer's words. */
static const struct word cipher_words[] = {
    { "default", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20" },
    { "secure", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20" },
    { "fast",
      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:"
      "DHE+AESGCM" },
    { "normal", "HIGH:!aNULL:!eNULL:!PSK:!SRP" },
    { "compat", "HIGH:!aNULL:!eNULL:!PSK:!SRP" },
    { "all", "ALL:!aNULL:!eNULL:!PSK:!SRP" },
};

enum { V10 = 1, V11 = 2, V12 = 4, V13 = 8 };

static const struct {
    const char *word;
    int set;
} protocol_words[] = {
    { "tlsv1.0", V10 },
    { "tlsv1.1", V11 },
    { "tlsv1.2", V12 },
    { "tlsv1.3", V13 },
    { "secure", V12 | V13 },
    { "default", V12 | V13 },
    { "all", V12 | V13 },
    { "legacy", V10 | V11 | V12 | V13 },
    { "tlsv1", V10 | V11 | V12 | V13 },
};

/* Oldest first. */
static const struct {
    int bit, version;
    uint64_t no;
} versions[] = {
    { V10, TLS1_VERSION, SSL_OP_NO_TLSv1 },
    { V11, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
    { V12, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
    { V13, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

#define TLS_ALPN "postgresql" /* IANA's name of the protocol */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *tls_error_text(char *buf, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *text = NULL;
    if (code && ERR_SYSTEM_ERROR(code))
        text = strerror_r(ERR_GET_REASON(code), buf, size);
    else if (code)
        text = ERR_reason_error_string(code);
    ERR_clear_error();
    return text ? text : "unknown error";
}

static const char *given(const char *s)
{
    return s && *s ? s : NULL;
}

static int protocol_set(struct text word)
{
    for (size_t i = 0; i < COUNT(protocol_words); i++)
        if (text_is_i(word, protocol_words[i].word))
            return protocol_words[i].set;
    return 0;
}

/* Set of versions, 0 with e. */
static int parse_protocols(const char *protocols, struct err *e)
{
    struct text rest = text_of(given(protocols) ? protocols : "secure");
    int set = 0;
    while (rest.p) {
        const char *colon = memchr(rest.p, ':', rest.n), *comma = memchr(rest.p, ',', rest.n);
        struct text word;
        text_split(&rest, colon && (!comma || colon < comma) ? ':' : ',', &word);
        word = text_trim(word);
        bool take_away = word.n > 0 && word.p[0] == '!';
        if (take_away)
            word = text_n(word.p + 1, word.n - 1);
        int bits = protocol_set(word);
        if (!bits) {
            err_set(e, "unknown TLS protocol \"%.*s\"", TEXT_ARG(word));
            return 0;
        }
        set = take_away ? set & ~bits : set | bits;
    }
    if (!set)
        err_set(e, "no TLS protocol is left in \"%s\"", protocols);
    return set;
}

bool tls_protocols_check(const char *protocols, struct err *e)
{
    return parse_protocols(protocols, e) != 0;
}

bool tls_fail(struct err *e, const char *what, const char *value)
{
    char text[256];
    const char *why = tls_error_text(text, sizeof(text));
    return err_set(e, "TLS setup failed: %s%s%s%s: %s", what, value ? " \"" : "",
                   value ? value : "", value ? "\"" : "", why);
}

static bool set_protocols(SSL_CTX *ssl, const struct tls_opts *o, bool *old, struct err *e)
{
    struct err inner = { 0 };
    int set = parse_protocols(o->protocols, &inner);
    if (!set)
        return err_set(e, "TLS setup failed: %s", inner.msg);
    for (int i = 0; i < o->min_version - 1; i++)
        set &= ~versions[i].bit;
    if (!set)
        return err_set(e, "TLS setup failed: the least version leaves no protocol of \"%s\"",
                       given(o->protocols) ? o->protocols : "secure");
    int min = 0, max = 0;
    for (size_t i = 0; i < COUNT(versions); i++) {
        if (set & versions[i].bit) {
            min = min ? min : versions[i].version;
            max = versions[i].version;
        } else {
            SSL_CTX_set_options(ssl, versions[i].no);
        }
    }
    *old = (set & (V10 | V11)) != 0;
    if (!SSL_CTX_set_min_proto_version(ssl, min) || !SSL_CTX_set_max_proto_version(ssl, max))
        return tls_fail(e, "cannot set protocols", o->protocols);
    return true;
}

static bool set_curve(SSL_CTX *ssl, const char *curve)
{
    struct text t = text_of(given(curve));
    if (t.n == 0 || text_is_i(t, "auto") || text_is_i(t, "none"))
        return true;
    char *copy = strdup(curve); /* OpenSSL's macro knows no const */
    bool fine = copy && SSL_CTX_set1_groups_list(ssl, copy) == 1;
    free(copy);
    return fine;
}

static bool set_ciphers(SSL_CTX *ssl, const struct tls_opts *o, bool old, struct err *e)
{
    const char *list = given(o->ciphers) ? o->ciphers : "default";
    for (size_t i = 0; i < COUNT(cipher_words); i++)
        if (text_is_i(text_of(list), cipher_words[i].word)) {
            /* The strong lists hold nothing that TLS 1.1 knows. */
            list = old && i < 3 ? "HIGH:!aNULL:!eNULL:!PSK:!SRP" : cipher_words[i].value;
            break;
        }
    /* TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 has in security level 0 only. */
    if (old)
        SSL_CTX_set_security_level(ssl, 0);
    if (!SSL_CTX_set_cipher_list(ssl, list))
        return tls_fail(e, "failed to set the ciphers", list);
    if (given(o->ciphers13) && !SSL_CTX_set_ciphersuites(ssl, o->ciphers13))
        return tls_fail(e, "failed to set the TLSv1.3 cipher suites", o->ciphers13);
    if (!set_curve(ssl, o->ecdhcurve))
        return tls_fail(e, "failed to set the ECDH curve", o->ecdhcurve);
    const char *dh = given(o->dheparams) ? o->dheparams : "auto";
    if (text_is_i(text_of(dh), "auto") || text_is_i(text_of(dh), "legacy"))
        SSL_CTX_set_dh_auto(ssl, 1);
    else if (!text_is_i(text_of(dh), "none"))
        return err_set(e, "TLS setup failed: dheparams must be auto, legacy or none, not \"%s\"",
                       dh);
    return true;
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)rwflag;
    (void)arg;
    if (size > 0)
        buf[0] = '\0';
    return 0; /* never ask on the terminal */
}

static bool set_certificate(struct tls_ctx *c, SSL_CTX *ssl, const struct tls_opts *o,
                            const char *cert, const char *key, struct err *e)
{
    key = given(key);
    cert = given(cert);
    if (!key && !cert) {
        if (o->server_side && o->mode != TLS_DISABLE)
            return err_set(e, "TLS setup failed: a key file and a certificate file are needed");
        return true;
    }
    if (!cert)
        return err_set(e, "TLS setup failed: key file \"%s\" has no certificate file", key);
    if (!key)
        return err_set(e, "TLS setup failed: certificate file \"%s\" has no key file", cert);
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    return tls_load_cert(c, ssl, o, cert, key, e);
}

static bool set_verification(SSL_CTX *ssl, const struct tls_opts *o, struct err *e)
{
    const char *ca = given(o->ca_file);
    if (ca && !SSL_CTX_load_verify_file(ssl, ca))
        return tls_fail(e, "cannot load CA file", ca);
    if (o->mode < TLS_VERIFY_CA) {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        return true;
    }
    if (!o->server_side) {
        if (!ca && !SSL_CTX_set_default_verify_paths(ssl))
            return tls_fail(e, "cannot find the system's CA certificates", NULL);
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        return true;
    }
    if (!ca)
        return err_set(e, "TLS setup failed: a CA file is needed to verify client certificates");
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
    if (!names)
        return tls_fail(e, "cannot load CA file", ca);
    SSL_CTX_set_client_CA_list(ssl, names);
    SSL_CTX_set_verify(
        ssl, SSL_VERIFY_PEER | (o->cert_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    return true;
}

/* The protocol's name among those that the client offers, each with its length in front. A client
 * that offers others only is no client of ours. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    const char *ours = arg;
    size_t n = strlen(ours);
    (void)ssl;
    for (unsigned i = 0; i < in_n && in[i] < in_n - i; i += in[i] + 1u)
        if (in[i] == n && memcmp(in + i + 1, ours, n) == 0) {
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_alpn(SSL_CTX *ssl, const struct tls_opts *o)
{
    const char *ours = o->alpn ? o->alpn : TLS_ALPN;
    static const unsigned char offer[] = "\x0a" TLS_ALPN;
    if (!o->server_side)
        return SSL_CTX_set_alpn_protos(ssl, offer, sizeof(offer) - 1) == 0;
    SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, (void *)(uintptr_t)ours);
    return true;
}

static void set_manners(SSL_CTX *ssl)
{
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* No resumption: drivers do not use it, and a ticket per login costs time. */
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ssl, 0);
}

static SSL_CTX *make_ssl(struct tls_ctx *c, const struct tls_opts *o, const char *cert,
                         const char *key, struct err *e)
{
    bool old = false;
    SSL_CTX *ssl = SSL_CTX_new(o->server_side ? TLS_server_method() : TLS_client_method());
    if (!ssl || !set_alpn(ssl, o))
        err_set(e, "TLS setup failed: out of memory");
    else if (set_protocols(ssl, o, &old, e) && set_ciphers(ssl, o, old, e) &&
             set_certificate(c, ssl, o, cert, key, e) && set_verification(ssl, o, e)) {
        set_manners(ssl);
        return ssl;
    }
    SSL_CTX_free(ssl);
    return NULL;
}

struct tls_ctx *tls_ctx_new(const struct tls_opts *o, struct err *e)
{
    struct tls_ctx *c = calloc(1, sizeof(*c));
    if (!c) {
        err_set(e, "TLS setup failed: out of memory");
        return NULL;
    }
    atomic_init(&c->refs, 1);
    map_init(&c->by_name);
    c->server_side = o->server_side;
    c->mode = o->mode;
    ERR_clear_error();
    c->bio = tls_bio_method();
    if (!c->bio)
        err_set(e, "TLS setup failed: out of memory");
    else if ((c->ssl = make_ssl(c, o, o->cert_file, o->key_file, e)) &&
             tls_load_names(c, o, make_ssl, e) && tls_note_ca(c, given(o->ca_file), e) &&
             tls_digest(c, o, e))
        return c;
    tls_ctx_unref(c);
    return NULL;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tls_free_certs(c);
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->bio);
    free(c);
}

int64_t tls_ctx_cert_expiry(const struct tls_ctx *c)
{
    return c->cert_expiry;
}

const char *tls_use_name(enum tls_use use)
{
    static const char *const names[TLS_USES] = {
        [TLS_CLIENTS] = "client", [TLS_SERVERS] = "server", [TLS_READERS] = "metrics"
    };
    return names[use];
}

int tls_ctx_files(const struct tls_ctx *c, const struct tls_file **out)
{
    *out = c->files;
    return c->n_files;
}

bool tls_ctx_same(const struct tls_ctx *a, const struct tls_ctx *b)
{
    return a == b || (a && b && memcmp(a->digest, b->digest, TLS_DIGEST) == 0);
}

SSL *tls_ctx_session(const struct tls_ctx *c)
{
    return SSL_new(c->ssl);
}

const char *tls_ctx_kept_key(const struct tls_ctx *c)
{
    return c->kept_key;
}
