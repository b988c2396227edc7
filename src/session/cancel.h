/* SPDX-License-Identifier: ISC */
/*
 * Who asks for a cancel, and what is under way. Whoever asks is kept connected until the server has
 * been told, as PostgreSQL does it: libpq's PQcancel returns when the connection ends.
 */
#ifndef SESSION_CANCEL_H
#define SESSION_CANCEL_H

#include "session/client.h"

/* The connection that a request has come over. */
struct cancel_asker {
    int worker;
    uint64_t client; /* its id; 0: nobody waits for the end */
    const void *ptr;
    usec_t connected_at;
    struct sockaddr_storage peer, local;
};

/* A request under way to a server. */
struct cancel_info {
    const struct shard *shard;
    const struct conn *conn; /* to the server */
    const char *host;
    const struct cancel_asker *asker;
    const void *ptr;
    uint64_t id;
    uint32_t pid; /* of the backend that is canceled */
    usec_t started;
};

/* Each one of the engine's: *pos starts as NULL; false at the end. Own thread only. */
bool cancel_next(const struct engine *e, struct list **pos, struct cancel_info *out);

/* An engine is done with the request of that client (the id, of this engine): when all are, the
 * connection is closed. timed_out: it gave up after cancel_wait_timeout. */
void cancel_answered(struct engine *e, uint64_t client, bool timed_out);
/* The same for whoever asked, on whichever engine. Out of memory: it is let go by its own time
 * limit. */
void cancel_answer(struct engine *e, const struct cancel_asker *a, bool timed_out);

#endif
