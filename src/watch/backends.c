/* SPDX-License-Identifier: ISC */
/* The last result of each server's probe. */
#include "watch/backends.h"

#include <stdlib.h>
#include <string.h>

#define FORGET_US (600 * USEC_PER_SEC) /* servers that are not probed any more */

void backends_init(struct backends *b)
{
    *b = (struct backends){ 0 };
}

void backends_release(struct backends *b)
{
    for (int i = 0; i < b->n; i++)
        free(b->list[i].name);
    free(b->list);
    backends_init(b);
}

static struct backend *find(const struct backends *b, const char *name)
{
    for (int i = 0; i < b->n; i++)
        if (strcmp(b->list[i].name, name) == 0)
            return &b->list[i];
    return NULL;
}

static struct backend *slot(struct backends *b, const char *name)
{
    struct backend *found = find(b, name);

    if (found)
        return found;
    if (b->n == b->cap) {
        int cap = b->cap ? b->cap * 2 : 8;
        struct backend *p = realloc(b->list, sizeof(*p) * (size_t)cap);
        if (!p)
            return NULL;
        b->list = p;
        b->cap = cap;
    }
    found = &b->list[b->n];
    *found = (struct backend){ .name = strdup(name) };
    if (!found->name)
        return NULL;
    b->n++;
    return found;
}

static void forget_old(struct backends *b, usec_t now)
{
    int n = 0;
    for (int i = 0; i < b->n; i++) {
        if (now - b->list[i].at_mono > FORGET_US)
            free(b->list[i].name);
        else
            b->list[n++] = b->list[i];
    }
    b->n = n;
}

void backends_put(struct backends *b, const struct backend_row *row)
{
    usec_t now = clock_mono_us();
    struct backend *to = slot(b, row->backend);

    if (to) {
        to->last = *row;
        to->last.backend = to->name;
        to->at_wall = clock_wall_us();
        to->at_mono = now;
    }
    forget_old(b, now);
}

bool backends_up(const struct backends *b, const char *backend)
{
    const struct backend *found = find(b, backend);
    return !found || found->last.ok;
}
