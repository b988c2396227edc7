/* SPDX-License-Identifier: ISC */
/* Reads a database's catalog into a snapshot for the tenant engine. Blocking; for a helper thread.
 */
#ifndef MAIN_CATALOG_H
#define MAIN_CATALOG_H

#include "main/backend.h"
#include "tenant/catalog.h"

/* PostgreSQL 14 and newer; in one REPEATABLE READ, READ ONLY transaction with an empty search_path.
 * The catalog's search_path is the one that the user finds at login, without "$user" and without
 * schemas that do not exist. NULL: e; the caller frees the snapshot otherwise (or hands it to
 * policy_new). */
struct catalog *catalog_load(const struct catalog_source *src, struct err *e);
/* The same over an open connection (client_encoding UTF8, outside a transaction), which stays open.
 */
struct catalog *catalog_read(struct pg_conn *pg, struct err *e);

#endif
