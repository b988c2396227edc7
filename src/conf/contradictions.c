/* SPDX-License-Identifier: ISC */
/* What no single key shows: settings that exclude one another, and files that must be there. */
#include "conf/load.h"

#include "conf/suggest.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* in the order of tls_mode_names */
enum { SSL_DISABLE, SSL_ALLOW, SSL_PREFER, SSL_REQUIRE, SSL_VERIFY_CA, SSL_VERIFY_FULL };

static void problem_at_key(struct load *l, const char *key, const char *what)
{
    trouble_problem(&l->t, load_key_at(l, key), text_of(key), "%s", what);
}

static void check_auth(struct load *l)
{
    const struct settings *g = &l->s->g;
    struct buf shown;
    struct key_table keys = key_table_settings();
    bool look_up = g->auth_user[0];
    bool listed = l->s->n_users > 0;

    for (int i = 0; i < l->s->n_databases; i++)
        look_up = look_up || l->s->databases[i]->auth_user;
    look_up = look_up || (l->s->autodb && l->s->autodb->auth_user);
    buf_init(&shown);
    key_show(key_find(keys, TEXT("auth_type")), g, &shown);
    buf_char(&shown, '\0');
    switch (g->auth_type) {
    case AUTH_ANY: /* the others: load_access */
    case AUTH_HBA:
    case AUTH_LDAP:
    case AUTH_PAM:
        break;
    case AUTH_TRUST:
    case AUTH_CERT:
        if (!g->auth_file[0] && !look_up && !listed)
            trouble_problem(&l->t, load_key_at(l, "auth_file"), TEXT("auth_file"),
                            "auth_type=%s needs it: it says which users there are",
                            buf_data(&shown));
        break;
    default:
        if (!g->auth_file[0] && !look_up)
            trouble_problem(&l->t, load_key_at(l, "auth_file"), TEXT("auth_file"),
                            "auth_type=%s needs it: it holds the users' secrets", buf_data(&shown));
        break;
    }
    buf_release(&shown);
    if (g->auth_type == AUTH_CERT && g->client_tls_sslmode < SSL_VERIFY_CA)
        problem_at_key(l, "auth_type",
                       "auth_type=cert needs client_tls_sslmode=verify-ca or verify-full");
}

static void check_readable(struct load *l, const char *key, const char *path)
{
    if (path[0] && access(path, R_OK) < 0)
        trouble_problem(&l->t, load_key_at(l, key), text_of(key), "cannot read \"%s\": %s", path,
                        strerror(errno));
}

/* A private key may be root's own, and privileges were dropped since: net keeps the one in use, or
 * says what is wrong. */
static void check_key_file(struct load *l, const char *key, const char *path)
{
    if (path[0] && (access(path, R_OK) == 0 || errno != EACCES))
        check_readable(l, key, path);
}

/* a list of versions; ! takes one out */
static void check_protocols(struct load *l, const char *key, const char *value)
{
    static const char *const words[] = { "secure",  "default", "all",     "legacy", "tlsv1",
                                         "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3" };
    const int n_words = (int)(sizeof(words) / sizeof(words[0]));
    struct text rest = text_of(value), part;
    struct suggest s;
    bool known;

    while (text_split(&rest, strchr(value, ':') ? ':' : ',', &part)) {
        part = text_trim(part);
        if (part.n && part.p[0] == '!')
            part = text_trim(text_n(part.p + 1, part.n - 1));
        suggest_init(&s, part);
        known = false;
        for (int i = 0; i < n_words; i++) {
            known = known || text_is_i(part, words[i]);
            suggest_offer(&s, words[i]);
        }
        if (known)
            continue;
        if (s.best)
            trouble_problem(&l->t, load_key_at(l, key), text_of(key),
                            "\"%.*s\" is not a TLS version, did you mean \"%s\"", TEXT_ARG(part),
                            s.best);
        else
            trouble_problem(&l->t, load_key_at(l, key), text_of(key),
                            "\"%.*s\" is not a TLS version", TEXT_ARG(part));
    }
}

static void check_client_tls(struct load *l)
{
    const struct settings *g = &l->s->g;

    check_protocols(l, "client_tls_protocols", g->client_tls_protocols);
    if (g->client_tls_sslmode == SSL_DISABLE && g->client_tls_channel_binding == BINDING_REQUIRE)
        problem_at_key(l, "client_tls_channel_binding", "require needs client_tls_sslmode");
    if (g->client_tls_sslmode == SSL_DISABLE)
        return;
    if (!g->client_tls_key_file[0] || !g->client_tls_cert_file[0])
        trouble_problem(
            &l->t, load_key_at(l, "client_tls_sslmode"), TEXT("client_tls_sslmode"), "needs %s",
            g->client_tls_key_file[0]    ? "client_tls_cert_file"
            : g->client_tls_cert_file[0] ? "client_tls_key_file"
                                         : "client_tls_key_file and client_tls_cert_file");
    if (g->client_tls_sslmode >= SSL_VERIFY_CA && !g->client_tls_ca_file[0])
        problem_at_key(l, "client_tls_sslmode",
                       "checking client certificates needs client_tls_ca_file");
    check_key_file(l, "client_tls_key_file", g->client_tls_key_file);
    check_readable(l, "client_tls_cert_file", g->client_tls_cert_file);
    check_readable(l, "client_tls_ca_file", g->client_tls_ca_file);
}

/* What is of no use, or no security, unless all connections to servers have TLS. */
static void check_server_wishes(struct load *l)
{
    const struct settings *g = &l->s->g;
    const char *what = "needs server_tls_sslmode=require, verify-ca or verify-full";
    bool direct = g->server_tls_negotiation == NEGOTIATE_DIRECT;

    if (g->server_tls_sslmode >= SSL_REQUIRE)
        return;
    if (g->server_tls_channel_binding == BINDING_REQUIRE)
        problem_at_key(l, "server_tls_channel_binding", what);
    for (int i = 0; i < l->s->n_databases; i++)
        direct = direct || l->s->databases[i]->server_tls_negotiation == NEGOTIATE_DIRECT;
    if (direct || (l->s->autodb && l->s->autodb->server_tls_negotiation == NEGOTIATE_DIRECT))
        problem_at_key(l, "server_tls_negotiation", what);
}

static void check_server_tls(struct load *l)
{
    const struct settings *g = &l->s->g;

    check_protocols(l, "server_tls_protocols", g->server_tls_protocols);
    check_server_wishes(l);
    if (g->server_tls_sslmode == SSL_DISABLE)
        return;
    if (!g->server_tls_key_file[0] != !g->server_tls_cert_file[0])
        problem_at_key(l,
                       g->server_tls_key_file[0] ? "server_tls_key_file" : "server_tls_cert_file",
                       "server_tls_key_file and server_tls_cert_file belong together");
    if (g->server_tls_sslmode >= SSL_VERIFY_CA && !g->server_tls_ca_file[0])
        problem_at_key(l, "server_tls_sslmode",
                       "checking server certificates needs server_tls_ca_file");
    check_key_file(l, "server_tls_key_file", g->server_tls_key_file);
    check_readable(l, "server_tls_cert_file", g->server_tls_cert_file);
    check_readable(l, "server_tls_ca_file", g->server_tls_ca_file);
}

static void check_pool(struct load *l, const struct database_conf *db, struct place at)
{
    int64_t size = db->pool_size != LIMIT_UNSET ? db->pool_size : l->s->g.default_pool_size;
    int64_t min = db->min_pool_size != LIMIT_UNSET ? db->min_pool_size : l->s->g.min_pool_size;
    bool own = db->pool_size != LIMIT_UNSET || db->min_pool_size != LIMIT_UNSET;

    if (own && size && min > size)
        trouble_problem(&l->t, at, TEXT("min_pool_size"),
                        "%" PRId64 " is more than pool_size, %" PRId64, min, size);
    if (db->n_hosts && !db->hosts[0][0])
        trouble_problem(&l->t, at, TEXT("host"), "neither host= nor unix_socket_dir is set");
}

static const char *guc_of(const struct load *l, const struct database_conf *db)
{
    return db->tenant_guc ? db->tenant_guc : l->s->g.tenant_guc;
}

/* Is there a database without the setting that policies ask? */
static bool lacks_guc(const struct load *l)
{
    bool lacks = l->s->autodb && !*guc_of(l, l->s->autodb);

    for (int i = 0; i < l->s->n_databases; i++)
        lacks = lacks || !*guc_of(l, l->s->databases[i]);
    return lacks;
}

/* A tenant's statements can only be judged with the catalog at hand. */
static void check_tenant_database(struct load *l, const struct database_conf *db, struct place at)
{
    int mode = db->tenant_mode != TENANT_MODE_UNSET ? db->tenant_mode : l->s->g.tenant_mode;

    if (mode == TENANT_RLS && !*guc_of(l, db))
        trouble_problem(&l->t, at, TEXT("tenant_guc"),
                        "tenant_mode=rls needs it: policies learn the tenant from that setting");
    if (mode != TENANT_OFF && !db->user && !db->catalog_user)
        trouble_problem(&l->t, at, TEXT("tenant_mode"),
                        "nobody can read the catalog of this database: "
                        "set catalog_user= and catalog_password=, or user=");
    if ((mode == TENANT_REJECT || mode == TENANT_REWRITE) && db->client_encoding &&
        !text_is_i(text_of(db->client_encoding), "UTF8") &&
        !text_is_i(text_of(db->client_encoding), "UTF-8"))
        trouble_problem(&l->t, at, TEXT("client_encoding"),
                        "tenants' statements are read as UTF8 and sent so");
}

static bool tenants_on(const struct load *l)
{
    const struct setup *s = l->s;
    bool on = s->g.tenant_mode != TENANT_OFF;

    for (int i = 0; i < s->n_databases; i++)
        on = on || (s->databases[i]->tenant_mode != TENANT_OFF &&
                    s->databases[i]->tenant_mode != TENANT_MODE_UNSET);
    if (s->autodb)
        on = on ||
             (s->autodb->tenant_mode != TENANT_OFF && s->autodb->tenant_mode != TENANT_MODE_UNSET);
    for (int i = 0; i < s->n_users; i++)
        on = on || (s->users[i]->tenant_mode != TENANT_OFF &&
                    s->users[i]->tenant_mode != TENANT_MODE_UNSET);
    return on;
}

static void check_tenant_users(struct load *l)
{
    const struct setup *s = l->s;

    for (int i = 0; i < s->n_users; i++) {
        const struct user_conf *u = s->users[i];
        if (!u->in_users)
            continue;
        if (u->tenant_mode == TENANT_RLS && lacks_guc(l))
            trouble_problem(&l->t, l->user_at[i], TEXT("tenant_mode"),
                            "tenant_mode=rls needs tenant_guc, for every database");
    }
}

/* A rule must not set what carries the tenant. */
static void check_rule_settings(struct load *l)
{
    const struct setup *s = l->s;

    for (int i = 0; i < s->n_rules; i++)
        for (int k = 0; k < s->rules[i].n_settings; k++) {
            struct text name = s->rules[i].settings[k].name;
            bool guc = text_is_i(name, s->g.tenant_guc) ||
                       (s->autodb && text_is_i(name, guc_of(l, s->autodb)));
            for (int d = 0; d < s->n_databases; d++)
                guc = guc || text_is_i(name, guc_of(l, s->databases[d]));
            if (guc)
                trouble_problem(&l->t, (struct place){ s->rules[i].file, s->rules[i].line }, name,
                                "it is the setting that carries the tenant");
        }
}

static void check_tenants(struct load *l)
{
    const struct settings *g = &l->s->g;
    const struct text none = { NULL, 0 };

    if (g->tenant_guc[0] && !load_guc_ok(text_of(g->tenant_guc)))
        trouble_problem(&l->t, load_key_at(l, "tenant_guc"), TEXT("tenant_guc"),
                        "\"%s\" is not the name of a custom setting such as app.tenant_id",
                        g->tenant_guc);
    for (int i = 0; i < l->s->n_tenant_columns; i++)
        if (l->s->tenant_columns[i].n > 63 || !key_text_is_clean(l->s->tenant_columns[i]))
            trouble_problem(&l->t, load_key_at(l, "tenant_columns"), TEXT("tenant_columns"),
                            "\"%.*s\" is not a column name", TEXT_ARG(l->s->tenant_columns[i]));
    check_tenant_users(l);
    check_rule_settings(l);
    if (!tenants_on(l))
        return;
    if (!l->s->n_rules && !l->s->n_tenant_columns)
        trouble_warn(&l->t, (struct place){ NULL, 0 }, none,
                     "tenant_mode is on, but there are neither tenant_columns nor [tenant_rules]: "
                     "every statement on a table will be refused");
    if (g->auth_type == AUTH_ANY || g->auth_type == AUTH_TRUST)
        trouble_warn(&l->t, load_key_at(l, "auth_type"), TEXT("auth_type"),
                     "tenant_mode is on, but clients may say they are anybody");
}

void load_check(struct load *l)
{
    const struct setup *s = l->s;
    const struct settings *g = &s->g;

    if (!g->listen_addr[0] && !g->unix_socket_dir[0])
        problem_at_key(l, "listen_addr",
                       "neither listen_addr nor unix_socket_dir is set: nothing to listen on");
    if (g->listen_addr[0] && !g->listen_port)
        problem_at_key(l, "listen_port", "0 is not a port to listen on");
    if (g->default_pool_size && g->min_pool_size > g->default_pool_size)
        problem_at_key(l, "min_pool_size", "more than default_pool_size");
    check_auth(l);
    check_client_tls(l);
    check_server_tls(l);
    for (int i = 0; i < s->n_databases; i++) {
        check_pool(l, s->databases[i], l->db_at[i]);
        check_tenant_database(l, s->databases[i], l->db_at[i]);
    }
    if (s->autodb) {
        check_pool(l, s->autodb, l->auto_at);
        check_tenant_database(l, s->autodb, l->auto_at);
    }
    check_tenants(l);
    if (!s->n_databases && !s->autodb)
        trouble_warn(&l->t, (struct place){ NULL, 0 }, text_n(NULL, 0),
                     "no database is configured");
}
