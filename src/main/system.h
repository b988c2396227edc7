/* SPDX-License-Identifier: ISC */
/* What the operating system is asked for at start: limits, background, user, pidfile. */
#ifndef MAIN_SYSTEM_H
#define MAIN_SYSTEM_H

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <sys/types.h>

/* Takes libpq's variables (PGHOST, PGOPTIONS, ...) out of the environment: what they say is for
 * other programs. Before threads. */
void system_forget_libpq(void);
/* Raises the soft limit of open files to the hard one. */
void system_raise_limits(struct log *log);
/* Goes to the background; pidfile must be set and the log must not be on stderr only. The process
 * that was called waits until system_daemon_ready(*ready) or the daemon's end, and exits with 0 or
 * 1; until then stderr is the caller's. */
bool system_daemonize(const char *pidfile, bool has_log, int *ready, struct err *e);
/* The daemon is up: lets go of the terminal and of the process that waits. Closes ready. */
bool system_daemon_ready(int ready, struct err *e);
/* As root: gives the log file to the user and becomes it ("" = none: refused). Otherwise nothing.
 */
bool system_drop_privileges(const char *user, struct log *log, struct err *e);
/* The uid that it will become by that; 0: it stays what it is, or there is no such user. */
uid_t system_future_owner(const char *user);
/* false, e: the file names a process that lives, and is not `but` (0 = nobody is exempt). */
bool system_pidfile_free(const char *path, pid_t but, struct err *e);
/* Writes the process number; *written is set to path. "" = nothing. */
bool system_pidfile(const char *path, const char **written, struct err *e);
/* Name of the syslog facility with that index of the key's table. */
const char *system_facility(int index);

#endif
