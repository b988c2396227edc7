/* SPDX-License-Identifier: ISC */
/* Edit distance between short words, for error texts. */
#include "conf/suggest.h"

#define WORD_MAX 64

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(struct text a, struct text b, size_t limit)
{
    size_t row[3][WORD_MAX + 1]; /* the last three rows of the table */

    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
            size_t d = least(up[j - 1] + (x != y), least(up[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && y == lower(a.p[i - 2]))
                d = least(d, up2[j - 2] + 1);
            now[j] = d;
        }
    }
    return least(row[a.n % 3][b.n], limit + 1);
}

void suggest_init(struct suggest *s, struct text word)
{
    *s = (struct suggest){ .word = word };
    /* a short word may differ in little, a long one in three places */
    s->distance = 1 + (word.n < 3 ? 0 : word.n < 6 ? 1 : word.n < 9 ? 2 : 3);
}

void suggest_offer(struct suggest *s, const char *candidate)
{
    struct text c = text_of(candidate);
    size_t d = suggest_distance(s->word, c, s->distance);

    if (d < s->distance && d < c.n) {
        s->best = candidate;
        s->distance = d;
    }
}
