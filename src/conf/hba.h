/* SPDX-License-Identifier: ISC */
/*
 * Access rules (auth_hba_file) and maps of user names (auth_ident_file), in PostgreSQL's form. A
 * line that is not fully understood is a problem of the load: none is ever skipped.
 */
#ifndef CONF_HBA_H
#define CONF_HBA_H

#include "conf/regex.h"
#include "conf/setup.h"
#include "conf/trouble.h"

enum hba_type { HBA_LOCAL, HBA_HOST, HBA_HOSTSSL, HBA_HOSTNOSSL, HBA_HOSTGSS };

enum hba_method {
    HBA_REJECT,
    HBA_TRUST,
    HBA_PLAIN,
    HBA_MD5,
    HBA_SCRAM,
    HBA_CERT,
    HBA_PEER,
    HBA_PAM,
    HBA_LDAP
};

enum hba_name_kind {
    HBA_NAME_IS,
    HBA_NAME_ALL,
    HBA_NAME_SAMEUSER,    /* databases only */
    HBA_NAME_REPLICATION, /* databases only */
    HBA_NAME_PATTERN
};
struct hba_name {
    enum hba_name_kind kind;
    struct text name;
    const struct regex *pattern;
};

enum hba_address { HBA_ANY_ADDRESS, HBA_NETWORK, HBA_SAMEHOST, HBA_SAMENET };

enum hba_clientcert { HBA_CERT_NO, HBA_CERT_CA, HBA_CERT_FULL };

/* How to ask a directory. Texts "" when not given. */
struct ldap_conf {
    const char *uris; /* separated by spaces */
    bool starttls;
    const char *prefix, *suffix; /* simple bind as prefix + user + suffix */
    const char *basedn, *binddn, *bindpasswd, *attribute, *filter; /* search, then bind */
    int scope;                                                     /* 0 base, 1 one, 2 sub */
};

struct hba_rule {
    const char *file;
    int line;
    enum hba_type type;
    const struct hba_name *databases, *users;
    int n_databases, n_users;
    enum hba_address address;
    int family; /* HBA_NETWORK: AF_INET or AF_INET6 */
    unsigned char net[16], mask[16];
    enum hba_method method;
    struct text map; /* p NULL: none */
    enum hba_clientcert clientcert;
    const struct ldap_conf *ldap; /* NULL: auth_ldap_options */
    const char *pam_service;      /* NULL: "pgbouncer" */
};

struct ident_line {
    struct text map;
    struct text system; /* system_pattern NULL: this name */
    const struct regex *system_pattern;
    struct hba_name user; /* HBA_NAME_IS, HBA_NAME_ALL or HBA_NAME_PATTERN */
    bool with_group;      /* the first \1 in user.name stands for the pattern's first group */
};

struct hba {
    const struct hba_rule *rules; /* in file order: the first that matches decides */
    int n_rules;
    const struct ident_line *idents;
    int n_idents;
};

/* Where the results of parsing live. */
struct hba_load {
    struct arena *a;
    struct secret **secrets;
    struct regex **patterns;
    struct trouble *t;
    bool may_read; /* @file */
};

/* Texts in memory; name stands in messages, and files named by @ are beside it. Problems go to t.
 */
void hba_parse(struct hba_load *l, struct text body, const char *name, struct hba *out);
void ident_parse(struct hba_load *l, struct text body, const char *name, struct hba *out);
/* After both: rules name maps that are there. */
void hba_check_maps(struct hba_load *l, const struct hba *h);

/* auth_ldap_options: name=value pairs as of a rule's ldap. NULL: e. */
const struct ldap_conf *ldap_options(struct text options, struct hba_load *l, struct err *e);

/* ---- hba_ldap.c, for hba.c ---- */
/* One option. false: e. *known false: it is none of ldap. */
struct ldap_given {
    struct ldap_conf c;
    const char *server, *scheme;
    int64_t port;
    bool any;
};
void ldap_given_init(struct ldap_given *g);
bool ldap_option(struct ldap_given *g, struct text name, struct text value, struct hba_load *l,
                 bool *known, struct err *e);
/* All are there: do they make sense together? */
const struct ldap_conf *ldap_finish(struct ldap_given *g, struct hba_load *l, struct err *e);

#endif
