/* SPDX-License-Identifier: ISC */
/* Settings of [tenant_rules] that hold while one statement runs. */
#include "session/settings.h"

#include "session/session.h"
#include "wire/query.h"

#include <stdlib.h>

/* Only what a failed transaction refuses anyway: a message of ours that fails in front of it then
 * changes nothing, while one in front of a ROLLBACK would. */
static bool is_query(const struct verdict *v)
{
    return v->kind == STMT_SELECT || v->kind == STMT_INSERT || v->kind == STMT_UPDATE ||
           v->kind == STMT_DELETE || v->kind == STMT_MERGE;
}

/* pg_catalog.set_config('name', 'value' or NULL for the default, true), ... */
static void calls(struct buf *b, const struct verdict *v, bool back)
{
    for (int i = 0; i < v->n_settings; i++) {
        if (i)
            buf_char(b, ',');
        buf_text_append(b, TEXT("pg_catalog.set_config("));
        wire_quote_literal(b, v->settings[i].name);
        buf_char(b, ',');
        if (back)
            buf_text_append(b, TEXT("NULL"));
        else
            wire_quote_literal(b, v->settings[i].value);
        buf_text_append(b, TEXT(",true)"));
    }
}

/* Remembers how to take the verdict's settings back. */
static bool remember(struct server *s, const struct verdict *v)
{
    struct buf b;

    buf_init(&b);
    calls(&b, v, true);
    free(s->set_undo);
    s->set_undo = b.failed ? NULL : text_dup(buf_text(&b));
    s->set_batch = s->batch;
    buf_release(&b);
    return s->set_undo != NULL;
}

static bool no_memory(struct server *s)
{
    if (!s->dying)
        server_close(s, "53200", "out of memory");
    return false;
}

bool settings_before_bind(struct client *c, const struct verdict *v)
{
    struct server *s = c->server;
    struct buf sql;

    if (!v || !client_enforced(c) || (!v->n_settings && !(s->set_undo && is_query(v))))
        return true;
    buf_init(&sql);
    buf_text_append(&sql, TEXT("SELECT "));
    if (s->set_undo)
        buf_text_append(&sql, text_of(s->set_undo));
    if (s->set_undo && v->n_settings)
        buf_char(&sql, ',');
    calls(&sql, v, false);
    bool ok = !sql.failed && server_own_execute(s, TEXT("PGBULKHEAD_SET"), buf_text(&sql), 0);
    buf_release(&sql);
    if (!ok)
        return no_memory(s);
    if (v->n_settings)
        return remember(s, v) || no_memory(s);
    free(s->set_undo);
    s->set_undo = NULL;
    return true;
}

bool settings_before_query(struct client *c, const struct verdict *v)
{
    struct server *s = c->server;
    struct buf sql;

    if (!v || !s->set_undo || !client_enforced(c) || !is_query(v))
        return true;
    buf_init(&sql);
    buf_text_append(&sql, TEXT("SELECT "));
    buf_text_append(&sql, text_of(s->set_undo));
    bool ok = !sql.failed && server_own_query(s, buf_text(&sql), 0);
    buf_release(&sql);
    if (!ok)
        return no_memory(s);
    pending_last(s->pending)->may_fail = true;
    free(s->set_undo);
    s->set_undo = NULL;
    return true;
}

void settings_ready(struct server *s)
{
    if (s->set_undo && s->status == 'I' && s->batch_done > s->set_batch) {
        free(s->set_undo);
        s->set_undo = NULL;
    }
}
