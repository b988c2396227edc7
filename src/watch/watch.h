/* SPDX-License-Identifier: ISC */
/*
 * The watch: every `alert_interval` the control thread asks the workers for their counts, writes
 * them into the history and holds them against the thresholds of the alerts. Console and metrics
 * read what is kept here. Control thread only.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "net/tls.h"
#include "watch/alerts.h"
#include "watch/backends.h"
#include "watch/history.h"

/* What main knows; all called on the control thread. */
struct watch_ops {
    const struct setup *(*setup)(void *arg); /* present one; NULL: none yet */
    /* Did the last reload work, and when did one last (wall clock)? */
    bool (*reload)(void *arg, usec_t *at);
    void (*tls)(void *arg, const struct tls_ctx *tls[TLS_USES]); /* in use; NULL: none */
};

struct watch;

/* backends, ops and arg must outlive the watch. NULL: out of memory. */
struct watch *watch_new(struct hub *h, struct log *log, const struct backends *b,
                        const struct watch_ops *ops, void *arg) MUST_CHECK;
/* A look under way still ends through hub_control_mail; the memory goes with it. NULL is fine. */
void watch_free(struct watch *w);
/* Once a second: looks when it is time. */
void watch_second(struct watch *w);

const struct history *watch_history(const struct watch *w);
const struct alerts *watch_alerts(const struct watch *w);
/* When the last look was (monotonic, wall clock), 0 = none yet. */
usec_t watch_last(const struct watch *w, usec_t *wall);

#endif
