/* SPDX-License-Identifier: ISC */
/*
 * The log of slow queries, and the traces of queries: what their comments say (traceparent.h), and
 * which one a bucket of the histogram of durations saw last (exemplars). The worker's thread only.
 */
#ifndef SESSION_SLOW_H
#define SESSION_SLOW_H

#include "session/session.h"

/* ---- traces: c->trace is that of what the client sent last, c->traced of what ended last ---- */

/* A Query of which `have` of `len` bytes are there, from outside. */
void trace_query(struct client *c, const char *m, size_t have, size_t len);
/* A text that is parsed under a name which we do not know. */
void trace_text(struct client *c, struct text sql);
/* Bind, or EXECUTE in SQL without a trace of its own. */
static inline void trace_stmt(struct client *c, const struct stmt *st)
{
    c->trace = st->trace;
}
/* The answer of that reply is complete. */
static inline void trace_answered(struct client *c, const struct pend *p)
{
    if (p->trace.set)
        c->traced = p->trace;
}
/* The client's query took that long, which is the bucket of the histogram. */
void trace_observed(struct client *c, struct db_stats *st, int bucket, usec_t took);

/* ---- slow queries ---- */

/* The client's query is slow and still runs; it has ended; its server was lost. */
void slow_running(struct client *c);
void slow_ended(struct client *c, usec_t took);
void slow_lost(struct client *c);
/* A command of it is complete. Only what ends behind the threshold is looked at. */
void slow_tag(struct client *c, struct text tag);
/* It failed. */
void slow_failed(struct client *c, struct text sqlstate);
/* ReadyForQuery: the next one is another. */
static inline void slow_next(struct client *c)
{
    c->slow_wait = 0;
    c->slow_rows = 0;
    c->slow_state[0] = '\0';
    c->traced.set = false;
}

#endif
