/* SPDX-License-Identifier: ISC */
/* Verdicts as the session uses them: reject mode, the extended protocol, Bind, the cache, errors.
 */
#include "tenant_world.h"

#include "tenant/value.h"

static void rejecting(struct world *w)
{
    static const char *const allowed[] = {
        "SELECT * FROM tickets WHERE tenant_id = 'acme' AND severity > 1",
        "SELECT * FROM tickets t WHERE 'acme' = t.tenant_id",
        "SELECT * FROM tickets WHERE tenant_id = E'acme'",
        "SELECT * FROM tickets WHERE tenant_id = 'acme'::text",
        "SELECT * FROM tickets WHERE tenant_id IN ('acme')",
        "SELECT * FROM tickets WHERE tenant_id = ANY (ARRAY['acme']::text[])",
        "SELECT * FROM tickets WHERE (tenant_id, severity) = ('acme', 1)",
        "SELECT * FROM tickets t JOIN chunks c ON c.tenant_id = t.tenant_id WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t JOIN chunks c ON c.id = t.id AND t.tenant_id = 'acme' AND c.tenant_id = 'acme'",
        "SELECT * FROM tickets t JOIN chunks c USING (tenant_id) WHERE c.tenant_id = 'acme'",
        "SELECT * FROM tickets t JOIN chunks c USING (tenant_id) WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets t LEFT JOIN chunks c ON c.tenant_id = t.tenant_id WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t LEFT JOIN chunks c ON c.tenant_id = 'acme' WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t FULL JOIN chunks c ON t.id = c.id WHERE t.tenant_id = 'acme' AND c.tenant_id = 'acme'",
        "SELECT * FROM (SELECT * FROM tickets WHERE tenant_id = 'acme') x",
        "WITH a AS (SELECT * FROM tickets WHERE tenant_id = 'acme') SELECT * FROM a",
        "UPDATE tickets SET closed = true WHERE tenant_id = 'acme'",
        "DELETE FROM tickets t USING chunks c WHERE t.tenant_id = 'acme' AND c.tenant_id = t.tenant_id",
        "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme')",
        "INSERT INTO tickets (id, tenant_id) SELECT 1, tenant_id FROM chunks WHERE tenant_id = 'acme'",
        "SELECT * FROM invoices WHERE tenant_no = 11",
        "SELECT * FROM invoices WHERE tenant_no = '11'",
        "SELECT * FROM keys WHERE tenant_uuid = 'a1111111-0000-4000-8000-00000000000a'::uuid",
        "SELECT * FROM doc_types",
        "SELECT * FROM memory.settings s JOIN settings g ON g.name = s.name WHERE s.user_id = 'acme'",
    };
    static const char *const missing[] = {
        "SELECT * FROM tickets",
        "SELECT * FROM tickets WHERE tenant_id = 'other'",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' OR true",
        "SELECT * FROM tickets WHERE NOT tenant_id = 'acme'",
        "SELECT * FROM tickets WHERE (tenant_id = 'acme') IS TRUE",
        "SELECT * FROM tickets WHERE tenant_id <= 'acme'",
        "SELECT * FROM tickets WHERE tenant_id = tenant_id",
        "SELECT * FROM tickets WHERE tenant_id IN ('acme', 'other')",
        "SELECT * FROM tickets WHERE tenant_id = ANY (ARRAY['acme', 'other'])",
        "SELECT * FROM tickets WHERE tenant_id <> ANY (ARRAY['acme'])",
        "SELECT * FROM tickets WHERE tenant_id = ALL (ARRAY['acme'])",
        "SELECT * FROM tickets WHERE (tenant_id, severity) > ('acme', 1)",
        "SELECT * FROM tickets WHERE tenant_id = 'acme'::char(2)",
        "SELECT * FROM tickets WHERE tenant_id = 'acme' COLLATE \"C\"",
        "SELECT * FROM tickets t JOIN chunks c ON c.id = t.id WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t LEFT JOIN chunks c ON t.tenant_id = 'acme' AND c.tenant_id = 'acme'",
        "SELECT * FROM tickets t LEFT JOIN chunks c ON c.tenant_id = t.tenant_id",
        "SELECT * FROM tickets t RIGHT JOIN chunks c USING (tenant_id) WHERE t.tenant_id = 'acme'",
        "SELECT * FROM tickets t FULL JOIN chunks c ON t.tenant_id = 'acme' AND c.tenant_id = 'acme'",
        "SELECT * FROM tickets HAVING max(tenant_id) = 'acme'",
        "SELECT * FROM tickets WHERE subject = 'x' AND id IN (SELECT id FROM chunks WHERE chunks.tenant_id = 'acme')",
        "SELECT * FROM (SELECT * FROM tickets) x WHERE tenant_id = 'acme'",
        "SELECT * FROM tickets t WHERE t.tenant_id = 'acme' AND EXISTS (SELECT 1 FROM chunks c WHERE t.tenant_id = 'acme')",
        "SELECT * FROM tickets AS t(tenant_id, x) WHERE tenant_id = 'acme'",

        "WITH tickets AS (SELECT 'acme' AS tenant_id, subject FROM public.tickets) SELECT * FROM tickets WHERE tenant_id = 'acme'",
        "UPDATE tickets SET closed = true",
        "DELETE FROM tickets USING chunks c WHERE c.tenant_id = 'acme'",
        "SELECT * FROM invoices WHERE tenant_no = 12",
        "SELECT * FROM memory.settings WHERE user_id = name AND name = 'acme'",
    };
    w->ask.mode = TENANT_REJECT;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        world_is(w, allowed[i], "=", NULL);
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        world_is(w, missing[i], "!missing_predicate", NULL);
    world_is(w, "INSERT INTO tickets (id) VALUES (1)", "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets DEFAULT VALUES", "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, DEFAULT)", "!unproven_value", NULL);
    world_is(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'other')", "!wrong_tenant", NULL);
    world_is(
        w,
        "MERGE INTO tickets t USING doc_types d ON t.tenant_id = 'acme' WHEN MATCHED THEN DELETE",
        "=", NULL);
    world_is(w, "MERGE INTO tickets t USING doc_types d ON true WHEN MATCHED THEN DELETE",
             "!missing_predicate", NULL);
    world_is(w,
             "MERGE INTO tickets t USING chunks c ON t.tenant_id = 'acme' AND c.tenant_id = 'acme' "
             "WHEN NOT MATCHED THEN INSERT (tenant_id) VALUES ('acme')",
             "!missing_predicate", NULL);
    world_is(w, "SELECT 1; SELECT * FROM tickets", "!missing_predicate", NULL);
    /* proven, but a cast can fail on a row of another tenant before the predicate is tested */
    world_is(
        w, "SELECT id FROM tickets WHERE tenant_id = 'acme' AND subject::int > 0",
        "SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id} AND (tenant_id = 'acme' AND subject::int > 0)",
        NULL);
    struct verdict *v = world_judge(w, "SELECT * FROM \"Order Items\" WHERE x = 1");
    is_text(v->hint, "add: \"Order Items\".\"TenantId\" = 'acme'",
            "the hint names what is missing");
    ok(v->describable, "such a statement may be described");
    is_int(v->position, 15, "its position is the relation's");
    verdict_unref(w->engine, v);
    w->ask.mode = TENANT_REWRITE;
}

/* Bind with text or binary values; NULL ends them. */
static bool bind(struct world *w, const char *sql, int format, const char *value, size_t n,
                 uint32_t declared, struct tenant_refusal *r)
{
    uint32_t types[1] = { declared };
    struct wire_added added[VERDICT_MAX_ADDED];
    struct buf b;
    buf_init(&b);
    w->ask.extended = true;
    w->ask.types = types;
    w->ask.n_types = declared ? 1 : 0;
    struct verdict *v = world_judge(w, sql);
    char head[4] = { 0, 0, 0, 0 };
    head[3] = (char)n;
    buf_append(&b, value ? head : "\xff\xff\xff\xff", 4);
    buf_append(&b, value, value ? n : 0);
    char formats[2] = { 0, (char)format };
    struct wire_bind m = { .n_formats = 1,
                           .formats = formats,
                           .n_params = 1,
                           .params = buf_data(&b),
                           .params_len = buf_len(&b) };
    bool good =
        v->action != VERDICT_REFUSE && verdict_bind(v, &w->id, &m, types, w->ask.n_types, added, r);
    if (v->action == VERDICT_REFUSE)
        r->reason = v->reason;
    buf_release(&b);
    verdict_unref(w->engine, v);
    w->ask.extended = false;
    w->ask.n_types = 0;
    return good;
}

#define ONE "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1"
static void arrays(struct world *w)
{
    const char *any = "SELECT * FROM tickets WHERE tenant_id = ANY ($1)";
    static const char two[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1"
                              "\0\0\0\4acme\0\0\0\5other";
    struct tenant_refusal r;
    w->ask.mode = TENANT_REJECT;
    ok(bind(w, any, 0, "{acme}", 6, 0, &r), "array of the tenant");
    ok(bind(w, any, 0, "{\"acme\",acme}", 13, 1009, &r), "twice, quoted");
    ok(!bind(w, any, 0, "{acme,other}", 12, 0, &r) && r.reason == REFUSAL_bind_value,
       "another tenant among them");
    ok(!bind(w, any, 0, "{}", 2, 0, &r), "none");
    ok(!bind(w, any, 0, "{acme,NULL}", 11, 0, &r), "NULL among them");
    ok(!bind(w, any, 0, "{{acme}}", 8, 0, &r), "of two dimensions");
    ok(!bind(w, any, 0, "[1:1]={acme}", 12, 0, &r), "with bounds");
    ok(!bind(w, any, 0, "acme", 4, 0, &r), "no array");
    ok(!bind(w, any, 0, "{\"acme", 6, 0, &r) && !bind(w, any, 0, "{acme", 5, 0, &r) &&
           !bind(w, any, 0, "{acme,}", 7, 0, &r) && !bind(w, any, 0, "{\"ac\\me\"}", 9, 0, &r),
       "broken ones");
    ok(!bind(w, any, 0, NULL, 0, 0, &r), "NULL");
    ok(!bind(w, any, 0, "{acme}", 6, W_TEXT, &r) && r.reason == REFUSAL_bind_type, "not an array");
    ok(bind(w, any, 1, ONE "\0\0\0\4acme", 28, 0, &r), "binary");
    ok(!bind(w, any, 1, ONE "\0\0\0\5other", 29, 0, &r), "another tenant's");
    ok(!bind(w, any, 1, ONE "\xff\xff\xff\xff", 24, 0, &r), "NULL in it");
    ok(!bind(w, any, 1, two, sizeof(two) - 1, 0, &r), "another tenant's behind it");
    ok(!bind(w, any, 1, ONE "\0\0\0\4acmex", 29, 0, &r), "bytes behind it");
    for (size_t n = 0; n < 28; n++)
        ok(!bind(w, any, 1, ONE "\0\0\0\4acme", n, 0, &r), "cut at %zu", n);
    w->ask.mode = TENANT_REWRITE;
}

static void binding(struct world *w)
{
    const char *insert = "INSERT INTO tickets (id, tenant_id) VALUES (1, $1)";
    const char *number = "INSERT INTO invoices (tenant_no) VALUES ($1)";
    const char *uuid = "INSERT INTO keys (tenant_uuid) VALUES ($1)";
    struct tenant_refusal r;
    ok(bind(w, insert, 0, "acme", 4, 0, &r), "text value of the tenant");
    ok(bind(w, insert, 1, "acme", 4, W_VARCHAR, &r), "binary varchar");
    ok(!bind(w, insert, 0, "other", 5, 0, &r) && r.reason == REFUSAL_bind_value,
       "another tenant's");
    ok(!bind(w, insert, 0, "acme ", 5, W_TEXT, &r), "a blank more");
    ok(!bind(w, insert, 0, NULL, 0, 0, &r) && r.reason == REFUSAL_bind_value, "NULL");
    ok(bind(w, insert, 0, "acme", 4, 1042, &r), "char(n)");
    ok(!bind(w, insert, 0, "acme ", 5, 1042, &r) && r.reason == REFUSAL_bind_value,
       "char(n) with a blank");
    ok(bind(w, insert, 1, "acme", 4, 19, &r), "name");
    ok(!bind(w, insert, 0, "acm", 3, 19, &r) && r.reason == REFUSAL_bind_value, "another name");
    ok(!bind(w, insert, 0, "acme", 4, W_JSONB, &r) && r.reason == REFUSAL_bind_type, "jsonb");
    ok(bind(w, number, 1, "\0\0\0\x0b", 4, W_INT4, &r), "binary int4");
    ok(bind(w, number, 1, "\0\0\0\0\0\0\0\x0b", 8, W_INT8, &r), "binary int8 for an int4 column");
    ok(!bind(w, number, 1, "\0\0\0\x0c", 4, W_INT4, &r), "another number");
    ok(!bind(w, number, 1, "\0\x0b", 2, 0, &r), "wrong width for an inferred type");
    ok(bind(w, number, 0, "11", 2, 0, &r), "number as text");
    ok(!bind(w, number, 0, " 11", 3, 0, &r), "only in its plain form");
    ok(bind(w, uuid, 0, "A1111111-0000-4000-8000-00000000000a", 36, 0, &r), "uuid in either case");
    ok(bind(w, uuid, 1, "\xa1\x11\x11\x11\0\0\x40\0\x80\0\0\0\0\0\0\x0a", 16, W_UUID, &r),
       "binary uuid");
    ok(!bind(w, "INSERT INTO tickets (id, tenant_id, subject) VALUES (1, $1, $1::name)", 0, "acme",
             4, 0, &r),
       "a parameter that could get another type");
    ok(!bind(w, "INSERT INTO tickets (id, tenant_id, subject) VALUES (1, $1, $1)", 0, "acme", 4, 0,
             &r) &&
           r.reason == REFUSAL_unproven_value,
       "a parameter used twice without a declared type");
    ok(bind(w, "INSERT INTO tickets (id, tenant_id, subject) VALUES (1, $1, $1)", 0, "acme", 4,
            W_TEXT, &r),
       "and with one");
    w->ask.mode = TENANT_REJECT;
    ok(bind(w, "SELECT * FROM tickets WHERE tenant_id = $1", 0, "acme", 4, 0, &r),
       "reject mode: value of the tenant");
    ok(bind(w, "SELECT * FROM tickets WHERE tenant_id = $1", 0, "acme", 4, 1042, &r),
       "reject mode: char(n)");
    const uint32_t loose[] = { 1042, 19 };
    for (int i = 0; i < 2; i++) {
        w->ask.extended = true;
        w->ask.types = &loose[i];
        w->ask.n_types = 1;
        struct verdict *v = world_judge(w, "SELECT * FROM tickets WHERE tenant_id = $1");
        ok(v->action == VERDICT_REWRITE && v->n_added == 1,
           "reject mode: type %u does not hold by itself", loose[i]);
        verdict_unref(w->engine, v);
        w->ask.extended = false;
        w->ask.n_types = 0;
    }
    ok(!bind(w, "SELECT * FROM tickets WHERE tenant_id = $1", 0, "other", 5, 0, &r),
       "reject mode: another's");
    ok(!bind(w, "SELECT * FROM tickets WHERE tenant_id = $1::char(2)", 0, "acme", 4, 0, &r),
       "reject mode: cast");
    w->ask.mode = TENANT_REWRITE;
}

static void parameters(struct world *w)
{
    uint32_t types[3] = { W_INT4, 0, W_TEXT };
    w->ask.extended = true;
    world_is(w, "SELECT * FROM tickets WHERE severity = $1",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id} AND "
             "(severity = $1)",
             "$2");
    world_is(w, "SELECT * FROM tickets t, chunks c",
             "SELECT * FROM \"public\".tickets t, \"public\".chunks c WHERE "
             "{t.tenant_id} AND {c.tenant_id}",
             "$1");
    world_is(w, "SELECT 1", "=", NULL);
    world_is(w, "COPY (SELECT 1) TO STDOUT", "=", NULL);
    struct verdict *v = world_judge(w, "SELECT * FROM tickets, invoices, keys WHERE severity = $2");
    is_int(v->n_params, 2, "client's parameters");
    is_int(v->n_added, 3, "one added for each claim and type");
    is_int((int)v->added[0].type, VALUE_TEXT, "the domain over text is sent as text");
    is_text(v->added[1].claim, "tenant_no", "claim by the column's name");
    is_int((int)v->added[1].type, VALUE_INT4, "its type");
    verdict_unref(w->engine, v);
    w->ask.types = types;
    w->ask.n_types = 3;
    world_is(w, "SELECT * FROM tickets WHERE severity = $1",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id} AND "
             "(severity = $1)",
             "$4");
    w->ask.n_types = 0;
    world_is(w, "SELECT $65535 FROM tickets", "!too_many_parameters", NULL);
    world_is(w, "SELECT $65536", "!limit", NULL);
    w->ask.extended = false;
    world_is(w, "INSERT INTO tickets (tenant_id) VALUES ($1)", "!unproven_value", NULL);
}

static void caching(struct world *w)
{
    const struct tenant_stats *s = tenant_engine_stats(w->engine);
    uint64_t misses = s->misses, hits = s->hits;
    struct claim others[3] = { { TEXT("tenant"), TEXT("other") }, w->claims[1], w->claims[2] };
    struct identity acme = w->id,
                    other = { .bound = true, .claims = others, .n_claims = 3, .hash = 77 };
    struct verdict *a = world_judge(w, "SELECT id FROM tickets WHERE 77 = 77");
    struct verdict *b = world_judge(w, "SELECT id FROM tickets WHERE 77 = 77");
    ok(a == b && s->hits == hits + 1 && s->misses == misses + 1, "found again");
    w->id = other;
    struct verdict *c = world_judge(w, "SELECT id FROM tickets WHERE 77 = 77");
    ok(a == c, "also by another tenant: its value is not in the verdict");
    verdict_unref(w->engine, b);
    struct buf t;
    buf_init(&t);
    ok(verdict_text(c, &w->id, &t) && memmem(t.p, t.n, "'other'", 7) &&
           !memmem(t.p, t.n, "'acme'", 6),
       "which gets its own text");
    buf_release(&t);
    verdict_unref(w->engine, c);
    w->id = acme;
    world_is(w, "INSERT INTO tickets (tenant_id) VALUES ('acme')",
             "INSERT INTO \"public\".tickets (tenant_id) VALUES ('acme')", NULL);
    w->id = other;
    world_is(w, "INSERT INTO tickets (tenant_id) VALUES ('acme')", "!wrong_tenant", NULL);
    w->id = acme;
    world_is(w, "INSERT INTO tickets (tenant_id) VALUES ('acme')",
             "INSERT INTO \"public\".tickets (tenant_id) VALUES ('acme')", NULL);
    w->ask.mode = TENANT_REJECT;
    world_is(w, "SELECT id FROM tickets WHERE 77 = 77", "!missing_predicate", NULL);
    w->ask.mode = TENANT_REWRITE;
    verdict_ref(a);
    verdict_unref(w->engine, a);
    for (int i = 0; i < 3000; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "SELECT id AS n%d FROM tickets", i);
        verdict_unref(w->engine, world_judge(w, sql));
    }
    ok(s->evictions > 0 && s->bytes <= 1 << 20, "the cache keeps its bound: %llu entries",
       (unsigned long long)s->entries);
    ok(a->action == VERDICT_REWRITE, "a verdict in use outlives its place in the cache");
    verdict_unref(w->engine, a);
    ok(s->parse_count == s->misses, "each miss is timed");
}

static void errors(struct world *w)
{
    struct buf b;
    buf_init(&b);
    struct verdict *v = world_judge(w, "SELECT '\xc3\xa4', peers(1)");
    verdict_error(v, &b);
    ok(memmem(b.p, b.n, "C42501", 6) && memmem(b.p, b.n, "(function)", 10) &&
           memmem(b.p, b.n, "P13", 3),
       "SQLSTATE, code and position in characters");
    verdict_unref(w->engine, v);
    v = world_judge(w, "SELECT FROM FROM");
    ok(strcmp(refusal_state(v->reason), "42601") == 0 && v->position == 13,
       "a syntax error is one");
    ok(memmem(v->message.p, v->message.n, "syntax error", 12), "in the parser's words");
    verdict_unref(w->engine, v);
    v = world_judge(w, "SELECT * FROM nosuch");
    ok(v->wants_catalog && !v->describable, "an unknown relation asks for a fresh catalog");
    verdict_unref(w->engine, v);
    buf_release(&b);
    for (int i = 0; i < REFUSAL_COUNT; i++)
        if (strlen(refusal_name((enum refusal)i)) < 3 ||
            strlen(refusal_state((enum refusal)i)) != 5)
            ok(false, "refusal %d is described", i);
    world_is(w, "SELECT '\xff'", "!encoding", NULL);
    w->claims[1].value = TEXT("eleven");
    w->id.hash++;
    world_is(w, "SELECT * FROM invoices", "!no_claim", NULL);
    w->id.n_claims = 1;
    world_is(w, "SELECT * FROM tickets",
             "SELECT * FROM \"public\".tickets WHERE {tickets.tenant_id}", NULL);
    world_is(w, "SELECT * FROM keys", "!no_claim", NULL);
}

static void attacks(struct world *w)
{
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "SELECT 1");
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "+1");
    buf_char(&b, 0);
    struct verdict *v = world_judge(w, buf_data(&b));
    ok(v->action == VERDICT_REFUSE && v->reason == REFUSAL_limit,
       "a long sum is refused, not a crash");
    verdict_unref(w->engine, v);
    buf_clear(&b);
    buf_printf(&b, "SELECT * FROM tickets WHERE id = 0");
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, " OR id = %d", i);
    buf_char(&b, 0);
    v = world_judge(w, buf_data(&b));
    ok(v->action == VERDICT_REWRITE, "a long OR is rewritten");
    verdict_unref(w->engine, v);
    buf_clear(&b);
    buf_printf(&b, "SELECT id FROM tickets");
    for (int i = 0; i < 600; i++)
        buf_printf(&b, " UNION SELECT id FROM tickets");
    buf_char(&b, 0);
    v = world_judge(w, buf_data(&b));
    ok(v->action == VERDICT_REWRITE, "a long UNION is rewritten");
    verdict_unref(w->engine, v);
    buf_clear(&b);
    buf_printf(&b, "INSERT INTO tickets (id) VALUES (1)");
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, ", (%d)", i);
    buf_char(&b, 0);
    v = world_judge(w, buf_data(&b));
    ok(v->action == VERDICT_REWRITE, "many rows are rewritten");
    verdict_unref(w->engine, v);
    buf_release(&b);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    rejecting(&w);
    binding(&w);
    arrays(&w);
    parameters(&w);
    attacks(&w);
    caching(&w);
    errors(&w);
    world_free(&w);
    return tap_done();
}
