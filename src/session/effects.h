/* SPDX-License-Identifier: ISC */
/*
 * What a client's statement does to its session (tenant/effects.h), before it goes to a server:
 * channels are noted, and the server is tied to the client where its state cannot be moved.
 */
#ifndef SESSION_EFFECTS_H
#define SESSION_EFFECTS_H

#include "session/session.h"
#include "tenant/effects.h"

/* A statement with these effects (NULL: none) is about to go out, by a Query or at Bind. Gets the
 * client a server when that takes one. STEP_DONE: send it now, or it was refused and answered
 * (*refused); STEP_WAIT: show it again; STEP_GONE: the client is closed. */
enum step effects_before(struct client *c, const struct effects *fx, struct text sql, bool simple,
                         bool *refused);
/* The same at Bind of the statement. */
enum step effects_bind(struct client *c, const struct stmt *st, bool *refused);
/* The same for a Query of a guarded client. false: it is not to be sent now, *step says why. */
bool effects_guarded(struct client *c, const struct verdict *v, struct text sql, enum step *step);
/* The same for the Query of a client that has a server and no tenant. STEP_DONE: send it;
 * STEP_MORE: it was answered, or sent as something else. */
enum step effects_query(struct client *c, const struct effects *fx, struct text sql);
/* The same for one that is too long to be looked at, settings included. */
enum step effects_unseen(struct client *c);
/* A FunctionCall goes out (body behind its head). false: refused and answered, or the client is
 * closed. */
bool effects_function(struct client *c, const char *body, size_t n) MUST_CHECK;

#endif
