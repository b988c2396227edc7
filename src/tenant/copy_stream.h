/* SPDX-License-Identifier: ISC */
/*
 * The rows of a tenant's COPY FROM STDIN, on their way to the server: each row's tenant column is
 * checked against the claim, or, when the statement's column list had none, put in front of the
 * row. A pure machine: bytes in, bytes out; pieces may end anywhere.
 *
 * The formats are read as PostgreSQL's copyfromparse.c reads them (versions 14 to 18; manual, COPY,
 * "File Formats"). What it would refuse, and what versions read differently, is refused here. A row
 * is complete at the server only after its tenant column was found to be right.
 */
#ifndef TENANT_COPY_STREAM_H
#define TENANT_COPY_STREAM_H

#include "tenant/tenant.h"

enum copy_format { COPY_TEXT, COPY_CSV, COPY_BINARY };
enum copy_header { COPY_HEADER_NONE, COPY_HEADER_SKIP, COPY_HEADER_MATCH };

/* What a verdict says of the rows to come. Texts live as long as the verdict. */
struct copy_plan {
    enum copy_format format;
    enum copy_header header;
    char delim, quote, escape;
    struct text null;                    /* the string that stands for NULL */
    bool force_null;                     /* FORCE_NULL names the tenant column */
    bool csv_end;                        /* `\.` alone on a line ends CSV too (servers before 18) */
    int n_fields;                        /* columns of the client's rows, 1 .. 1664 */
    int field;                           /* number of the tenant column among them; -1: put first */
    struct text relation, column, claim; /* "schema.name", the tenant column, its claim's name */
    uint32_t type;                       /* enum value_oid: type to compare in */
};

/* The limits of what COPY may be told about: longer NULL strings are refused with the statement. */
#define COPY_NULL_MAX 200

struct copy_stream;

/* A machine at the beginning of the data. plan and value (the claim's) are copied. NULL: out of
 * memory. */
struct copy_stream *copy_stream_new(const struct copy_plan *plan, struct text value) MUST_CHECK;
void copy_stream_free(struct copy_stream *s);

/* The next bytes; appends to out what is to be sent (out may also fail for lack of memory, see
 * buf.failed). Behind `\.` all is swallowed. false: refused, out is as before; from then on always
 * false. */
bool copy_stream_feed(struct copy_stream *s, struct text in, struct buf *out) MUST_CHECK;
/* The client's end of the data: as above. */
bool copy_stream_end(struct copy_stream *s, struct buf *out) MUST_CHECK;

/* Why it was refused; texts live as long as the machine. */
const struct tenant_refusal *copy_stream_refusal(const struct copy_stream *s);

#endif
