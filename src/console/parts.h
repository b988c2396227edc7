/* SPDX-License-Identifier: ISC */
/*
 * What workers tell a question of the console (struct ask_part) when it is not rows yet: numbers
 * and texts one after the other, merged on the control thread.
 */
#ifndef CONSOLE_PARTS_H
#define CONSOLE_PARTS_H

#include "console/internal.h"

/* Writing, on a worker. Out of memory shows in b->failed. */
void part_put_uint(struct buf *b, uint64_t v);
void part_put_text(struct buf *b, struct text t);

/* Reading what was so written: takes it off *rest; what is not there reads as zeros. Texts point
 * into the part. */
void part_take(struct text *rest, void *to, size_t n);
uint64_t part_take_uint(struct text *rest);
struct text part_take_text(struct text *rest);

/* false: a worker had no memory for its part; the error was sent. */
bool parts_whole(struct admin *a, const struct ask *ask);

/* Different things that workers told of, by key, in the order of their coming. */
struct merged {
    struct arena arena;
    struct map by_key;
    void **v;
    size_t n, cap;
};

/* Takes one thing off *rest, and adds it or what it says to m. false: out of memory. */
typedef bool merge_fn(struct merged *m, struct text *rest);

/* Merges all parts and sorts what comes of it (cmp as qsort's, of pointers to pointers). The caller
 * releases m; false: out of memory, the error was sent and m is released. */
bool parts_merge(struct admin *a, const struct ask *ask, struct merged *m, merge_fn *take,
                 int (*cmp)(const void *, const void *)) MUST_CHECK;
void merged_release(struct merged *m);
/* A new key; both live as long as m. false: out of memory. */
bool merged_add(struct merged *m, struct text key, void *value) MUST_CHECK;

#endif
