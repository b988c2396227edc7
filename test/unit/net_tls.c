/* SPDX-License-Identifier: ISC */
/* TLS: contexts, handshakes both ways, refusals and their texts, data through the transport. */
#include "net_help.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

struct paths {
    char dir[64], ca_key[96], ca[96], key[96], cert[96], client_key[96], client[96], other[96],
        other_key[96];
};

struct issued {
    EVP_PKEY *key;
    X509 *cert;
};

static void bail(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!ext || !X509_add_ext(cert, ext, -1))
        bail("extension");
    X509_EXTENSION_free(ext);
}

/* A certificate for cn, signed by `by` (NULL: a CA of its own), written to the two files. */
static struct issued issue(const struct issued *by, const char *cn, const char *san, long serial,
                           const char *key_file, const char *cert_file)
{
    struct issued i = { EVP_EC_gen("P-256"), X509_new() };
    if (!i.key || !i.cert)
        bail("key");
    X509_set_version(i.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(i.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(i.cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(i.cert), 86400);
    X509_NAME *name = X509_get_subject_name(i.cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509 *issuer = by ? by->cert : i.cert;
    X509_set_issuer_name(i.cert, X509_get_subject_name(issuer));
    X509_set_pubkey(i.cert, i.key);
    extend(i.cert, issuer, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    if (san)
        extend(i.cert, issuer, NID_subject_alt_name, san);
    if (!X509_sign(i.cert, by ? by->key : i.key, EVP_sha256()))
        bail("sign");
    FILE *f = fopen(key_file, "w");
    if (!f || !PEM_write_PrivateKey(f, i.key, NULL, NULL, 0, NULL, NULL) || fclose(f) != 0)
        bail("key file");
    f = fopen(cert_file, "w");
    if (!f || !PEM_write_X509(f, i.cert) || fclose(f) != 0)
        bail("certificate file");
    return i;
}

static void drop(struct issued i)
{
    EVP_PKEY_free(i.key);
    X509_free(i.cert);
}

static void make_paths(struct paths *p)
{
    snprintf(p->dir, sizeof(p->dir), "net_tls.XXXXXX");
    if (!mkdtemp(p->dir))
        bail("directory");
    snprintf(p->ca_key, sizeof(p->ca_key), "%s/ca.key", p->dir);
    snprintf(p->ca, sizeof(p->ca), "%s/ca.crt", p->dir);
    snprintf(p->key, sizeof(p->key), "%s/s.key", p->dir);
    snprintf(p->cert, sizeof(p->cert), "%s/s.crt", p->dir);
    snprintf(p->client_key, sizeof(p->client_key), "%s/c.key", p->dir);
    snprintf(p->client, sizeof(p->client), "%s/c.crt", p->dir);
    snprintf(p->other, sizeof(p->other), "%s/other.crt", p->dir);
    snprintf(p->other_key, sizeof(p->other_key), "%s/other.key", p->dir);
    struct issued ca = issue(NULL, "test CA", NULL, 1, p->ca_key, p->ca);
    drop(issue(&ca, "server", "DNS:db.example,IP:127.0.0.1", 2, p->key, p->cert));
    drop(issue(&ca, "alice", NULL, 3, p->client_key, p->client));
    drop(issue(NULL, "other CA", NULL, 4, p->other_key, p->other));
    drop(ca);
}

static void remove_paths(struct paths *p)
{
    const char *const all[] = { p->ca_key,     p->ca,     p->key,   p->cert,
                                p->client_key, p->client, p->other, p->other_key };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        unlink(all[i]);
    rmdir(p->dir);
}

static struct tls_ctx *make(const struct tls_opts *o)
{
    struct err e = { 0 };
    struct tls_ctx *c = tls_ctx_new(o, &e);
    if (!c)
        bail(e.msg);
    return c;
}

struct couple {
    struct peer server, client;
};

static bool both_done(void *arg)
{
    struct couple *c = arg;
    return (c->server.secured || c->server.ended) && (c->client.secured || c->client.ended);
}

static bool client_heard(void *arg)
{
    struct couple *c = arg;
    return c->client.ended || c->client.secured < 0;
}

/* A handshake over a socket pair; the contexts are given away. */
static void shake(struct runner *r, struct couple *c, struct tls_ctx *sc, struct tls_ctx *cc,
                  const char *host)
{
    struct err e = { 0 };
    int fd = peer_pair(&c->server, &r->loop);
    peer_open(&c->client, &r->loop, fd);
    if (!conn_tls_accept(c->server.conn, sc, &e) || !conn_tls_connect(c->client.conn, cc, host, &e))
        bail(e.msg);
    tls_ctx_unref(sc);
    tls_ctx_unref(cc);
    ok(run_until(r, both_done, c), "handshake comes to an end");
}

static void part(struct runner *r, struct couple *c)
{
    peer_close(&c->client);
    peer_close(&c->server);
    run_turns(r, 1);
}

static struct tls_opts server_opts(const struct paths *p, enum tls_mode mode)
{
    return (struct tls_opts){ .server_side = true,
                              .mode = mode,
                              .key_file = p->key,
                              .cert_file = p->cert,
                              .ca_file = p->ca };
}

static bool got_all(void *arg)
{
    struct peer *p = arg;
    return buf_len(&p->got) >= *(size_t *)p->arg || p->ended;
}

static void data(struct runner *r, const struct paths *p, const char *protocols)
{
    struct couple c;
    struct tls_opts so = server_opts(p, TLS_REQUIRE);
    struct tls_opts co = { .mode = TLS_VERIFY_FULL, .ca_file = p->ca, .protocols = protocols };
    struct tls_ctx *sc = make(&so);
    ok(tls_ctx_cert_expiry(sc) > 1000000000, "certificate's end is known");
    shake(r, &c, sc, make(&co), "db.example");
    ok(c.server.secured == 1 && c.client.secured == 1, "both are secured (%s)", protocols);
    const char *version = tls_version(c.server.conn->tls);
    ok(strstr(tls_describe(c.server.conn->tls), version) == tls_describe(c.server.conn->tls) &&
           strstr(tls_describe(c.server.conn->tls), "/ECDH="),
       "described: %s", tls_describe(c.server.conn->tls));
    ok(tls_peer_cn(c.server.conn->tls) == NULL, "no verified client");
    size_t size = 3 << 20;
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 13 + i / 999);
    loop_enter(&r->loop);
    conn_write(c.client.conn, bytes, 5);
    conn_write_copy(c.client.conn, bytes + 5, 6);
    conn_write(c.client.conn, bytes + 20000, 30000);
    loop_leave(&r->loop);
    size_t want = 30011;
    c.server.arg = &want;
    ok(run_until(r, got_all, &c.server), "slices arrive");
    ok(buf_len(&c.server.got) == want && memcmp(buf_data(&c.server.got), bytes, 11) == 0 &&
           memcmp(buf_data(&c.server.got) + 11, bytes + 20000, 30000) == 0,
       "in order");
    buf_clear(&c.server.got);
    conn_pause(c.client.conn);
    conn_write(c.server.conn, bytes, size - 7);
    conn_flush(c.server.conn);
    ok(conn_blocked(c.server.conn), "a slow reader blocks");
    conn_write(c.server.conn, bytes + size - 7, 7);
    conn_resume(c.client.conn);
    c.client.arg = &size;
    ok(run_until(r, got_all, &c.client) && buf_len(&c.client.got) == size &&
           memcmp(buf_data(&c.client.got), bytes, size) == 0,
       "3 MiB arrive unchanged");
    run_turns(r, 2);
    ok(c.server.drained > 0 && !c.server.conn->out.p, "drained, no buffer left");
    is_int((long)c.server.conn->tx, (long)size, "tx counts plain bytes");
    is_int((long)c.client.conn->rx, (long)size, "rx counts plain bytes");
    ok(conn_alive(c.client.conn) && conn_alive(c.server.conn), "alive");
    conn_close(c.server.conn);
    c.server.conn = NULL;
    ok(run_until(r, client_heard, &c), "close_notify and end arrive");
    is_int(c.client.why, CONN_EOF, "as an orderly end");
    free(bytes);
    part(r, &c);
}

/* Input split in all places: the handler takes little, pauses and keeps. */
static size_t nibble(struct peer *p, char *bytes, size_t n)
{
    size_t take = n > 1000 ? 1000 : n;
    buf_append(&p->got, bytes, take);
    conn_pause(p->conn);
    conn_resume(p->conn);
    return take;
}

static void nibbling(struct runner *r, const struct paths *p)
{
    struct couple c;
    struct tls_opts so = server_opts(p, TLS_REQUIRE), co = { .mode = TLS_REQUIRE };
    shake(r, &c, make(&so), make(&co), NULL);
    size_t size = 200000;
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i % 253);
    c.server.hook = nibble;
    c.server.arg = &size;
    conn_write(c.client.conn, bytes, size);
    conn_flush(c.client.conn);
    ok(run_until(r, got_all, &c.server) && memcmp(buf_data(&c.server.got), bytes, size) == 0,
       "taken in small bites");
    free(bytes);
    part(r, &c);
}

static void client_certificates(struct runner *r, const struct paths *p)
{
    struct couple c;
    struct tls_opts so = server_opts(p, TLS_VERIFY_CA);
    struct tls_opts co = { .mode = TLS_REQUIRE, .key_file = p->client_key, .cert_file = p->client };
    shake(r, &c, make(&so), make(&co), NULL);
    char *cn = c.server.secured == 1 ? tls_peer_cn(c.server.conn->tls) : NULL;
    is_text((const char *)(cn ? cn : ""), "alice", "the client's name");
    free(cn);
    part(r, &c);
    struct tls_opts none = { .mode = TLS_REQUIRE };
    shake(r, &c, make(&so), make(&none), NULL);
    is_int(c.server.secured, -1, "no client certificate: refused");
    is_text((const char *)c.server.text, "peer did not return a certificate", "and why");
    ok(run_until(r, client_heard, &c), "the client hears of it");
    ok(strstr(c.client.text, "certificate required") != NULL, "by an alert: %s", c.client.text);
    part(r, &c);
}

static void refusals(struct runner *r, const struct paths *p)
{
    struct couple c;
    struct tls_opts so = server_opts(p, TLS_REQUIRE);
    struct tls_opts co = { .mode = TLS_VERIFY_FULL, .ca_file = p->ca };
    shake(r, &c, make(&so), make(&co), "wrong.example");
    is_int(c.client.secured, -1, "wrong host name");
    is_text((const char *)c.client.text, "certificate verify failed: hostname mismatch", "and why");
    part(r, &c);
    shake(r, &c, make(&so), make(&co), "127.0.0.1");
    is_int(c.client.secured, 1, "address in the certificate");
    part(r, &c);
    shake(r, &c, make(&so), make(&co), "127.0.0.2");
    is_text((const char *)c.client.text, "certificate verify failed: IP address mismatch",
            "address not in it");
    part(r, &c);
    co.mode = TLS_VERIFY_CA;
    shake(r, &c, make(&so), make(&co), "wrong.example");
    is_int(c.client.secured, 1, "verify-ca does not look at names");
    part(r, &c);
    co.ca_file = p->other;
    shake(r, &c, make(&so), make(&co), NULL);
    ok(strstr(c.client.text, "certificate verify failed: ") != NULL, "unknown CA: %s",
       c.client.text);
    part(r, &c);
    co = (struct tls_opts){ .mode = TLS_REQUIRE, .protocols = "tlsv1.2" };
    so.protocols = "tlsv1.3";
    shake(r, &c, make(&so), make(&co), NULL);
    ok(c.server.secured == -1 && c.client.secured == -1, "no common version: %s / %s",
       c.server.text, c.client.text);
    part(r, &c);
}

/* What is not TLS at all, and a peer that goes away. */
static bool server_done(void *arg)
{
    return ((struct peer *)arg)->secured != 0;
}

static void strangers(struct runner *r, const struct paths *p)
{
    struct peer s;
    struct err e = { 0 };
    struct tls_opts so = server_opts(p, TLS_REQUIRE);
    struct tls_ctx *sc = make(&so);
    int fd = peer_pair(&s, &r->loop);
    conn_write(s.conn, "S", 1);
    ok(conn_tls_accept(s.conn, sc, &e), "accepting");
    ok(write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18 && run_until(r, server_done, &s),
       "HTTP comes");
    ok(s.secured == -1 && strstr(s.text, "http request"), "refused: %s", s.text);
    char byte = 0;
    ok(read(fd, &byte, 1) == 1 && byte == 'S', "what was written before went out in clear");
    close(fd);
    peer_close(&s);
    fd = peer_pair(&s, &r->loop);
    ok(conn_tls_accept(s.conn, sc, &e), "accepting");
    close(fd);
    ok(run_until(r, server_done, &s), "the peer goes");
    is_text((const char *)s.text, "connection closed by peer", "and we say so");
    peer_close(&s);
    tls_ctx_unref(sc);
    run_turns(r, 1);
}

/* The bytes of an SSLRequest are consumed, what follows in clear is not. */
static size_t ssl_request(struct peer *p, char *bytes, size_t n)
{
    struct err e;
    (void)bytes;
    (void)n;
    if (!conn_tls_accept(p->conn, p->arg, &e))
        bail(e.msg);
    return 2;
}

static void stuffed(struct runner *r, const struct paths *p)
{
    struct peer s;
    struct tls_opts so = server_opts(p, TLS_REQUIRE);
    struct tls_ctx *sc = make(&so);
    int fd = peer_pair(&s, &r->loop);
    s.hook = ssl_request;
    s.arg = sc;
    ok(write(fd, "RQstuffed", 9) == 9 && run_until(r, server_done, &s),
       "clear text behind the request");
    is_text((const char *)s.text, "unencrypted data before the handshake", "is refused");
    close(fd);
    peer_close(&s);
    tls_ctx_unref(sc);
    run_turns(r, 1);
}

static void says(const struct tls_opts *o, const char *part_of, const char *what)
{
    struct err e = { 0 };
    struct tls_ctx *c = tls_ctx_new(o, &e);
    ok(!c && strstr(e.msg, "TLS setup failed: ") == e.msg && strstr(e.msg, part_of), "%s: %s", what,
       e.msg);
    tls_ctx_unref(c);
}

static void set_up(const struct paths *p)
{
    struct tls_opts o = server_opts(p, TLS_REQUIRE);
    o.cert_file = "no/such.crt";
    says(&o, "\"no/such.crt\": No such file or directory", "missing certificate");
    o.cert_file = p->client;
    says(&o, "key", "another's key");
    o = server_opts(p, TLS_REQUIRE);
    o.key_file = o.cert_file;
    says(&o, "cannot load key file", "not a key");
    o = server_opts(p, TLS_REQUIRE);
    o.key_file = "";
    says(&o, "has no key file", "no key");
    o.cert_file = NULL;
    says(&o, "are needed", "neither");
    o = server_opts(p, TLS_VERIFY_FULL);
    o.ca_file = "";
    says(&o, "CA file is needed", "no CA");
    o = server_opts(p, TLS_REQUIRE);
    o.ciphers = "nonsense";
    says(&o, "failed to set the ciphers \"nonsense\"", "ciphers");
    o.ciphers = "fast";
    o.ciphers13 = "nonsense";
    says(&o, "failed to set the TLSv1.3 cipher suites", "suites");
    o.ciphers13 = "TLS_AES_128_GCM_SHA256";
    o.ecdhcurve = "nonsense";
    says(&o, "ECDH curve", "curve");
    o.ecdhcurve = "prime256v1";
    o.dheparams = "nonsense";
    says(&o, "dheparams", "dheparams");
    o.dheparams = "none";
    o.protocols = "tlsv1.4";
    says(&o, "unknown TLS protocol \"tlsv1.4\"", "protocol");
    static const char *const fine[] = {
        "", "secure", "all", "legacy", "tlsv1.2, tlsv1.3", "all,!tlsv1.2", "TLSv1.0:tlsv1.1"
    };
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        o.protocols = fine[i];
        struct err e = { 0 };
        ok(tls_protocols_check(fine[i], &e), "protocols \"%s\"", fine[i]);
        struct tls_ctx *c = tls_ctx_new(&o, &e);
        ok(c != NULL, "make a context%s", e.msg);
        tls_ctx_unref(tls_ctx_ref(c));
        tls_ctx_unref(c);
    }
    struct err e = { 0 };
    ok(!tls_protocols_check("secure,!all", &e) && e.msg[0], "nothing left: %s", e.msg);
}

/* Who asks for key updates and reads none of the answers does not fill our memory with them. */
static void deaf_asker(struct runner *r, const struct paths *p)
{
    struct peer server;
    struct tls_opts so = server_opts(p, TLS_REQUIRE);
    struct tls_ctx *sc = make(&so);
    struct err e = { 0 };
    int fd = peer_pair(&server, &r->loop);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    size_t most = 0;
    int i = 0;

    if (!ssl || !SSL_set_fd(ssl, fd) || !conn_tls_accept(server.conn, sc, &e))
        bail("a client");
    tls_ctx_unref(sc);
    while (SSL_connect(ssl) != 1 && i++ < 1000)
        run_turns(r, 1);
    for (i = 0; i < 30000 && !server.ended; i++) {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        for (int k = 0; SSL_do_handshake(ssl) != 1 && k < 100 && !server.ended; k++)
            run_turns(r, 1);
        if (i % 20 == 0)
            run_turns(r, 1);
        if (!server.ended && conn_backlog(server.conn) > most)
            most = conn_backlog(server.conn);
    }
    ok(server.ended && strstr(server.text, "buffer space"), "cut off: %s",
       server.ended ? server.text : "not");
    ok(most > 1000 && most < 300000, "answers were kept up to a bound: %zu", most);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    peer_close(&server);
    run_turns(r, 1);
}

int main(void)
{
    struct runner r;
    struct paths p;
    make_paths(&p);
    runner_init(&r);
    set_up(&p);
    data(&r, &p, "tlsv1.3");
    data(&r, &p, "tlsv1.2");
    nibbling(&r, &p);
    client_certificates(&r, &p);
    refusals(&r, &p);
    strangers(&r, &p);
    stuffed(&r, &p);
    deaf_asker(&r, &p);
    loop_release(&r.loop);
    remove_paths(&p);
    return tap_done();
}
