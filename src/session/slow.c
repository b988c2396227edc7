/* SPDX-License-Identifier: ISC */
/* Slow queries in the log, traces. */
#include "session/slow.h"

#include "session/profile.h"
#include "session/record.h"
#include "session/say.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- traces ---- */

void trace_query(struct client *c, const char *m, size_t have, size_t len)
{
    bool whole = have >= len;
    size_t n = whole ? len : have;

    if (n < 6) {
        c->trace.set = false;
        return;
    }
    traceparent_find(text_n(m + 5, n - 5 - whole), whole, &c->trace);
}

void trace_text(struct client *c, struct text sql)
{
    traceparent_find(sql, true, &c->trace);
}

void trace_observed(struct client *c, struct db_stats *st, int bucket, usec_t took)
{
    if (!c->traced.set || !(c->traced.flags & TRACEPARENT_SAMPLED) ||
        !c->engine->setup->g.trace_exemplars)
        return;
    stat_exemplar_put(&st->query_traces, bucket, c->traced.id, c->traced.span, took,
                      clock_wall_us());
}

/* ---- slow queries ---- */

enum slow { SLOW_RUNNING, SLOW_ENDED, SLOW_LOST };

/* What has ended, or what of several the server is busy with. */
static struct text template_of(const struct client *c, enum slow what)
{
    const struct profile *e = c->profile;
    usec_t since;

    if (what != SLOW_ENDED && c->server && (e = profile_running(c->server, &since)) == NULL)
        e = c->profile;
    if (e)
        return e->template;
    return c->engine->setup->g.query_stats ? TEXT("<unknown>") : TEXT("<query_stats is off>");
}

/* The trace of what runs: of the first statement that the server has not answered. */
static const struct traceparent *running_trace(const struct client *c)
{
    const struct pending *q = c->server ? c->server->pending : NULL;

    for (uint32_t i = 0; q && i < q->n && i < 8; i++)
        if (pending_at(q, i)->trace.set)
            return &pending_at(q, i)->trace;
    return &c->traced;
}

static void put_seconds(struct buf *b, usec_t us)
{
    buf_printf(b, "%" PRIu64 ".%06" PRIu64, (uint64_t)(us / USEC_PER_SEC),
               (uint64_t)(us % USEC_PER_SEC));
}

struct line {
    enum slow what;
    usec_t took, waited;
    const char *trace;
    struct text template, app;
};

static void make_text(struct buf *b, const struct client *c, const struct line *l)
{
    static const char *const heads[] = { "slow query still running: for ", "slow query: took ",
                                         "slow query lost: after " };

    buf_printf(b, "%s", heads[l->what]);
    put_seconds(b, l->took);
    buf_printf(b, " s, waited ");
    put_seconds(b, l->waited);
    buf_printf(b, " s");
    if (l->what == SLOW_ENDED)
        buf_printf(b, ", rows %" PRIu64, c->slow_rows);
    if (c->slow_state[0])
        buf_printf(b, ", failed with %s", c->slow_state);
    struct text tenant = record_tenant(c);
    if (tenant.n)
        buf_printf(b, ", tenant %.*s", TEXT_ARG(tenant));
    if (l->app.n)
        buf_printf(b, ", application %.*s", TEXT_ARG(l->app));
    if (*l->trace)
        buf_printf(b, ", trace %s", l->trace);
    buf_printf(b, ": %.*s", TEXT_ARG(l->template));
}

static void make_members(struct buf *b, const struct client *c, const struct line *l,
                         const struct traceparent *t)
{
    static const char *const states[] = { "running", "ended", "lost" };
    char id[33], span[17];

    buf_printf(b, "\"slow\":\"%s\",\"took\":", states[l->what]);
    put_seconds(b, l->took);
    buf_printf(b, ",\"waited\":");
    put_seconds(b, l->waited);
    buf_printf(b, ",\"ran\":");
    put_seconds(b, l->took > l->waited ? l->took - l->waited : 0);
    if (l->what == SLOW_ENDED)
        buf_printf(b, ",\"rows\":%" PRIu64, c->slow_rows);
    json_member(b, "sqlstate", text_of(c->slow_state));
    json_member(b, "application_name", l->app);
    json_member(b, "template", l->template);
    if (t->set) {
        traceparent_hex(t->id, sizeof(t->id), id);
        traceparent_hex(t->span, sizeof(t->span), span);
        json_member(b, "traceparent", text_of(l->trace));
        json_member(b, "trace_id", text_of(id));
        json_member(b, "span_id", text_of(span));
    }
}

static void put(struct client *c, enum slow what, usec_t took, const struct traceparent *t)
{
    static const char *const briefs[] = { "slow query still running", "slow query",
                                          "slow query lost" };
    int app = var_index(&c->engine->hub->var_names, TEXT("application_name"));
    char trace[TRACEPARENT_LEN + 1];
    struct buf text, members;
    struct say s;

    if (!c->engine->setup->g.log_slow_queries)
        return;
    traceparent_text(t, trace);
    const struct line l = { .what = what,
                            .took = took,
                            .waited = c->slow_wait < took ? c->slow_wait : took,
                            .trace = trace,
                            .template = template_of(c, what),
                            .app = app >= 0 ? text_of(c->vars.value[app]) : TEXT("") };
    buf_init(&text);
    buf_init(&members);
    make_text(&text, c, &l);
    make_members(&members, c, &l, t);
    say_client(&s, c, briefs[what]);
    /* each template has its own first lines */
    snprintf(s.kind, sizeof(s.kind), "%s %.*s", briefs[what],
             l.template.n < 150 ? (int)l.template.n : 150, l.template.p);
    s.about.kind = s.kind;
    s.about.more = buf_text(&members);
    s.about.brief = text_of(briefs[what]);
    if (!text.failed && !members.failed)
        log_put(c->engine->hub->log, LOG_LV_LOG, &s.about, buf_text(&text));
    buf_release(&text);
    buf_release(&members);
}

void slow_running(struct client *c)
{
    usec_t now = c->engine->loop.now;

    put(c, SLOW_RUNNING, now > c->query_at ? now - c->query_at : 0, running_trace(c));
}

void slow_ended(struct client *c, usec_t took)
{
    put(c, SLOW_ENDED, took, &c->traced);
}

void slow_lost(struct client *c)
{
    usec_t now = c->engine->loop.now;

    if (c->query_at && c->slow_at == c->query_at)
        put(c, SLOW_LOST, now > c->query_at ? now - c->query_at : 0, running_trace(c));
}

void slow_tag(struct client *c, struct text tag)
{
    usec_t limit = c->engine->setup->g.slow_query_threshold, now = c->engine->loop.now;
    size_t i = tag.n;
    int64_t rows;

    if (!limit || !c->query_at || now <= c->query_at || now - c->query_at <= limit)
        return;
    while (i > 0 && tag.p[i - 1] >= '0' && tag.p[i - 1] <= '9')
        i--;
    if (i > 0 && tag.p[i - 1] == ' ' && text_to_int64(text_n(tag.p + i, tag.n - i), &rows))
        c->slow_rows += (uint64_t)rows;
}

void slow_failed(struct client *c, struct text sqlstate)
{
    bool plain = sqlstate.n == 5;

    for (size_t i = 0; plain && i < 5; i++)
        plain = (sqlstate.p[i] >= '0' && sqlstate.p[i] <= '9') ||
                (sqlstate.p[i] >= 'A' && sqlstate.p[i] <= 'Z');
    memcpy(c->slow_state, plain ? sqlstate.p : "?????", 5);
    c->slow_state[5] = '\0';
}
