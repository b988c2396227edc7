/* SPDX-License-Identifier: ISC */
/*
 * How much memory and processor time the process uses, and may use: the least of its control group
 * and those above it (version 2 or 1), else what the machine has.
 */
#ifndef WATCH_LIMITS_H
#define WATCH_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits {
    uint64_t memory;     /* bytes, 0 = not known */
    uint64_t microcores; /* millionths of a processor, 0 = not known */
};

/* Reads a few files of /proc and /sys; out of memory: the machine's. */
void limits_read(struct limits *out);

/* Processor time of all threads, microseconds; 0 = not known. */
uint64_t process_cpu_us(void);
/* Bytes of address space and of it in memory, of /proc/self/statm; false: not known. */
bool process_memory(uint64_t *virt, uint64_t *resident);

#endif
