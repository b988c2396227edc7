/* SPDX-License-Identifier: ISC */
/* What the console's files share. Everything runs on the control loop's thread unless said. */
#ifndef CONSOLE_INTERNAL_H
#define CONSOLE_INTERNAL_H

#include "console/averages.h"
#include "console/console.h"
#include "console/parse.h"
#include "console/row.h"
#include "session/survey.h"

#define CONSOLE_DB "pgbouncer" /* how the console's own database is called in tables */

struct console {
    struct hub *hub;
    struct loop *control;
    const struct console_ops *ops;
    void *arg;
    struct list admins;
    int n_admins;
    int busy; /* questions to workers under way */
    bool dead;
    struct admin *suspended; /* whose SUSPEND is in force, or NULL */
    struct loop_timer poll;  /* runs while a command waits */
    struct averages averages;
};

/* What a command waits for. */
enum waiting { WAIT_NOTHING, WAIT_PAUSED, WAIT_CLOSED, WAIT_LIFE, WAIT_FLUSHED };

/* What the command that runs is to answer. */
enum admin_mode {
    ADMIN_SIMPLE,   /* Query: everything, and ReadyForQuery */
    ADMIN_MESSAGE,  /* Parse, Bind, Close, Sync: nothing is run */
    ADMIN_DESCRIBE, /* its columns only */
    ADMIN_EXECUTE   /* rows in the portal's form */
};

struct held;

/* One console connection. */
struct admin {
    struct list node; /* in console.admins while connected */
    struct console *console;
    struct conn *conn; /* NULL: has left */
    char *user, *app;  /* app: its application_name */
    bool is_admin;
    unsigned char cancel_key[8];
    uint64_t id;
    usec_t connected_at, request_at;
    bool running;  /* a command waits for workers */
    bool canceled; /* a cancel request for the command that runs */
    bool skipping; /* an extended message was refused: up to Sync */
    int refs;      /* questions to workers that name it */
    struct buf out;
    enum admin_mode mode;
    char *like; /* of the SHOW that runs, or NULL */
    /* extended.c */
    struct list stmts, portals; /* struct held */
    struct held *portal;        /* that is being run or described, or NULL */
    uint32_t max_rows;
    int n_held;
    size_t held_bytes;
    enum waiting wait;
    struct text wait_db; /* a ledger's name, empty = all */
    bool counting;       /* workers are being asked on its behalf */
    struct life *life;   /* its DELETE or EXPORT TENANT, or NULL */
};

/* ---- answers; each command ends by exactly one of these two, now or later ---- */
void admin_error(struct admin *a, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* No such command. The log gets it without names and literals: it may be a statement that strayed
 * here. */
void admin_invalid(struct admin *a, struct text sql);
void admin_complete(struct admin *a, struct text tag);
/* The answer to nothing at all. */
void admin_empty(struct admin *a);
/* Sends what is in a->out: a message is answered that runs nothing. */
void admin_reply(struct admin *a);
/* A line of the log about the connection. */
void admin_log(const struct admin *a, enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Goes before one of them. */
void admin_notice(struct admin *a, struct text message, struct text detail);

/* ---- asking workers ---- */

/* A question; each worker may write its own part only. */
struct ask {
    struct admin *admin;
    struct text db;  /* a ledger's name; empty = all */
    uint64_t number; /* KILL_CLIENT: id or address; SHOW SOCKETS: which */
    struct ask_part {
        struct buf rows; /* DataRow messages */
        uint64_t count;
    } part[MAX_WORKERS];
    void (*fn)(struct engine *e, struct ask *ask, struct ask_part *part);
    void (*done)(struct admin *a, struct ask *ask, uint64_t sum);
    struct text tag; /* of what completes when done is NULL */
};
typedef void ask_fn(struct engine *e, struct ask *ask, struct ask_part *part);
/* Runs fn on each worker's thread; done follows unless the administrator has left meanwhile. done
 * NULL: the rows are sent in the order of workers and SHOW completes. false: out of memory, nobody
 * is asked; an error was sent if the administrator is still there. */
bool admin_ask(struct admin *a, struct text db, uint64_t number, ask_fn *fn,
               void (*done)(struct admin *a, struct ask *ask, uint64_t sum));
/* The same for what has no answer but that it is done: completes with the tag. */
bool admin_tell(struct admin *a, struct text db, uint64_t number, ask_fn *fn, struct text tag);
/* As survey_run; done follows unless the administrator has left, and with s never NULL. */
void admin_survey(struct admin *a, void (*done)(struct admin *a, const struct survey *s));

/* ---- commands, as commands.def names them ---- */
typedef void admin_command(struct admin *a, const struct statement *st);
#define COMMAND(word, role, fn, ...) admin_command fn;
#define SHOW(word, role, fn) admin_command fn;
#include "console/commands.def"
void reset_queries(struct admin *a);
/* Parses and runs one line. */
void admin_run(struct admin *a, struct text sql);
/* Can it be run? false: an error was sent. */
bool admin_known(struct admin *a, struct text sql);
/* Looks whether the command that waits is done. */
void admin_poll(struct admin *a);
/* It left while its command waited: takes the command back. */
void admin_gave_up(struct admin *a);
/* A cancel request for the command that waits. */
void admin_cancel(struct admin *a);

/* ---- extended.c ---- */
/* Parse, Bind, Describe, Execute, Close. */
void admin_extended(struct admin *a, char type, const char *body, size_t n);
/* The command has put its messages into a->out: brings them into the form that was asked for, and
 * completes. false: out of memory. */
bool admin_shape(struct admin *a, struct text tag);
/* Sync / a Query / the end. */
void admin_portals_end(struct admin *a);
void admin_unnamed_end(struct admin *a);
void admin_forget(struct admin *a);

/* life.c: a question to workers has ended / the administrator has left. */
void admin_life_asked(struct admin *a);
void admin_life_left(struct admin *a);
/* suspend.c: have the sockets taken everything? */
void admin_suspend_poll(struct admin *a);
/* Keeps the administrator's memory while something outside names it. */
void admin_hold(struct admin *a);
void admin_release(struct admin *a);
/* Starts the timer that calls admin_poll for all that wait. */
void console_wait(struct console *c);

#define LIFE_COLUMNS 5
extern const struct wire_column life_columns[LIFE_COLUMNS]; /* of DELETE and EXPORT TENANT */

/* ---- helpers ---- */
static inline const struct setup *console_setup(const struct console *c)
{
    return c->ops->setup(c->arg);
}
static inline const struct watch *console_watch(const struct console *c)
{
    return c->ops->watch(c->arg);
}
/* Monotonic to wall clock time. */
static inline usec_t console_wall(usec_t mono, usec_t now_mono, usec_t now_wall)
{
    return now_wall - (now_mono > mono ? now_mono - mono : 0);
}

#endif
