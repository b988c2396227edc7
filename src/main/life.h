/* SPDX-License-Identifier: ISC */
/*
 * Deleting and exporting a whole tenant over libpq. Blocking; for a helper thread or the command
 * line.
 */
#ifndef MAIN_LIFE_H
#define MAIN_LIFE_H

#include "main/backend.h"
#include "main/tenant_tables.h"

struct life_request {
    const struct policy *policy;
    const struct identity *identity; /* bound */
    struct text database;            /* for messages and the manifest */
    bool dry_run;                    /* delete: does everything and rolls it back */
    const char *dir;                 /* export: where to; must not exist yet */
    int cancel_fd;                   /* see backend_run */
};

/* Deletes the tenant's rows of all its tables in one transaction; the counts are left in
 * t->v[].rows, in the order of deletion (children first). The connection must not be inside a
 * transaction; it is not after the call. false: e, and nothing was deleted. */
bool life_delete(struct pg_conn *pg, const struct life_request *rq, struct arena *a,
                 struct tenant_tables *t, struct err *e) MUST_CHECK;

/* Writes the tenant's rows, of one snapshot, as files of COPY's text format into a new directory of
 * mode 0700, with manifest.json and restore.sql (for psql). The counts are left in t->v[].rows,
 * parents first. false: e; what was written is removed. */
bool life_export(struct pg_conn *pg, const struct life_request *rq, struct arena *a,
                 struct tenant_tables *t, struct err *e) MUST_CHECK;

#endif
