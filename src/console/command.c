/* SPDX-License-Identifier: ISC */
/* Commands: the table, who may, and those that are not SHOW. */
#include "console/internal.h"

#include "base/check.h"

#include <ctype.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum role { ROLE_STATS, ROLE_ADMIN };

struct command {
    const char *word;
    enum role role;
    admin_command *run;
    const char *args;
};

static const struct command commands[] = {
#define COMMAND(word, role, fn, args) { #word, ROLE_##role, fn, args },
#include "console/commands.def"
};
static const struct command shows[] = {
#define SHOW(word, role, fn) { #word, ROLE_##role, fn, "" },
#include "console/commands.def"
};

/* What libraries ask a server for; fixed here. */
struct guc {
    const char *name, *value;
};
static const struct guc gucs[] = {
    { "client_encoding", "UTF-8" },
    { "default_transaction_isolation", "read committed" },
    { "standard_conforming_strings", "on" },
    { "datestyle", "ISO" },
    { "timezone", "GMT" },
};
/* Set by libraries, never asked for. */
static const char *const ignored[] = { "application_name", "extra_float_digits" };

static const struct command *find(const struct command *table, size_t n, struct text word)
{
    for (size_t i = 0; i < n; i++)
        if (text_is_i(word, table[i].word))
            return &table[i];
    return NULL;
}

static const struct guc *find_guc(struct text name)
{
    for (size_t i = 0; i < sizeof(gucs) / sizeof(gucs[0]); i++)
        if (text_is_i(name, gucs[i].name))
            return &gucs[i];
    return NULL;
}

static bool is_ignored(struct text name)
{
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        if (text_is_i(name, ignored[i]))
            return true;
    return find_guc(name) != NULL;
}

/* ---- dispatch ---- */

static void run_one(struct admin *a, const struct command *c, const struct statement *st)
{
    if (c->role == ROLE_ADMIN && !a->is_admin) {
        admin_error(a, "08P01", "admin access needed");
        return;
    }
    c->run(a, st);
}

static void show_guc(struct admin *a, const struct guc *g)
{
    const struct wire_column col = { g->name, WIRE_TEXT };
    const struct text value = text_of(g->value);

    wire_rowdesc_build(&a->out, &col, 1);
    wire_datarow_build(&a->out, &value, 1);
    admin_complete(a, TEXT("SHOW"));
}

static bool has_like(const struct statement *st)
{
    return st->n_args >= 3 && text_is_i(st->args[1], "like");
}

/* The words behind SHOW x and LIKE 'pattern'. */
static int n_before_limit(const struct statement *st)
{
    return has_like(st) ? 3 : 1;
}

/* The command behind SHOW x [LIKE 'pattern'] [LIMIT n]; NULL: there is none. */
static const struct command *find_show(const struct statement *st)
{
    int n = n_before_limit(st);
    const struct command *c = st->n_args ? find(shows, COUNT(shows), st->args[0]) : NULL;

    if (!c || st->n_args == n)
        return c;
    bool sorted = c->run == show_queries || c->run == show_activity;
    return sorted && st->n_args == n + 2 && text_is_i(st->args[n], "limit") ? c : NULL;
}

/* SHOW x: the word moves up, what is left are its arguments. */
static void run_show(struct admin *a, struct text sql, const struct statement *st)
{
    struct statement sub = { .word = st->args[0] };

    if (st->n_args == 0) {
        show_help(a, st);
        return;
    }
    const struct guc *g = find_guc(sub.word);
    if (g && st->n_args == 1) {
        show_guc(a, g);
        return;
    }
    const struct command *c = find_show(st);
    if (!c) {
        admin_invalid(a, sql);
        return;
    }
    for (int i = n_before_limit(st); i < st->n_args; i++)
        sub.args[sub.n_args++] = st->args[i];
    if (has_like(st) && !(a->like = text_dup(st->args[2]))) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    run_one(a, c, &sub);
}

static bool is_show(const struct statement *st)
{
    return text_is_i(st->word, "show") || text_is_i(st->word, "select");
}

/* Has it columns, or does it say itself that it has none, without anything being done? */
static bool describes_itself(const struct command *c)
{
    return c->run == command_explain || c->run == command_delete || c->run == command_export;
}

static void dispatch(struct admin *a, struct text sql, const struct statement *st)
{
    if (st->word.n == 0) {
        admin_empty(a);
        return;
    }
    if (is_show(st)) {
        run_show(a, sql, st);
        return;
    }
    const struct command *c = find(commands, COUNT(commands), st->word);
    if (!c)
        admin_invalid(a, sql);
    else if (a->mode == ADMIN_DESCRIBE && !describes_itself(c))
        admin_complete(a, TEXT(""));
    else
        run_one(a, c, st);
}

/* A text that statement_parse did not take: what psql's \d sends, say, is just no command. */
static void unreadable(struct admin *a, struct text sql, const struct statement *st,
                       const struct err *e)
{
    if (st->word.n && !text_is_i(st->word, "show") && !find(commands, COUNT(commands), st->word))
        admin_invalid(a, sql);
    else
        admin_error(a, "08P01", "%s", e->msg);
}

bool admin_known(struct admin *a, struct text sql)
{
    struct arena arena;
    struct statement st;
    struct err err = { 0 };

    arena_init(&arena, 1024);
    bool parsed = statement_parse(sql, &arena, &st, &err);
    bool known = parsed && (st.word.n == 0 ||
                            (is_show(&st) ? st.n_args == 0 || find_show(&st) ||
                                                (st.n_args == 1 && find_guc(st.args[0]))
                                          : find(commands, COUNT(commands), st.word) != NULL));
    if (!parsed)
        unreadable(a, sql, &st, &err);
    else if (!known)
        admin_invalid(a, sql);
    arena_release(&arena);
    return known;
}

void admin_run(struct admin *a, struct text sql)
{
    struct arena arena;
    struct statement st;
    struct err err = { 0 };

    arena_init(&arena, 1024);
    if (a->mode != ADMIN_DESCRIBE) {
        a->console->averages.own.v[COUNT_QUERIES]++;
        a->console->averages.own.v[COUNT_XACTS]++;
    }
    if (statement_parse(sql, &arena, &st, &err))
        dispatch(a, sql, &st);
    else
        unreadable(a, sql, &st, &err);
    arena_release(&arena);
}

static void help_lines(struct buf *b, const struct command *table, size_t n, const char *prefix)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "\n\t%s%s%s%s", prefix, table[i].word, *table[i].args ? " " : "",
                   table[i].args);
}

void show_help(struct admin *a, const struct statement *st)
{
    struct buf b;
    (void)st;

    buf_init(&b);
    help_lines(&b, shows, COUNT(shows), "SHOW ");
    help_lines(&b, commands, COUNT(commands), "");
    admin_notice(a, TEXT("Console usage"), buf_text(&b));
    buf_release(&b);
    admin_complete(a, TEXT("SHOW"));
}

/* ---- SET, RELOAD, SHUTDOWN, SUSPEND ---- */

void command_set(struct admin *a, const struct statement *st)
{
    struct console *c = a->console;
    struct err err = { 0 };
    struct buf tag;

    if (is_ignored(st->args[0])) {
        admin_notice(a, TEXT("SET ignored"), TEXT(""));
        admin_complete(a, TEXT("SET"));
        return;
    }
    if (!c->ops->set(c->arg, st->args[0].p, st->value, &err)) {
        admin_error(a, "08P01", "SET failed: %s", err.msg);
        return;
    }
    log_info(c->hub->log, "console: %s: SET %s", a->user, st->args[0].p);
    buf_init(&tag);
    buf_printf(&tag, "SET %s=%s", st->args[0].p, st->value.p);
    admin_complete(a, buf_text(&tag));
    buf_release(&tag);
}

static bool no_args(struct admin *a, const struct statement *st)
{
    if (st->n_args == 0)
        return true;
    admin_error(a, "08P01", "%.*s takes no argument", TEXT_ARG(st->word));
    return false;
}

void command_reload(struct admin *a, const struct statement *st)
{
    struct console *c = a->console;
    struct err err = { 0 };

    if (!no_args(a, st))
        return;
    log_info(c->hub->log, "RELOAD command issued");
    if (c->ops->reload(c->arg, &err))
        admin_complete(a, TEXT("RELOAD"));
    else
        admin_error(a, "F0000", "RELOAD failed, see logs for additional details");
}

void command_shutdown(struct admin *a, const struct statement *st)
{
    struct console *c = a->console;
    enum console_shutdown mode = SHUTDOWN_NOW;

    if (st->n_args == 1 && text_is_i(st->args[0], "wait_for_servers"))
        mode = SHUTDOWN_WAIT_SERVERS;
    else if (st->n_args == 1 && text_is_i(st->args[0], "wait_for_clients"))
        mode = SHUTDOWN_WAIT_CLIENTS;
    else if (st->n_args != 0) {
        admin_error(a, "08P01", "SHUTDOWN takes WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS");
        return;
    }
    if (mode != SHUTDOWN_NOW && atomic_load(&c->hub->registry.shutting_down)) {
        admin_error(a, "08P01", "pooler is shutting down");
        return;
    }
    log_info(c->hub->log, "SHUTDOWN command issued");
    admin_complete(a, TEXT("SHUTDOWN"));
    if (a->conn)
        conn_flush(a->conn);
    c->ops->shutdown(c->arg, mode);
}

/* ---- commands that name a database ---- */

static bool is_own_db(struct text name)
{
    return text_is(name, "pgbouncer") || text_is(name, "pgbulkhead");
}

/* The ledger of the database that the command names; NULL after an error was sent. */
static struct db_ledger *named_db(struct admin *a, const struct statement *st)
{
    struct registry *r = &a->console->hub->registry;
    struct arena arena;

    if (st->n_args != 1) {
        admin_error(a, "08P01", "a database is required");
        return NULL;
    }
    if (is_own_db(st->args[0])) {
        char word[20];
        size_t n = 0;
        for (; n < st->word.n && n < sizeof(word) - 1; n++)
            word[n] = (char)tolower((unsigned char)st->word.p[n]);
        word[n] = '\0';
        admin_error(a, "08P01", "cannot %s admin db: %.*s", word, TEXT_ARG(st->args[0]));
        return NULL;
    }
    struct db_ledger *db = registry_find_db(r, st->args[0]);
    if (db)
        return db;
    arena_init(&arena, 1024);
    bool known = setup_database(console_setup(a->console), st->args[0], &arena) != NULL;
    arena_release(&arena);
    db = known ? registry_db(r, st->args[0]) : NULL;
    if (!db)
        admin_error(a, "08P01", "no such database: %.*s", TEXT_ARG(st->args[0]));
    return db;
}

/* Optional database: true with *db NULL for all. */
static bool optional_db(struct admin *a, const struct statement *st, struct db_ledger **db)
{
    *db = NULL;
    if (st->n_args == 0)
        return true;
    *db = named_db(a, st);
    return *db != NULL;
}

static struct text db_name(const struct db_ledger *db)
{
    return db ? db->name : TEXT("");
}

static void log_issued(struct admin *a, const char *word, const struct db_ledger *db)
{
    if (db)
        log_info(a->console->hub->log, "%s '%.*s' command issued", word, TEXT_ARG(db->name));
    else
        log_info(a->console->hub->log, "%s command issued", word);
}

static bool shutting_down(struct admin *a)
{
    if (!atomic_load(&a->console->hub->registry.shutting_down))
        return false;
    admin_error(a, "08P01", "pooler is shutting down");
    return true;
}

static _Atomic bool *pause_flag(struct admin *a, struct db_ledger *db)
{
    return db ? &db->paused : &a->console->hub->registry.paused;
}

static void changed(struct admin *a, struct text db)
{
    a->console->ops->paused(a->console->arg, db);
}

static void fn_close_idle(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)part;
    engine_close_idle(e, ask->db);
}

static void fn_resume(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)part;
    engine_resume(e, ask->db);
}

static void fn_reconnect(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)part;
    engine_reconnect(e, ask->db);
}

static void fn_kill(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)part;
    engine_kill(e, ask->db);
}

/* Nobody is told, the administrator has left. */
static void done_nothing(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)a;
    (void)ask;
    (void)sum;
}

static void begin_wait(struct admin *a, enum waiting what, struct text db)
{
    a->running = true;
    a->wait = what;
    a->wait_db = db;
    console_wait(a->console);
}

/* Servers of the database, or of all, that are open or opening. */
static int64_t open_servers(struct admin *a)
{
    int n;
    int64_t sum = 0;
    struct db_ledger **dbs = registry_dbs(&a->console->hub->registry, &n);

    for (int i = 0; dbs && i < n; i++)
        if (a->wait_db.n == 0 || text_eq(dbs[i]->name, a->wait_db))
            sum += quota_used(&dbs[i]->servers);
    free(dbs);
    return sum;
}

static void done_close_idle(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)sum;
    a->counting = false;
    begin_wait(a, WAIT_PAUSED, ask->db);
    admin_poll(a);
}

void command_pause(struct admin *a, const struct statement *st)
{
    struct db_ledger *db;

    if (!optional_db(a, st, &db) || shutting_down(a))
        return;
    if ((!db && a->console->suspended) || atomic_exchange(pause_flag(a, db), true)) {
        if (db)
            admin_error(a, "08P01", "database %.*s is already paused", TEXT_ARG(db->name));
        else
            admin_error(a, "08P01", "already suspended/paused");
        return;
    }
    log_issued(a, "PAUSE", db);
    if (!admin_ask(a, db_name(db), 0, fn_close_idle, done_close_idle)) {
        atomic_store(pause_flag(a, db), false);
        return;
    }
    changed(a, db_name(db));
    a->counting = true;
    a->wait_db = db_name(db);
    a->wait = WAIT_PAUSED; /* from now on leaving takes it back */
}

void command_resume(struct admin *a, const struct statement *st)
{
    struct db_ledger *db;

    if (!optional_db(a, st, &db) || shutting_down(a))
        return;
    bool was = !db && console_go_on(a->console);
    if (!atomic_exchange(pause_flag(a, db), false) && !was) {
        if (db)
            admin_error(a, "08P01", "database %.*s is not paused", TEXT_ARG(db->name));
        else
            admin_error(a, "08P01", "pooler is not paused/suspended");
        return;
    }
    log_issued(a, "RESUME", db);
    changed(a, db_name(db));
    (void)admin_tell(a, db_name(db), 0, fn_resume, TEXT("RESUME"));
}

static void set_disabled(struct admin *a, const struct statement *st, bool disabled)
{
    struct db_ledger *db = named_db(a, st);

    if (!db)
        return;
    atomic_store(&db->disabled, disabled);
    changed(a, db->name);
    log_issued(a, disabled ? "DISABLE" : "ENABLE", db);
    admin_complete(a, disabled ? TEXT("DISABLE") : TEXT("ENABLE"));
}

void command_disable(struct admin *a, const struct statement *st)
{
    set_disabled(a, st, true);
}

void command_enable(struct admin *a, const struct statement *st)
{
    set_disabled(a, st, false);
}

void command_reconnect(struct admin *a, const struct statement *st)
{
    struct db_ledger *db;

    if (!optional_db(a, st, &db))
        return;
    log_issued(a, "RECONNECT", db);
    (void)admin_tell(a, db_name(db), 0, fn_reconnect, TEXT("RECONNECT"));
}

void command_kill(struct admin *a, const struct statement *st)
{
    struct db_ledger *db;

    if (!optional_db(a, st, &db))
        return;
    atomic_store(pause_flag(a, db), true);
    log_issued(a, "KILL", db);
    changed(a, db_name(db));
    (void)admin_tell(a, db_name(db), 0, fn_kill, TEXT("KILL"));
}

/* ---- KILL_CLIENT ---- */

/* The id of SHOW CLIENTS, or its ptr. */
static uint64_t client_id(struct engine *e, uint64_t number)
{
    LIST_FOREACH(n, &e->all_clients) {
        const struct client *c = LIST_ENTRY(n, struct client, all);
        if (c->id == number || (uint64_t)(uintptr_t)c == number)
            return c->id;
    }
    return 0;
}

static void fn_kill_client(struct engine *e, struct ask *ask, struct ask_part *part)
{
    uint64_t id = client_id(e, ask->number);
    part->count = id && engine_kill_client(e, id);
}

static void done_kill_client(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)ask;
    if (sum)
        admin_complete(a, TEXT("KILL_CLIENT"));
    else
        admin_error(a, "08P01", "client not found");
}

static bool to_number(struct text t, uint64_t *out)
{
    char *end;

    if (t.n == 0 || t.n > 20 || t.p[0] < '0' || t.p[0] > '9')
        return false;
    *out = strtoull(t.p, &end, t.n > 2 && (t.p[1] == 'x' || t.p[1] == 'X') ? 16 : 10);
    return end == t.p + t.n && *out != 0;
}

void command_kill_client(struct admin *a, const struct statement *st)
{
    uint64_t number;

    if (st->n_args != 1) {
        admin_error(a, "08P01", "a client id is required");
        return;
    }
    if (!to_number(st->args[0], &number)) {
        admin_error(a, "08P01", "invalid client pointer supplied");
        return;
    }
    (void)admin_ask(a, TEXT(""), number, fn_kill_client, done_kill_client);
}

/* ---- WAIT_CLOSE, and waiting in general ---- */

static void fn_count_marked(struct engine *e, struct ask *ask, struct ask_part *part)
{
    LIST_FOREACH(n, &e->shards) {
        const struct shard *sh = LIST_ENTRY(n, struct shard, node);
        if (ask->db.n && !text_eq(sh->pool->db_name, ask->db))
            continue;
        for (int i = 0; i < SERVER_STATES; i++) {
            if (i == SERVER_DEAD)
                continue;
            LIST_FOREACH(k, &sh->servers[i]) {
                part->count += LIST_ENTRY(k, struct server, node)->close_needed;
            }
        }
    }
}

static void done_count_marked(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)ask;
    a->counting = false;
    if (sum == 0)
        admin_complete(a, TEXT("WAIT_CLOSE"));
    else
        console_wait(a->console);
}

void command_wait_close(struct admin *a, const struct statement *st)
{
    struct db_ledger *db;

    if (!optional_db(a, st, &db))
        return;
    log_issued(a, "WAIT_CLOSE", db);
    begin_wait(a, WAIT_CLOSED, db_name(db));
    admin_poll(a);
}

/* The flag that the command has set. */
static _Atomic bool *own_pause(struct admin *a)
{
    return pause_flag(a, a->wait_db.n ? registry_find_db(&a->console->hub->registry, a->wait_db)
                                      : NULL);
}

static void done_cancel(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)ask;
    (void)sum;
    admin_error(a, "57014", "canceling statement due to user request");
}

static void take_back(struct admin *a)
{
    a->canceled = false;
    if (a->wait == WAIT_LIFE) { /* its end follows */
        admin_life_left(a);
        return;
    }
    if (a->console->suspended == a)
        console_go_on(a->console);
    if (a->wait != WAIT_PAUSED) {
        done_cancel(a, NULL, 0);
        return;
    }
    a->wait = WAIT_NOTHING;
    admin_log(a, LOG_LV_LOG, "PAUSE was canceled: resuming");
    atomic_store(own_pause(a), false);
    changed(a, a->wait_db);
    (void)admin_ask(a, a->wait_db, 0, fn_resume, done_cancel);
}

void admin_cancel(struct admin *a)
{
    a->canceled = true;
    admin_poll(a);
}

void admin_poll(struct admin *a)
{
    if (a->counting)
        return; /* it is looked at when the workers have answered */
    if (a->canceled) {
        take_back(a);
    } else if (a->wait == WAIT_PAUSED) {
        if (!atomic_load(own_pause(a)))
            admin_error(a, "08P01", "PAUSE was ended by RESUME");
        else if (open_servers(a) == 0)
            admin_complete(a, TEXT("PAUSE"));
    } else if (a->wait == WAIT_FLUSHED) {
        admin_suspend_poll(a);
    } else if (a->wait == WAIT_CLOSED) {
        a->counting = admin_ask(a, a->wait_db, 0, fn_count_marked, done_count_marked);
    }
}

void admin_gave_up(struct admin *a)
{
    if (a->wait == WAIT_LIFE)
        admin_life_left(a);
    if (a->wait != WAIT_PAUSED)
        return;
    a->wait = WAIT_NOTHING;
    log_info(a->console->hub->log, "console: %s left during PAUSE: resuming", a->user);
    atomic_store(own_pause(a), false);
    changed(a, a->wait_db);
    (void)admin_ask(a, a->wait_db, 0, fn_resume, done_nothing);
}
