/* SPDX-License-Identifier: ISC */
/* System relations of which tenants see a part: the select list and the filter in their place. */
#include "tenant/policy_index.h"

#include "wire/fields.h"

/* NULL of the column's type; anyarray has no values of its own. */
static bool null_of(const struct policy *p, const struct cat_column *c, struct buf *b)
{
    const struct cat_type *t = policy_type_by_oid(p, c->type);

    if (!t)
        return false;
    buf_text_append(b, TEXT("NULL::"));
    if (t->typtype == 'p') {
        buf_text_append(b, TEXT("pg_catalog.text"));
        return true;
    }
    wire_quote_ident(b, t->schema);
    buf_char(b, '.');
    wire_quote_ident(b, t->name);
    return true;
}

static bool list_columns(const struct policy *p, const struct policy_relation *r, struct buf *b)
{
    for (int i = 0; i < r->sys->n_columns; i++) {
        const struct cat_column *c = &r->sys->columns[i];

        buf_text_append(b, i > 0 ? TEXT(", ") : TEXT(""));
        if (policy_system_column_ok(r, c->name)) {
            wire_quote_ident(b, c->name);
            continue;
        }
        if (!null_of(p, c, b))
            return false;
        buf_text_append(b, TEXT(" AS "));
        wire_quote_ident(b, c->name);
    }
    return r->sys->n_columns > 0;
}

void policy_index_masked(struct policy *p, struct policy_relation *r)
{
    bool settings = text_is(r->schema, "pg_catalog") && text_is(r->name, "pg_settings");
    struct buf b;

    r->has_hidden = r->hidden[0] != '\0' || settings;
    r->shown = r->filter = TEXT("");
    r->cls = REL_SYSTEM; /* hidden columns are those of this class */
    if (!r->has_hidden || !r->sys)
        return;
    buf_init(&b);
    if (list_columns(p, r, &b) && !b.failed)
        r->shown = arena_text(&p->arena, buf_text(&b));
    buf_clear(&b);
    if (settings) {
        buf_text_append(&b, TEXT(" WHERE "));
        policy_settings_filter(&b);
        buf_text_append(&b, TEXT(" OFFSET 0"));
        if (b.failed)
            r->shown = TEXT("");
        else
            r->filter = arena_text(&p->arena, buf_text(&b));
    }
    buf_release(&b);
}
