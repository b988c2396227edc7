/* SPDX-License-Identifier: ISC */
/* EXPLAIN TENANT: what would become of a statement of that tenant, and why. */
#include "console/internal.h"

#include "base/deep.h"
#include "tenant/explain.h"

#include <stdlib.h>

/* The command taken apart. */
struct request {
    struct text tenant, db;
    int mode; /* TENANT_MODE_UNSET: the database's */
    bool extended;
    struct text sql;
};

static bool next_word(struct text *rest, struct arena *a, struct text *out, struct err *e)
{
    *out = (struct text){ NULL, 0 };
    return statement_word(rest, a, out, e);
}

static bool read_mode(struct text word, int *mode)
{
    static const int modes[] = { TENANT_AUDIT, TENANT_REJECT, TENANT_REWRITE, TENANT_RLS };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (text_is_i(word, tenant_mode_name(modes[i]))) {
            *mode = modes[i];
            return true;
        }
    return false;
}

/* One option in front of the statement. *more: there was one. */
static bool read_option(struct request *rq, struct text *rest, struct arena *a, bool *more,
                        struct err *e)
{
    struct text before = *rest, word, value;
    struct err none = { 0 };

    *more = false;
    if (!next_word(rest, a, &word, &none)) {
        *rest = before; /* the statement's own business */
        return true;
    }
    *more = true;
    if (text_is_i(word, "database"))
        return (next_word(rest, a, &rq->db, e) && rq->db.n) || err_set(e, "DATABASE needs a name");
    if (text_is_i(word, "mode"))
        return (next_word(rest, a, &value, e) && read_mode(value, &rq->mode)) ||
               err_set(e, "MODE is audit, reject, rewrite or rls");
    if (text_is_i(word, "as")) {
        if (!next_word(rest, a, &value, e) ||
            (!text_is_i(value, "extended") && !text_is_i(value, "simple")))
            return err_set(e, "AS is followed by SIMPLE or EXTENDED");
        rq->extended = text_is_i(value, "extended");
        return true;
    }
    *more = false;
    *rest = before;
    return true;
}

static bool read_request(struct text rest, struct arena *a, struct request *rq, struct err *e)
{
    struct text word;
    bool more = true;

    *rq = (struct request){ .mode = TENANT_MODE_UNSET };
    if (!next_word(&rest, a, &word, e) || !text_is_i(word, "tenant"))
        return err_set(e, "expected EXPLAIN TENANT 'tenant' [DATABASE db] [MODE mode] "
                          "[AS EXTENDED] statement");
    if (!next_word(&rest, a, &rq->tenant, e))
        return false;
    if (!rq->tenant.n)
        return err_set(e, "EXPLAIN TENANT needs the name of a tenant");
    while (more)
        if (!read_option(rq, &rest, a, &more, e))
            return false;
    rq->sql = arena_text(a, text_trim(rest));
    return rq->sql.n > 0 || err_set(e, "the statement to be explained is missing");
}

/* The database that the command names, or the only one with tenants. */
static const struct database_conf *find_database(const struct setup *s, const struct request *rq,
                                                 struct arena *a, struct err *e)
{
    const struct database_conf *only = NULL;
    int n = 0;

    if (rq->db.n) {
        const struct database_conf *db = setup_database(s, rq->db, a);
        if (!db)
            err_set(e, "no such database: %.*s", TEXT_ARG(rq->db));
        return db;
    }
    for (int i = 0; i < s->n_databases; i++)
        if (setup_holds_tenants(s, s->databases[i])) {
            only = s->databases[i];
            n++;
        }
    if (n != 1)
        err_set(e, n ? "several databases hold tenants: say DATABASE name"
                     : "no database has a tenant_mode: say DATABASE name and MODE mode");
    return n == 1 ? only : NULL;
}

static struct policy *find_policy(struct admin *a, const struct database_conf *db, struct err *e)
{
    struct hub *h = a->console->hub;
    struct db_ledger *l = registry_db(&h->registry, db->name);
    struct policy *p = l ? hub_policy_get(h, l) : NULL;

    if (p)
        return p;
    h->calls->want_catalog(h->calls_arg, db->name);
    err_set(e, "the catalog of database \"%.*s\" is not known yet; it is being read, try again",
            TEXT_ARG(db->name));
    return NULL;
}

static void send_row(void *arg, const struct explain_row *e)
{
    struct admin *a = arg;
    const struct text *const v[] = { &e->item, &e->value, &e->cls, &e->how, &e->source };
    struct row r;

    row_init(&r);
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        if (v[i]->n)
            row_text(&r, *v[i]);
        else
            row_null(&r);
    }
    row_end(&r, 5, &a->out);
}

/* The parser needs more stack than the control thread may have. */
struct judging {
    struct admin *admin;
    struct tenant_engine *engine;
    const struct tenant_ask *ask;
    bool ok;
};

static void judge_deep(void *arg)
{
    struct judging *j = arg;
    enum tenant_action action;

    j->ok = explain_statement(j->engine, j->ask, send_row, j->admin, &action);
}

static bool judge(struct admin *a, const struct tenant_ask *ask)
{
    static const struct wire_column cols[] = { COL_S("item"), COL_S("value"), COL_S("class"),
                                               COL_S("how"), COL_S("source") };
    const struct tenant_engine_opts o = {
        .max_statement = (size_t)console_setup(a->console)->g.tenant_max_statement
    };
    struct judging j = { .admin = a, .engine = tenant_engine_new(&o), .ask = ask };

    wire_rowdesc_build(&a->out, cols, COLUMNS(cols));
    bool started = j.engine && deep_call(LOOP_STACK, judge_deep, &j);
    tenant_engine_free(j.engine);
    return started && j.ok;
}

static bool run(struct admin *a, struct text rest, struct arena *arena, struct err *e)
{
    const struct setup *s = console_setup(a->console);
    struct request rq;
    struct identity id;

    if (!read_request(rest, arena, &rq, e))
        return false;
    const struct database_conf *db = find_database(s, &rq, arena, e);
    if (!db || !setup_tenant(s, rq.tenant, arena, &id, e))
        return false;
    if (rq.mode == TENANT_MODE_UNSET)
        rq.mode = setup_tenant_mode(s, db, NULL);
    if (rq.mode == TENANT_OFF)
        return err_set(e, "database \"%.*s\" has no tenant_mode: say MODE mode",
                       TEXT_ARG(db->name));
    struct policy *p = find_policy(a, db, e);
    if (!p)
        return false;
    const struct tenant_ask ask = {
        .policy = p, .identity = &id, .mode = rq.mode, .extended = rq.extended, .sql = rq.sql
    };
    bool ok = judge(a, &ask) || err_set(e, "out of memory");
    policy_unref(p);
    return ok;
}

void command_explain(struct admin *a, const struct statement *st)
{
    struct arena arena;
    struct err e = { 0 };

    arena_init(&arena, 4096);
    if (run(a, st->value, &arena, &e))
        admin_complete(a, TEXT("EXPLAIN"));
    else
        admin_error(a, "08P01", "%s", e.msg);
    arena_release(&arena);
}
