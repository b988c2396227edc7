/* SPDX-License-Identifier: ISC */
/* The console's connections: greeting, messages, answers, waiting. */
#include "console/console.h"

#include "base/check.h"
#include "base/random.h"
#include "console/parts.h"
#include "session/peers.h"
#include "tenant/redact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_MESSAGE (1 << 20)
#define MAX_AHEAD (1 << 16) /* bytes kept while a command runs */
#define POLL_US (50 * USEC_PER_MSEC)
#define LAST_WORDS_US (2 * USEC_PER_SEC)

/* ---- life of a connection ---- */

static void admin_unref(struct admin *a)
{
    struct console *c = a->console;

    if (a->conn || a->refs > 0)
        return;
    admin_forget(a);
    buf_release(&a->out);
    free(a->like);
    free(a->app);
    free(a->user);
    free(a);
    if (c->dead && c->busy == 0)
        free(c);
}

/* kind: its format, NULL: never folded. */
static void put_log(const struct admin *a, enum log_level lv, const char *kind, const char *reason,
                    const char *text)
{
    struct log *log = a->console->hub->log;
    char who[512], id[32], head[600];

    client_who(who, sizeof(who), TEXT(CONSOLE_DB), text_of(a->user), a->conn,
               (int)console_setup(a->console)->g.listen_port);
    snprintf(id, sizeof(id), "C-%p", (const void *)a);
    snprintf(head, sizeof(head), "%s: %s", id, who);
    const char *at = strrchr(who, '@');
    const struct log_about about = { .head = text_of(head),
                                     .client = text_of(id),
                                     .database = TEXT(CONSOLE_DB),
                                     .user = text_of(a->user),
                                     .host = text_of(at ? at + 1 : ""),
                                     .reason = text_of(reason),
                                     .subject = text_of(a->user),
                                     .kind = lv < LOG_LV_LOG ? kind : NULL };
    log_put(log, lv, &about, text_of(text));
}

void admin_log(const struct admin *a, enum log_level lv, const char *fmt, ...)
{
    char text[2000];
    va_list ap;

    if (!log_wants(a->console->hub->log, lv))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put_log(a, lv, fmt, NULL, text);
}

/* The connection is over; the memory follows when no worker has it in hand any more. */
static void admin_close(struct admin *a, bool last_words, const char *reason)
{
    if (!a->conn)
        return;
    if (console_setup(a->console)->g.log_disconnections) {
        char text[300];
        snprintf(text, sizeof(text), "closing because: %s (age=%llus)", reason,
                 (unsigned long long)((a->console->control->now - a->connected_at) / USEC_PER_SEC));
        put_log(a, LOG_LV_LOG, NULL, reason, text);
    }
    if (last_words)
        conn_close_after_flush(a->conn, LAST_WORDS_US);
    else
        conn_close(a->conn);
    a->conn = NULL;
    list_del(&a->node);
    a->console->n_admins--;
    if (a->console->suspended == a && !a->console->dead)
        console_go_on(a->console);
    if (a->wait != WAIT_NOTHING)
        admin_gave_up(a);
    admin_unref(a);
}

/* ---- answers ---- */

static void send_out(struct admin *a)
{
    bool ok = !a->out.failed;

    if (a->conn && ok)
        conn_write_copy(a->conn, buf_data(&a->out), buf_len(&a->out));
    buf_release(&a->out);
    buf_init(&a->out);
    if (!ok)
        admin_close(a, false, "out of memory");
}

void admin_reply(struct admin *a)
{
    a->mode = ADMIN_SIMPLE;
    send_out(a);
}

static void finish(struct admin *a)
{
    if (a->mode == ADMIN_SIMPLE)
        wire_ready_build(&a->out, 'I');
    a->mode = ADMIN_SIMPLE;
    a->portal = NULL;
    a->canceled = false;
    free(a->like);
    a->like = NULL;
    a->wait = WAIT_NOTHING;
    bool was_running = a->running;
    a->running = false;
    a->refs++;
    send_out(a);
    if (a->conn && was_running) {
        conn_resume(a->conn);
        conn_reshow(a->conn);
    }
    a->refs--;
    admin_unref(a);
}

static void put_error(struct admin *a, const char *severity, const char *sqlstate,
                      struct text message)
{
    wire_error_build(
        &a->out, 'E',
        &(struct wire_error){ .severity = severity, .sqlstate = sqlstate, .message = message });
}

static void pooler_error(struct admin *a, const char *text)
{
    if (console_setup(a->console)->g.log_pooler_errors)
        admin_log(a, LOG_LV_WARNING, "pooler error: %s", text);
    if (a->mode != ADMIN_SIMPLE)
        a->skipping = true;
}

void admin_error(struct admin *a, const char *sqlstate, const char *fmt, ...)
{
    char text[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_clear(&a->out);
    put_error(a, "ERROR", sqlstate, text_of(text));
    pooler_error(a, text);
    finish(a);
}

void admin_invalid(struct admin *a, struct text sql)
{
    struct text t = text_trim(sql);
    struct buf said, logged;

    buf_init(&said);
    buf_init(&logged);
    buf_printf(&said, "invalid command '%.*s', use SHOW HELP;", TEXT_ARG(t));
    buf_printf(&logged, "invalid command '");
    redact(t, true, &logged);
    buf_printf(&logged, "', use SHOW HELP;");
    buf_char(&logged, '\0');
    buf_clear(&a->out);
    put_error(a, "ERROR", "08P01", buf_text(&said));
    pooler_error(a, logged.failed ? "invalid command" : buf_data(&logged));
    buf_release(&said);
    buf_release(&logged);
    finish(a);
}

void admin_complete(struct admin *a, struct text tag)
{
    if (!a->like && a->mode == ADMIN_SIMPLE)
        wire_complete_build(&a->out, tag);
    else if (!admin_shape(a, tag))
        a->out.failed = true; /* it is closed: it may have half a row */
    finish(a);
}

void admin_empty(struct admin *a)
{
    wire_simple_build(&a->out, a->mode == ADMIN_DESCRIBE ? 'n' : 'I');
    finish(a);
}

void admin_notice(struct admin *a, struct text message, struct text detail)
{
    if (a->mode == ADMIN_DESCRIBE)
        return;
    wire_error_build(
        &a->out, 'N',
        &(struct wire_error){
            .severity = "NOTICE", .sqlstate = "00000", .message = message, .detail = detail });
}

/* ---- asking workers ---- */

static void ask_free(struct ask *ask)
{
    for (int i = 0; i < MAX_WORKERS; i++)
        buf_release(&ask->part[i].rows);
    free(ask);
}

static void on_engine(struct engine *e, void *arg)
{
    struct ask *ask = arg;
    ask->fn(e, ask, &ask->part[e->id]);
}

void admin_hold(struct admin *a)
{
    a->console->busy++;
    a->refs++;
}

void admin_release(struct admin *a)
{
    a->console->busy--;
    a->refs--;
    admin_unref(a);
}

static void send_rows(struct admin *a, struct ask *ask)
{
    if (!parts_whole(a, ask))
        return;
    for (int i = 0; i < MAX_WORKERS; i++)
        buf_text_append(&a->out, buf_text(&ask->part[i].rows));
    admin_complete(a, ask->tag);
}

static void on_asked(void *arg)
{
    struct ask *ask = arg;
    struct admin *a = ask->admin;
    uint64_t sum = 0;

    for (int i = 0; i < MAX_WORKERS; i++)
        sum += ask->part[i].count;
    if (a->conn && ask->done)
        ask->done(a, ask, sum);
    else if (a->conn)
        send_rows(a, ask);
    ask_free(ask);
    admin_life_asked(a);
    admin_release(a);
}

static bool ask_workers(struct admin *a, struct text db, uint64_t number, ask_fn *fn,
                        void (*done)(struct admin *a, struct ask *ask, uint64_t sum),
                        struct text tag)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    if (ask) {
        ask->admin = a;
        ask->db = db;
        ask->number = number;
        ask->fn = fn;
        ask->done = done;
        ask->tag = tag;
    }
    if (ask && hub_call(a->console->hub, on_engine, ask, on_asked)) {
        a->running = true;
        admin_hold(a);
        return true;
    }
    free(ask);
    if (a->conn)
        admin_error(a, "53200", "out of memory");
    return false;
}

bool admin_ask(struct admin *a, struct text db, uint64_t number, ask_fn *fn,
               void (*done)(struct admin *a, struct ask *ask, uint64_t sum))
{
    if (a->mode == ADMIN_DESCRIBE && !done) { /* the columns are there, nobody wants the rows */
        admin_complete(a, TEXT("SHOW"));
        return true;
    }
    return ask_workers(a, db, number, fn, done, TEXT("SHOW"));
}

bool admin_tell(struct admin *a, struct text db, uint64_t number, ask_fn *fn, struct text tag)
{
    return ask_workers(a, db, number, fn, NULL, tag);
}

struct survey_call {
    struct admin *admin;
    void (*done)(struct admin *a, const struct survey *s);
};

static void on_survey(void *arg, const struct survey *s)
{
    struct survey_call *call = arg;
    struct admin *a = call->admin;

    if (a->conn && s)
        call->done(a, s);
    else if (a->conn)
        admin_error(a, "53200", "out of memory");
    free(call);
    admin_release(a);
}

void admin_survey(struct admin *a, void (*done)(struct admin *a, const struct survey *s))
{
    struct survey_call *call = malloc(sizeof(*call));

    if (!call) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    *call = (struct survey_call){ a, done };
    a->running = true;
    admin_hold(a);
    survey_run(a->console->hub, on_survey, call);
}

/* ---- messages ---- */

/* FATAL, and gone. */
static void fail(struct admin *a, struct text why)
{
    buf_clear(&a->out);
    put_error(a, "FATAL", "08P01", why);
    a->refs++;
    send_out(a);
    admin_close(a, true, why.p);
    a->refs--;
    admin_unref(a);
}

static void on_query(struct admin *a, const char *body, size_t n)
{
    struct text sql;

    if (!wire_query_read(body, n, &sql)) {
        admin_error(a, "08P01", "malformed Query message");
        return;
    }
    admin_unnamed_end(a);
    admin_run(a, sql);
}

/* One whole message. false: the connection was closed. */
static bool on_message(struct admin *a, char type, const char *body, size_t n)
{
    a->request_at = a->console->control->now;
    switch (type) {
    case 'Q':
        if (!a->skipping)
            on_query(a, body, n);
        break;
    case 'S':
        a->skipping = false;
        admin_portals_end(a);
        finish(a);
        break;
    case 'X':
        admin_close(a, false, "client close request");
        return false;
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
        if (!a->skipping)
            admin_extended(a, type, body, n);
        break;
    case 'F':
        if (!a->skipping)
            admin_error(a, "08P01", "function calls are not supported by admin console");
        break;
    case 'H':
    case 'd':
    case 'c':
    case 'f':
        break;
    default:
        fail(a, TEXT("unknown message type"));
        return false;
    }
    return true;
}

static size_t on_input(void *owner, char *data, size_t n)
{
    struct admin *a = owner;
    size_t pos = 0;
    struct frame f;

    a->refs++;
    while (a->conn && !a->running) {
        enum frame_status st = frame_peek(data + pos, n - pos, MAX_MESSAGE, &f);
        if (st == FRAME_BAD) {
            fail(a, TEXT("message too long or malformed"));
            break;
        }
        if (st == FRAME_MORE || n - pos < f.len)
            break;
        pos += f.len;
        if (!on_message(a, f.type, data + pos - f.len + 5, f.len - 5))
            break;
    }
    if (a->conn && a->running && n - pos > MAX_AHEAD)
        conn_pause(a->conn);
    a->refs--;
    if (a->conn)
        return pos;
    admin_unref(a);
    return n;
}

static void on_ended(void *owner, enum conn_end why, const char *text)
{
    admin_close(owner, false, why == CONN_EOF || !text || !*text ? "client unexpected eof" : text);
}

static const struct conn_handler admin_handler = { .input = on_input, .ended = on_ended };

/* ---- greeting ---- */

static void put_status(struct buf *b, const char *name, const char *value)
{
    wire_status_build(b, text_of(name), text_of(value));
}

static void greet(struct admin *a)
{
    static const char *const fixed[][2] = {
        { "client_encoding", "UTF8" },
        { "server_encoding", "UTF8" },
        { "DateStyle", "ISO" },
        { "TimeZone", "GMT" },
        { "standard_conforming_strings", "on" },
        { "integer_datetimes", "on" },
        { "IntervalStyle", "postgres" },
    };
    char version[100];

    snprintf(version, sizeof(version), "%s/bulkhead", hub_version(a->console->hub));
    put_status(&a->out, "server_version", version);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        put_status(&a->out, fixed[i][0], fixed[i][1]);
    put_status(&a->out, "application_name", a->app);
    put_status(&a->out, "is_superuser", a->is_admin ? "on" : "off");
    put_status(&a->out, "session_authorization", a->user);
    peer_key_make(a->cancel_key, sizeof(a->cancel_key), (int)console_setup(a->console)->g.peer_id);
    struct rd r = rd_init((const char *)a->cancel_key, 4);
    wire_keydata_build(&a->out, rd_u32(&r), a->cancel_key + 4, 4);
    finish(a);
}

void console_cancel(struct console *c, const unsigned char key[8])
{
    unsigned char normal[8]; /* as it was before peers passed it on */

    memcpy(normal, key, sizeof(normal));
    if (console_setup(c)->g.peer_id)
        peer_key_normal(normal);
    LIST_FOREACH(n, &c->admins) {
        struct admin *a = LIST_ENTRY(n, struct admin, node);
        struct text own = text_n((const char *)a->cancel_key, 8);
        if (!text_eq_secret(text_n((const char *)key, 8), own) &&
            !text_eq_secret(text_n((const char *)normal, 8), own))
            continue;
        if (a->wait != WAIT_NOTHING)
            admin_cancel(a);
        return;
    }
}

bool console_adopt(struct console *c, struct conn *detached, struct text user, struct text app,
                   bool admin, struct text early)
{
    struct admin *a = calloc(1, sizeof(*a));

    if (a) {
        a->user = text_dup(user);
        a->app = text_dup(app);
    }
    buf_append(&detached->in, early.p, early.n); /* shown to us by the attach */
    if (!a || !a->user || !a->app || detached->in.failed ||
        !conn_attach(detached, c->control, &admin_handler, a)) {
        conn_close(detached);
        free(a ? a->user : NULL);
        free(a ? a->app : NULL);
        free(a);
        return false;
    }
    a->console = c;
    a->conn = detached;
    a->is_admin = admin;
    a->id = atomic_fetch_add(&c->hub->registry.next_client_id, 1) + 1;
    a->connected_at = a->request_at = c->control->now;
    buf_init(&a->out);
    list_init(&a->stmts);
    list_init(&a->portals);
    list_push_tail(&c->admins, &a->node);
    c->n_admins++;
    c->averages.own.v[COUNT_LOGINS]++;
    greet(a);
    return true;
}

/* ---- waiting ---- */

static void on_poll(void *arg)
{
    struct console *c = arg;
    bool more = false;

    LIST_FOREACH_SAFE(n, next, &c->admins) {
        struct admin *a = LIST_ENTRY(n, struct admin, node);
        if (a->wait != WAIT_NOTHING)
            admin_poll(a);
    }
    LIST_FOREACH(n, &c->admins) {
        more |= LIST_ENTRY(n, struct admin, node)->wait != WAIT_NOTHING;
    }
    if (more)
        console_wait(c);
}

void console_wait(struct console *c)
{
    loop_timer_set(&c->poll, POLL_US);
}

/* ---- statistics ---- */

static void log_line(struct console *c, const struct counters *sum)
{
    const uint64_t *v = sum->v;

    log_info(c->hub->log,
             "stats: %" PRIu64 " xacts/s, %" PRIu64 " queries/s, %" PRIu64
             " client parses/s, %" PRIu64 " server parses/s, %" PRIu64 " binds/s, in %" PRIu64
             " B/s, out %" PRIu64 " B/s, xact %" PRIu64 " us, query %" PRIu64 " us, wait %" PRIu64
             " us",
             v[COUNT_XACTS], v[COUNT_QUERIES], v[COUNT_CLIENT_PARSES], v[COUNT_SERVER_PARSES],
             v[COUNT_BINDS], v[COUNT_RECEIVED], v[COUNT_SENT], v[COUNT_XACT_US], v[COUNT_QUERY_US],
             v[COUNT_WAIT_US]);
}

/* The averages over all databases, from the totals before and now. */
static void sum_period(struct console *c, const struct counters *now, int n, usec_t us,
                       struct counters *out)
{
    struct counters before = c->averages.own_last, after = c->averages.own;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < COUNTERS; k++) {
            after.v[k] += now[i].v[k];
            before.v[k] += i < c->averages.n ? c->averages.last[i].v[k] : 0;
        }
    counters_average(&before, &after, us, out);
}

void console_tick(struct console *c)
{
    const struct settings *g = &console_setup(c)->g;
    usec_t now = c->control->now;
    int n;

    if (now - c->averages.since < g->stats_period)
        return;
    struct db_ledger **dbs = registry_dbs(&c->hub->registry, &n);
    struct counters *totals = calloc((size_t)n + 1, sizeof(*totals)), all;
    if (dbs && totals) {
        for (int i = 0; i < n; i++)
            counters_read(dbs[i], c->hub->n_engines, &totals[i]);
        sum_period(c, totals, n, now - c->averages.since, &all);
        averages_turn(&c->averages, totals, n, now);
        if (g->log_stats)
            log_line(c, &all);
    }
    free(totals);
    free(dbs);
}

/* ---- birth and death ---- */

struct console *console_new(struct hub *h, struct loop *control, const struct console_ops *ops,
                            void *arg)
{
    struct console *c = calloc(1, sizeof(*c));

    if (!c || !loop_timer_init(&c->poll, control, on_poll, c)) {
        free(c);
        return NULL;
    }
    c->hub = h;
    c->control = control;
    c->ops = ops;
    c->arg = arg;
    c->averages.since = control->now;
    list_init(&c->admins);
    return c;
}

void console_free(struct console *c)
{
    struct list *n;

    if (!c)
        return;
    c->busy++;
    c->dead = true;
    while ((n = list_first(&c->admins)) != NULL) {
        struct admin *a = LIST_ENTRY(n, struct admin, node);
        a->wait = WAIT_NOTHING; /* the end of everything: nothing is taken back */
        admin_close(a, false, "server shutting down");
    }
    loop_timer_release(&c->poll);
    averages_release(&c->averages);
    if (--c->busy == 0)
        free(c);
}
