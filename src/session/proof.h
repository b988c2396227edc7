/* SPDX-License-Identifier: ISC */
/* Proofs that take time: PAM, LDAP, the system user behind a Unix socket. What a worker asks, and
 * the answer's mail. */
#ifndef SESSION_PROOF_H
#define SESSION_PROOF_H

#include "auth/access.h"
#include "auth/outside.h"
#include "session/engine.h"

#include <sys/types.h>

enum proof_kind { PROOF_PAM, PROOF_LDAP, PROOF_PEER };

/* Asked by a worker; belongs to whoever answers. */
struct proof_ask {
    struct list node; /* of the answerer's queue */
    enum proof_kind kind;
    struct engine *engine;
    uint64_t client;             /* client.id */
    const struct setup *setup;   /* referenced; the rule lives there */
    const struct hba_rule *rule; /* NULL: by auth_type alone */
    char *user;                  /* malloc */
    char *password;              /* malloc, wiped; NULL for PEER */
    char rhost[64];
    uid_t uid;      /* PEER */
    usec_t give_up; /* clock_mono_us: nobody waits for the answer any more */
};
/* password: copied. NULL: out of memory, or the peer's uid is not to be had. */
struct proof_ask *proof_ask_new(struct client *c, enum proof_kind kind, const struct hba_rule *rule,
                                struct text password);
void proof_ask_free(struct proof_ask *a);

/* The answer. */
struct mail_proof {
    struct mail mail;
    uint64_t client;
    enum outside_answer answer;
};

/* Sends the answer; out of memory: client_login_timeout ends the login. Any thread. */
void proof_post(const struct proof_ask *a, enum outside_answer answer);

/* On the engine's thread: the client's login goes on. */
void client_proof_came(struct engine *e, const struct mail_proof *m);

#endif
