/* SPDX-License-Identifier: ISC */
/*
 * Who may read over HTTP: users of auth_file that may use the console (metrics_login), bearers of
 * a token (metrics_bearer_token_file), each over TLS with a client certificate where
 * metrics_tls_ca_file asks for one. Control thread only.
 */
#ifndef METRICS_DOOR_H
#define METRICS_DOOR_H

#include "base/log.h"
#include "conf/setup.h"

struct evhttp_request;
struct door;

/* seed: as for login_check_new. NULL: out of memory. */
struct door *door_new(struct log *log, const unsigned char seed[32]);
void door_free(struct door *d); /* NULL is fine */
/* May the request, whose path is not open to all, be answered? false: it is answered, by 401, 403
 * or 429. tls: must it have come over TLS? */
bool door_admits(struct door *d, const struct setup *s, bool tls, struct evhttp_request *req);
/* Logins refused since the start; addresses that are being held back for it. */
uint64_t door_failures(const struct door *d);
int door_addresses(const struct door *d);

#endif
