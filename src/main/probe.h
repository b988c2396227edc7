/* SPDX-License-Identifier: ISC */
/*
 * One probe of a server: a login and a few questions, step by step and never blocking. Each
 * question may fail by itself (for want of rights, say); then its values are unknown.
 */
#ifndef MAIN_PROBE_H
#define MAIN_PROBE_H

#include "base/clock.h"
#include "base/err.h"
#include "main/backend.h"
#include "watch/backends.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* A kind of question; PROBE_QUESTIONS of them. */
enum probe_question {
    ASK_SET,
    ASK_LIMITS,
    ASK_USED,
    ASK_ROLE,
    ASK_LAG,
    ASK_XID,
    ASK_BLOCKS,
    ASK_TRANSACTION,
    ASK_VACUUM,
    ASK_SIZES,
    ASK_INDEXES,
    PROBE_QUESTIONS
};

enum probe_state { PROBE_IDLE, PROBE_CONNECTING, PROBE_ASKING, PROBE_DONE, PROBE_FAILED };

/* What is not known, for the log. missing: a static text. */
struct probe_gap {
    bool is;
    char why[160]; /* the server's words, one line */
};

struct probe {
    enum probe_state state;
    struct pg_conn *conn; /* kept after PROBE_DONE; probe_close ends it */
    bool want_write;
    enum probe_question at;
    int reads;       /* of its answer */
    usec_t timeout;  /* for connecting, and for each question */
    usec_t deadline; /* monotonic, of what is under way */
    usec_t began;
    bool sizes;             /* also asks what costs more: sizes and indexes */
    char *names;            /* databases of ours as an array literal; NULL = none */
    struct backend_row row; /* n_dbs filled, dbs owned */
    struct probe_gap gaps[PROBE_QUESTIONS];
    char error[600]; /* PROBE_FAILED: why, one line */
};

/* What a question is about, for people. */
const char *probe_question_name(enum probe_question q);

/* names: n databases of ours on that server (their names there); copied. false: out of memory. What
 * was known of databases of the same name stays. */
bool probe_names(struct probe *p, const char *const *names, int n);
/* Begins: over the connection that was kept, else a new one. timeout: not 0. */
void probe_begin(struct probe *p, const struct catalog_source *src, usec_t timeout, bool sizes);
/* Connecting or asking: what to wait for, until p->deadline. */
bool probe_busy(const struct probe *p);
void probe_wait(const struct probe *p, struct pollfd *pfd);
/* The descriptor is ready, or time has passed. Afterwards state tells. */
void probe_step(struct probe *p, bool ready, usec_t now);
/* Closes the connection. */
void probe_close(struct probe *p);
/* Frees all; p may be used again after being zeroed. */
void probe_release(struct probe *p);

#endif
