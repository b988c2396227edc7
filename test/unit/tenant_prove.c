/* SPDX-License-Identifier: ISC */
/* Reject mode's proof: what restricts a reference to the tenant's rows, and what only looks so. */
#include "tenant_world.h"

#include "tenant/value.h"

enum outcome { PASSED, ADDED, REFUSED };

/* How the statement is answered; ADDED: proven, and the predicates are in the text too. */
static enum outcome outcome(struct world *w, const char *sql, enum refusal *why)
{
    struct verdict *v = world_judge(w, sql);
    struct buf b;
    buf_init(&b);
    enum outcome o = v->action == VERDICT_REFUSE ? REFUSED : PASSED;
    if (v->action == VERDICT_REWRITE) {
        if (!verdict_text(v, &w->id, &b))
            abort();
        o = memmem(b.p, b.n, "COALESCE", 8) ? ADDED : PASSED;
    }
    *why = v->reason;
    if (o == REFUSED)
        printf("# %s: %.*s | %.*s\n", refusal_name(v->reason), TEXT_ARG(v->detail),
               TEXT_ARG(v->hint));
    buf_release(&b);
    verdict_unref(w->engine, v);
    return o;
}

static void plain(struct world *w)
{
    static const char *const proven[] = {
        /* values */
        "SELECT * FROM tickets WHERE tenant_id IN ('acme', 'acme')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{acme}')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{acme,\"acme\"}'::text[])",
        "SELECT * FROM tickets WHERE tenant_id = ANY (ARRAY['acme', 'acme']::varchar[])",
        "SELECT * FROM invoices WHERE tenant_no = ANY ('{11}'::int4[])",
        "SELECT * FROM invoices WHERE tenant_no IN (11)",
        "SELECT * FROM invoices WHERE 11 = tenant_no AND total > 0",
        "SELECT * FROM tickets WHERE tenant_id IS NOT DISTINCT FROM 'acme'",
        "SELECT * FROM tickets WHERE 'acme' IS NOT DISTINCT FROM tenant_id",
        "SELECT * FROM tickets WHERE (tenant_id, severity) IN (('acme', 1), ('acme', 2))",
        "SELECT * FROM tickets WHERE (severity, tenant_id) = (1, 'acme') AND closed",
        "SELECT * FROM tickets WHERE tenant_id OPERATOR(pg_catalog.=) 'acme'",
        "SELECT * FROM tickets WHERE (severity = 1 AND (tenant_id = 'acme'))",
        /* equalities of one level */
        "SELECT * FROM tickets a, tickets b, chunks c WHERE c.tenant_id = b.tenant_id AND "
        "b.tenant_id = a.tenant_id AND a.tenant_id = 'acme'",
        "SELECT * FROM tickets a JOIN chunks b ON b.tenant_id = a.tenant_id AND a.tenant_id = 'acme'",
        "SELECT * FROM tickets a LEFT JOIN chunks b ON a.tenant_id = b.tenant_id LEFT JOIN documents d ON "
        "d.tenant_id = b.tenant_id WHERE 'acme' = a.tenant_id",
        "SELECT * FROM chunks b RIGHT JOIN tickets a ON b.tenant_id = a.tenant_id WHERE a.tenant_id = 'acme'",
        "SELECT * FROM tickets a LEFT JOIN (chunks b JOIN documents d ON d.tenant_id = b.tenant_id) ON "
        "b.tenant_id = a.tenant_id WHERE a.tenant_id = 'acme'",
        "SELECT * FROM tickets a JOIN chunks b ON (a.tenant_id, a.id) = (b.tenant_id, b.id) WHERE "
        "b.tenant_id = 'acme'",
        "SELECT * FROM tickets JOIN chunks USING (tenant_id, id) WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets RIGHT JOIN chunks USING (tenant_id) WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets FULL JOIN chunks USING (tenant_id) WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets a LEFT JOIN chunks b USING (tenant_id) LEFT JOIN documents USING (tenant_id) "
        "WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets JOIN chunks USING (tenant_id) AS x WHERE x.tenant_id = 'acme'",
        "SELECT * FROM tickets NATURAL JOIN chunks WHERE tickets.tenant_id = 'acme'",
        "SELECT * FROM tickets NATURAL LEFT JOIN chunks WHERE tenant_id = 'acme'",
        "UPDATE tickets t SET severity = 1 FROM chunks c WHERE c.tenant_id = t.tenant_id AND t.tenant_id = 'acme'",
        "UPDATE tickets SET (severity, tenant_id) = (1, 'acme') WHERE tenant_id = 'acme'",
        "INSERT INTO tickets (id, tenant_id) SELECT c.id, c.tenant_id FROM chunks c WHERE c.tenant_id = 'acme'",
        "SELECT * FROM documents WHERE tenant_id = 'acme' AND title = ANY (ARRAY[doc_type, 'x'])",
    };
    enum refusal why;
    for (size_t i = 0; i < sizeof(proven) / sizeof(proven[0]); i++)
        ok(outcome(w, proven[i], &why) == PASSED, "passed as it is: %s", proven[i]);
}

static void enforced(struct world *w)
{
    static const char *const proven[] = {
        /* sub-selects' and CTEs' columns */
        "SELECT * FROM (SELECT * FROM tickets WHERE tenant_id = 'acme') x JOIN chunks c ON c.tenant_id = x.tenant_id",
        "SELECT * FROM (SELECT tenant_id AS o FROM tickets WHERE tenant_id = 'acme') x LEFT JOIN chunks c ON "
        "x.o = c.tenant_id",
        "WITH x AS (SELECT id, tenant_id FROM tickets WHERE tenant_id = 'acme') SELECT * FROM x, chunks c WHERE "
        "c.tenant_id = x.tenant_id",
        "WITH x(a, b) AS (SELECT id, tenant_id FROM tickets WHERE tenant_id = 'acme') SELECT * FROM chunks c JOIN x "
        "ON c.tenant_id = x.b",
        "SELECT * FROM chunks WHERE tenant_id IN (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks WHERE tenant_id = (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme' LIMIT 1)",
        /* outer queries */
        "SELECT * FROM tickets t WHERE t.tenant_id = 'acme' AND EXISTS (SELECT 1 FROM chunks c WHERE "
        "c.tenant_id = t.tenant_id)",
        "SELECT (SELECT count(*) FROM chunks c WHERE c.tenant_id = t.tenant_id) FROM tickets t WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t, LATERAL (SELECT * FROM chunks c WHERE c.tenant_id = t.tenant_id) x WHERE "
        "t.tenant_id = 'acme'",
        "SELECT * FROM tickets t LEFT JOIN LATERAL (SELECT * FROM chunks c WHERE t.tenant_id = c.tenant_id LIMIT 1) x "
        "ON true WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t WHERE tenant_id = 'acme' AND id IN (SELECT c.id FROM chunks c WHERE c.tenant_id = "
        "t.tenant_id AND EXISTS (SELECT 1 FROM documents d WHERE d.tenant_id = c.tenant_id))",
        "UPDATE tickets t SET severity = (SELECT max(seq) FROM chunks c WHERE c.tenant_id = t.tenant_id) WHERE "
        "t.tenant_id = 'acme'",
        "DELETE FROM tickets t WHERE t.tenant_id = 'acme' AND NOT EXISTS (SELECT FROM chunks c WHERE c.tenant_id = "
        "t.tenant_id)",
        /* aliases */
        "SELECT * FROM tickets AS t(a, b) WHERE t.b = 'acme'",
        "SELECT * FROM tickets AS t(a, b), chunks c WHERE c.tenant_id = t.b AND b = 'acme'",
        "SELECT * FROM (tickets t JOIN doc_types d ON true) AS j WHERE j.tenant_id = 'acme'",
        "SELECT * FROM (tickets t JOIN chunks c ON t.tenant_id = c.tenant_id) AS j(a, b) WHERE j.b = 'acme'",
        "SELECT * FROM (tickets t JOIN chunks c USING (tenant_id)) AS j WHERE j.tenant_id = 'acme'",
        "SELECT * FROM (tickets t JOIN chunks c ON t.tenant_id = 'acme' AND c.tenant_id = t.tenant_id) AS j",
        /* a cast, although of text to text */
        "SELECT * FROM tickets WHERE tenant_id::text = 'acme'::text",
        "SELECT * FROM tickets WHERE tenant_id::varchar = 'acme'",
        /* OR */
        "SELECT * FROM tickets WHERE tenant_id = 'acme' AND closed OR severity = 2 AND 'acme' = tenant_id",
        "SELECT * FROM tickets WHERE (tenant_id = 'acme' OR tenant_id IN ('acme')) AND closed",
        /* arrays, where the price of ANY keeps them behind the barrier */
        "SELECT * FROM documents WHERE tenant_id = 'acme' AND 'x' = ANY (ARRAY[tags, ARRAY['x']])",
        "SELECT * FROM documents WHERE tenant_id = 'acme' AND title = ANY (ARRAY[initcap(title), 'x'])",
    };
    enum refusal why;
    for (size_t i = 0; i < sizeof(proven) / sizeof(proven[0]); i++)
        ok(outcome(w, proven[i], &why) == ADDED, "proven, and enforced: %s", proven[i]);
}

static void unproven(struct world *w)
{
    static const char *const missing[] = {
        "SELECT * FROM tickets WHERE tenant_id IN ('acme', NULL, 'other')",
        "SELECT * FROM tickets WHERE tenant_id NOT IN ('acme')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{acme,other}')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{NULL}')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{ acme }')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{}')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{acme}x')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('[0:0]={acme}')",
        "SELECT * FROM tickets WHERE tenant_id = ANY ('{acme}'::char(2)[])",
        "SELECT * FROM tickets WHERE tenant_id LIKE ANY ('{acme}')",
        "SELECT * FROM tickets WHERE tenant_id IS DISTINCT FROM 'other'",
        "SELECT * FROM tickets WHERE tenant_id IS NOT DISTINCT FROM NULL",
        "SELECT * FROM tickets a JOIN chunks b ON a.tenant_id IS NOT DISTINCT FROM b.tenant_id WHERE b.tenant_id = 'acme'",
        "SELECT * FROM tickets WHERE tenant_id::char(4) = 'acme'",
        "SELECT * FROM tickets WHERE tenant_id::name = 'acme'",
        "SELECT * FROM tickets WHERE tenant_id || '' = 'acme'",
        "SELECT * FROM tickets WHERE lower(tenant_id) = 'acme'",
        "SELECT * FROM tickets WHERE tenant_id = 'acme ' OR tenant_id = 'acme'",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' OR closed",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' OR severity = 1 AND closed",
        "SELECT * FROM tickets WHERE NOT (tenant_id = 'acme' OR tenant_id = 'acme')",
        "SELECT * FROM tickets WHERE CASE WHEN true THEN tenant_id = 'acme' END",
        "SELECT * FROM tickets WHERE (tenant_id = 'acme') IS NOT FALSE",
        "SELECT * FROM tickets WHERE COALESCE(tenant_id = 'acme', true)",
        "SELECT * FROM tickets WHERE (tenant_id, severity) IN (('acme', 1), ('other', 2))",
        "SELECT * FROM tickets WHERE (tenant_id, severity) <> ('acme', 1)",
        "SELECT * FROM tickets WHERE (severity, tenant_id) = ('acme', 1)",
        "SELECT * FROM tickets a, tickets b WHERE a.tenant_id = 'acme' OR a.tenant_id = b.tenant_id",
        "SELECT * FROM tickets a, tickets b WHERE a.tenant_id = 'acme' AND a.tenant_id = b.subject",
        "SELECT * FROM tickets a, tickets b WHERE a.tenant_id = b.tenant_id",
        "SELECT * FROM tickets a, memory.settings s WHERE a.tenant_id = 'acme' AND s.name = a.tenant_id",
        /* joins that keep rows */
        "SELECT * FROM tickets a LEFT JOIN chunks b ON b.tenant_id = 'acme' AND a.tenant_id = b.tenant_id",
        "SELECT * FROM tickets a RIGHT JOIN chunks b ON a.tenant_id = b.tenant_id WHERE a.severity = 1",
        "SELECT * FROM tickets a FULL JOIN chunks b ON a.tenant_id = b.tenant_id WHERE a.tenant_id = 'acme'",
        "SELECT * FROM tickets NATURAL FULL JOIN chunks WHERE tickets.tenant_id = 'acme'",
        "SELECT * FROM tickets a LEFT JOIN chunks b ON b.id = a.id WHERE a.tenant_id = 'acme' AND (b.tenant_id = 'acme' "
        "OR b.tenant_id IS NULL)",
        "SELECT * FROM doc_types x LEFT JOIN (tickets a LEFT JOIN chunks b ON a.tenant_id = 'acme') ON b.tenant_id = 'acme' "
        "AND true",
        "SELECT * FROM (tickets a LEFT JOIN chunks b ON a.tenant_id = 'acme' AND b.tenant_id = 'acme') AS j",
        "SELECT * FROM (tickets t JOIN chunks c ON t.tenant_id = c.tenant_id) AS j(a, b) WHERE j.a = 'acme'",
        "SELECT * FROM (tickets t CROSS JOIN chunks c) AS j(a, b) WHERE j.b = 'acme'",
        "SELECT * FROM (tickets t JOIN chunks c USING (tenant_id)) AS j(a, b) WHERE j.b = 'acme'",
        "SELECT * FROM tickets AS t(tenant_id, x) WHERE t.tenant_id = 'acme'",
        "SELECT * FROM (SELECT 'acme' AS tenant_id) s RIGHT JOIN tickets t USING (tenant_id)",
        "SELECT * FROM doc_types d(tenant_id) RIGHT JOIN tickets t USING (tenant_id) WHERE d.tenant_id = 'acme'",
        /* sub-queries */
        "SELECT * FROM (SELECT *, tenant_id AS o FROM tickets) x WHERE o = 'acme'",
        "SELECT * FROM (SELECT id, subject AS tenant_id FROM tickets WHERE tenant_id = 'acme') x JOIN chunks c ON "
        "c.tenant_id = x.tenant_id",
        "WITH x AS (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme' UNION ALL SELECT code FROM doc_types) SELECT "
        "* FROM x, chunks c WHERE c.tenant_id = x.tenant_id",
        "WITH RECURSIVE x(t) AS (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme' UNION ALL SELECT x.t || 'x' "
        "FROM x) SELECT * FROM x, chunks c WHERE c.tenant_id = x.t",
        "SELECT * FROM chunks WHERE tenant_id IN (SELECT subject FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks WHERE tenant_id NOT IN (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks WHERE tenant_id >= ANY (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks WHERE tenant_id = ALL (SELECT tenant_id FROM tickets WHERE tenant_id = 'acme')",
        "SELECT * FROM chunks c WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.tenant_id = 'acme' AND t.tenant_id = c.tenant_id)",
        "SELECT * FROM tickets t WHERE EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = t.tenant_id)",
        "SELECT * FROM tickets t WHERE t.tenant_id = 'acme' OR EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = t.tenant_id)",
        "SELECT (SELECT max(subject) FROM tickets WHERE tickets.tenant_id = x.t) FROM (SELECT code AS t FROM doc_types) x",
        "SELECT * FROM tickets t WHERE t.tenant_id = 'acme' AND EXISTS (SELECT 1 FROM chunks c, jsonb_to_record('{}') AS "
        "t(tenant_id text) WHERE c.tenant_id = t.tenant_id)",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' AND EXISTS (SELECT 1 FROM chunks c(i, o), json_each('{}') f "
        "WHERE o = tenant_id)",
        "SELECT * FROM tickets t WHERE t.tenant_id = 'acme' AND EXISTS (SELECT 1 FROM chunks t WHERE tenant_id = t.tenant_id)",
        "MERGE INTO tickets t USING doc_types d ON t.tenant_id = 'acme' OR true WHEN MATCHED THEN DELETE",
        "MERGE INTO tickets t USING (SELECT * FROM chunks) c ON t.tenant_id = 'acme' AND c.tenant_id = 'acme' WHEN MATCHED "
        "THEN DELETE",
        "UPDATE tickets t SET severity = 1 FROM chunks c WHERE c.tenant_id = 'acme' AND t.id = c.id",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' UNION SELECT * FROM tickets",
        "SELECT * FROM tickets GROUP BY ROLLUP (tenant_id) HAVING tenant_id = 'acme'",
    };
    enum refusal why;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        ok(outcome(w, missing[i], &why) == REFUSED &&
               (why == REFUSAL_missing_predicate || why == REFUSAL_operator ||
                why == REFUSAL_attribute || why == REFUSAL_type),
           "not proven: %s", missing[i]);
}

static void hint(struct world *w, const char *sql, const char *want)
{
    struct verdict *v = world_judge(w, sql);
    is_text(v->hint, want, "%s", sql);
    verdict_unref(w->engine, v);
}

static void hints(struct world *w)
{
    hint(w, "SELECT * FROM tickets a, chunks b WHERE a.tenant_id = 'acme'",
         "add: b.tenant_id = 'acme'");
    hint(w, "SELECT * FROM \"Order Items\" \"O\"", "add: \"O\".\"TenantId\" = 'acme'");
    hint(w, "SELECT * FROM invoices", "add: invoices.tenant_no = 11");
    hint(w, "SELECT * FROM tickets AS t(a, \"B\")", "add: t.\"B\" = 'acme'");
    hint(w, "SELECT * FROM (tickets t CROSS JOIN doc_types d) AS j", "add: j.tenant_id = 'acme'");
    w->ask.extended = true;
    hint(
        w, "SELECT * FROM keys k WHERE k.hash = $1",
        "add: k.tenant_uuid = 'a1111111-0000-4000-8000-00000000000a' (or a parameter with that value)");
    w->ask.extended = false;
}

/* The parameters that Bind is checked for, as bits; -1: refused. */
static int checked(struct world *w, const char *sql)
{
    int bits = 0;
    w->ask.extended = true;
    struct verdict *v = world_judge(w, sql);
    for (int i = 0; i < v->n_checks; i++)
        bits |= 1 << v->checks[i].param;
    bits = v->action == VERDICT_REFUSE ? -1 : bits;
    verdict_unref(w->engine, v);
    w->ask.extended = false;
    return bits;
}

static void parameters(struct world *w)
{
    static const struct {
        const char *sql;
        int bits;
    } cases[] = {
        { "SELECT * FROM tickets WHERE tenant_id = $2 AND severity = $1", 4 },
        { "SELECT * FROM tickets WHERE $1::text = tenant_id", 2 },
        { "SELECT * FROM tickets WHERE tenant_id IN ($1, $2)", 6 },
        { "SELECT * FROM tickets WHERE tenant_id = ANY (ARRAY[$1, $1])", 2 },
        { "SELECT * FROM tickets WHERE tenant_id = ANY ($1)", 2 },
        { "SELECT * FROM tickets WHERE tenant_id = ANY ($1::text[]) AND severity = $2", 2 },
        { "SELECT * FROM tickets WHERE tenant_id = ANY ($1::text)", -1 },
        { "SELECT * FROM tickets WHERE tenant_id = ALL ($1)", -1 },
        { "SELECT * FROM tickets WHERE NOT tenant_id = ANY ($1)", -1 },
        { "SELECT * FROM tickets WHERE tenant_id <> ANY ($1)", -1 },
        { "SELECT * FROM tickets a, chunks b WHERE a.tenant_id = ANY ($1) AND b.tenant_id = $1",
          -1 },
        { "SELECT * FROM tickets WHERE tenant_id = ANY ($1) AND subject = ANY ($1)", -1 },
        { "SELECT * FROM tickets WHERE tenant_id IS NOT DISTINCT FROM $1", 2 },
        { "SELECT * FROM tickets a, chunks b WHERE a.tenant_id = $1 AND b.tenant_id = $1", 2 },
        { "SELECT * FROM tickets a, chunks b WHERE a.tenant_id = $1 AND b.tenant_id = $1 AND a.tenant_id = b.tenant_id",
          2 },
        { "SELECT * FROM tickets a, chunks b WHERE a.tenant_id = $1 AND b.tenant_id = $2", 6 },
        { "SELECT * FROM tickets WHERE tenant_id = $1 AND closed OR tenant_id = $2", 6 },
        { "SELECT * FROM tickets WHERE tenant_id = $1 OR subject = $2", -1 },
        { "SELECT * FROM tickets WHERE tenant_id = $1 AND subject = $1", -1 },
        { "SELECT * FROM tickets WHERE (severity, tenant_id) = ($1, $2)", 4 },
        { "SELECT * FROM tickets t WHERE tenant_id = $1 AND EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = t.tenant_id)",
          2 },
        { "SELECT * FROM tickets t WHERE EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = $1) AND t.tenant_id = $1",
          2 },
        { "SELECT * FROM tickets, invoices WHERE tenant_id = $1 AND tenant_no = $1", -1 },
        { "SELECT * FROM tickets WHERE tenant_id = $1::char(3)", -1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        is_int(checked(w, cases[i].sql), cases[i].bits, "%s", cases[i].sql);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    w.ask.mode = TENANT_REJECT;
    plain(&w);
    enforced(&w);
    unproven(&w);
    hints(&w);
    parameters(&w);
    world_free(&w);
    return tap_done();
}
