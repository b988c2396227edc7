/* SPDX-License-Identifier: ISC */
/* Every key of every section with a value of its own, and the defaults. */
#include "conf.h"
#include "conf/file.h"
#include "conf/keys.h"

struct sample {
    const char *key, *value, *shown; /* shown NULL: as written */
};

/* clang-format off */
static const struct sample globals[] = {
    { "listen_addr", "127.0.0.1,::1", NULL }, { "listen_port", "6543", NULL }, { "listen_backlog", "64", NULL },
    { "unix_socket_dir", "/run/x", NULL }, { "unix_socket_mode", "0700", NULL }, { "unix_socket_group", "adm", NULL },
    { "user", "postgres", NULL }, { "takeover_socket", "@next", NULL },
    { "pidfile", "/run/x.pid", NULL }, { "logfile", "/var/log/x y.log", NULL },
    { "syslog", "on", "1" }, { "syslog_ident", "bulk", NULL }, { "syslog_facility", "local3", NULL },
    { "log_connections", "0", NULL }, { "log_disconnections", "no", "0" }, { "log_pooler_errors", "false", "0" },
    { "log_stats", "0", NULL }, { "drain_timeout", "30", NULL }, { "stats_period", "30", NULL }, { "verbose", "2", NULL },
    { "conffile", "other.ini", NULL }, { "job_name", "j", NULL }, { "service_name", "s", NULL },
    { "so_reuseport", "1", NULL }, { "peer_id", "7", NULL }, { "resolv_conf", "/etc/r", NULL },
    { "dns_max_ttl", "10", NULL }, { "dns_nxdomain_ttl", "11", NULL }, { "dns_zone_check_period", "12", NULL },
    { "tcp_defer_accept", "0", NULL }, { "tcp_keepalive", "0", NULL }, { "tcp_keepcnt", "3", NULL },
    { "tcp_keepidle", "4", NULL }, { "tcp_keepintvl", "5", NULL }, { "tcp_socket_buffer", "64kB", "65536" },
    { "tcp_user_timeout", "6000", NULL }, { "pkt_buf", "8192", NULL }, { "sbuf_loopcnt", "6", NULL },
    { "max_packet_size", "1000000", NULL }, { "worker_threads", "3", NULL },
    { "pool_mode", "Transaction", "transaction" }, { "session_state", "passthrough", NULL },
    { "max_client_conn", "5000", NULL },
    { "default_pool_size", "50", NULL }, { "min_pool_size", "5", NULL }, { "reserve_pool_size", "6", NULL },
    { "reserve_pool_timeout", "2.5", NULL }, { "max_db_connections", "70", NULL },
    { "max_user_connections", "71", NULL }, { "max_db_client_connections", "72", NULL },
    { "max_user_client_connections", "73", NULL }, { "server_round_robin", "1", NULL },
    { "max_prepared_statements", "99", NULL }, { "track_extra_parameters", "IntervalStyle, search_path", NULL },
    { "ignore_startup_parameters", "extra_float_digits,options", NULL }, { "application_name_add_host", "1", NULL },
    { "disable_pqexec", "1", NULL }, { "login_notify_message", "hello; there", NULL },
    { "query_wait_notify", "0.25", NULL }, { "autodb_idle_timeout", "100", NULL }, { "pool_idle_timeout", "9", NULL },
    { "server_reset_query", "DISCARD TEMP", NULL }, { "server_reset_query_always", "1", NULL },
    { "server_check_delay", "1", NULL }, { "server_check_query", "select 1", NULL }, { "server_fast_close", "1", NULL },
    { "server_lifetime", "1h", "3600" }, { "server_idle_timeout", "10 min", "600" },
    { "server_connect_timeout", "14", NULL }, { "server_login_retry", "13", NULL },
    { "client_login_timeout", "59", NULL }, { "query_timeout", "1500ms", "1.5" }, { "query_wait_timeout", "119", NULL },
    { "cancel_wait_timeout", "9", NULL }, { "client_idle_timeout", "8", NULL },
    { "idle_transaction_timeout", "7", NULL }, { "transaction_timeout", "6", NULL }, { "suspend_timeout", "5", NULL },
    { "probe_interval", "0.000001", NULL }, { "probe_timeout", "3", NULL }, { "probe_size_interval", "90", NULL },
    { "auth_type", "scram-sha-256", NULL }, { "auth_file", "users.txt", NULL }, { "auth_hba_file", "hba", NULL },
    { "auth_ident_file", "ident", NULL }, { "auth_user", "looker", NULL }, { "auth_query", "select $1, null", NULL },
    { "auth_dbname", "app", NULL }, { "auth_ldap_options", "ldapserver=ldap.example ldapsuffix=@x", "***" },
    { "scram_iterations", "5000", NULL },
    { "admin_users", "root, boss", NULL }, { "stats_users", "stats, bob", NULL },
    { "client_tls_sslmode", "verify-full", NULL }, { "client_tls_key_file", "users.txt", NULL },
    { "client_tls_cert_file", "users.txt", NULL }, { "client_tls_ca_file", "users.txt", NULL },
    { "client_tls_protocols", "tlsv1.3", NULL }, { "client_tls_ciphers", "HIGH", NULL },
    { "client_tls13_ciphers", "TLS_AES_256_GCM_SHA384", NULL }, { "client_tls_ecdhcurve", "prime256v1", NULL },
    { "client_tls_dheparams", "none", NULL }, { "client_tls_min_version", "tlsv1.3", NULL },
    { "client_tls_sni", "db.example=server.crt:server.key", NULL }, { "client_tls_channel_binding", "disable", NULL },
    { "server_tls_min_version", "tlsv1.2", NULL }, { "server_tls_negotiation", "direct", NULL },
    { "server_tls_channel_binding", "require", NULL }, { "server_max_protocol_version", "3.0", NULL },
    { "server_tls_sslmode", "verify-ca", NULL },
    { "server_tls_key_file", "users.txt", NULL }, { "server_tls_cert_file", "users.txt", NULL },
    { "server_tls_ca_file", "users.txt", NULL }, { "server_tls_protocols", "all:!tlsv1.0", NULL },
    { "server_tls_ciphers", "HIGH", NULL }, { "server_tls13_ciphers", "TLS_AES_128_GCM_SHA256", NULL },
    { "tenant_mode", "audit", NULL }, { "tenant_columns", "tenant_id,TenantId", NULL },
    { "tenant_guc", "app.tenant_id", NULL }, { "tenant_redact_errors", "0", NULL }, { "tenant_identity", "user", NULL },
    { "tenant_startup_option", "app.tenant", NULL }, { "tenant_cert_field", "SAN:uri", NULL },
    { "tenant_cert_prefix", "urn:tenant:", NULL }, { "tenant_token_keys", "token.keys", NULL },
    { "tenant_token_audience", "db", NULL }, { "tenant_token_issuer", "https://idp.example", NULL },
    { "tenant_token_claim", "org", NULL }, { "tenant_token_leeway", "5", NULL },
    { "tenant_token_max_age", "3600", NULL }, { "tenant_token_replay", "once", NULL },
    { "tenant_token_plaintext", "1", NULL },
    { "tenant_explain", "plan", NULL },
    { "tenant_max_statement", "2MB", "2097152" }, { "tenant_cache_size", "0", NULL },
    { "tenant_audit_log", "/var/log/audit.json", NULL }, { "tenant_audit", "refused,exempt", NULL },
    { "max_pinned_servers", "4", NULL }, { "max_tenant_connections", "12", NULL }, { "max_tenant_client_connections", "13", NULL },
    { "metrics_listen_addr", "::1", NULL }, { "metrics_port", "9127", NULL }, { "metrics_max_series", "100", NULL },
    { "metrics_top_tenants", "7", NULL },
    { "slow_query_threshold", "1", NULL }, { "query_stats", "0", NULL }, { "query_stats_max", "100", NULL }, { "log_format", "json", NULL },
    { "log_repeat_limit", "7", NULL }, { "log_repeat_period", "3", NULL },
    { "metrics_tls_cert_file", "/m.crt", NULL }, { "metrics_tls_key_file", "/m.key", NULL }, { "metrics_tls_ca_file", "/m.pem", NULL },
    { "metrics_login", "1", NULL }, { "metrics_pgbouncer_names", "1", NULL }, { "metrics_bearer_token_file", "metrics.tokens", NULL },
    { "metrics_login", "1", NULL }, { "metrics_bearer_token_file", "metrics.tokens", NULL },
    { "log_slow_queries", "0", NULL }, { "trace_exemplars", "0", NULL },
    { "alert_interval", "17", NULL }, { "alert_window", "17", NULL }, { "alert_clear_for", "17", NULL },
    { "log_alerts", "0", NULL }, { "alert_backend_connections_warning", "71", NULL },
    { "alert_backend_connections_high", "81", NULL }, { "alert_backend_connections_critical", "91", NULL },
    { "alert_backend_connections_for", "17", NULL }, { "alert_backend_down", "0", NULL },
    { "alert_backend_down_for", "17", NULL }, { "alert_probe_stale", "17", NULL }, { "alert_storage_warning", "86", NULL },
    { "alert_storage_critical", "91", NULL }, { "alert_storage_for", "17", NULL }, { "alert_query_p95", "17", NULL },
    { "alert_query_p95_for", "17", NULL }, { "alert_slow_queries", "2", NULL }, { "alert_oldest_query", "17", NULL },
    { "alert_pool_utilisation", "71", NULL }, { "alert_pool_utilisation_for", "17", NULL },
    { "alert_clients_waiting", "2", NULL }, { "alert_clients_waiting_for", "17", NULL },
    { "alert_tenant_denials", "2", NULL }, { "alert_tenant_unbound", "2", NULL }, { "alert_cpu_warning", "61", NULL },
    { "alert_cpu_critical", "81", NULL }, { "alert_memory_warning", "71", NULL }, { "alert_memory_critical", "91", NULL },
    { "alert_process_for", "17", NULL }, { "alert_certificate_warning", "17", NULL },
    { "alert_certificate_critical", "17", NULL }, { "alert_reload_failed", "0", NULL },
};

static const struct sample databases[] = {
    { "dbname", "real", NULL }, { "host", "'db1, db2'", "db1, db2" }, { "port", "5433", NULL },
    { "user", "u", NULL }, { "password", "'it''s'", "***" }, { "auth_user", "a", NULL }, { "auth_dbname", "b", NULL },
    { "auth_query", "'select $1, null'", "select $1, null" }, { "pool_size", "21", NULL },
    { "min_pool_size", "2", NULL }, { "reserve_pool_size", "3", NULL }, { "connect_query", "'set x to ''y'''",
    "set x to 'y'" }, { "pool_mode", "statement", NULL }, { "session_state", "virtual", NULL },
    { "load_balance_hosts", "disable", NULL },
    { "target_session_attrs", "prefer-standby", NULL },
    { "max_db_connections", "4", NULL }, { "max_db_client_connections", "5", NULL }, { "server_lifetime", "6", NULL },
    { "query_wait_timeout", "7", NULL }, { "client_encoding", "UTF8", NULL }, { "datestyle", "ISO", NULL },
    { "timezone", "UTC", NULL }, { "application_name", "app", NULL }, { "tenant_mode", "rewrite", NULL },
    { "tenant_guc", "x.y", NULL }, { "tenant_redact_errors", "0", NULL }, { "server_tls_negotiation", "postgres", NULL },
    { "catalog_user", "cat", NULL }, { "catalog_password", "pw", "***" },
    { "storage_capacity", "2TB", "2199023255552" },
    { "max_tenant_connections", "8", NULL }, { "max_tenant_client_connections", "9", NULL },
};

static const struct sample users[] = {
    { "pool_mode", "session", NULL }, { "session_state", "virtual", NULL },
    { "pool_size", "9", NULL }, { "reserve_pool_size", "8", NULL },
    { "max_user_connections", "7", NULL }, { "max_user_client_connections", "6", NULL }, { "query_timeout", "5", NULL },
    { "idle_transaction_timeout", "4", NULL }, { "transaction_timeout", "3", NULL },
    { "client_idle_timeout", "2", NULL }, { "query_wait_timeout", "1", NULL }, { "tenant_mode", "reject", NULL },
    { "tenants", "acme,globex", NULL }, { "tenant_switch", "0", NULL }, { "password_token", "0", NULL },
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct sample *find(const struct sample *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].key, key) == 0)
            return &list[i];
    return NULL;
}

static void check_shown(struct key_table keys, const struct sample *list, size_t n,
                        const void *base, const char *section)
{
    struct buf shown;

    buf_init(&shown);
    for (int i = 0; i < keys.n; i++) {
        const struct key *k = &keys.keys[i];
        const struct sample *x = find(list, n, k->info.name);
        if (text_is(text_of(k->info.name), "reserve_pool"))
            continue; /* the older name of a key that is there */
        if (!ok(x != NULL, "[%s] has a sample for %s", section, k->info.name))
            continue;
        buf_clear(&shown);
        key_show(k, base, &shown);
        is_text(buf_text(&shown), x->shown ? x->shown : x->value, "[%s] %s", section, k->info.name);
    }
    buf_release(&shown);
}

static void add_all(struct buf *b, const struct sample *list, size_t n, const char *join,
                    const char *end)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%s%s%s", list[i].key, join, list[i].value, end);
}

static void every_key(void)
{
    struct buf body, problems;
    struct setup *s;

    buf_init(&body);
    buf_text_append(&body, TEXT("; all of them\n  [pgbouncer]\n"));
    add_all(&body, globals, COUNT(globals), "\t=  ", "  \r\n");
    buf_text_append(&body, TEXT("[databases]\n\"odd \"\"name\" = "));
    add_all(&body, databases, COUNT(databases), " = ", " ");
    buf_text_append(&body, TEXT("\n[users]\nbob = "));
    add_all(&body, users, COUNT(users), "=", " ");
    buf_text_append(&body, TEXT("\n[peers]\n3 = host=p3 port=1 pool_size=2\n"));
    buf_char(&body, '\0');
    conf_write("users.txt", TEXT("\"bob\" \"pw\"\n"));
    conf_write("token.keys", TEXT("k1 v1 0123456789abcdef0123456789abcdef\n"));
    conf_write("metrics.tokens", TEXT("# two\n0123456789abcdefghij\nabcdefghij0123456789\n"));
    s = conf_load(body.p, &problems);
    is_text(problems.p, "", "no problem");
    if (ok(s != NULL, "loads")) {
        check_shown(key_table_settings(), globals, COUNT(globals), &s->g, "pgbouncer");
        is_int(s->n_databases, 1, "one database");
        is_text(s->databases[0]->name, "odd \"name", "a quoted name");
        is_text(text_of(s->databases[0]->password), "it's", "doubled quote");
        is_text(text_of(s->databases[0]->catalog_password), "pw", "catalog_password");
        is_int(s->databases[0]->n_hosts, 2, "two hosts");
        is_text(text_of(s->databases[0]->hosts[1]), "db2", "the second, trimmed");
        check_shown(key_table_databases(), databases, COUNT(databases), s->databases[0],
                    "databases");
        check_shown(key_table_users(), users, COUNT(users), setup_user(s, TEXT("bob")), "users");
        is_text(setup_user(s, TEXT("bob"))->secret, "pw", "and the secret of auth_file");
        is_int(s->n_metrics_tokens, 2, "tokens");
        is_text(s->metrics_tokens[1], "abcdefghij0123456789", "their text");
        is_int(s->n_peers, 1, "a peer");
        is_int(s->peers[0].pool_size, 2, "its pool");
        is_int(s->n_track_extra, 2, "list of tracked parameters");
        is_text(s->track_extra[1], "search_path", "trimmed");
        is_int(s->n_ignore_startup, 2, "list of ignored parameters");
        is_int(s->n_tenant_columns, 2, "list of columns");
        ok(setup_user(s, TEXT("boss"))->is_admin && !setup_user(s, TEXT("boss"))->in_auth_file,
           "an admin who is not in auth_file");
        ok(setup_user(s, TEXT("stats"))->is_stats, "a stats user");
        is_int(s->n_users, 4, "all users");
    }
    setup_unref(s);
    buf_release(&problems);
    buf_release(&body);
}

static void defaults(void)
{
    struct buf problems, shown;
    struct setup *s = conf_load("[pgbulkhead]\nauth_type=any\n[databases]\nd=\n", &problems);

    buf_init(&shown);
    is_text(problems.p, "", "short file: no problem");
    for (int i = 0; s && i < keys_count(); i++) {
        const struct key_info *k = keys_at(i);
        if (strcmp(k->name, "auth_type") == 0 || strcmp(k->name, "conffile") == 0)
            continue;
        buf_clear(&shown);
        keys_value(s, i, &shown);
        is_text(buf_text(&shown), k->default_text, "default of %s", k->name);
        ok(k->help[0] != '\0', "help of %s", k->name);
    }
    if (ok(s && s->n_databases == 1, "a database")) {
        const struct database_conf *d = s->databases[0];
        is_text(text_of(d->dbname), "d", "named on the server as here");
        is_text(text_of(d->hosts[0]), "/tmp", "in the socket directory");
        is_int(d->port, 5432, "port");
        ok(!d->user && !d->password && !d->connect_query && !d->timezone, "texts unset");
        is_int(d->load_balance, 1, "round robin");
        is_text(s->warnings, "", "no warning");
    }
    setup_unref(s);
    buf_release(&shown);
    buf_release(&problems);
}

static void values(void)
{
    usec_t t;
    int64_t n;
    struct err e = { 0 };

    ok(key_parse_time(TEXT("0.5us"), &t) && t == 0, "half a microsecond is nothing");
    ok(key_parse_time(TEXT("2147483647"), &t) && t == 2147483647000000, "68 years");
    ok(!key_parse_time(TEXT("2147483648"), &t), "no longer than that");
    ok(!key_parse_time(TEXT("99999999999999999999"), &t), "overflow");
    ok(key_parse_time(TEXT("1.5d"), &t) && t == 129600000000, "a day and a half");
    ok(!key_parse_time(TEXT("."), &t) && !key_parse_time(TEXT("1 week"), &t), "no time");
    ok(key_parse_time(TEXT("1.23456789"), &t) && t == 1234567, "finer than a microsecond is cut");
    ok(key_parse_bytes(TEXT("8 MB"), &n) && n == 8388608, "megabytes");
    ok(!key_parse_bytes(TEXT("9999999999TB"), &n), "too many");
    ok(keys_check("query_timeout", TEXT("5"), &e), "SET of a good value");
    ok(!keys_check("query_timeot", TEXT("5"), &e), "SET of an unknown key");
    is_text(text_of(e.msg), "unknown key \"query_timeot\", did you mean \"query_timeout\"",
            "its text");
    ok(!keys_check("listen_port", TEXT("5"), &e), "SET of a boot key");
    is_text(text_of(e.msg), "listen_port cannot be changed while running", "its text");
    ok(!keys_check("pool_mode", TEXT("x"), &e), "SET of a bad value");
    ok(key_text_is_clean(TEXT("Zo\xC3\xAB \xE6\xA0\xAA")), "UTF-8");
    ok(!key_text_is_clean(TEXT("\xC0\xAF")) && !key_text_is_clean(TEXT("\xED\xA0\x80")) &&
           !key_text_is_clean(TEXT("\xF4\x90\x80\x80")) && !key_text_is_clean(TEXT("\xE6\xA0")) &&
           !key_text_is_clean(TEXT("a\nb")),
       "not UTF-8");
}

/* The sample and the manual show every key with its default. */
static void documents(const char *start)
{
    const char *top = getenv("top_srcdir");
    struct file_text sample, manual;
    struct buf path, line, problems;
    struct setup *s;

    buf_init(&path);
    buf_init(&line);
    buf_init(&problems);
    buf_printf(&path, "%s/etc/pgbulkhead.ini", top ? top : start);
    buf_char(&path, '\0');
    if (!ok(file_read(path.p, &sample), "the sample is there"))
        return;
    s = setup_parse("sample", text_n(sample.p, sample.n), &problems);
    ok(s != NULL, "and is good");
    is_text(buf_text(&problems), "", "without problems");
    buf_clear(&path);
    buf_printf(&path, "%s/doc/pgbulkhead.5.md", top ? top : start);
    buf_char(&path, '\0');
    if (!ok(file_read(path.p, &manual), "the manual is there"))
        return;
    for (int i = 0; i < keys_count(); i++) {
        const struct key_info *k = keys_at(i);
        const char *def = k->default_text;
        buf_clear(&line);
        buf_printf(&line, "\n;%s =%s%s\n", k->name, def[0] ? " " : "", def);
        ok(memmem(sample.p, sample.n, buf_data(&line), buf_len(&line)) != NULL,
           "the sample shows %s", k->name);
        buf_clear(&line);
        if (strcmp(k->name, "auth_query") == 0)
            def = "a look-up in pg_authid";
        buf_printf(&line,
                   def[0] && !strchr(def, ' ') ? "\n| `%s` | `%s` | %s | "
                                               : "\n| `%s` | %s | %s | ",
                   k->name, def[0] ? def : "empty", k->reloadable ? "yes" : "no");
        ok(memmem(manual.p, manual.n, buf_data(&line), buf_len(&line)) != NULL,
           "the manual shows %s", k->name);
    }
    for (int t = 0; t < 3; t++) {
        const struct key_table keys = t == 0   ? key_table_databases()
                                      : t == 1 ? key_table_users()
                                               : key_table_peers();
        for (int i = 0; i < keys.n; i++) {
            buf_clear(&line);
            buf_printf(&line, "\n| `%s` | ", keys.keys[i].info.name);
            ok(memmem(manual.p, manual.n, buf_data(&line), buf_len(&line)) != NULL,
               "the manual shows %s", keys.keys[i].info.name);
        }
    }
    setup_unref(s);
    file_wipe(&sample);
    file_wipe(&manual);
    buf_release(&path);
    buf_release(&line);
    buf_release(&problems);
}

int main(void)
{
    static const char *const files[] = { "t.ini", "users.txt", "token.keys", "metrics.tokens" };
    char dir[64], start[4096];

    if (!getcwd(start, sizeof(start)))
        return 1;
    conf_enter(dir);
    every_key();
    defaults();
    values();
    documents(start);
    conf_leave(dir, files, 4);
    return tap_done();
}
