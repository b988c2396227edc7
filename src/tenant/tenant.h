/* SPDX-License-Identifier: ISC */
/*
 * The one entry point of the tenant engine: (SQL text, policy, identity, mode) → verdict. No I/O.
 * One engine per worker; verdicts are cached by exact text and by template (constants and comments
 * left out), and refcounted, so that a prepared statement keeps its own.
 *
 * What a verdict states holds for the policy generation it was made with; the session asks again
 * when the policy changed.
 */
#ifndef TENANT_TENANT_H
#define TENANT_TENANT_H

#include "tenant/policy.h"
#include "wire/fields.h"
#include "wire/query.h"

struct tenant_engine;
struct sql_prepared;
struct sql_cursor;

struct tenant_engine_opts {
    size_t cache_bytes;   /* ceiling of the verdict cache */
    size_t max_statement; /* bytes of one statement text */
    bool no_templates;    /* verdicts are found by exact text only */
    bool check_templates; /* each text found by its template is judged again and compared: tests */
};
/* NULL: out of memory. */
struct tenant_engine *tenant_engine_new(const struct tenant_engine_opts *o);
void tenant_engine_free(struct tenant_engine *e);

struct tenant_stats {
    uint64_t hits, template_hits, misses, evictions, entries, bytes;
    uint64_t parse_us_sum, parse_count; /* limits + parse + walk + insert + verify of misses */
    uint64_t parse_bucket[9]; /* not cumulative; edges .00001 .000025 .0001 .00025 .001 .0025 .005
                                 .01 s, then +Inf */
};
const struct tenant_stats *tenant_engine_stats(const struct tenant_engine *e);

enum refusal { /* stable codes; refusal.def: REFUSAL(name, sqlstate, "text for people") */
#define REFUSAL(name, state, text) REFUSAL_##name,
#include "tenant/refusal.def"
               REFUSAL_COUNT
};
const char *refusal_name(enum refusal r);  /* "missing_predicate": metric label, log and manual */
const char *refusal_state(enum refusal r); /* SQLSTATE */
const char *refusal_text(enum refusal r);  /* for people */

enum tenant_action { VERDICT_PASS, VERDICT_REWRITE, VERDICT_REFUSE };
enum stmt_kind {
    STMT_OTHER,
    STMT_SELECT,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_MERGE,
    STMT_COPY,
    STMT_UTILITY,
    STMT_DDL
};

#define VERDICT_MAX_ADDED 8
#define VERDICT_MAX_SETTINGS 8

enum {
    PATTERN_TAIL = 1,  /* the end of a pattern of LIKE */
    PATTERN_PART = 2,  /* with something in front of or behind it */
    PATTERN_ARRAY = 4, /* an array of patterns */
    PATTERN_PATH = 8,  /* a jsonpath */
    PATTERN_NEVER = 16 /* no value is open */
};

struct verdict {
    int refs;
    enum tenant_action action;
    enum stmt_kind kind; /* of the first statement */
    bool leaves_state;  /* changes a session setting: reset the server before another client gets it
                         */
    bool wants_catalog; /* refused because a relation (or function) is not in the catalog snapshot:
                           a fresh snapshot may help */
    bool describable;   /* refused only when run: Parse and Describe of the original text may go
                           through */
    /* refusal: complete and ready to be shown */
    enum refusal reason;
    struct text message, detail, hint;
    int position;          /* 1-based characters into the client's text, 0 = none */
    struct text subject;   /* relation, function or operator that it is about; may be empty */
    struct text fix;       /* line of the configuration, or condition ("AND ..."), that would let it
                              through; may be empty. Audit mode: also of what would be rewritten */
    struct text relations; /* when asked for: "schema.name", NUL between; at most 16 */
    /* extended protocol */
    int n_params; /* highest $n of the client's text */
    int n_added;  /* parameters n_params+1 .. n_params+n_added are ours */
    struct verdict_added {
        struct text claim;
        uint32_t type;
    } added[VERDICT_MAX_ADDED];
    /* Settings of [tenant_rules] that hold while the statement runs. Extended protocol: the
     * session sets them. Simple: the text does, by commands around the client's: the first
     * set_front and the last set_back CommandCompletes answer those, n_commands in between the
     * client's. */
    const struct rule_setting *settings;
    int n_settings, set_front, set_back, n_commands;
    int n_checks; /* Bind values that must equal a claim (reject mode, INSERT) */
    struct verdict_check {
        int param; /* 1-based */
        struct text claim;
        uint32_t type;
        bool array; /* each element of the parameter */
    } * checks;
    int n_patterns; /* Bind values that must not fail on other tenants' rows (pattern.h) */
    struct verdict_pattern {
        int param;      /* 1-based */
        unsigned shape; /* PATTERN_* */
        char escape;    /* of LIKE */
    } * patterns;
    /* COPY FROM STDIN: what its rows have to be held against; NULL otherwise. The statement is
     * alone in its message. */
    const struct copy_plan *copy;
    /* what the session has to see to, see utility.h */
    unsigned effects;
    const struct sql_prepared *prepared; /* the text is a PREPARE, EXECUTE or DEALLOCATE: it is
                                            never sent */
    const struct sql_cursor *cursors;
};

/* How a statement was judged, for EXPLAIN TENANT: a row per relation named, and per function or
 * operator that is not allowed. All of it in the asker's arena. */
enum trace_kind { TRACE_RELATION, TRACE_FUNCTION, TRACE_OPERATOR };
struct tenant_trace_row {
    enum trace_kind kind;
    struct text written; /* as the statement names it: "d", "public.documents AS d" */
    struct text object;  /* "schema.name" that it means; empty: unknown */
    struct text column;  /* tenant tables: the tenant column */
    const char *cls;     /* tenant, shared, system, denied, unknown */
    struct text source;  /* rule's file:line, or what the catalog says */
    struct text how;     /* how its rows are held to the tenant */
    int loc;             /* byte offset in the text, -1 unknown */
};
struct tenant_trace {
    struct arena *arena; /* the asker's */
    struct tenant_trace_row *v;
    int n, cap;
};

struct copy_plan; /* copy_stream.h */

struct tenant_ask {
    const struct policy *policy;
    const struct identity *identity; /* bound and not exempt */
    int mode;                        /* TENANT_AUDIT, TENANT_REJECT, TENANT_REWRITE, TENANT_RLS */
    bool extended;                   /* Parse message; else a simple Query */
    struct text sql;                 /* a NUL byte stands behind it */
    const uint32_t *types;           /* extended: declared parameter types, host order */
    int n_types;
    bool relations;             /* fill verdict.relations */
    struct tenant_trace *trace; /* NULL: not wanted; else the cache is passed by */
};

/* Never NULL except out of memory. The caller owns one reference. In audit mode the verdict is what
 * rewrite mode would say; the caller passes the client's text on and counts. */
struct verdict *tenant_judge(struct tenant_engine *e, const struct tenant_ask *ask) MUST_CHECK;
void verdict_ref(struct verdict *v);
void verdict_unref(struct tenant_engine *e, struct verdict *v);

/* The text to send for VERDICT_REWRITE: simple protocol with the identity's values as literals
 * (types as needed), extended with parameters. Appends to out; no NUL. False when out ran out of
 * memory. */
bool verdict_text(const struct verdict *v, const struct identity *id, struct buf *out);

/* The server's error position (1-based characters) in the text that verdict_text gave, as one in
 * the client's text. 0: it lies in what was added, or the verdict does not know its text any more.
 * Of a text that was passed as it came the position is right already. */
int verdict_position(const struct verdict *v, const struct identity *id, int position);

/* The statement as a template without literals (redact.h), made once per verdict and kept in it;
 * empty when out of memory. sql: the text that was judged. */
struct text verdict_template(struct verdict *v, struct text sql);

/* At Bind: fills the added values (slices of the identity) and checks the client's values. false:
 * refused, with a complete refusal in *r (texts in out_text's memory). types: the types the server
 * will use where known (declared in Parse), n_types. */
struct tenant_refusal {
    enum refusal reason;
    struct text message, detail, hint;
};
bool verdict_bind(const struct verdict *v, const struct identity *id, const struct wire_bind *b,
                  const uint32_t *types, int n_types, struct wire_added added[VERDICT_MAX_ADDED],
                  struct tenant_refusal *r);

/* ErrorResponse of a refusal. */
void verdict_error(const struct verdict *v, struct buf *out);
void refusal_error(const struct tenant_refusal *r, struct buf *out);

#endif
