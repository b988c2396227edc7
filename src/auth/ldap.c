/* SPDX-License-Identifier: ISC */
/* A password before an LDAP directory: a bind with a name made from the user's, or with that of
 * the one entry that a search finds. */
#include "auth/outside.h"

bool outside_name_ok(const char *user)
{
    size_t n = strlen(user);

    /* Special in names (RFC 4514) or filters (RFC 4515); blanks that a directory does not count. */
    if (!n || strpbrk(user, "*()\\/,+\"<>;=#") || user[0] == ' ' || user[n - 1] == ' ' ||
        strstr(user, "  "))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)user[i] < 0x20 || user[i] == 0x7f)
            return false;
    return true;
}

#ifdef HAVE_LDAP
#include "base/random.h"

#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static enum outside_answer failed(struct err *e, LDAP *ld, const char *step, int rc)
{
    char *more = NULL;

    if (ld)
        ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
    err_set(e, "LDAP: %s failed: %s%s%.300s%s", step, ldap_err2string(rc),
            more && *more ? " (" : "", more && *more ? more : "", more && *more ? ")" : "");
    ldap_memfree(more);
    return OUTSIDE_FAILED;
}

static bool set_options(LDAP *ld)
{
    const struct timeval limit = { .tv_sec = OUTSIDE_LDAP_S };
    const int version = LDAP_VERSION3;

    return ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) == LDAP_OPT_SUCCESS;
}

static LDAP *open_directory(const struct ldap_conf *c, struct err *e)
{
    LDAP *ld = NULL;
    int rc = ldap_initialize(&ld, c->uris);

    if (rc != LDAP_SUCCESS) {
        failed(e, NULL, "setting up", rc);
        return NULL;
    }
    if (!set_options(ld)) {
        err_set(e, "LDAP: options are refused");
        rc = LDAP_OTHER;
    } else if (c->starttls && (rc = ldap_start_tls_s(ld, NULL, NULL)) != LDAP_SUCCESS) {
        failed(e, ld, "StartTLS", rc);
    }
    if (rc == LDAP_SUCCESS)
        return ld;
    ldap_unbind_ext_s(ld, NULL, NULL);
    return NULL;
}

/* An empty password would be a bind that proves nothing (RFC 4513, 5.1.2): never for users. */
static int bind_as(LDAP *ld, const char *dn, const char *password)
{
    struct berval cred = { .bv_len = strlen(password), .bv_val = strdup(password) };

    if (!cred.bv_val)
        return LDAP_NO_MEMORY;
    int rc = ldap_sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
    wipe(cred.bv_val, cred.bv_len);
    free(cred.bv_val);
    return rc;
}

/* The name put in for each $username, or (attribute=name). */
static void build_filter(const struct ldap_conf *c, const char *user, struct buf *out)
{
    const char *p = c->filter, *at;

    if (!*p)
        buf_printf(out, "(%s=%s)", *c->attribute ? c->attribute : "uid", user);
    while ((at = strstr(p, "$username")) != NULL) {
        buf_append(out, p, (size_t)(at - p));
        buf_text_append(out, text_of(user));
        p = at + strlen("$username");
    }
    buf_text_append(out, text_of(p));
    buf_char(out, '\0');
}

/* A directory compares names without regard to case; we do not: alice must not become ALICE. */
static bool has_name(LDAP *ld, LDAPMessage *entry, const char *attribute, const char *user)
{
    struct berval **v = ldap_get_values_len(ld, entry, attribute);
    bool same = false;

    for (int i = 0; v && v[i]; i++)
        same = same || text_eq(text_n(v[i]->bv_val, v[i]->bv_len), text_of(user));
    ldap_value_free_len(v);
    return same;
}

/* The entry's name, malloc. NULL: *got and e. */
static char *find_entry(LDAP *ld, const struct ldap_conf *c, const char *user,
                        enum outside_answer *got, struct err *e)
{
    static const int scopes[] = { LDAP_SCOPE_BASE, LDAP_SCOPE_ONELEVEL, LDAP_SCOPE_SUBTREE };
    char attribute[128];
    char *attrs[] = { attribute, NULL };
    struct timeval limit = { .tv_sec = OUTSIDE_LDAP_S };
    const char *name = *c->attribute ? c->attribute : "uid";
    LDAPMessage *result = NULL;
    struct buf filter;
    char *dn = NULL;
    int rc;

    *got = OUTSIDE_FAILED;
    memset(attribute, 0, sizeof(attribute));
    if (strlen(name) >= sizeof(attribute)) {
        err_set(e, "LDAP: the attribute's name is too long");
        return NULL;
    }
    memcpy(attribute, *c->filter ? LDAP_NO_ATTRS : name, strlen(*c->filter ? LDAP_NO_ATTRS : name));
    buf_init(&filter);
    build_filter(c, user, &filter);
    rc = filter.failed ? LDAP_NO_MEMORY
                       : ldap_search_ext_s(ld, c->basedn, scopes[c->scope], buf_data(&filter),
                                           attrs, 0, NULL, NULL, &limit, 2, &result);
    buf_release(&filter);
    int n = result ? ldap_count_entries(ld, result) : 0;
    if (rc == LDAP_SUCCESS && n == 1) {
        LDAPMessage *entry = ldap_first_entry(ld, result);
        char *found = ldap_get_dn(ld, entry);
        bool same = *c->filter || has_name(ld, entry, attribute, user);
        if (found && same)
            dn = strdup(found);
        else
            err_set(e, "LDAP: the entry found is written otherwise than the user's name");
        *got = OUTSIDE_NO;
        ldap_memfree(found);
    } else if (rc == LDAP_SUCCESS || rc == LDAP_SIZELIMIT_EXCEEDED || rc == LDAP_NO_SUCH_OBJECT) {
        err_set(e, "LDAP: %s is there for the user", n ? "more than one entry" : "no entry");
        *got = OUTSIDE_NO;
    } else {
        failed(e, ld, "search", rc);
    }
    ldap_msgfree(result);
    return dn;
}

static char *search(const struct ldap_conf *c, const char *user, enum outside_answer *got,
                    struct err *e)
{
    LDAP *ld = open_directory(c, e);
    char *dn = NULL;
    int rc = LDAP_SUCCESS;

    *got = OUTSIDE_FAILED;
    if (!ld)
        return NULL;
    if (*c->binddn)
        rc = bind_as(ld, c->binddn, c->bindpasswd);
    if (rc == LDAP_SUCCESS)
        dn = find_entry(ld, c, user, got, e);
    else
        failed(e, ld, "bind for the search", rc);
    ldap_unbind_ext_s(ld, NULL, NULL);
    return dn;
}

enum outside_answer outside_ldap(const struct ldap_conf *c, const char *user, const char *password,
                                 struct err *e)
{
    enum outside_answer got = OUTSIDE_FAILED;
    char *dn = NULL;
    LDAP *ld;

    if (!*password || !outside_name_ok(user)) {
        err_set(e, "LDAP: %s",
                *password ? "the user's name has a special character" : "the password is empty");
        return OUTSIDE_NO;
    }
    if (*c->basedn)
        dn = search(c, user, &got, e);
    else if (asprintf(&dn, "%s%s%s", c->prefix, user, c->suffix) < 0)
        dn = NULL;
    if (!dn) {
        if (!e->msg[0])
            err_set(e, "out of memory");
        return got;
    }
    ld = open_directory(c, e);
    if (ld) {
        int rc = bind_as(ld, dn, password);
        if (rc != LDAP_SUCCESS)
            failed(e, ld, "bind", rc);
        got = rc == LDAP_SUCCESS ? OUTSIDE_YES
              : rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_NO_SUCH_OBJECT ||
                      rc == LDAP_INVALID_DN_SYNTAX || rc == LDAP_INAPPROPRIATE_AUTH
                  ? OUTSIDE_NO
                  : OUTSIDE_FAILED;
        ldap_unbind_ext_s(ld, NULL, NULL);
    }
    free(dn);
    return got;
}
#else
enum outside_answer outside_ldap(const struct ldap_conf *c, const char *user, const char *password,
                                 struct err *e)
{
    (void)c, (void)user, (void)password;
    err_set(e, "built without LDAP");
    return OUTSIDE_FAILED;
}
#endif
