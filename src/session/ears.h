/* SPDX-License-Identifier: ISC */
/*
 * LISTEN of clients that do not keep their server. The statement runs where the client's others
 * do, so that its errors and its transaction are PostgreSQL's. When no transaction is open any
 * more, the server says to which channels it listens, and stops doing so; the client's answer
 * (ReadyForQuery) waits until its pool's one listening connection (listener.h) listens to them.
 * What that connection hears goes to all clients of the channel, between their messages.
 *
 * What UNLISTEN takes away ends with the transaction, too. In a transaction block, and in the
 * extended protocol, a channel of ours is listened to behind it: what undoes the UNLISTEN undoes
 * that as well, and the server says at the end what is left of them. Elsewhere the client goes on
 * listening when an error or a rollback was in the transaction.
 */
#ifndef SESSION_EARS_H
#define SESSION_EARS_H

#include "session/client.h"

enum ears_what { EARS_LISTEN, EARS_UNLISTEN, EARS_NOTIFY };

/* May a statement about channels be sent now? false: the client's input has been paused
 * (STEP_WAIT); what ends a transaction is answered first. */
bool ears_may_send(struct client *c) MUST_CHECK;
/* In front of the calls of ears_sent for a text whose UNLISTENs are in one and the same
 * (sub)transaction as what is sent directly behind it. */
void ears_mark(struct client *c);
/* The client's Query or Execute went out: sends what goes directly behind it. false: the client is
 * closed. */
bool ears_behind(struct client *c, bool simple) MUST_CHECK;
/* It goes out, one call per channel (empty: UNLISTEN of all). false: the client is closed. */
bool ears_sent(struct client *c, enum ears_what what, struct text channel) MUST_CHECK;
/* Must the client's next message wait? */
bool ears_hold(const struct client *c);
/* The transaction had an error or a rollback. */
void ears_spoiled(struct client *c);
/* The client's ReadyForQuery is here (not forwarded yet). Sends what was heard meanwhile. true: it
 * must not be forwarded, we send it later. */
bool ears_ready(struct client *c, char status);
/* Is ReadyForQuery owed, and has the server not been asked yet? */
bool ears_ask(const struct client *c);
/* Has it been asked, and not answered? */
bool ears_waits_for_server(const struct client *c);
/* The question went out; a channel that the server says; the answer is complete (false: the client
 * is closed). */
void ears_asked(struct client *c);
void ears_channel(struct client *c, struct text channel);
bool ears_answered(struct client *c) MUST_CHECK;
/* A notification on the client's own server: is it the client's own, of the transaction in which it
 * began to listen? Then it is for the client. */
bool ears_own(const struct client *c, const struct server *s, const char *m, uint32_t len);
/* The client becomes another tenant's: it listens to nothing. */
void ears_forget(struct client *c);
/* The client goes away. */
void ears_free(struct client *c);

struct mail;
/* A mail of the listener's: MAIL_HEARD (an answer), MAIL_NOTE (a notification), MAIL_DEAF (the
 * connection is lost). Freed by the caller. */
void ears_mail(struct engine *e, struct mail *m);
/* How many channels the worker's clients of the pool listen to. */
size_t ears_channels(const struct shard *sh);
/* At the end of the engine. */
void ears_release(struct shard *sh);

#endif
