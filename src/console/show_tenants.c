/* SPDX-License-Identifier: ISC */
/* SHOW TENANTS, TENANT_RULES, DENIALS, AUDIT; RESET. */
#include "console/parts.h"

#include "session/notes.h"

#include <stdlib.h>

/* ---- DENIALS and AUDIT ---- */

static const struct wire_column denial_columns[] = {
    COL_S("database"),   COL_S("reason"),    COL_S("relation"),    COL_Q("count"),
    COL_S("first_seen"), COL_S("last_seen"), COL_S("last_tenant"), COL_S("last_user"),
    COL_S("last_trace"), COL_S("template"),
};
static const struct wire_column audit_columns[] = {
    COL_S("database"),    COL_S("would"),     COL_S("reason"),     COL_S("relation"),
    COL_Q("count"),       COL_S("rule"),      COL_S("first_seen"), COL_S("last_seen"),
    COL_S("last_tenant"), COL_S("last_user"), COL_S("last_trace"), COL_S("template"),
};

static void fn_notes(struct engine *e, struct ask *ask, struct ask_part *part)
{
    const struct note *n;
    size_t pos = 0;

    while ((n = notes_next(e->notes, &pos)) != NULL) {
        if (!(ask->number & 1U << n->kind))
            continue;
        size_t at = buf_len(&part->rows);
        part_put_uint(&part->rows, (uint64_t)n->kind);
        part_put_uint(&part->rows, (uint64_t)(int64_t)n->reason);
        part_put_text(&part->rows, n->database);
        part_put_text(&part->rows, n->about);
        part_put_text(&part->rows, n->template);
        size_t key = buf_len(&part->rows) - at;
        part_put_text(&part->rows, n->fix);
        part_put_text(&part->rows, n->tenant);
        part_put_text(&part->rows, n->user);
        part_put_text(&part->rows, n->trace);
        part_put_uint(&part->rows, n->count);
        part_put_uint(&part->rows, n->first);
        part_put_uint(&part->rows, n->last);
        part_put_uint(&part->rows, key);
    }
}

static struct note read_note(struct text *t, struct text *key)
{
    const char *from = t->p;
    struct note n = { 0 };

    n.kind = (enum note_kind)part_take_uint(t);
    n.reason = (int)(int64_t)part_take_uint(t);
    n.database = part_take_text(t);
    n.about = part_take_text(t);
    n.template = part_take_text(t);
    n.fix = part_take_text(t);
    n.tenant = part_take_text(t);
    n.user = part_take_text(t);
    n.trace = part_take_text(t);
    n.count = part_take_uint(t);
    n.first = part_take_uint(t);
    n.last = part_take_uint(t);
    *key = text_n(from, (size_t)part_take_uint(t));
    return n;
}

static bool take_note(struct merged *m, struct text *rest)
{
    struct text key;
    struct note n = read_note(rest, &key), *old = map_get(&m->by_key, key);

    if (!old) {
        struct note *copy = ARENA_NEW(&m->arena, struct note);
        *copy = n;
        return merged_add(m, key, copy);
    }
    if (n.last > old->last) {
        old->last = n.last;
        old->tenant = n.tenant;
        old->user = n.user;
        old->trace = n.trace;
    }
    if (n.first < old->first)
        old->first = n.first;
    old->count += n.count;
    return true;
}

/* Most frequent first, of these the newest. */
static int by_count(const void *x, const void *y)
{
    const struct note *a = *(struct note *const *)x, *b = *(struct note *const *)y;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->last > b->last ? -1 : a->last < b->last;
}

static void row_note(struct row *r, const struct note *n, bool audit)
{
    row_text(r, n->database);
    if (audit)
        row_z(r, n->kind == NOTE_WOULD_REFUSE ? "refuse" : "rewrite");
    row_z(r, n->reason >= 0 ? refusal_name((enum refusal)n->reason) : NULL);
    row_text(r, n->about);
    row_uint(r, n->count);
    if (audit)
        row_text(r, n->fix);
    row_time(r, n->first);
    row_time(r, n->last);
    row_text(r, n->tenant);
    row_text(r, n->user);
    row_text(r, n->trace);
    row_text(r, n->template);
}

static void done_notes(struct admin *a, struct ask *ask, uint64_t sum)
{
    bool audit = ask->number != 1U << NOTE_DENIED;
    struct merged m;
    struct row r;
    (void)sum;

    if (!parts_merge(a, ask, &m, take_note, by_count))
        return;
    row_init(&r);
    wire_rowdesc_build(&a->out, audit ? audit_columns : denial_columns,
                       audit ? COLUMNS(audit_columns) : COLUMNS(denial_columns));
    for (size_t i = 0; i < m.n; i++) {
        row_note(&r, m.v[i], audit);
        row_end(&r, audit ? COLUMNS(audit_columns) : COLUMNS(denial_columns), &a->out);
    }
    merged_release(&m);
    admin_complete(a, TEXT("SHOW"));
}

void show_denials(struct admin *a, const struct statement *st)
{
    (void)st;
    (void)admin_ask(a, TEXT(""), 1U << NOTE_DENIED, fn_notes, done_notes);
}

void show_audit(struct admin *a, const struct statement *st)
{
    (void)st;
    (void)admin_ask(a, TEXT(""), 1U << NOTE_WOULD_REFUSE | 1U << NOTE_WOULD_REWRITE, fn_notes,
                    done_notes);
}

static void fn_reset(struct engine *e, struct ask *ask, struct ask_part *part)
{
    (void)part;
    notes_reset(e->notes, (unsigned)ask->number);
}

void command_reset(struct admin *a, const struct statement *st)
{
    unsigned kinds = 0;

    if (st->n_args == 1 && text_is_i(st->args[0], "denials"))
        kinds = 1U << NOTE_DENIED;
    else if (st->n_args == 1 && text_is_i(st->args[0], "audit"))
        kinds = 1U << NOTE_WOULD_REFUSE | 1U << NOTE_WOULD_REWRITE;
    if (st->n_args == 1 && text_is_i(st->args[0], "queries"))
        reset_queries(a);
    else if (kinds)
        (void)admin_tell(a, TEXT(""), kinds, fn_reset, TEXT("RESET"));
    else
        admin_error(a, "08P01", "RESET takes DENIALS, AUDIT or QUERIES");
}

/* ---- TENANTS ---- */

static const struct wire_column tenant_columns[] = {
    COL_S("tenant"),
    COL_S("users"),
    COL_I("clients"),
    COL_I("active"),
    COL_I("waiting"),
    COL_Q("passed"),
    COL_Q("rewritten"),
    COL_Q("refused"),
    COL_Q("audited"),
    COL_S("last_seen"),
    COL_I("cl_active"),
    COL_I("cl_waiting"),
    COL_I("sv_active"),
    COL_I("maxwait"),
    COL_I("maxwait_us"),
    COL_I("max_connections"),
    COL_I("max_client_connections"),
};

struct tenant_row {
    struct text name;
    struct text users[NOTES_USERS];
    int n_users; /* NOTES_USERS + 1: there are more */
    uint64_t clients, active, waiting, passed, rewritten, refused, audited, last;
    usec_t oldest; /* since when the longest waiting client waits; 0 = none does */
};

static void put_tenant(struct buf *b, const struct tenant_note *t)
{
    int n = t->n_users < NOTES_USERS ? t->n_users : NOTES_USERS;

    part_put_text(b, t->name);
    part_put_uint(b, (uint64_t)t->n_users);
    for (int i = 0; i < n; i++)
        part_put_text(b, text_of(t->users[i]));
    part_put_uint(b, (uint64_t)t->clients);
    part_put_uint(b, t->passed);
    part_put_uint(b, t->rewritten);
    part_put_uint(b, t->refused);
    part_put_uint(b, t->audited);
    part_put_uint(b, t->last_seen);
}

/* Its tenants, then those of its clients that are active or wait. */
static void fn_tenants(struct engine *e, struct ask *ask, struct ask_part *part)
{
    const struct tenant_note *t;
    size_t pos = 0;
    (void)ask;

    while ((t = notes_next_tenant(e->notes, &pos)) != NULL) {
        part_put_uint(&part->rows, 0);
        put_tenant(&part->rows, t);
    }
    LIST_FOREACH(n, &e->all_clients) {
        const struct client *c = LIST_ENTRY(n, struct client, all);
        if (!c->tenant_note || (c->state != CLIENT_ACTIVE && c->state != CLIENT_WAITING))
            continue;
        part_put_uint(&part->rows, c->state == CLIENT_ACTIVE ? 1 : 2);
        part_put_text(&part->rows, c->tenant_note->name);
        part_put_uint(&part->rows, c->wait_at);
    }
}

static struct tenant_row *tenant_row(struct merged *m, struct text name)
{
    struct tenant_row *t = map_get(&m->by_key, name);

    if (t)
        return t;
    t = ARENA_NEW(&m->arena, struct tenant_row);
    t->name = name;
    return merged_add(m, name, t) ? t : NULL;
}

static void add_user(struct tenant_row *t, struct text user)
{
    for (int i = 0; i < t->n_users && i < NOTES_USERS; i++)
        if (text_eq(t->users[i], user))
            return;
    if (t->n_users < NOTES_USERS)
        t->users[t->n_users] = user;
    if (t->n_users <= NOTES_USERS)
        t->n_users++;
}

static bool take_tenant(struct merged *m, struct text *rest)
{
    uint64_t what = part_take_uint(rest);
    struct tenant_row *t = tenant_row(m, part_take_text(rest));

    if (!t)
        return false;
    if (what) {
        t->active += what == 1;
        t->waiting += what == 2;
        usec_t since = part_take_uint(rest);
        if (what == 2 && (!t->oldest || since < t->oldest))
            t->oldest = since;
        return true;
    }
    uint64_t users = part_take_uint(rest);
    for (uint64_t i = 0; i < users && i < NOTES_USERS; i++)
        add_user(t, part_take_text(rest));
    if (users > NOTES_USERS)
        t->n_users = NOTES_USERS + 1;
    t->clients += part_take_uint(rest);
    t->passed += part_take_uint(rest);
    t->rewritten += part_take_uint(rest);
    t->refused += part_take_uint(rest);
    t->audited += part_take_uint(rest);
    uint64_t last = part_take_uint(rest);
    if (last > t->last)
        t->last = last;
    return true;
}

static int by_name(const void *x, const void *y)
{
    const struct tenant_row *a = *(struct tenant_row *const *)x,
                            *b = *(struct tenant_row *const *)y;
    return text_cmp(a->name, b->name);
}

/* Limits hold per database: shown are those of databases that have none of their own. */
static void put_shares(struct admin *a, struct row *r, const struct tenant_row *t, usec_t now)
{
    const struct database_conf none = { .max_tenant_connections = LIMIT_UNSET,
                                        .max_tenant_client_connections = LIMIT_UNSET };
    struct tenant_limits lim = setup_tenant_limits(console_setup(a->console), &none, t->name);
    usec_t wait = t->oldest && now > t->oldest ? now - t->oldest : 0;

    row_uint(r, t->clients > t->waiting ? t->clients - t->waiting : 0);
    row_uint(r, t->waiting);
    row_uint(r, t->active);
    row_uint(r, wait / USEC_PER_SEC);
    row_uint(r, wait % USEC_PER_SEC);
    row_int(r, lim.servers);
    row_int(r, lim.clients);
}

static void row_tenant(struct admin *a, struct row *r, const struct tenant_row *t, struct arena *ar)
{
    usec_t mono = a->console->control->now, wall = clock_wall_us();
    struct buf users;

    buf_init(&users);
    for (int i = 0; i < t->n_users && i < NOTES_USERS; i++) {
        buf_text_append(&users, i ? TEXT(", ") : TEXT(""));
        buf_text_append(&users, t->users[i]);
    }
    if (t->n_users > NOTES_USERS)
        buf_text_append(&users, TEXT(", ..."));
    row_text(r, t->name);
    row_text(r, arena_text(ar, buf_text(&users)));
    buf_release(&users);
    row_uint(r, t->clients);
    row_uint(r, t->active);
    row_uint(r, t->waiting);
    row_uint(r, t->passed);
    row_uint(r, t->rewritten);
    row_uint(r, t->refused);
    row_uint(r, t->audited);
    if (t->last)
        row_time(r, console_wall(t->last, mono, wall));
    else
        row_null(r);
    put_shares(a, r, t, mono);
    row_end(r, COLUMNS(tenant_columns), &a->out);
}

static void done_tenants(struct admin *a, struct ask *ask, uint64_t sum)
{
    struct merged m;
    struct row r;
    (void)sum;

    if (!parts_merge(a, ask, &m, take_tenant, by_name))
        return;
    row_init(&r);
    wire_rowdesc_build(&a->out, tenant_columns, COLUMNS(tenant_columns));
    for (size_t i = 0; i < m.n; i++)
        row_tenant(a, &r, m.v[i], &m.arena);
    merged_release(&m);
    admin_complete(a, TEXT("SHOW"));
}

void show_tenants(struct admin *a, const struct statement *st)
{
    (void)st;
    (void)admin_ask(a, TEXT(""), 0, fn_tenants, done_tenants);
}

/* ---- TENANT_RULES ---- */

static const struct wire_column rule_columns[] = {
    COL_S("database"), COL_S("schema"),     COL_S("relation"), COL_S("kind"),
    COL_S("class"),    COL_S("column"),     COL_S("type"),     COL_S("claim"),
    COL_S("rls"),      COL_S("insertable"), COL_S("source"),   COL_S("under_rls"),
};

static const char *kind_name(char kind)
{
    switch (kind) {
    case 'r':
        return "table";
    case 'p':
        return "partitioned table";
    case 'v':
        return "view";
    case 'm':
        return "materialized view";
    case 'f':
        return "foreign table";
    case 'S':
        return "sequence";
    case 'c':
        return "type";
    default:
        return "other";
    }
}

static const char *class_name(enum rel_class cls)
{
    static const char *const names[] = { [REL_UNKNOWN] = "unknown",
                                         [REL_TENANT] = "tenant",
                                         [REL_SHARED] = "shared",
                                         [REL_DENY] = "denied",
                                         [REL_SYSTEM] = "system" };
    return names[cls];
}

static void row_rule(struct row *r, struct text db, const struct policy_relation *p)
{
    bool tenant = p->cls == REL_TENANT;

    row_text(r, db);
    row_text(r, p->schema);
    row_text(r, p->name);
    row_z(r, kind_name(p->cat->kind));
    row_z(r, class_name(p->cls));
    if (tenant) {
        row_text(r, p->column->name);
        row_text(r, p->type_sql);
        row_text(r, p->claim.n ? p->claim : TEXT("by column, else tenant"));
    } else {
        row_null(r);
        row_null(r);
        row_null(r);
    }
    row_z(r, p->cat->rls_forced ? "forced" : p->cat->rls ? "on" : "off");
    row_z(r, tenant && p->insertable ? "yes" : "no");
    row_text(r, p->why);
    bool open = p->rls_open || (p->cls == REL_SHARED && !p->rls_shows.n);
    row_text(r, open ? TEXT("open") : p->rls_why);
}

static void put_rules(struct admin *a, struct text db, const struct policy *p)
{
    struct row r;

    row_init(&r);
    for (int i = 0; i < p->catalog->n_relations; i++) {
        const struct cat_relation *c = p->catalog->relations[i];
        const struct policy_relation *rel = policy_relation(p, c->schema, c->name);
        if (!rel || rel->cat != c || c->kind == 'S' || c->kind == 'i' || c->kind == 't')
            continue;
        row_rule(&r, db, rel);
        row_end(&r, COLUMNS(rule_columns), &a->out);
    }
}

void show_tenant_rules(struct admin *a, const struct statement *st)
{
    int n;
    struct db_ledger **dbs = registry_dbs(&a->console->hub->registry, &n);
    (void)st;

    wire_rowdesc_build(&a->out, rule_columns, COLUMNS(rule_columns));
    for (int i = 0; dbs && i < n; i++) {
        struct policy *p = hub_policy_get(a->console->hub, dbs[i]);
        if (!p)
            continue;
        put_rules(a, dbs[i]->name, p);
        policy_unref(p);
    }
    free(dbs);
    admin_complete(a, TEXT("SHOW"));
}
