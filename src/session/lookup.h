/* SPDX-License-Identifier: ISC */
/* Looking users up in a database (auth_query): what a worker asks, and the answer's mail. */
#ifndef SESSION_LOOKUP_H
#define SESSION_LOOKUP_H

#include "session/engine.h"

#define LOOKUP_CLAIMS 32

/* Asked by a worker; belongs to whoever answers. */
struct lookup_ask {
    struct list node; /* of the answerer's queue */
    struct engine *engine;
    uint64_t client;           /* client.id */
    const struct setup *setup; /* referenced */
    char *db_name, *user;      /* malloc */
};
/* NULL: out of memory. */
struct lookup_ask *lookup_ask_new(struct client *c);
void lookup_ask_free(struct lookup_ask *a);

enum lookup_result { LOOKUP_FOUND, LOOKUP_NOBODY, LOOKUP_FAILED };

/* The answer; one piece of memory, wiped by the receiver. Texts are in bytes, with a NUL behind. */
struct mail_lookup {
    struct mail mail;
    uint64_t client;
    enum lookup_result result;
    struct text user, secret; /* secret empty: NULL, or none that can match */
    struct text tenant;       /* p NULL: none */
    struct claim claims[LOOKUP_CLAIMS];
    int n_claims;
    char text[200]; /* FAILED: for the client */
    size_t n_bytes;
    char bytes[];
};

/* Sends the answer: the mail is given away. Any thread. */
void lookup_post(const struct lookup_ask *a, struct mail_lookup *m);

/* On the engine's thread: the client's login goes on. Wipes the mail's bytes; on_mail frees it. */
void client_looked_up(struct engine *e, struct mail_lookup *m);

#endif
