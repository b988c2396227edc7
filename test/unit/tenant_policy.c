/* SPDX-License-Identifier: ISC */
/* The policy over a catalog built by hand: relations, columns, claims, functions, operators, types,
 * settings, start-up. */
#include "tap.h"

#include "base/buf.h"
#include "tenant/policy.h"

#include <stdarg.h>

enum {
    T_INT4 = 23,
    T_TEXT = 25,
    T_VARCHAR = 1043,
    T_UUID = 2950,
    T_NUMERIC = 1700,
    T_FLOAT8 = 701,
    T_FLOAT8_ARRAY = 1022,
    T_DOMAIN = 20001,
    T_BADDOMAIN,
    T_ENUM,
    T_ROWTYPE,
    T_FREE,
    T_VECTOR,
    T_BASE,
    T_RANGE,
    T_CAST,
    T_TABLE_ARRAY
};

struct made {
    struct catalog *c;
    struct setup s;
    struct database_conf db;
    struct tenant_rule rules[40];
    struct tenant_function functions[20];
    struct tenant_operator operators[10];
    struct text columns[4];
};

/* ---- building ---- */

static struct cat_relation *relation(struct catalog *c, uint32_t oid, const char *schema,
                                     const char *name, int kind, ...)
{
    struct cat_relation *r = ARENA_NEW(&c->arena, struct cat_relation);
    va_list ap;
    const char *col;

    r->oid = oid;
    r->schema = text_of(schema);
    r->name = text_of(name);
    r->kind = (char)kind;
    r->columns = ARENA_ARRAY(&c->arena, struct cat_column, 10);
    va_start(ap, kind);
    while ((col = va_arg(ap, const char *)) != NULL) {
        struct cat_column *k = &r->columns[r->n_columns];

        k->name = text_of(col);
        k->type = va_arg(ap, unsigned);
        k->base_type = k->type == T_DOMAIN ? T_TEXT : k->type;
        k->attnum = ++r->n_columns;
        k->collation_deterministic = true;
    }
    va_end(ap);
    c->relations[c->n_relations++] = r;
    return r;
}

static void child_of(struct catalog *c, struct cat_relation *r, uint32_t parent)
{
    uint32_t *p = ARENA_ARRAY(&c->arena, uint32_t, r->n_parents + 1);

    for (int i = 0; i < r->n_parents; i++)
        p[i] = r->parents[i];
    p[r->n_parents++] = parent;
    r->parents = p;
}

static struct cat_type *type(struct catalog *c, uint32_t oid, const char *schema, const char *name,
                             char typtype)
{
    struct cat_type *t = ARENA_NEW(&c->arena, struct cat_type);

    *t = (struct cat_type){
        .oid = oid, .schema = text_of(schema), .name = text_of(name), .typtype = typtype
    };
    c->types[c->n_types++] = t;
    return t;
}

static struct cat_function *function(struct catalog *c, uint32_t oid, const char *schema,
                                     const char *name, int n_args, ...)
{
    struct cat_function *f = ARENA_NEW(&c->arena, struct cat_function);
    va_list ap;

    *f = (struct cat_function){ .oid = oid,
                                .schema = text_of(schema),
                                .name = text_of(name),
                                .n_args = n_args,
                                .kind = 'f',
                                .language = TEXT("plpgsql"),
                                .cost = 100 };
    f->args = ARENA_ARRAY(&c->arena, uint32_t, n_args + 1);
    va_start(ap, n_args);
    for (int i = 0; i < n_args; i++)
        f->args[i] = va_arg(ap, unsigned);
    va_end(ap);
    c->functions[c->n_functions++] = f;
    return f;
}

static void operator(struct catalog *c, uint32_t oid, const char *schema, const char *name,
                     uint32_t func)
{
    struct cat_operator *o = ARENA_NEW(&c->arena, struct cat_operator);

    *o = (struct cat_operator){ .oid = oid,
                                .left = T_TEXT,
                                .right = T_TEXT,
                                .result = 16,
                                .func = func,
                                .schema = text_of(schema),
                                .name = text_of(name) };
    c->operators[c->n_operators++] = o;
}

static void rule(struct made *m, const char *schema, const char *name, enum rule_class cls,
                 const char *column)
{
    struct tenant_rule *r = &m->rules[m->s.n_rules++];

    *r = (struct tenant_rule){ .any_schema = strcmp(schema, "*") == 0,
                               .relation = text_of(name),
                               .cls = cls,
                               .column = text_of(column),
                               .file = "t.ini",
                               .line = m->s.n_rules };
    if (!r->any_schema)
        r->schema = text_of(schema);
}

static void allow_function(struct made *m, const char *schema, const char *name, const char *args,
                           bool allow)
{
    m->functions[m->s.n_functions++] =
        (struct tenant_function){ text_of(schema), text_of(name), text_of(args), args == NULL,
                                  allow };
}

static void make_types(struct catalog *c)
{
    type(c, T_INT4, "pg_catalog", "int4", 'b');
    type(c, T_TEXT, "pg_catalog", "text", 'b');
    type(c, T_VARCHAR, "pg_catalog", "varchar", 'b');
    type(c, T_UUID, "pg_catalog", "uuid", 'b');
    type(c, T_NUMERIC, "pg_catalog", "numeric", 'b');
    type(c, T_FLOAT8, "pg_catalog", "float8", 'b');
    type(c, T_FLOAT8_ARRAY, "pg_catalog", "_float8", 'b')->elem = T_FLOAT8;
    type(c, 2205, "pg_catalog", "regclass", 'b');
    type(c, 2249, "pg_catalog", "record", 'p');
    type(c, T_DOMAIN, "public", "tenant_key", 'd')->base = T_TEXT;
    struct cat_type *bad = type(c, T_BADDOMAIN, "public", "bad_domain", 'd');
    bad->base = T_TEXT;
    bad->check_funcs = ARENA_ARRAY(&c->arena, uint32_t, 1);
    bad->check_funcs[0] = 30003;
    bad->n_check_funcs = 1;
    type(c, T_ENUM, "public", "state", 'e');
    type(c, T_ROWTYPE, "public", "documents", 'c');
    type(c, T_TABLE_ARRAY, "public", "_documents", 'b')->elem = T_ROWTYPE;
    type(c, T_FREE, "public", "pair", 'c');
    type(c, T_VECTOR, "public", "vector", 'b')->extension = TEXT("vector");
    type(c, T_BASE, "public", "odd_base", 'b');
    type(c, T_RANGE, "public", "text_range", 'r')->subtype = T_TEXT;
    type(c, T_CAST, "public", "castable", 'e');
}

/* A view of public.documents; origins: the table's names of its columns. */
static void reads_documents(struct catalog *c, struct cat_relation *r, const char *first,
                            const char *second)
{
    r->view_reads = ARENA_ARRAY(&c->arena, uint32_t, 1);
    r->view_reads[0] = 40001;
    r->n_view_reads = 1;
    if (!first)
        return;
    r->view_origins = ARENA_ARRAY(&c->arena, struct text, 2);
    r->view_origins[0] = text_of(first);
    r->view_origins[1] = text_of(second);
}

static void make_relations(struct catalog *c)
{
    struct cat_relation *r;

    relation(c, 40001, "public", "documents", 'r', "id", T_INT4, "tenant_id", T_TEXT, "title",
             T_TEXT, NULL);
    relation(c, 40002, "public", "api_keys", 'r', "tenant_uuid", T_UUID, "key", T_TEXT, NULL);
    relation(c, 40003, "public", "tickets", 'r', "id", T_INT4, "tenant_id", T_DOMAIN, NULL);
    relation(c, 40004, "public", "Order Items", 'r', "TenantId", T_VARCHAR, NULL);
    relation(c, 40005, "public", "doc_types", 'r', "code", T_TEXT, NULL);
    relation(c, 40006, "public", "plan_catalog", 'r', "tenant_id", T_TEXT, NULL);
    relation(c, 40007, "public", "loose", 'r', "x", T_INT4, NULL);
    relation(c, 40008, "public", "money", 'r', "tenant_id", T_NUMERIC, NULL);
    r = relation(c, 40009, "public", "ci", 'r', "tenant_id", T_TEXT, NULL);
    r->columns[0].collation_deterministic = false;
    relation(c, 40010, "public", "seq", 'S', NULL);
    relation(c, 40011, "public", "pair", 'c', "a", T_INT4, "b", T_TEXT, NULL);
    /* inheritance */
    relation(c, 40020, "public", "events", 'p', "tenant_id", T_TEXT, "at", T_INT4, NULL);
    child_of(c,
             relation(c, 40021, "parts", "events_1", 'r', "tenant_id", T_TEXT, "at", T_INT4, NULL),
             40020);
    relation(c, 40022, "public", "plain_parent", 'r', "id", T_INT4, NULL);
    child_of(
        c,
        relation(c, 40023, "public", "plain_child", 'r', "id", T_INT4, "tenant_id", T_TEXT, NULL),
        40022);
    relation(c, 40024, "public", "shared_parent", 'r', "id", T_INT4, NULL);
    child_of(
        c,
        relation(c, 40025, "public", "shared_child", 'r', "id", T_INT4, "tenant_id", T_TEXT, NULL),
        40024);
    relation(c, 40026, "public", "ref_parent", 'r', "id", T_INT4, "tenant_id", T_TEXT, NULL);
    child_of(
        c, relation(c, 40027, "public", "ref_child", 'r', "id", T_INT4, "tenant_id", T_TEXT, NULL),
        40026);
    relation(c, 40028, "public", "mixed_parent", 'r', "owner", T_TEXT, "tenant_id", T_TEXT, NULL);
    child_of(c,
             relation(c, 40029, "public", "mixed_child", 'r', "owner", T_TEXT, "tenant_id", T_TEXT,
                      NULL),
             40028);
    child_of(
        c,
        relation(c, 40030, "public", "stray_child", 'r', "tenant_id", T_TEXT, "at", T_INT4, NULL),
        40020);
    /* views */
    r = relation(c, 40040, "public", "v_documents", 'v', "id", T_INT4, "tenant_id", T_TEXT, NULL);
    reads_documents(c, r, "id", "tenant_id");
    r = relation(c, 40041, "public", "v_org", 'v', "org", T_TEXT, NULL);
    reads_documents(c, r, "tenant_id", NULL);
    r = relation(c, 40080, "public", "v_swapped", 'v', "tenant_id", T_TEXT, "title", T_TEXT, NULL);
    reads_documents(c, r, "title", "tenant_id");
    r = relation(c, 40081, "public", "v_twice", 'v', "tenant_id", T_TEXT, "own", T_TEXT, NULL);
    reads_documents(c, r, "tenant_id", "tenant_id");
    r = relation(c, 40082, "public", "v_computed", 'v', "tenant_id", T_TEXT, NULL);
    reads_documents(c, r, NULL, NULL);
    relation(c, 40042, "public", "v_loose", 'v', "tenant_id", T_TEXT, NULL);
    relation(c, 40043, "memory", "v_any", 'v', "user_id", T_TEXT, NULL);
    r = relation(c, 40044, "public", "ruled", 'r', "tenant_id", T_TEXT, NULL);
    r->has_rules = true;
    relation(c, 40045, "memory", "nodes", 'r', "user_id", T_TEXT, NULL);
    relation(c, 40046, "memory", "documents", 'r', "user_id", T_TEXT, NULL);
    relation(c, 40047, "public", "cast_table", 'r', "tenant_id", T_TEXT, "k", T_CAST, NULL);
    relation(c, 40048, "a", "wild", 'r', "x", T_TEXT, NULL);
}

static void make_functions(struct catalog *c)
{
    struct cat_function *f;

    function(c, 30001, "public", "norm_title", 1, T_TEXT);
    function(c, 30002, "public", "l2_distance", 2, T_FLOAT8_ARRAY, T_FLOAT8_ARRAY);
    function(c, 30003, "public", "fn_total", 1, T_TEXT);
    function(c, 30004, "public", "norm_title", 2, T_TEXT, T_INT4);
    function(c, 30005, "toolbox", "lower", 1, T_TEXT);
    function(c, 30006, "public", "upper", 1, T_INT4);
    f = function(c, 30007, "public", "cosine_distance", 2, T_VECTOR, T_VECTOR);
    f->extension = TEXT("vector");
    f->language = TEXT("c");
    f->cost = 1;
    f = function(c, 30008, "public", "crosstab", 1, T_TEXT);
    f->extension = TEXT("tablefunc");
    f = function(c, 30009, "public", "normal_rand", 1, T_INT4);
    f->extension = TEXT("tablefunc");
    f = function(c, 30010, "public", "cheap", 1, T_TEXT);
    f->extension = TEXT("vector");
    f->cost = 0.5;
    f = function(c, 30011, "public", "dflt", 2, T_TEXT, T_INT4);
    f->n_defaults = 1;
    f = function(c, 30012, "public", "vari", 1, T_FLOAT8_ARRAY);
    f->variadic = true;
    function(c, 30013, "public", "to_state", 1, T_TEXT);
    f = function(c, 30014, "public", "set_limit", 1, T_INT4);
    f->extension = TEXT("pg_trgm");
    operator(c, 31001, "public", "<->", 30002);
    operator(c, 31002, "public", "<=>", 30007);
    operator(c, 31003, "toolbox", "=", 30005);
    operator(c, 31004, "public", "~>", 67);
    operator(c, 31005, "public", "||", 30003);
    operator(c, 31006, "public", "<<~", 30010);
}

static void make_catalog(struct made *m)
{
    struct catalog *c = m->c = catalog_new();

    c->server_version = 150000;
    c->encoding = TEXT("UTF8");
    c->search_path = ARENA_ARRAY(&c->arena, struct text, 2);
    c->search_path[c->n_search_path++] = TEXT("public");
    c->search_path[c->n_search_path++] = TEXT("My \"Schema");
    c->relations = ARENA_ARRAY(&c->arena, struct cat_relation *, 60);
    c->functions = ARENA_ARRAY(&c->arena, struct cat_function *, 40);
    c->operators = ARENA_ARRAY(&c->arena, struct cat_operator *, 10);
    c->types = ARENA_ARRAY(&c->arena, struct cat_type *, 40);
    c->casts = ARENA_ARRAY(&c->arena, struct cat_cast, 4);
    make_types(c);
    make_relations(c);
    make_functions(c);
    c->casts[c->n_casts++] = (struct cat_cast){ T_TEXT, T_CAST, 30013 };
}

static void make_rules(struct made *m)
{
    rule(m, "public", "Order Items", RULE_TENANT, "TenantId");
    rule(m, "public", "doc_types", RULE_SHARED, "");
    rule(m, "public", "plan_catalog", RULE_SHARED, "");
    rule(m, "memory", "", RULE_TENANT, "user_id");
    rule(m, "memory", "documents", RULE_DENY, "");
    rule(m, "public", "v_documents", RULE_TENANT, "tenant_id");
    rule(m, "public", "v_org", RULE_TENANT, "org");
    rule(m, "public", "shared_parent", RULE_SHARED, "");
    rule(m, "public", "ref_parent", RULE_SHARED, "");
    rule(m, "public", "mixed_parent", RULE_TENANT, "owner");
    rule(m, "public", "mixed_child", RULE_TENANT, "tenant_id");
    rule(m, "public", "stray_child", RULE_SHARED, "");
    rule(m, "public", "nosuch", RULE_DENY, "");
    rule(m, "parts", "", RULE_SHARED, "");
    rule(m, "*", "wild", RULE_SHARED, "");
    rule(m, "a", "", RULE_DENY, "");
    rule(m, "pg_catalog", "pg_enum", RULE_DENY, "");
    m->s.rules = m->rules;
    allow_function(m, "public", "norm_title", "text", true);
    allow_function(m, "public", "l2_distance", "double precision[], FLOAT8 []", true);
    allow_function(m, "pg_catalog", "nextval", NULL, true);
    allow_function(m, "pg_catalog", "random", NULL, false);
    allow_function(m, "public", "gone", "int", true);
    m->s.functions = m->functions;
    m->operators[m->s.n_operators++] =
        (struct tenant_operator){ TEXT("public"), TEXT("<->"), true };
    m->operators[m->s.n_operators++] =
        (struct tenant_operator){ TEXT("public"), TEXT("<<~"), true };
    m->s.operators = m->operators;
    m->columns[0] = TEXT("tenant_id");
    m->columns[1] = TEXT("tenant_uuid");
    m->s.tenant_columns = m->columns;
    m->s.n_tenant_columns = 2;
    m->s.g.tenant_guc = "app.tenant_id";
    m->db.name = TEXT("shop");
    rule(m, "public", "v_swapped", RULE_TENANT, "tenant_id");
    rule(m, "public", "v_twice", RULE_TENANT, "tenant_id");
    rule(m, "public", "v_computed", RULE_TENANT, "tenant_id");
}

static struct made *make(void)
{
    struct made *m = calloc(1, sizeof(*m));

    atomic_init(&m->s.refs, 1);
    make_catalog(m);
    make_rules(m);
    return m;
}

/* ---- asking ---- */

static const char *class_of(const struct policy *p, const char *schema, const char *name)
{
    static const char *const names[] = { "unknown", "tenant", "shared", "deny", "system" };
    const struct policy_relation *r = policy_relation(p, text_of(schema), text_of(name));

    return r ? names[r->cls] : "none";
}

static const char *fn(const struct policy *p, const char *schema, const char *name, int n)
{
    static const char *const names[] = { "unknown", "deny", "allow", "setting" };
    struct text why = TEXT("");
    enum fn_class k = policy_function(p, text_of(schema), text_of(name), n, &why);

    if ((k == FN_DENY || k == FN_UNKNOWN) && why.n == 0)
        return "no reason given";
    return names[k];
}

static const char *op(const struct policy *p, const char *schema, const char *name)
{
    static const char *const names[] = { "unknown", "deny", "allow", "setting" };

    return names[policy_operator(p, text_of(schema), text_of(name), 2, NULL)];
}

static bool ty(const struct policy *p, const char *schema, const char *name)
{
    return policy_type_ok(p, text_of(schema), text_of(name), NULL);
}

static bool set(const struct policy *p, const char *name, const char *value)
{
    return policy_setting_ok(p, text_of(name), true, text_of(value), value != NULL, NULL);
}

static bool show(const struct policy *p, const char *name)
{
    return policy_setting_ok(p, text_of(name), false, TEXT(""), false, NULL);
}

static bool startup(const char *name, const char *value)
{
    return policy_startup_ok(text_of(name), text_of(value), NULL);
}

static const struct policy_relation *rel(const struct policy *p, const char *name)
{
    return policy_relation(p, TEXT(""), text_of(name));
}

/* ---- tests ---- */

static void test_relations(const struct policy *p)
{
    is_text(class_of(p, "", "documents"), "tenant", "discovered by column");
    is_text(rel(p, "documents")->type_sql, "pg_catalog.text", "its type");
    is_text(rel(p, "documents")->why, "column tenant_id found in the catalog", "why");
    is_text(class_of(p, "public", "api_keys"), "tenant", "second of tenant_columns");
    is_int(rel(p, "api_keys")->type_oid, T_UUID, "uuid");
    is_int(rel(p, "tickets")->type_oid, T_TEXT, "a domain's base type");
    is_int(rel(p, "Order Items")->type_oid, T_TEXT, "varchar is compared as text");
    is_text(rel(p, "Order Items")->why, "t.ini:1", "why: the rule's place");
    is_text(class_of(p, "", "doc_types"), "shared", "declared shared");
    is_text(class_of(p, "", "plan_catalog"), "shared", "the rule is stronger than the column");
    is_text(class_of(p, "", "loose"), "unknown", "undeclared");
    is_text(class_of(p, "", "money"), "deny", "numeric tenant column");
    is_text(class_of(p, "", "ci"), "deny", "nondeterministic collation");
    is_text(class_of(p, "", "seq"), "deny", "sequence");
    is_text(class_of(p, "", "pair"), "deny", "composite type");
    is_text(class_of(p, "", "nosuch"), "none", "not in the snapshot");
    is_text(class_of(p, "memory", "nodes"), "tenant", "schema.* applies to tables");
    is_text(class_of(p, "memory", "documents"), "deny", "schema.name is stronger than schema.*");
    is_text(class_of(p, "memory", "v_any"), "unknown", "schema.* does not declare views");
    is_text(class_of(p, "a", "wild"), "shared", "*.name is stronger than schema.*");
    is_text(class_of(p, "", "nodes"), "none", "not in the search_path");
    is_text(class_of(p, "", "cast_table"), "deny",
            "a column whose cast calls an undeclared function");
    ok(rel(p, "documents")->insertable, "table takes inserts");
    ok(!rel(p, "ruled")->insertable, "table with rules does not");
}

static void test_inheritance(const struct policy *p)
{
    is_text(class_of(p, "", "events"), "tenant", "partitioned table");
    is_text(class_of(p, "parts", "events_1"), "tenant",
            "the parent is stronger than the partition's schema.*");
    is_text(class_of(p, "", "plain_parent"), "unknown", "undeclared parent of a tenant table");
    is_text(class_of(p, "", "plain_child"), "tenant", "its child");
    is_text(class_of(p, "", "shared_parent"), "deny", "shared parent of a tenant table");
    is_text(class_of(p, "", "shared_child"), "tenant", "its child, discovered");
    is_text(class_of(p, "", "ref_parent"), "shared", "shared parent that has the column itself");
    is_text(class_of(p, "", "ref_child"), "shared", "its child");
    is_text(class_of(p, "", "mixed_parent"), "deny", "child with another column");
    is_text(class_of(p, "", "mixed_child"), "tenant", "that child by itself");
    is_text(class_of(p, "", "stray_child"), "deny", "shared child of a tenant table");
}

static void test_views(const struct policy *p)
{
    ok(rel(p, "v_documents")->is_view && rel(p, "v_documents")->cls == REL_TENANT, "declared view");
    ok(rel(p, "v_documents")->insertable && rel(p, "v_documents")->base == rel(p, "documents"),
       "that shows plain columns of one table: takes inserts");
    is_text(class_of(p, "", "v_org"), "tenant", "declared view with a renamed column");
    ok(rel(p, "v_org")->insertable, "takes inserts too");
    is_text(class_of(p, "", "v_swapped"), "tenant", "a view that gives another column the name");
    ok(!rel(p, "v_swapped")->insertable, "takes none");
    ok(!rel(p, "v_twice")->insertable, "nor one that shows the tenant column twice");
    ok(!rel(p, "v_computed")->insertable, "nor one with more than plain columns");
    is_text(class_of(p, "", "v_loose"), "unknown", "a view is not discovered by column");
}

static void test_system(const struct policy *p)
{
    const struct policy_relation *r = rel(p, "pg_class");

    is_text(class_of(p, "", "pg_class"), "system", "pg_class");
    is_text(class_of(p, "pg_catalog", "pg_type"), "system", "pg_type");
    is_text(class_of(p, "information_schema", "columns"), "system", "information_schema.columns");
    is_text(class_of(p, "pg_catalog", "pg_enum"), "deny", "denied by rule");
    is_text(class_of(p, "", "pg_stats"), "none", "pg_stats");
    is_text(class_of(p, "", "pg_authid"), "none", "pg_authid");
    is_text(class_of(p, "", "columns"), "none", "information_schema is not in the path");
    ok(r->has_hidden, "pg_class has hidden columns");
    ok(!policy_system_column_ok(r, TEXT("reltuples")), "reltuples");
    ok(!policy_system_column_ok(r, TEXT("relpartbound")), "relpartbound");
    ok(policy_system_column_ok(r, TEXT("relname")), "relname");
}

static void test_columns_and_claims(const struct policy *p)
{
    const struct claim claims[] = { { TEXT("tenant"), TEXT("acme") },
                                    { TEXT("tenant_uuid"), TEXT("a1") } };
    const struct claim blank = { TEXT("tenant"), TEXT("acme ") };
    struct identity id = { .bound = true, .claims = claims, .n_claims = 2 };
    const struct policy_relation *d = rel(p, "documents");

    ok(policy_has_column(d, TEXT("title")), "column");
    ok(policy_has_column(d, TEXT("ctid")), "system column");
    ok(policy_has_column(d, TEXT("tableoid")), "tableoid");
    ok(!policy_has_column(d, TEXT("peers")), "function notation");
    ok(!policy_has_column(d, TEXT("TITLE")), "exact case");
    ok(!policy_has_column(rel(p, "v_documents"), TEXT("ctid")), "a view has no ctid");
    is_text(policy_claim(d, &id)->value, "acme", "main claim");
    is_text(policy_claim(rel(p, "api_keys"), &id)->value, "a1", "claim named like the column");
    ok(!policy_claim(rel(p, "doc_types"), &id), "no claim for shared");
    ok(policy_claim(rel(p, "Order Items"), &id) != NULL, "varchar");
    ok(!policy_claim(rel(p, "Order Items"),
                     &(struct identity){ .bound = true, .claims = &blank, .n_claims = 1 }),
       "a varchar column cannot hold a value with a trailing blank for sure");
    id.exempt = true;
    ok(!policy_claim(d, &id), "none for the exempt");
    id.exempt = false;
    id.bound = false;
    ok(!policy_claim(d, &id), "none for the unbound");
}

static void test_functions(const struct policy *p)
{
    is_text(fn(p, "", "count", 1), "allow", "count");
    is_text(fn(p, "pg_catalog", "now", 0), "allow", "now");
    is_text(fn(p, "", "set_config", 3), "deny", "set_config");
    is_text(fn(p, "", "query_to_xml", 4), "deny", "query_to_xml");
    is_text(fn(p, "", "pg_anything_new", 0), "deny", "an unlisted pg_ function");
    is_text(fn(p, "", "current_setting", 1), "setting", "current_setting");
    is_text(fn(p, "", "ts_rewrite", 3), "allow", "ts_rewrite of values");
    is_text(fn(p, "", "ts_rewrite", 2), "deny", "ts_rewrite of SQL text");
    is_text(fn(p, "", "ts_rewrite", -1), "deny", "ts_rewrite, count unknown");
    is_text(fn(p, "", "nextval", 1), "allow", "nextval, declared");
    is_text(fn(p, "", "setval", 2), "deny", "setval");
    is_text(fn(p, "", "random", 0), "deny", "random, denied by declaration");
    is_text(fn(p, "", "uuid", 1), "allow", "a type's name as a function");
    is_text(fn(p, "", "regclass", 1), "deny", "regclass()");
    is_text(fn(p, "", "regtype", 1), "unknown", "regtype()");
    is_text(fn(p, "", "nosuch", 1), "unknown", "unknown");
    is_text(fn(p, "", "norm_title", 1), "allow", "declared with its argument types");
    is_text(fn(p, "", "norm_title", 2), "deny", "another overload");
    is_text(fn(p, "", "norm_title", -1), "deny", "any overload");
    is_text(fn(p, "public", "l2_distance", 2), "allow", "declared with SQL's type names");
    is_text(fn(p, "", "fn_total", 1), "deny", "undeclared");
    is_text(fn(p, "toolbox", "lower", 1), "deny", "look-alike in another schema");
    is_text(fn(p, "", "lower", 1), "allow", "not in the path: no doubt");
    is_text(fn(p, "", "upper", 1), "deny", "an overload of a built-in name in the path");
    is_text(fn(p, "pg_catalog", "upper", 1), "allow", "qualified: no doubt");
    is_text(fn(p, "", "cosine_distance", 2), "allow", "trusted extension");
    is_text(fn(p, "", "crosstab", 1), "deny", "extension that runs SQL");
    is_text(fn(p, "", "normal_rand", 1), "allow", "its one pure function");
    is_text(fn(p, "", "set_limit", 1), "deny",
            "the one function of pg_trgm that changes a setting");
    is_text(fn(p, "", "cheap", 1), "deny", "cost below 1");
    is_text(fn(p, "", "dflt", 1), "deny", "arguments with defaults count");
    is_text(fn(p, "", "vari", 5), "deny", "variadic functions count");
    is_text(fn(p, "public", "count", 1), "unknown", "no such function in that schema");
}

static void test_operators(const struct policy *p)
{
    is_text(op(p, "", "="), "allow", "=");
    is_text(op(p, "", "!="), "allow", "!=");
    is_text(op(p, "pg_catalog", "@>"), "allow", "qualified");
    is_text(op(p, "", "<->"), "allow", "declared and built in");
    is_text(op(p, "public", "<=>"), "allow", "trusted extension");
    is_text(op(p, "", "~>"), "deny", "user-defined over a built-in function");
    is_text(op(p, "toolbox", "="), "deny", "look-alike");
    is_text(op(p, "", "||"), "deny", "overload of a built-in name in the path");
    is_text(op(p, "", "<<~"), "deny", "declared, but over a cheap function that is not");
    is_text(op(p, "", "%%%"), "unknown", "unknown");
}

static void test_types(const struct policy *p)
{
    ok(ty(p, "", "text"), "text");
    ok(ty(p, "pg_catalog", "int4"), "pg_catalog.int4");
    ok(ty(p, "", "_text"), "array by its internal name");
    ok(!ty(p, "", "regclass") && policy_type_reg(p, TEXT(""), TEXT("regclass")), "regclass");
    ok(!ty(p, "", "_regclass"), "array of regclass");
    ok(!policy_type_reg(p, TEXT("public"), TEXT("regclass")), "public.regclass is none");
    ok(!ty(p, "", "record"), "pseudo-type");
    ok(!ty(p, "", "nosuch"), "unknown");
    ok(ty(p, "", "tenant_key"), "domain");
    ok(!ty(p, "", "bad_domain"), "domain with an undeclared function in CHECK");
    ok(ty(p, "", "state"), "enum");
    ok(ty(p, "public", "text_range"), "range");
    ok(!ty(p, "", "documents"), "row type of a table");
    ok(!ty(p, "", "_documents"), "array of it");
    ok(ty(p, "", "pair"), "free composite type");
    ok(ty(p, "", "vector"), "extension's base type");
    ok(!ty(p, "", "odd_base"), "base type of no extension");
    ok(!ty(p, "", "castable"), "type with a cast by an undeclared function");
}

static void test_settings(const struct policy *p)
{
    ok(set(p, "TimeZone", "UTC"), "TimeZone");
    ok(set(p, "statement_timeout", "5s"), "statement_timeout");
    ok(set(p, "hnsw.ef_search", "100"), "hnsw.ef_search");
    ok(!set(p, "hnsw.", "1"), "prefix alone");
    ok(!set(p, "app.tenant_id", "x") && show(p, "app.tenant_id"), "tenant_guc: seen, not set");
    ok(!set(p, "APP.Tenant_ID", "x"), "in any case");
    ok(!set(p, "app.other", "x") && !show(p, "app.other"), "other custom settings");
    ok(!set(p, "role", "x") && !set(p, "session_authorization", "x") &&
           !set(p, "row_security", "off"),
       "roles");
    ok(!set(p, "enable_seqscan", "off") && show(p, "enable_seqscan"), "planner");
    ok(!set(p, "work_mem", "1GB"), "work_mem");
    ok(set(p, "client_encoding", "'utf-8'") && set(p, "client_encoding", "UTF8"), "UTF8");
    ok(!set(p, "client_encoding", "SJIS") && !set(p, "client_encoding", NULL), "other encodings");
    ok(set(p, "standard_conforming_strings", "on"), "standard_conforming_strings on");
    ok(!set(p, "standard_conforming_strings", "off") &&
           !set(p, "standard_conforming_strings", NULL),
       "off");
    ok(set(p, "search_path", "public, \"My \"\"Schema\""), "the search_path in force");
    ok(!set(p, "search_path", "public") && !set(p, "search_path", "toolbox") &&
           !set(p, "search_path", ""),
       "another one");
    is_text(policy_search_path(p), "public, \"My \"\"Schema\"", "search_path as SQL");
    ok(set(p, "TRANSACTION", NULL) && !set(p, "TRANSACTION SNAPSHOT", "x"),
       "SET TRANSACTION, not SNAPSHOT");
    ok(show(p, "server_version") && show(p, "transaction_isolation"), "SHOW");
    ok(!show(p, "data_directory") && !show(p, "hba_file") && !show(p, "all"), "no paths");
}

static void test_startup(void)
{
    ok(startup("user", "a") && startup("database", "b") && startup("application_name", "c"),
       "the usual ones");
    ok(startup("extra_float_digits", "2") && startup("client_encoding", "'utf-8'"),
       "drivers' ones");
    ok(!startup("client_encoding", "GBK"), "encoding");
    ok(!startup("replication", "database") && startup("replication", "false"), "replication");
    ok(!startup("search_path", "toolbox"), "search_path");
    ok(!startup("app.tenant_id", "x"), "custom setting");
    ok(startup("options", "") && startup("options", "-c statement_timeout=5s --DateStyle=ISO"),
       "options");
    ok(startup("options", "-c lock-timeout=1s -cextra_float_digits=3"), "options, other spellings");
    ok(!startup("options", "-c search_path=toolbox"), "options: search_path");
    ok(!startup("options", "-c app.tenant_id=x"), "options: custom setting");
    ok(!startup("options", "-c\\ statement_timeout=1"),
       "options: escaped space belongs to the name");
    ok(!startup("options", "-c"), "options: cut");
    ok(!startup("options", "-c role"), "options: no value");
    ok(!startup("options", "-d 5"), "options: other switches");
    ok(startup("_pq_.report", "x"), "protocol options");
}

static void test_built_in_cast(void)
{
    struct made *m = make();
    struct err e = { "", "" };
    struct policy *p;

    m->c->casts[m->c->n_casts++] = (struct cat_cast){ T_TEXT, T_INT4, 30003 };
    p = policy_new(&m->s, &m->db, m->c, 2, NULL, &e);
    ok(!p, "an undeclared cast between built-in types: no policy");
    is_text(e.msg,
            "the cast from text to int4, both built-in types, calls public.fn_total: declare it in "
            "[tenant_functions] or drop the cast",
            "and why");
    policy_unref(p);
    free(m);
}

static void test_path_order(void)
{
    struct made *m = make();
    struct policy *p;

    m->c->catalog_not_first = true;
    relation(m->c, 40100, "public", "pg_type", 'r', "tenant_id", T_TEXT, NULL);
    p = policy_new(&m->s, &m->db, m->c, 3, NULL, NULL);
    ok(!rel(p, "pg_type"), "pg_catalog not first: a name in both is nobody's");
    is_text(class_of(p, "", "pg_class"), "system", "a name in one is clear");
    policy_unref(p);
    free(m);
}

int main(void)
{
    struct made *m = make();
    struct err e = { "", "" };
    struct buf problems;
    struct policy *p;

    buf_init(&problems);
    p = policy_new(&m->s, &m->db, m->c, 1, &problems, &e);
    ok(p != NULL, "policy_new %s", e.msg);
    is_text(buf_text(&problems),
            "[tenant_functions] public.gone(int): no such function in database shop\n"
            "t.ini:13: public.nosuch: no such relation in database shop\n",
            "problems");
    policy_unref(policy_ref(p));
    test_relations(p);
    test_inheritance(p);
    test_views(p);
    test_system(p);
    test_columns_and_claims(p);
    test_functions(p);
    test_operators(p);
    test_types(p);
    test_settings(p);
    test_startup();
    policy_unref(p);
    buf_release(&problems);
    free(m);
    test_built_in_cast();
    test_path_order();
    return tap_done();
}
