/* SPDX-License-Identifier: ISC */
/* Consoles over libpq. */
#include "top/source.h"

#include "base/random.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS 64
#define ANSWER_US (10 * USEC_PER_SEC) /* for connecting, and for each table */

static const char *const shows[TOP_SHOWS] = {
    [TOP_VERSION] = "SHOW VERSION",     [TOP_POOLS] = "SHOW POOLS",
    [TOP_DATABASES] = "SHOW DATABASES", [TOP_ALERTS] = "SHOW ALERTS",
    [TOP_STATS] = "SHOW STATS",         [TOP_LATENCY] = "SHOW LATENCY",
    [TOP_TENANTS] = "SHOW TENANTS",     [TOP_DENIALS] = "SHOW DENIALS",
    [TOP_QUERIES] = "SHOW QUERIES",     [TOP_ACTIVITY] = "SHOW ACTIVITY",
};

/* ---- tables ---- */

int top_rows(const PGresult *r)
{
    return r ? PQntuples(r) : 0;
}

bool top_has(const PGresult *r, const char *column)
{
    return r && PQfnumber(r, column) >= 0;
}

const char *top_value(const PGresult *r, int row, const char *column)
{
    int c = r ? PQfnumber(r, column) : -1;

    if (c < 0 || row < 0 || row >= PQntuples(r) || PQgetisnull(r, row, c))
        return NULL;
    return PQgetvalue(r, row, c);
}

/* ---- where it is ---- */

/* Takes its place in the parameters; an earlier one of that name is replaced. */
static bool set(struct top_source *s, const char *key, const char *value)
{
    int i = 0;
    char *copy = strdup(value);

    while (s->keys[i] && strcmp(s->keys[i], key) != 0)
        i++;
    if (!copy || i + 1 >= PARAMS) {
        free(copy);
        return false;
    }
    if (!s->keys[i]) {
        s->keys[i] = strdup(key);
        if (!s->keys[i]) {
            free(copy);
            return false;
        }
    }
    free(s->values[i]);
    s->values[i] = copy;
    return true;
}

static const char *get(const struct top_source *s, const char *key)
{
    for (int i = 0; s->keys[i]; i++)
        if (strcmp(s->keys[i], key) == 0)
            return s->values[i];
    return NULL;
}

static bool from_conninfo(struct top_source *s, const char *where, struct err *e)
{
    char *why = NULL;
    PQconninfoOption *all = PQconninfoParse(where, &why);
    bool good = true;

    if (!all) {
        err_set(e, "%.*s", (int)strcspn(why ? why : "out of memory", "\n"),
                why ? why : "out of memory");
        PQfreemem(why);
        return false;
    }
    for (PQconninfoOption *o = all; o->keyword && good; o++)
        good = !o->val || set(s, o->keyword, o->val);
    PQconninfoFree(all);
    return good || err_set(e, "out of memory");
}

static bool from_host(struct top_source *s, const char *where)
{
    const char *colon = strrchr(where, ':'), *end = strchr(where, ']');
    const char *host = where;
    size_t n = strlen(where);
    char text[600];

    if (where[0] == '[' && end) {
        host = where + 1;
        n = (size_t)(end - host);
        colon = end[1] == ':' ? end + 1 : NULL;
    } else if (colon && strchr(where, ':') == colon) {
        n = (size_t)(colon - where);
    } else {
        colon = NULL; /* none, or a bare IPv6 address */
    }
    snprintf(text, sizeof(text), "%.*s", (int)n, host);
    return set(s, "host", text) && (!colon || set(s, "port", colon + 1));
}

bool top_source_init(struct top_source *s, const char *where, const char *user,
                     const char *password, struct err *e)
{
    bool conninfo = strchr(where, '=') || strstr(where, "://");
    char name[700];

    *s = (struct top_source){ .state = TOP_AWAY };
    s->keys = calloc(PARAMS, sizeof(*s->keys));
    s->values = calloc(PARAMS, sizeof(*s->values));
    bool good = s->keys && s->values && set(s, "port", "6432") && set(s, "dbname", "pgbouncer") &&
                set(s, "application_name", "pgbulkhead top") && set(s, "client_encoding", "UTF8");
    if (!good)
        return err_set(e, "out of memory");
    if (conninfo && !from_conninfo(s, where, e))
        return false;
    if ((!conninfo && !from_host(s, where)) || (user && !set(s, "user", user)) ||
        (password && !set(s, "password", password)))
        return err_set(e, "out of memory");
    const char *host = get(s, "host");
    if (!host)
        host = get(s, "hostaddr");
    snprintf(name, sizeof(name), strchr(host ? host : "", ':') ? "[%s]:%s" : "%s:%s",
             host ? host : "localhost", get(s, "port"));
    s->name = strdup(name);
    return s->name || err_set(e, "out of memory");
}

void top_source_release(struct top_source *s)
{
    PQfinish(s->conn);
    PQfinish(s->command);
    look_up_forget(s->look_up);
    names_release(&s->names);
    for (int i = 0; i < TOP_SHOWS; i++)
        PQclear(s->last[i]);
    for (int i = 0; s->keys && s->keys[i]; i++) {
        if (s->values[i])
            wipe(s->values[i], strlen(s->values[i]));
        free(s->values[i]);
        free(s->keys[i]);
    }
    free(s->keys);
    free(s->values);
    free(s->command_sql);
    free(s->name);
}

/* ---- connections ---- */

static void drop_notice(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

static int count(const char *list)
{
    int n = 1;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

/* The hosts of which libpq would look up a name and wait for it; NULL: none. */
static const char *hosts_to_look_up(const struct top_source *s)
{
    const char *host = get(s, "host");

    if (get(s, "hostaddr") || getenv("PGHOSTADDR"))
        return NULL;
    if (!host)
        host = getenv("PGHOST");
    if (!host || !names_needed(host))
        return NULL;
    int ports = count(get(s, "port"));
    return ports == 1 || ports == count(host) ? host : NULL; /* else libpq says what is wrong */
}

static PGconn *dial(const struct top_source *s)
{
    const char *keys[PARAMS + 3] = { 0 }, *values[PARAMS + 3] = { 0 };
    int n = 0;

    for (; s->keys[n]; n++) {
        keys[n] = s->keys[n];
        values[n] = s->values[n];
    }
    if (s->names.hosts) { /* the last of a name counts */
        const char *const more[][2] = { { "host", s->names.hosts },
                                        { "hostaddr", s->names.addresses },
                                        { "port", s->names.ports } };
        for (int i = 0; i < 3; i++, n++) {
            keys[n] = more[i][0];
            values[n] = more[i][1];
        }
    }
    PGconn *c = PQconnectStartParams(keys, values, 0);
    if (c)
        PQsetNoticeReceiver(c, drop_notice, NULL);
    return c;
}

static void first_line(char *to, size_t room, const char *text)
{
    size_t n = strcspn(text, "\n");

    if (n >= room)
        n = room - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

static void lost(struct top_source *s, const char *why, usec_t now)
{
    first_line(s->error, sizeof(s->error), why && *why ? why : "the connection was lost");
    PQfinish(s->conn);
    s->conn = NULL;
    s->state = TOP_AWAY;
    s->wanted = 0;
    s->next_try = now + USEC_PER_SEC;
    for (int i = 0; i < TOP_SHOWS; i++) {
        PQclear(s->last[i]);
        s->last[i] = NULL;
        s->absent[i] = false; /* another version may be there next time */
    }
}

static void connect_known(struct top_source *s, usec_t now)
{
    s->conn = dial(s);
    if (!s->conn || PQstatus(s->conn) == CONNECTION_BAD) {
        lost(s, s->conn ? PQerrorMessage(s->conn) : "out of memory", now);
        return;
    }
    s->state = TOP_CONNECTING;
    s->want_write = true;
    s->deadline = now + ANSWER_US;
}

static void connect_begin(struct top_source *s, usec_t now)
{
    const char *hosts = hosts_to_look_up(s);
    struct err e = { 0 };

    if (!hosts) {
        connect_known(s, now);
        return;
    }
    if (!s->look_up) /* else the one before has not ended yet */
        s->look_up = look_up_start(hosts, get(s, "port"), &e);
    if (!s->look_up) {
        lost(s, e.msg, now);
        return;
    }
    s->state = TOP_LOOKING_UP;
    s->deadline = now + ANSWER_US;
}

static void step_look_up(struct top_source *s, usec_t now)
{
    struct names found;
    struct err e = { 0 };
    bool good;

    if (!look_up_done(s->look_up, &found, &good, &e))
        return;
    s->look_up = NULL;
    if (!good) {
        lost(s, e.msg, now);
        return;
    }
    names_release(&s->names);
    s->names = found;
    connect_known(s, now);
}

/* The next table that is wanted, or the end of the round. */
static void ask(struct top_source *s, usec_t now)
{
    int at = 0;

    while (at < TOP_SHOWS && (!(s->wanted & 1u << at) || s->absent[at]))
        at++;
    if (at == TOP_SHOWS) {
        s->wanted = 0;
        s->state = TOP_READY;
        s->ever = true;
        s->error[0] = '\0';
        return;
    }
    s->at = (enum top_show)at;
    s->wanted &= ~(1u << at);
    if (PQsendQuery(s->conn, shows[at]) != 1) {
        lost(s, PQerrorMessage(s->conn), now);
        return;
    }
    s->state = TOP_ASKING;
    s->deadline = now + ANSWER_US;
    s->want_write = PQflush(s->conn) == 1;
}

static void take(struct top_source *s, PGresult *r)
{
    bool good = PQresultStatus(r) == PGRES_TUPLES_OK;

    PQclear(s->last[s->at]);
    s->last[s->at] = good ? r : NULL;
    s->absent[s->at] = !good;
    if (!good)
        PQclear(r);
}

static void read_answer(struct top_source *s, usec_t now)
{
    PGresult *r = NULL;

    if (PQconsumeInput(s->conn) != 1) {
        lost(s, PQerrorMessage(s->conn), now);
        return;
    }
    s->want_write = PQflush(s->conn) == 1;
    while (!PQisBusy(s->conn) && (r = PQgetResult(s->conn)) != NULL)
        take(s, r);
    if (PQstatus(s->conn) != CONNECTION_OK)
        lost(s, PQerrorMessage(s->conn), now);
    else if (!PQisBusy(s->conn))
        ask(s, now);
}

/* true: ready to be asked. */
static bool poll_connect(PGconn *c, bool *want_write, bool *failed)
{
    PostgresPollingStatusType st = PQconnectPoll(c);

    *want_write = st == PGRES_POLLING_WRITING;
    *failed = st == PGRES_POLLING_FAILED || (st == PGRES_POLLING_OK && PQsetnonblocking(c, 1) != 0);
    return st == PGRES_POLLING_OK && !*failed;
}

static void step_tables(struct top_source *s, usec_t now)
{
    bool failed;

    if (s->state == TOP_LOOKING_UP) {
        step_look_up(s, now);
    } else if (s->state == TOP_CONNECTING) {
        if (poll_connect(s->conn, &s->want_write, &failed))
            ask(s, now);
        else if (failed)
            lost(s, PQerrorMessage(s->conn), now);
    } else {
        read_answer(s, now);
    }
}

/* ---- commands ---- */

static void command_end(struct top_source *s, const char *what)
{
    char line[200];

    first_line(line, sizeof(line), what);
    snprintf(s->outcome, sizeof(s->outcome), "%.60s: %.120s", s->command_sql, line);
    PQfinish(s->command);
    s->command = NULL;
    s->command_busy = false;
    free(s->command_sql);
    s->command_sql = NULL;
}

bool top_source_command(struct top_source *s, const char *sql)
{
    if (s->command_busy || (!s->names.hosts && hosts_to_look_up(s)))
        return false;
    s->command_sql = strdup(sql);
    if (!s->command_sql)
        return false;
    s->command_busy = true;
    s->command_sent = false;
    s->command_write = true;
    snprintf(s->outcome, sizeof(s->outcome), "%.100s: under way", sql);
    s->command = dial(s);
    if (!s->command || PQstatus(s->command) == CONNECTION_BAD)
        command_end(s, s->command ? PQerrorMessage(s->command) : "out of memory");
    return true;
}

static void step_command(struct top_source *s)
{
    bool failed;
    PGresult *r;

    if (!s->command_sent) {
        if (poll_connect(s->command, &s->command_write, &failed)) {
            s->command_sent = true;
            failed = PQsendQuery(s->command, s->command_sql) != 1;
            s->command_write = !failed && PQflush(s->command) == 1;
        }
        if (failed)
            command_end(s, PQerrorMessage(s->command));
        return;
    }
    if (PQconsumeInput(s->command) != 1) {
        command_end(s, PQerrorMessage(s->command));
        return;
    }
    s->command_write = PQflush(s->command) == 1;
    if (PQisBusy(s->command) || (r = PQgetResult(s->command)) == NULL)
        return;
    ExecStatusType st = PQresultStatus(r);
    command_end(s,
                st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK ? "done" : PQresultErrorMessage(r));
    PQclear(r);
}

/* ---- rounds ---- */

void top_source_round(struct top_source *s, unsigned wanted, usec_t now)
{
    if (s->state == TOP_AWAY && now >= s->next_try) {
        s->wanted = wanted | 1u << TOP_VERSION;
        connect_begin(s, now);
    } else if (s->state == TOP_READY) {
        s->wanted = wanted;
        ask(s, now);
    } else if (s->state == TOP_CONNECTING || s->state == TOP_LOOKING_UP) {
        s->wanted |= wanted;
    }
}

bool top_source_settled(const struct top_source *s)
{
    return s->state == TOP_READY || s->state == TOP_AWAY;
}

int top_source_wait(const struct top_source *s, struct pollfd *fds)
{
    int n = 0;

    if (s->state == TOP_LOOKING_UP)
        fds[n++] = (struct pollfd){ .fd = look_up_fd(s->look_up), .events = POLLIN };
    else if (s->conn)
        fds[n++] =
            (struct pollfd){ .fd = PQsocket(s->conn),
                             .events = s->state == TOP_CONNECTING
                                           ? (s->want_write ? POLLOUT : POLLIN)
                                           : (short)(POLLIN | (s->want_write ? POLLOUT : 0)) };
    if (s->command)
        fds[n++] =
            (struct pollfd){ .fd = PQsocket(s->command),
                             .events = !s->command_sent
                                           ? (s->command_write ? POLLOUT : POLLIN)
                                           : (short)(POLLIN | (s->command_write ? POLLOUT : 0)) };
    return n;
}

bool top_source_step(struct top_source *s, const struct pollfd *fds, int n, usec_t now)
{
    bool first = s->conn || s->state == TOP_LOOKING_UP; /* of fds is the tables' */
    bool table = first && n > 0 && fds[0].revents;
    bool command = s->command && n > 0 && fds[n - 1].revents && (n == 2 || !first);

    if (table)
        step_tables(s, now);
    if (command)
        step_command(s);
    if (s->state != TOP_AWAY && s->state != TOP_READY && now >= s->deadline) {
        lost(s,
             s->state == TOP_LOOKING_UP ? "looking up its name takes longer than 10 s"
                                        : "no answer within 10 s",
             now);
        return true;
    }
    return (table && top_source_settled(s)) || command;
}
