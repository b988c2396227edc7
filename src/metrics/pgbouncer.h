/* SPDX-License-Identifier: ISC */
/* The same figures under the names, types and labels of pgbouncer_exporter 0.12. */
#ifndef METRICS_PGBOUNCER_H
#define METRICS_PGBOUNCER_H

#include "metrics/collect.h"

/* Nothing is written when memory is short. */
void pgbouncer_write(const struct collect *c, struct expo *x);

#endif
