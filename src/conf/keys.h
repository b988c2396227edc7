/* SPDX-License-Identifier: ISC */
/*
 * The keys of keys.def as data, and the one place where a value's text becomes a typed member of a
 * struct.
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include "conf/setup.h"

enum key_kind {
    KIND_BOOL,  /* bool */
    KIND_INT,   /* int64_t */
    KIND_INT32, /* int */
    KIND_TIME,  /* usec_t */
    KIND_TEXT,  /* const char * */
    KIND_ENUM   /* int: position in the table of names */
};

enum {
    KEYF_BOOT = 1,        /* not changeable while running */
    KEYF_NOEFFECT = 2,    /* accepted, without effect yet */
    KEYF_BYTES = 4,       /* takes kB MB GB TB */
    KEYF_OCTAL = 8,       /* read and shown in octal */
    KEYF_SECRET = 16,     /* kept in memory that is wiped, never shown */
    KEYF_EMPTY_UNSET = 32 /* an empty text means not given */
};

struct key {
    struct key_info info;
    enum key_kind kind;
    unsigned flags;
    size_t offset; /* of the member in its struct */
    int64_t min, max;
    const char *const *names; /* KIND_ENUM: NULL-terminated */
};

struct key_table {
    const struct key *keys;
    int n;
};

/* [pgbouncer] over struct settings, [databases] over struct database_conf, [users] over struct
 * user_conf, [peers] over struct peer_conf. */
struct key_table key_table_settings(void);
struct key_table key_table_databases(void);
struct key_table key_table_users(void);
struct key_table key_table_peers(void);
struct key_table key_table_tenants(void);

/* The key of that name, or NULL. Exact: case counts. */
const struct key *key_find(struct key_table t, struct text name);
/* The name that was probably meant, or NULL. */
const char *key_suggest(struct key_table t, struct text name);

/* Pieces of memory that hold secrets, wiped together. */
struct secret;
/* A NUL-terminated copy on the chain; memory short: aborts (set-up). */
struct text secret_text(struct secret **chain, struct text t);
void secret_wipe_all(struct secret **chain);

/* Where texts of values are kept: secrets apart. */
struct key_memory {
    struct arena *arena;
    struct secret **secrets;
};

/* Checks the value and stores it in the struct at base. false: e says what is wrong (never the
 * value of a secret), and nothing was stored. */
bool key_set(const struct key *k, struct text value, void *base, struct key_memory mem,
             struct err *e);
/* The present value as text, appended; a secret as "***". */
void key_show(const struct key *k, const void *base, struct buf *out);

/* "15", "1.5", "500ms", "5 min" → microseconds; plain numbers are seconds. */
bool key_parse_time(struct text value, usec_t *out);
/* "1048576", "8MB" (units kB MB GB TB, of 1024). */
bool key_parse_bytes(struct text value, int64_t *out);

/* For [users] and tenant rules: is the text valid UTF-8 without control characters? */
bool key_text_is_clean(struct text t);

#endif
