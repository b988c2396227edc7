/* SPDX-License-Identifier: ISC */
/* A policy's life, its indexes, and the look-ups of relations, columns and claims. */
#include "tenant/policy.h"

#include "base/check.h"
#include "tenant/policy_index.h"

#include <stdlib.h>

#define OID_VARCHAR 1043
#define NEWEST_REVIEWED 180000 /* server_version_num of the newest major version */

bool policy_key(char *buf, struct text schema, struct text name, struct text *key)
{
    if (schema.n + name.n + 1 > POLICY_KEY_MAX)
        return false;
    if (schema.n)
        memcpy(buf, schema.p, schema.n);
    buf[schema.n] = '\0';
    if (name.n)
        memcpy(buf + schema.n + 1, name.p, name.n);
    *key = text_n(buf, schema.n + 1 + name.n);
    return true;
}

struct text policy_key_in(struct arena *a, struct text schema, struct text name)
{
    char *k = arena_alloc(a, schema.n + name.n + 1);

    if (schema.n)
        memcpy(k, schema.p, schema.n);
    k[schema.n] = '\0';
    if (name.n)
        memcpy(k + schema.n + 1, name.p, name.n);
    return text_n(k, schema.n + 1 + name.n);
}

struct text policy_oid_key(const uint32_t *oid)
{
    return text_n((const char *)oid, sizeof(*oid));
}

/* `public, "My Schema"`: the pinned search_path as SQL. */
static struct text search_path_sql(struct policy *p)
{
    struct buf b;
    struct text out;

    buf_init(&b);
    for (int i = 0; i < p->catalog->n_search_path; i++) {
        struct text s = p->catalog->search_path[i];
        bool plain = s.n > 0 && !(s.p[0] >= '0' && s.p[0] <= '9');

        for (size_t k = 0; k < s.n; k++)
            plain = plain && ((s.p[k] >= 'a' && s.p[k] <= 'z') ||
                              (s.p[k] >= '0' && s.p[k] <= '9') || s.p[k] == '_');
        if (i > 0)
            buf_text_append(&b, TEXT(", "));
        if (!plain)
            buf_char(&b, '"');
        for (size_t k = 0; k < s.n; k++) {
            if (!plain && s.p[k] == '"')
                buf_char(&b, '"');
            buf_char(&b, s.p[k]);
        }
        if (!plain)
            buf_char(&b, '"');
    }
    out = arena_text(&p->arena, buf_text(&b));
    buf_release(&b);
    return out;
}

static void each_map(struct policy *p, void (*f)(struct map *))
{
    struct policy_index *x = p->index;

    f(&p->by_name);
    f(&x->functions);
    f(&x->operators);
    f(&x->function_by_oid);
    f(&x->types);
    f(&x->type_by_oid);
    f(&x->tainted);
    f(&x->builtin_fns);
    f(&x->builtin_names);
    f(&x->builtin_ops);
    f(&x->builtin_types);
    f(&x->reg_types);
    f(&x->role_problems);
}

struct policy *policy_new(const struct setup *s, const struct database_conf *db, struct catalog *c,
                          uint64_t generation, struct buf *problems, struct err *e)
{
    struct policy *p = calloc(1, sizeof(*p));

    if (!p)
        check_no_memory(sizeof(*p));
    atomic_init(&p->refs, 1);
    p->generation = generation;
    p->setup = setup_ref(s);
    p->catalog = c;
    arena_init(&p->arena, 64 * 1024);
    p->index = ARENA_NEW(&p->arena, struct policy_index);
    p->index->db = db;
    p->index->guc = db->tenant_guc ? db->tenant_guc : s->g.tenant_guc ? s->g.tenant_guc : "";
    p->index->guc = arena_strdup(&p->arena, p->index->guc);
    each_map(p, map_init);
    if (c->server_version >= NEWEST_REVIEWED + 10000) {
        err_set(e,
                "PostgreSQL %d is newer than the lists of functions, types and system relations, "
                "which were reviewed up to %d",
                c->server_version / 10000, NEWEST_REVIEWED / 10000);
        policy_unref(p);
        return NULL;
    }
    if (!policy_utf8(p) && problems)
        buf_printf(problems,
                   "database %.*s: its encoding is %.*s: tenants' statements have to be ASCII\n",
                   TEXT_ARG(db->name), TEXT_ARG(c->encoding));
    policy_index_types(p);
    policy_index_functions(p, problems);
    if (!policy_index_casts(p, e)) {
        policy_unref(p);
        return NULL;
    }
    policy_index_relations(p, problems);
    policy_index_rls(p);
    p->index->search_path = search_path_sql(p);
    p->index->db = NULL; /* it may not live as long as the policy */
    return p;
}

struct policy *policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void policy_unref(struct policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    each_map(p, map_release);
    arena_release(&p->arena);
    catalog_free(p->catalog);
    setup_unref(p->setup);
    free(p);
}

bool policy_utf8(const struct policy *p)
{
    return p->catalog->encoding.n == 0 || text_is(p->catalog->encoding, "UTF8");
}

struct text policy_search_path(const struct policy *p)
{
    return p->index->search_path;
}

static const struct policy_relation *lookup(const struct policy *p, struct text schema,
                                            struct text name)
{
    char buf[POLICY_KEY_MAX];
    struct text key;

    return policy_key(buf, schema, name, &key) ? map_get(&p->by_name, key) : NULL;
}

const struct policy_relation *policy_relation(const struct policy *p, struct text schema,
                                              struct text name)
{
    const struct policy_relation *r;

    if (schema.n > 0)
        return lookup(p, schema, name);
    r = lookup(p, TEXT("pg_catalog"), name);
    if (r && !p->catalog->catalog_not_first)
        return r;
    for (int i = 0; i < p->catalog->n_search_path; i++) {
        const struct policy_relation *u = lookup(p, p->catalog->search_path[i], name);

        if (u)
            return r ? NULL
                     : u; /* in both, and the order is not the usual one: whose it is stays open */
    }
    return r;
}

bool policy_has_column(const struct policy_relation *r, struct text attr)
{
    static const char *const system_columns[] = {
        "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"
    };
    const struct cat_relation *cat = r->cat ? r->cat : r->sys;

    if (!cat)
        return false;
    for (int i = 0; i < cat->n_columns; i++) {
        if (text_eq(cat->columns[i].name, attr))
            return true;
    }
    if (cat->kind == 'v')
        return false;
    for (size_t i = 0; i < sizeof(system_columns) / sizeof(system_columns[0]); i++) {
        if (text_is(attr, system_columns[i]))
            return true;
    }
    return false;
}

bool policy_system_column_ok(const struct policy_relation *r, struct text column)
{
    struct text rest = text_of(r->hidden), word;

    if (r->cls != REL_SYSTEM)
        return true;
    while (rest.n > 0 && text_split(&rest, ' ', &word)) {
        if (text_eq(word, column))
            return false;
    }
    return true;
}

static const struct claim *claim_named(const struct identity *id, struct text name)
{
    for (int i = 0; i < id->n_claims; i++) {
        if (text_eq(id->claims[i].name, name))
            return &id->claims[i];
    }
    return NULL;
}

const struct claim *policy_claim(const struct policy_relation *r, const struct identity *id)
{
    const struct claim *c;

    if (r->cls != REL_TENANT || !id->bound || id->exempt)
        return NULL;
    if (r->claim.n > 0) {
        c = claim_named(id, r->claim);
    } else {
        c = claim_named(id, r->column->name);
        c = c ? c : claim_named(id, TEXT("tenant"));
    }
    /* storing into varchar(n) drops trailing blanks that do not fit: "acme " could become "acme" */
    if (c && r->column->base_type == OID_VARCHAR && c->value.n > 0 &&
        c->value.p[c->value.n - 1] == ' ')
        return NULL;
    return c;
}
