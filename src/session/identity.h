/* SPDX-License-Identifier: ISC */
/* Who a client is for the tenant engine: at its login, and by SET later. Engine's thread. */
#ifndef SESSION_IDENTITY_H
#define SESSION_IDENTITY_H

#include "auth/token.h"
#include "conf/identity.h"
#include "session/session.h"

/* What the startup packet and the exchange of passwords gave. Texts live in the client's arena. */
struct login_given {
    struct text tenant; /* startup parameter; p NULL: not given */
    struct text token;  /* startup parameter; wiped when it was read */
    struct {
        bool there;
        struct text tenant;
        const struct claim *claims;
        int n_claims;
        int64_t exp;
    } password_token; /* the token that was the password */
    /* from auth_query */
    struct text looked_tenant; /* p NULL: none */
    const struct claim *looked_claims;
    int n_looked_claims;
};

/* Kept of a client whose database knows tenants. */
struct client_ident {
    struct identity own; /* the login's */
    int64_t own_exp;     /* seconds since 1970 at which the login's token ends; 0 = no token */
    int64_t exp;         /* the same of the identity in force */
    struct arena arena;  /* of a switched identity */
    struct map stmts;    /* statements of ours by name (client_switch.c) */
    struct switch_kept *portal;
    char *portal_name; /* malloc */
};

/* A startup parameter that is about the tenant. false: not one of ours. *ok false: e. */
bool identity_param(struct client *c, struct login_given *g, struct text name, struct text value,
                    bool *ok, struct err *e);
/* The password is a token, and the user logs in with it. false: e (28P01). */
bool identity_password(struct client *c, struct login_given *g, struct text password,
                       struct err *e);
/* Binds the login to a tenant by all sources that are in use. c->tenant_mode and db are known.
 * false: the client was closed. Afterwards c->ident is there for databases that know tenants. */
bool identity_bind(struct client *c, struct login_given *g);
void identity_free(struct client *c);

/* Reads a token by the keys and rules now in force; marks it used. Texts in a. false: e. */
bool identity_token(struct client *c, struct text text, struct arena *a, struct token *out,
                    struct err *e);

/* May a statement run now? false: it was answered with an error. type: of the message. */
bool identity_gate(struct client *c, char type);

/* A message about the tenant, answered here. STEP_MORE: not one of those (or not whole yet: then
 * the message is looked at again). */
enum step client_switch(struct client *c, char *m, size_t have, const struct frame *f);
/* Forgets statements of ours: DEALLOCATE ALL, end of the client. */
void client_switch_forget(struct client *c);

#endif
