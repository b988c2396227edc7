/* SPDX-License-Identifier: ISC */
/* Random bytes and wiping. */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void random_bytes(void *p, size_t n)
{
    char *to = p;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            dprintf(STDERR_FILENO, "FATAL no random bytes from the system: %s\n", strerror(errno));
            abort();
        }
        to += got;
        n -= (size_t)got;
    }
}

void wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}
