/* SPDX-License-Identifier: ISC */
/*
 * Statements as they appear in tables of what runs: texts without constants and comments, and a key
 * under which texts that differ in those only are found again without being taken apart.
 */
#ifndef TENANT_SKETCH_H
#define TENANT_SKETCH_H

#include "base/buf.h"

#define SKETCH_MAX_TEXT 65536 /* longer texts are not looked at */

/* How the server reads a client's texts; what is not known counts as usual. */
struct sketch_reading {
    bool escapes;     /* standard_conforming_strings is off: a backslash escapes in any string */
    bool odd_charset; /* client_encoding has characters whose later bytes look like ASCII */
};

/* Is it one of those encodings (a name as servers report it; NULL: not known)? */
bool sketch_odd_charset(const char *client_encoding);

/* 128 bits of the text with its plain numbers, plain strings and comments left out; equal keys mean
 * equal templates. A text that has other quotes, or is longer than SKETCH_MAX_TEXT, is taken as it
 * stands (the latter by its length only). seed: secret; salt: sets texts of different owners
 * apart. */
void sketch_key(struct text sql, const uint64_t seed[2], uint64_t salt, uint64_t key[2]);

/* What stands behind the name in a PREPARE, without the types and AS in front. */
struct text sketch_prepared(struct text sql);

/* Appends the template: constants and parameters are "?", lists of them "?, ...", comments and line
 * breaks go, at most REDACT_MAX bytes and " ...". What cannot be read to its end, or could be read
 * in two ways, is "<unreadable>" as a whole; what is longer than SKETCH_MAX_TEXT "<too long>".
 * Valid UTF-8 without control characters. Memory: out->failed. Gives whether all texts of its key
 * have that template: not so when it depends on what stands inside a constant, or on the reading.
 */
bool sketch_text(struct text sql, const struct sketch_reading *how, struct buf *out);

#endif
