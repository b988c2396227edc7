/* SPDX-License-Identifier: ISC */
/*
 * Regular expressions in rules of access: what POSIX's extended ones and PostgreSQL's have in
 * common. What would mean something else in PostgreSQL is refused.
 */
#ifndef CONF_REGEX_H
#define CONF_REGEX_H

#include "base/arena.h"
#include "base/err.h"

/* Compiled ones belong to a chain, and are freed with it. */
struct regex;

/* false: e. */
bool regex_compile(struct text pattern, struct arena *a, struct regex **chain,
                   const struct regex **out, struct err *e);
/* Groups of the pattern. */
int regex_groups(const struct regex *r);
/* Does it match somewhere in subject (NUL-terminated)? group, if not NULL: what the first group
 * matched; p NULL when it took no part. Any thread. When it cannot be told (no memory, more than
 * 1000 bytes) that counts as no match, and *failed (may be NULL) is set. */
bool regex_matches(const struct regex *r, const char *subject, struct text *group, bool *failed);
void regex_free_all(struct regex **chain);

#endif
