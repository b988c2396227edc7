/* SPDX-License-Identifier: ISC */
/* tenant_identity, and the file of keys that tokens are signed with. */
#include "conf/load.h"

#include "conf/identity.h"
#include "conf/suggest.h"

#include <errno.h>

static const struct source_name {
    const char *name;
    unsigned source;
} names[] = {
    { "map", SOURCE_MAP },   { "user", SOURCE_USER },       { "auth_query", SOURCE_AUTH_QUERY },
    { "cert", SOURCE_CERT }, { "startup", SOURCE_STARTUP }, { "token", SOURCE_TOKEN },
};
#define N_NAMES (sizeof(names) / sizeof(names[0]))

static void load_sources(struct load *l)
{
    struct place at = load_key_at(l, "tenant_identity");
    struct text rest = text_of(l->s->g.tenant_identity), part;

    while (text_split(&rest, ',', &part)) {
        struct suggest s;
        unsigned found = 0;

        part = text_trim(part);
        suggest_init(&s, part);
        for (size_t i = 0; i < N_NAMES; i++) {
            if (text_is_i(part, names[i].name))
                found = names[i].source;
            suggest_offer(&s, names[i].name);
        }
        l->s->tenant_sources |= found;
        if (found)
            continue;
        if (s.best)
            trouble_problem(&l->t, at, TEXT("tenant_identity"),
                            "\"%.*s\" is none of map, user, auth_query, cert, startup, token; did "
                            "you mean \"%s\"",
                            TEXT_ARG(part), s.best);
        else
            trouble_problem(&l->t, at, TEXT("tenant_identity"),
                            "\"%.*s\" is none of map, user, auth_query, cert, startup, token",
                            TEXT_ARG(part));
    }
}

/* ---- tenant_token_keys: lines `kid algorithm key`, the key being text, b64:... or @file ---- */

static const char *const algs[] = {
    [TOKEN_V1] = "v1", [TOKEN_HS256] = "HS256", [TOKEN_RS256] = "RS256", [TOKEN_ES256] = "ES256"
};

static struct text take_word(struct text *rest)
{
    size_t n = 0;
    struct text word;

    *rest = text_trim(*rest);
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    word = text_n(rest->p, n);
    *rest = text_trim(text_n(rest->p + n, rest->n - n));
    return word;
}

/* @file: what the file holds, without a line end at its end when it is a shared secret. */
static bool key_from_file(struct load *l, struct place at, struct token_key_conf *k,
                          struct text path)
{
    struct file_text f;
    struct arena a;

    arena_init(&a, 512);
    bool ok = file_read(arena_text(&a, path).p, &f);
    if (!ok)
        trouble_problem(&l->t, at, k->kid, "cannot read \"%.*s\": %s", TEXT_ARG(path),
                        strerror(errno));
    arena_release(&a);
    if (!ok)
        return false;
    size_t n = f.n;
    if (k->alg == TOKEN_V1 || k->alg == TOKEN_HS256) {
        n -= n && f.p[n - 1] == '\n';
        n -= n && f.p[n - 1] == '\r';
    }
    k->key = secret_text(l->mem.secrets, text_n(f.p, n));
    file_wipe(&f);
    return true;
}

static void token_key(struct load *l, struct text line, struct place at, int room)
{
    struct setup *s = l->s;
    struct token_key_conf k = { .alg = -1 };
    struct text alg;

    k.kid = take_word(&line);
    alg = take_word(&line);
    for (int i = 0; i < (int)(sizeof(algs) / sizeof(algs[0])); i++)
        if (text_is(alg, algs[i]))
            k.alg = i;
    if (!line.n || k.alg < 0) {
        trouble_problem(&l->t, at, text_n(NULL, 0),
                        "expected: name, then v1, HS256, RS256 or ES256, then the key or @file");
        return;
    }
    if (!key_text_is_clean(k.kid) || k.kid.n > 255) {
        trouble_problem(&l->t, at, text_n(NULL, 0), "the name of the key is not usable");
        return;
    }
    for (int i = 0; i < s->n_token_keys; i++)
        if (text_eq(s->token_keys[i].kid, k.kid) && s->token_keys[i].alg == k.alg) {
            trouble_problem(&l->t, at, k.kid, "given twice");
            return;
        }
    k.kid = arena_text(l->a, k.kid);
    if (line.p[0] == '@') {
        if (!key_from_file(l, at, &k, text_n(line.p + 1, line.n - 1)))
            return;
    } else {
        k.key = secret_text(l->mem.secrets, line);
    }
    CHECK(s->n_token_keys < room);
    s->token_keys[s->n_token_keys++] = k;
}

static void load_token_keys(struct load *l)
{
    const char *path = l->s->g.tenant_token_keys;
    struct place at = { path, 0 };
    struct file_text file;
    struct text rest, line;
    int lines = 1;

    if (!load_file(l, "tenant_token_keys", path, &file))
        return;
    for (size_t i = 0; i < file.n; i++)
        lines += file.p[i] == '\n';
    l->s->token_keys = ARENA_ARRAY(l->a, struct token_key_conf, lines);
    rest = text_n(file.p, file.n);
    while (text_split(&rest, '\n', &line)) {
        at.line++;
        line = text_trim(line);
        if (!line.n || line.p[0] == ';' || line.p[0] == '#')
            continue;
        if (memchr(line.p, '\0', line.n))
            trouble_problem(&l->t, at, text_n(NULL, 0), "a zero byte is not allowed");
        else
            token_key(l, line, at, lines);
    }
    if (!l->s->n_token_keys && !l->t.n_problems)
        trouble_problem(&l->t, (struct place){ path, 0 }, text_n(NULL, 0), "no key in this file");
    if (l->s->n_token_keys > TOKEN_KEYS_MAX)
        trouble_problem(&l->t, (struct place){ path, 0 }, text_n(NULL, 0), "more than %d keys",
                        TOKEN_KEYS_MAX);
    file_wipe(&file);
}

/* ---- what does not fit together ---- */

static void need(struct load *l, bool ok, const char *key, const char *what)
{
    if (!ok)
        trouble_problem(&l->t, load_key_at(l, key), text_of(key), "%s", what);
}

static void check_user(struct load *l, const struct user_conf *u, struct place at)
{
    const struct setup *s = l->s;
    struct identity id;
    struct err e = { 0 };
    struct arena a;

    if (u->password_token && !(s->tenant_sources & SOURCE_TOKEN))
        trouble_problem(&l->t, at, TEXT("password_token"),
                        "needs token among the sources of tenant_identity");
    if (u->tenant_switch && !u->tenants_list && !(s->tenant_sources & SOURCE_TOKEN))
        trouble_problem(&l->t, at, TEXT("tenant_switch"),
                        "needs tenants=, or token among the sources of tenant_identity");
    if (u->identity.n_claims && !u->identity.bound && !u->tenants_list &&
        !(s->tenant_sources & ~(unsigned)SOURCE_MAP))
        trouble_problem(&l->t, at, u->identity.claims[0].name, "a claim without tenant=");
    if (u->identity.bound && u->tenants_list &&
        !identity_granted(s, u, u->identity.claims[0].value, false))
        trouble_problem(&l->t, at, TEXT("tenant"), "is not among tenants=");
    arena_init(&a, 1024);
    if (!identity_login(s, u, u->name, NULL, 0, &a, &id, &e))
        trouble_problem(&l->t, at, u->name, "%s", e.msg);
    arena_release(&a);
}

void load_identity(struct load *l)
{
    const struct settings *g = &l->s->g;
    unsigned src;

    load_sources(l);
    src = l->s->tenant_sources;
    load_token_keys(l);
    need(l, !(src & SOURCE_TOKEN) || g->tenant_token_keys[0], "tenant_identity",
         "the source token needs tenant_token_keys");
    need(l, !(src & SOURCE_CERT) || g->client_tls_sslmode >= 4 /* verify-ca */, "tenant_identity",
         "the source cert needs client_tls_sslmode=verify-ca or verify-full");
    need(l, load_guc_ok(text_of(g->tenant_startup_option)), "tenant_startup_option",
         "not the name of a custom setting such as pgbulkhead.tenant");
    need(l, !text_is_i(text_of(g->tenant_startup_option), "pgbulkhead.tenant_token"),
         "tenant_startup_option", "pgbulkhead.tenant_token carries tokens");
    for (int i = 0; i < l->s->n_users; i++)
        if (l->s->users[i]->in_users)
            check_user(l, l->s->users[i], l->user_at[i]);
}
