/* SPDX-License-Identifier: ISC */
/*
 * One console of a pooler (ours or PgBouncer), over libpq without blocking: its tables are asked in
 * rounds, and it is connected again when it was lost. Commands go over a connection of their own,
 * because PAUSE answers late.
 */
#ifndef TOP_SOURCE_H
#define TOP_SOURCE_H

#include "base/clock.h"
#include "base/err.h"
#include "top/names.h"

#include <poll.h>
#include <stdbool.h>

struct pg_conn;
struct pg_result;

/* Tables that are looked at; those that a console does not have stay absent. */
enum top_show {
    TOP_VERSION,
    TOP_POOLS,
    TOP_DATABASES,
    TOP_ALERTS,
    TOP_STATS,
    TOP_LATENCY,
    TOP_TENANTS,
    TOP_DENIALS,
    TOP_QUERIES,
    TOP_ACTIVITY,
    TOP_SHOWS
};

enum top_state { TOP_AWAY, TOP_LOOKING_UP, TOP_CONNECTING, TOP_READY, TOP_ASKING };

struct top_source {
    char *name;  /* as shown; never holds a password */
    char **keys; /* libpq's parameters, NULL at the end */
    char **values;
    /* private */
    struct pg_conn *conn, *command;
    struct look_up *look_up; /* under way, or given up by us */
    struct names names;      /* as last looked up; empty: nothing to look up */
    enum top_state state;
    bool want_write, command_busy, command_write, command_sent;
    enum top_show at;
    unsigned wanted; /* bits of what is still to be asked in this round */
    usec_t deadline, next_try;
    char *command_sql; /* malloc'ed */
    /* results */
    struct pg_result *last[TOP_SHOWS]; /* NULL: none yet, or absent */
    bool absent[TOP_SHOWS];
    char error[200];   /* why it is away; "" = it is there */
    char outcome[200]; /* of the last command */
    bool ever;         /* a round was completed */
};

/* where: "host", "host:port", "[v6]:port", "/dir", "/dir:port", or a conninfo string or URI. user
 * and password may be NULL. false: e. */
bool top_source_init(struct top_source *s, const char *where, const char *user,
                     const char *password, struct err *e);
void top_source_release(struct top_source *s);

/* Begins a round: asks for the tables of the bits (1 << enum top_show). While it is away: tries to
 * connect. */
void top_source_round(struct top_source *s, unsigned shows, usec_t now);
/* Runs a command (PAUSE "db", say); its outcome is in s->outcome. false: one is under way. */
bool top_source_command(struct top_source *s, const char *sql);
/* Fills at most 2 elements; gives how many. */
int top_source_wait(const struct top_source *s, struct pollfd *fds);
/* fds as filled, with revents. true: something has changed that is shown. */
bool top_source_step(struct top_source *s, const struct pollfd *fds, int n, usec_t now);
/* Is everything that was asked answered, or known to be away? */
bool top_source_settled(const struct top_source *s);

/* A value by its column's name; NULL: no such row or column, or NULL. */
const char *top_value(const struct pg_result *r, int row, const char *column);
int top_rows(const struct pg_result *r); /* 0 for NULL */
bool top_has(const struct pg_result *r, const char *column);

#endif
