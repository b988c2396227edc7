/* SPDX-License-Identifier: ISC */
/*
 * Who repeats itself: lines of one kind are counted per period, and beyond a limit folded into one
 * that says how many there were. The table is bounded; what is pushed out of it is said first. Any
 * thread; a mutex of its own, held while one entry is looked at, never while anything is written.
 */
#ifndef BASE_REPEAT_H
#define BASE_REPEAT_H

#include "base/clock.h"
#include "base/text.h"

#define REPEAT_ENTRIES 1024 /* kinds that are counted at once */

struct repeat;

/* NULL: out of memory. */
struct repeat *repeat_new(void);
/* NULL is fine. What is still folded is lost: take it first. */
void repeat_free(struct repeat *r);

/* A summary that is due: the folded line's pieces as they were given, to be freed by the taker. */
struct repeat_due {
    uint64_t count; /* lines that were not written, 0 = nothing is due */
    int level;
    char *piece[2]; /* malloc, or NULL: out of memory at that time */
    size_t n[2];
};
void repeat_due_free(struct repeat_due *d);

/* Which line: its kind, and whose it is. */
struct repeat_key {
    struct text kind, subject;
};

/* Counts a line of that kind. true: write it; false: it is folded, and *first says that its pieces
 * are wanted (repeat_keep). due: a summary that has to be written before, of this kind or of one
 * that made room. limit: lines per period (microseconds). level: the
 * caller's, comes back with the summary. */
bool repeat_count(struct repeat *r, const struct repeat_key *k, int level, usec_t now,
                  int64_t limit, usec_t period, bool *first, struct repeat_due *due);
/* Keeps the pieces (copied) of the first folded line for its summary. */
void repeat_keep(struct repeat *r, const struct repeat_key *k, const struct text piece[2]);
/* Takes one summary whose period is over (all: however old). false: there is none. */
bool repeat_take(struct repeat *r, usec_t now, bool all, struct repeat_due *due);

struct repeat_stats {
    uint64_t folded; /* lines, ever */
    uint64_t kinds;  /* in the table */
};
struct repeat_stats repeat_stats(struct repeat *r);

#endif
