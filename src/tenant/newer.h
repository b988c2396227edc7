/* SPDX-License-Identifier: ISC */
/*
 * Texts that the parser refuses while the server may know them: the grammar is that of one major
 * version (tree_major), servers may be newer. It is refused all the same; this is about what people
 * are told.
 */
#ifndef TENANT_NEWER_H
#define TENANT_NEWER_H

#include "base/text.h"

/* Does the text, refused by the parser with that message, have a construct of a later version? Its
 * major version, and its name in *what (static); 0: none that is known. A guess by tokens. */
int newer_syntax(struct text sql, struct text message, const char **what);

#endif
