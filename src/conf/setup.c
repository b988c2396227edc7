/* SPDX-License-Identifier: ISC */
/* Loading a configuration step by step, and giving the snapshot back. */
#include "conf/setup.h"

#include "conf/load.h"
#include "conf/regex.h"
#include "conf/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct place load_key_at(const struct load *l, const char *name)
{
    struct key_table keys = key_table_settings();
    const struct key *k = key_find(keys, text_of(name));

    CHECK(k);
    return l->key_at[k - keys.keys];
}

bool load_file(struct load *l, const char *key, const char *path, struct file_text *out)
{
    if (!path[0] || !l->ini.may_read)
        return false;
    if (file_read(path, out))
        return true;
    trouble_problem(&l->t, load_key_at(l, key), text_of(key), "cannot read \"%s\": %s", path,
                    strerror(errno));
    return false;
}

static struct text *split_list(struct arena *a, const char *list, int *n)
{
    struct text rest = text_of(list), part;
    struct text *out;
    int parts = 1;

    for (const char *p = list; *p; p++)
        parts += *p == ',';
    out = ARENA_ARRAY(a, struct text, parts);
    *n = 0;
    while (text_split(&rest, ',', &part)) {
        part = text_trim(part);
        if (part.n)
            out[(*n)++] = arena_text(a, part);
    }
    return out;
}

struct text *load_list(struct load *l, const char *list, int *n)
{
    return split_list(l->a, list, n);
}

bool load_guc_ok(struct text name)
{
    bool dot = false, start = true;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (c == '.' && !start) {
            dot = start = true;
            continue;
        }
        if (!letter && (start || ((c < '0' || c > '9') && c != '$')))
            return false;
        start = false;
    }
    return dot && !start && name.n <= 63;
}

/* The section that knows the key, or INI_NONE. */
static enum ini_section owner_of(struct text key)
{
    if (key_find(key_table_settings(), key))
        return INI_POOLER;
    if (key_find(key_table_databases(), key))
        return INI_DATABASES;
    if (key_find(key_table_users(), key) || text_is(key, "tenant") ||
        text_starts(key, TEXT("claim.")))
        return INI_USERS;
    return INI_NONE;
}

static void unknown_key(struct load *l, struct key_table keys, struct text key, struct place at)
{
    enum ini_section owner = owner_of(key);
    const char *best = key_suggest(keys, key);
    struct suggest tenant;

    if (!best && keys.keys == key_table_users().keys) {
        suggest_init(&tenant, key);
        suggest_offer(&tenant, "tenant");
        best = tenant.best;
    }
    if (owner != INI_NONE)
        trouble_problem(&l->t, at, key, "unknown key here, it belongs to [%s]",
                        ini_section_name(owner));
    else if (best)
        trouble_problem(&l->t, at, key, "unknown key, did you mean \"%s\"", best);
    else
        trouble_problem(&l->t, at, key, "unknown key");
}

void load_pair(struct load *l, struct key_table keys, struct text key, struct text value,
               void *base, struct place at)
{
    const struct key *k = key_find(keys, key);
    struct err e = { 0 };

    if (!k)
        unknown_key(l, keys, key, at);
    else if (!key_set(k, value, base, l->mem, &e))
        trouble_problem(&l->t, at, key, "%s", e.msg);
    else if (k->flags & KEYF_NOEFFECT)
        trouble_warn(&l->t, at, key, "accepted, but has no effect yet");
}

static void set_defaults(struct load *l)
{
    struct key_table keys = key_table_settings();
    struct err e = { 0 };

    for (int i = 0; i < keys.n; i++)
        CHECK(
            key_set(&keys.keys[i], text_of(keys.keys[i].info.default_text), &l->s->g, l->mem, &e));
}

static void load_setting(struct load *l, struct text key, struct text value, struct place at)
{
    struct key_table keys = key_table_settings();
    const struct key *k = key_find(keys, key);
    struct err e = { 0 };

    if (!k)
        unknown_key(l, keys, key, at);
    else if (!key_set(k, value, &l->s->g, l->mem, &e))
        trouble_problem(&l->t, at, key, "%s", e.msg);
    else
        l->key_at[k - keys.keys] = at;
}

/* Said once per key, by its value in the end. */
static void warn_without_effect(struct load *l)
{
    struct key_table keys = key_table_settings();
    struct buf now;

    buf_init(&now);
    for (int i = 0; i < keys.n; i++) {
        const struct key *k = &keys.keys[i];
        if (!(k->flags & KEYF_NOEFFECT) || !l->key_at[i].file)
            continue;
        buf_clear(&now);
        key_show(k, &l->s->g, &now);
        if (!text_is(buf_text(&now), k->info.default_text))
            trouble_warn(&l->t, l->key_at[i], text_of(k->info.name),
                         "accepted, but has no effect yet");
    }
    buf_release(&now);
}

static void make_arrays(struct load *l)
{
    struct setup *s = l->s;
    int n[INI_OPERATORS + 1] = { 0 };

    for (int i = 0; i < l->ini.n; i++)
        n[l->ini.lines[i].section]++;
    s->databases = ARENA_ARRAY(l->a, struct database_conf *, n[INI_DATABASES]);
    l->db_at = ARENA_ARRAY(l->a, struct place, n[INI_DATABASES]);
    s->users = ARENA_ARRAY(l->a, struct user_conf *, n[INI_USERS]);
    l->user_at = ARENA_ARRAY(l->a, struct place, n[INI_USERS]);
    l->user_cap = n[INI_USERS];
    s->peers = ARENA_ARRAY(l->a, struct peer_conf, n[INI_PEERS]);
    s->rules = ARENA_ARRAY(l->a, struct tenant_rule, n[INI_RULES]);
    s->functions = ARENA_ARRAY(l->a, struct tenant_function, n[INI_FUNCTIONS]);
    s->operators = ARENA_ARRAY(l->a, struct tenant_operator, n[INI_OPERATORS]);
    l->key_at = ARENA_ARRAY(l->a, struct place, keys_count());
}

static void load_line(struct load *l, const struct ini_line *line)
{
    switch (line->section) {
    case INI_NONE:
        break;
    case INI_POOLER:
        load_setting(l, line->key, line->value, line->at);
        break;
    case INI_DATABASES:
        load_database(l, line);
        break;
    case INI_USERS:
        load_user(l, line);
        break;
    case INI_PEERS:
        load_peer(l, line);
        break;
    case INI_TENANTS:
        load_tenant(l, line);
        break;
    case INI_RULES:
        load_rule(l, line);
        break;
    case INI_FUNCTIONS:
        load_function(l, line);
        break;
    case INI_OPERATORS:
        load_operator(l, line);
        break;
    }
}

static void load_overrides(struct load *l, const struct setup_override *over, int n)
{
    struct err e = { 0 };

    for (int i = 0; i < n; i++) {
        struct text key = over[i].key;
        const struct key *k = key_find(key_table_settings(), key);
        if (!k || (k->flags & KEYF_BOOT) || !key_set(k, over[i].value, &l->s->g, l->mem, &e))
            trouble_problem(&l->t, (struct place){ "SET", 0 }, key, "%s",
                            k && e.msg[0] ? e.msg : "cannot be set");
    }
}

static void fill_host(struct setup *s, struct database_conf *db)
{
    const char **hosts;

    if (db->host[0])
        return;
    hosts = ARENA_ARRAY(&s->arena, const char *, 1);
    hosts[0] = s->g.unix_socket_dir;
    db->hosts = hosts;
}

/* Entries without host use our own socket directory. */
static void fill_hosts(struct setup *s)
{
    struct database_conf *copy;

    for (int i = 0; i < s->n_databases; i++)
        fill_host(s, s->databases[i]);
    if (!s->autodb)
        return;
    copy = ARENA_NEW(&s->arena, struct database_conf);
    *copy = *s->autodb;
    fill_host(s, copy);
    s->autodb = copy;
}

static void load_everything(struct load *l, const struct setup_override *over, int n_over)
{
    struct setup *s = l->s;

    make_arrays(l);
    set_defaults(l);
    for (int i = 0; i < l->ini.n; i++)
        load_line(l, &l->ini.lines[i]);
    load_overrides(l, over, n_over);
    if (!s->g.conffile[0])
        s->g.conffile = s->path;
    warn_without_effect(l);
    s->tenant_columns = load_list(l, s->g.tenant_columns, &s->n_tenant_columns);
    s->ignore_startup = load_list(l, s->g.ignore_startup_parameters, &s->n_ignore_startup);
    s->track_extra = load_list(l, s->g.track_extra_parameters, &s->n_track_extra);
    fill_hosts(s);
    load_user_lists(l);
    load_identity(l);
    load_access(l);
    load_metrics_access(l);
    load_check(l);
}

/* The lines of a file and of those it includes, as they were read. */
struct source {
    _Atomic int refs;
    struct ini ini;
};

static struct source *source_new(void)
{
    struct source *src = calloc(1, sizeof(*src));

    if (!src)
        check_no_memory(sizeof(*src));
    atomic_init(&src->refs, 1);
    ini_init(&src->ini);
    return src;
}

static void source_unref(struct source *src)
{
    if (atomic_fetch_sub_explicit(&src->refs, 1, memory_order_acq_rel) != 1)
        return;
    ini_release(&src->ini);
    free(src);
}

static void setup_free(struct setup *s)
{
    map_release(&s->db_by_name);
    map_release(&s->user_by_name);
    map_release(&s->tenant_by_name);
    regex_free_all(&s->patterns);
    arena_release(&s->arena);
    secret_wipe_all(&s->secrets);
    source_unref(s->source);
    free(s);
}

/* An empty setup for the lines of src, whose reference goes to it. */
static struct setup *setup_new(const char *path, uint64_t generation, struct source *src)
{
    struct setup *s = calloc(1, sizeof(*s));

    if (!s)
        check_no_memory(sizeof(*s));
    atomic_init(&s->refs, 1);
    s->generation = generation;
    s->source = src;
    snprintf(s->path, sizeof(s->path), "%s", path);
    arena_init(&s->arena, 16384);
    map_init(&s->db_by_name);
    map_init(&s->user_by_name);
    map_init(&s->tenant_by_name);
    return s;
}

/* Fills s from the lines of its source. NULL: problems; s is gone then. */
static struct setup *make(struct load *l, const struct setup_override *over, int n_over,
                          struct buf *problems)
{
    struct setup *s = l->s;

    l->ini = s->source->ini;
    if (!l->ini.may_read || l->ini.n_files) /* else the file itself could not be read */
        load_everything(l, over, n_over);
    s->warnings = arena_text(l->a, buf_text(&l->t.warnings));
    if (l->t.n_problems) {
        buf_text_append(problems, buf_text(&l->t.problems));
        setup_free(s);
        s = NULL;
    }
    buf_release(&l->t.problems);
    buf_release(&l->t.warnings);
    return s;
}

static struct load load_of(struct setup *s)
{
    struct load l = { .s = s, .a = &s->arena, .mem = { &s->arena, &s->secrets } };

    l.t.main_file = s->path;
    return l;
}

struct setup *setup_load(const char *path, uint64_t generation, const struct setup_override *over,
                         int n_over, struct buf *problems)
{
    struct setup *s = setup_new(path, generation, source_new());
    struct load l = load_of(s);

    if (strlen(path) >= sizeof(s->path))
        trouble_problem(&l.t, (struct place){ NULL, 0 }, TEXT(""), "the path is too long");
    else
        ini_load(&s->source->ini, path, &l.t);
    return make(&l, over, n_over, problems);
}

struct setup *setup_again(const struct setup *old, uint64_t generation,
                          const struct setup_override *over, int n_over, struct buf *problems)
{
    atomic_fetch_add_explicit(&old->source->refs, 1, memory_order_relaxed);
    struct load l = load_of(setup_new(old->path, generation, old->source));

    return make(&l, over, n_over, problems);
}

struct setup *setup_parse(const char *name, struct text body, struct buf *problems)
{
    struct setup *s = setup_new(name, 1, source_new());
    struct load l = load_of(s);
    struct arena *a = &s->source->ini.arena;

    s->source->ini.may_read = false;
    ini_parse(&s->source->ini, arena_text(a, body), arena_strdup(a, name), &l.t);
    return make(&l, NULL, 0, problems);
}

/* The counter is the one member that changes behind a const pointer. */
static struct setup *counted(const struct setup *s)
{
    return (struct setup *)(uintptr_t)s;
}

struct setup *setup_ref(const struct setup *s)
{
    atomic_fetch_add_explicit(&counted(s)->refs, 1, memory_order_relaxed);
    return counted(s);
}

void setup_unref(const struct setup *s)
{
    if (!s)
        return;
    int before = atomic_fetch_sub_explicit(&counted(s)->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        setup_free(counted(s));
}

bool keys_check(const char *key, struct text value, struct err *e)
{
    struct key_table keys = key_table_settings();
    const struct key *k = key_find(keys, text_of(key));
    const char *best;
    struct settings scratch;
    struct secret *secrets = NULL;
    struct arena a;
    bool ok;

    if (!k) {
        best = key_suggest(keys, text_of(key));
        return best ? err_set(e, "unknown key \"%s\", did you mean \"%s\"", key, best)
                    : err_set(e, "unknown key \"%s\"", key);
    }
    if (k->flags & KEYF_BOOT)
        return err_set(e, "%s cannot be changed while running", key);
    arena_init(&a, 0);
    ok = key_set(k, value, &scratch, (struct key_memory){ &a, &secrets }, e);
    secret_wipe_all(&secrets);
    arena_release(&a);
    return ok;
}

void setup_keep_boot(struct setup *s, const struct setup *old, struct buf *changed)
{
    struct key_table keys = key_table_settings();
    struct key_memory mem = { &s->arena, &s->secrets };
    struct buf was, is;
    struct err e = { 0 };

    buf_init(&was);
    buf_init(&is);
    for (int i = 0; i < keys.n; i++) {
        const struct key *k = &keys.keys[i];
        if (!(k->flags & KEYF_BOOT))
            continue;
        buf_clear(&was);
        buf_clear(&is);
        key_show(k, &old->g, &was);
        key_show(k, &s->g, &is);
        if (text_eq(buf_text(&was), buf_text(&is)))
            continue;
        CHECK(key_set(k, buf_text(&was), &s->g, mem, &e));
        if (changed)
            buf_printf(changed, "%s\n", k->info.name);
    }
    fill_hosts(s);
    s->track_extra = split_list(&s->arena, s->g.track_extra_parameters, &s->n_track_extra);
    buf_release(&was);
    buf_release(&is);
}

static void describe(struct buf *out, const char *kind, struct text name, struct key_table keys,
                     const void *base)
{
    buf_printf(out, "%s ", kind);
    buf_text_append(out, name);
    for (int i = 0; i < keys.n; i++) {
        if (keys.keys[i].flags & KEYF_BOOT)
            continue;
        buf_printf(out, "\n%s=", keys.keys[i].info.name);
        key_show(&keys.keys[i], base, out);
    }
    buf_char(out, '\n');
}

void setup_describe(const struct setup *s, struct buf *out)
{
    struct settings g = s->g;

    g.conffile = g.logfile = ""; /* a machine's own, as what is read at the start only */
    describe(out, "settings", text_n(NULL, 0), key_table_settings(), &g);
    for (int i = 0; i < s->n_databases; i++)
        describe(out, "database", s->databases[i]->name, key_table_databases(), s->databases[i]);
    if (s->autodb)
        describe(out, "database", TEXT("*"), key_table_databases(), s->autodb);
    for (int i = 0; s->source && i < s->source->ini.n; i++) {
        const struct ini_line *line = &s->source->ini.lines[i];
        if (line->section <= INI_DATABASES || line->section == INI_PEERS)
            continue; /* written above; peers are a machine's own. No secret is in the others */
        buf_printf(out, "%d ", (int)line->section);
        buf_text_append(out, line->key);
        buf_char(out, '=');
        buf_text_append(out, line->value);
        buf_char(out, '\n');
    }
}
