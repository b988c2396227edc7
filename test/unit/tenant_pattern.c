/* SPDX-License-Identifier: ISC */
/* Operands that could fail on another tenant's row: which are refused, now or when Bind comes. */
#include "tenant_world.h"

#include "tenant/pattern.h"

static bool refused(struct world *w, const char *sql)
{
    struct verdict *v = world_judge(w, sql);
    bool yes = v->action == VERDICT_REFUSE && v->reason == REFUSAL_pattern;
    if (v->action == VERDICT_REFUSE && !yes)
        printf("# %s: %.*s\n", refusal_name(v->reason), TEXT_ARG(v->detail));
    bool other = v->action == VERDICT_REFUSE && !yes;
    verdict_unref(w->engine, v);
    if (other)
        ok(false, "refused for another reason: %s", sql);
    return yes;
}

static void texts(struct world *w)
{
    static const char *const open[] = {
        "SELECT 1 FROM tickets WHERE subject LIKE '%x'",
        "SELECT 1 FROM tickets WHERE subject LIKE ''",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x' COLLATE \"C\"",
        "SELECT 1 FROM tickets WHERE subject NOT LIKE 'a\\_%'",
        "SELECT 1 FROM tickets WHERE subject ILIKE '%x\\\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE 'a!%%' ESCAPE '!'",
        "SELECT 1 FROM tickets WHERE subject LIKE 'a\\' ESCAPE ''",
        "SELECT 1 FROM tickets t JOIN tickets c ON t.subject LIKE c.subject || '%'",
        "SELECT 1 FROM tickets WHERE subject LIKE upper('%x%')",
        "SELECT 1 FROM tickets WHERE subject LIKE concat(subject, '%')",
        "SELECT 1 FROM tickets WHERE subject LIKE COALESCE(NULLIF('a', ''), '%')::text",
        "SELECT 1 FROM tickets WHERE subject LIKE ANY (ARRAY['a%', '%b'])",
        "SELECT 1 FROM tickets WHERE subject LIKE ANY ('{a%,%b}'::text[])",
        "SELECT 1 FROM tickets WHERE subject SIMILAR TO 'a\\'",
        "SELECT 1 WHERE 'ab' LIKE 'a\\'", /* no tenant's table */
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? '$.a[*] ? (@.created_date == \"$x\")'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @@ '$ like_regex \"\\\\d date(\"'::jsonpath",
        ("SELECT 1 FROM tickets WHERE jsonb_path_exists(to_jsonb(subject), '$.a ? (@ > $x)'::jsonpath, "
         "'{\"x\": 1}')"),
        "SELECT 1 FROM tickets, to_tsquery('a') q WHERE to_tsvector(subject) @@ q",
    };
    static const char *const closed[] = {
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\\\\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\' COLLATE \"C\"",
        "SELECT 1 FROM tickets WHERE NOT subject ILIKE '%x\\'",
        "SELECT 1 FROM tickets WHERE subject OPERATOR(pg_catalog.~~) E'%x\\\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x!' ESCAPE '!'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x' ESCAPE substr('x', 1)",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x' || '\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\' || ''",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\' || '\\\\'",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x' || chr(92)",
        "SELECT 1 FROM tickets WHERE subject LIKE '%x\\_'::varchar(3)",
        "SELECT 1 FROM tickets WHERE subject LIKE CASE WHEN true THEN '%x\\' END",
        "SELECT 1 FROM tickets WHERE subject LIKE COALESCE(NULL, '%x\\')",
        "SELECT 1 FROM tickets WHERE subject LIKE concat('%x', '\\', NULL)",
        "SELECT 1 FROM tickets WHERE subject LIKE (SELECT '%x\\')",
        "SELECT 1 FROM tickets WHERE subject LIKE ANY (SELECT '%x\\')",
        "SELECT 1 FROM tickets WHERE subject LIKE ANY (ARRAY['a', '%x\\'])",
        "SELECT 1 FROM tickets WHERE subject LIKE ALL ('{a,%x\\\\}')",
        "SELECT 1 FROM tickets WHERE subject LIKE ANY (string_to_array('%x\\', ','))",
        "SELECT 1 FROM tickets t, (VALUES ('%x\\')) v(p) WHERE t.subject LIKE v.p",
        "SELECT 1 FROM tickets WHERE convert_to(subject, 'UTF8') LIKE '\\x25785c'",
        "SELECT 1 FROM tickets WHERE convert_to(subject, 'UTF8') LIKE '%x\\134'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @@ '$.k starts with \"s\" && $nope == 1'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? '$ ? ($\"a\" == 1)'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? '$.k.datetime ()'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? '$.k.d\\u0061tetime()'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? '$.k.datetime/**/()'",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? ANY ('{$nope}')",
        "SELECT 1 FROM tickets t, (SELECT '$nope'::jsonpath AS p) x WHERE to_jsonb(t.subject) @? x.p",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? jsonpath('$nope')",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? ('$no' || 'pe')::jsonpath",
        "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? ('{$nope}'::jsonpath[])[1]",
        ("SELECT 1 FROM tickets, jsonb_to_record('{\"p\": \"$nope\"}') AS x(p jsonpath) WHERE "
         "to_jsonb(subject) @? p"),
    };
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        ok(!refused(w, open[i]), "open: %s", open[i]);
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        ok(refused(w, closed[i]), "closed: %s", closed[i]);
}

/* A template found for one pattern is not used for one that ends otherwise. */
static void templates(struct world *w)
{
    static const char *const good[] = { "a%", "b", "", "c\\\\" };
    for (int i = 0; i < 4; i++) {
        struct buf b;
        buf_init(&b);
        buf_printf(&b, "SELECT 7 FROM tickets WHERE subject LIKE '%s' AND severity = 1", good[i]);
        buf_char(&b, 0);
        ok(!refused(w, buf_data(&b)), "pattern \"%s\"", good[i]);
        buf_release(&b);
    }
    ok(refused(w, "SELECT 7 FROM tickets WHERE subject LIKE 'd\\' AND severity = 1"), "no template");
}

/* Is Bind's value let through for the statement's one parameter? */
static bool bound(struct world *w, const char *sql, uint32_t declared, int format,
                  struct text value)
{
    struct wire_added added[VERDICT_MAX_ADDED];
    struct tenant_refusal r;
    struct buf b;
    char formats[2] = { 0, (char)format }, head[4] = { 0, 0, 0, (char)value.n };
    buf_init(&b);
    w->ask.extended = true;
    w->ask.types = &declared;
    w->ask.n_types = declared ? 1 : 0;
    struct verdict *v = world_judge(w, sql);
    buf_append(&b, head, 4);
    buf_append(&b, value.p, value.n);
    struct wire_bind m = { .n_formats = 1,
                           .formats = formats,
                           .n_params = 1,
                           .params = buf_data(&b),
                           .params_len = buf_len(&b) };
    ok(v->action == VERDICT_REWRITE, "judged: %s", sql);
    bool good = verdict_bind(v, &w->id, &m, &declared, w->ask.n_types, added, &r);
    if (!good)
        is_int(r.reason, REFUSAL_pattern, "the reason");
    verdict_unref(w->engine, v);
    buf_release(&b);
    w->ask.extended = false;
    w->ask.types = NULL;
    w->ask.n_types = 0;
    return good;
}

static void parameters(struct world *w)
{
    const char *like = "SELECT 1 FROM tickets WHERE subject LIKE $1",
               *part = "SELECT 1 FROM tickets WHERE subject LIKE '%' || $1",
               *any = "SELECT 1 FROM tickets WHERE subject LIKE ANY ($1)",
               *bang = "SELECT 1 FROM tickets WHERE subject LIKE $1 ESCAPE '!'",
               *path = "SELECT 1 FROM tickets WHERE to_jsonb(subject) @? $1",
               *held = "SELECT 1 FROM tickets t, (SELECT $1 AS p) x WHERE to_jsonb(subject) @? x.p";
    ok(bound(w, like, 0, 0, TEXT("%a\\_%")), "a pattern");
    ok(bound(w, like, 0, 1, TEXT("a\\\\")), "a backslash for itself");
    ok(!bound(w, like, 0, 0, TEXT("%a\\")), "a backslash at the end");
    ok(!bound(w, like, 0, 1, TEXT("%a\\\\\\")), "in binary form");
    ok(!bound(w, like, 0, 0, TEXT("\\x5c")), "as bytea");
    ok(bound(w, part, 0, 0, TEXT("a")), "a part");
    ok(!bound(w, part, 0, 0, TEXT("a\\\\")), "a part: what stands in front of it counts too");
    ok(bound(w, "SELECT 1 FROM tickets WHERE subject LIKE $1 || '%'", 0, 0, TEXT("a\\")), "closed");
    ok(bound(w, any, 0, 0, TEXT("{a,b}")) && !bound(w, any, 0, 0, TEXT("{a\\\\,b}")), "an array");
    ok(bound(w, bang, 0, 0, TEXT("a!%")) && !bound(w, bang, 0, 0, TEXT("a!")), "another escape");
    ok(bound(w, path, 0, 0, TEXT("$.a")) && !bound(w, path, 0, 0, TEXT("$a")), "a path");
    ok(bound(w, path, 0, 1, TEXT("\1$.a")) && !bound(w, path, 0, 1, TEXT("\1$a")), "in binary form");
    ok(!bound(w, held, 4072, 0, TEXT("$a")), "by its declared type");
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    texts(&w);
    templates(&w);
    parameters(&w);
    world_free(&w);
    return tap_done();
}
