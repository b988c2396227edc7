/* SPDX-License-Identifier: ISC */
/* The converted tree against libpg_query's own JSON, over statements that hold each kind of node;
 * equality; attacks. */
#include "tap.h"

#include "base/buf.h"
#include "tenant/guard.h"
#include "tenant/tree.h"
#include "tenant_tree_sql.h"

#include <pg_query.h>
#include <time.h>

#define COUNT(v) (sizeof(v) / sizeof(*(v)))

/* ---- the JSON of pg_query_parse, read side by side with our tree ---- */
struct match {
    const char *p;
    char why[300];
    int seen[N_COUNT];
    struct arena *arena;
};

static bool differ(struct match *m, const char *what, const char *name)
{
    if (!m->why[0])
        snprintf(m->why, sizeof(m->why), "%.40s %.100s near %.80s", what, name, m->p);
    return false;
}

static bool take(struct match *m, char c)
{
    if (*m->p != c)
        return false;
    m->p++;
    return true;
}

static struct text json_string(struct match *m)
{
    struct text t = { NULL, 0 };
    char *out = arena_alloc(m->arena, strlen(m->p) < 100000 ? strlen(m->p) : 100000);
    t.p = out;
    for (m->p++; *m->p && *m->p != '"'; m->p++) {
        char c = *m->p;
        if (c == '\\') {
            c = *++m->p;
            c = c == 'n'   ? '\n'
                : c == 't' ? '\t'
                : c == 'r' ? '\r'
                : c == 'b' ? '\b'
                : c == 'f' ? '\f'
                           : c;
            if (c == 'u') {
                c = (char)strtol(arena_text(m->arena, text_n(m->p + 1, 4)).p, NULL, 16);
                m->p += 4;
            }
        }
        out[t.n++] = c;
    }
    m->p++;
    return t;
}

static void skip_value(struct match *m)
{
    int depth = 0;
    do {
        if (*m->p == '"') {
            json_string(m);
            continue;
        }
        depth += (*m->p == '{' || *m->p == '[') - (*m->p == '}' || *m->p == ']');
        m->p++;
    } while (*m->p && (depth > 0 || !strchr(",}]", *m->p)));
}

static bool enum_value(struct text name, int64_t *v)
{
    static const struct {
        const char *name;
        int value;
    } values[] = {
#define ENUM_TYPE(type)
#define ENUM_VALUE(type, value) { #value, TREE_##value },
#define ENUM_END(type)
#include "tenant/tree_enums.def"
#undef ENUM_TYPE
#undef ENUM_VALUE
#undef ENUM_END
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        if (text_is(name, values[i].name)) {
            *v = values[i].value;
            return true;
        }
    }
    return false;
}

static enum node_role role_of(struct text name)
{
    for (int r = 1; r < R_COUNT; r++)
        if (text_is(name, node_role_name((enum node_role)r)))
            return (enum node_role)r;
    return R_none;
}

static bool match_node(struct match *m, const struct node *n);

static bool match_list(struct match *m, const struct node *n)
{
    m->p++;
    for (int i = 0; i < list_len(n); i++) {
        if (i > 0 && !take(m, ','))
            return differ(m, "list", "is shorter");
        if (!list_at(n, i) ? !(take(m, '{') && take(m, '}')) : !match_node(m, list_at(n, i)))
            return differ(m, "list", "element");
    }
    return take(m, ']') || differ(m, "list", "is longer");
}

/* A scalar of JSON against the field that should hold it; f NULL when it is absent. */
static bool match_scalar(struct match *m, const struct field *f, const char *name)
{
    int64_t v;
    if (*m->p == '"') {
        struct text s = json_string(m);
        if (f && f->type == F_STR)
            return text_eq(s, f->s) || differ(m, "text", name);
        if (!enum_value(s, &v))
            v = s.n == 1 ? (unsigned char)s.p[0] : -1;
    } else if (text_starts(text_of(m->p), TEXT("true"))) {
        m->p += 4;
        v = 1;
    } else {
        char *end;
        v = strtoll(m->p, &end, 10);
        m->p = end;
    }
    return (f ? f->type == F_INT && f->i == v : v == 0) || differ(m, "scalar", name);
}

static bool match_member(struct match *m, const struct node *n, struct text key, uint32_t *matched)
{
    const char *name = arena_text(m->arena, key).p;
    enum node_role r = role_of(key);
    const struct field *f = node_field(n, r);
    if (text_is(key, "location"))
        return strtol(m->p, NULL, 10) == n->loc ? ((void)skip_value(m), true)
                                                : differ(m, "location of", node_kind_name(n->kind));
    if (node_is(n, N_A_Const) && !text_is(key, "isnull")) /* the value's kind is the key there */
        f = node_field(n, R_val);
    if (node_is(n, N_MultiAssignRef) && !f && node_int(n, R_colno) > 1) {
        skip_value(m);
        return true;
    }
    *matched += f != NULL;
    if (*m->p == '[')
        return (f && f->type == F_NODE && match_list(m, f->node)) || differ(m, "list", name);
    if (*m->p == '{')
        return (f && f->type == F_NODE && match_node(m, f->node)) || differ(m, "node", name);
    return match_scalar(m, f, name);
}

/* {"Kind":{...}} or, where the field has one type only, {...} */
static bool match_node(struct match *m, const struct node *n)
{
    const char *kind = node_kind_name(n->kind);
    size_t len = strlen(kind);
    bool wrapped = m->p[0] == '{' && m->p[1] == '"' && strncmp(m->p + 2, kind, len) == 0 &&
                   m->p[2 + len] == '"';
    uint32_t matched = 0;
    m->seen[n->kind]++;
    if (n->kind == N_List) { /* {"List":{"items":[...]}} */
        if (!wrapped || strncmp(m->p, "{\"List\":{\"items\":[", 18) != 0)
            return differ(m, "list", "in a list");
        m->p += 17;
        return match_list(m, n) && take(m, '}') && take(m, '}');
    }
    if (node_kind_opaque(n->kind)) {
        skip_value(m);
        return n->kind != N_Unknown;
    }
    m->p += wrapped ? len + 4 : 0;
    if (!take(m, '{'))
        return differ(m, "node", kind);
    while (*m->p == '"') {
        struct text key = json_string(m);
        if (!take(m, ':') || !match_member(m, n, key, &matched))
            return differ(m, "field of", kind);
        take(m, ',');
    }
    if (node_is(n, N_Integer) && node_int(n, R_ival) < 0) /* that JSON leaves it out */
        matched++;
    if (matched != n->n_fields)
        return differ(m, "number of fields of", kind);
    return take(m, '}') && (!wrapped || take(m, '}'));
}

/* Does the whole answer match? */
static bool match_tree(struct match *m, const char *json, const struct tree *t)
{
    m->p = strchr(json, '[') + 1;
    m->why[0] = 0;
    for (int i = 0; i < t->n_stmts; i++) {
        if (i > 0 && !take(m, ','))
            return differ(m, "statement", "missing");
        m->p += strlen("{\"stmt\":");
        if (!match_node(m, t->stmts[i].stmt))
            return differ(m, "statement", "differs");
        while (*m->p && *m->p != '}')
            m->p++;
        m->p++;
    }
    return take(m, ']') || differ(m, "statements", "left");
}

static bool check_statement(struct match *m, struct text sql, bool report)
{
    struct tree t;
    struct err e = { 0 };
    struct arena a;
    arena_init(&a, 0);
    m->arena = &a;
    PgQueryParseResult r = pg_query_parse(sql.p);
    bool parsed = tree_parse(NULL, sql, &a, &t, &e), fine;
    if (parsed && !r.error)
        fine = match_tree(m, r.parse_tree, &t);
    else
        fine = parsed == !r.error || differ(m, "parse", e.msg);
    if (report) {
        ok(fine && parsed, "%.70s", sql.p);
        if (!fine || !parsed)
            diag("%s%s", m->why, e.msg);
    } else if (!fine) {
        diag("%.200s: %s", sql.p, m->why);
    }
    pg_query_free_parse_result(r);
    arena_release(&a);
    return fine;
}

static void test_all_nodes(void)
{
    struct match m = { 0 };
    int missing = 0;
    for (size_t i = 0; i < COUNT(statements); i++)
        check_statement(&m, text_of(statements[i]), true);
    for (size_t i = 0; i < COUNT(refused_statements); i++)
        check_statement(&m, text_of(refused_statements[i]), true);
    for (int k = 1; k < N_COUNT; k++) {
        if (m.seen[k] == 0 && !node_kind_opaque((enum node_kind)k)) {
            diag("no statement has %s", node_kind_name((enum node_kind)k));
            missing++;
        }
    }
    is_int(missing, 0, "each converted kind occurs");
    is_int(m.seen[N_Unknown], 0, "no unknown node");
}

/* ---- dumps and places ---- */
static struct node *parse(struct arena *a, const char *sql)
{
    struct tree t;
    struct err e = { 0 };
    if (!tree_parse(NULL, text_of(sql), a, &t, &e) || t.n_stmts != 1) {
        diag("%s: %s", sql, e.msg);
        return node_new(a, N_Unknown);
    }
    return t.stmts[0].stmt;
}

static void is_dump(const char *sql, const char *want)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b);
    tree_dump(parse(&a, sql), &b);
    is_text(buf_text(&b), want, "dump of %s", sql);
    buf_release(&b);
    arena_release(&a);
}

static void test_dump(void)
{
    is_dump("TABLE t", "(SelectStmt targetList=[(ResTarget val=(ColumnRef fields=[(A_Star)]))] "
                       "fromClause=[(RangeVar relname=\"t\" inh=1 relpersistence=112)])");
    is_dump(
        "SELECT DISTINCT ''",
        "(SelectStmt distinctClause=[NULL] targetList=[(ResTarget val=(A_Const val=(String sval=\"\")))])");
    is_dump("SELECT NULL, 0, false",
            "(SelectStmt targetList=[(ResTarget val=(A_Const isnull=1)) (ResTarget val=(A_Const "
            "val=(Integer))) (ResTarget val=(A_Const val=(Boolean)))])");
    is_dump(
        "SELECT \"a\"\"\\b\" ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES",
        "(SelectStmt targetList=[(ResTarget val=(ColumnRef fields=[(String sval=\"a\\\"\\\\b\")]))] "
        "sortClause=[(SortBy node=(A_Const val=(Integer ival=1)))] limitCount=(A_Const val=(Integer ival=2)) limitOption=2)");
    is_dump(
        "UPDATE t SET (a, b) = (1, $2)",
        "(UpdateStmt relation=(RangeVar relname=\"t\" inh=1 relpersistence=112) targetList=[(ResTarget name=\"a\" "
        "val=(MultiAssignRef colno=1 ncolumns=2 source=(RowExpr args=[(A_Const val=(Integer ival=1)) (ParamRef "
        "number=2)] row_format=2))) (ResTarget name=\"b\" val=(MultiAssignRef colno=2 ncolumns=2))])");
    is_dump("DISCARD ALL", "(DiscardStmt)");
    is_dump("VACUUM", "(VacuumStmt is_vacuumcmd=1)");
    is_dump("CLUSTER", "(ClusterStmt)");
}

static void test_places(void)
{
    struct arena a;
    struct tree t;
    struct err e = { 0 };
    arena_init(&a, 0);
    ok(tree_parse(NULL, TEXT(" /* x */ ; SELECT a.b FROM s.t; ; DELETE FROM u --x\n"), &a, &t, &e),
       "two statements");
    is_int(t.n_stmts, 2, "empty ones are none");
    is_int(t.stmts[0].loc, 10, "first starts behind the semicolon");
    is_int(t.stmts[0].len, 20, "length up to the semicolon");
    is_int(t.stmts[1].loc, 33, "second");
    is_int(t.stmts[1].len, 19, "length up to the end of the text");
    struct node *from = node_list(t.stmts[0].stmt, R_fromClause);
    is_int(list_at(from, 0)->loc, 27, "a relation's place is its first name's");
    is_text(node_str(list_at(from, 0), R_schemaname), "s", "its schema");
    is_int(t.stmts[0].stmt->loc, -1, "a statement node has none");
    ok(!tree_parse(NULL, TEXT("SELECT 'é' FROM FROM"), &a, &t, &e), "syntax error");
    is_int(t.error_pos, 17, "position in characters");
    is_int(t.n_stmts, 0, "no statements");
    is_str(e.msg, "syntax error at or near \"FROM\"", "its message");
    is_str(e.sqlstate, "42601", "its state");
    ok(tree_parse(NULL, TEXT(""), &a, &t, &e) && t.n_stmts == 0, "empty text");
    is_int(tree_major(), 15, "grammar of version 15");
    arena_release(&a);
}

/* ---- equality ---- */
static const char *const same[][2] = {
    { "SELECT  a ,b FROM t", "select A,B/* x */from T -- y" },
    { "SELECT (a) FROM t WHERE ((b) = (1))", "SELECT a FROM t WHERE b = 1" },
    { "SELECT a AND b AND c", "SELECT (a AND b) AND c" },
    { "SELECT 'a''b'", "SELECT E'a\\'b'" },
    { "SELECT a FROM t WHERE b != 1", "SELECT a FROM t WHERE b <> 1" },
    { "SELECT U&\"\\0061\"", "SELECT a" },
    { "SELECT a::int", "SELECT CAST(a AS integer)" },
    { "TABLE t", "SELECT * FROM t" },
};

static const char *const different[][2] = {
    { "SELECT (a OR b) AND c", "SELECT a OR b AND c" },
    { "SELECT a FROM t WHERE x AND (y OR true)", "SELECT a FROM t WHERE x AND y OR true" },
    { "SELECT a FROM t WHERE (a OR b) IS TRUE", "SELECT a FROM t WHERE a OR b IS TRUE" },
    { "SELECT a", "SELECT b" },
    { "SELECT a", "SELECT \"A\"" },
    { "SELECT 1", "SELECT 2" },
    { "SELECT 0", "SELECT NULL" },
    { "SELECT 0", "SELECT false" },
    { "SELECT 1", "SELECT 1.0" },
    { "SELECT ''", "SELECT NULL" },
    { "SELECT 'a'", "SELECT a" },
    { "SELECT $1", "SELECT $2" },
    { "SELECT a FROM t", "SELECT a FROM s.t" },
    { "SELECT a FROM t", "SELECT a FROM ONLY t" },
    { "SELECT a FROM t", "SELECT a FROM t x" },
    { "SELECT a FROM t, u", "SELECT a FROM u, t" },
    { "SELECT a FROM t JOIN u ON x", "SELECT a FROM t LEFT JOIN u ON x" },
    { "SELECT a FROM t LEFT JOIN u ON x", "SELECT a FROM t RIGHT JOIN u ON x" },
    { "SELECT a FROM t LEFT JOIN u ON x", "SELECT a FROM t LEFT JOIN u ON y" },
    { "SELECT a FROM t JOIN u USING (x)", "SELECT a FROM t NATURAL JOIN u" },
    { "SELECT a FROM t", "SELECT DISTINCT a FROM t" },
    { "SELECT DISTINCT a FROM t", "SELECT DISTINCT ON (a) a FROM t" },
    { "SELECT a UNION SELECT b", "SELECT a UNION ALL SELECT b" },
    { "SELECT a UNION SELECT b", "SELECT a EXCEPT SELECT b" },
    { "SELECT a UNION SELECT b", "SELECT a INTERSECT SELECT b" },
    { "(SELECT a UNION SELECT b) UNION SELECT c", "SELECT a UNION (SELECT b UNION SELECT c)" },
    { "SELECT a LIMIT 1", "SELECT a OFFSET 1" },
    { "SELECT a ORDER BY a FETCH FIRST 1 ROW ONLY",
      "SELECT a ORDER BY a FETCH FIRST 1 ROW WITH TIES" },
    { "SELECT a ORDER BY a", "SELECT a ORDER BY a DESC" },
    { "SELECT a ORDER BY a", "SELECT a ORDER BY a NULLS FIRST" },
    { "SELECT a ORDER BY a", "SELECT a ORDER BY a USING <" },
    { "SELECT f(a)", "SELECT f(DISTINCT a)" },
    { "SELECT f(a)", "SELECT f(VARIADIC a)" },
    { "SELECT f(a)", "SELECT f(a) OVER ()" },
    { "SELECT f(a)", "SELECT f(a) FILTER (WHERE b)" },
    { "SELECT f(*)", "SELECT f()" },
    { "SELECT f(x => a)", "SELECT f(y => a)" },
    { "SELECT sum(a) OVER (ROWS 1 PRECEDING)", "SELECT sum(a) OVER (RANGE 1 PRECEDING)" },
    { "SELECT a = b", "SELECT a OPERATOR(pg_catalog.=) b" },
    { "SELECT a = ANY (b)", "SELECT a = ALL (b)" },
    { "SELECT a IN (b)", "SELECT a NOT IN (b)" },
    { "SELECT a LIKE b", "SELECT a ILIKE b" },
    { "SELECT a BETWEEN b AND c", "SELECT a NOT BETWEEN b AND c" },
    { "SELECT a IS NULL", "SELECT a IS NOT NULL" },
    { "SELECT a IS TRUE", "SELECT a IS NOT TRUE" },
    { "SELECT EXISTS (SELECT 1)", "SELECT (SELECT 1)" },
    { "SELECT a IN (SELECT 1)", "SELECT a = ALL (SELECT 1)" },
    { "SELECT a::int", "SELECT a::int[]" },
    { "SELECT a::varchar(3)", "SELECT a::varchar(4)" },
    { "SELECT a[1]", "SELECT a[1:1]" },
    { "SELECT a COLLATE \"C\"", "SELECT a COLLATE \"D\"" },
    { "SELECT current_user", "SELECT session_user" },
    { "SELECT greatest(a)", "SELECT least(a)" },
    { "SELECT a FOR UPDATE", "SELECT a FOR SHARE" },
    { "SELECT a FOR UPDATE", "SELECT a FOR UPDATE NOWAIT" },
    { "WITH c AS (SELECT 1) SELECT 1", "WITH RECURSIVE c AS (SELECT 1) SELECT 1" },
    { "WITH c AS (SELECT 1) SELECT 1", "WITH c AS MATERIALIZED (SELECT 1) SELECT 1" },
    { "SELECT 1 FROM (SELECT 1) x", "SELECT 1 FROM LATERAL (SELECT 1) x" },
    { "SELECT a GROUP BY a, b", "SELECT a GROUP BY ROLLUP (a, b)" },
    { "SELECT a GROUP BY ROLLUP (a)", "SELECT a GROUP BY CUBE (a)" },
    { "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (DEFAULT)" },
    { "INSERT INTO t VALUES (1)", "INSERT INTO t (a) VALUES (1)" },
    { "INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES (1, 2)" },
    { "INSERT INTO t VALUES (1)", "INSERT INTO t OVERRIDING USER VALUE VALUES (1)" },
    { "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING" },
    { "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING",
      "INSERT INTO t VALUES (1) ON CONFLICT (b) DO NOTHING" },
    { "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1",
      "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE c" },
    { "UPDATE t SET a = 1", "UPDATE t SET b = 1" },
    { "UPDATE t SET a = 1", "UPDATE t SET a = 1 WHERE b" },
    { "UPDATE t SET (a, b) = (1, 2)", "UPDATE t SET (a, b) = (1, 3)" },
    { "UPDATE t SET (a, b) = (1, 2)", "UPDATE t SET (b, a) = (1, 2)" },
    { "DELETE FROM t USING u", "DELETE FROM t" },
    { "DELETE FROM t WHERE CURRENT OF a", "DELETE FROM t WHERE CURRENT OF b" },
    { "BEGIN", "COMMIT" },
    { "BEGIN", "BEGIN READ ONLY" },
    { "SET a = 1", "SET LOCAL a = 1" },
    { "SET a = 1", "RESET a" },
    { "FETCH 1 FROM c", "FETCH 2 FROM c" },
    { "FETCH 1 FROM c", "MOVE 1 FROM c" },
    { "DECLARE c CURSOR FOR SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1" },
    { "COPY t TO STDOUT", "COPY t FROM STDIN" },
    { "SELECT 1 FROM t TABLESAMPLE system (1)", "SELECT 1 FROM t TABLESAMPLE system (2)" },
    { "CREATE INDEX ON t (a)", "CREATE INDEX ON t (a)" }, /* opaque */
};

static void test_equal(void)
{
    for (size_t i = 0; i < COUNT(same); i++) {
        struct arena a;
        arena_init(&a, 0);
        ok(tree_equal(parse(&a, same[i][0]), parse(&a, same[i][1])), "equal: %s", same[i][0]);
        arena_release(&a);
    }
    for (size_t i = 0; i < COUNT(different); i++) {
        struct arena a;
        arena_init(&a, 0);
        struct node *x = parse(&a, different[i][0]), *y = parse(&a, different[i][1]);
        ok(!tree_equal(x, y) && !tree_equal(y, x), "different: %s, %s", different[i][0],
           different[i][1]);
        arena_release(&a);
    }
    for (size_t i = 0; i < COUNT(statements); i++) {
        struct arena a;
        struct tree t;
        arena_init(&a, 0);
        bool fine = tree_parse(NULL, text_of(statements[i]), &a, &t, NULL);
        for (int k = 0; fine && k < t.n_stmts; k++) {
            struct node *copy = node_copy(&a, t.stmts[k].stmt);
            fine = tree_equal(copy, t.stmts[k].stmt) && tree_equal(t.stmts[k].stmt, copy);
        }
        if (!fine)
            ok(false, "a copy is equal: %s", statements[i]);
        arena_release(&a);
    }
}

/* Changes the k-th place of the tree (counted down in *k) in some way. */
static bool spoil(struct arena *a, struct node *n, int *k)
{
    if (!n)
        return false;
    for (uint32_t i = 0; i < n->n_fields; i++) {
        struct field *f = &n->fields[i];
        if ((*k)-- == 0) { /* a field less */
            n->n_fields--;
            memmove(f, f + 1, sizeof(*f) * (n->n_fields - i));
            return true;
        }
        if ((*k)-- == 0) { /* another value */
            if (f->type == F_INT)
                f->i++;
            else if (f->type == F_STR)
                f->s = arena_printf(a, "%.*sx", TEXT_ARG(f->s));
            else
                f->node = node_is(f->node, N_Integer) ? node_string(a, TEXT("1"))
                                                      : node_new(a, N_Integer);
            return true;
        }
        if (f->type == F_NODE && spoil(a, f->node, k))
            return true;
    }
    if ((*k)-- == 0) { /* a field more */
        if (n->kind == N_List)
            list_append(a, n, node_new(a, N_A_Star));
        else if (!node_has(n, R_gid))
            node_add_int(a, n, R_gid, 1);
        return true;
    }
    return false;
}

/* tree_same says what tree_equal of the parsed text says. */
static void test_same(void)
{
    int wrong = 0, compared = 0;
    for (size_t i = 0; i < COUNT(statements); i++) {
        struct arena a;
        struct tree t, other;
        struct text sql = text_of(statements[i]);
        arena_init(&a, 0);
        if (!tree_parse(NULL, sql, &a, &t, NULL))
            continue;
        bool opaque = t.n_stmts == 1 && !tree_equal(t.stmts[0].stmt, t.stmts[0].stmt);
        wrong += t.n_stmts == 1 && tree_same(NULL, sql, &t) == opaque;
        size_t next = (i + 1) % COUNT(statements);
        if (t.n_stmts == 1 && tree_parse(NULL, text_of(statements[next]), &a, &other, NULL))
            wrong += other.n_stmts == 1 && tree_same(NULL, sql, &other) !=
                                               tree_equal(t.stmts[0].stmt, other.stmts[0].stmt);
        for (int k = 0; t.n_stmts == 1 && k < 400; k++) {
            int left = k;
            struct tree_stmt stmt = { node_copy(&a, t.stmts[0].stmt), 0, 0 };
            struct tree edited = { .stmts = &stmt, .n_stmts = 1 };
            if (!spoil(&a, stmt.stmt, &left))
                break;
            compared++;
            bool equal = tree_equal(t.stmts[0].stmt, stmt.stmt);
            if (tree_same(NULL, sql, &edited) != equal && wrong++ < 5)
                diag("%s: place %d, %d", statements[i], k, equal);
        }
        arena_release(&a);
    }
    ok(wrong == 0 && compared > 5000, "tree_same is tree_equal: %d trees", compared);
    for (size_t i = 0; i < COUNT(same); i++) {
        struct arena a;
        struct tree t;
        arena_init(&a, 0);
        ok(tree_parse(NULL, text_of(same[i][0]), &a, &t, NULL) &&
               tree_same(NULL, text_of(same[i][1]), &t),
           "the same: %s", same[i][1]);
        arena_release(&a);
    }
    struct tree none = { .n_stmts = 0 };
    ok(tree_same(NULL, TEXT(" -- nothing"), &none) && !tree_same(NULL, TEXT("SELECT 1"), &none) &&
           !tree_same(NULL, TEXT("SELECT FROM FROM"), &none),
       "numbers of statements");
}

static void test_building(void)
{
    struct arena a;
    arena_init(&a, 0);
    struct node *s = parse(&a, "SELECT a FROM t ORDER BY a LIMIT 1");
    struct node *want = parse(&a, "SELECT a, b FROM t x WHERE a = 'v' ORDER BY a");
    struct node *cond = node_new(&a, N_A_Expr), *name = list_new(&a),
                *col = node_new(&a, N_ColumnRef);
    struct node *names = list_new(&a), *value = node_new(&a, N_A_Const),
                *item = node_new(&a, N_ResTarget);
    struct node *alias = node_new(&a, N_Alias), *b = node_new(&a, N_ColumnRef),
                *b_names = list_new(&a);
    list_append(&a, name, node_string(&a, TEXT("=")));
    list_append(&a, names, node_string(&a, TEXT("a")));
    node_add_node(&a, col, R_fields, names);
    node_add_node(&a, value, R_val, node_string(&a, TEXT("v")));
    node_add_int(&a, cond, R_kind, TREE_AEXPR_OP);
    node_add_node(&a, cond, R_name, name);
    node_add_node(&a, cond, R_lexpr, col);
    node_add_node(&a, cond, R_rexpr, value);
    ok(!tree_equal(s, want), "not yet");
    node_set_node(&a, s, R_whereClause, cond);
    node_set_node(&a, s, R_limitCount, NULL);
    node_set_int(&a, s, R_limitOption, TREE_LIMIT_OPTION_DEFAULT);
    list_append(&a, b_names, node_string(&a, TEXT("b")));
    node_add_node(&a, b, R_fields, b_names);
    node_add_node(&a, item, R_val, b);
    list_insert(&a, node_list(s, R_targetList), 1, item);
    node_add_str(&a, alias, R_aliasname, TEXT("x"));
    node_add_node(&a, list_at(node_list(s, R_fromClause), 0), R_alias, alias);
    ok(tree_equal(s, want) && tree_equal(want, s), "an edited tree equals the parsed one");
    node_set_str(&a, alias, R_aliasname, TEXT("y"));
    ok(!tree_equal(s, want), "and no more");
    node_set_str(&a, alias, R_aliasname, TEXT("x"));
    list_set(node_list(s, R_targetList), 1,
             node_copy(&a, list_at(node_list(want, R_targetList), 1)));
    ok(tree_equal(s, want), "a copied element is equal");
    arena_release(&a);
}

/* ---- attacks ---- */
static void attack(const char *head, const char *left, const char *middle, const char *right,
                   size_t bytes, const char *state)
{
    struct arena a;
    struct buf b;
    struct tree t;
    struct err e = { 0 };
    size_t n = bytes / (strlen(left) + strlen(right));
    arena_init(&a, 1 << 16);
    buf_init(&b);
    buf_text_append(&b, text_of(head));
    for (size_t i = 0; i < n; i++)
        buf_text_append(&b, text_of(left));
    buf_text_append(&b, text_of(middle));
    for (size_t i = 0; i < n; i++)
        buf_text_append(&b, text_of(right));
    buf_char(&b, 0);
    bool fine = tree_parse(NULL, text_n(b.p, b.n - 1), &a, &t, &e);
    is_str(fine ? "" : e.sqlstate, state, "%zu bytes of %s...%s: %s", bytes, left, right, e.msg);
    if (fine)
        ok(tree_equal(t.stmts[0].stmt, node_copy(&a, t.stmts[0].stmt)), "its copy is equal");
    buf_release(&b);
    arena_release(&a);
}

static void test_attacks(void)
{
    static const size_t sizes[] = { 16 * 1024, 128 * 1024, 900 * 1024 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        attack("SELECT 1", "+1", "", "", sizes[i], "54001");
        attack("SELECT a", "->'x'", "", "", sizes[i], "54001");
        attack("SELECT a", "::int", "", "", sizes[i], "54001");
        attack("SELECT 1", " UNION SELECT 1", "", "", sizes[i], i == 0 ? "" : "54001");
        attack("SELECT 1 FROM a", " JOIN b ON c", "", "", sizes[i], i == 0 ? "" : "54001");
        attack("SELECT 1 FROM a", ",b", "", "", sizes[i], "");
        attack("SELECT 1 WHERE a", " AND b", "", "", sizes[i], "");
        attack("SELECT 1 WHERE a", " OR b", "", "", sizes[i], "");
        attack("SELECT 1 WHERE a", " OR b AND c", "", "", sizes[i], "");
        attack("SELECT 1 WHERE a IN (1", ",2", ")", "", sizes[i], "");
        attack("VALUES (1)", ",(1)", "", "", sizes[i], "");
        attack("UPDATE t SET (a", ",a", ") = (SELECT f(1, 2, 3))", "", sizes[i], "");
    }
    attack("SELECT ", "NOT ", "a", "", 3000, "");
    attack("SELECT ", "NOT ", "a", "", 9000, "54001");
    attack("SELECT ", "NOT ", "a", "", 900000, "42601");
    attack("SELECT ", "(", "1", ")", 8000, "");
    attack("SELECT ", "(", "1", ")", 900000, "42601");
    attack("SELECT ", "f(", "1", ")", 2500, "");
    attack("SELECT ", "f(", "1", ")", 12000, "54001");
    attack("SELECT ", "(SELECT ", "1", ")", 5000, "54001");
    attack("SELECT ", "(SELECT ", "1", ")", 900000, "42601");
    attack("SELECT ", "CASE WHEN a THEN ", "1", " END", 8000, "");
    attack("SELECT ", "CASE WHEN a THEN ", "1", " END", 900000, "42601");
    attack("SELECT ", "ARRAY[", "1", "]", 3000, "");
    attack("SELECT a", "[1]", "", "", 900000, "");
    attack("SELECT a", ".b", "", "", 900000, "");
    attack("", "WITH c AS (UPDATE t SET (a,b,c,d,e,f) = (", "SELECT 1", "))SELECT 1", 2000, "");
}

/* n levels, each with a source below and a small one in the second column's subscript */
static void test_shared_sources(void)
{
    attack("",
           "WITH c AS (UPDATE t SET (a, b[(WITH d AS (UPDATE u SET (e, f) = (g)) SELECT 1)]) = (",
           "SELECT 1", ")) SELECT 1", 4000, "");
}

static void test_depth_option(void)
{
    struct arena a;
    struct tree t;
    struct err e = { 0 };
    struct tree_parser p = { .max_depth = 6 };
    arena_init(&a, 0);
    ok(tree_parse(&p, TEXT("SELECT 1"), &a, &t, &e), "depth 5 within 6");
    ok(!tree_parse(&p, TEXT("SELECT f(g(1))"), &a, &t, &e), "too deep: %s", e.msg);
    arena_release(&a);
}

static void measure(const char *sql)
{
    enum { ROUNDS = 5000 };
    struct timespec from, to;
    struct arena a;
    struct tree t;
    arena_init(&a, 16384);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < ROUNDS; i++) {
        struct guard_settings s = { true, true };
        struct text text = text_of(sql);
        if (guard_check(text, &s, NULL, NULL, NULL) ||
            !tree_parse(NULL, guard_blank(&a, text), &a, &t, NULL))
            break;
        arena_clear(&a);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    diag("guard + blank + parse %.0f ns: %s", ns / ROUNDS, sql);
    arena_release(&a);
}

int main(int argc, char **argv)
{
    struct match m = { 0 };
    if (argc > 1) { /* statements of a file, separated by lines with only a semicolon or by ";\n" */
        char *all = NULL;
        size_t cap = 0;
        int n = 0, bad = 0;
        FILE *f = fopen(argv[1], "r");
        while (f && getdelim(&all, &cap, ';', f) > 0) {
            n++;
            bad += !check_statement(&m, text_of(all), false);
        }
        free(all);
        if (f)
            fclose(f);
        is_int(bad, 0, "%d statements of %s", n, argv[1]);
        return tap_done();
    }
    test_all_nodes();
    test_dump();
    test_places();
    test_equal();
    test_same();
    test_building();
    test_depth_option();
    test_attacks();
    test_shared_sources();
    measure("UPDATE pgbench_accounts SET abalance = abalance + 42 WHERE aid = 1234567;");
    measure("SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;");
    measure("UPDATE pgbench_tellers SET tbalance = tbalance + 42 WHERE tid = 12;");
    measure(
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);");
    measure("BEGIN");
    return tap_done();
}
