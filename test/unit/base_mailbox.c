/* SPDX-License-Identifier: ISC */
/* Mailbox: order, the bell, and many senders at once (run it under ThreadSanitizer too). */
#include "base/mailbox.h"
#include "tap.h"

#include <poll.h>
#include <pthread.h>

enum { SENDERS = 4, MAILS = 20000 };

struct letter {
    struct mail mail;
    int sender, number;
};

struct sender {
    struct mailbox *to;
    int id;
    pthread_t thread;
};

static bool rings(const struct mailbox *m)
{
    struct pollfd p = { .fd = m->fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static void test_alone(void)
{
    struct mailbox m;
    struct letter l[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
    ok(mailbox_init(&m), "made");
    ok(!rings(&m) && !mailbox_take(&m), "a new box is empty and silent");
    for (int i = 0; i < 3; i++)
        mailbox_post(&m, &l[i].mail);
    ok(rings(&m), "the bell rings");
    struct mail *first = mailbox_take(&m);
    ok(first == &l[0].mail && first->next == &l[1].mail && l[1].mail.next == &l[2].mail &&
           !l[2].mail.next,
       "oldest first");
    ok(!rings(&m) && !mailbox_take(&m), "empty and silent again");
    mailbox_post(&m, &l[0].mail);
    ok(rings(&m) && mailbox_take(&m) == &l[0].mail, "used again");
    mailbox_release(&m);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < MAILS; i++) {
        struct letter *l = malloc(sizeof(*l));
        if (!l)
            abort();
        *l = (struct letter){ .mail = { .kind = 7 }, .sender = s->id, .number = i };
        mailbox_post(s->to, &l->mail);
    }
    return NULL;
}

static void test_crowd(void)
{
    struct mailbox m;
    struct sender senders[SENDERS];
    int next[SENDERS] = { 0 }, got = 0;
    bool ordered = true, whole = true, late = false;
    if (!mailbox_init(&m))
        abort();
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .to = &m, .id = i };
        if (pthread_create(&senders[i].thread, NULL, send_all, &senders[i]) != 0)
            abort();
    }
    while (got < SENDERS * MAILS && !late) {
        struct pollfd p = { .fd = m.fd, .events = POLLIN };
        late = poll(&p, 1, 20000) == 0; /* a lost wake-up ends here */
        for (struct mail *it = mailbox_take(&m); it;) {
            struct letter *l = (struct letter *)it;
            it = it->next;
            ordered = ordered && l->number == next[l->sender]++;
            whole = whole && l->mail.kind == 7;
            got++;
            free(l);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    is_int(got, SENDERS * MAILS, "each mail arrived once");
    ok(!late, "no wake-up was lost");
    ok(ordered, "in order per sender");
    ok(whole, "with its content");
    ok(!mailbox_take(&m), "nothing is left");
    mailbox_release(&m);
}

int main(void)
{
    test_alone();
    test_crowd();
    return tap_done();
}
