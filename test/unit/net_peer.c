/* SPDX-License-Identifier: ISC */
/* Fields of certificates: one value, several, none, and values that lie. */
#include "net/tls.h"

#include "tap.h"

#include <openssl/x509v3.h>

static X509 *blank(void)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    return x;
}

static void subject(X509 *x, const char *field, int type, const char *p, int n)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));
    X509_NAME_add_entry_by_txt(name, field, type, (const unsigned char *)p, n, -1, 0);
    X509_set_subject_name(x, name);
    X509_NAME_free(name);
}

static void alternative(X509 *x, int type, const char *p, int n)
{
    int critical;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();

    if (!names)
        names = GENERAL_NAMES_new();
    ASN1_STRING_set(s, p, n);
    GENERAL_NAME_set0_value(g, type, s);
    sk_GENERAL_NAME_push(names, g);
    X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE);
    GENERAL_NAMES_free(names);
}

static void look(X509 *x, enum tls_field field, enum tls_field_found want, const char *value,
                 const char *what)
{
    char *got = NULL;
    enum tls_field_found found = x509_field(x, field, &got);

    is_int(found, want, "%s", what);
    is_text(text_of(got), value, "its value");
    free(got);
}

int main(void)
{
    X509 *x = blank();

    look(x, TLS_FIELD_CN, TLS_FIELD_NONE, NULL, "no subject");
    look(x, TLS_FIELD_URI, TLS_FIELD_NONE, NULL, "no extension");
    subject(x, "CN", MBSTRING_UTF8, "Zo\xC3\xAB", -1);
    look(x, TLS_FIELD_CN, TLS_FIELD_ONE, "Zo\xC3\xAB", "a CN");
    look(x, TLS_FIELD_OU, TLS_FIELD_NONE, NULL, "no OU beside it");
    subject(x, "OU", V_ASN1_BMPSTRING, "\0a\0c\0m\0e", 8);
    look(x, TLS_FIELD_OU, TLS_FIELD_ONE, "acme", "an OU in another encoding");
    subject(x, "CN", MBSTRING_UTF8, "Zo\xC3\xAB", -1);
    look(x, TLS_FIELD_CN, TLS_FIELD_SEVERAL, NULL, "the same CN twice");
    subject(x, "OU", V_ASN1_T61STRING, "", 0);
    look(x, TLS_FIELD_OU, TLS_FIELD_SEVERAL, NULL, "a second, empty OU");
    alternative(x, GEN_URI, "urn:tenant:acme", 15);
    alternative(x, GEN_DNS, "acme", 4);
    look(x, TLS_FIELD_URI, TLS_FIELD_ONE, "urn:tenant:acme", "a URI");
    look(x, TLS_FIELD_DNS, TLS_FIELD_ONE, "acme", "a DNS name beside it");
    look(x, TLS_FIELD_EMAIL, TLS_FIELD_NONE, NULL, "no e-mail address");
    alternative(x, GEN_URI, "urn:tenant:beta", 15);
    look(x, TLS_FIELD_URI, TLS_FIELD_SEVERAL, NULL, "two URIs");
    alternative(x, GEN_EMAIL, "acme\0beta", 9);
    look(x, TLS_FIELD_EMAIL, TLS_FIELD_BAD, NULL, "a NUL byte in an alternative name");
    X509_free(x);

    x = blank();
    subject(x, "CN", V_ASN1_UTF8STRING, "acme\0beta", 9);
    look(x, TLS_FIELD_CN, TLS_FIELD_BAD, NULL, "a NUL byte in the CN");
    alternative(x, GEN_DNS, "ac\xC3\xABme", 6);
    look(x, TLS_FIELD_DNS, TLS_FIELD_BAD, NULL, "other than ASCII in a DNS name");
    alternative(x, GEN_EMAIL, "", 0);
    look(x, TLS_FIELD_EMAIL, TLS_FIELD_ONE, "", "an empty one");
    X509_free(x);

    x = blank();
    ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x05junk", 6);
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
    X509_add_ext(x, e, -1);
    look(x, TLS_FIELD_URI, TLS_FIELD_BAD, NULL, "an extension that cannot be read");
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(junk);
    X509_free(x);
    return tap_done();
}
