/* SPDX-License-Identifier: ISC */
/*
 * The first packet of a connection: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage
 * (PostgreSQL manual, "Message Formats"; protocol 3.0, 3.2's longer cancel keys).
 */
#ifndef WIRE_STARTUP_H
#define WIRE_STARTUP_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/frame.h"

enum startup_kind {
    STARTUP_MORE,
    STARTUP_BAD,
    STARTUP_V2, /* of protocol 2; with e */
    STARTUP_SSL,
    STARTUP_GSS,
    STARTUP_CANCEL,
    STARTUP_MESSAGE
};

#define STARTUP_MAX_LEN 10000 /* as PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
#define STARTUP_MAX_PARAMS 100

struct startup_param {
    struct text name, value; /* point into the packet */
};

struct startup {
    enum startup_kind kind;
    size_t len;             /* bytes of the packet */
    uint16_t minor;         /* of protocol 3, for STARTUP_MESSAGE */
    uint32_t cancel_id;     /* STARTUP_CANCEL */
    struct text cancel_key; /* 4 .. 256 bytes */
    struct startup_param params[STARTUP_MAX_PARAMS];
    int n_params;
};

/* Looks at p[0..n). STARTUP_MORE until the packet is whole. STARTUP_BAD with e: bad
 * length, bad strings, more than STARTUP_MAX_PARAMS parameters (texts as PgBouncer: "invalid
 * packet length"). */
enum startup_kind startup_parse(const char *p, size_t n, struct startup *s, struct err *e);

/* Value of the startup `options` parameter taken apart: `-c k=v`, `-ck=v`, `--k=v`, backslash
 * escapes. Calls set for each (slices in `a`). false with e.msg = "unsupported options startup
 * parameter: only '-c config=val' and '--config=val' are allowed", or when set returned false. */
bool startup_options(struct text options, struct arena *a,
                     bool (*set)(void *arg, struct text name, struct text value, struct err *e),
                     void *arg, struct err *e);

/* Builders. */
/* StartupMessage 3.minor */
void startup_build(struct buf *b, uint16_t minor, const struct startup_param *params, int n);
void startup_build_ssl(struct buf *b);
void startup_build_cancel(struct buf *b, uint32_t id, struct text key);

#endif
