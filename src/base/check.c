/* SPDX-License-Identifier: ISC */
/* How the process ends when it cannot go on. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *what)
{
    dprintf(STDERR_FILENO, "FATAL bug: %s:%d: %s: check failed: %s\n", file, line, func, what);
    abort();
}

_Noreturn void check_no_memory(unsigned long n)
{
    dprintf(STDERR_FILENO, "FATAL out of memory: %lu bytes not available\n", n);
    abort();
}
