/* SPDX-License-Identifier: ISC */
/* The text format. */
#include "metrics/expo.h"

#include <inttypes.h>
#include <stdio.h>

#define MICRO UINT64_C(1000000)

void expo_init(struct expo *x, int64_t max_series)
{
    *x = (struct expo){ .max_series = max_series };
}

void expo_release(struct expo *x)
{
    buf_release(&x->out);
    buf_release(&x->labels);
}

void expo_family(struct expo *x, const char *name, enum expo_type type, const char *help)
{
    snprintf(x->name, sizeof(x->name), "%s", name);
    x->type = type;
    x->help = help;
    x->headed = false;
    buf_clear(&x->labels);
}

static void escaped(struct buf *b, struct text t)
{
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
    buf_printf(&x->labels, "%s=\"", name);
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

static void head(struct expo *x)
{
    static const char *const types[] = { "gauge", "counter", "histogram" };

    if (x->headed)
        return;
    x->headed = true;
    buf_printf(&x->out, "# HELP %s %s\n# TYPE %s %s\n", x->name, x->help, x->name, types[x->type]);
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

    buf_printf(&x->out, "%s%s", x->name, suffix);
    if (some || *le) {
        buf_char(&x->out, '{');
        buf_text_append(&x->out, buf_text(&x->labels));
        if (*le)
            buf_printf(&x->out, "%sle=\"%s\"", some ? "," : "", le);
        buf_char(&x->out, '}');
    }
    buf_char(&x->out, ' ');
}

static void seconds(struct buf *b, uint64_t us)
{
    buf_printf(b, "%" PRIu64 ".%06" PRIu64 "\n", us / MICRO, us % MICRO);
}

void expo_uint(struct expo *x, uint64_t v)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    buf_printf(&x->out, "%" PRIu64 "\n", v);
    buf_clear(&x->labels);
}

void expo_int(struct expo *x, int64_t v)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    buf_printf(&x->out, "%" PRId64 "\n", v);
    buf_clear(&x->labels);
}

void expo_usec(struct expo *x, uint64_t us)
{
    if (!room(x, 1))
        return;
    line(x, "", "");
    seconds(&x->out, us);
    buf_clear(&x->labels);
}

/* An edge as people write it: 0.5, not 0.500000. */
static void edge_text(uint64_t us, char *out, size_t size)
{
    snprintf(out, size, "%" PRIu64 ".%06" PRIu64, us / MICRO, us % MICRO);
    size_t n = strlen(out);
    while (out[n - 1] == '0')
        out[--n] = '\0';
    if (out[n - 1] == '.')
        out[n - 1] = '\0';
}

void expo_histogram(struct expo *x, const uint64_t *counts, const uint64_t *edges_us, int n,
                    uint64_t sum_us)
{
    uint64_t sum = 0;
    char le[40];

    if (!room(x, n + 3))
        return;
    for (int i = 0; i < n; i++) {
        sum += counts[i];
        edge_text(edges_us[i], le, sizeof(le));
        line(x, "_bucket", le);
        buf_printf(&x->out, "%" PRIu64 "\n", sum);
    }
    sum += counts[n];
    line(x, "_bucket", "+Inf");
    buf_printf(&x->out, "%" PRIu64 "\n", sum);
    line(x, "_sum", "");
    seconds(&x->out, sum_us);
    line(x, "_count", "");
    buf_printf(&x->out, "%" PRIu64 "\n", sum);
    buf_clear(&x->labels);
}
