/* SPDX-License-Identifier: ISC */
/* Writing JSON (RFC 8259): strings of any bytes become valid JSON in UTF-8. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* Appends "..." with quotes, backslashes and control characters escaped; bytes that are no valid
 * UTF-8 become U+FFFD, one each. */
void json_text(struct buf *b, struct text t);

/* Appends `,"name":`; without the comma at the beginning and right behind a brace or bracket. name
 * is plain ASCII; NULL: the comma only. */
void json_key(struct buf *b, const char *name);

/* Appends `,"name":"value"` likewise. Nothing when the value is empty. */
void json_member(struct buf *b, const char *name, struct text value);

#endif
