/* SPDX-License-Identifier: ISC */
/* DELETE TENANT and EXPORT TENANT: main does the work, the console keeps the tenant out meanwhile.
 */
#include "console/internal.h"

#include "base/check.h"

#include <stdlib.h>

/* One such command; lives until its work is done. */
struct life {
    struct admin *admin;
    struct arena arena;
    struct console_life rq;
    bool force, barred, started;
};

static void life_free(struct life *f)
{
    struct admin *a = f->admin;

    if (f->barred)
        hub_unbar(a->console->hub);
    a->life = NULL;
    arena_release(&f->arena);
    free(f);
    admin_release(a);
}

/* ---- what the command says ---- */

static bool usage(struct admin *a, const struct statement *st)
{
    if (text_is_i(st->word, "export"))
        admin_error(a, "08P01", "EXPORT TENANT 'tenant' [DATABASE db] TO 'directory'");
    else
        admin_error(a, "08P01", "DELETE TENANT 'tenant' [DATABASE db] [DRY RUN] [FORCE]");
    return false;
}

static bool read_words(struct admin *a, const struct statement *st, struct life *f)
{
    bool export = f->rq.verb == LIFE_EXPORT;
    int i = 2;

    if (st->n_args < 2 || !text_is_i(st->args[0], "tenant") || !st->args[1].n)
        return usage(a, st);
    f->rq.tenant = st->args[1];
    while (i < st->n_args) {
        struct text w = st->args[i++];
        if (text_is_i(w, "database") && i < st->n_args && !f->rq.database.n) {
            f->rq.database = st->args[i++];
        } else if (export && text_is_i(w, "to") && i < st->n_args && !f->rq.dir.n) {
            f->rq.dir = st->args[i++];
        } else if (!export && text_is_i(w, "dry") && i < st->n_args &&
                   text_is_i(st->args[i], "run")) {
            f->rq.dry_run = true;
            i++;
        } else if (!export && text_is_i(w, "force")) {
            f->force = true;
        } else {
            return usage(a, st);
        }
    }
    if (!export || (f->rq.dir.n && f->rq.dir.p[0] == '/'))
        return true;
    admin_error(a, "08P01", "EXPORT TENANT needs TO and an absolute path of a new directory");
    return false;
}

/* Without DATABASE: the only one that holds tenants. */
static bool find_database(struct admin *a, struct life *f)
{
    const struct setup *s = console_setup(a->console);
    int found = 0;

    if (f->rq.database.n) {
        if (setup_database(s, f->rq.database, &f->arena))
            return true;
        admin_error(a, "08P01", "no such database: %.*s", TEXT_ARG(f->rq.database));
        return false;
    }
    for (int i = 0; i < s->n_databases; i++) {
        if (setup_tenant_mode(s, s->databases[i], NULL) == TENANT_OFF)
            continue;
        f->rq.database = s->databases[i]->name;
        found++;
    }
    if (found == 1)
        return true;
    admin_error(a, "08P01", "%s databases hold tenants: say DATABASE and its name",
                found ? "several" : "no");
    return false;
}

/* ---- the answer ---- */

const struct wire_column life_columns[LIFE_COLUMNS] = { COL_S("schema"), COL_S("table"),
                                                        COL_S("column"), COL_S("claim"),
                                                        COL_Q("rows") };

static void answer(struct admin *a, const struct life *f, const struct console_life_result *r)
{
    struct row row;
    const char *tag = f->rq.verb == LIFE_EXPORT ? "EXPORT TENANT"
                      : f->rq.dry_run           ? "DELETE TENANT DRY RUN"
                                                : "DELETE TENANT";

    for (int i = 0; i < r->n_warnings; i++)
        admin_notice(a, text_of(r->warnings[i]), TEXT(""));
    wire_rowdesc_build(&a->out, life_columns, LIFE_COLUMNS);
    row_init(&row);
    for (int i = 0; i < r->n; i++) {
        const struct console_life_row *t = &r->rows[i];
        row_text(&row, t->schema);
        row_text(&row, t->table);
        row_text(&row, t->column);
        row_text(&row, t->claim);
        row_int(&row, t->rows);
        row_end(&row, LIFE_COLUMNS, &a->out);
    }
    row_null(&row);
    row_text(&row, TEXT("total"));
    row_null(&row);
    row_null(&row);
    row_int(&row, r->total);
    row_end(&row, LIFE_COLUMNS, &a->out);
    admin_complete(a, text_of(tag));
}

static void on_done(void *arg, const struct console_life_result *r, const struct err *e)
{
    struct life *f = arg;
    struct admin *a = f->admin;

    if (a->conn && r)
        answer(a, f, r);
    else if (a->conn)
        admin_error(a, e->sqlstate[0] ? e->sqlstate : "58000", "%s", e->msg);
    life_free(f);
}

/* ---- keeping the tenant out ---- */

static void start(struct admin *a, struct life *f)
{
    struct err err = { 0 };

    f->started = a->console->ops->life(a->console->arg, &f->rq, &err);
    if (f->started)
        return;
    admin_error(a, "58000", "%s", err.msg);
    life_free(f);
}

static void fn_count(struct engine *e, struct ask *ask, struct ask_part *part)
{
    part->count = (uint64_t)engine_tenant_clients(e, ask->admin->life->rq.tenant, false);
}

static void fn_close(struct engine *e, struct ask *ask, struct ask_part *part)
{
    part->count = (uint64_t)engine_tenant_clients(e, ask->admin->life->rq.tenant, true);
}

static void done_close(struct admin *a, struct ask *ask, uint64_t sum)
{
    (void)ask;
    if (sum)
        log_info(a->console->hub->log, "DELETE TENANT: %" PRIu64 " clients were closed", sum);
    start(a, a->life);
}

static void done_count(struct admin *a, struct ask *ask, uint64_t sum)
{
    struct life *f = a->life;
    (void)ask;

    if (!sum) {
        start(a, f);
        return;
    }
    admin_error(a, "55006",
                "%" PRIu64 " clients of tenant \"%.*s\" are connected; FORCE closes them first",
                sum, TEXT_ARG(f->rq.tenant));
    life_free(f);
}

void admin_life_asked(struct admin *a)
{
    if (!a->conn && a->life && !a->life->started)
        life_free(a->life);
}

void admin_life_left(struct admin *a)
{
    if (a->life && a->life->started)
        a->console->ops->life_cancel(a->console->arg);
}

static void command(struct admin *a, const struct statement *st, enum life_verb verb)
{
    struct hub *h = a->console->hub;

    if (a->mode == ADMIN_DESCRIBE) {
        wire_rowdesc_build(&a->out, life_columns, LIFE_COLUMNS);
        admin_complete(a, TEXT(""));
        return;
    }
    struct life *f = calloc(1, sizeof(*f));
    if (!f) {
        admin_error(a, "53200", "out of memory");
        return;
    }
    f->admin = a;
    f->rq.verb = verb;
    f->rq.done = on_done;
    f->rq.arg = f;
    arena_init(&f->arena, 1024);
    admin_hold(a);
    a->life = f;
    if (!read_words(a, st, f) || !find_database(a, f)) {
        life_free(f);
        return;
    }
    f->rq.tenant = arena_text(&f->arena, f->rq.tenant);
    f->rq.database = arena_text(&f->arena, f->rq.database);
    f->rq.dir = arena_text(&f->arena, f->rq.dir);
    if (atomic_load(&h->any_barred)) {
        admin_error(a, "58000", "another tenant is being deleted");
        life_free(f);
        return;
    }
    log_info(h->log, "console: %s: %s TENANT \"%.*s\" of database \"%.*s\"%s%s", a->user,
             verb == LIFE_EXPORT ? "EXPORT" : "DELETE", TEXT_ARG(f->rq.tenant),
             TEXT_ARG(f->rq.database), f->rq.dry_run ? " DRY RUN" : "", f->force ? " FORCE" : "");
    a->running = true;
    a->wait = WAIT_LIFE;
    if (verb == LIFE_EXPORT || f->rq.dry_run) {
        start(a, f);
        return;
    }
    f->barred = hub_bar(h, f->rq.tenant);
    if (!f->barred) {
        admin_error(a, "53200", "out of memory");
        life_free(f);
        return;
    }
    if (!admin_ask(a, TEXT(""), 0, f->force ? fn_close : fn_count,
                   f->force ? done_close : done_count))
        life_free(f);
}

void command_delete(struct admin *a, const struct statement *st)
{
    command(a, st, LIFE_DELETE);
}

void command_export(struct admin *a, const struct statement *st)
{
    command(a, st, LIFE_EXPORT);
}
