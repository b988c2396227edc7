/* SPDX-License-Identifier: ISC */
/* Does a unique key that an error shows belong to the tenant? */
#include "base/buf.h"
#include "tenant/policy.h"
#include "wire/fields.h"

/* Types whose values print without commas, so that the columns behind them can be told apart. */
static bool prints_plainly(uint32_t type)
{
    static const uint32_t plain[] = { 16, 20, 21, 23, 26, 1082, 1700, 2950 };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (plain[i] == type)
            return true;
    return false;
}

static const struct cat_column *column_at(const struct cat_relation *c, int attnum)
{
    for (int i = 0; i < c->n_columns; i++)
        if (c->columns[i].attnum == attnum)
            return &c->columns[i];
    return NULL;
}

static const struct cat_index *unique_named(const struct cat_relation *c, struct text name)
{
    for (int i = 0; i < c->n_uniques; i++)
        if (text_eq(c->uniques[i].name, name))
            return &c->uniques[i];
    return NULL;
}

/* "(a, b)=(" as the server prints the columns of an index without expressions. */
static bool head_build(struct buf *b, const struct cat_relation *c, const struct cat_index *x)
{
    buf_char(b, '(');
    for (int i = 0; i < x->n_cols; i++) {
        const struct cat_column *k = column_at(c, x->cols[i]);
        if (!k)
            return false;
        bool plain = k->name.n > 0 && !(k->name.p[0] >= '0' && k->name.p[0] <= '9');
        for (size_t n = 0; n < k->name.n; n++)
            plain = plain && ((k->name.p[n] >= 'a' && k->name.p[n] <= 'z') ||
                              (k->name.p[n] >= '0' && k->name.p[n] <= '9') || k->name.p[n] == '_');
        if (i)
            buf_text_append(b, TEXT(", "));
        if (plain)
            buf_text_append(b, k->name);
        else
            wire_quote_ident(b, k->name);
    }
    buf_text_append(b, TEXT(")=("));
    return !b->failed;
}

/* The values behind the head: is the tenant column's the tenant's? */
static bool holds(const struct policy_relation *r, const struct cat_index *x, struct text values,
                  struct text want)
{
    for (int i = 0; i < x->n_cols; i++) {
        const struct cat_column *k = column_at(r->cat, x->cols[i]);
        if (k == r->column) {
            if (!text_starts(values, want) || values.n <= want.n)
                return false;
            values = text_n(values.p + want.n, values.n - want.n);
            return i == x->n_cols - 1 ? values.p[0] == ')' : text_starts(values, TEXT(", "));
        }
        const char *comma = memmem(values.p, values.n, ", ", 2);
        if (!k || !prints_plainly(k->base_type) || !comma)
            return false;
        values = text_n(comma + 2, values.n - (size_t)(comma + 2 - values.p));
    }
    return false;
}

bool policy_own_key(const struct policy *p, const struct identity *id, struct text schema,
                    struct text table, struct text index, struct text detail)
{
    const struct policy_relation *r = schema.n ? policy_relation(p, schema, table) : NULL;
    const struct cat_index *x = r && r->cat ? unique_named(r->cat, index) : NULL;
    const struct claim *c = x && r->cls == REL_TENANT ? policy_claim(r, id) : NULL;
    struct buf head;
    bool own = false;

    if (!c)
        return false;
    buf_init(&head);
    if (head_build(&head, r->cat, x)) {
        struct text h = buf_text(&head);
        const char *at = memmem(detail.p, detail.n, h.p, h.n);
        if (at) {
            const char *values = at + h.n;
            own = holds(r, x, text_n(values, detail.n - (size_t)(values - detail.p)), c->value);
        }
    }
    buf_release(&head);
    return own;
}
