/* SPDX-License-Identifier: ISC */
/* Certificates and keys of TLS contexts: the one of all, those of names (SNI), and what of them is
 * kept over a reload. */
#include "net/tls_int.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static bool no_memory(struct err *e)
{
    return err_set(e, "TLS setup failed: out of memory");
}

static int64_t expiry_of(const X509 *cert)
{
    struct tm tm = { 0 };
    if (!cert || !ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
        return 0;
    return (int64_t)timegm(&tm);
}

/* One more certificate of the file. */
static bool note_file(struct tls_ctx *c, const char *name, bool ca, int64_t expiry)
{
    struct tls_file *f = NULL;

    for (int i = 0; i < c->n_files && !f; i++)
        if (c->files[i].ca == ca && strcmp(c->files[i].name, name) == 0)
            f = &c->files[i];
    if (!f) {
        struct tls_file *more = realloc(c->files, sizeof(*more) * (size_t)(c->n_files + 1));
        if (more)
            c->files = more;
        char *copy = more ? strdup(name) : NULL;
        if (!copy)
            return false;
        f = &c->files[c->n_files++];
        *f = (struct tls_file){ .name = copy, .ca = ca };
    }
    if (expiry && (!f->expiry || expiry < f->expiry))
        f->expiry = expiry;
    return true;
}

bool tls_note_ca(struct tls_ctx *c, const char *file, struct err *e)
{
    STACK_OF(X509_OBJECT) *in =
        file ? X509_STORE_get0_objects(SSL_CTX_get_cert_store(c->ssl)) : NULL;

    for (int i = 0; in && i < sk_X509_OBJECT_num(in); i++) {
        const X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(in, i));
        if (cert && !note_file(c, file, true, expiry_of(cert)))
            return no_memory(e);
    }
    return true;
}

static EVP_PKEY *key_of(const struct tls_ctx *c, const char *file)
{
    for (int i = 0; c && i < c->n_keys; i++)
        if (strcmp(c->keys[i].file, file) == 0)
            return c->keys[i].key;
    return NULL;
}

static bool remember_key(struct tls_ctx *c, const char *file, EVP_PKEY *key)
{
    if (key_of(c, file))
        return true;
    struct tls_key *more = realloc(c->keys, sizeof(*more) * (size_t)(c->n_keys + 1));
    char *name = strdup(file);
    if (more)
        c->keys = more;
    if (!more || !name || !EVP_PKEY_up_ref(key)) {
        free(name);
        return false;
    }
    c->keys[c->n_keys++] = (struct tls_key){ name, key };
    return true;
}

/* The key of the file, or the one in use when the file was readable once and is not now. */
static bool load_key(struct tls_ctx *c, SSL_CTX *ssl, const struct tls_opts *o, const char *file,
                     bool *kept, struct err *e)
{
    EVP_PKEY *known = key_of(o->previous, file);
    *kept = known && access(file, R_OK) != 0 && errno == EACCES;
    if (!*kept)
        return SSL_CTX_use_PrivateKey_file(ssl, file, SSL_FILETYPE_PEM) ||
               tls_fail(e, "cannot load key file", file);
    if (!SSL_CTX_use_PrivateKey(ssl, known))
        return err_set(e,
                       "TLS setup failed: key file \"%s\" cannot be read since privileges were "
                       "dropped, and the key in use does not fit the certificate: make the file "
                       "readable for the user that pgbulkhead runs as, or restart it",
                       file);
    if (!c->kept_key)
        c->kept_key = strdup(file);
    return c->kept_key || no_memory(e);
}

bool tls_load_cert(struct tls_ctx *c, SSL_CTX *ssl, const struct tls_opts *o, const char *cert,
                   const char *key, struct err *e)
{
    bool kept;
    if (!SSL_CTX_use_certificate_chain_file(ssl, cert))
        return tls_fail(e, "cannot load certificate file", cert);
    if (!load_key(c, ssl, o, key, &kept, e))
        return false;
    if (!SSL_CTX_check_private_key(ssl))
        return tls_fail(e, "key and certificate do not belong together", cert);
    if (!remember_key(c, key, SSL_CTX_get0_privatekey(ssl)))
        return no_memory(e);
    int64_t end = expiry_of(SSL_CTX_get0_certificate(ssl));
    if (end && (!c->cert_expiry || end < c->cert_expiry))
        c->cert_expiry = end;
    return note_file(c, cert, false, end) || no_memory(e);
}

/* ---- names ---- */

/* The entry for a name that a client asks for: itself, or with an asterisk for its first label. */
static struct tls_name *find_name(const struct tls_ctx *c, const char *name)
{
    char low[256] = "";
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n >= sizeof(low))
        return NULL;
    for (size_t i = 0; i < n; i++)
        low[i] = (char)tolower((unsigned char)name[i]);
    struct tls_name *found = map_get(&c->by_name, text_n(low, n));
    const char *dot = strchr(low, '.');
    if (found || !dot || dot == low)
        return found;
    size_t at = (size_t)(dot - low) - 1;
    low[at] = '*';
    return map_get(&c->by_name, text_n(low + at, n - at));
}

static int choose_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_ctx *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_name *found = name ? find_name(c, name) : NULL;
    (void)alert;
    if (found && !SSL_set_SSL_CTX(ssl, found->ssl))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK; /* unknown names get the certificate of all */
}

/* "name=certfile:keyfile" taken apart, in place; false: not of that form. */
static bool split_entry(char *entry, char **name, char **cert, char **key)
{
    char *eq = strchr(entry, '='), *colon = eq ? strrchr(eq, ':') : NULL;
    if (!eq || !colon || eq == entry || colon == eq + 1 || !colon[1])
        return false;
    *eq = *colon = '\0';
    *name = entry;
    *cert = eq + 1;
    *key = colon + 1;
    for (char *p = entry; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}

static bool add_name(struct tls_ctx *c, char *name, SSL_CTX *ssl)
{
    struct tls_name *more = realloc(c->names, sizeof(*more) * (size_t)(c->n_names + 1));
    char *own = strdup(name);
    if (more)
        c->names = more;
    if (!more || !own) {
        free(own);
        SSL_CTX_free(ssl);
        return false;
    }
    c->names[c->n_names++] = (struct tls_name){ own, ssl };
    return true;
}

bool tls_load_names(struct tls_ctx *c, const struct tls_opts *o,
                    SSL_CTX *(*make)(struct tls_ctx *c, const struct tls_opts *o, const char *cert,
                                     const char *key, struct err *e),
                    struct err *e)
{
    struct text rest = text_of(o->sni ? o->sni : ""), part;
    while (rest.n && text_split(&rest, ',', &part)) {
        char *name, *cert, *key;
        part = text_trim(part);
        char *entry = part.n ? strndup(part.p, part.n) : NULL;
        if (!part.n)
            continue;
        if (!entry)
            return no_memory(e);
        if (!split_entry(entry, &name, &cert, &key)) {
            free(entry);
            return err_set(e, "TLS setup failed: \"%.*s\" is not name=certfile:keyfile",
                           TEXT_ARG(part));
        }
        SSL_CTX *ssl = make(c, o, cert, key, e);
        bool added = ssl && add_name(c, name, ssl);
        free(entry);
        if (!added)
            return ssl ? no_memory(e) : false;
    }
    for (int i = 0; i < c->n_names; i++) /* the array does not move any more */
        map_put(&c->by_name, text_of(c->names[i].name), &c->names[i]);
    if (c->n_names) {
        SSL_CTX_set_tlsext_servername_callback(c->ssl, choose_name);
        SSL_CTX_set_tlsext_servername_arg(c->ssl, c);
    }
    return true;
}

/* ---- comparing contexts ---- */

static bool add_text(EVP_MD_CTX *md, const char *text)
{
    return EVP_DigestUpdate(md, text ? text : "", text ? strlen(text) + 1 : 1) == 1;
}

/* The content; a file that cannot be read counts as empty (loading it has failed before). */
static bool add_file(EVP_MD_CTX *md, const char *file)
{
    char bytes[4096];
    size_t n;
    bool done = add_text(md, file);
    FILE *f = file && *file ? fopen(file, "re") : NULL;
    while (done && f && (n = fread(bytes, 1, sizeof(bytes), f)) > 0)
        done = EVP_DigestUpdate(md, bytes, n) == 1;
    if (f)
        fclose(f);
    return done;
}

bool tls_digest(struct tls_ctx *c, const struct tls_opts *o, struct err *e)
{
    int numbers[] = { (int)o->mode, o->min_version };
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool done = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, numbers, sizeof(numbers)) == 1 && add_text(md, o->key_file) &&
                add_file(md, o->cert_file) && add_file(md, o->ca_file) &&
                add_text(md, o->protocols) && add_text(md, o->ciphers) &&
                add_text(md, o->ciphers13) && add_text(md, o->ecdhcurve) &&
                add_text(md, o->dheparams) && EVP_DigestFinal_ex(md, c->digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return done || no_memory(e);
}

void tls_free_certs(struct tls_ctx *c)
{
    for (int i = 0; i < c->n_keys; i++) {
        EVP_PKEY_free(c->keys[i].key);
        free(c->keys[i].file);
    }
    for (int i = 0; i < c->n_names; i++) {
        SSL_CTX_free(c->names[i].ssl);
        free(c->names[i].name);
    }
    for (int i = 0; i < c->n_files; i++)
        free(c->files[i].name);
    map_release(&c->by_name);
    free(c->files);
    free(c->keys);
    free(c->names);
    free(c->kept_key);
}
