/* SPDX-License-Identifier: ISC */
/*
 * A small world for tests of the tenant engine: a catalog like that of the sample schema, its
 * rules, a tenant, and judging with short notations for what is expected.
 *
 * want: "=" the text passes as it is; "!reason" it is refused; else the new text, blanks not
 * compared, with {a.c} for the predicate on "a"."c" and {V} for the tenant's value.
 */
#ifndef TEST_UNIT_TENANT_WORLD_H
#define TEST_UNIT_TENANT_WORLD_H

#include "tap.h"

#include "base/buf.h"
#include "tenant/tenant.h"

#include <stdarg.h>

enum {
    W_BOOL = 16,
    W_INT8 = 20,
    W_INT4 = 23,
    W_TEXT = 25,
    W_JSONB = 3802,
    W_DATE = 1082,
    W_NUMERIC = 1700,
    W_UUID = 2950,
    W_VARCHAR = 1043,
    W_TEXTS = 1009,
    W_KEY = 20001
};

struct world {
    struct catalog *c;
    struct setup s;
    struct database_conf db;
    struct tenant_rule rules[16];
    struct tenant_function functions[4];
    struct text columns[1];
    struct claim claims[3];
    struct identity id;
    struct policy *p;
    struct tenant_engine *engine;
    struct tenant_ask ask;
};

static inline struct cat_relation *world_relation(struct catalog *c, const char *schema,
                                                  const char *name, int kind, ...)
{
    struct cat_relation *r = ARENA_NEW(&c->arena, struct cat_relation);
    const char *col;
    va_list ap;
    r->oid = 40000 + (uint32_t)c->n_relations;
    r->schema = text_of(schema);
    r->name = text_of(name);
    r->kind = (char)kind;
    r->columns = ARENA_ARRAY(&c->arena, struct cat_column, 12);
    va_start(ap, kind);
    while ((col = va_arg(ap, const char *)) != NULL) {
        struct cat_column *k = &r->columns[r->n_columns];
        k->name = text_of(col);
        k->type = va_arg(ap, unsigned);
        k->base_type = k->type == W_KEY ? W_TEXT : k->type;
        k->attnum = ++r->n_columns;
        k->collation_deterministic = true;
    }
    va_end(ap);
    c->relations[c->n_relations++] = r;
    return r;
}

static inline struct cat_type *world_type(struct catalog *c, uint32_t oid, const char *schema,
                                          const char *name, char kind)
{
    struct cat_type *t = ARENA_NEW(&c->arena, struct cat_type);
    *t = (struct cat_type){
        .oid = oid, .schema = text_of(schema), .name = text_of(name), .typtype = kind
    };
    c->types[c->n_types++] = t;
    return t;
}

static inline void world_function(struct catalog *c, const char *name, uint32_t arg)
{
    struct cat_function *f = ARENA_NEW(&c->arena, struct cat_function);
    *f = (struct cat_function){ .oid = 30000 + (uint32_t)c->n_functions,
                                .schema = TEXT("public"),
                                .name = text_of(name),
                                .n_args = 1,
                                .ret = W_TEXT,
                                .kind = 'f',
                                .language = TEXT("plpgsql"),
                                .cost = 100 };
    f->args = ARENA_ARRAY(&c->arena, uint32_t, 1);
    f->args[0] = arg;
    c->functions[c->n_functions++] = f;
}

static inline void world_catalog(struct world *w)
{
    struct catalog *c = w->c = catalog_new();
    struct cat_relation *r;
    c->server_version = 150000;
    c->encoding = TEXT("UTF8");
    c->search_path = ARENA_ARRAY(&c->arena, struct text, 1);
    c->search_path[c->n_search_path++] = TEXT("public");
    c->relations = ARENA_ARRAY(&c->arena, struct cat_relation *, 30);
    c->functions = ARENA_ARRAY(&c->arena, struct cat_function *, 10);
    c->operators = ARENA_ARRAY(&c->arena, struct cat_operator *, 10);
    c->types = ARENA_ARRAY(&c->arena, struct cat_type *, 40);
    c->casts = ARENA_ARRAY(&c->arena, struct cat_cast, 1);
    world_type(c, W_BOOL, "pg_catalog", "bool", 'b');
    world_type(c, W_INT4, "pg_catalog", "int4", 'b');
    world_type(c, W_INT8, "pg_catalog", "int8", 'b');
    world_type(c, W_TEXT, "pg_catalog", "text", 'b');
    world_type(c, W_VARCHAR, "pg_catalog", "varchar", 'b');
    world_type(c, W_UUID, "pg_catalog", "uuid", 'b');
    world_type(c, W_JSONB, "pg_catalog", "jsonb", 'b');
    world_type(c, W_DATE, "pg_catalog", "date", 'b');
    world_type(c, W_NUMERIC, "pg_catalog", "numeric", 'b');
    world_type(c, W_TEXTS, "pg_catalog", "_text", 'b')->elem = W_TEXT;
    world_type(c, 2205, "pg_catalog", "regclass", 'b');
    world_type(c, W_KEY, "public", "tenant_key", 'd')->base = W_TEXT;
    world_type(c, 20002, "public", "documents", 'c');
    world_relation(c, "public", "documents", 'r', "id", W_INT8, "tenant_id", W_TEXT, "title",
                   W_TEXT, "doc_type", W_TEXT, "version", W_INT4, "tags", W_TEXTS, "meta", W_JSONB,
                   NULL);
    world_relation(c, "public", "tickets", 'r', "id", W_INT4, "tenant_id", W_KEY, "subject", W_TEXT,
                   "severity", W_INT4, "closed", W_BOOL, NULL);
    world_relation(c, "public", "chunks", 'r', "id", W_INT8, "tenant_id", W_TEXT, "document_id",
                   W_INT8, "seq", W_INT4, NULL);
    world_relation(c, "public", "doc_types", 'r', "code", W_TEXT, "label", W_TEXT, "rank", W_INT4,
                   NULL);
    world_relation(c, "public", "settings", 'r', "name", W_TEXT, "value", W_TEXT, NULL);
    world_relation(c, "memory", "settings", 'r', "user_id", W_TEXT, "name", W_TEXT, "value", W_TEXT,
                   NULL);
    world_relation(c, "public", "invoices", 'r', "tenant_no", W_INT4, "total", W_NUMERIC, NULL);
    world_relation(c, "public", "keys", 'r', "tenant_uuid", W_UUID, "hash", W_TEXT, NULL);
    world_relation(c, "public", "Order Items", 'r', "TenantId", W_TEXT, "from", W_TEXT, NULL);
    world_relation(c, "public", "loose", 'r', "x", W_INT4, NULL);
    world_relation(c, "public", "secret", 'r', "tenant_id", W_TEXT, NULL);
    r = world_relation(c, "public", "v_both", 'v', "tenant_id", W_TEXT, "body", W_TEXT, NULL);
    r->view_reads = ARENA_ARRAY(&c->arena, uint32_t, 2);
    r->view_reads[0] = 40000;
    r->view_reads[1] = 40002;
    r->n_view_reads = 2;
    world_function(c, "peers", 20002);
    world_function(c, "norm_title", W_TEXT);
}

static inline void world_rule(struct world *w, const char *schema, const char *name,
                              enum rule_class cls, const char *column)
{
    w->rules[w->s.n_rules] = (struct tenant_rule){ .schema = text_of(schema),
                                                   .relation = text_of(name),
                                                   .cls = cls,
                                                   .column = text_of(column),
                                                   .file = "t.ini",
                                                   .line = w->s.n_rules + 1 };
    w->s.n_rules++;
}

/* The world of tenant "acme" in rewrite mode, simple protocol. */
static inline bool world_make(struct world *w, const char *tenant)
{
    struct tenant_engine_opts o = { .cache_bytes = 1 << 20, .check_templates = true };
    struct err e;
    *w = (struct world){ .db = { .name = TEXT("app") } };
    world_catalog(w);
    world_rule(w, "memory", "settings", RULE_TENANT, "user_id");
    world_rule(w, "public", "invoices", RULE_TENANT, "tenant_no");
    world_rule(w, "public", "keys", RULE_TENANT, "tenant_uuid");
    world_rule(w, "public", "Order Items", RULE_TENANT, "TenantId");
    world_rule(w, "public", "v_both", RULE_TENANT, "tenant_id");
    world_rule(w, "public", "doc_types", RULE_SHARED, "");
    world_rule(w, "public", "settings", RULE_SHARED, "");
    world_rule(w, "public", "secret", RULE_DENY, "");
    w->s.rules = w->rules;
    w->functions[0] =
        (struct tenant_function){ TEXT("public"), TEXT("norm_title"), TEXT("text"), false, true };
    w->s.functions = w->functions;
    w->s.n_functions = 1;
    w->columns[0] = TEXT("tenant_id");
    w->s.tenant_columns = w->columns;
    w->s.n_tenant_columns = 1;
    w->s.refs = 1000;
    w->s.g.tenant_explain = TENANT_EXPLAIN_PLAN;
    w->claims[0] = (struct claim){ TEXT("tenant"), text_of(tenant) };
    w->claims[1] = (struct claim){ TEXT("tenant_no"), TEXT("11") };
    w->claims[2] =
        (struct claim){ TEXT("tenant_uuid"), TEXT("a1111111-0000-4000-8000-00000000000a") };
    w->id =
        (struct identity){ .bound = true, .claims = w->claims, .n_claims = 3, .hash = tenant[0] };
    w->p = policy_new(&w->s, &w->db, w->c, 1, NULL, &e);
    w->engine = tenant_engine_new(&o);
    if (!w->p || !w->engine) {
        printf("Bail out! %s\n", w->p ? "no engine" : e.msg);
        return false;
    }
    w->ask = (struct tenant_ask){ .policy = w->p, .identity = &w->id, .mode = TENANT_REWRITE };
    return true;
}

static inline void world_free(struct world *w)
{
    tenant_engine_free(w->engine);
    policy_unref(w->p);
}

static inline struct verdict *world_judge(struct world *w, const char *sql)
{
    w->ask.sql = text_of(sql);
    struct verdict *v = tenant_judge(w->engine, &w->ask);
    if (!v)
        abort();
    return v;
}

/* Expands {a.c} and {V} of what is wanted. value: the SQL of the value. */
static inline void world_expand(const char *want, const char *value, struct buf *out)
{
    for (const char *p = want; *p; p++) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (!end) {
            buf_char(out, *p);
            continue;
        }
        struct text name = text_n(p + 1, (size_t)(end - p - 1)), qualifier;
        p = end;
        if (text_is(name, "V")) {
            buf_printf(out, "%s", value);
            continue;
        }
        text_split(&name, '.', &qualifier);
        for (int i = 0; i < 2; i++) {
            buf_printf(out, "%s\"%.*s\".\"%.*s\" OPERATOR(pg_catalog.=) ", i ? "" : "COALESCE(",
                       TEXT_ARG(qualifier), TEXT_ARG(name));
            buf_printf(out, i ? "%s" : "ANY (ARRAY[%s]), false) AND ", value);
        }
    }
}

static inline void world_squeeze(struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] != ' ' && b->p[i] != '\n')
            b->p[n++] = b->p[i];
    b->n = n;
}

/* Judges and compares; value: NULL = the simple protocol's literal of acme. */
static inline void world_is(struct world *w, const char *sql, const char *want, const char *value)
{
    struct verdict *v = world_judge(w, sql);
    struct buf got, expected;
    buf_init(&got);
    buf_init(&expected);
    if (v->action == VERDICT_PASS)
        buf_printf(&got, "=");
    else if (v->action == VERDICT_REFUSE)
        buf_printf(&got, "!%s", refusal_name(v->reason));
    else if (!verdict_text(v, &w->id, &got))
        abort();
    world_expand(want, value ? value : "'acme'::pg_catalog.text", &expected);
    world_squeeze(&got);
    world_squeeze(&expected);
    ok(text_eq(buf_text(&got), buf_text(&expected)), "%s", sql);
    if (!text_eq(buf_text(&got), buf_text(&expected)))
        printf("#  got %.*s\n# want %.*s\n# %.*s\n", TEXT_ARG(buf_text(&got)),
               TEXT_ARG(buf_text(&expected)), TEXT_ARG(v->detail));
    buf_release(&got);
    buf_release(&expected);
    verdict_unref(w->engine, v);
}

#endif
