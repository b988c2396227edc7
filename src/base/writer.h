/* SPDX-License-Identifier: ISC */
/*
 * Lines for a file, written by a thread of its own, so that no other thread waits for a disk. What
 * is waiting is bounded; what does not fit is dropped and counted, never waited for.
 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

struct writer;

/* Starts the thread (all signals blocked), without a file. what: its lines' name in log messages
 * (borrowed). NULL: no memory, descriptor or thread. */
struct writer *writer_start(struct log *log, const char *what) __attribute__((warn_unused_result));
/* Writes what waits, ends the thread, closes the file; nobody may put lines any more. NULL is fine.
 */
void writer_stop(struct writer *w);

/* Opens the file for appending (mode 0640), or opens it again after it was moved away; "" closes.
 * Lines put before go to the file before. A pipe without a reader is refused. One thread only.
 * false: errno; the old file stays. */
bool writer_open(struct writer *w, const char *path) __attribute__((warn_unused_result));

/* Is there a file? Any thread. */
bool writer_is_open(const struct writer *w);
/* One line without its end. Any thread. */
void writer_put(struct writer *w, const char *line, size_t n);

struct writer_stats {
    uint64_t written, dropped; /* lines; dropped: for want of room or memory, or a failed write */
};
/* Any thread. */
struct writer_stats writer_stats(const struct writer *w);

#endif
