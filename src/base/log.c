/* SPDX-License-Identifier: ISC */
/* Writing log lines: composed in memory, written by one write(2) to each place. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/repeat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_ROOM 1024 /* texts up to this are formatted on the stack */

static const struct {
    const char *name;
    int priority; /* of syslog */
} levels[] = {
    [LOG_LV_FATAL] = { "FATAL", LOG_CRIT },        [LOG_LV_ERROR] = { "ERROR", LOG_ERR },
    [LOG_LV_WARNING] = { "WARNING", LOG_WARNING }, [LOG_LV_LOG] = { "LOG", LOG_INFO },
    [LOG_LV_DEBUG] = { "DEBUG", LOG_DEBUG },       [LOG_LV_NOISE] = { "NOISE", LOG_DEBUG },
};

static const struct {
    const char *name;
    int value;
} facilities[] = {
    { "auth", LOG_AUTH },     { "authpriv", LOG_AUTHPRIV }, { "daemon", LOG_DAEMON },
    { "user", LOG_USER },     { "local0", LOG_LOCAL0 },     { "local1", LOG_LOCAL1 },
    { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },     { "local4", LOG_LOCAL4 },
    { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },     { "local7", LOG_LOCAL7 },
};

void log_init(struct log *l, bool quiet, int verbose)
{
    memset(l, 0, sizeof(*l));
    atomic_init(&l->fd, -1);
    atomic_init(&l->verbose, verbose);
    atomic_init(&l->syslog, 0);
    atomic_init(&l->format, LOG_TEXT);
    atomic_init(&l->repeat, NULL);
    atomic_init(&l->repeat_limit, 0);
    atomic_init(&l->repeat_period, 0);
    l->quiet = quiet;
}

bool log_open(struct log *l, const char *path)
{
    const char *name = path ? path : l->path;
    size_t n = strlen(name);
    if (n >= sizeof(l->path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (n == 0)
        return true;
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    int old = atomic_load(&l->fd);
    if (old < 0) {
        atomic_store(&l->fd, fd);
    } else {
        /* The number stays: a thread that is just writing never meets another file. */
        int rc = dup3(fd, old, O_CLOEXEC);
        int error = errno;
        close(fd);
        errno = error;
        if (rc < 0)
            return false;
    }
    if (path)
        memcpy(l->path, path, n + 1);
    return true;
}

void log_syslog(struct log *l, bool on, const char *ident, const char *facility)
{
    if (!on) {
        if (atomic_exchange(&l->syslog, 0))
            closelog();
        return;
    }
    int value = LOG_DAEMON;
    for (size_t i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++)
        if (facility && strcmp(facility, facilities[i].name) == 0)
            value = facilities[i].value;
    snprintf(l->ident, sizeof(l->ident), "%s", ident ? ident : "pgbulkhead");
    openlog(l->ident, LOG_PID | LOG_NDELAY, value); /* keeps the pointer */
    atomic_store(&l->syslog, 1);
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* nowhere to tell */
        p += done;
        n -= (size_t)done;
    }
}

/* Appends the text with control characters shown as \xHH, so that it stays one line. */
static void escape(struct buf *line, const char *p, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != 0x7f)
            continue;
        buf_append(line, p + from, i - from);
        buf_printf(line, "\\x%02x", c);
        from = i + 1;
    }
    buf_append(line, p + from, n - from);
}

/* A line's two pieces, ready to be put together. Text: head, message. JSON: members, message. */
struct pieces {
    struct buf part[2];
};

static void pieces_release(struct pieces *p)
{
    buf_release(&p->part[0]);
    buf_release(&p->part[1]);
}

static void make_pieces(struct pieces *p, bool json, const struct log_about *a, struct text message)
{
    struct buf *b = &p->part[0];

    buf_init(b);
    buf_init(&p->part[1]);
    if (!json) {
        if (a && a->head.n) {
            escape(b, a->head.p, a->head.n);
            buf_char(b, ' ');
        }
        escape(&p->part[1], message.p, message.n);
        return;
    }
    if (a) {
        json_member(b, "client", a->client);
        if (a->client_id) {
            json_key(b, "client_id");
            buf_printf(b, "%llu", (unsigned long long)a->client_id);
        }
        json_member(b, "server", a->server);
        json_member(b, "database", a->database);
        json_member(b, "user", a->user);
        json_member(b, "host", a->host);
        json_member(b, "tenant", a->tenant);
        json_member(b, "reason", a->reason);
        if (a->more.n) {
            json_key(b, NULL);
            buf_text_append(b, a->more);
        }
    }
    json_text(&p->part[1], a && a->brief.n ? a->brief : message);
}

/* folded: how many lines this one stands for, 0 = only itself. */
static void emit(struct log *l, enum log_level lv, bool json, const struct text part[2],
                 uint64_t folded)
{
    char when[64];
    struct buf line;
    size_t head = 0;
    unsigned long long n = folded;

    buf_init(&line);
    clock_format(clock_wall_us(), json ? CLOCK_RFC3339 : CLOCK_MILLIS, when, sizeof(when));
    if (json) {
        buf_printf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"pid\":%ld", when, levels[lv].name,
                   (long)getpid());
        if (part[0].n)
            json_key(&line, NULL);
        buf_text_append(&line, part[0]);
        if (folded)
            buf_printf(&line, ",\"repeated\":%llu", n);
        json_key(&line, "message");
        if (folded) /* part[1] begins with its quote */
            buf_printf(&line, "\"last message repeated %llu times: %.*s", n,
                       part[1].n ? (int)part[1].n - 1 : 1, part[1].n ? part[1].p + 1 : "\"");
        else
            buf_text_append(&line, part[1]);
        buf_char(&line, '}');
    } else {
        buf_printf(&line, "%s [%ld] %s ", when, (long)getpid(), levels[lv].name);
        head = buf_len(&line);
        buf_text_append(&line, part[0]);
        if (folded)
            buf_printf(&line, "last message repeated %llu times: ", n);
        buf_text_append(&line, part[1]);
    }
    buf_char(&line, '\n');
    if (!line.failed) {
        const char *data = buf_data(&line);
        size_t len = buf_len(&line);
        int fd = atomic_load(&l->fd);
        if (!l->quiet)
            write_all(STDERR_FILENO, data, len);
        if (fd >= 0)
            write_all(fd, data, len);
        if (atomic_load(&l->syslog))
            syslog(levels[lv].priority, "%.*s", (int)(len - head - 1), data + head);
    }
    buf_release(&line);
}

#define FOLDED_JSON 0x100 /* with the level of a folded line: its pieces are JSON */

static void emit_due(struct log *l, struct repeat_due *d)
{
    const struct text part[2] = { text_n(d->piece[0], d->n[0]), text_n(d->piece[1], d->n[1]) };

    if (d->count)
        emit(l, (enum log_level)(d->level & ~FOLDED_JSON), d->level & FOLDED_JSON, part, d->count);
    repeat_due_free(d);
}

/* Is it to be written, or has it been folded? */
static bool is_due(struct log *l, enum log_level lv, bool json, const struct log_about *a,
                   const struct pieces *p)
{
    int64_t limit = atomic_load_explicit(&l->repeat_limit, memory_order_relaxed);
    struct repeat *r = atomic_load_explicit(&l->repeat, memory_order_acquire);
    const struct text part[2] = { buf_text(&p->part[0]), buf_text(&p->part[1]) };
    struct repeat_due due;
    bool first;

    if (!a || !a->kind || limit <= 0 || !r)
        return true;
    const struct repeat_key k = { text_of(a->kind), a->subject };
    bool write =
        repeat_count(r, &k, (int)lv | (json ? FOLDED_JSON : 0), clock_mono_us(), limit,
                     atomic_load_explicit(&l->repeat_period, memory_order_relaxed), &first, &due);
    emit_due(l, &due);
    if (first)
        repeat_keep(r, &k, part);
    return write;
}

void log_put(struct log *l, enum log_level lv, const struct log_about *a, struct text message)
{
    struct pieces p;
    int error = errno;

    if (!log_wants(l, lv))
        return;
    bool json = atomic_load_explicit(&l->format, memory_order_relaxed) == LOG_JSON;
    make_pieces(&p, json, a, message);
    if (!p.part[0].failed && !p.part[1].failed && is_due(l, lv, json, a, &p)) {
        const struct text part[2] = { buf_text(&p.part[0]), buf_text(&p.part[1]) };
        emit(l, lv, json, part, 0);
    }
    pieces_release(&p);
    errno = error;
}

/* ---- folding ---- */

static void say_folded(struct log *l, bool all)
{
    struct repeat *r = atomic_load(&l->repeat);
    struct repeat_due due;

    while (r && repeat_take(r, clock_mono_us(), all, &due))
        emit_due(l, &due);
}

void log_set_format(struct log *l, enum log_format f)
{
    if (atomic_load(&l->format) == (int)f)
        return;
    say_folded(l, true);
    atomic_store(&l->format, (int)f);
}

void log_fold(struct log *l, int64_t limit, uint64_t period)
{
    if (limit > 0 && !atomic_load(&l->repeat))
        atomic_store(&l->repeat, repeat_new()); /* without memory nothing is folded */
    atomic_store(&l->repeat_period, period);
    atomic_store(&l->repeat_limit, limit);
    if (limit <= 0)
        say_folded(l, true);
}

void log_second(struct log *l)
{
    say_folded(l, false);
}

void log_fold_stats(const struct log *l, uint64_t *folded, uint64_t *kinds)
{
    struct repeat *r = atomic_load(&l->repeat);
    struct repeat_stats s = r ? repeat_stats(r) : (struct repeat_stats){ 0 };

    *folded = s.folded;
    *kinds = s.kinds;
}

void log_close(struct log *l)
{
    say_folded(l, true);
    repeat_free(atomic_exchange(&l->repeat, NULL));
    log_syslog(l, false, NULL, NULL);
    int fd = atomic_exchange(&l->fd, -1);
    if (fd >= 0)
        close(fd);
}

/* ---- formatted lines ---- */

__attribute__((format(printf, 4, 0)))
static void format_line(struct log *l, enum log_level lv, const struct log_about *a,
                        const char *fmt, va_list ap)
{
    int error = errno;
    char room[LINE_ROOM];
    char *text = room;
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(room, sizeof(room), fmt, ap);
    if (n >= (int)sizeof(room)) {
        text = malloc((size_t)n + 1);
        if (text) {
            errno = error;
            n = vsnprintf(text, (size_t)n + 1, fmt, again);
        } else {
            text = room; /* memory is short: the beginning must do */
            n = sizeof(room) - 1;
        }
    }
    va_end(again);
    if (n >= 0)
        log_put(l, lv, a, text_n(text, (size_t)n));
    if (text != room)
        free(text);
    errno = error;
}

void log_write(struct log *l, enum log_level lv, const char *fmt, ...)
{
    va_list ap;

    if (!log_wants(l, lv))
        return;
    va_start(ap, fmt);
    format_line(l, lv, NULL, fmt, ap);
    va_end(ap);
}

void log_often(struct log *l, enum log_level lv, struct text subject, const char *fmt, ...)
{
    va_list ap;

    if (!log_wants(l, lv))
        return;
    const struct log_about a = { .subject = subject, .kind = fmt };
    va_start(ap, fmt);
    format_line(l, lv, &a, fmt, ap);
    va_end(ap);
}
