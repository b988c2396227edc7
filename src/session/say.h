/* SPDX-License-Identifier: ISC */
/*
 * Log lines about clients and servers: who they are, in both forms of the log, which lines are one
 * kind when they are counted (log_fold), and servers' texts without what may be a value.
 */
#ifndef SESSION_SAY_H
#define SESSION_SAY_H

#include "session/session.h"

/* Who a line is about, with the memory that the parts point into. */
struct say {
    struct log_about about;
    char head[700], id[32], host[160], subject[400], kind[200];
};

/* Fills it for the client (or server). kind: the line's format, or NULL: never folded. */
void say_client(struct say *s, const struct client *c, const char *kind);
void say_server(struct say *s, const struct server *sv, const char *kind);

/* "closing because: ..." and, with error, "pooler error: ..." as the configuration wants them.
 * kind: the format of the reason, NULL: made from the text. */
void client_log_closing(struct client *c, const char *kind, const char *reason, bool error);
/* The same of a server. */
void server_log_closing(struct server *sv, const char *kind, const char *reason);
/* A refused statement: "tenant T: refused: REASON: detail", or of an audit. The detail is left out
 * when a broken quote in sql may have made names of literals. */
void client_log_refusal(const struct client *c, bool enforced, const char *reason,
                        struct text detail, struct text sql);

/* A server's message for the log, NUL-terminated: what stands between quotes becomes "?" unless it
 * is a name of the pool or of the connection, numbers become ?. They may be values of a client. */
void server_said(const struct server *sv, struct text message, char *out, size_t size);

#endif
