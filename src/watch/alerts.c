/* SPDX-License-Identifier: ISC */
/* Alerts: thresholds, the states of their subjects, what the log says about them. */
#include "watch/alerts.h"

#include "base/check.h"
#include "base/map.h"
#include "base/random.h"
#include "conf/keys.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 1024
#define RESOLVED_US (900 * USEC_PER_SEC) /* how long an end is remembered */

static const struct alert_row rows[ALERTS] = {
#define ALERT(name, severity, subject, unit, comparison, key, for_key, summary)                    \
    { #name,                                                                                       \
      #severity,                                                                                   \
      summary,                                                                                     \
      SEVERITY_##severity,                                                                         \
      SUBJECT_##subject,                                                                           \
      UNIT_##unit,                                                                                 \
      COMPARE_##comparison,                                                                        \
      #key,                                                                                        \
      #for_key },
#include "watch/alerts.def"
};

struct alerts {
    struct log *log;
    uint64_t seed[2];
    struct alert_item *bucket[BUCKETS];
    int n, left_out;
    bool none_ended; /* nothing is left to be thrown out at this look */
    int firing[ALERTS];
    /* the look under way */
    const struct settings *g;
    usec_t mono, wall;
    double threshold[ALERTS];
    usec_t for_us[ALERTS];
};

/* ---- rows ---- */

const struct alert_row *alert_row(enum alert a)
{
    return &rows[a];
}

static const struct key *find_key(const char *name)
{
    const struct key *k = key_find(key_table_settings(), text_of(name));
    CHECK(k);
    return k;
}

static double configured(enum alert a, const struct settings *g)
{
    const struct key *k = find_key(rows[a].threshold_key);
    const char *at = (const char *)g + k->offset;

    switch (k->kind) {
    case KIND_BOOL:
        return *(const bool *)at ? 1 : 0;
    case KIND_TIME:
        return (double)*(const usec_t *)(const void *)at / (double)USEC_PER_SEC;
    default:
        CHECK(k->kind == KIND_INT);
        return (double)*(const int64_t *)(const void *)at;
    }
}

double alert_threshold(enum alert a, const struct settings *g)
{
    double t = configured(a, g), twice = 2 * (double)g->probe_interval / (double)USEC_PER_SEC;

    return a == ALERT_ProbeStale && t > 0 && t < twice ? twice : t;
}

usec_t alert_for(enum alert a, const struct settings *g)
{
    if (strcmp(rows[a].for_key, "none") == 0)
        return 0;
    const struct key *k = find_key(rows[a].for_key);
    CHECK(k->kind == KIND_TIME);
    return *(const usec_t *)(const void *)((const char *)g + k->offset);
}

const char *alert_state_name(enum alert_state s)
{
    static const char *const names[] = { "inactive", "pending", "firing", "resolved" };
    return names[s];
}

/* ---- items ---- */

struct alerts *alerts_new(struct log *log)
{
    struct alerts *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->log = log;
    random_bytes(a->seed, sizeof(a->seed));
    return a;
}

void alerts_free(struct alerts *a)
{
    if (!a)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while (a->bucket[i]) {
            struct alert_item *next = a->bucket[i]->next;
            free(a->bucket[i]);
            a->bucket[i] = next;
        }
    free(a);
}

static size_t key_length(struct alert_what what)
{
    return 1 + what.database.n + 1 + what.user.n + 1 + what.backend.n;
}

static char *put_part(char *to, struct text part)
{
    if (part.n)
        memcpy(to, part.p, part.n);
    to[part.n] = 0;
    return to + part.n + 1;
}

/* key_length bytes and one more. */
static void write_key(char *to, enum alert alert, struct alert_what what)
{
    *to = (char)alert;
    put_part(put_part(put_part(to + 1, what.database), what.user), what.backend);
}

static struct alert_item **bucket_of(struct alerts *a, struct text key)
{
    return &a->bucket[map_hash(a->seed, key.p, key.n) % BUCKETS];
}

/* Room for one more, if need be that of one that has ended. */
static bool make_room(struct alerts *a, enum alert alert)
{
    int kept = rows[alert].severity == SEVERITY_warning ? ALERT_ITEMS_KEPT : 0;
    bool full = a->n >= ALERT_ITEMS_MAX - kept;

    for (int i = 0; full && !a->none_ended && i < BUCKETS; i++)
        for (struct alert_item **at = &a->bucket[i]; *at; at = &(*at)->next)
            if ((*at)->state == ALERT_RESOLVED) {
                struct alert_item *gone = *at;
                *at = gone->next;
                free(gone);
                a->n--;
                return true;
            }
    a->none_ended |= full;
    return !full;
}

/* A new one in no state yet, given its key; NULL: no room or no memory. */
static struct alert_item *add(struct alerts *a, struct alert_item **bucket, enum alert alert,
                              struct alert_what what, struct text key)
{
    struct alert_item *it = make_room(a, alert) ? calloc(1, sizeof(*it) + key.n + 1) : NULL;

    if (!it) {
        a->left_out++;
        return NULL;
    }
    memcpy(it->key, key.p, key.n);
    it->n_key = key.n;
    it->alert = alert;
    it->what.database = text_n(it->key + 1, what.database.n);
    it->what.user = text_n(it->key + 1 + what.database.n + 1, what.user.n);
    it->what.backend = text_n(it->key + key.n - what.backend.n, what.backend.n);
    it->next = *bucket;
    *bucket = it;
    a->n++;
    return it;
}

/* ---- states ---- */

/* `database "x", user "y", server "z"`, or nothing. */
static void describe(const struct alert_item *it, char *out, size_t size)
{
    const struct {
        const char *name;
        struct text t;
    } parts[] = { { " database", it->what.database },
                  { " user", it->what.user },
                  { rows[it->alert].subject == SUBJECT_certificate ? " certificate" : " server",
                    it->what.backend } };
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].t.n && at < size) {
            int n = snprintf(out + at, size - at, "%s \"%.*s\"", parts[i].name,
                             (int)(parts[i].t.n > 128 ? 128 : parts[i].t.n), parts[i].t.p);
            at += n > 0 ? (size_t)n : 0;
        }
}

/* With its unit; long times in days. */
static void write_value(double v, enum alert_unit unit, char *out, size_t size)
{
    if (unit == UNIT_seconds && v >= 2 * 86400)
        snprintf(out, size, "%.1f d", v / 86400);
    else
        snprintf(out, size, "%.*f%s",
                 v == (double)(int64_t)v ? 0
                 : v < 100               ? 3
                                         : 1,
                 v,
                 unit == UNIT_percent   ? " %"
                 : unit == UNIT_seconds ? " s"
                                        : "");
}

static void say(const struct alerts *a, const struct alert_item *it, bool begins)
{
    const struct alert_row *row = &rows[it->alert];
    char what[512], value[64], threshold[64];

    if (!a->log || !a->g->log_alerts)
        return;
    describe(it, what, sizeof(what));
    write_value(it->value, row->unit, value, sizeof(value));
    write_value(it->threshold, row->unit, threshold, sizeof(threshold));
    if (begins)
        log_warn(a->log, "alert %s (%s)%s: %s, threshold %s: %s", row->name, row->severity_name,
                 what, value, threshold, row->summary);
    else
        log_info(a->log, "alert %s (%s)%s has ended", row->name, row->severity_name, what);
}

static void enter(struct alerts *a, struct alert_item *it, enum alert_state s)
{
    bool was_firing = it->state == ALERT_FIRING;

    it->state = s;
    it->since = a->mono;
    it->since_wall = a->wall;
    it->well_since = 0;
    if (s == ALERT_FIRING || was_firing) {
        a->firing[it->alert] += s == ALERT_FIRING ? 1 : -1;
        say(a, it, s == ALERT_FIRING);
    }
}

/* Its condition is true. */
static void trouble(struct alerts *a, struct alert_item *it)
{
    if (it->state == ALERT_INACTIVE || it->state == ALERT_RESOLVED)
        enter(a, it, ALERT_PENDING);
    if (it->state == ALERT_PENDING && a->mono - it->since >= a->for_us[it->alert])
        enter(a, it, ALERT_FIRING);
    it->well_since = 0;
}

/* Its condition is false, or nothing is known. false: forget it. */
static bool well(struct alerts *a, struct alert_item *it)
{
    switch (it->state) {
    case ALERT_FIRING:
        if (!it->well_since)
            it->well_since = a->mono;
        if (a->mono - it->well_since >= a->g->alert_clear_for || a->threshold[it->alert] <= 0)
            enter(a, it, ALERT_RESOLVED);
        return true;
    case ALERT_RESOLVED:
        return a->mono - it->since < RESOLVED_US;
    default:
        return false;
    }
}

/* ---- a look ---- */

void alerts_begin(struct alerts *a, const struct settings *g, usec_t mono, usec_t wall)
{
    a->g = g;
    a->mono = mono;
    a->wall = wall;
    a->left_out = 0;
    a->none_ended = false;
    for (int i = 0; i < ALERTS; i++) {
        a->threshold[i] = alert_threshold((enum alert)i, g);
        a->for_us[i] = alert_for((enum alert)i, g);
    }
}

static bool is_true(const struct alerts *a, enum alert alert, double value)
{
    double t = a->threshold[alert];

    if (t <= 0)
        return false;
    switch (rows[alert].comparison) {
    case COMPARE_above:
        return value > t;
    case COMPARE_reached:
        return value >= t;
    default:
        return value < t;
    }
}

void alerts_see(struct alerts *a, enum alert alert, struct alert_what what, double value)
{
    char room[512], *key = room;
    bool bad = is_true(a, alert, value);
    size_t n = key_length(what);

    if (!bad && a->n == 0)
        return;
    if (n + 1 > sizeof(room) && !(key = malloc(n + 1))) {
        a->left_out += bad;
        return;
    }
    write_key(key, alert, what);
    struct alert_item **bucket = bucket_of(a, text_n(key, n)), *it = *bucket;
    while (it && !text_eq(text_n(it->key, it->n_key), text_n(key, n)))
        it = it->next;
    if (!it && bad)
        it = add(a, bucket, alert, what, text_n(key, n));
    if (it && !it->seen && (bad || it->state == ALERT_FIRING))
        it->value = value;
    if (it && bad) {
        if (rows[alert].comparison == COMPARE_below ? value < it->value : value > it->value)
            it->value = value;
        it->threshold = a->threshold[alert];
        it->seen = true;
        trouble(a, it);
    }
    if (key != room)
        free(key);
}

void alerts_end(struct alerts *a)
{
    for (int i = 0; i < BUCKETS; i++) {
        struct alert_item **at = &a->bucket[i];
        while (*at) {
            struct alert_item *it = *at;
            if (it->seen || well(a, it)) {
                it->seen = false;
                at = &it->next;
            } else {
                *at = it->next;
                free(it);
                a->n--;
            }
        }
    }
}

/* ---- reading ---- */

const struct alert_item *alerts_next(const struct alerts *a, size_t *pos)
{
    /* pos: bucket in the upper bits, place in its chain in the lower ones */
    size_t b = *pos >> 16, place = *pos & 0xffff;

    for (; b < BUCKETS; b++, place = 0) {
        const struct alert_item *it = a->bucket[b];
        for (size_t k = 0; it && k < place; k++)
            it = it->next;
        if (it) {
            *pos = (b << 16) + place + 1;
            return it;
        }
    }
    return NULL;
}

static int rank(enum alert_state s)
{
    return s == ALERT_FIRING ? 0 : s == ALERT_PENDING ? 1 : 2;
}

static int order(const void *pa, const void *pb)
{
    const struct alert_item *a = *(const struct alert_item *const *)pa;
    const struct alert_item *b = *(const struct alert_item *const *)pb;
    int d = rank(a->state) - rank(b->state);

    if (!d)
        d = (int)rows[b->alert].severity - (int)rows[a->alert].severity;
    if (!d)
        d = text_cmp(text_n(a->key, a->n_key), text_n(b->key, b->n_key));
    return d;
}

const struct alert_item **alerts_sorted(const struct alerts *a, int *n)
{
    const struct alert_item **list = calloc((size_t)a->n + 1, sizeof(*list)), *it;
    size_t pos = 0;

    *n = 0;
    if (!list)
        return NULL;
    while ((it = alerts_next(a, &pos)) != NULL)
        list[(*n)++] = it;
    qsort(list, (size_t)*n, sizeof(*list), order);
    return list;
}

int alerts_firing(const struct alerts *a, enum alert alert)
{
    return a->firing[alert];
}

int alerts_left_out(const struct alerts *a)
{
    return a->left_out;
}
