/* SPDX-License-Identifier: ISC */
/*
 * Verdicts for texts that differ from a judged one in constants only, in comments and in the number
 * of blanks. Why that is sound is said in template.c.
 */
#ifndef TENANT_TEMPLATE_H
#define TENANT_TEMPLATE_H

#include "tenant/guard.h"
#include "tenant/tree.h"
#include "tenant/verdict.h"

#define TEMPLATE_MAX_BYTES 65536 /* longer texts get no template */
#define TEMPLATE_MAX_SAME 8      /* entries that differ in fixed constants only */

/* The text of the scan with its constants as place marks: the key of the cache of templates. false:
 * the text gets no template (no constant and no comment in it, too long, a hint, out of memory).
 * key is cleared first. */
bool template_key(const struct guard_scan *scan, struct text sql, struct buf *key);

/* Which constants of the tokens the verdict does not rest on: a byte for each token. */
enum template_use { TEMPLATE_UNSEEN, TEMPLATE_FREE, TEMPLATE_FIXED };
/* Learns it from a tree that was judged. before: what was learnt from another tree that the verdict
 * rests on too, or NULL. */
uint8_t *template_learn(const struct guard_scan *scan, struct text sql, const struct node *stmt,
                        const uint8_t *before, struct arena *a);

/* An entry for the cache: the model's verdict for all texts with the same key and the same fixed
 * constants. Holds a reference to the model. NULL: out of memory, or an edit is not at a token's
 * edge. blanked: the scan's text. */
struct verdict_full *template_new(struct verdict_full *model, const uint8_t *uses,
                                  const struct guard_scan *scan, struct text blanked);
void template_free(struct template *t);

/* A cache_fits for these entries: are the fixed constants of the text the entry's? */
struct template_text {
    const struct guard_scan *scan;
    struct text sql;
};
bool template_fits(const struct verdict_full *entry, const void *text);

/* Makes `copy` (of verdict_new, or used before as a copy) the verdict of the entry for another
 * text. false: out of memory. */
bool template_apply(const struct verdict_full *entry, const struct template_text *text,
                    struct verdict_full *copy) MUST_CHECK;

#endif
