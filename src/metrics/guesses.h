/* SPDX-License-Identifier: ISC */
/*
 * Who guesses passwords over HTTP: each failure costs an address one second, and one that owes more
 * than GUESS_BURST of them is not listened to. Addresses count together by their /64 (IPv6). When
 * the table is full, the one that owes least is forgotten; all together have a limit of their own.
 */
#ifndef METRICS_GUESSES_H
#define METRICS_GUESSES_H

#include "base/clock.h"

#include <stdbool.h>

#define GUESS_ADDRESSES 256
#define GUESS_BURST 10          /* failures at once, per address */
#define GUESS_ALL_BURST 50      /* and of all */
#define GUESS_ALL_PER_SECOND 10 /* for all */

struct guess {
    unsigned char who[16];
    usec_t owes_until; /* 0: free */
};

struct guesses {
    struct guess of[GUESS_ADDRESSES]; /* zeroed at first */
    usec_t all_until;
};

/* Is the address (as text, untrusted; NULL and what is none count as one) to be refused unheard? */
bool guesses_blocked(const struct guesses *g, const char *address, usec_t now);
/* Are there too many failures altogether for another costly check? */
bool guesses_flooded(const struct guesses *g, usec_t now);
/* A failed login. costly: a password was computed; only so many are for all together. true: the
 * first one of that address for a while. */
bool guesses_failed(struct guesses *g, const char *address, bool costly, usec_t now);
/* How many addresses owe something. */
int guesses_count(const struct guesses *g, usec_t now);

#endif
