/* SPDX-License-Identifier: ISC */
/* Writing log lines: composed in memory, written by one write(2) to each place. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

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

void log_close(struct log *l)
{
    log_syslog(l, false, NULL, NULL);
    int fd = atomic_exchange(&l->fd, -1);
    if (fd >= 0)
        close(fd);
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

static void emit(struct log *l, enum log_level lv, const char *p, size_t n)
{
    char when[64];
    struct buf line;
    buf_init(&line);
    clock_format(clock_wall_us(), 1, when, sizeof(when));
    buf_printf(&line, "%s [%ld] %s ", when, (long)getpid(), levels[lv].name);
    size_t head = buf_len(&line);
    escape(&line, p, n);
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

void log_write(struct log *l, enum log_level lv, const char *fmt, ...)
{
    if (!log_wants(l, lv))
        return;
    int error = errno;
    char room[LINE_ROOM];
    char *text = room;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room, sizeof(room), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(room)) {
        text = malloc((size_t)n + 1);
        if (text) {
            errno = error;
            va_start(ap, fmt);
            n = vsnprintf(text, (size_t)n + 1, fmt, ap);
            va_end(ap);
        } else {
            text = room; /* memory is short: the beginning must do */
            n = sizeof(room) - 1;
        }
    }
    if (n >= 0)
        emit(l, lv, text, (size_t)n);
    if (text != room)
        free(text);
    errno = error;
}
