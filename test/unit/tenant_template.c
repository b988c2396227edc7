/* SPDX-License-Identifier: ISC */
/* Verdicts found by template: which constants they rest on, that they equal fresh ones, and that
 * finding them takes no memory. */
#include "template_vary.h"
#include "tenant_world.h"

/* The linker sends all our calls here (tenant_walk.am). */
static volatile unsigned long n_allocations; /* malloc is not thought to change anything */

void *__real_malloc(size_t n);
void *__real_calloc(size_t k, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t k, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    n_allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t k, size_t n)
{
    n_allocations++;
    return __real_calloc(k, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    n_allocations++;
    return __real_realloc(p, n);
}

static struct tenant_engine *engine(bool templates)
{
    struct tenant_engine_opts o = { .cache_bytes = 1 << 20,
                                    .no_templates = !templates,
                                    .check_templates = templates };
    struct tenant_engine *e = tenant_engine_new(&o);
    if (!e)
        abort();
    return e;
}

/* Judges both texts with an empty cache: is the second found by the first one's template? */
static void pair(struct world *w, const char *first, const char *second, bool found)
{
    tenant_engine_free(w->engine);
    w->engine = engine(true);
    const struct tenant_stats *s = tenant_engine_stats(w->engine);
    verdict_unref(w->engine, world_judge(w, first));
    verdict_unref(w->engine, world_judge(w, second));
    ok(s->template_hits == found && s->misses == 2u - found, "%s: %.*s", found ? "hit" : "miss",
       (int)strcspn(second, "\n"), second);
}

static void hits(struct world *w)
{
    pair(w, "SELECT id FROM tickets WHERE severity = 1 AND subject = 'a' LIMIT 5",
         "SELECT id FROM tickets WHERE severity = 2147483647 AND subject = 'it''s' LIMIT 0", true);
    pair(w, "SELECT id FROM tickets WHERE severity IN (1, -2) AND subject LIKE 'a%'",
         "SELECT id FROM tickets WHERE severity IN (3, -4) AND subject LIKE ' b'", true);
    pair(w, "SELECT id FROM tickets WHERE id = 7 /*traceparent='00-a'*/",
         "SELECT id FROM tickets WHERE id = 8 /*traceparent='00-b''c'*/", true);
    pair(w, "SELECT id FROM tickets WHERE subject = 'x' /*traceparent='00-a'*/",
         "SELECT id FROM tickets WHERE subject = 'y' /*traceparent='00-b''c'*/", true);
    pair(w, "/* one */ SELECT id -- more\n FROM tickets",
         "/* other and longer */ SELECT id -- less\n FROM tickets", true);
    pair(w, "UPDATE tickets SET subject = 'a', severity = severity + 1 WHERE id = 9",
         "UPDATE tickets SET subject = '', severity = severity + 2 WHERE id = 10", true);
    pair(w, "DELETE FROM tickets WHERE id = -1", "DELETE FROM tickets WHERE id = -2147483647",
         true);
    pair(w, "INSERT INTO tickets (id, subject) VALUES (1, 'a'), (2, 'b')",
         "INSERT INTO tickets (id, subject) VALUES (3, ''), (4, '$$')", true);
    pair(w, "SELECT date '2020-01-01', '1'::int8 FROM doc_types WHERE rank = 1",
         "SELECT date 'never', 'x'::int8 FROM doc_types WHERE rank = 2", true);
    w->ask.extended = true;
    pair(w, "SELECT id FROM tickets WHERE id = $1 AND severity = 1",
         "SELECT id FROM tickets WHERE id = $1 AND severity = 22", true);
    w->ask.extended = false;
    w->ask.mode = TENANT_REJECT;
    pair(w, "SELECT id FROM documents WHERE tenant_id = 'acme' AND id = 1",
         "SELECT id FROM documents WHERE tenant_id = 'acme' AND id = 2", true);
    w->ask.mode = TENANT_REWRITE;
}

static void misses(struct world *w)
{
    pair(w, "SELECT id FROM tickets WHERE id = 1", "SELECT id FROM tickets WHERE id = 2147483648",
         false);
    pair(w, "SELECT id FROM tickets WHERE id = 1", "SELECT id FROM tickets WHERE id = 1.0", false);
    pair(w, "SELECT id FROM tickets WHERE id = 1", "SELECT id FROM tickets WHERE id = '1'", false);
    pair(w, "SELECT id FROM tickets WHERE id = 1", "SELECT id FROM tickets WHERE id = - 1", false);
    pair(w, "SELECT id FROM tickets WHERE subject = 'a'",
         "SELECT id FROM tickets WHERE subject = E'a'", false);
    pair(w, "SELECT id FROM tickets WHERE subject = 'a'",
         "SELECT id FROM tickets WHERE subject = 'a'\n'b'", false);
    pair(w, "SELECT id FROM tickets WHERE subject = 'a'",
         "SELECT id FROM tickets WHERE subject = '/*+ x */'", false);
    pair(w, "SELECT id, subject FROM tickets ORDER BY 1",
         "SELECT id, subject FROM tickets ORDER BY 2", false);
    pair(w, "SELECT severity FROM tickets GROUP BY 1", "SELECT severity FROM tickets GROUP BY 2",
         false);
    pair(w, "SELECT subject::varchar(5) FROM tickets", "SELECT subject::varchar(6) FROM tickets",
         false);
    pair(w, "SELECT float(24) '1' FROM tickets", "SELECT float(25) '1' FROM tickets", false);
    pair(w, "SELECT current_timestamp(1) FROM tickets", "SELECT current_timestamp(2) FROM tickets",
         false);
    pair(w, "SELECT 'loose'::regclass", "SELECT 'doc_types'::regclass", false);
    pair(w, "SELECT current_setting('server_version')", "SELECT current_setting('search_path')",
         false);
    pair(w, "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme')",
         "INSERT INTO tickets (id, tenant_id) VALUES (1, 'beta')", false);
    pair(w, "UPDATE tickets SET tenant_id = 'acme'", "UPDATE tickets SET tenant_id = 'beta'",
         false);
    pair(w, "SELECT U&'!0041' UESCAPE '!' FROM tickets",
         "SELECT U&'!0041' UESCAPE '#' FROM tickets", false);
    pair(w, "SELECT id FROM tickets WHERE id = 1; SELECT 2",
         "SELECT id FROM tickets WHERE id = 2; SELECT 2", false);
    pair(w, "SET statement_timeout = 1", "SET statement_timeout = 2", false);
    pair(w, "SELECT id FROM tickets WHERE id = 1", "SELECT ID FROM tickets WHERE id = 1", false);
    w->ask.mode = TENANT_REJECT;
    pair(w, "SELECT id FROM documents WHERE tenant_id = 'acme'",
         "SELECT id FROM documents WHERE tenant_id = 'beta'", false);
    pair(w, "SELECT id FROM documents WHERE tenant_id = 'acme' AND title LIKE 'a'",
         "SELECT id FROM documents WHERE tenant_id = 'acme' AND title LIKE 'a\\'", false);
    w->ask.mode = TENANT_REWRITE;
}

/* All statements with other constants: a verdict by template equals a fresh one. */
static void varied(struct world *w)
{
    static const char *const texts[] = {
        "SELECT id FROM tickets WHERE id = 1 AND subject = 'a' ORDER BY 1 LIMIT 5 OFFSET 6",
        "SELECT id, 'x' AS k, 5 FROM tickets WHERE severity BETWEEN 1 AND 9 OR subject LIKE 'a%'",
        "SELECT * FROM documents d JOIN chunks c ON c.document_id = d.id AND c.seq > 3 "
        "WHERE d.id = 1",
        "SELECT d.id FROM documents d LEFT JOIN tickets t ON t.id = 5 WHERE d.title = 'x'",
        "SELECT count(*) FROM (SELECT 1 FROM tickets WHERE id IN (1, 2, 3)) x",
        "SELECT id FROM documents WHERE tenant_id = 'acme' AND meta ->> 'k' = 'v'",
        "SELECT id FROM documents WHERE tenant_id IN ('acme') AND id = ANY (ARRAY[1, 2])",
        "WITH x AS (SELECT id FROM tickets WHERE severity = 3) SELECT 'a', id FROM x LIMIT 1",
        "INSERT INTO tickets (id, subject) VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO tickets (id, tenant_id) VALUES (1, 'acme')",
        "INSERT INTO tickets (id, subject) SELECT 5, 'x' FROM documents WHERE id = 3",
        "INSERT INTO documents (id, tenant_id, title) VALUES (1, 'acme', 'x') ON "
        "CONFLICT (tenant_id, id) DO UPDATE SET title = 'y'",
        "UPDATE tickets SET subject = 'x', severity = 4 WHERE id = 1 RETURNING 'r', id",
        "UPDATE documents SET tenant_id = 'acme' WHERE id = 2",
        "DELETE FROM tickets USING documents d WHERE d.id = 4 AND tickets.id = -3",
        "SELECT CASE WHEN id = 1 THEN 'a' ELSE 'b' END, coalesce(subject, 'c') FROM tickets",
        "SELECT 'x'::text, '5'::int4, 'a'::varchar(3), date '2020-01-01' FROM tickets",
        "SELECT 'documents'::regclass, current_setting('server_version')",
        "SELECT id FROM tickets UNION ALL SELECT 2 FROM tickets WHERE subject = 'q' "
        "ORDER BY 1 LIMIT 3",
        "SELECT total FROM invoices WHERE tenant_no = 11 AND total > 5",
        "MERGE INTO tickets t USING documents d ON t.id = d.id AND d.id = 1 WHEN MATCHED "
        "AND t.severity = 2 THEN UPDATE SET subject = 'm' WHEN NOT MATCHED THEN INSERT "
        "(id, subject) VALUES (3, 'n')",
        "SET statement_timeout = 5",
        "SELECT id FROM nowhere WHERE id = 1",
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT id FROM tickets ORDER BY severity = 2, 1 LIMIT 5",
        "SELECT substring(subject from 1 for 2), extract('year' from date '2020-01-01') "
        "FROM tickets",
        "SELECT 1; SELECT 'a' FROM tickets",
    };
    struct tenant_engine *plain = engine(false), *own = engine(true);
    struct buf b;
    struct arena a;
    uint32_t seed = 7;
    buf_init(&b);
    arena_init(&a, 0);
    const struct tenant_stats *s = tenant_engine_stats(own);
    tenant_engine_free(w->engine);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int differ = 0;
        for (int k = 0; k < 400; k++) {
            if (k < 8)
                buf_clear(&b);
            if (k < 8)
                buf_text_append(&b, text_of(texts[i]));
            else
                vary_text(text_of(texts[i]), &seed, &b);
            w->ask.mode = k & 1 ? TENANT_REJECT : TENANT_REWRITE;
            w->ask.extended = k & 2;
            w->ask.sql = arena_text(&a, buf_text(&b));
            struct verdict *x = tenant_judge(own, &w->ask), *y = tenant_judge(plain, &w->ask);
            if (!x || !y)
                abort();
            if (!vary_same(x, y, &w->id) && differ++ < 3)
                printf("# differs: %.*s\n", TEXT_ARG(w->ask.sql));
            verdict_unref(own, x);
            verdict_unref(plain, y);
            arena_clear(&a);
        }
        ok(differ == 0, "%s", texts[i]);
    }
    ok(s->template_hits > 2000, "%llu were found by template, %llu judged",
       (unsigned long long)s->template_hits, (unsigned long long)s->misses);
    w->ask.mode = TENANT_REWRITE;
    w->ask.extended = false;
    arena_release(&a);
    buf_release(&b);
    tenant_engine_free(plain);
    w->engine = own;
}

/* Entries that differ in fixed constants do not pile up. */
static void bounded(struct world *w)
{
    const struct tenant_stats *s = tenant_engine_stats(w->engine);
    uint64_t entries = s->entries;
    for (int i = 0; i < 200; i++) {
        char sql[100];
        snprintf(sql, sizeof(sql), "SELECT subject::varchar(%d) FROM tickets WHERE id = 1", i + 1);
        verdict_unref(w->engine, world_judge(w, sql));
    }
    ok(s->entries <= entries + 200 + 8, "few entries with one key");
}

static void no_memory_taken(struct world *w)
{
    static const char *const forms[] = {
        "SELECT id, subject FROM tickets WHERE id = # AND subject = 'a#' LIMIT 5",
        "SELECT 1 FROM doc_types WHERE rank = # /* trace # */",
        "UPDATE tickets SET severity = # WHERE id = #",
    };
    struct tenant_engine_opts o = { .cache_bytes = 1 << 20 };
    struct buf out;
    tenant_engine_free(w->engine);
    w->engine = tenant_engine_new(&o);
    if (!w->engine)
        abort();
    buf_init(&out);
    buf_reserve(&out, 4096);
    const struct tenant_stats *s = tenant_engine_stats(w->engine);
    for (int same = 1; same >= 0; same--) {
        for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
            unsigned long before = 0;
            uint64_t hits = 0;
            for (int i = 0; i < 1100; i++) {
                char sql[200];
                size_t n = 0;
                for (const char *p = forms[f]; *p; p++)
                    n += (size_t)(*p == '#' ? snprintf(sql + n, 8, "%d", same ? 1 : i)
                                            : snprintf(sql + n, 2, "%c", *p));
                if (i == 100) {
                    before = n_allocations;
                    hits = same ? s->hits : s->template_hits;
                }
                struct verdict *v = world_judge(w, sql);
                buf_clear(&out);
                if (v->action == VERDICT_REWRITE && !verdict_text(v, &w->id, &out))
                    abort();
                verdict_unref(w->engine, v);
            }
            hits = (same ? s->hits : s->template_hits) - hits;
            ok(n_allocations == before && hits == 1000, "1000 hits by %s, %lu allocations: %s",
               same ? "text" : "template", n_allocations - before, forms[f]);
        }
    }
    buf_release(&out);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    unsigned long before = n_allocations;
    void *volatile p = malloc(10);
    free(p);
    ok(n_allocations == before + 1, "allocations are counted");
    hits(&w);
    misses(&w);
    varied(&w);
    bounded(&w);
    no_memory_taken(&w);
    world_free(&w);
    return tap_done();
}
