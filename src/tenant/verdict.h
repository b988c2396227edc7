/* SPDX-License-Identifier: ISC */
/*
 * The inside of a verdict: the public part, the text to send as pieces with holes for claim values,
 * and the key under which the cache keeps it. All of it lives in the verdict's own arena.
 */
#ifndef TENANT_VERDICT_H
#define TENANT_VERDICT_H

#include "base/list.h"
#include "tenant/tenant.h"

struct template;

struct verdict_piece {
    struct text text; /* sent as it is */
    int hole; /* >= 0: then the value of added[hole]'s claim as a quoted literal; -1: nothing */
    int at;   /* offset of `text` in the client's text, -1: it was added */
};

struct verdict_full {
    struct verdict pub; /* first: the caller's pointer */
    struct arena arena;
    struct verdict_piece *pieces;
    int n_pieces;
    int n_holes; /* entries of added[] that the pieces use (simple protocol; pub.n_added is then 0)
                  */
    struct verdict_full *model; /* of which this is a copy for another text (template.h), or NULL */
    struct template *template;  /* entry of the cache of templates, else NULL */
    struct buf
        own; /* of a copy: the client's text, blanked and as it came; pieces are kept for reuse */
    int cap_pieces;
    bool dependent; /* the verdict read claim values: it holds for this identity only */
    bool cacheable;
    struct text redacted; /* verdict_template; p NULL: not made yet */
    /* cache */
    struct list by_age;
    struct verdict_full *next; /* same bucket */
    bool cached;
    uint64_t hash, used;
    struct text sql;
    bool extended;
    int mode;
    uint64_t generation;
    const uint32_t *types;
    int n_types;
    const struct claim *claims; /* names always, values only when dependent */
    int n_claims;
    size_t bytes;
};

/* A new verdict (REFUSE/internal_mismatch until filled) with one reference. NULL: out of memory. */
struct verdict_full *verdict_new(void) MUST_CHECK;
void verdict_free(struct verdict_full *v);

static inline struct verdict_full *verdict_full(struct verdict *v)
{
    return (struct verdict_full *)v;
}

/* Fills the refusal: DETAIL and HINT may be empty; texts are copied. position: 1-based characters
 * or 0. */
void verdict_refuse(struct verdict_full *v, enum refusal r, struct text message, struct text detail,
                    struct text hint, int position);

#endif
