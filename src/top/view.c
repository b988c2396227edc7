/* SPDX-License-Identifier: ISC */
/* Views: columns, rows in order, lines. */
#include "top/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_BYTES,
    KIND_US,
    KIND_MS,
    KIND_MAXWAIT,    /* maxwait and maxwait_us */
    KIND_OF_DATABASE /* of the row of that name in SHOW DATABASES */
};

struct column {
    const char *title, *name;
    int width; /* more than the title's: the mark of the order stands behind it */
    enum kind kind;
    bool grows; /* takes the room that is left */
};

#define COLUMNS_MAX 14

struct view {
    const char *name;
    enum top_show show;
    const char *database; /* the column that names what PAUSE can be told; NULL = none */
    const char *only;     /* rows whose number in this column is above 0; NULL = all */
    int sort;
    bool up;
    struct column columns[COLUMNS_MAX];
};

/* What every line of pools is made of; those of most weight first, the rest is cut where it is
 * narrow. */
#define POOL_COLUMNS                                                                               \
    {                                                                                              \
        { "database", "database", 14, KIND_TEXT, true }, { "user", "user", 10, KIND_TEXT, false }, \
            { "wait", "cl_waiting", 5, KIND_NUMBER, false },                                       \
            { "maxwait", "maxwait", 8, KIND_MAXWAIT, false },                                      \
            { "act", "cl_active", 5, KIND_NUMBER, false },                                         \
            { "sv_act", "sv_active", 7, KIND_NUMBER, false },                                      \
            { "idle", "sv_idle", 5, KIND_NUMBER, false },                                          \
            { "login", "sv_login", 6, KIND_NUMBER, false },                                        \
            { "size", "pool_size", 5, KIND_OF_DATABASE, false },                                   \
            { "pau", "paused", 4, KIND_OF_DATABASE, false },                                       \
            { "pin", "pinned", 4, KIND_NUMBER, false },                                            \
            { "used", "sv_used", 5, KIND_NUMBER, false },                                          \
            { "mode", "pool_mode", 11, KIND_TEXT, false },                                         \
    }

static const struct view views[TOP_VIEWS] = {
    { "pools", TOP_POOLS, "database", NULL, 2, false, POOL_COLUMNS },
    { "waiting", TOP_POOLS, "database", "cl_waiting", 3, false, POOL_COLUMNS },
    { "traffic",
      TOP_STATS,
      "database",
      NULL,
      2,
      false,
      { { "database", "database", 16, KIND_TEXT, true },
        { "xact/s", "avg_xact_count", 8, KIND_NUMBER, false },
        { "query/s", "avg_query_count", 8, KIND_NUMBER, false },
        { "query", "avg_query_time", 8, KIND_US, false },
        { "xact", "avg_xact_time", 8, KIND_US, false },
        { "wait", "avg_wait_time", 8, KIND_US, false },
        { "in/s", "avg_recv", 7, KIND_BYTES, false },
        { "out/s", "avg_sent", 7, KIND_BYTES, false },
        { "queries", "total_query_count", 12, KIND_NUMBER, false } } },
    { "latency",
      TOP_LATENCY,
      "database",
      NULL,
      4,
      false,
      { { "database", "database", 12, KIND_TEXT, true },
        { "what", "what", 11, KIND_TEXT, false },
        { "count 1m", "count_1m", 9, KIND_NUMBER, false },
        { "p50", "p50_1m", 8, KIND_MS, false },
        { "p95", "p95_1m", 8, KIND_MS, false },
        { "p99", "p99_1m", 8, KIND_MS, false },
        { "p95 5m", "p95_5m", 8, KIND_MS, false },
        { "p95 15m", "p95_15m", 8, KIND_MS, false } } },
    { "tenants",
      TOP_TENANTS,
      NULL,
      NULL,
      3,
      false,
      { { "tenant", "tenant", 16, KIND_TEXT, true },
        { "clients", "clients", 8, KIND_NUMBER, false },
        { "active", "active", 7, KIND_NUMBER, false },
        { "wait", "waiting", 5, KIND_NUMBER, false },
        { "maxwait", "maxwait", 8, KIND_MAXWAIT, false },
        { "refused", "refused", 8, KIND_NUMBER, false },
        { "passed", "passed", 9, KIND_NUMBER, false },
        { "rewritten", "rewritten", 10, KIND_NUMBER, false },
        { "audited", "audited", 8, KIND_NUMBER, false } } },
    { "denials",
      TOP_DENIALS,
      "database",
      NULL,
      1,
      false,
      { { "database", "database", 12, KIND_TEXT, false },
        { "count", "count", 7, KIND_NUMBER, false },
        { "reason", "reason", 18, KIND_TEXT, false },
        { "tenant", "last_tenant", 10, KIND_TEXT, false },
        { "template", "template", 20, KIND_TEXT, true } } },
    { "queries",
      TOP_QUERIES,
      "database",
      NULL,
      2,
      false,
      { { "database", "database", 10, KIND_TEXT, false },
        { "calls", "calls", 7, KIND_NUMBER, false },
        { "total", "total_us", 8, KIND_US, false },
        { "mean", "mean_us", 8, KIND_US, false },
        { "p95", "p95_us", 8, KIND_US, false },
        { "max", "max_us", 8, KIND_US, false },
        { "err", "errors", 4, KIND_NUMBER, false },
        { "template", "template", 16, KIND_TEXT, true } } },
    { "activity",
      TOP_ACTIVITY,
      "database",
      NULL,
      4,
      false,
      { { "database", "database", 10, KIND_TEXT, false },
        { "user", "user", 9, KIND_TEXT, false },
        { "tenant", "tenant", 8, KIND_TEXT, false },
        { "state", "state", 9, KIND_TEXT, false },
        { "age", "age_us", 8, KIND_US, false },
        { "wait for", "wait_reason", 9, KIND_TEXT, false },
        { "template", "template", 16, KIND_TEXT, true } } },
    { "alerts",
      TOP_ALERTS,
      "database",
      NULL,
      -1,
      false,
      { { "alert", "alert", 26, KIND_TEXT, false },
        { "severity", "severity", 9, KIND_TEXT, false },
        { "state", "state", 8, KIND_TEXT, false },
        { "value", "value", 8, KIND_NUMBER, false },
        { "limit", "threshold", 6, KIND_NUMBER, false },
        { "database", "database", 10, KIND_TEXT, true },
        { "user", "user", 10, KIND_TEXT, false },
        { "backend", "backend", 16, KIND_TEXT, false } } },
};

/* ---- the state ---- */

void top_init(struct top *t)
{
    for (int i = 0; i < TOP_VIEWS; i++) {
        t->sort[i] = views[i].sort;
        t->up[i] = views[i].up;
    }
}

void top_release(struct top *t)
{
    free(t->rows);
}

int top_view_named(const char *name)
{
    if (name[0] >= '1' && name[0] < '1' + TOP_VIEWS && !name[1])
        return name[0] - '1';
    for (int i = 0; i < TOP_VIEWS; i++)
        if (strcmp(views[i].name, name) == 0)
            return i;
    return -1;
}

unsigned top_wanted(const struct top *t)
{
    return 1u << TOP_POOLS | 1u << TOP_DATABASES | 1u << TOP_ALERTS | 1u << views[t->view].show;
}

static int count_columns(const struct view *v)
{
    int n = 0;
    while (n < COLUMNS_MAX && v->columns[n].title)
        n++;
    return n;
}

void top_sort_move(struct top *t, int by)
{
    int n = count_columns(&views[t->view]), *at = &t->sort[t->view];

    for (int tries = 0; tries < n; tries++) {
        *at = by > 0 ? (*at + 1) % n : (*at <= 0 ? n : *at) - 1;
        if (!t->shown || t->shown & 1u << *at)
            return;
    }
}

bool top_sort_named(struct top *t, const char *name)
{
    const struct view *v = &views[t->view];

    for (int i = 0; i < count_columns(v); i++)
        if (strcmp(v->columns[i].title, name) == 0 || strcmp(v->columns[i].name, name) == 0) {
            t->sort[t->view] = i;
            t->up[t->view] = v->columns[i].kind == KIND_TEXT;
            return true;
        }
    return false;
}

/* ---- values ---- */

static const struct pg_result *table(const struct top *t, const struct top_row *r)
{
    return t->sources[r->source].last[views[t->view].show];
}

static const char *of_database(const struct top *t, const struct top_row *r, const char *name)
{
    const struct pg_result *dbs = t->sources[r->source].last[TOP_DATABASES];
    const char *db = top_value(table(t, r), r->row, "database");

    for (int i = 0; db && i < top_rows(dbs); i++) {
        const char *there = top_value(dbs, i, "name");
        if (there && strcmp(there, db) == 0)
            return top_value(dbs, i, name);
    }
    return NULL;
}

static const char *raw(const struct top *t, const struct top_row *r, const struct column *c)
{
    return c->kind == KIND_OF_DATABASE ? of_database(t, r, c->name)
                                       : top_value(table(t, r), r->row, c->name);
}

static double number(const struct top *t, const struct top_row *r, const struct column *c)
{
    const char *v = raw(t, r, c);
    double d = v ? strtod(v, NULL) : -1;

    if (c->kind == KIND_MAXWAIT) {
        const char *us = top_value(table(t, r), r->row, "maxwait_us");
        d += us ? strtod(us, NULL) / 1e6 : 0;
    }
    return d;
}

/* Four places or so, whatever the size. */
static void show_number(char *to, size_t room, double d, int width, bool bytes)
{
    static const char units[] = " kMGTP";
    double step = bytes ? 1024 : 1000, most = 1;
    int u = 0;

    for (int i = 0; i < width && i < 15; i++)
        most *= 10;
    if (bytes)
        most = 10240;
    while (d >= most && u < 5) {
        d /= step;
        most = 1e4;
        u++;
    }
    if (u)
        snprintf(to, room, "%.0f%c", d, units[u]);
    else
        snprintf(to, room, d == (double)(int64_t)d ? "%.0f" : "%.1f", d);
}

static void show_seconds(char *to, size_t room, double s)
{
    if (s < 1e-3)
        snprintf(to, room, "%.0fus", s * 1e6);
    else if (s < 1)
        snprintf(to, room, "%.1fms", s * 1e3);
    else if (s < 100)
        snprintf(to, room, "%.2fs", s);
    else if (s < 3600)
        snprintf(to, room, "%dm%02ds", (int)s / 60, (int)s % 60);
    else if (s < 3.6e6)
        snprintf(to, room, "%dh%02dm", (int)s / 3600, (int)s / 60 % 60);
    else
        snprintf(to, room, "%.0fh", s / 3600);
}

static const char *shown(const struct top *t, const struct top_row *r, const struct column *c,
                         char *to, size_t room)
{
    const char *v = raw(t, r, c);
    double d;

    if (!v)
        return c->kind == KIND_TEXT ? "" : "-";
    if (c->kind == KIND_TEXT)
        return v;
    d = number(t, r, c);
    if (!(d >= 0 && d < 1e17)) /* no number of ours */
        return v;
    if (strcmp(c->name, "paused") == 0)
        return d > 0 ? "yes" : "";
    if (c->kind == KIND_US)
        show_seconds(to, room, d / 1e6);
    else if (c->kind == KIND_MS)
        show_seconds(to, room, d / 1e3);
    else if (c->kind == KIND_MAXWAIT)
        show_seconds(to, room, d);
    else
        show_number(to, room, d, c->width, c->kind == KIND_BYTES);
    return to;
}

/* ---- rows ---- */

static int compare(const void *a, const void *b, void *arg)
{
    const struct top *t = arg;
    const struct top_row *x = a, *y = b;
    int s = t->sort[t->view], by = 0;

    if (s >= 0) {
        const struct column *c = &views[t->view].columns[s];
        if (c->kind == KIND_TEXT) {
            const char *p = raw(t, x, c), *q = raw(t, y, c);
            by = strcmp(p ? p : "", q ? q : "");
        } else {
            double p = number(t, x, c), q = number(t, y, c);
            by = (p > q) - (p < q);
        }
        if (!t->up[t->view])
            by = -by;
    }
    if (by)
        return by;
    return x->source != y->source ? x->source - y->source : x->row - y->row;
}

static void add_row(struct top *t, int source, int row)
{
    if (t->n_rows == t->cap_rows) {
        int cap = t->cap_rows ? t->cap_rows * 2 : 64;
        struct top_row *p = realloc(t->rows, sizeof(*p) * (size_t)cap);
        if (!p)
            return;
        t->rows = p;
        t->cap_rows = cap;
    }
    t->rows[t->n_rows++] = (struct top_row){ source, row };
}

static void collect(struct top *t)
{
    const struct view *v = &views[t->view];

    t->n_rows = 0;
    for (int s = 0; s < t->n_sources; s++) {
        const struct pg_result *r = t->sources[s].last[v->show];
        for (int i = 0; i < top_rows(r); i++) {
            const char *only = v->only ? top_value(r, i, v->only) : NULL;
            if (!v->only || (only && strtod(only, NULL) > 0))
                add_row(t, s, i);
        }
    }
    if (t->n_rows)
        qsort_r(t->rows, (size_t)t->n_rows, sizeof(*t->rows), compare, t);
    if (t->chosen >= t->n_rows)
        t->chosen = t->n_rows - 1;
    if (t->chosen < 0)
        t->chosen = 0;
}

/* ---- lines ---- */

static double sum(const struct pg_result *r, const char *column)
{
    double all = 0;
    for (int i = 0; i < top_rows(r); i++) {
        const char *v = top_value(r, i, column);
        all += v ? strtod(v, NULL) : 0;
    }
    return all;
}

static int firing(const struct pg_result *r, const char *severity)
{
    int n = 0;
    for (int i = 0; i < top_rows(r); i++) {
        const char *state = top_value(r, i, "state"), *how = top_value(r, i, "severity");
        n += state && how && strcmp(state, "firing") == 0 &&
             (!severity || strcmp(how, severity) == 0);
    }
    return n;
}

static void draw_source(struct frame *f, const struct top_source *s)
{
    const struct pg_result *p = s->last[TOP_POOLS], *a = s->last[TOP_ALERTS];
    int alerts = firing(a, NULL);

    frame_begin(f);
    frame_cell(f, s->name, 22, false);
    if (s->error[0] || !s->ever || !p) {
        frame_printf(f, " %s%s", s->error[0] ? "away: " : "connecting",
                     s->error[0] ? s->error : "");
        frame_end(f, s->error[0] ? STYLE_BAD : STYLE_PLAIN);
        return;
    }
    frame_printf(f, " clients %.0f, waiting %.0f; servers %.0f, idle %.0f", sum(p, "cl_active"),
                 sum(p, "cl_waiting"), sum(p, "sv_active"), sum(p, "sv_idle"));
    if (alerts)
        frame_printf(f, "; ALERTS %d", alerts);
    else if (a)
        frame_put(f, "; no alert");
    frame_end(f, firing(a, "critical") ? STYLE_BAD : alerts ? STYLE_WARNING : STYLE_PLAIN);
}

#define HOST_WIDTH 14

/* Is the column in any of the tables, and does it fit? Fills widths; 0 = not shown. */
static void lay_out(const struct top *t, int width, int *widths)
{
    const struct view *v = &views[t->view];
    int left = width - (t->n_sources > 1 ? HOST_WIDTH + 1 : 0), grows = -1;

    for (int i = 0; i < COLUMNS_MAX; i++) {
        const struct column *c = &v->columns[i];
        enum top_show show = v->show;
        bool there = false;
        widths[i] = 0;
        if (!c->title)
            continue;
        if (c->kind == KIND_OF_DATABASE)
            show = TOP_DATABASES;
        for (int s = 0; s < t->n_sources && !there; s++)
            there = top_has(t->sources[s].last[show], c->name);
        if (!there || left < c->width + 1)
            continue;
        widths[i] = c->width;
        left -= c->width + 1;
        if (c->grows)
            grows = i;
    }
    if (grows >= 0 && left > 0)
        widths[grows] += left;
}

static bool to_the_right(const struct column *c)
{
    return c->kind != KIND_TEXT;
}

static void draw_head(const struct top *t, struct frame *f, const int *widths)
{
    const struct view *v = &views[t->view];
    char title[32];

    frame_begin(f);
    if (t->n_sources > 1) {
        frame_cell(f, "console", HOST_WIDTH, false);
        frame_put(f, " ");
    }
    for (int i = 0; i < COLUMNS_MAX; i++) {
        if (!widths[i])
            continue;
        const char *mark = i != t->sort[t->view] ? "" : t->up[t->view] ? "^" : "v";
        snprintf(title, sizeof(title), "%s%s", v->columns[i].title, mark);
        frame_cell(f, title, widths[i], to_the_right(&v->columns[i]));
        frame_put(f, " ");
    }
    frame_end(f, STYLE_HEAD);
}

static enum frame_style row_style(const struct top *t, const struct top_row *r)
{
    const struct pg_result *p = table(t, r);
    const char *waiting = top_value(p, r->row, "cl_waiting");
    const char *state = top_value(p, r->row, "state"), *severity = top_value(p, r->row, "severity");

    if (severity && state && strcmp(state, "firing") == 0)
        return strcmp(severity, "critical") == 0 ? STYLE_BAD : STYLE_WARNING;
    return waiting && strtod(waiting, NULL) > 0 ? STYLE_WARNING : STYLE_PLAIN;
}

static void draw_row(const struct top *t, struct frame *f, const int *widths, int i)
{
    const struct view *v = &views[t->view];
    const struct top_row *r = &t->rows[i];
    char text[64];

    frame_begin(f);
    if (t->n_sources > 1) {
        frame_cell(f, t->sources[r->source].name, HOST_WIDTH, false);
        frame_put(f, " ");
    }
    for (int c = 0; c < COLUMNS_MAX; c++) {
        if (!widths[c])
            continue;
        frame_cell(f, shown(t, r, &v->columns[c], text, sizeof(text)), widths[c],
                   to_the_right(&v->columns[c]));
        frame_put(f, " ");
    }
    frame_end(f, t->marks && i == t->chosen ? STYLE_CHOSEN : row_style(t, r));
}

static void line(struct frame *f, const char *text, enum frame_style style)
{
    frame_begin(f);
    frame_put(f, text);
    frame_end(f, style);
}

static void draw_help(struct frame *f)
{
    static const char *const lines[] = {
        "1 pools      2 waiting    3 traffic    4 latency    5 tenants",
        "6 denials    7 queries    8 activity   9 alerts     Tab: the next one",
        "",
        "up down PgUp PgDn   choose a row",
        "< >                 sort by the column to the left or right",
        "i                   invert the order",
        "p                   pause the database of the chosen row (asks first)",
        "r                   resume it (asks first)",
        "+ -                 longer or shorter time between looks",
        "space               look now",
        "h ?                 this help; any key ends it",
        "q                   quit",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        line(f, lines[i], STYLE_PLAIN);
}

static void draw_title(const struct top *t, struct frame *f)
{
    const struct view *v = &views[t->view];
    time_t now = time(NULL);
    struct tm tm;
    char at[16] = "";
    int s = t->sort[t->view];

    if (localtime_r(&now, &tm))
        strftime(at, sizeof(at), "%H:%M:%S", &tm);
    frame_begin(f);
    frame_printf(f, "pgbulkhead top  %s", v->name);
    if (s >= 0)
        frame_printf(f, " by %s", v->columns[s].title);
    frame_printf(f, "  every %g s  %s", t->delay, at);
    frame_end(f, STYLE_TITLE);
}

/* What there is to say when there are no rows. */
static const char *why_empty(const struct top *t)
{
    const struct view *v = &views[t->view];
    int away = 0, absent = 0;

    for (int s = 0; s < t->n_sources; s++) {
        away += t->sources[s].state == TOP_AWAY || !t->sources[s].ever;
        absent += t->sources[s].absent[v->show];
    }
    if (away == t->n_sources)
        return "no console answers";
    if (absent + away == t->n_sources)
        return "the console does not have this table";
    for (int s = 0; s < t->n_sources; s++)
        if (t->sources[s].last[v->show])
            return v->only ? "nobody waits" : "nothing to show";
    return "";
}

static void draw_bottom(const struct top *t, struct frame *f)
{
    if (t->question[0]) {
        line(f, t->question, STYLE_BAD);
        return;
    }
    for (int s = 0; s < t->n_sources; s++)
        if (t->sources[s].outcome[0]) {
            line(f, t->sources[s].outcome, STYLE_WARNING);
            return;
        }
    line(f, "1-9 view  <> sort  i invert  p pause  r resume  h help  q quit", STYLE_TITLE);
}

#define SOURCES_SHOWN 4

void top_draw(struct top *t, struct frame *f, int width, int height)
{
    int widths[COLUMNS_MAX], room;

    if (height > FRAME_LINES)
        height = FRAME_LINES;
    frame_clear(f, width);
    collect(t);
    draw_title(t, f);
    for (int s = 0; s < t->n_sources && (s < SOURCES_SHOWN || !height); s++)
        draw_source(f, &t->sources[s]);
    if (t->help) {
        draw_help(f);
    } else {
        lay_out(t, width, widths);
        t->shown = 0;
        for (int c = 0; c < COLUMNS_MAX; c++)
            t->shown |= widths[c] ? 1u << c : 0;
        draw_head(t, f, widths);
        room = height ? height - f->n - 1 : t->n_rows;
        if (t->chosen < t->first || room <= 0)
            t->first = t->chosen;
        else if (t->chosen >= t->first + room)
            t->first = t->chosen - room + 1;
        if (t->first > 0 && t->first > t->n_rows - room)
            t->first = t->n_rows > room ? t->n_rows - room : 0;
        for (int i = t->first; i < t->n_rows && i < t->first + room; i++)
            draw_row(t, f, widths, i);
        if (t->n_rows == 0)
            line(f, why_empty(t), STYLE_PLAIN);
    }
    if (!height)
        return;
    while (f->n < height - 1)
        line(f, "", STYLE_PLAIN);
    draw_bottom(t, f);
}

bool top_ask(struct top *t, const char *verb)
{
    const char *column = views[t->view].database;
    const struct top_row *r = t->n_rows ? &t->rows[t->chosen] : NULL;
    const char *db = r && column ? top_value(table(t, r), r->row, column) : NULL;
    size_t at;

    if (!db || !*db || strlen(db) > 100)
        return false;
    snprintf(t->question, sizeof(t->question), "%s database %s at %s? y: yes, any other key: no",
             verb, db, t->sources[r->source].name);
    at = (size_t)snprintf(t->command, sizeof(t->command), "%s \"", verb);
    for (const char *s = db; *s; s++) {
        if (*s == '"')
            t->command[at++] = '"';
        t->command[at++] = *s;
    }
    memcpy(t->command + at, "\"", 2);
    t->command_source = r->source;
    return true;
}
