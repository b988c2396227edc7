/* SPDX-License-Identifier: ISC */
/* The walker: which names mean what, and what is refused for which reason. */
#include "tenant_world.h"

#include "tenant/utility.h"

static void names(struct world *w)
{
    world_is(w, "WITH tickets AS (SELECT 1 AS id) SELECT id FROM tickets", "=", NULL);
    world_is(
        w, "WITH tickets AS (SELECT 1 AS id) SELECT p.subject FROM public.tickets p, tickets",
        "WITH tickets AS (SELECT 1 AS id) SELECT p.subject FROM public.tickets p, tickets WHERE {p.tenant_id}",
        NULL);
    world_is(
        w, "WITH tickets AS (SELECT * FROM tickets) SELECT * FROM tickets",
        "WITH tickets AS (SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}) SELECT * FROM tickets",
        NULL);
    world_is(w, "WITH a AS (SELECT 1), tickets AS (SELECT 2) SELECT * FROM a, tickets", "=", NULL);
    world_is(
        w, "WITH a AS (SELECT * FROM tickets), tickets AS (SELECT 2) SELECT * FROM a",
        "WITH a AS (SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}), tickets AS (SELECT 2) SELECT * FROM a",
        NULL);
    world_is(w,
             "WITH RECURSIVE a AS (SELECT 1 FROM tickets), tickets AS (SELECT 2) SELECT * FROM a",
             "=", NULL);
    world_is(w, "WITH tickets AS (SELECT 1) DELETE FROM tickets",
             "WITH tickets AS (SELECT 1) DELETE FROM \"public\".tickets WHERE {tickets.tenant_id}",
             NULL);
    world_is(
        w, "SELECT (WITH tickets AS (SELECT 1) SELECT count(*) FROM tickets) FROM tickets",
        "SELECT (WITH tickets AS (SELECT 1) SELECT count(*) FROM tickets) FROM \"public\".tickets "
        "WHERE {tickets.tenant_id}",
        NULL);
    world_is(w, "SELECT documents.id FROM chunks AS documents",
             "SELECT documents.id FROM \"public\".chunks AS documents WHERE {documents.tenant_id}",
             NULL);
    world_is(w, "SELECT * FROM settings", "SELECT * FROM \"public\".settings", NULL);
    world_is(w, "SELECT * FROM memory.settings",
             "SELECT * FROM memory.settings WHERE {settings.user_id}", NULL);
    world_is(w, "SELECT \"from\" FROM \"Order Items\"",
             "SELECT \"from\" FROM \"public\".\"Order Items\" WHERE {Order Items.TenantId}", NULL);
    world_is(w, "SELECT * FROM nosuch", "!unknown_relation", NULL);
    world_is(w, "SELECT * FROM loose", "!unknown_relation", NULL);
    world_is(w, "SELECT * FROM app.public.tickets", "!unknown_relation", NULL);
    world_is(w, "SELECT * FROM secret", "!denied_relation", NULL);
    world_is(w, "SELECT * FROM pg_stats", "!unknown_relation", NULL);
    world_is(w, "SELECT * FROM \"TICKETS\"", "!unknown_relation", NULL);
}

static void attributes(struct world *w)
{
    world_is(w, "SELECT d.peers FROM documents d", "!attribute", NULL);
    world_is(w, "SELECT (d).peers FROM documents d", "!attribute", NULL);
    world_is(w, "SELECT public.documents.peers FROM documents", "!attribute", NULL);
    world_is(w, "SELECT (d).title FROM documents d",
             "SELECT (d).title FROM \"public\".documents d WHERE {d.tenant_id}", NULL);
    world_is(w, "SELECT q.peers FROM (SELECT * FROM documents) q", "!attribute", NULL);
    world_is(w, "SELECT q.nosuch FROM (SELECT 1 AS a) q", "!attribute", NULL);
    world_is(
        w, "SELECT d.title FROM documents d WHERE EXISTS (SELECT 1 FROM chunks d WHERE d.seq = 1)",
        "SELECT d.title FROM \"public\".documents d WHERE {d.tenant_id} AND (EXISTS (SELECT 1 FROM \"public\".chunks d "
        "WHERE {d.tenant_id} AND (d.seq = 1)))",
        NULL);
    /* a sub-select that is not LATERAL does not see its neighbour: the outer relation is meant */
    world_is(
        w, "SELECT (SELECT x FROM (SELECT 1 AS peers) d, (SELECT d.peers AS x) e) FROM documents d",
        "!attribute", NULL);
    world_is(w, "SELECT ctid, xmin, tableoid::regclass FROM tickets t",
             "SELECT ctid, xmin, tableoid::regclass FROM \"public\".tickets t WHERE {t.tenant_id}",
             NULL);
    world_is(w, "SELECT tableoid::regclass FROM (SELECT title AS tableoid FROM documents) d",
             "!type", NULL);
    world_is(w, "SELECT t FROM tickets t WHERE t.closed",
             "SELECT t FROM \"public\".tickets t WHERE {t.tenant_id} AND (t.closed)", NULL);
    world_is(w, "SELECT nosuch.id FROM tickets", "!attribute", NULL);
    world_is(
        w, "SELECT d.* FROM documents AS d(a, b), LATERAL (SELECT d.a) x(y)",
        "SELECT d.* FROM (SELECT * FROM \"public\".documents WHERE {documents.tenant_id}) AS d(a, b), "
        "LATERAL (SELECT d.a) x(y)",
        NULL);
}

static void calls(struct world *w)
{
    world_is(w, "SELECT lower(title) FROM documents d",
             "SELECT lower(title) FROM \"public\".documents d WHERE {d.tenant_id}", NULL);
    world_is(w, "SELECT norm_title('x'), coalesce(1, 2), current_date, extract(month FROM now())",
             "=", NULL);
    world_is(w, "SELECT peers(d) FROM documents d", "!function", NULL);
    world_is(w, "SELECT set_config('a.b', 'c', false)", "!function", NULL);
    world_is(w, "SELECT pg_catalog.pg_read_file('x')", "!function", NULL);
    world_is(w, "SELECT query_to_xml('SELECT 1', false, false, '')", "!function", NULL);
    world_is(w, "SELECT * FROM dblink('x', 'y') AS t(a text)", "!function", NULL);
    world_is(w, "SELECT nosuch(1)", "!function", NULL);
    world_is(w, "SELECT 1 ORDER BY pg_sleep(1)", "!function", NULL);
    world_is(w, "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL)", "!function", NULL);
    world_is(w, "SELECT sum(1) OVER (ORDER BY pg_sleep(1))", "!function", NULL);
    world_is(w, "SELECT 1 LIMIT pg_backend_pid()", "=", NULL);
    world_is(w, "SELECT * FROM generate_series(1, 3) g(x) WHERE g.x > 1", "=", NULL);
    world_is(w, "SELECT current_setting('app.tenant_id')", "!setting", NULL);
    world_is(w, "SELECT current_setting('a' || 'b')", "!setting", NULL);
    world_is(w, "SELECT 'a' ~~~ 'b'", "!operator", NULL);
    world_is(w,
             "SELECT 1 FROM tickets t WHERE EXISTS (SELECT 1 FROM doc_types WHERE 'a' LIKE ANY "
             "(ARRAY[t.subject]))",
             "!operator", NULL);
    world_is(w,
             "SELECT (SELECT max(code) FROM doc_types d WHERE d.label LIKE ANY (ARRAY['a%'])), 'a' "
             "LIKE ANY (NULL)",
             "SELECT (SELECT max(code) FROM \"public\".doc_types d WHERE d.label LIKE ANY "
             "(ARRAY['a%'])), 'a' LIKE ANY (NULL)",
             NULL);
    world_is(w, "SELECT 1 OPERATOR(toolbox.=) 2", "!operator", NULL);
    world_is(w, "SELECT 1 OPERATOR(pg_catalog.=) 2", "=", NULL);
    world_is(w, "SELECT 'x'::text COLLATE \"C\"", "=", NULL);
    world_is(w, "SELECT 'x'::text COLLATE public.ci", "!collation", NULL);
    world_is(w, "SELECT tags[2]::regclass FROM documents", "!type", NULL);
    world_is(w, "SELECT n::regtype FROM (SELECT size AS n FROM documents) d", "!type", NULL);
    world_is(w, "SELECT 'x'::documents", "!type", NULL);
    world_is(w, "SELECT 1::nosuch", "!type", NULL);
    world_is(w, "SELECT xmlforest(1 AS a)", "=", NULL);
    world_is(w, "SELECT xmlforest(peers(1) AS a)", "!function", NULL);
    world_is(w, "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b text)", "=", NULL);
}

static void statements(struct world *w)
{
    static const char *const same[] = {
        "",
        ";",
        "-- nothing",
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "COMMIT",
        "ROLLBACK",
        "END",
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
        "SET datestyle = 'ISO'",
        "SET LOCAL timezone TO 'UTC'",
        "RESET datestyle",
        "SHOW server_version",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "FETCH 2 FROM c",
        "MOVE c",
        "CLOSE c",
        "CLOSE ALL",
        "SELECT 1",
        "VALUES (1), (2)",
        "SELECT 1 UNION SELECT 2",
        "BEGIN; SELECT 1; COMMIT",
    };
    static const char *const refused[][2] = {
        { "SELECT FROM WHERE", "!unparsable" },
        { "SELECT 'x", "!unparsable" },
        { "SET app.tenant_id = 'x'", "!setting" },
        { "SET ROLE x", "!setting" },
        { "SET SESSION AUTHORIZATION x", "!setting" },
        { "SET search_path = a", "!setting" },
        { "SHOW data_directory", "!setting" },
        { "SET standard_conforming_strings = off", "!setting" },
        { "SET TRANSACTION SNAPSHOT 'x'", "!setting" },
        { "PREPARE TRANSACTION 'x'", "!two_phase" },
        { "COMMIT PREPARED 'x'", "!two_phase" },
        { "ROLLBACK PREPARED 'x'", "!two_phase" },
        { "CREATE TABLE a (b int)", "!ddl" },
        { "CREATE TEMP TABLE a AS SELECT 1", "!ddl" },
        { "CREATE VIEW a AS SELECT 1", "!ddl" },
        { "SELECT 1 INTO a", "!ddl" },
        { "DROP TABLE tickets", "!ddl" },
        { "ALTER TABLE tickets ADD a int", "!ddl" },
        { "CREATE INDEX ON tickets (id)", "!ddl" },
        { "TRUNCATE tickets", "!utility" },
        { "VACUUM", "!utility" },
        { "GRANT SELECT ON tickets TO x", "!utility" },
        { "LOCK tickets", "!lock" },
        { "LISTEN a123456789012345678901234567890123456", "!notify" },
        { "SELECT pg_notify('a', 'b') FROM tickets", "!function" },
        { "SELECT pg_notify('a', 'b') FROM generate_series(1, 2)", "!function" },
        { "SELECT 1 WHERE pg_notify('a', 'b') IS NULL", "!function" },
        { "SELECT pg_notify(subject, 'b') FROM tickets", "!function" },
        { "SELECT pg_notify('a' || 'b', 'c')", "!notify" },
        { "SELECT (SELECT pg_notify('a', 'b'))", "!function" },
        { "LOCK tickets IN SHARE ROW EXCLUSIVE MODE", "!lock" },
        { "LOCK tickets IN EXCLUSIVE MODE", "!lock" },
        { "LOCK doc_types IN ROW EXCLUSIVE MODE", "!lock" },
        { "LOCK v_both IN ACCESS SHARE MODE", "!lock" },
        { "LOCK secret IN ACCESS SHARE MODE", "!denied_relation" },
        { "LOCK nosuch IN ACCESS SHARE MODE", "!unknown_relation" },
        { "LOCK tickets, loose IN ACCESS SHARE MODE", "!unknown_relation" },
        { "RESET SESSION AUTHORIZATION", "!setting" },
        { "RESET ROLE", "!setting" },
        { "SHOW ALL", "!setting" },
        { "SET seed = 0.1", "!setting" },
        { "SELECT 1; DISCARD ALL", "!setting" },
        { "DO 'BEGIN END'", "!code_block" },
        { "CALL a()", "!code_block" },
        { "COPY v_both TO STDOUT", "!copy_table" },
        { "COPY tickets FROM STDIN (FREEZE)", "!copy_from" },
        { "PREPARE a AS SELECT 1; SELECT 1", "!prepared_sql" },
        { "PREPARE a (regclass) AS SELECT $1", "!type" },
        { "PREPARE a (nosuch) AS SELECT $1", "!type" },
        { "EXECUTE a; EXECUTE a", "!prepared_sql" },
        { "EXECUTE a (pg_sleep(1))", "!function" },
        { "EXECUTE a ((SELECT max(id) FROM tickets))", "!prepared_sql" },
        { "EXECUTE a ($1)", "!prepared_sql" },
        { "EXPLAIN (COSTS OFF) EXECUTE a", "!explain" },
        { "CREATE TABLE x AS EXECUTE a", "!ddl" },
        { "COPY (SELECT 1) TO '/tmp/x'", "!copy_file" },
        { "COPY (SELECT 1) TO PROGRAM 'x'", "!copy_file" },
        { "EXPLAIN SELECT 1", "!explain" },
        { "EXPLAIN ANALYZE SELECT 1", "!explain" },
        { "EXPLAIN (COSTS OFF, ANALYZE) SELECT 1", "!explain" },
        { "EXPLAIN (COSTS OFF, SUMMARY) SELECT 1", "!explain" },
        { "EXPLAIN (COSTS OFF, SERIALIZE) SELECT 1", "!explain" },
        { "EXPLAIN (COSTS OFF) CREATE TABLE x AS SELECT 1", "!explain" },
        { "UPDATE tickets SET closed = true WHERE CURRENT OF c AND true", "!unparsable" },
        { "UPDATE tickets SET closed = true FROM chunks WHERE CURRENT OF c", "!current_of" },
        { "UPDATE tickets SET tenant_id = 'other' WHERE CURRENT OF c", "!wrong_tenant" },
        { "WITH x AS (DELETE FROM tickets WHERE CURRENT OF c RETURNING 1) SELECT 1 FROM x",
          "!current_of" },
        { "DELETE FROM v_both WHERE CURRENT OF c", "!read_only_relation" },
        { "SELECT 1; DROP TABLE tickets", "!ddl" },
        { "SELECT code FROM doc_types FOR UPDATE", "!read_only_relation" },
        { "SELECT 1 FROM (SELECT * FROM doc_types) x FOR SHARE", "!read_only_relation" },
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        world_is(w, same[i], "=", NULL);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        world_is(w, refused[i][0], refused[i][1], NULL);
    world_is(w, "SELECT 1 /*+ Set(x y) */", "SELECT 1", NULL);
    struct verdict *v = world_judge(w, "SET datestyle = 'ISO'");
    ok(v->leaves_state, "SET of the session leaves state");
    verdict_unref(w->engine, v);
    v = world_judge(w, "SET LOCAL datestyle = 'ISO'");
    ok(!v->leaves_state, "SET LOCAL leaves none");
    verdict_unref(w->engine, v);
}

/* What the session is told of a statement. */
static unsigned effects(struct world *w, const char *sql)
{
    struct verdict *v = world_judge(w, sql);
    unsigned e = v->action == VERDICT_REFUSE ? 1000 : v->effects;
    verdict_unref(w->engine, v);
    return e;
}

static void effects_of(struct world *w)
{
    is_int(effects(w, "RESET ALL"), EFFECT_RESET, "RESET ALL resets");
    is_int(effects(w, "SELECT 1; RESET ALL"), EFFECT_RESET, "also at the end of a text");
    is_int(effects(w, "DISCARD ALL"), EFFECT_RESET | EFFECT_DISCARD, "DISCARD ALL too");
    is_int(effects(w, "DISCARD PLANS"), 0, "DISCARD PLANS does not");
    is_int(effects(w, "LISTEN a"), EFFECT_LISTEN, "LISTEN listens");
    is_int(effects(w, "UNLISTEN *"), 0, "UNLISTEN does not");
    is_int(effects(w, "DECLARE c CURSOR WITH HOLD FOR SELECT 1"), EFFECT_HOLD, "WITH HOLD holds");
    is_int(effects(w, "SET datestyle = 'ISO'"), 0, "SET has none of these");
    world_is(w, "LISTEN \"Ab\"", "LISTEN \"bh_822b33ad87c148a0a20a5ba7_Ab\"", NULL);
    world_is(w, "UNLISTEN *", "=", NULL);
    world_is(w, "NOTIFY a, 'x'", "NOTIFY \"bh_822b33ad87c148a0a20a5ba7_a\", 'x'", NULL);
    world_is(w, "SELECT 1, pg_catalog.pg_notify('a', 'b')",
             "SELECT 1, pg_catalog.pg_notify('bh_822b33ad87c148a0a20a5ba7_a', 'b')", NULL);
    world_is(w, "LOCK TABLE tickets, ONLY doc_types IN ROW SHARE MODE NOWAIT",
             "LOCK TABLE \"public\".tickets, ONLY \"public\".doc_types IN ROW SHARE MODE NOWAIT",
             NULL);
    world_is(w, "DELETE FROM tickets WHERE CURRENT OF c",
             "DELETE FROM \"public\".tickets WHERE CURRENT OF c", NULL);
    world_is(w, "SET CONSTRAINTS public.a, b DEFERRED", "=", NULL);
    w->s.g.tenant_explain = TENANT_EXPLAIN_OFF;
    world_is(w, "EXPLAIN (COSTS OFF) SELECT 2", "!explain", NULL);
    w->s.g.tenant_explain = TENANT_EXPLAIN_PLAN;
    world_is(w, "EXPLAIN (COSTS OFF, ANALYZE OFF) SELECT 2", "=", NULL);
}

/* The first cursor of the text: -1 none. */
static int cursor(struct world *w, const char *sql, const char *name)
{
    struct verdict *v = world_judge(w, sql);
    int what = v->cursors && text_is(v->cursors->name, name) ? (int)v->cursors->what : -1;
    verdict_unref(w->engine, v);
    return what;
}

static void cursors(struct world *w)
{
    static const char *const simple[] = {
        "DECLARE c CURSOR FOR SELECT * FROM tickets FOR UPDATE OF tickets SKIP LOCKED",
        "DECLARE c SCROLL CURSOR FOR SELECT id FROM ONLY public.tickets t WHERE id > 1 FOR UPDATE",
        "DECLARE c CURSOR FOR TABLE tickets FOR SHARE",
    };
    static const char *const other[] = {
        "DECLARE c CURSOR FOR SELECT 1",
        "DECLARE c CURSOR FOR SELECT * FROM tickets",
        "DECLARE c CURSOR FOR SELECT * FROM tickets FOR KEY SHARE",
        "DECLARE c CURSOR FOR SELECT * FROM doc_types",
        "DECLARE c CURSOR FOR SELECT * FROM v_both",
        "DECLARE c CURSOR FOR SELECT * FROM tickets, doc_types FOR UPDATE OF tickets",
        "DECLARE c CURSOR FOR SELECT * FROM tickets WHERE EXISTS (SELECT 1 FROM doc_types) FOR UPDATE",
        "DECLARE c CURSOR FOR SELECT * FROM tickets UNION ALL SELECT * FROM tickets",
        "DECLARE c CURSOR FOR WITH tickets AS (SELECT 1) SELECT * FROM tickets",
        "DECLARE c CURSOR FOR SELECT * FROM (SELECT * FROM tickets) x FOR UPDATE",
    };
    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
        is_int(cursor(w, simple[i], "c"), SQL_CURSOR_SIMPLE, "%s", simple[i]);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        is_int(cursor(w, other[i], "c"), SQL_CURSOR_OTHER, "%s", other[i]);
    is_int(cursor(w, "DELETE FROM tickets WHERE CURRENT OF \"C\"", "C"), SQL_CURSOR_USED,
           "CURRENT OF is noted");
    is_int(cursor(w, "CLOSE c", "c"), -1, "CLOSE is not");
}

static void prepared(struct world *w)
{
    struct verdict *v = world_judge(w, "PREPARE \"Q\" (int, text[]) AS\n SELECT $1; ");
    const struct sql_prepared *p = v->prepared;
    ok(p && p->what == SQL_PREPARE && text_is(p->name, "Q"), "PREPARE and its name");
    is_text(p ? p->query : TEXT(""), "                              SELECT $1",
            "the query stands where it stood");
    ok(p && p->n_types == 2 && p->types[0] == W_INT4 && p->types[1] == W_TEXTS, "its types");
    verdict_unref(w->engine, v);
    v = world_judge(w, "EXECUTE q ('a'::text, -1, 3, 'x' || ')', NULL)");
    p = v->prepared;
    ok(p && p->what == SQL_EXECUTE && p->n_args == 5, "EXECUTE and its arguments");
    is_text(p ? p->args : TEXT(""), "'a'::text, -1, 3, 'x' || ')', NULL", "as text");
    ok(p && p->arg[0].constant && p->arg[0].cast_type == W_TEXT && text_is(p->arg[0].value, "a"),
       "a literal with its cast");
    ok(p && p->arg[2].constant && text_is(p->arg[2].value, "3"), "a number");
    ok(p && !p->arg[3].constant && !p->arg[4].constant, "nothing else is constant");
    verdict_unref(w->engine, v);
    v = world_judge(w, "DEALLOCATE ALL");
    ok(v->prepared && v->prepared->what == SQL_DEALLOCATE && v->prepared->name.n == 0,
       "DEALLOCATE ALL");
    verdict_unref(w->engine, v);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    names(&w);
    attributes(&w);
    calls(&w);
    statements(&w);
    effects_of(&w);
    cursors(&w);
    prepared(&w);
    world_free(&w);
    return tap_done();
}
