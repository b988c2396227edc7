/* SPDX-License-Identifier: ISC */
/* Servers as probed: what a failure leaves, what is stale, what is copied. */
#include "tap.h"

#include "watch/backends.h"

#include <string.h>

static const struct backend *only(const struct backends *b)
{
    return b->n == 1 ? &b->list[0] : NULL;
}

static void results(void)
{
    struct backends b;
    struct backend_db dbs[2] = { { .name = "one", .size = 5 }, { .name = "two", .size = 6 } };
    struct backend_row row = { .backend = "h:1",
                               .ok = true,
                               .max_connections = 100,
                               .used = 7,
                               .dbs = dbs,
                               .n_dbs = 2,
                               .duration_us = 10 };
    usec_t now;

    backends_init(&b);
    ok(backends_up(&b, "h:1"), "never probed: taken for up");
    backends_put(&b, &(struct backend_row){ .backend = "h:1", .duration_us = 3 }, USEC_PER_SEC);
    now = clock_mono_us();
    ok(only(&b) && !backends_up(&b, "h:1"), "a failure");
    ok(only(&b) && !backends_values(&b, only(&b), now), "has no values");
    backends_put(&b, &row, USEC_PER_SEC);
    now = clock_mono_us();
    dbs[0].size = 1000;
    const struct backend_row *v = only(&b) ? backends_values(&b, only(&b), now) : NULL;
    ok(v && v->used == 7 && v->n_dbs == 2 && v->dbs[0].size == 5, "a success is copied");
    backends_put(&b, &(struct backend_row){ .backend = "h:1", .duration_us = 30 }, USEC_PER_SEC);
    v = only(&b) ? backends_values(&b, only(&b), now) : NULL;
    ok(v && !v->ok && v->duration_us == 30 && v->used == 7 && v->dbs[1].size == 6,
       "a failure behind it leaves the values");
    ok(only(&b) && backends_values(&b, only(&b), now + 2 * USEC_PER_SEC), "for a while");
    ok(only(&b) && !backends_values(&b, only(&b), now + 14 * USEC_PER_SEC),
       "until they are three intervals old");
    row.n_dbs = 1;
    backends_put(&b, &row, USEC_PER_SEC);
    v = only(&b) ? backends_values(&b, only(&b), clock_mono_us()) : NULL;
    ok(v && v->n_dbs == 1 && v->dbs[0].size == 1000 && strcmp(v->backend, "h:1") == 0,
       "the next success replaces all");
    backends_release(&b);
    is_int(b.n, 0, "none left");
}

int main(void)
{
    results();
    return tap_done();
}
