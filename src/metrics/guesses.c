/* SPDX-License-Identifier: ISC */
/* Failed logins by address. */
#include "metrics/guesses.h"

#include <arpa/inet.h>
#include <string.h>

/* IPv4 as in IPv6; of IPv6 the network. */
static void who(const char *address, unsigned char out[16])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct in_addr v4;

    memset(out, 0, 16);
    if (!address)
        return;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        memcpy(out + 12, &v4, 4);
    } else if (inet_pton(AF_INET6, address, out) != 1) {
        memset(out, 0, 16);
    } else if (memcmp(out, mapped, sizeof(mapped)) != 0) {
        memset(out + 8, 0, 8);
    }
}

static const struct guess *find(const struct guesses *g, const unsigned char w[16])
{
    for (int i = 0; i < GUESS_ADDRESSES; i++)
        if (g->of[i].owes_until && memcmp(g->of[i].who, w, 16) == 0)
            return &g->of[i];
    return NULL;
}

bool guesses_blocked(const struct guesses *g, const char *address, usec_t now)
{
    unsigned char w[16];

    who(address, w);
    const struct guess *found = find(g, w);
    return found && found->owes_until > now + (GUESS_BURST - 1) * USEC_PER_SEC;
}

bool guesses_flooded(const struct guesses *g, usec_t now)
{
    return g->all_until > now + (GUESS_ALL_BURST - 1) * (USEC_PER_SEC / GUESS_ALL_PER_SECOND);
}

static usec_t later(usec_t until, usec_t now, usec_t by)
{
    return (until > now ? until : now) + by;
}

bool guesses_failed(struct guesses *g, const char *address, bool costly, usec_t now)
{
    unsigned char w[16];
    int at = 0;

    who(address, w);
    const struct guess *found = find(g, w);
    if (costly && !guesses_flooded(g, now)) /* no debt beyond the limit */
        g->all_until = later(g->all_until, now, USEC_PER_SEC / GUESS_ALL_PER_SECOND);
    for (int i = 1; !found && i < GUESS_ADDRESSES; i++)
        if (g->of[i].owes_until < g->of[at].owes_until)
            at = i;
    if (found)
        at = (int)(found - g->of);
    else
        g->of[at].owes_until = 0;
    bool first = g->of[at].owes_until <= now;
    memcpy(g->of[at].who, w, 16);
    g->of[at].owes_until = later(g->of[at].owes_until, now, USEC_PER_SEC);
    return first;
}

int guesses_count(const struct guesses *g, usec_t now)
{
    int n = 0;

    for (int i = 0; i < GUESS_ADDRESSES; i++)
        n += g->of[i].owes_until > now;
    return n;
}
