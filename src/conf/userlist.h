/* SPDX-License-Identifier: ISC */
/* The auth_file: `"user" "secret"` per line, "" for a quote inside; lines that begin with ; are
 * comments. */
#ifndef CONF_USERLIST_H
#define CONF_USERLIST_H

#include "conf/keys.h"
#include "conf/trouble.h"

#define USER_NAME_MAX 127
#define USER_SECRET_MAX 65530

/* Calls take for each user; secret is on the chain. Problems are reported with name as the file. */
void userlist_parse(struct text body, const char *name, struct secret **secrets, struct trouble *t,
                    void (*take)(void *arg, struct text user, struct text secret), void *arg);

#endif
