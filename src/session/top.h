/* SPDX-License-Identifier: ISC */
/*
 * Which tenants use most. A worker counts what each tenant did, exactly, in the tenant's note, and
 * holds a bounded list of those that did most of late, by each measure: what was done counts half
 * after TOP_HALF_LIFE. A tenant comes into a full list only when it is an eighth above the last one
 * there, so that tenants which do the same do not push one another out. Counting costs the same
 * however many tenants there are. What is counted here has no ceiling; what is held has.
 */
#ifndef SESSION_TOP_H
#define SESSION_TOP_H

#include "base/clock.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

#define TOP_MAX 50             /* metrics_top_tenants at most */
#define TOP_HELD (2 * TOP_MAX) /* of each worker and measure */
#define TOP_HALF_LIFE 600      /* seconds */

enum top_measure { TOP_QUERIES, TOP_US, TOP_BYTES, TOP_DENIALS, TOP_MEASURES };

struct top;
struct tenant_note;
struct hub;

/* In each tenant's note. */
struct top_use {
    uint64_t n[TOP_MEASURES];   /* since the program was started, while counting was on */
    double score[TOP_MEASURES]; /* the same, the later the more; in units that grow with time */
    struct top *top;            /* whose lists it is in; NULL: in none */
    unsigned held;              /* bits of those */
    uint64_t gathered;          /* serial of the gathering that had it last */
};

struct top {
    int limit; /* how many are held by each measure; 0: nothing is counted */
    int n[TOP_MEASURES];
    double bar[TOP_MEASURES]; /* who is above may come in */
    double unit;              /* what counts as one now */
    usec_t unit_at;
    uint64_t total[TOP_MEASURES], serial;
    struct tenant_note *held[TOP_MEASURES][TOP_HELD];
};

/* ---- the worker's thread ---- */
/* A zeroed one counts nothing. k: metrics_top_tenants. */
void top_limit(struct top *t, int k, usec_t now);
void top_add(struct top *t, struct tenant_note *note, enum top_measure m, uint64_t by);
/* From time to time: lets units grow. true: they are too large, scores are to be divided by
 * *divisor in all notes (top_scale). */
bool top_tick(struct top *t, usec_t now, double *divisor);
void top_scale(struct tenant_note *note, double divisor);
/* The note is about to go. */
void top_forget(struct tenant_note *note);

/* ---- the control thread ---- */
/* One tenant, summed over the workers that know it. */
struct top_row {
    struct text name; /* valid during the call */
    bool exact;       /* all workers were asked for it: it was among the names given */
    uint64_t n[TOP_MEASURES];
    double recent[TOP_MEASURES]; /* what it did of late */
};
struct top_found {
    const struct top_row *rows;
    int n_rows;
    uint64_t total[TOP_MEASURES]; /* of all tenants */
};
/* Asks all workers for those that use most, and for the tenants of those names (copied), and calls
 * done once; f NULL: out of memory. */
void top_gather(struct hub *h, const struct text *names, int n_names,
                void (*done)(void *arg, const struct top_found *f), void *arg);

#endif
