/* SPDX-License-Identifier: ISC */
/*
 * What is checked before a text goes to the parser: everything that the parser takes more than
 * linear time, stack or memory for, and everything that it could read differently from the server.
 */
#ifndef TENANT_GUARD_H
#define TENANT_GUARD_H

#include "tenant/lexer.h"

enum guard_code {
    GUARD_OK,
    GUARD_BYTES,      /* longer than the limit */
    GUARD_NUL,        /* a zero byte within the text */
    GUARD_UTF8,       /* not valid UTF-8 */
    GUARD_ENCODING,   /* other client encoding and not pure ASCII */
    GUARD_STRINGS,    /* standard_conforming_strings is off */
    GUARD_TOKENS,     /* too many tokens */
    GUARD_OPERATOR,   /* too long a run of operator characters */
    GUARD_COMMENT,    /* comments nested too deep */
    GUARD_DEPTH,      /* parentheses nested too deep */
    GUARD_STATEMENTS, /* too many statements */
    GUARD_PARAM,      /* $n beyond 65535, or $0 */
    GUARD_SYNTAX      /* cannot be tokenised: the server would refuse it too */
};

struct guard_limits {
    size_t bytes;
    uint32_t statements;
    struct lexer_limits lexer;
};

/* 1 MB, 100 statements, lexer_default_limits. */
extern const struct guard_limits guard_default_limits;

/* What the server is known to have set (ParameterStatus). */
struct guard_settings {
    bool standard_conforming_strings;
    bool utf8; /* client_encoding is UTF8; otherwise only ASCII passes */
};

struct guard_report {
    uint32_t off;    /* byte offset of the trouble */
    uint32_t tokens; /* without comments */
    uint32_t comments;
    uint32_t statements; /* that are not empty */
    uint32_t max_param;  /* highest $n */
};

/* What one pass over a text leaves behind; used again and again. */
struct guard_scan {
    struct token *tok; /* without the comments that were blanked */
    uint32_t n, cap;
    char *blank; /* as guard_blank; sql.n bytes and a NUL */
    size_t blank_cap;
    bool failed; /* out of memory */
};

/* limits NULL = defaults. r may be NULL; it is filled up to the trouble. e (may be NULL) gets a
 * message and SQLSTATE when the answer is not GUARD_OK: 42601 for GUARD_SYNTAX, 22021 for bytes,
 * 54000 for limits, 0A000 for settings. */
enum guard_code guard_check(struct text sql, const struct guard_settings *s,
                            const struct guard_limits *limits, struct guard_report *r,
                            struct err *e);
/* The same, and fills the scan (zeroed before its first use), which is complete when the answer is
 * GUARD_OK and !scan->failed. */
enum guard_code guard_scan(struct text sql, const struct guard_settings *s,
                           const struct guard_limits *limits, struct guard_report *r, struct err *e,
                           struct guard_scan *scan);
/* Frees the memory; scan_trim only when it is much. */
void guard_scan_release(struct guard_scan *scan);
void guard_scan_trim(struct guard_scan *scan);
/* "statements", "nul", ...: for logs. */
const char *guard_code_name(enum guard_code c);

/* A copy of a text that passed guard_check, with a NUL behind it, in which each comment is
 * overwritten with spaces (line ends stay), so that the parser, which is stricter than the server
 * about comments between some tokens, reads what the server reads. A block comment that follows a
 * string stays: without it, the string could continue on the next line. Offsets do not change. */
struct text guard_blank(struct arena *a, struct text sql);

/* Does an optimizer hint's start stand anywhere in the text, be it in a string? */
bool guard_hint(struct text sql);

/* Valid UTF-8 as PostgreSQL has it: no overlong forms, no surrogates, at most U+10FFFF. false: *bad
 * is the offset. */
bool guard_utf8(struct text t, size_t *bad);

#endif
