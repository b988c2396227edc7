/* SPDX-License-Identifier: ISC */
/* Query levels, items, columns and their lookup. */
#include "tenant/scope.h"

struct level *level_new(struct arena *a, struct level *up)
{
    struct level *l = ARENA_NEW(a, struct level);
    l->up = up;
    l->refs_end = &l->refs;
    l->joins_end = &l->joins;
    return l;
}

struct item *level_add(struct arena *a, struct level *l, struct text name)
{
    ARENA_ROOM(a, l->items, l->n_items, l->cap, 8);
    struct item *i = ARENA_NEW(a, struct item);
    i->name = name;
    l->items[l->n_items++] = i;
    return i;
}

struct tref *level_add_ref(struct arena *a, struct level *l)
{
    struct tref *r = ARENA_NEW(a, struct tref);
    *l->refs_end = r;
    l->refs_end = &r->next;
    return r;
}

void level_add_cte(struct arena *a, struct level *l, struct text name, const struct columns *cols)
{
    struct cte *c = ARENA_NEW(a, struct cte);
    c->name = name;
    c->cols = *cols;
    c->next = l->ctes;
    l->ctes = c;
}

const struct cte *level_cte(const struct level *l, struct text name)
{
    for (; l; l = l->up)
        for (const struct cte *c = l->ctes; c; c = c->next)
            if (text_eq(c->name, name))
                return c;
    return NULL;
}

void columns_add(struct arena *a, struct columns *c, struct text name, int claim)
{
    ARENA_ROOM(a, c->v, c->n, c->cap, 8);
    c->v[c->n++] = (struct column){ name, claim, claim, NULL };
}

const struct column *columns_find(const struct columns *c, struct text name)
{
    for (int i = 0; i < c->n; i++)
        if (text_eq(c->v[i].name, name))
            return &c->v[i];
    return NULL;
}

void columns_append(struct arena *a, struct columns *c, const struct columns *more)
{
    for (int i = 0; i < more->n; i++) {
        columns_add(a, c, more->v[i].name, more->v[i].claim);
        c->v[c->n - 1].held = more->v[i].held;
    }
    c->open |= more->open;
    c->shifting |= more->shifting;
    c->reads_shared |= more->reads_shared;
}

void columns_forget(struct columns *c)
{
    for (int i = 0; i < c->n; i++)
        c->v[i].claim = -1;
}

void columns_unknown(struct columns *c)
{
    for (int i = 0; i < c->n; i++)
        c->v[i].claim = c->v[i].held = -1;
}

void item_forget(struct arena *a, struct item *i)
{
    struct columns copy = { .n = 0 };
    columns_append(a, &copy, &i->cols);
    for (int k = 0; k < copy.n; k++)
        copy.v[k].ref = i->cols.v[k].ref;
    columns_forget(&copy);
    i->cols = copy;
}

void columns_of_relation(struct arena *a, struct columns *c, const struct policy_relation *r,
                         int claim)
{
    const struct cat_relation *cat = r->cat ? r->cat : r->sys;
    if (!cat) {
        c->open = true;
        return;
    }
    for (int i = 0; i < cat->n_columns; i++) {
        bool tenant = r->column && text_eq(cat->columns[i].name, r->column->name);
        columns_add(a, c, cat->columns[i].name, tenant ? claim : -1);
    }
}

bool columns_rename(struct arena *a, struct columns *c, struct node *colnames)
{
    int n = colnames ? list_len(colnames) : 0;
    if (n == 0)
        return true;
    /* The list may be shared with a CTE: work on a copy. */
    struct columns copy = { .open = c->open, .reads_shared = c->reads_shared };
    bool certain = !c->shifting;
    for (int i = 0; i < c->n || i < n; i++) {
        struct text name = i < n ? node_str(list_at(colnames, i), R_sval) : c->v[i].name;
        if (i >= c->n && !c->open)
            return false;
        columns_add(a, &copy, name, certain && i < c->n ? c->v[i].claim : -1);
        if (i < c->n) {
            copy.v[i].held = certain ? c->v[i].held : -1;
            copy.v[i].ref = c->v[i].ref;
        }
    }
    *c = copy;
    return true;
}

static bool item_named(const struct item *i, struct text schema, struct text name)
{
    if (i->hidden || !text_eq(i->name, name))
        return false;
    return schema.n == 0 || text_eq(i->schema, schema);
}

static enum attr_result item_attr(const struct item *i, struct text attr)
{
    if (attr.n == 0 || columns_find(&i->cols, attr))
        return ATTR_COLUMN;
    if (i->relation_cols)
        return policy_has_column(i->rel, attr) ? ATTR_COLUMN : ATTR_NO;
    return i->cols.open ? ATTR_MAYBE : ATTR_NO;
}

static int severity(enum attr_result r)
{
    switch (r) {
    case ATTR_NO_ITEM:
        return 0;
    case ATTR_COLUMN:
        return 1;
    case ATTR_MAYBE:
        return 2;
    case ATTR_NO:
        return 3;
    }
    return 3;
}

enum attr_result scope_attr(const struct level *l, struct text schema, struct text qualifier,
                            struct text attr, const struct item **item)
{
    enum attr_result worst = ATTR_NO_ITEM;
    int found = 0;
    *item = NULL;
    for (; l; l = l->up) {
        int here = 0;
        for (int i = 0; i < l->n_items; i++) {
            if (!item_named(l->items[i], schema, qualifier))
                continue;
            here++;
            found++;
            *item = l->items[i];
            enum attr_result r = item_attr(l->items[i], attr);
            if (severity(r) > severity(worst))
                worst = r;
        }
        /* While FROM is being walked PostgreSQL may not see these items yet: then an outer one is
         * meant. */
        if (here && !l->building)
            break;
    }
    if (found != 1)
        *item = NULL;
    return worst;
}

const struct item *scope_item(const struct level *l, struct text name)
{
    const struct item *item;
    scope_attr(l, (struct text){ NULL, 0 }, name, (struct text){ NULL, 0 }, &item);
    return item;
}

int scope_claim(const struct level *l, struct text column)
{
    int claim = -1;
    for (int i = 0; i < l->n_items; i++) {
        const struct item *it = l->items[i];
        if (it->hidden)
            continue;
        if (it->cols.open)
            return -1;
        const struct column *c = columns_find(&it->cols, column);
        if (!c)
            continue;
        if (c->claim < 0 || (claim >= 0 && claim != c->claim))
            return -1;
        claim = c->claim;
    }
    return claim;
}
