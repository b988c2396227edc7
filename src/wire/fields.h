/* SPDX-License-Identifier: ISC */
/* ErrorResponse/NoticeResponse, result sets and the other backend messages that we read or make
 * ourselves. */
#ifndef WIRE_FIELDS_H
#define WIRE_FIELDS_H

#include "wire/frame.h"

struct wire_error {
    const char *severity; /* "ERROR", "FATAL", "NOTICE", ... */
    const char *sqlstate; /* 5 characters */
    struct text message;
    struct text detail, hint; /* empty = left out */
    int position;             /* 1-based character position, 0 = none */
};

/* type 'E' or 'N'. The strings of all builders end at their first NUL, so that no value can
 * forge a field. */
void wire_error_build(struct buf *b, char type, const struct wire_error *e);

/* Body of an ErrorResponse or NoticeResponse taken apart; absent fields are empty slices. A body
 * that does not end properly gives what was read and false. */
struct wire_error_fields {
    struct text severity, sqlstate, message, detail, hint;
};
bool wire_error_read(const char *body, size_t n, struct wire_error_fields *f);

void wire_ready_build(struct buf *b, char status); /* ReadyForQuery 'I' 'T' 'E' */
void wire_status_build(struct buf *b, struct text name, struct text value);  /* ParameterStatus */
void wire_auth_build(struct buf *b, uint32_t code, const void *p, size_t n); /* AuthenticationXXX */
void wire_keydata_build(struct buf *b, uint32_t id, const void *key, size_t n);
void wire_complete_build(struct buf *b, struct text tag); /* CommandComplete */
/* A message without body: '1' '2' '3' 'n' 'I' ... */
void wire_simple_build(struct buf *b, char type);
/* NegotiateProtocolVersion: our newest minor of protocol 3 (sent as PostgreSQL does, major in
 * the upper half) and the _pq_ options that we do not know. */
void wire_negotiate_build(struct buf *b, uint32_t minor, const struct text *options, int n);

/* Result columns as the console sends them (all in text format). */
enum wire_type {
    WIRE_TEXT = 25,
    WIRE_INT4 = 23,
    WIRE_INT8 = 20,
    WIRE_NUMERIC = 1700,
    WIRE_BYTEA = 17
};
struct wire_column {
    const char *name;
    enum wire_type type;
};
void wire_rowdesc_build(struct buf *b, const struct wire_column *cols, int n);
/* values[i].p NULL = SQL NULL. */
void wire_datarow_build(struct buf *b, const struct text *values, int n);

/* ParameterStatus body. false: malformed. */
bool wire_status_read(const char *body, size_t n, struct text *name, struct text *value);

/* ParameterDescription whose last `drop` parameters are left out; body as received. false:
 * malformed or too few. */
bool wire_paramdesc_trim(struct buf *b, const char *body, size_t n, int drop);

/* SQL quoting: 'text' with quotes doubled (E'' with backslashes doubled when there is a
 * backslash, so nothing that could end an identifier or number may stand right before); "ident".
 * For encodings whose trailing bytes are not ASCII. */
void wire_quote_literal(struct buf *b, struct text t);
void wire_quote_ident(struct buf *b, struct text t);

#endif
