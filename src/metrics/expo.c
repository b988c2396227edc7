/* SPDX-License-Identifier: ISC */
/* The text formats. */
#include "metrics/expo.h"

#include <inttypes.h>
#include <stdio.h>

#define MICRO UINT64_C(1000000)
#define TOTAL "_total"
#define EXEMPLAR_MAX 128 /* characters of its labels' names and values, says OpenMetrics */

/* Counters whose names in OpenMetrics, without _total, are those of gauges: they keep it there, as
 * metrics of an unknown type. */
static const char *const clashing[] = { "pgbulkhead_client_connections_total" };

void expo_init(struct expo *x, int64_t max_series)
{
    *x = (struct expo){ .max_series = max_series };
}

void expo_release(struct expo *x)
{
    buf_release(&x->out);
    buf_release(&x->labels);
}

const char *expo_type(const struct expo *x)
{
    return x->format == EXPO_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

void expo_end(struct expo *x)
{
    if (x->format == EXPO_OPENMETRICS)
        buf_text_append(&x->out, TEXT("# EOF\n"));
}

void expo_family(struct expo *x, const char *name, enum expo_type type, const char *help)
{
    snprintf(x->name, sizeof(x->name), "%s", name);
    x->n_name = strlen(x->name);
    x->type = type;
    x->help = help;
    x->headed = false;
    buf_clear(&x->labels);
}

/* Decimal; at least `width` digits, at most 20. */
static void put_digits(struct buf *b, uint64_t v, int width)
{
    char text[20];
    int at = (int)sizeof(text);

    while (v > 0 || width > 0) {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
        width--;
    }
    buf_append(b, text + at, sizeof(text) - (size_t)at);
}

static void put_uint(struct buf *b, uint64_t v)
{
    put_digits(b, v, 1);
}

/* Nothing to be escaped in it? */
static bool is_plain(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] >= 0x80 || (unsigned char)t.p[i] < ' ' || t.p[i] == '\\' ||
            t.p[i] == '"')
            return false;
    return true;
}

static void escaped(struct buf *b, struct text t)
{
    if (is_plain(t)) {
        buf_text_append(b, t);
        return;
    }
    for (size_t i = 0; i < t.n;) {
        const unsigned char *p = (const unsigned char *)t.p + i;
        size_t len = text_utf8_len(p, t.n - i);
        if (len == 0 || *p == '\0') {
            buf_printf(b, "\\\\x%02X", *p);
            i++;
            continue;
        }
        if (*p == '\\' || *p == '"')
            buf_char(b, '\\');
        if (*p == '\n')
            buf_append(b, "\\n", 2);
        else
            buf_append(b, p, len);
        i += len;
    }
}

static void comma(struct expo *x)
{
    if (buf_len(&x->labels) > 0)
        buf_char(&x->labels, ',');
}

void expo_label(struct expo *x, const char *name, struct text value)
{
    comma(x);
    buf_text_append(&x->labels, text_of(name));
    buf_text_append(&x->labels, TEXT("=\""));
    escaped(&x->labels, value);
    buf_char(&x->labels, '"');
}

void expo_labels(struct expo *x, const char *written)
{
    if (!*written)
        return;
    comma(x);
    buf_text_append(&x->labels, text_of(written));
}

struct text expo_labels_take(struct expo *x)
{
    struct text t = buf_text(&x->labels);

    buf_clear(&x->labels);
    return t;
}

void expo_labels_text(struct expo *x, struct text written)
{
    comma(x);
    buf_text_append(&x->labels, written);
}

/* OpenMetrics escapes quotes too. */
static void help_text(struct expo *x)
{
    for (const char *p = x->help; *p; p++) {
        if (*p == '\\' || (*p == '"' && x->format == EXPO_OPENMETRICS))
            buf_char(&x->out, '\\');
        if (*p == '\n')
            buf_append(&x->out, "\\n", 2);
        else
            buf_char(&x->out, *p);
    }
}

static bool clashes(const char *name)
{
    for (size_t i = 0; i < sizeof(clashing) / sizeof(clashing[0]); i++)
        if (strcmp(name, clashing[i]) == 0)
            return true;
    return false;
}

static void head(struct expo *x)
{
    static const char *const types[] = { "gauge", "counter", "histogram" };
    const char *type = types[x->type];
    struct text name = text_of(x->name);

    if (x->headed)
        return;
    x->headed = true;
    if (x->format == EXPO_OPENMETRICS && x->type == EXPO_COUNTER) {
        if (clashes(x->name))
            type = "unknown";
        else if (name.n > sizeof(TOTAL) - 1 &&
                 strcmp(x->name + name.n - (sizeof(TOTAL) - 1), TOTAL) == 0)
            name.n -= sizeof(TOTAL) - 1;
    }
    buf_printf(&x->out, "# HELP %.*s ", TEXT_ARG(name));
    help_text(x);
    buf_printf(&x->out, "\n# TYPE %.*s %s\n", TEXT_ARG(name), type);
}

/* Is there room for n more series? */
static bool room(struct expo *x, int64_t n)
{
    if (x->max_series > 0 && x->series + n > x->max_series) {
        x->dropped += n;
        buf_clear(&x->labels);
        return false;
    }
    x->series += n;
    head(x);
    return true;
}

/* Name and labels of a sample; le "" = none. */
static void line(struct expo *x, const char *suffix, const char *le)
{
    bool some = buf_len(&x->labels) > 0;

    buf_append(&x->out, x->name, x->n_name);
    buf_text_append(&x->out, text_of(suffix));
    if (some || *le) {
        buf_char(&x->out, '{');
        buf_text_append(&x->out, buf_text(&x->labels));
        if (*le) {
            buf_text_append(&x->out, some ? TEXT(",le=\"") : TEXT("le=\""));
            buf_text_append(&x->out, text_of(le));
            buf_char(&x->out, '"');
        }
        buf_char(&x->out, '}');
    }
    buf_char(&x->out, ' ');
}

static void seconds(struct buf *b, uint64_t us)
{
    put_uint(b, us / MICRO);
    buf_char(b, '.');
    put_digits(b, us % MICRO, 6);
}

void expo_uint(struct expo *x, uint64_t v)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    put_uint(&x->out, v);
    buf_char(&x->out, '\n');
    buf_clear(&x->labels);
}

void expo_int(struct expo *x, int64_t v)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    if (v < 0)
        buf_char(&x->out, '-');
    put_uint(&x->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    buf_char(&x->out, '\n');
    buf_clear(&x->labels);
}

void expo_usec(struct expo *x, uint64_t us)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    seconds(&x->out, us);
    buf_char(&x->out, '\n');
    buf_clear(&x->labels);
}

/* An edge as people write it: 0.5, not 0.500000; OpenMetrics wants 5.0 for 5. */
static void edge_text(const struct expo *x, uint64_t us, char *out, size_t size)
{
    snprintf(out, size, "%" PRIu64 ".%06" PRIu64, us / MICRO, us % MICRO);
    size_t n = strlen(out);
    while (out[n - 1] == '0')
        out[--n] = '\0';
    if (out[n - 1] != '.')
        return;
    if (x->format == EXPO_OPENMETRICS)
        out[n] = '0'; /* where a zero was cut off */
    else
        out[n - 1] = '\0';
}

/* Behind a bucket's count. over: the bucket's lower edge, upto its upper one. */
static void exemplar(struct expo *x, const struct expo_exemplar *e, uint64_t over, uint64_t upto)
{
    static const size_t names = sizeof("trace_id") - 1 + sizeof("span_id") - 1;

    if (!e || x->format != EXPO_OPENMETRICS || e->trace_id.n == 0 || e->value_us > upto ||
        (e->value_us <= over && over > 0) || names + e->trace_id.n + e->span_id.n > EXEMPLAR_MAX)
        return;
    buf_text_append(&x->out, TEXT(" # {trace_id=\""));
    escaped(&x->out, e->trace_id);
    if (e->span_id.n > 0) {
        buf_text_append(&x->out, TEXT("\",span_id=\""));
        escaped(&x->out, e->span_id);
    }
    buf_text_append(&x->out, TEXT("\"} "));
    seconds(&x->out, e->value_us);
    if (e->at_us) {
        buf_char(&x->out, ' ');
        seconds(&x->out, e->at_us);
    }
}

void expo_histogram(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                    uint64_t sum_us)
{
    expo_histogram_ex(x, counts, edges_us, n, sum_us, NULL);
}

void expo_histogram_ex(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                       uint64_t sum_us, const struct expo_exemplar *ex)
{
    uint64_t sum = 0, over = 0;
    char le[40];

    if (!room(x, n + 3))
        return;
    for (int i = 0; i <= n; i++) {
        sum += counts[i];
        if (i < n)
            edge_text(x, edges_us[i], le, sizeof(le));
        else
            snprintf(le, sizeof(le), "+Inf");
        line(x, "_bucket", le);
        put_uint(&x->out, sum);
        exemplar(x, ex ? &ex[i] : NULL, over, i < n ? edges_us[i] : UINT64_MAX);
        buf_char(&x->out, '\n');
        over = i < n ? edges_us[i] : over;
    }
    line(x, "_sum", "");
    seconds(&x->out, sum_us);
    buf_char(&x->out, '\n');
    line(x, "_count", "");
    put_uint(&x->out, sum);
    buf_char(&x->out, '\n');
    buf_clear(&x->labels);
}
