/* SPDX-License-Identifier: ISC */
/* A client's login in progress, for the files it goes through: client_startup.c (first packets),
 * client_auth.c (who is it), client_login.c (places, tenant, welcome). Engine's thread. */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include "auth/access.h"
#include "auth/outside.h"
#include "session/identity.h"

enum login_phase {
    PHASE_STARTUP,
    PHASE_TLS,
    PHASE_LOOKUP,
    PHASE_PASSWORD,
    PHASE_PROOF, /* PAM, a directory, the system is being asked */
    PHASE_WELCOME
};

/* How a login is proven: auth_type, or the method of its rule in auth_hba_file. */
enum login_how {
    HOW_ANY,
    HOW_TRUST,
    HOW_PLAIN,
    HOW_MD5,
    HOW_SCRAM,
    HOW_CERT,
    HOW_PEER,
    HOW_PAM,
    HOW_LDAP
};

struct client_login {
    enum login_phase phase;
    enum login_how how;
    const struct hba_rule *rule; /* auth_type=hba: the one that holds; of c->setup */
    struct login_check *check;
    char *typed;                    /* the password sent for PAM or LDAP, malloc, wiped; or NULL */
    const struct database_conf *db; /* NULL: no such database; told after the password was right */
    struct pool *pool;
    struct vars vars; /* from the startup packet */
    bool auth_done;
    bool ssl_asked, gss_asked;
    bool direct; /* TLS without SSLRequest */
    bool has_search_path;
    bool token_password; /* the password is a token */
    struct login_given given;
    bool looked_up;      /* auth_query has the user */
    char *looked_secret; /* malloc, wiped; NULL: none */
};

/* Counts a login that is refused. The caller closes the client. */
void client_reject(struct client *c, enum reject_reason why);

/* client_startup.c: a packet of the phase STARTUP, at data of which n bytes are there. Bytes used;
 * 0: it must be whole first. The client may be closed. */
size_t client_startup_input(struct client *c, char *data, size_t n);

/* client_auth.c: the startup packet is read (names, db); asks for what proves the user. Ends in
 * client_login_proven, or closes the client. */
void client_auth_begin(struct client *c);
/* PAM, a directory or the system has answered. */
void client_auth_answered(struct client *c, enum outside_answer answer);
/* Body of a password message. */
void client_auth_message(struct client *c, const char *body, size_t n);
/* Is it the process's own uid over the Unix socket, under one of the console's two names? */
bool client_own_uid(const struct client *c);
/* Keeps what the client proved, for logging in to servers as the same user. false: no memory. */
bool client_auth_keep(struct client *c);
/* The pool's servers may log in with what its latest client proved. */
void client_auth_share(struct client *c);

/* client_login.c: password (or whatever was asked for) is right. */
void client_login_proven(struct client *c);

#endif
