/* SPDX-License-Identifier: ISC */
/*
 * The administrators' console: databases "pgbouncer" and "pgbulkhead", simple-query protocol, the
 * commands of commands.def. Runs on the control loop's thread; workers are asked by hub_call.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "session/engine.h"
#include "watch/watch.h"

enum console_shutdown { SHUTDOWN_NOW, SHUTDOWN_WAIT_SERVERS, SHUTDOWN_WAIT_CLIENTS };

/* Work on all rows of a tenant, which takes its time. */
enum life_verb { LIFE_DELETE, LIFE_EXPORT };
struct console_life_row {
    struct text schema, table, column, claim;
    int64_t rows;
};
struct console_life_result {
    const struct console_life_row *rows; /* by table */
    int n;
    int64_t total;
    const char *const *warnings; /* n_warnings lines for people */
    int n_warnings;
};
struct console_life {
    enum life_verb verb;
    struct text database, tenant;
    struct text dir; /* EXPORT: where to */
    bool dry_run;    /* DELETE */
    /* On the control thread, later and exactly once (unless the program ends before). r NULL: it
     * failed, e says why. */
    void (*done)(void *arg, const struct console_life_result *r, const struct err *e);
    void *arg;
};

/* What main does for the console; all on the control thread. */
struct console_ops {
    /* Loads and checks the configuration and puts it in force; false: e, the old one stays. */
    bool (*reload)(void *arg, struct err *e);
    /* One key; key is NUL-terminated. false: e. */
    bool (*set)(void *arg, const char *key, struct text value, struct err *e);
    void (*shutdown)(void *arg, enum console_shutdown mode);
    /* Stops and restarts accepting connections. */
    void (*accepting)(void *arg, bool on);
    /* PAUSE, RESUME, KILL, DISABLE or ENABLE has changed what holds for the database, empty: for
     * all. */
    void (*paused)(void *arg, struct text db);
    /* Starts it; one at a time. false: e, and done is not called. */
    bool (*life)(void *arg, const struct console_life *rq, struct err *e);
    /* Stops the one that runs, if any; done still follows. */
    void (*life_cancel)(void *arg);
    /* The present setup, borrowed until the next reload or set. */
    const struct setup *(*setup)(void *arg);
    /* What is observed over time; lives as long as the console. */
    const struct watch *(*watch)(void *arg);
};

struct console;

/* ops and arg must outlive the console. NULL: out of memory. */
struct console *console_new(struct hub *h, struct loop *control, const struct console_ops *ops,
                            void *arg) MUST_CHECK;
/* Closes all connections. Questions to workers that are under way still end through
 * hub_control_mail; the memory goes with the last of them. NULL is fine. */
void console_free(struct console *c);

/* Takes over a logged-in administrator's detached connection: AuthenticationOk has been sent;
 * greeting and ReadyForQuery are the console's. app: its application_name. admin=false: may only
 * SHOW. early: input already read (copied). Owns the connection in any case; false: out of memory,
 * it was closed. */
bool console_adopt(struct console *c, struct conn *detached, struct text user, struct text app,
                   bool admin, struct text early);

/* A cancel request: when the key is that of a console connection whose command waits, the command
 * is taken back and ends with an error. */
void console_cancel(struct console *c, const unsigned char key[8]);

/* Ends a SUSPEND; false: there is none. */
bool console_go_on(struct console *c);

/* Once a second: averages of SHOW STATS, and the log's line of statistics. */
void console_tick(struct console *c);

#endif
