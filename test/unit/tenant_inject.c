/* SPDX-License-Identifier: ISC */
/* The text that rewrite mode makes: where predicates and tenant columns go. */
#include "tenant_world.h"

static void places(struct world *w)
{
    world_is(w, "SELECT * FROM tickets",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}", NULL);
    world_is(w, "SELECT * FROM tickets -- end\n",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}", NULL);
    world_is(w, "SELECT * FROM tickets WHERE a OR b /* x */ ORDER BY 1",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id} AND (a OR b) ORDER BY 1",
             NULL);
    world_is(w, "SELECT 1 AS from FROM tickets t GROUP BY t.group HAVING true", "!attribute", NULL);
    world_is(
        w, "SELECT 1 AS from, 2 AS where FROM tickets t GROUP BY 1 HAVING true LIMIT 1",
        "SELECT 1 AS from, 2 AS where FROM \"public\".tickets t WHERE {t.tenant_id} GROUP BY 1 HAVING true LIMIT 1",
        NULL);
    world_is(w, "TABLE tickets", "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}",
             NULL);
    world_is(w, "TABLE ONLY tickets ORDER BY 1",
             "SELECT * FROM ONLY \"public\".tickets WHERE {tickets.tenant_id} ORDER BY 1", NULL);
    world_is(w, "TABLE doc_types UNION TABLE doc_types",
             "TABLE \"public\".doc_types UNION TABLE \"public\".doc_types", NULL);
    world_is(w, "(SELECT id FROM tickets) UNION (SELECT id FROM chunks WHERE seq = 1 LIMIT 1)",
             "(SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id}) UNION "
             "(SELECT id FROM \"public\".chunks WHERE {chunks.tenant_id} AND (seq = 1) LIMIT 1)",
             NULL);
    world_is(
        w, "SELECT * FROM tickets t, chunks c WHERE t.id = c.id",
        "SELECT * FROM \"public\".tickets t, \"public\".chunks c WHERE {t.tenant_id} AND {c.tenant_id} AND (t.id = c.id)",
        NULL);
    world_is(
        w, "SELECT * FROM public.settings, memory.settings",
        "SELECT * FROM public.settings, memory.settings WHERE COALESCE(\"memory\".\"settings\".\"user_id\" "
        "OPERATOR(pg_catalog.=) ANY (ARRAY[{V}]), false) AND \"memory\".\"settings\".\"user_id\" "
        "OPERATOR(pg_catalog.=) {V}",
        NULL);
    world_is(
        w, "SELECT * FROM tickets WHERE severity IS DISTINCT FROM 1 FOR UPDATE SKIP LOCKED",
        "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id} AND (severity IS DISTINCT FROM 1) "
        "FOR UPDATE SKIP LOCKED",
        NULL);
    world_is(
        w, "SELECT count(*) FROM chunks TABLESAMPLE SYSTEM (10)",
        "SELECT count(*) FROM \"public\".chunks TABLESAMPLE SYSTEM (10) WHERE {chunks.tenant_id}",
        NULL);
    world_is(
        w,
        "SELECT (SELECT max(seq) FROM chunks c WHERE c.id = d.id) FROM documents d WHERE d.id IN (SELECT id FROM tickets)",
        "SELECT (SELECT max(seq) FROM \"public\".chunks c WHERE {c.tenant_id} AND (c.id = d.id)) FROM "
        "\"public\".documents d WHERE {d.tenant_id} AND (d.id IN (SELECT id FROM \"public\".tickets "
        "WHERE {tickets.tenant_id}))",
        NULL);
    world_is(w, "SELECT*FROM\"tickets\"t WHERE(closed)",
             "SELECT*FROM\"public\".\"tickets\"t WHERE {t.tenant_id} AND ((closed))", NULL);
    world_is(w, "DECLARE c CURSOR FOR SELECT id FROM tickets",
             "DECLARE c CURSOR FOR SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id}",
             NULL);
    world_is(w, "COPY (SELECT id FROM tickets) TO STDOUT",
             "COPY (SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id}) TO STDOUT", NULL);
    world_is(w, "SELECT 1; SELECT id FROM tickets; COMMIT",
             "SELECT 1; SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id}; COMMIT", NULL);
}

static void joins(struct world *w)
{
    world_is(
        w, "SELECT * FROM tickets t JOIN chunks c ON t.id = c.id WHERE t.closed",
        "SELECT * FROM \"public\".tickets t JOIN \"public\".chunks c ON {t.tenant_id} AND {c.tenant_id} AND (t.id = c.id) "
        "WHERE t.closed",
        NULL);
    world_is(
        w,
        "SELECT * FROM tickets t LEFT JOIN chunks c ON t.id = c.id OR left(t.subject, 1) = 'x' WHERE t.closed",
        "SELECT * FROM \"public\".tickets t LEFT JOIN \"public\".chunks c ON {c.tenant_id} AND "
        "(t.id = c.id OR left(t.subject, 1) = 'x') WHERE {t.tenant_id} AND (t.closed)",
        NULL);
    world_is(
        w, "SELECT * FROM tickets t RIGHT JOIN chunks c ON t.id = c.id",
        "SELECT * FROM \"public\".tickets t RIGHT JOIN \"public\".chunks c ON {t.tenant_id} AND (t.id = c.id) "
        "WHERE {c.tenant_id}",
        NULL);
    world_is(
        w, "SELECT * FROM tickets t FULL JOIN chunks ON t.id = chunks.id",
        "SELECT * FROM (SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}) t FULL JOIN "
        "(SELECT * FROM \"public\".chunks WHERE {chunks.tenant_id}) AS \"chunks\" ON t.id = chunks.id",
        NULL);
    world_is(
        w,
        "SELECT * FROM doc_types d LEFT JOIN (tickets t JOIN chunks c ON t.id = c.id) ON d.rank = t.id",
        "SELECT * FROM \"public\".doc_types d LEFT JOIN (\"public\".tickets t JOIN \"public\".chunks c ON "
        "{t.tenant_id} AND {c.tenant_id} AND (t.id = c.id)) ON d.rank = t.id",
        NULL);
    world_is(
        w, "SELECT * FROM doc_types d LEFT JOIN (tickets t CROSS JOIN chunks c) ON d.rank = t.id",
        "SELECT * FROM \"public\".doc_types d LEFT JOIN (\"public\".tickets t CROSS JOIN \"public\".chunks c) ON "
        "{t.tenant_id} AND {c.tenant_id} AND (d.rank = t.id)",
        NULL);
    world_is(
        w, "SELECT * FROM doc_types d LEFT JOIN tickets t USING (rank)",
        "SELECT * FROM \"public\".doc_types d LEFT JOIN (SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}) t "
        "USING (rank)",
        NULL);
    world_is(
        w, "SELECT * FROM tickets t NATURAL JOIN chunks c",
        "SELECT * FROM \"public\".tickets t NATURAL JOIN \"public\".chunks c WHERE {t.tenant_id} AND {c.tenant_id}",
        NULL);
    world_is(
        w, "SELECT j.id FROM (tickets t CROSS JOIN ONLY chunks) AS j",
        "SELECT j.id FROM ((SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}) t CROSS JOIN "
        "(SELECT * FROM ONLY \"public\".chunks WHERE {chunks.tenant_id}) AS \"chunks\") AS j",
        NULL);
    world_is(
        w, "SELECT * FROM chunks * c(a, b) WHERE a = 1",
        "SELECT * FROM (SELECT * FROM \"public\".chunks * WHERE {chunks.tenant_id}) c(a, b) WHERE a = 1",
        NULL);
    world_is(w, "SELECT * FROM doc_types d LEFT JOIN chunks c(a, b) TABLESAMPLE SYSTEM (1) ON true",
             "!placement", NULL);
    world_is(
        w,
        "SELECT * FROM tickets t CROSS JOIN LATERAL (SELECT max(seq) FROM chunks WHERE document_id = t.id) l",
        "SELECT * FROM \"public\".tickets t CROSS JOIN LATERAL (SELECT max(seq) FROM \"public\".chunks WHERE "
        "{chunks.tenant_id} AND (document_id = t.id)) l WHERE {t.tenant_id}",
        NULL);
    world_is(
        w, "SELECT body FROM v_both WHERE body = 'x'",
        "SELECT body FROM (SELECT * FROM \"public\".v_both WHERE {v_both.tenant_id} OFFSET 0) AS \"v_both\" "
        "WHERE body = 'x'",
        NULL);
}

static void inserts(struct world *w)
{
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme')",
             "INSERT INTO \"public\".tickets (id, tenant_id) VALUES (1, 'acme')", NULL);
    world_is(w, "INSERT INTO tickets (id) VALUES (1), (2)",
             "INSERT INTO \"public\".tickets (id, \"tenant_id\") VALUES (1, {V}), (2, {V})", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, DEFAULT)",
             "INSERT INTO \"public\".tickets (id, tenant_id) VALUES (1, {V})", NULL);
    world_is(
        w, "INSERT INTO tickets VALUES (1, 'acme', 'x')",
        "INSERT INTO \"public\".tickets (\"id\", \"tenant_id\", \"subject\") VALUES (1, 'acme', 'x')",
        NULL);
    world_is(w, "INSERT INTO tickets AS t VALUES (1)",
             "INSERT INTO \"public\".tickets AS t (\"id\", \"tenant_id\") VALUES (1, {V})", NULL);
    world_is(w, "INSERT INTO tickets DEFAULT VALUES RETURNING id",
             "INSERT INTO \"public\".tickets (\"tenant_id\") VALUES ({V}) RETURNING id", NULL);
    world_is(
        w, "INSERT INTO tickets (id) OVERRIDING SYSTEM VALUE SELECT id FROM chunks WHERE seq = 1",
        "INSERT INTO \"public\".tickets (id, \"tenant_id\") OVERRIDING SYSTEM VALUE SELECT id, {V} FROM \"public\".chunks "
        "WHERE {chunks.tenant_id} AND (seq = 1)",
        NULL);
    world_is(
        w, "INSERT INTO tickets (id) SELECT 1 UNION (SELECT 2 EXCEPT VALUES (3))",
        "INSERT INTO \"public\".tickets (id, \"tenant_id\") SELECT 1, {V} UNION (SELECT 2, {V} EXCEPT VALUES (3, {V}))",
        NULL);
    world_is(
        w, "INSERT INTO tickets (id) WITH a AS (SELECT 1 AS b) SELECT b FROM a",
        "INSERT INTO \"public\".tickets (id, \"tenant_id\") WITH a AS (SELECT 1 AS b) SELECT b, {V} FROM a",
        NULL);
    world_is(
        w, "INSERT INTO memory.settings (user_id, name) SELECT tenant_id, title FROM documents",
        "INSERT INTO memory.settings (user_id, name) SELECT tenant_id, title FROM \"public\".documents "
        "WHERE {documents.tenant_id}",
        NULL);
    world_is(
        w,
        "INSERT INTO memory.settings (user_id, name) SELECT q.* FROM (SELECT d.tenant_id, title FROM documents d) q",
        "INSERT INTO memory.settings (user_id, name) SELECT \"q\".\"tenant_id\", \"q\".\"title\" FROM (SELECT d.tenant_id, title FROM "
        "\"public\".documents d WHERE {d.tenant_id}) q",
        NULL);
    world_is(
        w,
        "INSERT INTO memory.settings (user_id) SELECT d.tenant_id FROM doc_types t LEFT JOIN documents d ON true",
        "!unproven_value", NULL);
    world_is(w, "INSERT INTO memory.settings (user_id) SELECT title FROM documents",
             "!unproven_value", NULL);
    world_is(
        w,
        "INSERT INTO memory.settings (user_id) SELECT tenant_id FROM documents UNION SELECT 'acme'",
        "INSERT INTO memory.settings (user_id) SELECT tenant_id FROM \"public\".documents WHERE {documents.tenant_id} "
        "UNION SELECT 'acme'",
        NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'other')", "!wrong_tenant", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme '), (2, 'acme')",
             "!wrong_tenant", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, NULL)", "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'a' || 'cme')", "!unproven_value",
             NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme'::char(2))",
             "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (tenant_id[1]) VALUES ('acme')", "!tenant_column", NULL);
    world_is(
        w, "INSERT INTO memory.settings SELECT * FROM memory.settings s",
        "INSERT INTO memory.settings (\"user_id\", \"name\", \"value\") SELECT \"s\".\"user_id\", "
        "\"s\".\"name\", \"s\".\"value\" FROM memory.settings s WHERE {s.user_id}",
        NULL);
    world_is(
        w, "INSERT INTO memory.settings TABLE memory.settings",
        "INSERT INTO memory.settings (\"user_id\", \"name\", \"value\") SELECT "
        "\"settings\".\"user_id\", \"settings\".\"name\", \"settings\".\"value\" FROM memory.settings "
        "WHERE {settings.user_id}",
        NULL);
    world_is(
        w,
        "INSERT INTO memory.settings SELECT b.* FROM chunks a LEFT JOIN memory.settings b ON true",
        "!unproven_value", NULL);
    world_is(
        w,
        "INSERT INTO memory.settings SELECT * FROM memory.settings a JOIN memory.settings b USING (name)",
        "!unproven_value", NULL);
    world_is(
        w,
        "SELECT 1 FROM doc_types d FULL JOIN tickets AS t TABLESAMPLE SYSTEM (9) REPEATABLE (1) ON true",
        "SELECT 1 FROM \"public\".doc_types d FULL JOIN (SELECT * FROM \"public\".tickets AS t TABLESAMPLE "
        "SYSTEM (9) REPEATABLE (1) WHERE {t.tenant_id}) AS \"t\" ON true",
        NULL);
    world_is(w, "SELECT t FROM doc_types d FULL JOIN tickets t ON true", "!placement", NULL);
    world_is(
        w, "UPDATE tickets SET (severity, tenant_id) = (1, 'acme')",
        "UPDATE \"public\".tickets SET (severity, tenant_id) = (1, 'acme') WHERE {tickets.tenant_id}",
        NULL);
    world_is(w, "UPDATE tickets SET (severity, tenant_id) = (1, 'other')", "!wrong_tenant", NULL);
    world_is(w, "UPDATE tickets SET (severity, tenant_id) = ROW (d.*, 'acme') FROM doc_types d",
             "!tenant_column", NULL);
    world_is(w, "UPDATE tickets SET (severity, tenant_id) = (SELECT 1, 'acme')", "!tenant_column",
             NULL);
    world_is(w, "INSERT INTO tickets (tenant_id) SELECT b FROM tickets AS t(a, b)",
             "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (tenant_id) SELECT tenant_id FROM chunks GROUP BY ROLLUP (1)",
             "!unproven_value", NULL);
    world_is(
        w, "INSERT INTO documents (id, tags[(SELECT max(seq) FROM chunks)]) VALUES (1, 'x')",
        "INSERT INTO \"public\".documents (id, tags[(SELECT max(seq) FROM \"public\".chunks WHERE "
        "{chunks.tenant_id})], \"tenant_id\") VALUES (1, 'x', {V})",
        NULL);
    world_is(w, "INSERT INTO documents (id, tags[pg_sleep(1)]) VALUES (1, 'x')", "!function", NULL);
    world_is(w, "UPDATE documents SET tags[pg_sleep(1)] = 'x'", "!function", NULL);
    world_is(w, "INSERT INTO doc_types VALUES ('x')", "!read_only_relation", NULL);
    world_is(w, "INSERT INTO v_both VALUES ('x')", "!read_only_relation", NULL);
    world_is(w, "INSERT INTO tickets VALUES (1,2,3,4,5,6)", "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (id) TABLE doc_types", "!internal_mismatch", NULL);
    world_is(
        w, "INSERT INTO tickets (id) VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO \"public\".tickets (id, \"tenant_id\") VALUES (1, {V}) ON CONFLICT DO NOTHING",
        NULL);
    world_is(w, "INSERT INTO tickets (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET closed = true",
             "!on_conflict", NULL);
    world_is(
        w,
        "INSERT INTO tickets (id) VALUES (1) ON CONFLICT ON CONSTRAINT a DO UPDATE SET closed = true",
        "!on_conflict", NULL);
    world_is(
        w,
        "INSERT INTO tickets AS t (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET closed = excluded.closed "
        "WHERE NOT t.closed OR true RETURNING id",
        "INSERT INTO \"public\".tickets AS t (id, \"tenant_id\") VALUES (1, {V}) ON CONFLICT (tenant_id, id) DO UPDATE "
        "SET closed = excluded.closed WHERE {t.tenant_id} AND (NOT t.closed OR true) RETURNING id",
        NULL);
    world_is(
        w,
        "INSERT INTO tickets (id) VALUES (1) ON CONFLICT (tenant_id, id) WHERE closed DO UPDATE SET "
        "tenant_id = excluded.tenant_id",
        "INSERT INTO \"public\".tickets (id, \"tenant_id\") VALUES (1, {V}) ON CONFLICT (tenant_id, id) WHERE closed "
        "DO UPDATE SET tenant_id = excluded.tenant_id WHERE {tickets.tenant_id}",
        NULL);
    world_is(w, "INSERT INTO invoices (total) VALUES (1)",
             "INSERT INTO \"public\".invoices (total, \"tenant_no\") VALUES (1, {V})",
             "'11'::pg_catalog.int4");
    world_is(w, "INSERT INTO invoices (tenant_no) VALUES (11), ('11'), (11::int)",
             "INSERT INTO \"public\".invoices (tenant_no) VALUES (11), ('11'), (11::int)", NULL);
    world_is(w, "INSERT INTO invoices (tenant_no) VALUES (11.0)", "!unproven_value", NULL);
    world_is(w, "INSERT INTO invoices (tenant_no) VALUES (12)", "!wrong_tenant", NULL);
    world_is(
        w, "INSERT INTO keys (tenant_uuid) VALUES ('A1111111-0000-4000-8000-00000000000A')",
        "INSERT INTO \"public\".keys (tenant_uuid) VALUES ('A1111111-0000-4000-8000-00000000000A')",
        NULL);
}

static void changes(struct world *w)
{
    world_is(w, "UPDATE tickets SET closed = true",
             "UPDATE \"public\".tickets SET closed = true WHERE {tickets.tenant_id}", NULL);
    world_is(w, "UPDATE ONLY tickets * t SET closed = true RETURNING *", "!unparsable", NULL);
    world_is(
        w,
        "UPDATE ONLY (tickets) AS t SET closed = (SELECT true WHERE 1 = 1) WHERE a OR b RETURNING *",
        "UPDATE ONLY (\"public\".tickets) AS t SET closed = (SELECT true WHERE 1 = 1) WHERE {t.tenant_id} AND (a OR b) "
        "RETURNING *",
        NULL);
    world_is(
        w, "UPDATE chunks SET seq = d.version FROM documents d WHERE d.id = chunks.document_id",
        "UPDATE \"public\".chunks SET seq = d.version FROM \"public\".documents d WHERE {chunks.tenant_id} AND "
        "{d.tenant_id} AND (d.id = chunks.document_id)",
        NULL);
    world_is(
        w, "UPDATE tickets SET (subject, closed) = (SELECT title, true FROM documents LIMIT 1)",
        "UPDATE \"public\".tickets SET (subject, closed) = (SELECT title, true FROM \"public\".documents WHERE "
        "{documents.tenant_id} LIMIT 1) WHERE {tickets.tenant_id}",
        NULL);
    world_is(w, "UPDATE tickets SET (subject, tenant_id) = (SELECT 'a', 'acme')", "!tenant_column",
             NULL);
    world_is(w, "UPDATE tickets SET tenant_id = 'other'", "!wrong_tenant", NULL);
    world_is(w, "UPDATE tickets SET tenant_id = subject", "!unproven_value", NULL);
    world_is(w, "UPDATE tickets SET tenant_id = DEFAULT", "!unproven_value", NULL);
    world_is(
        w, "UPDATE tickets SET tenant_id = tenant_id, closed = DEFAULT",
        "UPDATE \"public\".tickets SET tenant_id = tenant_id, closed = DEFAULT WHERE {tickets.tenant_id}",
        NULL);
    world_is(w, "UPDATE doc_types SET rank = 1", "!read_only_relation", NULL);
    world_is(
        w,
        "MERGE INTO tickets t USING doc_types d ON d.rank = t.severity OR CASE WHEN true THEN "
        "true END WHEN MATCHED THEN UPDATE SET subject = d.label WHEN NOT MATCHED THEN INSERT "
        "(id) VALUES (d.rank)",
        "MERGE INTO \"public\".tickets t USING \"public\".doc_types d ON {t.tenant_id} AND "
        "(d.rank = t.severity OR CASE WHEN true THEN true END) WHEN MATCHED THEN UPDATE SET "
        "subject = d.label WHEN NOT MATCHED THEN INSERT (id, \"tenant_id\") VALUES (d.rank, {V})",
        NULL);
    world_is(
        w,
        "MERGE INTO tickets USING chunks ON chunks.id = tickets.id WHEN MATCHED THEN DO NOTHING "
        "WHEN NOT MATCHED AND chunks.id > 1 THEN INSERT VALUES (1, DEFAULT) WHEN NOT MATCHED "
        "THEN INSERT DEFAULT VALUES",
        "MERGE INTO \"public\".tickets USING (SELECT * FROM \"public\".chunks WHERE "
        "{chunks.tenant_id}) AS \"chunks\" ON {tickets.tenant_id} AND (chunks.id = tickets.id) "
        "WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND chunks.id > 1 THEN INSERT (\"id\", "
        "\"tenant_id\") VALUES (1, {V}) WHEN NOT MATCHED THEN INSERT (\"tenant_id\") VALUES ({V})",
        NULL);
    world_is(
        w,
        "MERGE INTO tickets USING doc_types d ON true WHEN MATCHED THEN UPDATE SET tenant_id = "
        "'other'",
        "!wrong_tenant", NULL);
    world_is(
        w,
        "MERGE INTO tickets USING doc_types d ON true WHEN NOT MATCHED THEN INSERT (tenant_id) "
        "VALUES (d.code)",
        "!unproven_value", NULL);
    world_is(w, "MERGE INTO doc_types USING tickets ON true WHEN MATCHED THEN DELETE",
             "!read_only_relation", NULL);
    world_is(w,
             "MERGE INTO tickets t USING doc_types d ON true WHEN NOT MATCHED THEN INSERT (id) "
             "VALUES (t.id)",
             "!attribute", NULL);
    world_is(w, "DELETE FROM tickets", "DELETE FROM \"public\".tickets WHERE {tickets.tenant_id}",
             NULL);
    world_is(
        w, "DELETE FROM tickets AS t USING chunks c JOIN doc_types d USING (id) WHERE t.id = c.id",
        "DELETE FROM \"public\".tickets AS t USING \"public\".chunks c JOIN \"public\".doc_types d USING (id) "
        "WHERE {t.tenant_id} AND {c.tenant_id} AND (t.id = c.id)",
        NULL);
    world_is(
        w, "WITH a AS (DELETE FROM tickets RETURNING id) SELECT * FROM a",
        "WITH a AS (DELETE FROM \"public\".tickets WHERE {tickets.tenant_id} RETURNING id) SELECT * FROM a",
        NULL);
    world_is(w, "EXPLAIN (COSTS OFF) DELETE FROM tickets",
             "EXPLAIN (COSTS OFF) DELETE FROM \"public\".tickets WHERE {tickets.tenant_id}", NULL);
}

/* Constraints by name, as the catalog knows them. */
static void constraints(struct world *w)
{
    static int key[] = { 1 }, own[] = { 3, 2 };
    static struct cat_index indexes[] = {
        { .name = TEXT("tickets_pkey"), .primary = true, .cols = key, .n_cols = 1 },
        { .name = TEXT("tickets_own"), .cols = own, .n_cols = 2 },
    };
    for (int i = 0; i < w->c->n_relations; i++)
        if (text_is(w->c->relations[i]->name, "tickets")) {
            w->c->relations[i]->uniques = indexes;
            w->c->relations[i]->n_uniques = 2;
        }
    world_is(
        w,
        "INSERT INTO tickets (subject) VALUES ('x') ON CONFLICT ON CONSTRAINT tickets_own DO UPDATE SET "
        "closed = true",
        "INSERT INTO \"public\".tickets (subject, \"tenant_id\") VALUES ('x', {V}) ON CONFLICT ON CONSTRAINT "
        "tickets_own DO UPDATE SET closed = true WHERE {tickets.tenant_id}",
        NULL);
    world_is(
        w,
        "INSERT INTO tickets (subject) VALUES ('x') ON CONFLICT ON CONSTRAINT tickets_pkey DO UPDATE SET "
        "closed = true",
        "!on_conflict", NULL);
    world_is(
        w,
        "INSERT INTO tickets (subject) VALUES ('x') ON CONFLICT ON CONSTRAINT tickets_gone DO UPDATE SET "
        "closed = true",
        "!on_conflict", NULL);
    world_is(
        w,
        "INSERT INTO tickets (id, subject) VALUES (1, 'x') ON CONFLICT (lower(subject), tenant_id) WHERE closed DO "
        "UPDATE SET severity = 1",
        "INSERT INTO \"public\".tickets (id, subject, \"tenant_id\") VALUES (1, 'x', {V}) ON CONFLICT "
        "(lower(subject), tenant_id) WHERE closed DO UPDATE SET severity = 1 WHERE {tickets.tenant_id}",
        NULL);
    world_is(
        w,
        "INSERT INTO tickets (id, subject) VALUES (1, 'x') ON CONFLICT (lower(tenant_id)) DO UPDATE SET "
        "severity = 1",
        "!on_conflict", NULL);
    world_is(w, "SELECT t.id, t.subject FROM doc_types d FULL JOIN tickets t ON true GROUP BY t.id",
             "!placement", NULL);
    world_is(
        w,
        "SELECT t.id, count(t.subject) FROM doc_types d FULL JOIN tickets t ON true GROUP BY t.id",
        "SELECT t.id, count(t.subject) FROM \"public\".doc_types d FULL JOIN (SELECT * FROM "
        "\"public\".tickets WHERE {tickets.tenant_id}) t ON true GROUP BY t.id",
        NULL);
    w->ask.mode = TENANT_REJECT;
    world_is(
        w,
        "INSERT INTO tickets (subject, tenant_id) VALUES ('x', 'acme') ON CONFLICT ON CONSTRAINT tickets_own DO "
        "UPDATE SET closed = true",
        "INSERT INTO \"public\".tickets (subject, tenant_id) VALUES ('x', 'acme') ON CONFLICT ON CONSTRAINT "
        "tickets_own DO UPDATE SET closed = true WHERE {tickets.tenant_id}",
        NULL);
    w->ask.mode = TENANT_REWRITE;
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    places(&w);
    joins(&w);
    inserts(&w);
    changes(&w);
    constraints(&w);
    world_free(&w);
    if (!world_make(&w, "o'b\\x"))
        return 1;
    world_is(&w, "SELECT * FROM tickets",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}",
             "E'o''b\\\\x'::pg_catalog.text");
    world_is(&w, "INSERT INTO tickets (tenant_id) VALUES ('o''b\\x')",
             "INSERT INTO \"public\".tickets (tenant_id) VALUES ('o''b\\x')", NULL);
    world_free(&w);
    return tap_done();
}
