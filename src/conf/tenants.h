/* SPDX-License-Identifier: ISC */
/* Names as SQL writes them, for the tenant sections: folded to lower case unless quoted. */
#ifndef CONF_TENANTS_H
#define CONF_TENANTS_H

#include "conf/setup.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#define SQL_NAME_MAX 63

struct sql_name {
    struct text text; /* without quotes, folded; "*" when star */
    bool star;        /* an unquoted asterisk */
};

/* Takes one name off the front of *rest: "quoted", unquoted or *. false: e. */
bool sql_name_take(struct text *rest, struct arena *a, struct sql_name *out,
                   struct err *e) MUST_CHECK;

/* Argument types as they stand between parentheses: single spaces, ", " between, lower case outside
 * quotes. */
struct text sql_args_fold(struct text args, struct arena *a);

/* What stands behind the column of a rule: claim=NAME, set="NAME=VALUE", set_when=... */
bool rule_options(struct text value, struct arena *a, struct tenant_rule *r, struct err *e);
bool rule_same_settings(const struct tenant_rule *a, const struct tenant_rule *b);

#endif
