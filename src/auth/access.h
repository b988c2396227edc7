/* SPDX-License-Identifier: ISC */
/* Which rule of access holds for a login, and maps from names of the system to users. Any thread.
 */
#ifndef AUTH_ACCESS_H
#define AUTH_ACCESS_H

#include "conf/hba.h"

#include <sys/socket.h>

struct access_ask {
    struct text db, user; /* NUL-terminated */
    struct text also;     /* the database's other name; p NULL: it has none */
    bool is_unix, tls;
    bool replication; /* physical: no database is meant */
    const struct sockaddr_storage *peer;
};

/* The first rule that holds; NULL: none does, or whether one does cannot be told (no memory). */
const struct hba_rule *access_rule(const struct hba *h, const struct access_ask *a);

/* May who is called `system` elsewhere (system user, name in a certificate; NUL-terminated) be
 * this user? map p NULL: the names must be the same. */
bool access_mapped(const struct hba *h, struct text map, const char *system, struct text user);

#endif
