/* SPDX-License-Identifier: ISC */
/*
 * A text slice: pointer and length, not owned, not NUL-terminated unless said.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *p; /* may be NULL when n is 0 */
    size_t n;      /* bytes */
};

/* A slice of a string literal or char array constant. */
#define TEXT(lit) ((struct text){ (lit), sizeof(lit) - 1 })

/* "%.*s" arguments for printf-like functions. */
#define TEXT_ARG(t) (int)(t).n, (t).p ? (t).p : ""

/* A slice over a NUL-terminated string (NULL gives the empty slice). */
static inline struct text text_of(const char *s)
{
    return (struct text){ s, s ? strlen(s) : 0 };
}

static inline struct text text_n(const char *p, size_t n)
{
    return (struct text){ p, n };
}

/* Same bytes? */
static inline bool text_eq(struct text a, struct text b)
{
    return a.n == b.n && (a.n == 0 || (*a.p == *b.p && memcmp(a.p, b.p, a.n) == 0));
}

/* Same bytes as a NUL-terminated string? */
static inline bool text_is(struct text a, const char *z)
{
    return text_eq(a, text_of(z));
}

/* Equal without regard to ASCII case (other bytes exactly). */
bool text_ieq(struct text a, struct text b);
bool text_is_i(struct text a, const char *z);

/* Bytewise order: <0, 0, >0. */
int text_cmp(struct text a, struct text b);

/* Equal in time that depends on the lengths only; for secrets. */
bool text_eq_secret(struct text a, struct text b);

/* Does a start with b? */
bool text_starts(struct text a, struct text b);

/* A NUL-terminated copy from malloc; NULL when memory is short. */
char *text_dup(struct text a);

/* Without leading and trailing ASCII white space. */
struct text text_trim(struct text a);

/* Takes the part before the first `sep` off *rest (the whole rest when there is none).
 * false when *rest was already exhausted (its p is then NULL). */
bool text_split(struct text *rest, char sep, struct text *part);

/* Bytes of the UTF-8 sequence at p, 1 to 4; 0 when the n bytes there (at least one) do not begin
 * with a valid one (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
size_t text_utf8_len(const unsigned char *p, size_t n);

/* Decimal number with optional sign, whole slice; false on anything else or overflow. */
bool text_to_int64(struct text a, int64_t *out);

#endif
