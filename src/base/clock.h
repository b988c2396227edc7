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
/* "YYYY-MM-DD HH:MM:SS.mmm UTC" (millis) or "YYYY-MM-DD HH:MM:SS UTC" into out, NUL-terminated;
 * returns length. */
size_t clock_format(usec_t wall_us, int millis, char *out, size_t size);

#endif
