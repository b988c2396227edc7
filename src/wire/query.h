/* SPDX-License-Identifier: ISC */
/* Bodies of the frontend's query messages. All slices point into the message. */
#ifndef WIRE_QUERY_H
#define WIRE_QUERY_H

#include "wire/frame.h"

struct wire_parse {
    struct text name, sql; /* each followed by its NUL */
    uint16_t n_types;
    const char *types; /* n_types big-endian OIDs, unaligned */
};

struct wire_bind {
    struct text portal, stmt;
    uint16_t n_formats;
    const char *formats; /* n_formats big-endian int16 */
    uint16_t n_params;
    const char *params; /* n_params (int32 length, bytes), length -1 = NULL */
    size_t params_len;
    const char *results; /* the rest: int16 count, then formats */
    size_t results_len;
};

struct wire_target { /* Describe, Close */
    char what;       /* 'S' or 'P' */
    struct text name;
};

struct wire_execute {
    struct text portal;
    uint32_t max_rows;
};

/* body = message without its 5-byte head. false: malformed (a string without NUL, counts beyond
 * the end, bytes left). */
bool wire_query_read(const char *body, size_t n, struct text *sql);
bool wire_parse_read(const char *body, size_t n, struct wire_parse *m);
bool wire_bind_read(const char *body, size_t n, struct wire_bind *m);
bool wire_target_read(const char *body, size_t n, struct wire_target *m); /* also checks what */
bool wire_execute_read(const char *body, size_t n, struct wire_execute *m);

/* Parameter i (0-based) of a Bind that was read: format as sent (0 text, 1 binary, others are
 * the server's to refuse); false when i is out of range, or when there is a list of formats that
 * has none for it. *is_null set for NULL. Linear in i. */
bool wire_bind_param(const struct wire_bind *m, int i, int *format, struct text *value,
                     bool *is_null);

/* Builders of whole messages. */
void wire_query_build(struct buf *b, struct text sql);
void wire_parse_build(struct buf *b, struct text name, struct text sql, const uint32_t *types,
                      uint16_t n_types);
void wire_target_build(struct buf *b, char msg_type, char what, struct text name);
void wire_execute_build(struct buf *b, struct text portal, uint32_t max_rows);
void wire_sync_build(struct buf *b);

/* One added Bind parameter, in text format. */
struct wire_added {
    struct text value;
    bool is_null;
};

/* Builds Bind from m under another statement name, with n_added values behind its own
 * parameters. Formats: none stays none; one is spread over all; otherwise the added ones are
 * appended as text. false: more than 65535 parameters; nothing is appended then. */
bool wire_bind_build(struct buf *b, const struct wire_bind *m, struct text stmt,
                     const struct wire_added *added, int n_added);

#endif
