/* SPDX-License-Identifier: ISC */
/* SHOW QUERIES, SHOW ACTIVITY, RESET QUERIES. */
#include "console/parts.h"
#include "console/shape.h"

#include "session/profile.h"
#include "session/waits.h"

#include <stdlib.h>

#define ACTIVITY_MAX 1000 /* clients that one worker tells of */

/* ---- LIMIT ---- */

/* SHOW x [LIMIT n]. false: an error was sent. */
static bool read_limit(struct admin *a, const struct statement *st, uint64_t *limit)
{
    char *end = NULL;

    *limit = UINT64_MAX;
    if (st->n_args == 0)
        return true;
    struct text n = st->n_args == 2 ? st->args[1] : TEXT("");
    *limit = n.n && n.n < 19 && n.p[0] >= '0' && n.p[0] <= '9' ? strtoull(n.p, &end, 10) : 0;
    if (*limit && end == n.p + n.n)
        return true;
    admin_error(a, "08P01", "LIMIT takes a number from 1 on");
    return false;
}

/* LIMIT counts what LIKE lets through. */
static bool liked(const struct admin *a, struct text database)
{
    return !a->like || shape_like(database, a->like);
}

/* ---- values ---- */

/* Names may hold anything: control characters, those of two bytes too, become "?". */
static struct text shown(struct arena *a, struct text t)
{
    struct text out = arena_text(a, t);
    char *p = (char *)(uintptr_t)out.p;
    size_t n = 0;

    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i], d = i + 1 < t.n ? (unsigned char)t.p[i + 1] : 0;
        if (c == 0xc2 && d >= 0x80 && d < 0xa0) {
            p[n++] = '?';
            i++;
        } else {
            p[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
        }
    }
    return text_n(p, n);
}

/* ---- QUERIES ---- */

static const struct wire_column query_columns[] = {
    COL_S("database"), COL_Q("calls"),   COL_Q("errors"),   COL_Q("total_us"), COL_Q("mean_us"),
    COL_Q("p95_us"),   COL_Q("min_us"),  COL_Q("max_us"),   COL_Q("wait_us"),  COL_Q("rows"),
    COL_Q("bytes"),    COL_Q("tenants"), COL_S("template"),
};

struct query {
    struct text database, template;
    struct profile_counts n;
};

static void fn_queries(struct engine *e, struct ask *ask, struct ask_part *part)
{
    const struct profile *p;
    size_t pos = 0;
    (void)ask;

    while ((p = profiles_next(e->profiles, &pos)) != NULL) {
        part_put_text(&part->rows, p->database);
        part_put_text(&part->rows, p->template);
        buf_append(&part->rows, &p->n, sizeof(p->n));
    }
}

static bool take_query(struct merged *m, struct text *rest)
{
    struct query one;
    const char *from = rest->p;

    one.database = part_take_text(rest);
    one.template = part_take_text(rest);
    struct text key = text_n(from, (size_t)(rest->p - from));
    part_take(rest, &one.n, sizeof(one.n));
    struct query *have = map_get(&m->by_key, key);
    if (have) {
        profile_add(&have->n, &one.n);
        return true;
    }
    have = ARENA_NEW(&m->arena, struct query);
    *have = one;
    return merged_add(m, key, have);
}

/* The most time first, then the most calls. */
static int by_total(const void *x, const void *y)
{
    const struct query *a = *(struct query *const *)x, *b = *(struct query *const *)y;

    if (a->n.total_us != b->n.total_us)
        return a->n.total_us > b->n.total_us ? -1 : 1;
    if (a->n.calls != b->n.calls)
        return a->n.calls > b->n.calls ? -1 : 1;
    return text_cmp(a->template, b->template);
}

static void row_query(struct row *r, const struct query *q, struct arena *a)
{
    const struct profile_counts *n = &q->n;

    row_text(r, shown(a, q->database));
    row_uint(r, n->calls);
    row_uint(r, n->errors);
    row_uint(r, n->total_us);
    row_uint(r, n->total_us / n->calls);
    row_uint(r, profile_quantile(n, 0.95));
    row_uint(r, n->min_us);
    row_uint(r, n->max_us);
    row_uint(r, n->wait_us);
    row_uint(r, n->rows);
    row_uint(r, n->bytes);
    row_uint(r, profile_tenants(n));
    row_text(r, shown(a, q->template));
}

static void done_queries(struct admin *a, struct ask *ask, uint64_t sum)
{
    struct merged m;
    struct row r;
    (void)sum;

    if (!parts_merge(a, ask, &m, take_query, by_total))
        return;
    row_init(&r);
    wire_rowdesc_build(&a->out, query_columns, COLUMNS(query_columns));
    for (size_t i = 0, told = 0; i < m.n && told < ask->number; i++) {
        const struct query *q = m.v[i];
        if (!liked(a, q->database))
            continue;
        told++;
        row_query(&r, q, &m.arena);
        row_end(&r, COLUMNS(query_columns), &a->out);
    }
    merged_release(&m);
    admin_complete(a, TEXT("SHOW"));
}

void show_queries(struct admin *a, const struct statement *st)
{
    uint64_t limit;

    if (read_limit(a, st, &limit))
        (void)admin_ask(a, TEXT(""), limit, fn_queries, done_queries);
}

static void fn_reset(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)ask;
    (void)part;
    profiles_reset(e->profiles);
}

void reset_queries(struct admin *a)
{
    (void)admin_tell(a, TEXT(""), 0, fn_reset, TEXT("RESET"));
}

/* ---- ACTIVITY ---- */

static const struct wire_column activity_columns[] = {
    COL_S("database"), COL_Q("client"),           COL_S("user"),     COL_S("tenant"),
    COL_S("state"),    COL_S("wait_reason"),      COL_Q("age_us"),   COL_Q("query_us"),
    COL_Q("xact_us"),  COL_Q("wait_us"),          COL_Q("server"),   COL_I("remote_pid"),
    COL_I("worker"),   COL_S("application_name"), COL_S("template"),
};

/* Numbers of a row; its texts stand behind it. */
struct active {
    uint64_t client, server, age, query, xact, wait;
    uint32_t pid;
    int worker;
    const char *state, *reason; /* constants */
};

static uint64_t since(usec_t now, usec_t then)
{
    return then && now > then ? now - then : 0;
}

static void put_active(struct buf *b, const struct client *c, int app, usec_t now)
{
    const struct server *s = c->server;
    usec_t begun = 0;
    const struct profile *p = s ? profile_running(s, &begun) : c->profile;
    bool busy = s && (p || c->query_at);
    struct active row = {
        .client = c->id,
        .server = s ? s->id : 0,
        .pid = s ? s->backend_pid : 0,
        .worker = c->engine->id,
        .state = !s     ? "waiting"
                 : busy ? "active"
                        : "idle in transaction",
        .reason = !s     ? client_waits_for(c)
                  : busy ? "server"
                         : "client",
        .query = s ? since(now, p ? begun : c->query_at) : 0,
        .xact = s ? since(now, c->xact_at) : 0,
        .wait = s ? c->profile_wait : since(now, c->catalog_wait ? c->catalog_asked : c->wait_at),
    };

    row.age = s ? row.xact > row.query ? row.xact : row.query : row.wait;
    buf_append(b, &row, sizeof(row));
    part_put_text(b, c->db_name);
    part_put_text(b, c->user_name);
    part_put_text(b, c->exempt           ? TEXT("*")
                     : c->identity.bound ? c->identity.claims[0].value
                                         : TEXT(""));
    part_put_text(b, app >= 0 && c->vars.value[app] ? text_of(c->vars.value[app]) : TEXT(""));
    part_put_text(b, p ? p->template : TEXT(""));
}

/* A look at each client; but few of them have something to tell. */
static void fn_activity(struct engine *e, struct ask *ask, struct ask_part *part)
{
    int app = var_index(&e->hub->var_names, TEXT("application_name"));
    (void)ask;

    LIST_FOREACH(n, &e->all_clients) {
        const struct client *c = LIST_ENTRY(n, struct client, all);
        bool waits = c->state == CLIENT_WAITING || c->catalog_wait;
        if (!c->conn || !c->shard || (!waits && !c->server) || c->login)
            continue;
        if (part->count++ < ACTIVITY_MAX)
            put_active(&part->rows, c, app, e->loop.now);
    }
}

struct activity {
    struct active n;
    struct text database, user, tenant, app, template;
};

/* The oldest first. */
static int by_age(const void *x, const void *y)
{
    const struct activity *a = x, *b = y;

    if (a->n.age != b->n.age)
        return a->n.age > b->n.age ? -1 : 1;
    return a->n.client < b->n.client ? -1 : a->n.client > b->n.client;
}

static void row_activity(struct row *r, const struct activity *v, struct arena *ar)
{
    row_text(r, shown(ar, v->database));
    row_uint(r, v->n.client);
    row_text(r, shown(ar, v->user));
    row_text(r, shown(ar, v->tenant));
    row_z(r, v->n.state);
    row_z(r, v->n.reason);
    row_uint(r, v->n.age);
    row_uint(r, v->n.query);
    row_uint(r, v->n.xact);
    row_uint(r, v->n.wait);
    if (v->n.server)
        row_uint(r, v->n.server);
    else
        row_null(r);
    if (v->n.pid)
        row_uint(r, v->n.pid);
    else
        row_null(r);
    row_int(r, v->n.worker);
    row_text(r, shown(ar, v->app));
    row_text(r, shown(ar, v->template));
}

static struct activity take_activity(struct text *rest)
{
    struct activity v;

    part_take(rest, &v.n, sizeof(v.n));
    v.database = part_take_text(rest);
    v.user = part_take_text(rest);
    v.tenant = part_take_text(rest);
    v.app = part_take_text(rest);
    v.template = part_take_text(rest);
    return v;
}

static void done_activity(struct admin *a, struct ask *ask, uint64_t sum)
{
    struct activity *v = calloc((size_t)MAX_WORKERS * ACTIVITY_MAX, sizeof(*v));
    struct arena arena;
    struct row r;
    size_t n = 0;

    if (!v) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    if (!parts_whole(a, ask)) {
        free(v);
        return;
    }
    for (int i = 0; i < MAX_WORKERS; i++) {
        struct text rest = buf_text(&ask->part[i].rows);
        while (rest.n)
            v[n++] = take_activity(&rest);
    }
    if (sum > n)
        admin_notice(a, TEXT("more clients are active or wait than are shown"), TEXT(""));
    if (n)
        qsort(v, n, sizeof(*v), by_age);
    arena_init(&arena, 16384);
    row_init(&r);
    wire_rowdesc_build(&a->out, activity_columns, COLUMNS(activity_columns));
    for (size_t i = 0, told = 0; i < n && told < ask->number; i++) {
        if (!liked(a, v[i].database))
            continue;
        told++;
        row_activity(&r, &v[i], &arena);
        row_end(&r, COLUMNS(activity_columns), &a->out);
    }
    arena_release(&arena);
    free(v);
    admin_complete(a, TEXT("SHOW"));
}

void show_activity(struct admin *a, const struct statement *st)
{
    uint64_t limit;

    if (read_limit(a, st, &limit))
        (void)admin_ask(a, TEXT(""), limit, fn_activity, done_activity);
}
