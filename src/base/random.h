/* SPDX-License-Identifier: ISC */
/* The system's random source, and wiping of secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

/* Fills n bytes from getrandom(2); aborts when the system has none. */
void random_bytes(void *p, size_t n);
/* Overwrites memory in a way the compiler may not drop. */
void wipe(void *p, size_t n);

#endif
