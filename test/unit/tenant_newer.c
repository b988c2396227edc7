/* SPDX-License-Identifier: ISC */
/* Constructs of newer versions: each is refused by the parser, and named; others are not. */
#include "tap.h"

#include "tenant/newer.h"
#include "tenant/tree.h"

/* What newer_syntax says of a text that the parser refuses; -1: the parser takes it. */
static int since(const char *sql, const char **what)
{
    struct arena a;
    struct tree t;
    struct err e = { .msg = "" };
    int v = -1;

    *what = "";
    arena_init(&a, 0);
    if (!tree_parse(NULL, text_of(sql), &a, &t, &e))
        v = newer_syntax(text_of(sql), text_of(e.msg), what);
    arena_release(&a);
    return v;
}

int main(void)
{
    static const struct {
        const char *sql;
        int since;
    } cases[] = {
        { "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$.a')) t", 17 },
        { "SELECT json_value(js, '$.a' RETURNING int) FROM t", 17 },
        { "SELECT JSON_QUERY(js, '$.a' WITH WRAPPER) FROM t", 17 },
        { "SELECT JSON_ARRAY(1, 2 NULL ON NULL)", 16 },
        { "SELECT JSON_OBJECT('a': 1)", 16 },
        { "SELECT 1 WHERE '{}' IS JSON", 16 },
        { "SELECT 1 WHERE '{}' IS NOT /* x */ JSON OBJECT", 16 },
        { "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE RETURNING t.*", 17 },
        { "MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED BY SOURCE THEN DELETE", 17 },
        { "UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a", 18 },
        { "SELECT now() AT LOCAL", 17 },
        { "SELECT * FROM (SELECT 1)", 16 },
        { "SELECT * FROM (VALUES (1))", 16 },
        { "SELECT 0x1F", 16 },
        { "SELECT 1_000", 16 },
        { "SELECT 0b11", 16 },
        { "SELECT xmlserialize(content x AS text INDENT)", 16 },
        { "SELEC 1", 0 },
        { "SELECT 1 FROM", 0 },
        { "SELECT 12ab", 0 },
        { "SELECT 'JSON_TABLE' FRO t x y", 0 },
        { "SELECT \"json_table\" FROM FROM", 0 },
        { "SELECT 1 -- JSON_TABLE\n FROM FROM", 0 },
        { "SELECT 'unterminated", 0 },
        { "INSERT INTO merge VALUES (1)) RETURNING 1", 0 },
        { "SELECT 1", -1 },
    };
    const char *what;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(since(cases[i].sql, &what), cases[i].since, "%s", cases[i].sql);
        ok((what[0] != '\0') == (cases[i].since > 0), "  says what");
    }
    return tap_done();
}
