/* SPDX-License-Identifier: ISC */
/*
 * Lines of the files auth_hba_file and auth_ident_file, taken apart as PostgreSQL's pg_hba.conf is
 * (its manual, chapter "Client Authentication"): fields between blanks, lists with commas, double
 * quotes anywhere (doubled inside), `#` to the end of the line, a backslash at its end goes on.
 */
#ifndef CONF_HBA_TOKENS_H
#define CONF_HBA_TOKENS_H

#include "base/arena.h"
#include "base/err.h"

struct hba_token {
    struct text t;
    bool quoted; /* began with a quote: no keyword, no @file, no pattern */
};

struct hba_field {
    const struct hba_token *tokens; /* at least one */
    int n;
};

struct hba_reader {
    struct text rest;
    char *room; /* as many bytes as the text has; tokens live here */
    int line;   /* number of the line read last, its first one when several were joined */
    int next;
    struct arena *a; /* of the arrays */
};

/* room: malloc'ed by the caller, text.n + 1 bytes, wiped by it (there may be passwords). */
void hba_reader_init(struct hba_reader *r, struct text body, char *room, struct arena *a);

enum hba_read { HBA_END, HBA_LINE, HBA_BAD };
/* The next line with something on it. Fields stay valid until the room goes. HBA_BAD: e; reading
 * may go on with the line after it. */
enum hba_read hba_next(struct hba_reader *r, struct hba_field **fields, int *n, struct err *e);

#endif
