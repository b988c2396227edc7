/* SPDX-License-Identifier: ISC */
/*
 * A new process takes the place of an old one (-R): it gets the listening sockets over a Unix
 * socket of their own, so that no attempt to connect is refused; the old one goes on serving its
 * clients, encrypted or not, until they leave, and cancels come to it through the new one. Nothing
 * has changed hands before the new process is up: if it fails, the old one goes on as if nothing
 * had happened.
 *
 * Messages (SOCK_SEQPACKET): new: "STATE" (versions before it do not know that, and ignore it) and
 * "TAKEOVER 1"; old: if asked for the state, "FLAGS" and what is paused or disabled (pauses.h),
 * several times where that is much; "SOCKETS" and one letter for each descriptor sent along (c:
 * clients, m: metrics); new, once it is up: "READY"; old, having let go of them: what has changed
 * as "FLAGS", "DONE"; from then on new: "CANCEL" and the key's bytes, "FLAGS" and what PAUSE,
 * RESUME, DISABLE and ENABLE have changed, as often as needed; the latter from the old one, too.
 * Either side closes when it ends.
 * Both sides check that the other runs as the same user, or root.
 */
#ifndef MAIN_TAKEOVER_H
#define MAIN_TAKEOVER_H

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <sys/types.h>

#define TAKEOVER_FDS 64

struct control;
struct takeover;

/* Makes the object and finds the path from the setup; sockets that systemd made need none. NULL:
 * out of memory. */
struct takeover *takeover_new(struct control *c);
/* -R: asks the old process for its sockets; waits for the answer. True without any when there is
 * no old process; false: e. */
bool takeover_begin(struct takeover *t, struct err *e);
/* The descriptors that came and are not taken yet; takers replace them by -1. */
int takeover_sockets(struct takeover *t, int **fds);
int takeover_metrics(struct takeover *t); /* -1: none; becomes the caller's */
/* Process number of the old process, 0 = none. */
pid_t takeover_from(const struct takeover *t);
/* There is a hub now: what the old process has paused and disabled is so here too. */
void takeover_pauses(struct takeover *t);
/* A command has paused, resumed, disabled or enabled the database (empty: all): the old process,
 * and the new one, do it too. NULL is fine. */
void takeover_changed(struct takeover *t, struct text db);
/* We are up: the old process lets go. Then waits for a successor of our own. */
void takeover_finish(struct takeover *t);
/* Is the old process still there? */
bool takeover_has_predecessor(const struct takeover *t);
/* A cancel request that may be for a client of the old process. */
void takeover_cancel(struct takeover *t, struct text key);
/* NULL is fine. */
void takeover_free(struct takeover *t);

#endif
