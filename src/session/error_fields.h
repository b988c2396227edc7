/* SPDX-License-Identifier: ISC */
/* Errors and notices of servers as tenants may see them. */
#ifndef SESSION_ERROR_FIELDS_H
#define SESSION_ERROR_FIELDS_H

#include "session/client.h"

/* Appends the message m (ErrorResponse or NoticeResponse, len bytes with its head; from a server)
 * to out as the enforced client gets it: without what could show others' keys or rows
 * (tenant_redact_errors), and with the position in the client's own text. p: the entry that the
 * message answers, NULL = none. out->failed when memory is short. */
void redact_message(const struct client *c, const struct pend *p, const char *m, uint32_t len,
                    struct buf *out);

#endif
