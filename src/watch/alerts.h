/* SPDX-License-Identifier: ISC */
/*
 * Alerts: conditions of alerts.def on values that the control thread observes, with a time that
 * each must hold before it fires and one that it must be gone before it ends. A subject is what a
 * value belongs to: a database, a pool, a backend, a certificate, or the process itself. Control
 * thread only; no I/O but the log.
 */
#ifndef WATCH_ALERTS_H
#define WATCH_ALERTS_H

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/setup.h"

enum alert {
#define ALERT(name, ...) ALERT_##name,
#include "watch/alerts.def"
    ALERTS
};

enum alert_severity { SEVERITY_warning, SEVERITY_high, SEVERITY_critical };
enum alert_subject {
    SUBJECT_process,
    SUBJECT_database,
    SUBJECT_pool,
    SUBJECT_backend,
    SUBJECT_certificate
};
enum alert_unit { UNIT_percent, UNIT_seconds, UNIT_count, UNIT_flag };
enum alert_comparison { COMPARE_above, COMPARE_reached, COMPARE_below };

/* A row of alerts.def. */
struct alert_row {
    const char *name, *severity_name, *summary;
    enum alert_severity severity;
    enum alert_subject subject;
    enum alert_unit unit;
    enum alert_comparison comparison;
    const char *threshold_key, *for_key; /* for_key NULL: at once */
};
const struct alert_row *alert_row(enum alert a);

/* Values in the alert's unit: percent, seconds, a count, 0 or 1. threshold 0 = off. ProbeStale's is
 * at least two intervals of the probe, whatever its key says. */
double alert_threshold(enum alert a, const struct settings *g);
usec_t alert_for(enum alert a, const struct settings *g);

enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING, ALERT_RESOLVED };
const char *alert_state_name(enum alert_state s);

/* What a value belongs to; whatever does not apply is empty. backend: "host:port", or of a
 * certificate its role. */
struct alert_what {
    struct text database, user, backend;
};

/* One subject of an alert that is in trouble, or was within the last fifteen minutes. */
struct alert_item {
    enum alert alert;
    enum alert_state state;   /* not INACTIVE */
    struct alert_what what;   /* valid until the next look */
    double value, threshold;  /* last seen so */
    usec_t since, since_wall; /* of the state, monotonic and wall clock */
    /* private */
    struct alert_item *next;
    usec_t well_since; /* of a firing one: since when its condition is false; 0: it is true */
    bool seen;         /* at this look, in trouble */
    size_t n_key;
    char key[];
};

struct alerts;

/* log may be NULL. NULL: out of memory. */
struct alerts *alerts_new(struct log *log);
void alerts_free(struct alerts *a); /* NULL is fine */

/* A look: begin, one call of see for each value that is known, end. A subject that is not seen is
 * taken for well; of several values of one subject the worst counts. Out of memory, and beyond
 * ALERT_ITEMS_MAX subjects in trouble: left out and counted (those that have ended make room); the
 * last ALERT_ITEMS_KEPT places are for what is worse than a warning, so that no number of pools
 * hides it. g must outlive the look. mono, wall: now. */
#define ALERT_ITEMS_MAX 1000
#define ALERT_ITEMS_KEPT 250
void alerts_begin(struct alerts *a, const struct settings *g, usec_t mono, usec_t wall);
void alerts_see(struct alerts *a, enum alert alert, struct alert_what what, double value);
void alerts_end(struct alerts *a);

/* ---- reading; what is returned holds until the next look ---- */
/* All items in no order; NULL at the end, start with *pos = 0. */
const struct alert_item *alerts_next(const struct alerts *a, size_t *pos);
/* The same sorted: firing, pending, resolved; in each the worst severity first. malloc'ed, the
 * caller frees; *n of them. NULL: out of memory. */
const struct alert_item **alerts_sorted(const struct alerts *a, int *n);
/* How many subjects of the alert fire now. */
int alerts_firing(const struct alerts *a, enum alert alert);
/* Subjects that were left out at the last look. */
int alerts_left_out(const struct alerts *a);

#endif
