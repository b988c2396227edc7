/* SPDX-License-Identifier: ISC */
/* The walker: which names mean what, and what is refused for which reason. */
#include "tenant_world.h"

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
        { "DISCARD ALL", "!utility" },
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
        { "LISTEN a", "!notify" },
        { "NOTIFY a", "!notify" },
        { "DO 'BEGIN END'", "!code_block" },
        { "CALL a()", "!code_block" },
        { "PREPARE a AS SELECT 1", "!prepared_sql" },
        { "EXECUTE a", "!prepared_sql" },
        { "COPY v_both TO STDOUT", "!copy_table" },
        { "COPY tickets FROM STDIN (FREEZE)", "!copy_from" },
        { "COPY (SELECT 1) TO '/tmp/x'", "!copy_file" },
        { "COPY (SELECT 1) TO PROGRAM 'x'", "!copy_file" },
        { "EXPLAIN SELECT 1", "!explain" },
        { "EXPLAIN ANALYZE SELECT 1", "!explain" },
        { "EXPLAIN (COSTS OFF, ANALYZE OFF) SELECT 1", "!explain" },
        { "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "!cursor_hold" },
        { "UPDATE tickets SET closed = true WHERE CURRENT OF c", "!current_of" },
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

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    names(&w);
    attributes(&w);
    calls(&w);
    statements(&w);
    world_free(&w);
    return tap_done();
}
