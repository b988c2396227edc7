/* SPDX-License-Identifier: ISC */
/* Values for the alerts: where each comes from. Control thread only. */
#ifndef WATCH_OBSERVE_H
#define WATCH_OBSERVE_H

#include "watch/watch.h"

#define CPU_SAMPLES 16

/* Processor time of the process at the last looks. */
struct cpu_use {
    usec_t at[CPU_SAMPLES], used[CPU_SAMPLES];
    int n;
};

/* What one look knows. */
struct observed {
    struct hub *hub;
    const struct setup *setup;
    const struct survey *survey;
    const struct backends *backends;
    const struct history *history;
    bool reload_ok;
    const struct tls_ctx *tls[TLS_USES]; /* NULL: none */
    usec_t mono, wall;
    struct cpu_use *cpu;
};

/* Makes a look of the alerts: begin, all values, end. */
void observe(struct alerts *a, const struct observed *o);

#endif
