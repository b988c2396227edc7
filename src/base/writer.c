/* SPDX-License-Identifier: ISC */
/* A mailbox of lines and the thread that writes them. */
#include "base/writer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_WAITING (16 << 20) /* bytes */
#define REPORT_EVERY (10 * USEC_PER_SEC)
#define POLL_MS 10000
#define BATCH (256 << 10) /* bytes that are written at once */

enum kind { KIND_LINE, KIND_FILE, KIND_STOP };

struct item {
    struct mail mail;
    int fd; /* KIND_FILE: the new one, -1 = none */
    size_t n;
    char line[];
};

struct writer {
    struct log *log;
    const char *what;
    struct mailbox box;
    struct mail stop; /* the last mail */
    pthread_t thread;
    _Atomic size_t waiting; /* bytes */
    _Atomic bool open;
    _Atomic uint64_t written, dropped;
    /* the thread's own */
    int fd;
    struct buf batch;
    uint64_t batched;  /* lines in it */
    uint64_t reported; /* drops that the log knows of */
    usec_t reported_at;
};

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static void flush(struct writer *w)
{
    size_t n = buf_len(&w->batch);

    if (w->batched == 0)
        return;
    bool ok = !w->batch.failed && w->fd >= 0 && write_all(w->fd, buf_data(&w->batch), n);
    atomic_fetch_add(ok ? &w->written : &w->dropped, w->batched);
    w->batched = 0;
    if (w->batch.failed || w->batch.cap > 2 * BATCH) {
        buf_release(&w->batch);
        buf_init(&w->batch);
    }
    buf_clear(&w->batch);
}

static void report(struct writer *w)
{
    uint64_t dropped = atomic_load(&w->dropped);

    if (dropped == w->reported ||
        (w->reported_at && clock_mono_us() - w->reported_at < REPORT_EVERY))
        return;
    w->reported_at = clock_mono_us();
    log_error(w->log, "%s: %llu lines were lost (%llu in all)", w->what,
              (unsigned long long)(dropped - w->reported), (unsigned long long)dropped);
    w->reported = dropped;
}

static void handle(struct writer *w, struct item *it)
{
    switch ((enum kind)it->mail.kind) {
    case KIND_LINE:
        buf_append(&w->batch, it->line, it->n);
        buf_char(&w->batch, '\n');
        w->batched++;
        atomic_fetch_sub(&w->waiting, sizeof(*it) + it->n);
        if (buf_len(&w->batch) >= BATCH)
            flush(w);
        break;
    case KIND_FILE:
        flush(w);
        if (w->fd >= 0)
            close(w->fd);
        w->fd = it->fd;
        break;
    case KIND_STOP:
        break;
    }
}

static void *work(void *arg)
{
    struct writer *w = arg;
    struct pollfd p = { .fd = w->box.fd, .events = POLLIN };
    bool more = true;

    while (more) {
        struct mail *m = mailbox_take(&w->box);
        if (!m) {
            report(w);
            poll(&p, 1, atomic_load(&w->dropped) == w->reported ? -1 : POLL_MS);
            continue;
        }
        while (m) {
            struct mail *next = m->next;
            if (m == &w->stop) {
                more = false;
            } else {
                handle(w, (struct item *)m);
                free(m);
            }
            m = next;
        }
        flush(w);
        report(w);
    }
    return NULL;
}

struct writer *writer_start(struct log *log, const char *what)
{
    struct writer *w = calloc(1, sizeof(*w));

    if (!w || !mailbox_init(&w->box)) {
        free(w);
        return NULL;
    }
    w->log = log;
    w->what = what;
    w->fd = -1;
    buf_init(&w->batch);
    int rc = thread_start(&w->thread, 0, work, w);
    if (rc == 0)
        return w;
    mailbox_release(&w->box);
    free(w);
    return NULL;
}

static bool post(struct writer *w, enum kind kind, int fd)
{
    struct item *it = malloc(sizeof(*it));

    if (!it)
        return false;
    *it = (struct item){ .mail.kind = kind, .fd = fd };
    mailbox_post(&w->box, &it->mail);
    return true;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    w->stop.kind = KIND_STOP;
    mailbox_post(&w->box, &w->stop);
    pthread_join(w->thread, NULL);
    if (w->fd >= 0)
        close(w->fd);
    buf_release(&w->batch);
    mailbox_release(&w->box);
    free(w);
}

bool writer_open(struct writer *w, const char *path)
{
    int fd = -1;

    if (*path) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
        if (fd < 0)
            return false;
    }
    if (!post(w, KIND_FILE, fd)) {
        if (fd >= 0)
            close(fd);
        errno = ENOMEM;
        return false;
    }
    atomic_store(&w->open, fd >= 0);
    return true;
}

bool writer_is_open(const struct writer *w)
{
    return atomic_load_explicit(&w->open, memory_order_relaxed);
}

void writer_put(struct writer *w, const char *line, size_t n)
{
    size_t size = sizeof(struct item) + n;
    struct item *it = NULL;

    if (atomic_fetch_add(&w->waiting, size) + size <= MAX_WAITING)
        it = malloc(size);
    if (!it) {
        atomic_fetch_sub(&w->waiting, size);
        atomic_fetch_add(&w->dropped, 1);
        return;
    }
    *it = (struct item){ .mail.kind = KIND_LINE, .fd = -1, .n = n };
    memcpy(it->line, line, n);
    mailbox_post(&w->box, &it->mail);
}

struct writer_stats writer_stats(const struct writer *w)
{
    return (struct writer_stats){ atomic_load(&w->written), atomic_load(&w->dropped) };
}
