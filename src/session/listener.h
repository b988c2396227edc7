/* SPDX-License-Identifier: ISC */
/*
 * The one connection of a pool that listens for all of its clients. It belongs to the worker whose
 * client was the first to listen, for good; the others write mails. It counts against
 * max_db_connections and max_user_connections, not against the pool's size.
 */
#ifndef SESSION_LISTENER_H
#define SESSION_LISTENER_H

#include "session/session.h"

/* A worker's request: LISTEN to the names (each with a NUL behind it), answered by MAIL_HEARD when
 * all that was notified before has been passed on; or (off) UNLISTEN, without an answer. */
struct mail_listen {
    struct mail mail;
    struct list node;
    struct pool *pool;
    int from;
    uint64_t token; /* of the asking worker's own */
    bool off;
    size_t n;
    char names[];
};
/* Answer to the request of that token. */
struct mail_heard {
    struct mail mail;
    struct pool *pool;
    uint64_t token;
    bool ok;
    char state[6], text[300]; /* not ok */
};
/* A NotificationResponse, whole. */
struct mail_note {
    struct mail mail;
    struct pool *pool;
    size_t n;
    char bytes[];
};
/* MAIL_DEAF: a mail_pool; all who listened have lost the connection. */

/* The worker that the pool's listener belongs to; this one when there is none yet. */
struct engine *listener_owner(struct engine *e, struct pool *p);
/* A request, given away. Owner's thread. */
void listener_mail(struct engine *e, struct mail_listen *m);
/* Login done (and connect_query). */
void listener_ready(struct server *s);
/* ReadyForQuery of one of our Queries. */
void listener_answered(struct server *s);
/* A notification. */
void listener_note(struct server *s, const char *m, uint32_t len);
/* The connection is about to be closed. */
void listener_lost(struct server *s, const char *sqlstate, const char *text);
/* Since when nobody has listened; 0: somebody does. */
usec_t listener_idle_since(const struct server *s);
/* At the end of the engine. */
void listener_release(struct shard *sh);

#endif
