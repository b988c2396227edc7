/* SPDX-License-Identifier: ISC */
/* Passwords that others judge: PAM and LDAP directories. These calls block; threads of their own
 * make them. */
#ifndef AUTH_OUTSIDE_H
#define AUTH_OUTSIDE_H

#include "base/check.h"
#include "conf/hba.h"

enum outside_answer {
    OUTSIDE_YES,
    OUTSIDE_NO,    /* the password is wrong, or the account must not be used */
    OUTSIDE_FAILED /* nobody could say */
};

/* All texts NUL-terminated; never with an empty password. e: why not, for the log (no secret in
 * it). */

/* By the PAM service's rules for authentication and account. rhost: the client's address. */
enum outside_answer outside_pam(const char *service, const char *user, const char *password,
                                const char *rhost, struct err *e);
/* Waits for the directory at most OUTSIDE_LDAP_S per step. */
#define OUTSIDE_LDAP_S 5
enum outside_answer outside_ldap(const struct ldap_conf *c, const char *user, const char *password,
                                 struct err *e);
/* For outside_ldap, and tests: may the name stand in a DN and in a filter as it is? */
bool outside_name_ok(const char *user);

#endif
