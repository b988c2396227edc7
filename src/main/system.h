/* SPDX-License-Identifier: ISC */
/* What the operating system is asked for at start: limits, background, user, pidfile. */
#ifndef MAIN_SYSTEM_H
#define MAIN_SYSTEM_H

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>

/* Takes libpq's variables (PGHOST, PGOPTIONS, ...) out of the environment: what they say is for other programs. Before
 * threads. */
void system_forget_libpq(void);
/* Raises the soft limit of open files to the hard one. */
void system_raise_limits(struct log *log);
/* Goes to the background; pidfile must be set and the log must not be on stderr only. */
bool system_daemonize(const char *pidfile, bool has_log, struct err *e);
/* As root: becomes the user ("" = none: refused). Otherwise nothing, unless another user is asked for. */
bool system_drop_privileges(const char *user, struct err *e);
/* Writes the process number; refuses when the file names a living process. *written is set to path. "" = nothing. */
bool system_pidfile(const char *path, const char **written, struct err *e);
/* Name of the syslog facility with that index of the key's table. */
const char *system_facility(int index);

#endif
