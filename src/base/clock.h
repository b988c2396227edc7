/* SPDX-License-Identifier: ISC */
/* Time in microseconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL

/* Monotonic; never 0. */
usec_t clock_mono_us(void);
/* Since 1970, UTC. */
usec_t clock_wall_us(void);
/* UTC: "YYYY-MM-DD HH:MM:SS UTC", "YYYY-MM-DD HH:MM:SS.mmm UTC", and RFC 3339 with microseconds,
 * "YYYY-MM-DDTHH:MM:SS.uuuuuuZ". */
enum clock_style { CLOCK_SECONDS, CLOCK_MILLIS, CLOCK_RFC3339 };
/* In that style into out, NUL-terminated, cut where there is no room; returns the length. */
size_t clock_format(usec_t wall_us, enum clock_style style, char *out, size_t size);

#endif
