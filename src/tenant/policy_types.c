/* SPDX-License-Identifier: ISC */
/* Which types tenants may name, and user-defined casts that would call functions nobody allowed. */
#include "base/err.h"
#include "tenant/policy_index.h"

#define FIRST_USER_OID 16384
#define MAX_DEPTH 8 /* domains over arrays over domains ... */

static const char *const ok_types[] = {
#define TYPE_OK(name) name,
#include "tenant/builtin_types.def"
};
static const char *const reg_types[] = {
#define TYPE_REG(name) name,
#include "tenant/builtin_types.def"
};

void policy_index_types(struct policy *p)
{
    struct policy_index *x = p->index;
    const struct catalog *c = p->catalog;

    for (size_t i = 0; i < sizeof(ok_types) / sizeof(ok_types[0]); i++)
        map_put(&x->builtin_types, text_of(ok_types[i]), (void *)(uintptr_t)ok_types[i]);
    for (size_t i = 0; i < sizeof(reg_types) / sizeof(reg_types[0]); i++)
        map_put(&x->reg_types, text_of(reg_types[i]), (void *)(uintptr_t)reg_types[i]);
    for (int i = 0; i < c->n_types; i++) {
        map_put(&x->types, policy_key_in(&p->arena, c->types[i]->schema, c->types[i]->name),
                c->types[i]);
        map_put(&x->type_by_oid, policy_oid_key(&c->types[i]->oid), c->types[i]);
    }
}

const struct cat_type *policy_type_by_oid(const struct policy *p, uint32_t oid)
{
    return map_get(&p->index->type_by_oid, policy_oid_key(&oid));
}

static const struct cat_type *find_type(const struct policy *p, struct text schema,
                                        struct text name)
{
    char buf[POLICY_KEY_MAX];
    struct text key;

    return policy_key(buf, schema, name, &key) ? map_get(&p->index->types, key) : NULL;
}

static bool set_why(struct text *why, struct text t)
{
    if (why)
        *why = t;
    return false;
}

/* A built-in type by its name; "_name" is the array of it. */
static bool builtin_ok(const struct policy *p, struct text name, struct text *why)
{
    if (name.n > 1 && name.p[0] == '_')
        name = text_n(name.p + 1, name.n - 1);
    if (map_get(&p->index->builtin_types, name))
        return true;
    if (map_get(&p->index->reg_types, name))
        return set_why(why, TEXT("the type looks names up in the catalog and shows them"));
    return set_why(why,
                   TEXT("the built-in type is not on the list of types that tenants may name"));
}

static bool composite_ok(const struct policy *p, const struct cat_type *t, int depth,
                         struct text *why)
{
    const struct policy_relation *r = policy_relation(p, t->schema, t->name);

    if (!r || !r->cat || r->cat->kind != 'c')
        return set_why(why, TEXT("the type is the row type of a relation"));
    for (int i = 0; i < r->cat->n_columns; i++) {
        if (!policy_type_oid_ok(p, r->cat->columns[i].type, depth + 1, why))
            return false;
    }
    return true;
}

static bool domain_ok(const struct policy *p, const struct cat_type *t, int depth, struct text *why)
{
    for (int i = 0; i < t->n_check_funcs; i++) {
        const struct fn_node *f =
            map_get(&p->index->function_by_oid, policy_oid_key(&t->check_funcs[i]));

        if (!f || !f->allowed)
            return set_why(why, TEXT("the domain's CHECK calls a function that is not allowed"));
    }
    return policy_type_oid_ok(p, t->base, depth + 1, why);
}

bool policy_type_oid_ok(const struct policy *p, uint32_t oid, int depth, struct text *why)
{
    const struct cat_type *t = policy_type_by_oid(p, oid);
    const char *taint = map_get(&p->index->tainted, policy_oid_key(&oid));

    if (taint)
        return set_why(why, text_of(taint));
    if (!t || depth > MAX_DEPTH)
        return set_why(why, TEXT("the type is not known"));
    if (oid < FIRST_USER_OID && text_is(t->schema, "pg_catalog"))
        return builtin_ok(p, t->name, why);
    switch (t->typtype) {
    case 'e':
        return true;
    case 'd':
        return domain_ok(p, t, depth, why);
    case 'r':
    case 'm':
        return policy_type_oid_ok(p, t->subtype, depth + 1, why);
    case 'c':
        return composite_ok(p, t, depth, why);
    case 'b':
        if (t->elem)
            return policy_type_oid_ok(p, t->elem, depth + 1, why);
        if (t->extension.n > 0)
            return true; /* input and output functions of a C extension */
        return set_why(why, TEXT("the base type belongs to no extension"));
    default:
        return set_why(why, TEXT("it is a pseudo-type"));
    }
}

bool policy_type_ok(const struct policy *p, struct text schema, struct text name, struct text *why)
{
    bool builtin = false;

    if (schema.n == 0 || text_is(schema, "pg_catalog")) {
        const struct cat_type *t = find_type(p, TEXT("pg_catalog"), name);
        struct text ignored;

        if (t && t->oid >= FIRST_USER_OID)
            return policy_type_oid_ok(p, t->oid, 0, why);
        if (t && map_get(&p->index->tainted, policy_oid_key(&t->oid)))
            return policy_type_oid_ok(p, t->oid, 0, why);
        builtin = t || builtin_ok(p, name, &ignored) || policy_type_reg(p, TEXT(""), name);
        if (builtin && !(schema.n == 0 && p->catalog->catalog_not_first))
            return builtin_ok(p, name, why);
        if (schema.n > 0)
            return set_why(why, TEXT("there is no such type"));
    }
    if (schema.n > 0) {
        const struct cat_type *t = find_type(p, schema, name);

        return t ? policy_type_oid_ok(p, t->oid, 0, why)
                 : set_why(why, TEXT("there is no such type"));
    }
    for (int i = 0; i < p->catalog->n_search_path; i++) {
        const struct cat_type *t = find_type(p, p->catalog->search_path[i], name);

        if (t && builtin)
            return set_why(why, TEXT("the name also means a built-in type"));
        if (t)
            return policy_type_oid_ok(p, t->oid, 0, why);
    }
    return builtin ? builtin_ok(p, name, why) : set_why(why, TEXT("there is no such type"));
}

bool policy_type_reg(const struct policy *p, struct text schema, struct text name)
{
    if (schema.n > 0 && !text_is(schema, "pg_catalog"))
        return false;
    return map_get(&p->index->reg_types, name) != NULL;
}

static void taint(struct policy *p, const uint32_t *oid, const char *why)
{
    map_put(&p->index->tainted, policy_oid_key(oid), (void *)(uintptr_t)why);
}

/* Casts run functions that no statement names. Those of an extension in C convert values and
 * nothing else; others have to be declared, or the user-defined types they touch are out of bounds.
 */
bool policy_index_casts(struct policy *p, struct err *e)
{
    const struct catalog *c = p->catalog;

    for (int i = 0; i < c->n_casts; i++) {
        const struct cat_cast *k = &c->casts[i];
        const struct fn_node *f = map_get(&p->index->function_by_oid, policy_oid_key(&k->func));
        const char *why;

        if (f && (f->allowed || (f->f->extension.n > 0 && (text_is(f->f->language, "c") ||
                                                           text_is(f->f->language, "internal")))))
            continue;
        why = f ? arena_printf(&p->arena,
                               "a cast of this type calls %.*s.%.*s, which is not declared in "
                               "[tenant_functions]",
                               TEXT_ARG(f->f->schema), TEXT_ARG(f->f->name))
                      .p
                : "a cast of this type calls a function that is not known";
        if (k->source < FIRST_USER_OID && k->target < FIRST_USER_OID) {
            const struct cat_type *s = policy_type_by_oid(p, k->source),
                                  *t = policy_type_by_oid(p, k->target);

            return err_set(
                e,
                "the cast from %.*s to %.*s, both built-in types, calls %.*s.%.*s: declare it in "
                "[tenant_functions] or drop the cast",
                TEXT_ARG(s ? s->name : TEXT("?")), TEXT_ARG(t ? t->name : TEXT("?")),
                TEXT_ARG(f ? f->f->schema : TEXT("?")), TEXT_ARG(f ? f->f->name : TEXT("?")));
        }
        if (k->source >= FIRST_USER_OID)
            taint(p, &k->source, why);
        if (k->target >= FIRST_USER_OID)
            taint(p, &k->target, why);
    }
    return true;
}

uint32_t policy_type_named(const struct policy *p, struct text schema, struct text name)
{
    const struct cat_type *t;

    if (schema.n > 0) {
        t = find_type(p, schema, name);
        return t ? t->oid : 0;
    }
    t = find_type(p, TEXT("pg_catalog"), name);
    for (int i = 0; !t && i < p->catalog->n_search_path; i++)
        t = find_type(p, p->catalog->search_path[i], name);
    return t ? t->oid : 0;
}
