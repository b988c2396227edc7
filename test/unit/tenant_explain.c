/* SPDX-License-Identifier: ISC */
/* EXPLAIN TENANT's rows, what a refusal is about, and templates without literals. */
#include "tenant_world.h"

#include "tenant/explain.h"
#include "tenant/redact.h"

/* ---- rows ---- */

static void append(void *arg, const struct explain_row *r)
{
    struct buf *b = arg;
    buf_printf(b, "%.*s|%.*s|%.*s|%.*s|%.*s\n", TEXT_ARG(r->item), TEXT_ARG(r->value),
               TEXT_ARG(r->cls), TEXT_ARG(r->how), TEXT_ARG(r->source));
}

/* Each of `want` (up to NULL) is in the rows of the statement. */
static void explains(struct world *w, int mode, bool extended, const char *sql, ...)
{
    struct buf b;
    enum tenant_action action;
    const char *want;
    va_list ap;

    buf_init(&b);
    w->ask.mode = mode;
    w->ask.extended = extended;
    w->ask.sql = text_of(sql);
    if (!explain_statement(w->engine, &w->ask, append, &b, &action))
        abort();
    buf_char(&b, '\0');
    va_start(ap, sql);
    while ((want = va_arg(ap, const char *)) != NULL) {
        bool found = strstr(buf_data(&b), want) != NULL;
        ok(found, "%.60s: %.60s", sql, want);
        if (!found)
            diag("%s", buf_data(&b));
    }
    va_end(ap);
    buf_release(&b);
}

static void rows(struct world *w)
{
    explains(w, TENANT_REWRITE, false, "SELECT * FROM tickets", "verdict|rewritten|",
             "relation|tickets -> public.tickets|tenant, by column tenant_id|predicate added to "
             "WHERE|column tenant_id found in the catalog",
             "text|SELECT * FROM \"public\".", "'acme'", NULL);
    explains(w, TENANT_REWRITE, true,
             "SELECT * FROM tickets t LEFT JOIN doc_types d ON d.code = 'x'",
             "relation|tickets AS t -> public.tickets|tenant", "|shared|read only, all rows|",
             "added parameter|$1 is the claim tenant", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT * FROM tickets t LEFT JOIN chunks c ON c.id = t.id",
             "chunks AS c -> public.chunks|tenant, by column tenant_id|predicate added to the "
             "join's ON",
             NULL);
    explains(w, TENANT_REWRITE, false, "SELECT * FROM tickets t FULL JOIN chunks c ON c.id = t.id",
             "|replaced by a sub-select with the predicate|", NULL);
    explains(w, TENANT_REWRITE, false, "INSERT INTO tickets (id) VALUES (1)",
             "|its tenant column gets the tenant's value|", NULL);
    explains(w, TENANT_REJECT, false, "SELECT * FROM tickets WHERE tenant_id = 'acme'",
             "verdict|passed|", "|proven: equal to the tenant's value|", NULL);
    explains(w, TENANT_REJECT, true,
             "SELECT * FROM tickets t JOIN chunks c USING (tenant_id) WHERE t.tenant_id = $1",
             "|proven: equal to $1, which Bind is checked for|",
             "|proven: equal to the tenant column of \"t\"|",
             "parameter|$1 must equal the claim tenant", NULL);
    explains(w, TENANT_REJECT, false, "SELECT * FROM tickets AS x", "verdict|refused|",
             "reason|missing_predicate|", "sqlstate|42501|", "hint|add: x.tenant_id = 'acme'|",
             "position|15|", "about|public.tickets|", "would help|AND x.tenant_id = $tenant|",
             "|not restricted to the tenant's rows|", NULL);
}

static void refusals(struct world *w)
{
    explains(w, TENANT_REWRITE, false, "SELECT * FROM loose", "reason|unknown_relation|",
             "about|public.loose|", "would help|[tenant_rules] public.loose = deny", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT * FROM nowhere.\"No\"", "about|nowhere.\"No\"|",
             "relation|nowhere.\"No\"|unknown|not allowed|not in the catalog", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT * FROM v_both, secret", "relation|", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT * FROM secret", "reason|denied_relation|",
             "about|public.secret|", "|denied|not allowed|denied by ", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT peers(d) FROM documents d", "reason|function|",
             "about|peers|", "function|peers|denied|", "[tenant_functions] public.peers(public.",
             " = allow", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT pg_sleep(1)", "about|pg_sleep|", NULL);
    explains(w, TENANT_REWRITE, false, "UPDATE doc_types SET label = ''",
             "reason|read_only_relation|", "about|public.doc_types|", NULL);
    explains(w, TENANT_REWRITE, false, "SELEC", "reason|unparsable|", NULL);
}

/* Statements about the session. */
static void others(struct world *w)
{
    explains(w, TENANT_REWRITE, false, "PREPARE p AS SELECT * FROM tickets WHERE id = $1",
             "verdict|passed|", "prepared|SELECT * FROM tickets WHERE id = $1|",
             "verdict|rewritten|", "added parameter|$2 is the claim tenant|",
             "|predicate added to WHERE|", NULL);
    explains(w, TENANT_REWRITE, false, "PREPARE p AS SELECT * FROM loose", "verdict|refused|",
             "reason|unknown_relation|", "about|public.loose|", NULL);
    explains(w, TENANT_REWRITE, false, "COPY tickets FROM STDIN", "note|the tenant column of each",
             NULL);
    explains(w, TENANT_REWRITE, false, "SET statement_timeout = 5", "note|changes the session",
             NULL);
}

/* A trace neither reads nor fills the cache. */
static void cache_untouched(struct world *w)
{
    const struct tenant_stats *s = tenant_engine_stats(w->engine);
    uint64_t hits = s->hits, entries = s->entries;
    explains(w, TENANT_REWRITE, false, "SELECT 4711 FROM tickets", "verdict|rewritten|", NULL);
    explains(w, TENANT_REWRITE, false, "SELECT 4711 FROM tickets", "|predicate added", NULL);
    ok(s->hits == hits && s->entries == entries, "the cache is passed by");
}

static void relations(struct world *w)
{
    w->ask.mode = TENANT_REWRITE;
    w->ask.extended = false;
    w->ask.relations = true;
    w->ask.sql = TEXT("SELECT (SELECT 1 FROM doc_types LIMIT 1) FROM tickets, chunks, tickets t");
    struct verdict *v = tenant_judge(w->engine, &w->ask);
    const struct text want = TEXT("public.tickets\0public.chunks\0public.doc_types");
    ok(v && text_eq(v->relations, want), "the verdict names each relation once");
    verdict_unref(w->engine, v);
    w->ask.relations = false;
}

/* ---- templates ---- */

static void template_is(const char *sql, size_t n, bool strict, const char *want)
{
    struct buf b;
    buf_init(&b);
    redact(text_n(sql, n), strict, &b);
    is_text(buf_text(&b), want, "template %.50s", want);
    buf_release(&b);
}

#define IS(sql, want) template_is(sql, sizeof(sql) - 1, false, want)

static void templates(void)
{
    IS("SELECT a FROM t WHERE b = 'secret' AND c = 12", "SELECT a FROM t WHERE b = ? AND c = ?");
    IS("SELECT\n\t1 /* secret */ -- secret\n+ $1", "SELECT ? + ?");
    IS("SELECT E'se\\'cret', U&'s', N's', B'1', X'f', $q$secret$q$, 1.5e3", "SELECT ?, ...");
    IS("SELECT 'a'\n'secret', x", "SELECT ?, x");
    IS("SELECT * FROM t WHERE a IN (1,2,3)", "SELECT * FROM t WHERE a IN (?, ...)");
    IS("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO t VALUES (?, ...)");
    IS("INSERT INTO t VALUES (1), (2),(3) RETURNING id", "INSERT INTO t VALUES (?) RETURNING id");
    IS("UPDATE t SET a = 1, b = 2", "UPDATE t SET a = ?, b = ?");
    IS("SELECT \"Odd\" , f(a,b)", "SELECT \"Odd\" , f(a,b)");
    IS("SELECT f(a,b),f(a,b)", "SELECT f(a,b),f(a,b)");
    /* broken quotes */
    IS("SELECT 'it's secret' FROM t", "SELECT ?? ? ...");
    IS("SELECT 'it's secret', 'x' FROM t", "SELECT ?? ?? ...");
    IS("SELECT 'O'Brien', 'x'", "SELECT ??? ...");
    IS("SELECT 'secret", "SELECT ...");
    IS("SELECT \"secret", "SELECT ...");
    IS("SELECT $x$ secret", "SELECT ...");
    IS("SELECT /* secret", "SELECT ...");
    template_is("SELEC secret FROM secret WHERE", 30, true, "? ? FROM ? WHERE");
    /* hostile bytes */
    IS("", "");
    IS("SELECT 1 \xff secret", "SELECT ? ...");
    IS("SELECT \"a\nb\x7f\"", "SELECT \"a?b?\"");
    IS("SELECT \xc3\xa4 FROM \xe2\x82\xac", "SELECT \xc3\xa4 FROM \xe2\x82\xac");
    char long_text[4000] = "SELECT a";
    for (size_t n = strlen(long_text); n + 12 < sizeof(long_text); n += 10)
        memcpy(long_text + n, " + column_", 10);
    struct buf b;
    buf_init(&b);
    redact(text_of(long_text), false, &b);
    ok(buf_len(&b) <= REDACT_MAX + 4 && buf_len(&b) > REDACT_MAX - 20, "the length is bounded");
    /* A list that begins at the end of what is allowed. */
    for (size_t n = 480; n < 500; n++) {
        char edge[520];
        memset(edge, 'a', n);
        memcpy(edge + n, " 1, 2", 6);
        b.n = 0;
        redact(text_of(edge), false, &b);
        ok(buf_len(&b) <= REDACT_MAX + 4, "%zu bytes in front of a list: %zu", n, buf_len(&b));
    }
    buf_release(&b);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    rows(&w);
    refusals(&w);
    others(&w);
    cache_untouched(&w);
    relations(&w);
    templates();
    world_free(&w);
    return tap_done();
}
