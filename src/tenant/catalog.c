/* SPDX-License-Identifier: ISC */
/* The catalog snapshot's life; what fills it is main/catalog.c or a test. */
#include "tenant/catalog.h"

#include "base/check.h"

#include <stdlib.h>

struct catalog *catalog_new(void)
{
    struct catalog *c = calloc(1, sizeof(*c));

    if (!c)
        check_no_memory(sizeof(*c));
    arena_init(&c->arena, 64 * 1024);
    return c;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    arena_release(&c->arena);
    free(c);
}
