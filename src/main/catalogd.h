/* SPDX-License-Identifier: ISC */
/*
 * The thread that reads catalogs by libpq, one job after the other, away from all loops. Results
 * come back to the control loop as mails.
 */
#ifndef MAIN_CATALOGD_H
#define MAIN_CATALOGD_H

#include "main/backend.h"
#include "session/engine.h"

struct catalogd;

enum catalogd_mail { MAIL_CATALOG = 200, MAIL_WANT_CATALOG = 202 };

/* A catalog that was read. The receiver owns policy and frees the mail with catalogd_mail_free. */
struct mail_catalog {
    struct mail mail;
    char *db_name;
    struct policy *policy; /* NULL: text says why */
    char text[1000];
    struct buf problems; /* rules that name nothing; a line each */
};

struct mail_want {
    struct mail mail;
    char db_name[64];
};

/* How to log in to the database for the pooler's own questions. The texts are the setup's. */
void catalogd_source(const struct setup *s, const struct database_conf *db,
                     struct catalog_source *src);

struct catalogd *catalogd_start(struct loop *control, struct log *log);
/* Ends the thread after its present job. */
void catalogd_stop(struct catalogd *d);
/* Asks for the catalog of a database; several wishes for one database are folded. Control thread
 * only. */
void catalogd_load(struct catalogd *d, const struct setup *s, const struct database_conf *db);
void catalogd_mail_free(struct mail *m);

#endif
