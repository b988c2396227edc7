/* SPDX-License-Identifier: ISC */
/*
 * Messages between threads: many senders, one receiver, first in first out per sender, with an
 * eventfd that is readable while the box may hold something. The only way threads hand objects to
 * one another.
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

/* Head of every message; embed it first. The sender gives the message away. */
struct mail {
    struct mail *next;
    int kind; /* the receiver's own numbering */
};

struct mailbox {
    _Atomic(struct mail *) top;
    int fd; /* eventfd, nonblocking */
};

/* false: no descriptor to be had (errno). */
bool mailbox_init(struct mailbox *m) __attribute__((warn_unused_result));
void mailbox_release(struct mailbox *m);

/* Any thread. Writes the eventfd only when the box was empty. */
void mailbox_post(struct mailbox *m, struct mail *mail);
/* Receiver: clears the eventfd and takes all messages, oldest first, chained by next; NULL when
 * none. */
struct mail *mailbox_take(struct mailbox *m);

#endif
