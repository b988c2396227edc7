/* SPDX-License-Identifier: ISC */
/*
 * The database servers as the probe saw them last. Control thread only.
 */
#ifndef WATCH_BACKENDS_H
#define WATCH_BACKENDS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* What a probe found out about a server. */
struct backend_row {
    const char *backend; /* "host:port" */
    bool ok;
    int64_t max_connections, reserved, used; /* ok only */
    bool in_recovery;
    usec_t duration_us;
};

/* One probed server, kept between probes. */
struct backend {
    char *name;
    struct backend_row last; /* backend = name */
    usec_t at_wall, at_mono;
};

struct backends {
    struct backend *list; /* n of them; none is freed but by backends_put and backends_release */
    int n, cap;
};

void backends_init(struct backends *b);
void backends_release(struct backends *b);
/* A new result; copied. A server that has not been probed for ten minutes is forgotten. Without
 * memory a new server is left out. */
void backends_put(struct backends *b, const struct backend_row *row);
/* Did the server answer its last probe? true when it was never probed. */
bool backends_up(const struct backends *b, const char *backend);

#endif
