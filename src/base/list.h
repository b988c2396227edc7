/* SPDX-License-Identifier: ISC */
/*
 * Intrusive doubly linked list with a head of the same type. An unlinked node points to itself
 * after list_del, so list_del twice and list_linked are safe.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Is the node on some list? (nodes must have been list_init'ed) */
static inline bool list_linked(const struct list *n)
{
    return n->next != n;
}

static inline void list_insert_before(struct list *pos, struct list *n)
{
    n->prev = pos->prev;
    n->next = pos;
    pos->prev->next = n;
    pos->prev = n;
}

static inline void list_push_tail(struct list *l, struct list *n)
{
    list_insert_before(l, n);
}

static inline void list_push_head(struct list *l, struct list *n)
{
    list_insert_before(l->next, n);
}

static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* First or last node, NULL when empty. */
static inline struct list *list_first(const struct list *l)
{
    return list_empty(l) ? NULL : l->next;
}

static inline struct list *list_last(const struct list *l)
{
    return list_empty(l) ? NULL : l->prev;
}

/* First node taken off, NULL when empty. */
static inline struct list *list_pop(struct list *l)
{
    struct list *n = list_first(l);
    if (n)
        list_del(n);
    return n;
}

/* Number of nodes; linear. */
static inline size_t list_count(const struct list *l)
{
    size_t n = 0;
    for (const struct list *i = l->next; i != l; i = i->next)
        n++;
    return n;
}

#define LIST_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
/* The body may not unlink `it`. */
#define LIST_FOREACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The body may unlink `it`, nothing else. */
#define LIST_FOREACH_SAFE(it, tmp, head)                                                           \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
