/* SPDX-License-Identifier: ISC */
/* Did you mean: the known word that is nearest to a mistyped one. */
#ifndef CONF_SUGGEST_H
#define CONF_SUGGEST_H

#include "base/text.h"

struct suggest {
    struct text word; /* as typed */
    const char *best; /* nearest so far, NULL when none is near enough */
    size_t distance;  /* of best */
};

/* Starts with a word; suggest_offer is then called for each candidate (NUL-terminated, kept by
 * pointer). */
void suggest_init(struct suggest *s, struct text word);
void suggest_offer(struct suggest *s, const char *candidate);

/* Single-character insertions, deletions, replacements and swaps of neighbours between a and b,
 * without regard to ASCII case; limit + 1 when there are more than `limit`. Words of more than 64
 * bytes are never near. */
size_t suggest_distance(struct text a, struct text b, size_t limit);

#endif
