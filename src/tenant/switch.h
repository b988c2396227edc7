/* SPDX-License-Identifier: ISC */
/*
 * The statements by which a client asks for its tenant or changes it. They are answered by the
 * pooler and never reach a server:
 *     SET [SESSION] pgbulkhead.tenant { = | TO } { 'text' | DEFAULT }
 *     SET [SESSION] pgbulkhead.tenant_token { = | TO } { 'text' | DEFAULT }
 *     RESET pgbulkhead.tenant, RESET pgbulkhead.tenant_token, SHOW pgbulkhead.tenant
 * Told apart by tokens: comments, case, quoted names and white space do not matter.
 */
#ifndef TENANT_SWITCH_H
#define TENANT_SWITCH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

enum switch_kind {
    SWITCH_NONE, /* some other statement */
    SWITCH_SET_TENANT,
    SWITCH_SET_TOKEN,
    SWITCH_RESET,
    SWITCH_SHOW,
    SWITCH_BAD /* one of these in a form that is not taken (e: 42601 or 0A000), or among others */
};

/* value (SET): the text, in the arena. tag: that of the answer. A text that cannot be tokenised is
 * SWITCH_NONE, unless it names tenant_token. sql has a NUL byte behind it. */
enum switch_kind switch_read(struct text sql, struct arena *a, struct text *value, const char **tag,
                             struct err *e);

#endif
