/* SPDX-License-Identifier: ISC */
/*
 * What a text does to the session beyond its rows: settings, prepared statements, channels, locks,
 * cursors, temporary tables. Found by tokens, not by the tree, so that it works for every text
 * that a server of any version takes. What functions do inside is not seen; DO is told as such.
 *
 * Two steps: effects_maybe is one cheap pass over the bytes and says "nothing" for usual
 * statements; effects_read tells what it is.
 */
#ifndef TENANT_EFFECTS_H
#define TENANT_EFFECTS_H

#include "base/text.h"

/* name and value as said; both empty where nothing is said. Names of settings are in lower case
 * (PostgreSQL compares them so), other names as PostgreSQL folds them, not truncated. */
enum effect_kind {
    FX_SET,       /* SET, set_config(..., false), SESSION CHARACTERISTICS (as the default_... of
                     it): name, empty = computed; value: a string's content, or the SQL behind = */
    FX_SET_LOCAL, /* the same for the transaction only; SET TRANSACTION and CONSTRAINTS are none */
    FX_RESET,     /* RESET name, SET name TO DEFAULT */
    FX_RESET_ALL,
    FX_DISCARD_ALL,
    FX_DISCARD_PLANS,
    FX_DISCARD_SEQUENCES,
    FX_DISCARD_TEMP,
    FX_BEGIN,       /* BEGIN, START TRANSACTION; these six do not make effects_maybe true */
    FX_COMMIT,      /* COMMIT, END, PREPARE TRANSACTION; AND CHAIN: and FX_BEGIN behind it */
    FX_ROLLBACK,    /* ROLLBACK, ABORT */
    FX_SAVEPOINT,   /* name */
    FX_RELEASE,     /* name */
    FX_ROLLBACK_TO, /* name */
    FX_PREPARE,     /* name; value: from the parenthesis or AS behind it to the statement's end */
    FX_EXECUTE,     /* name; value: the arguments with their parentheses; also within EXPLAIN and
                       CREATE TABLE AS (then not `leading`) */
    FX_DEALLOCATE,  /* name, empty = ALL */
    FX_LISTEN,      /* name */
    FX_UNLISTEN,    /* name, empty = all */
    FX_NOTIFY,      /* name; value: the payload's literal as SQL */
    FX_LOCK,        /* a session's advisory lock is asked for; value: the arguments as SQL */
    FX_UNLOCK,      /* one is given back; value likewise */
    FX_UNLOCK_ALL,
    FX_HOLD,  /* DECLARE name ... WITH HOLD */
    FX_CLOSE, /* CLOSE name, empty = ALL */
    FX_TEMP,  /* something temporary is made, or pg_temp is named */
    FX_LOAD,
    FX_DO,       /* DO: may be anything */
    FX_SEQUENCE, /* lastval, currval: read what the session did before */
    FX_SEED,     /* setseed */
    FX_UNKNOWN,  /* the text cannot be read: may be anything */
    FX_KINDS
};

struct effect {
    enum effect_kind kind;
    bool leading;     /* it is the statement's own first word */
    uint32_t off;     /* where in the text it stands: its first word */
    uint32_t end;     /* where its statement ends: the `;` or the end of the text */
    struct text name; /* with a NUL behind it */
    struct text value;
    int param; /* FX_SET: the parameter of Bind that is the setting's name, 0 = none */
};

/* One block of memory with its texts. */
struct effects {
    uint32_t kinds;   /* bits 1 << kind */
    int n_statements; /* in the text, empty ones not counted */
    int n;
    struct effect *list; /* in the order of the text */
};

/* The text's effects that the bits `kinds` name? */
static inline bool effects_have(const struct effects *e, uint32_t kinds)
{
    return e && (e->kinds & kinds) != 0;
}
#define FX_BIT(kind) (UINT32_C(1) << (kind))

/* May the text have effects? false: it has none but beginning and ending transactions. */
bool effects_maybe(struct text sql);
/* strings_escape: standard_conforming_strings is off, a backslash in a string is an escape.
 * *out: to be freed by free(), or NULL: it has none. false: out of memory. */
bool effects_read(struct text sql, bool strings_escape, struct effects **out);

#endif
