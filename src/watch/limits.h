/* SPDX-License-Identifier: ISC */
/*
 * How much memory and processor time the process may use: the least of its control group and those
 * above it (version 2 or 1), else what the machine has.
 */
#ifndef WATCH_LIMITS_H
#define WATCH_LIMITS_H

#include <stdint.h>

struct limits {
    uint64_t memory;     /* bytes, 0 = not known */
    uint64_t microcores; /* millionths of a processor, 0 = not known */
};

/* Reads a few files of /proc and /sys; out of memory: the machine's. */
void limits_read(struct limits *out);

#endif
