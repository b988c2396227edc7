/* SPDX-License-Identifier: ISC */
/* A stack that senders push on and the receiver takes whole and turns round; see mailbox.h. */
#include "base/mailbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool mailbox_init(struct mailbox *m)
{
    atomic_init(&m->top, NULL);
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return m->fd >= 0;
}

void mailbox_release(struct mailbox *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    struct mail *top = atomic_load_explicit(&m->top, memory_order_relaxed);
    do {
        mail->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&m->top, &top, mail, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on the mail belongs to the receiver. Who found the box empty rings the bell. */
    if (!top) {
        uint64_t one = 1;
        while (write(m->fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

struct mail *mailbox_take(struct mailbox *m)
{
    /* Clear first: a mail that comes in between rings again, at worst for nothing. */
    uint64_t count;
    while (read(m->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    struct mail *top = atomic_exchange_explicit(&m->top, NULL, memory_order_acquire);
    struct mail *first = NULL;
    while (top) {
        struct mail *next = top->next;
        top->next = first;
        first = top;
        top = next;
    }
    return first;
}
