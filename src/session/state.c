/* SPDX-License-Identifier: ISC */
/* Settings that follow their client: snapshots, differences, and asking servers for the truth. */
#include "session/state.h"

#include "base/check.h"
#include "session/binding.h"
#include "session/session.h"

#include <stdlib.h>

/* ---- snapshots ---- */

struct entry {
    const char *name, *value;
};

struct session_state {
    _Atomic int refs;
    int n;
    size_t bytes; /* of names and values */
    struct entry e[];
};

struct session_state *session_state_ref(struct session_state *st)
{
    if (st)
        atomic_fetch_add_explicit(&st->refs, 1, memory_order_relaxed);
    return st;
}

void session_state_unref(struct session_state *st)
{
    if (st && atomic_fetch_sub_explicit(&st->refs, 1, memory_order_acq_rel) == 1)
        free(st);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* Of n entries without doubles, sorted here. false: out of memory. None: *out is NULL. */
static bool snapshot(struct entry *e, int n, struct session_state **out)
{
    size_t bytes = 0;

    *out = NULL;
    if (n == 0)
        return true;
    for (int i = 0; i < n; i++)
        bytes += strlen(e[i].name) + strlen(e[i].value) + 2;
    qsort(e, (size_t)n, sizeof(*e), by_name);
    struct session_state *st = malloc(sizeof(*st) + sizeof(*e) * (size_t)n + bytes);
    if (!st)
        return false;
    atomic_init(&st->refs, 1);
    st->n = n;
    st->bytes = bytes;
    char *p = (char *)(st->e + n);
    for (int i = 0; i < n; i++) {
        size_t a = strlen(e[i].name) + 1, b = strlen(e[i].value) + 1;
        st->e[i].name = memcpy(p, e[i].name, a);
        st->e[i].value = memcpy(p + a, e[i].value, b);
        p += a + b;
    }
    *out = st;
    return true;
}

static const struct entry *find(const struct session_state *st, const char *name)
{
    const struct entry key = { name, NULL };
    return st ? bsearch(&key, st->e, (size_t)st->n, sizeof(*st->e), by_name) : NULL;
}

static bool holds(const struct session_state *st, const char *name)
{
    return find(st, name) != NULL;
}

/* ---- what is touched ---- */

/* Settings that a client's texts touched on its server, and the answer about them. */
struct touch {
    bool all;        /* every one that the server's state has */
    bool computed;   /* others, too, which nobody can name */
    bool doubt;      /* they may be what they were before */
    bool failed;     /* ... because of an error or a rollback */
    bool broken;     /* the answer makes no sense, or memory is short */
    bool again;      /* all, and behind that a reported one was set */
    struct buf held; /* ... which the answer names, each with its NUL */
    int failures;    /* answers that were errors */
    int n;
    struct buf names; /* each with its NUL */
    struct buf rows;  /* of the answer: name NUL set or not ('1', '0') value NUL */
    int n_rows;
};

static void touch_free(struct touch *t)
{
    if (!t)
        return;
    buf_release(&t->names);
    buf_release(&t->rows);
    buf_release(&t->held);
    free(t);
}

/* The server's, made when there is none; NULL: out of memory. */
static struct touch *touch_of(struct server *s)
{
    if (!s->touch)
        s->touch = calloc(1, sizeof(*s->touch));
    return s->touch;
}

static bool touch_name(struct touch *t, struct text name)
{
    for (const char *p = t->names.p, *end = p + t->names.n; p < end; p += strlen(p) + 1)
        if (text_is(name, p))
            return true;
    if (t->n >= STATE_MAX_NAMES) {
        t->computed = true; /* found among those that the server says are set */
        return true;
    }
    buf_text_append(&t->names, name);
    buf_char(&t->names, '\0');
    t->n++;
    return !t->names.failed;
}

/* tenant_guc of the server's database? */
static bool binds_tenants(const struct server *s, struct text name)
{
    const struct shard *sh = s->shard;
    const char *guc =
        sh->db && sh->db->tenant_guc ? sh->db->tenant_guc : sh->engine->setup->g.tenant_guc;
    return *guc && text_is_i(name, guc);
}

/* Does the server report the setting, so that it follows its client by vars.h? */
static bool reported(const struct server *s, struct text name)
{
    int var = var_index(&s->shard->engine->hub->var_names, name);

    return var >= 0 && s->vars->value[var];
}

/* Is the setting kept here? Not those that belong to the transaction, those that the server
 * reports (vars.h), and those that a tenant's server is pinned to. */
static bool kept(const struct server *s, struct text name)
{
    static const char *const never[] = { "transaction_isolation", "transaction_read_only",
                                         "transaction_deferrable", "seed", "is_superuser" };
    static const char *const pinned[] = { "search_path", "client_encoding",
                                          "standard_conforming_strings" };

    if (reported(s, name))
        return false;
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (text_is(name, never[i]))
            return false;
    if (s->client && client_enforced(s->client))
        for (size_t i = 0; i < sizeof(pinned) / sizeof(pinned[0]); i++)
            if (text_is(name, pinned[i]))
                return false;
    return true;
}

static bool touched(struct client *c, struct server *s, struct text name, bool reset)
{
    if (binds_tenants(s, name)) {
        if (!client_enforced(c))
            s->opaque = true;
        return true;
    }
    if (s->touch && s->touch->all && reported(s, name))
        s->touch->again = true;
    if (!kept(s, name) || (reset && !s->touch && !s->asked && !holds(s->settings, name.p)))
        return true;
    struct touch *t = touch_of(s);
    if (!t || !touch_name(t, name))
        return false;
    t->doubt = t->doubt || reset;
    return true;
}

/* Anything may have been set. */
static bool touched_computed(struct server *s)
{
    struct touch *t = touch_of(s);

    s->opaque = true;
    if (t)
        t->computed = t->doubt = true;
    return t != NULL;
}

static bool touched_all(struct server *s)
{
    if (!s->settings && !s->touch && !s->asked && !s->client->startup)
        return true;
    struct touch *t = touch_of(s);
    if (t)
        t->all = t->doubt = true;
    return t != NULL;
}

/* set_config($n, ...): the name that Bind brings. false: out of memory. */
static bool touched_param(struct client *c, struct server *s, const struct effect *e,
                          const struct wire_bind *bind)
{
    struct text value;
    char name[200];
    bool is_null;
    int format;

    if (!bind || !e->param || !wire_bind_param(bind, e->param - 1, &format, &value, &is_null) ||
        (!is_null && (value.n == 0 || value.n >= sizeof(name) || memchr(value.p, '\0', value.n))))
        return touched_computed(s);
    if (is_null)
        return true;
    for (size_t i = 0; i < value.n; i++)
        name[i] =
            value.p[i] >= 'A' && value.p[i] <= 'Z' ? (char)(value.p[i] + ('a' - 'A')) : value.p[i];
    name[value.n] = '\0';
    return touched(c, s, text_n(name, value.n), false);
}

/* What is created on a search_path is temporary where pg_temp is the first of it. */
static bool makes_temporary(const char *search_path)
{
    return strstr(search_path, "pg_temp") != NULL || strstr(search_path, "PG_TEMP") != NULL;
}

static bool note(struct client *c, struct server *s, const struct effect *e,
                 const struct wire_bind *bind)
{
    if (text_is(e->name, "search_path") && makes_temporary(e->value.p))
        s->opaque = true;
    switch (e->kind) {
    case FX_SET:
        return e->name.n ? touched(c, s, e->name, false) : touched_param(c, s, e, bind);
    case FX_RESET:
        return touched(c, s, e->name, true);
    case FX_RESET_ALL:
    case FX_DISCARD_ALL:
        return touched_all(s);
    case FX_LOAD:
    case FX_DO:
    case FX_UNKNOWN:
        return touched_computed(s);
    default:
        return true;
    }
}

/* Is nothing of the client's outstanding or open on the server? */
static bool untouched(const struct server *s)
{
    for (uint32_t i = 0; i < s->pending->n; i++)
        if (pending_at(s->pending, i)->action != PEND_OWN)
            return false;
    return s->status == 'I';
}

bool state_before(struct client *c, const struct effects *e)
{
    struct server *s = c->server;

    if (!c->virtual_state || !effects_have(e, FX_BIT(FX_SEQUENCE)) || s->last_client == c->id ||
        !untouched(s))
        return true;
    s->last_client = c->id;
    return server_own_query(s, TEXT("DISCARD SEQUENCES"), 0);
}

bool state_sent(struct client *c, const struct effects *e, const struct wire_bind *bind)
{
    if (!c->virtual_state)
        return true;
    for (int i = 0; e && i < e->n; i++)
        if (!note(c, c->server, &e->list[i], bind))
            return false;
    return true;
}

static bool escapes(const struct client *c)
{
    int i = var_index(&c->engine->hub->var_names, TEXT("standard_conforming_strings"));
    return c->vars.value[i] && strcmp(c->vars.value[i], "off") == 0;
}

bool state_bound(struct client *c, const struct stmt *st, const struct wire_bind *bind)
{
    if (!c->virtual_state || !st->maybe_effects)
        return true;
    if (memchr(st->sql.p, '\\', st->sql.n) && escapes(c))
        return touched_computed(c->server);
    return state_sent(c, st->effects, bind);
}

bool state_sent_unseen(struct client *c)
{
    return touched_computed(c->server);
}

/* set_config, setseed, and advisory locks of the session, by their OIDs (pg_proc.dat). */
bool state_sent_function(struct client *c, const char *body, size_t n)
{
    static const uint32_t oids[] = { 2078, 1599, 2880, 2881, 2882, 2883, 2884, 2885,
                                     2886, 2887, 2888, 2889, 2890, 2891, 2892 };
    struct rd r = rd_init(body, n);
    uint32_t oid = rd_u32(&r);

    for (size_t i = 0; c->virtual_state && i < sizeof(oids) / sizeof(oids[0]); i++)
        if (oid == oids[i])
            return touched_computed(c->server);
    return true;
}

bool state_effects(const struct client *c, struct text sql, struct effects **out)
{
    *out = NULL;
    if (!c->virtual_state || !effects_maybe(sql))
        return true;
    return effects_read(sql, escapes(c), out);
}

/* What the effects may add to the client's settings. */
static size_t addition(const struct client *c, const struct effects *e)
{
    size_t bytes = 0;

    for (int i = 0; i < e->n; i++) {
        const struct entry *old = find(c->settings, e->list[i].name.p);
        size_t more = e->list[i].value.n, less = old ? strlen(old->value) : 0;
        if (e->list[i].kind == FX_SET && !binds_tenants(c->server, e->list[i].name) &&
            kept(c->server, e->list[i].name))
            bytes += old ? (more > less ? more - less : 0) : e->list[i].name.n + more + 2;
    }
    return bytes;
}

bool state_allows(struct client *c, const struct effects *e, bool simple)
{
    if (!c->virtual_state || !effects_have(e, FX_BIT(FX_SET)))
        return true;
    size_t more = addition(c, e);
    if ((c->settings ? c->settings->bytes : 0) + c->settings_coming + c->settings_asked + more <=
        STATE_MAX_BYTES) {
        c->settings_coming += (uint32_t)more;
        return true;
    }
    client_refuse_text(c, simple, "54000",
                       "the settings of this session would take more than %d bytes",
                       STATE_MAX_BYTES);
    return false;
}

void state_doubt(struct server *s)
{
    if (s->touch)
        s->touch->doubt = s->touch->failed = true;
}

/* ---- making a server's state a client's ---- */

/* These two decide what may be set and by whom, so they go first when they are left and last when
 * they are taken. */
static bool is_role(const char *name)
{
    return strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0;
}

/* value: NULL resets it. RESET would do, but not for a name that is longer than an identifier. */
static void set_config(struct buf *sql, const char *name, const char *value, bool *more)
{
    buf_text_append(sql, *more ? TEXT(",") : TEXT("SELECT "));
    buf_text_append(sql, TEXT("pg_catalog.set_config("));
    wire_quote_literal(sql, text_of(name));
    buf_char(sql, ',');
    if (value)
        wire_quote_literal(sql, text_of(value));
    else
        buf_text_append(sql, TEXT("NULL"));
    buf_text_append(sql, TEXT(",false)"));
    *more = true;
}

static bool same(const struct session_state *a, const struct session_state *b)
{
    if (!a || !b || a->n != b->n || a->bytes != b->bytes)
        return a == b;
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->e[i].name, b->e[i].name) != 0 || strcmp(a->e[i].value, b->e[i].value) != 0)
            return false;
    return true;
}

/* Settings that are other on the server, roles apart. */
static void differences(const struct session_state *want, const struct session_state *have,
                        bool roles, struct buf *sql)
{
    bool more = false;

    for (int i = 0; have && !roles && i < have->n; i++)
        if (!is_role(have->e[i].name) && !find(want, have->e[i].name))
            set_config(sql, have->e[i].name, NULL, &more);
    for (int i = want ? want->n - 1 : -1; i >= 0; i--) { /* session_authorization before role */
        const struct entry *e = &want->e[i], *old = find(have, e->name);
        if (is_role(e->name) == roles && (roles || !old || strcmp(old->value, e->value) != 0))
            set_config(sql, e->name, e->value, &more);
    }
}

bool state_diff(const struct client *c, struct server *s)
{
    struct session_state *want = c->settings, *have = s->settings;
    struct buf set, roles;
    struct text sql[4];
    int n = 0;

    if (want == have || !c->virtual_state)
        return true;
    buf_init(&set);
    buf_init(&roles);
    if (!same(want, have)) {
        if (find(have, "session_authorization"))
            sql[n++] = TEXT("RESET SESSION AUTHORIZATION");
        if (find(have, "role"))
            sql[n++] = TEXT("RESET ROLE");
        differences(want, have, false, &set);
        if (buf_len(&set))
            sql[n++] = buf_text(&set);
        differences(want, have, true, &roles);
        if (buf_len(&roles))
            sql[n++] = buf_text(&roles);
    }
    bool ok = !set.failed && !roles.failed && (n == 0 || binding_run(s, sql, n));
    buf_release(&set);
    buf_release(&roles);
    s->settings = session_state_ref(want);
    session_state_unref(have);
    return ok;
}

/* ---- asking ---- */

static void ask_value(struct buf *sql, const char *name, bool *more)
{
    buf_text_append(sql, *more ? TEXT(" UNION ALL SELECT ") : TEXT("SELECT "));
    wire_quote_literal(sql, text_of(name));
    buf_text_append(sql, TEXT(",pg_catalog.current_setting("));
    wire_quote_literal(sql, text_of(name));
    buf_text_append(sql, TEXT(",true),'session'"));
    *more = true;
}

/* ('name', is it readable although pg_settings does not have it?) */
static void ask_source(struct buf *sql, const char *name, bool *more)
{
    buf_text_append(sql, *more ? TEXT(",(") : TEXT("("));
    wire_quote_literal(sql, text_of(name));
    buf_text_append(sql, strchr(name, '.') || is_role(name) ? TEXT(",true)") : TEXT(",false)"));
    *more = true;
}

/* name, value or NULL, source or NULL */
static void question(const struct server *s, const struct touch *t, struct buf *sql)
{
    bool more = false;
    const char *p = t->names.p, *end = p + t->names.n;
    const struct session_state *startup =
        t->all && (t->again || t->computed) ? s->client->startup : NULL;

    if (!t->doubt) {
        for (; p < end; p += strlen(p) + 1)
            ask_value(sql, p, &more);
        return;
    }
    if (t->n || ((t->all || t->computed) && s->settings) || startup) {
        buf_text_append(sql, TEXT("SELECT n.n,CASE WHEN s.name IS NOT NULL OR n.p THEN "
                                  "pg_catalog.current_setting(n.n,true) END,s.source FROM "
                                  "(VALUES "));
        for (; p < end; p += strlen(p) + 1)
            ask_source(sql, p, &more);
        for (int i = 0; (t->all || t->computed) && s->settings && i < s->settings->n; i++)
            ask_source(sql, s->settings->e[i].name, &more);
        for (int i = 0; startup && i < startup->n; i++)
            ask_source(sql, startup->e[i].name, &more);
        buf_text_append(sql, TEXT(") n(n,p) LEFT JOIN pg_catalog.pg_settings s ON "
                                  "pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) n.n"));
    }
    if (t->computed)
        buf_text_append(sql, more ? TEXT(" UNION ALL ") : TEXT(""));
    if (t->computed)
        buf_text_append(sql, TEXT("SELECT pg_catalog.lower(s.name),pg_catalog.current_setting("
                                  "s.name,true),s.source FROM pg_catalog.pg_settings s WHERE "
                                  "s.source OPERATOR(pg_catalog.=) 'session'"));
}

/* A ParameterStatus with the client's value. */
static bool tell(struct client *c, int var)
{
    struct buf b;

    buf_init(&b);
    wire_status_build(&b, text_of(c->engine->hub->var_names.name[var]),
                      text_of(c->vars.value[var]));
    bool ok = !b.failed;
    if (ok && c->conn)
        conn_write_copy(c->conn, b.p, b.n);
    buf_release(&b);
    return ok;
}

/* Was the reported setting set behind the RESET ALL? */
static bool is_held(const struct touch *t, const char *name)
{
    for (const char *p = t->held.p, *end = p + t->held.n; p < end; p += strlen(p) + 1)
        if (strcmp(p, name) == 0)
            return true;
    return false;
}

/* RESET ALL and DISCARD ALL took the client's settings back to those of its startup packet, which
 * are not the server's. false: out of memory. */
static bool start_again(struct client *c, const struct server *s, const struct touch *t)
{
    const struct session_state *st = c->startup, *old = c->settings;
    int n = 0;

    if (!t->all || t->failed || !st)
        return true;
    struct entry *e = malloc(sizeof(*e) * (size_t)(st->n + (old ? old->n : 0)));
    bool ok = e != NULL;
    for (int i = 0; ok && old && i < old->n; i++)
        e[n++] = old->e[i];
    for (int i = 0; ok && i < st->n; i++) {
        int var = var_index(&c->engine->hub->var_names, text_of(st->e[i].name));
        const char *value = st->e[i].value;
        if (var >= 0 && s->vars->value[var]) {
            if (c->vars.value[var] && strcmp(c->vars.value[var], value) != 0 &&
                !is_held(t, st->e[i].name))
                ok = vars_set(&c->vars, var, text_of(value)) && tell(c, var);
        } else if (!find(old, st->e[i].name) && kept(s, text_of(st->e[i].name))) {
            e[n++] = st->e[i];
        }
    }
    struct session_state *now = NULL;
    ok = ok && snapshot(e, n, &now);
    free(e);
    if (ok) {
        session_state_unref(c->settings);
        c->settings = now;
    }
    return ok;
}

bool state_ask(struct server *s)
{
    struct touch *t = s->touch;
    struct buf sql;

    if (!t)
        return false;
    CHECK(!s->asked && pending_empty(s->pending));
    s->touch = NULL;
    buf_init(&sql);
    question(s, t, &sql);
    if (buf_len(&sql) == 0 && !sql.failed) { /* there is nothing to ask for */
        bool again = start_again(s->client, s, t);
        touch_free(t);
        if (!again)
            server_close(s, "53200", "out of memory");
        return !again;
    }
    bool ok = !sql.failed && server_own_query(s, buf_text(&sql), 0);
    buf_release(&sql);
    if (!ok) {
        touch_free(t);
        server_close(s, "53200", "out of memory");
        return true;
    }
    pending_last(s->pending)->note = NOTE_STATE;
    pending_last(s->pending)->may_fail = true;
    buf_clear(&t->rows);
    t->n_rows = 0;
    s->asked = t;
    s->client->settings_asked += s->client->settings_coming;
    s->client->settings_coming = 0;
    return true;
}

bool state_holds(const struct server *s)
{
    return s->asked && s->asked->all && s->client && s->client->startup;
}

static bool field(struct rd *r, struct text *value, bool *is_null)
{
    uint32_t n = rd_u32(r);

    *is_null = n == UINT32_MAX;
    *value = *is_null ? TEXT("") : rd_bytes(r, n);
    return !r->bad && (value->n == 0 || !memchr(value->p, '\0', value->n));
}

/* Has the session set it? What is not in pg_settings has no source. */
static bool is_set(struct text name, struct text value, bool sourced, struct text source)
{
    if (sourced)
        return text_is(source, "session");
    if (text_is(name, "role"))
        return !text_is(value, "none");
    return value.n > 0;
}

void state_row(struct server *s, const char *body, size_t n)
{
    struct touch *t = s->asked;
    struct rd r = rd_init(body, n);
    struct text name, value, source;
    bool no_name, no_value, no_source;

    if (!t)
        return;
    if (rd_u16(&r) != 3 || !field(&r, &name, &no_name) || !field(&r, &value, &no_value) ||
        !field(&r, &source, &no_source) || !rd_done(&r) || name.n == 0) {
        t->broken = true;
        return;
    }
    if (t->all && reported(s, name)) { /* of the startup packet: only whether it was set again */
        if (text_is(source, "session")) {
            buf_text_append(&t->held, name);
            buf_char(&t->held, '\0');
            t->broken = t->broken || t->held.failed;
        }
        return;
    }
    if (t->computed && (binds_tenants(s, name) || !kept(s, name)))
        return;
    bool set = !no_value && is_set(name, value, !no_source, source);
    buf_text_append(&t->rows, name);
    buf_char(&t->rows, '\0');
    buf_char(&t->rows, set ? '1' : '0');
    buf_text_append(&t->rows, set ? value : TEXT(""));
    buf_char(&t->rows, '\0');
    t->broken = t->broken || t->rows.failed;
    t->n_rows++;
}

/* The state before, with the answer's rows in place of what it said of them. */
static bool merged(const struct session_state *before, const struct touch *t,
                   struct session_state **out)
{
    int n = 0, most = (before ? before->n : 0) + t->n_rows;
    struct entry *e = malloc(sizeof(*e) * (size_t)(most + 1));
    if (!e)
        return false;
    for (int i = 0; before && i < before->n; i++)
        e[n++] = before->e[i];
    for (const char *p = t->rows.p, *end = p + t->rows.n; p < end;) {
        const char *name = p, *flag = p + strlen(p) + 1, *value = flag + 1;
        int i = 0;
        while (i < n && strcmp(e[i].name, name) != 0)
            i++;
        if (*flag == '1') {
            e[i] = (struct entry){ name, value };
            n += i == n;
        } else if (i < n) {
            e[i] = e[--n];
        }
        p = value + strlen(value) + 1;
    }
    bool ok = snapshot(e, n, out);
    free(e);
    return ok;
}

/* Asks again at the end of the next transaction. */
static bool ask_later(struct server *s, struct touch *t)
{
    struct touch *now = touch_of(s);

    s->asked = NULL;
    s->ask_failed = false;
    bool ok = now && ++t->failures < 3;
    if (ok) {
        now->failures = t->failures;
        now->doubt = true;
        now->all = now->all || t->all;
        now->again = now->again || t->again;
        now->computed = now->computed || t->computed;
        for (const char *p = t->names.p, *end = p + t->names.n; ok && p < end; p += strlen(p) + 1)
            ok = touch_name(now, text_of(p));
    }
    touch_free(t);
    if (!ok)
        server_close(s, "08P01", "the settings of the session could not be read");
    return ok;
}

bool state_answered(struct server *s, bool failed)
{
    struct touch *t = s->asked;
    struct client *c = s->client;
    struct session_state *now = NULL, *old = s->settings;

    if (!t)
        return true;
    if (failed && !c) {
        server_close(s, NULL, "the settings of a session that is over could not be read");
        return false;
    }
    if (failed)
        return ask_later(s, t);
    bool ok = !t->broken && merged(old, t, &now);
    if (ok) {
        s->settings = now;
        session_state_unref(old);
    }
    if (ok && c) {
        session_state_unref(c->settings);
        c->settings = session_state_ref(now);
        ok = start_again(c, s, t);
    }
    s->asked = NULL;
    s->ask_failed = false;
    touch_free(t);
    if (!ok) {
        server_close(s, "53200", "out of memory");
        return false;
    }
    if (!c)
        return true;
    c->settings_asked = 0;
    if (now && now->bytes > STATE_MAX_BYTES) {
        client_close(c, "54000", "the settings of this session take more than %d bytes",
                     STATE_MAX_BYTES);
        return false;
    }
    return true;
}

/* ---- servers that are free ---- */

#define SHORT_LIMIT 100.0 /* milliseconds */

/* Is the time limit so short that our own statements could meet it? What is not understood is. */
static bool is_short(const struct entry *limit)
{
    char *unit;

    if (!limit)
        return false;
    double n = strtod(limit->value, &unit);
    while (*unit == ' ')
        unit++;
    if (strcmp(unit, "s") == 0 || strcmp(unit, "min") == 0 || strcmp(unit, "h") == 0 ||
        strcmp(unit, "d") == 0)
        return n > 0 && n < SHORT_LIMIT / 1000;
    if (strcmp(unit, "us") == 0)
        n /= 1000;
    else if (*unit && strcmp(unit, "ms") != 0)
        return true;
    return !(n == 0 || n >= SHORT_LIMIT);
}

/* Would the next client feel these before its own are set? By a time limit on what makes the server
 * its own, by the server's end while it waits for somebody, or by a statement that waits until the
 * serializable transactions of others are over. */
static bool burdens(const struct session_state *st)
{
    return holds(st, "idle_session_timeout") || holds(st, "default_transaction_deferrable") ||
           is_short(find(st, "statement_timeout")) || is_short(find(st, "transaction_timeout"));
}

bool state_unclean(struct server *s)
{
    bool unclean = s->opaque || s->touch || burdens(s->settings); /* touch: its client is gone */
    const struct entry *path = s->settings ? find(s->settings, "search_path") : NULL;

    touch_free(s->touch);
    s->touch = NULL;
    return unclean || (path && makes_temporary(path->value));
}

void state_reset(struct server *s, struct text query)
{
    struct effects *e = NULL;

    if (!s->settings && !s->opaque)
        return;
    if (effects_read(query, false, &e) &&
        effects_have(e, FX_BIT(FX_RESET_ALL) | FX_BIT(FX_DISCARD_ALL))) {
        session_state_unref(s->settings);
        s->settings = NULL;
        s->opaque = false;
    }
    free(e);
}

bool state_undoes(const struct server *s, const char *connect_query)
{
    struct effects *e = NULL;
    bool undoes;

    if (!s->settings || !connect_query || !*connect_query)
        return false;
    undoes = !effects_read(text_of(connect_query), false, &e);
    for (int i = 0; e && !undoes && i < e->n; i++)
        undoes = e->list[i].kind == FX_DO || e->list[i].kind == FX_UNKNOWN ||
                 (e->list[i].kind == FX_SET &&
                  (!e->list[i].name.n || holds(s->settings, e->list[i].name.p)));
    free(e);
    return undoes;
}

void state_free_server(struct server *s)
{
    touch_free(s->touch);
    touch_free(s->asked);
    session_state_unref(s->settings);
    s->touch = s->asked = NULL;
    s->settings = NULL;
}

/* ---- clients ---- */

bool state_login(struct client *c, const struct vars *given, const struct vars *reported)
{
    const struct var_names *names = &c->engine->hub->var_names;
    struct entry all[VARS_MAX], kept_here[VARS_MAX];
    char *lower[VARS_MAX] = { NULL };
    int n = 0, n_kept = 0;
    bool ok = true;

    for (int i = 0; c->virtual_state && ok && i < names->n; i++) {
        const char *value = c->vars.value[i];
        if (!value || !(given->value[i] || i == VAR_APPLICATION_NAME) || !*value)
            continue;
        lower[n] = text_dup(text_of(names->name[i]));
        ok = lower[n] != NULL;
        for (char *p = lower[n]; p && *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        all[n] = (struct entry){ lower[n], value };
        if (!reported->value[i] &&
            !(client_enforced(c) && text_is(text_of(lower[n]), "search_path")))
            kept_here[n_kept++] = all[n];
        n++;
    }
    ok = ok && snapshot(all, n, &c->startup) && snapshot(kept_here, n_kept, &c->settings);
    for (int i = 0; i < n; i++)
        free(lower[i]);
    return ok;
}
