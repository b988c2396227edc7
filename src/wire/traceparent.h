/* SPDX-License-Identifier: ISC */
/*
 * W3C trace context in a comment of a statement, as sqlcommenter writes it: key='value' pairs, URL
 * encoded, in the comment that ends the text or begins it. Texts come from clients; anything that
 * is not of that very form is no trace.
 */
#ifndef WIRE_TRACEPARENT_H
#define WIRE_TRACEPARENT_H

#include "base/text.h"

#define TRACEPARENT_LEN 55      /* 00-<32 hex>-<16 hex>-<2 hex> */
#define TRACEPARENT_LOOK 2048   /* longer comments are not looked through */
#define TRACEPARENT_SAMPLED 0x1 /* flags: the trace is being recorded */

struct traceparent {
    unsigned char id[16], span[8];
    uint8_t flags;
    bool set; /* false: there is none, the rest is zero */
};

/* The trace of the text; whole: its end is there. Cheap: without a comment at an end of the text
 * two bytes are looked at, and nothing but those comments in any case. true: there is one. */
bool traceparent_find(struct text sql, bool whole, struct traceparent *out);

/* As a header has it, of version 00, NUL-terminated; "" when there is none. */
void traceparent_text(const struct traceparent *t, char out[TRACEPARENT_LEN + 1]);

/* Lower-case hexadecimal, NUL-terminated; out holds 2 * n + 1 bytes. */
void traceparent_hex(const unsigned char *p, size_t n, char *out);

#endif
