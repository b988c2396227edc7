/* SPDX-License-Identifier: ISC */
/* A short question to a server for the metrics: is it there, how full is it, is it a standby.
 * Blocking. */
#ifndef MAIN_PROBE_H
#define MAIN_PROBE_H

#include "base/clock.h"
#include "main/backend.h"

#include <stdbool.h>
#include <stdint.h>

struct probe_result {
    int64_t max_connections; /* of the server */
    int64_t reserved; /* of these for superusers and (16 and newer) pg_use_reserved_connections */
    int64_t used;     /* backends of all databases, pg_stat_database.numbackends */
    bool in_recovery;
    int version;        /* like 150020 */
    usec_t duration_us; /* connecting and asking */
};

/* false: e; duration_us is set in any case. */
bool probe_backend(const struct catalog_source *src, struct probe_result *out, struct err *e);

#endif
