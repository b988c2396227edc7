/* SPDX-License-Identifier: ISC */
/*
 * The replies a server owes, in order: one entry for each message that has an answer, our own
 * included, and one for each answer that we make ourselves. A server goes back to the pool only
 * with an empty queue.
 */
#ifndef SESSION_PENDING_H
#define SESSION_PENDING_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "wire/traceparent.h"

enum pend_kind {
    PEND_QUERY,      /* until ReadyForQuery */
    PEND_FUNCTION,   /* until ReadyForQuery */
    PEND_PARSE,      /* 1 */
    PEND_BIND,       /* 2 */
    PEND_DESCRIBE_S, /* t, then T or n */
    PEND_DESCRIBE_P, /* T or n */
    PEND_EXECUTE,    /* C, I, s */
    PEND_CLOSE,      /* 3 */
    PEND_SYNC,       /* Z */
    PEND_COPY_END    /* CopyDone or CopyFail went out here; no answer of its own */
};

enum pend_action {
    PEND_FORWARD,
    PEND_DROP,  /* our own message: its answer is dropped, an error is forwarded */
    PEND_OWN,   /* our own batch (SET, reset query, check query): everything is dropped, an error is
                   remembered */
    PEND_FAKE,  /* nothing was sent: the answer stands in `bytes` */
    PEND_REFUSE /* a message that must fail was sent: the server's error is replaced by `bytes` */
};

/* What to take back when the server skips the message after an error. */
enum pend_undo { UNDO_NONE, UNDO_NAMED_PARSE, UNDO_NAMED_CLOSE, UNDO_UNNAMED, UNDO_SERVER_STMT };

struct profile;
struct stmt;
struct tenant_engine;
struct verdict;
struct pend {
    uint8_t kind, action, undo;
    uint8_t trim;      /* added parameters to take out of the ParameterDescription */
    bool may_fail;     /* OWN, DROP: its failure means nothing */
    uint8_t set_front, set_back; /* Query: answers to our own commands in front and behind */
    int n_commands, n_done;      /* ... those of the client's commands; all seen so far */
    uint8_t note;      /* session's own use */
    uint8_t sort;      /* enum query_kind: what ReadyForQuery ends */
    bool failed;       /* with a profile: its error was counted, its end is to come */
    bool rows_only;    /* DESCRIBE_P: NoData is dropped */
    struct traceparent trace; /* of the client's statement that it runs */
    struct stmt *stmt; /* undo: the statement (a reference) */
    char *name;        /* undo: its client name, malloc */
    char *bytes;       /* FAKE, REFUSE, a refused COPY: malloc */
    uint32_t n_bytes;
    uint32_t vars;               /* OWN: tracked parameters that it sets, as bits */
    struct verdict *verdict;     /* of the tenant's text that was sent (a reference), or NULL */
    struct tenant_engine *judge; /* its engine */
    struct profile *profile; /* what it runs (profile.h), held; NULL: nothing that is counted */
    usec_t sent_at;          /* with a profile */
    uint32_t copy; /* number of the tenant's COPY FROM that this awaits the answer of, 0 = none */
};

struct pending {
    struct pend *ring;
    uint32_t head, n, cap; /* cap is a power of two */
};

static inline bool pending_empty(const struct pending *p)
{
    return p->n == 0;
}
static inline struct pend *pending_at(const struct pending *p, uint32_t i)
{
    return &p->ring[(p->head + i) & (p->cap - 1)];
}
static inline struct pend *pending_head(const struct pending *p)
{
    return p->n ? pending_at(p, 0) : NULL;
}
static inline struct pend *pending_last(const struct pending *p)
{
    return p->n ? pending_at(p, p->n - 1) : NULL;
}
/* What batches behind a failed one did: the first of each, in entries of the queue. */
struct pend_later {
    struct pend *unnamed; /* replaced the unnamed statement; NULL: none did */
    struct map closes;    /* name → entry that closed it */
    bool named;           /* there is a map */
};
/* Looks from that entry on; to be released before entries are pushed or taken off. */
void pending_later(const struct pending *q, uint32_t from, struct pend_later *l);
/* NULL: none closed it. */
struct pend *pending_later_close(const struct pend_later *l, const char *name);
void pending_later_release(struct pend_later *l);
/* A new zeroed entry at the end; NULL: out of memory. */
struct pend *pending_push(struct pending *p, enum pend_kind kind, enum pend_action action);
/* Takes the head off; its name, bytes and stmt are freed. */
void pending_pop(struct pending *p);
/* Takes the last one off, same freeing. */
void pending_unpush(struct pending *p);
void pending_release(struct pending *p);
/* The entry's message holds the text of that verdict (NULL: of none). */
void pend_judged(struct pend *e, struct tenant_engine *judge, struct verdict *v);

#endif
