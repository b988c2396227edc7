/* SPDX-License-Identifier: ISC */
/* `pgbulkhead --init DSN`: a first configuration from what a database's catalog says. */
#ifndef MAIN_INIT_RULES_H
#define MAIN_INIT_RULES_H

#include <stdio.h>

/* Connects by the connection string (libpq's syntax, its environment and password file), reads the
 * catalog, and writes a commented configuration to `out`. columns: comma list of the columns that
 * make a table a tenant table; NULL: those that policies, Citus or the usual names point to.
 * Returns the exit status: 0, or 2 after a line on stderr. */
int init_rules(const char *dsn, const char *columns, FILE *out);

#endif
