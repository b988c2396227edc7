/* SPDX-License-Identifier: ISC */
/* What is read from a certificate: fields of a client's, the hash that channel binding uses. */
#include "net/tls_int.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* One value, kept as it is; two are one too many. */
struct found {
    char *value; /* malloc */
    int n;
    bool bad; /* not UTF-8 text without NUL bytes, or no memory */
};

static void take(struct found *f, const ASN1_STRING *s, bool ascii)
{
    unsigned char *utf8 = NULL;
    int n;

    if (f->n++)
        return;
    if (ascii) { /* an IA5String: bytes as they are */
        n = ASN1_STRING_length(s);
        const unsigned char *p = ASN1_STRING_get0_data(s);
        for (int i = 0; i < n; i++)
            f->bad = f->bad || !p[i] || p[i] >= 0x80;
        f->value = f->bad ? NULL : strndup((const char *)p, (size_t)n);
    } else {
        n = ASN1_STRING_to_UTF8(&utf8, s);
        f->bad = n < 0 || memchr(utf8, '\0', (size_t)n);
        f->value = f->bad ? NULL : strndup((const char *)utf8, (size_t)n);
        OPENSSL_free(utf8);
    }
    f->bad = f->bad || !f->value;
}

static void from_subject(struct found *f, X509 *cert, int nid)
{
    X509_NAME *name = X509_get_subject_name(cert);

    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;)
        take(f, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), false);
}

static void from_alternatives(struct found *f, X509 *cert, int type)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);

    if (!names && critical != -1) /* there, but unreadable or twice */
        f->bad = true;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == type)
            take(f, g->d.ia5, true);
    }
    GENERAL_NAMES_free(names);
}

enum tls_field_found x509_field(struct x509_st *cert, enum tls_field field, char **out)
{
    struct found f = { .n = 0 };

    *out = NULL;
    switch (field) {
    case TLS_FIELD_CN:
        from_subject(&f, cert, NID_commonName);
        break;
    case TLS_FIELD_OU:
        from_subject(&f, cert, NID_organizationalUnitName);
        break;
    case TLS_FIELD_DNS:
        from_alternatives(&f, cert, GEN_DNS);
        break;
    case TLS_FIELD_URI:
        from_alternatives(&f, cert, GEN_URI);
        break;
    case TLS_FIELD_EMAIL:
        from_alternatives(&f, cert, GEN_EMAIL);
        break;
    }
    ERR_clear_error();
    if (!f.bad && f.n < 2) {
        *out = f.value;
        return f.n ? TLS_FIELD_ONE : TLS_FIELD_NONE;
    }
    free(f.value);
    return f.bad ? TLS_FIELD_BAD : TLS_FIELD_SEVERAL;
}

size_t x509_end_point(struct x509_st *cert, unsigned char out[TLS_END_POINT_MAX])
{
    int hash = NID_undef;
    unsigned n = 0;
    /* MD5 and SHA-1 are replaced (RFC 5929, 4.1); for algorithms without one nothing is defined. */
    if (!cert || !X509_get_signature_info(cert, &hash, NULL, NULL, NULL))
        hash = NID_undef;
    if (hash == NID_md5 || hash == NID_sha1)
        hash = NID_sha256;
    const EVP_MD *md = hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
    if (!md || EVP_MD_get_size(md) > TLS_END_POINT_MAX || !X509_digest(cert, md, out, &n))
        n = 0;
    ERR_clear_error();
    return n;
}
