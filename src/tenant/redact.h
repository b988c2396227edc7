/* SPDX-License-Identifier: ISC */
/*
 * A statement without its literals, for logs and tables: strings, numbers and parameters become
 * "?", so do values of SET that stand there without quotes; comments and line breaks go, the
 * length is bounded. What cannot be tokenised, or was not understood, shows key words and
 * punctuation only, because a broken quote turns literals into names.
 */
#ifndef TENANT_REDACT_H
#define TENANT_REDACT_H

#include "base/buf.h"

#define REDACT_MAX 500 /* bytes, without the "..." of a text that was cut */

/* Appends the template of the text to out (may fail: out->failed). strict: names are "?" too. Valid
 * UTF-8 without control characters whatever the text holds. */
void redact(struct text sql, bool strict, struct buf *out);

/* Does a broken quote make names of what was meant as literals, perhaps? Such a text has no end of
 * its last token, strings that touch words, or a backslash outside strings. */
bool redact_is_broken(struct text sql);

#endif
