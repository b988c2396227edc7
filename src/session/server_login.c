/* SPDX-License-Identifier: ISC */
/* Logging in to a server: address, connection, TLS, startup, authentication, its parameters. */
#include "session/hosts.h"
#include "session/proven.h"
#include "session/replica.h"
#include "session/say.h"

#include "base/check.h"
#include "base/random.h"
#include "wire/startup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum phase {
    PHASE_RESOLVE,
    PHASE_CONNECT,
    PHASE_SSL_ANSWER,
    PHASE_TLS,
    PHASE_AUTH,
    PHASE_PARAMS,
    PHASE_CONNECT_QUERY
};

#define MAX_ADDRS 16
#define LOST_GRACE (1 * USEC_PER_SEC) /* for a server that was there a moment ago */

struct server_login {
    enum phase phase;
    int host;  /* index in the database's list */
    int tried; /* hosts that could not be used */
    bool last; /* prefer-standby has asked all for a standby */
    struct resolver_query *query;
    struct resolver_addr addrs[MAX_ADDRS];
    int n_addrs, next_addr;
    struct login_answer *answer;
    struct buf welcome; /* ParameterStatus messages */
    uint16_t minor;     /* of the protocol asked for */
    bool negotiated;    /* the server named an older one */
    bool allow_tls;     /* server_tls_sslmode=allow: in clear we were refused */
    char error[600];    /* of the last address */
    char name[256];     /* of the host */
};

void server_login_free(struct server *s)
{
    struct server_login *l = s->login;
    if (!l)
        return;
    s->login = NULL;
    if (l->query)
        resolver_cancel(l->query);
    login_answer_free(l->answer);
    buf_release(&l->welcome);
    free(l);
}

static void start_host(struct server *s);

/* Has the failure to do with the host rather than with us, so that another one may do? */
static bool of_host(const char *sqlstate)
{
    return !sqlstate || memcmp(sqlstate, "08", 2) == 0 || strcmp(sqlstate, "57P03") == 0 ||
           strcmp(sqlstate, "57P02") == 0 || strcmp(sqlstate, "57P01") == 0;
}

/* Everything that came with this connection; another one is about to be made. */
static void forget_connection(struct server *s)
{
    struct server_login *l = s->login;
    struct engine *e = s->shard->engine;

    server_count_bytes(s);
    if (s->conn)
        conn_close(s->conn);
    s->conn = NULL;
    hosts_forget(s);
    s->rx_seen = s->tx_seen = 0;
    s->standby = s->read_only = ROLE_UNKNOWN;
    s->backend_key_len = 0;
    s->direct = false;
    s->request_at = e->loop.now;
    vars_release(s->vars, &e->hub->var_names);
    login_answer_free(l->answer);
    l->answer = NULL;
    l->negotiated = false;
    buf_clear(&l->welcome);
}

/* The next host of the list; false: all were tried. */
static bool another_host(struct server *s, const char *why)
{
    struct server_login *l = s->login;
    struct shard *sh = s->shard;

    if (!l || !sh->db)
        return false;
    host_failed(sh, l->host);
    if (++l->tried >= sh->db->n_hosts) {
        if (sh->db->session_attrs != ATTRS_PREFER_STANDBY || l->last)
            return false;
        l->last = true;
        l->tried = 0;
    }
    server_log(s, LOG_LV_LOG, "trying the next host because: %s", why);
    forget_connection(s);
    if (l->query)
        resolver_cancel(l->query);
    l->query = NULL;
    l->n_addrs = l->next_addr = 0;
    l->error[0] = '\0';
    l->allow_tls = false;
    l->host = (l->host + 1) % sh->db->n_hosts;
    start_host(s);
    return true;
}

/* A server that was there a moment ago is probably being restarted: who waits is told only when it
 * is still away after that time. */
static bool just_lost(const struct shard *sh, const char *sqlstate)
{
    usec_t retry = sh->engine->setup->g.server_login_retry;

    return sh->worked && strcmp(sqlstate, "08006") == 0 &&
           sh->failed_at - sh->down_since < (retry < LOST_GRACE ? retry : LOST_GRACE);
}

void server_login_failed(struct server *s, const char *sqlstate, const char *fmt, ...)
{
    struct shard *sh = s->shard;
    char text[1000], said[1000];
    va_list ap;

    if (s->dying)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (s->refused) /* the text is the server's */
        server_said(s, text_of(text), said, sizeof(said));
    else
        snprintf(said, sizeof(said), "%s", text);
    if (of_host(sqlstate) && another_host(s, said))
        return;
    if (s->replication) { /* about that connection only */
        stat_inc(&shard_stats(sh, sh->engine)->server_login_failures);
        server_close_as(s, sqlstate ? sqlstate : "08006", text, said);
        return;
    }
    sh->failed_at = sh->engine->loop.now;
    if (!sh->down_since)
        sh->down_since = sh->failed_at;
    sh->starting = sqlstate && (strcmp(sqlstate, "57P03") == 0 || just_lost(sh, sqlstate));
    if (!sh->failure)
        sh->failure = malloc(sizeof(*sh->failure));
    if (sh->failure) {
        *sh->failure = (struct login_failure){ 0 };
        err_set_state(&sh->failure->err, sqlstate ? sqlstate : "08006", "%s", text);
        snprintf(sh->failure->logged, sizeof(sh->failure->logged), "%s", said);
    }
    stat_inc(&shard_stats(sh, sh->engine)->server_login_failures);
    server_close(s, sqlstate, "%s", s->refused ? "login failed" : text); /* its text was logged */
}

static bool next_address(struct server *s);

static void on_resolved(void *arg, const struct resolver_addr *a, int n, const char *text)
{
    struct server *s = arg;
    struct server_login *l = s->login;

    l->query = NULL;
    if (s->dying) /* in this turn */
        return;
    if (n == 0) {
        server_login_failed(s, "08006", "server DNS lookup failed: %s: %s", l->name,
                            text ? text : "no address");
        return;
    }
    l->n_addrs = n < MAX_ADDRS ? n : MAX_ADDRS;
    memcpy(l->addrs, a, sizeof(*a) * (size_t)l->n_addrs);
    for (int i = 0; i < l->n_addrs; i++)
        sockaddr_set_port(&l->addrs[i].ss, s->port);
    if (!next_address(s))
        server_login_failed(s, "08006", "connect failed: %s", l->error);
}

/* Looks the host up and connects. */
static void start_host(struct server *s)
{
    struct server_login *l = s->login;
    struct shard *sh = s->shard;
    const char *host = sh->db->n_hosts ? sh->db->hosts[l->host % sh->db->n_hosts] : "";

    s->port = sh->db->port;
    snprintf(l->name, sizeof(l->name), "%s", host);
    snprintf(s->host, sizeof(s->host), "%s", host);
    l->phase = PHASE_RESOLVE;
    if (host[0] == '\0' || host[0] == '/' || host[0] == '@') {
        const char *dir = host[0] ? host : sh->engine->setup->g.unix_socket_dir;
        l->n_addrs = 1;
        if (!sockaddr_unix(dir, s->port, &l->addrs[0].ss, &l->addrs[0].len))
            server_login_failed(s, "08006", "connect failed: Unix socket path is too long");
        else if (!next_address(s))
            server_login_failed(s, "08006", "connect failed: %s", l->error);
        return;
    }
    struct resolver_query *q = resolver_ask(sh->engine->resolver, host, on_resolved, s);
    if (s->login && q)
        s->login->query = q;
}

bool server_login_begin(struct server *s)
{
    struct server_login *l = calloc(1, sizeof(*l));

    if (!l)
        return false;
    s->login = l;
    l->host = host_first(s->shard);
    l->last = s->shard->db->n_hosts < 2;
    start_host(s);
    return true;
}

/* Starts connecting to the next address; false when there is none left. */
static bool next_address(struct server *s)
{
    struct server_login *l = s->login;
    struct engine *e = s->shard->engine;
    struct err err = { 0 };

    while (l->next_addr < l->n_addrs) {
        struct resolver_addr *a = &l->addrs[l->next_addr++];
        l->phase = PHASE_CONNECT;
        s->conn =
            conn_connect(&e->loop, (struct sockaddr *)&a->ss, a->len, &server_handler, s, &err);
        if (s->conn) {
            s->addr = a->ss;
            s->addr_len = a->len;
            return true;
        }
        snprintf(l->error, sizeof(l->error), "%.*s", (int)sizeof(l->error) - 1, err.msg);
    }
    return false;
}

/* ---- startup ---- */

struct params {
    struct startup_param p[2 * STARTUP_MAX_PARAMS];
    int n;
};

static void add(struct params *ps, const char *name, struct text value)
{
    CHECK(ps->n < 2 * STARTUP_MAX_PARAMS);
    ps->p[ps->n++] = (struct startup_param){ text_of(name), value };
}

/* A replication client's, as they are: the last value of a parameter holds. */
static void add_own(struct params *ps, const struct server *s)
{
    int n;
    const struct startup_param *p = replica_startup(s, &n);

    for (int i = 0; i < n && ps->n < 2 * STARTUP_MAX_PARAMS; i++)
        ps->p[ps->n++] = p[i];
}

static void send_startup(struct server *s)
{
    struct shard *sh = s->shard;
    const struct database_conf *db = sh->db;
    struct params ps = { .n = 0 };
    struct buf out;
    struct policy *policy = NULL;
    struct scram_binding binding;

    server_binding(s, &binding);
    login_answer_bind(s->login->answer, &binding);
    buf_init(&out);
    add(&ps, "user", sh->pool->user_name);
    add(&ps, "database", text_of(db->dbname));
    if (sh->pool->guarded) /* what the tenant engine reads is what the server reads */
        add(&ps, "client_encoding", TEXT("UTF8"));
    else if (db->client_encoding)
        add(&ps, "client_encoding", text_of(db->client_encoding));
    if (db->datestyle)
        add(&ps, "datestyle", text_of(db->datestyle));
    if (db->timezone)
        add(&ps, "timezone", text_of(db->timezone));
    if (db->application_name)
        add(&ps, "application_name", text_of(db->application_name));
    if (sh->pool->guarded) {
        /* the number before the policy: an older number with a newer path only costs a connection
         */
        s->search_path_serial = atomic_load(&sh->pool->db->search_path_serial);
        policy = hub_policy_get(sh->engine->hub, sh->pool->db);
        if (!policy) {
            server_login_failed(s, "57P03", "the catalog of database \"%.*s\" is not known yet",
                                TEXT_ARG(db->name));
            return;
        }
        add(&ps, "search_path", policy_search_path(policy));
        add(&ps, "standard_conforming_strings", TEXT("on"));
    }
    if (s->replication)
        add_own(&ps, s);
    s->login->minor = server_protocol_minor(s);
    startup_build(&out, s->login->minor, ps.p, ps.n);
    if (policy)
        policy_unref(policy);
    if (!out.failed)
        conn_write_copy(s->conn, out.p, out.n);
    bool failed = out.failed;
    buf_release(&out);
    if (failed) {
        server_login_failed(s, "53200", "out of memory");
        return;
    }
    s->login->phase = PHASE_AUTH;
}

static bool begin_answer(struct server *s)
{
    struct shard *sh = s->shard;
    const struct database_conf *db = sh->db;
    const struct user_conf *u = setup_user(sh->engine->setup, sh->pool->user_name);
    struct text secret = TEXT("");
    struct proven proven;

    if (!pool_proven_get(sh->pool, &proven))
        return false;
    if (db->user && db->password)
        secret = text_of(db->password);
    else if (proven.password &&
             (proven.elsewhere ||
              !(u && u->secret.n && !md5_is_secret(u->secret) && !scram_is_secret(u->secret))))
        secret = text_of(proven.password);
    else if (u && !scram_is_secret(u->secret))
        secret = u->secret;
    bool by_keys = proven.keys.valid && (!secret.n || md5_is_secret(secret));
    s->login->answer = login_answer_new(sh->pool->user_name, secret, by_keys ? &proven.keys : NULL);
    proven_release(&proven);
    return s->login->answer != NULL;
}

static void begin_tls(struct server *s)
{
    struct err err = { 0 };
    const char *host = s->login->name[0] == '/' ? NULL : s->login->name;

    s->login->phase = PHASE_TLS;
    if (!conn_tls_connect(s->conn, s->shard->engine->server_tls, host, &err))
        server_login_failed(s, "08006", "TLS handshake failed: %s", err.msg);
}

void server_login_connected(struct server *s, bool ok, const char *text)
{
    struct server_login *l = s->login;
    struct engine *e = s->shard->engine;

    if (!ok) {
        snprintf(l->error, sizeof(l->error), "%s", text);
        conn_close(s->conn);
        s->conn = NULL;
        if (!next_address(s))
            server_login_failed(s, "08006", "connect failed: %s", l->error);
        return;
    }
    char local[128];
    int port;
    hosts_watch(s);
    sockaddr_text(&s->conn->local, local, sizeof(local), &port);
    server_log(s, LOG_LV_LOG, "new connection to server (from %s:%d)", local, port);
    bool is_unix = s->addr.ss_family == AF_UNIX;
    struct sock_opts o = { .keepalive = e->setup->g.tcp_keepalive,
                           .keepcnt = (int)e->setup->g.tcp_keepcnt,
                           .keepidle = (int)e->setup->g.tcp_keepidle,
                           .keepintvl = (int)e->setup->g.tcp_keepintvl,
                           .user_timeout_ms = (int)e->setup->g.tcp_user_timeout,
                           .buffer = (int)e->setup->g.tcp_socket_buffer };
    if (!is_unix)
        sock_tune(s->conn->fd, &o);
    if (!begin_answer(s)) {
        server_login_failed(s, "53200", "out of memory");
        return;
    }
    bool tls =
        e->server_tls && !is_unix && (e->setup->g.server_tls_sslmode != TLS_ALLOW || l->allow_tls);
    if (tls && server_wants_direct(s)) {
        s->direct = true;
        begin_tls(s);
    } else if (tls) {
        struct buf b;
        buf_init(&b);
        startup_build_ssl(&b);
        conn_write_copy(s->conn, b.p, b.n);
        buf_release(&b);
        l->phase = PHASE_SSL_ANSWER;
    } else {
        send_startup(s);
    }
}

static bool tls_required(const struct engine *e)
{
    return e->setup->g.server_tls_sslmode >= TLS_REQUIRE;
}

/* The one byte that answers SSLRequest. */
static size_t ssl_answer(struct server *s, const char *data, size_t n)
{
    struct engine *e = s->shard->engine;

    if (data[0] == 'N') {
        if (tls_required(e))
            server_login_failed(s, "08006", "server refused SSL");
        else if (n > 1)
            server_login_failed(s, "08P01", "unexpected bytes after the answer to SSLRequest");
        else
            send_startup(s);
        return s->dying ? n : 1;
    }
    if (data[0] != 'S' || n > 1) { /* bytes before the handshake could have come from anybody */
        server_login_failed(s, "08P01",
                            data[0] == 'S' ? "unexpected bytes before the TLS handshake"
                                           : "server sent no valid answer to SSLRequest");
        return n;
    }
    begin_tls(s);
    return s->dying ? n : 1;
}

void server_login_secured(struct server *s, bool ok, const char *text)
{
    struct engine *e = s->shard->engine;

    if (!ok) {
        server_login_failed(s, "08006", "TLS handshake failed: %s", text ? text : "");
        return;
    }
    stat_inc(&e->stats.tls_handshakes[1][strcmp(tls_version(s->conn->tls), "TLSv1.3") == 0]);
    if (s->direct && !tls_alpn(s->conn->tls)) {
        server_login_failed(s, "08006",
                            "server did not agree on the protocol \"postgresql\" "
                            "(ALPN), which direct TLS needs");
        return;
    }
    send_startup(s);
}

/* ---- messages of the login ---- */

static void on_auth(struct server *s, const char *body, size_t n)
{
    struct buf out;
    struct err err = { 0 };

    buf_init(&out);
    enum auth_step step = login_answer_step(s->login->answer, body, n, &out, &err);
    if (out.n && !out.failed)
        conn_write_copy(s->conn, out.p, out.n);
    buf_wipe(&out);
    if (step == AUTH_REFUSED) {
        server_login_failed(s, err.sqlstate[0] ? err.sqlstate : "08006", "server login failed: %s",
                            err.msg);
    } else if (step == AUTH_OK) {
        s->login->phase = PHASE_PARAMS;
    }
}

/* server_tls_sslmode=allow: the server's rules of access know no such connection without TLS. */
static bool again_with_tls(struct server *s, const char *state)
{
    struct server_login *l = s->login;
    struct engine *e = s->shard->engine;

    if (strcmp(state, "28000") != 0 || e->setup->g.server_tls_sslmode != TLS_ALLOW ||
        !e->server_tls || s->conn->tls || s->addr.ss_family == AF_UNIX || l->allow_tls)
        return false;
    l->allow_tls = true;
    forget_connection(s);
    l->next_addr--;
    if (!next_address(s))
        server_login_failed(s, "08006", "connect failed: %s", l->error);
    return true;
}

static void on_error(struct server *s, const char *body, size_t n)
{
    struct wire_error_fields f;
    char state[6] = "08006", said[1000];

    wire_error_read(body, n, &f);
    if (f.sqlstate.n == 5)
        memcpy(state, f.sqlstate.p, 5);
    if (again_with_tls(s, state))
        return;
    server_said(s, f.message, said, sizeof(said));
    server_log(s, LOG_LV_WARNING, "server login failed: %.*s %s", TEXT_ARG(f.severity), said);
    s->refused = true;
    server_login_failed(s, state, "%.*s", f.message.n ? (int)f.message.n : 21,
                        f.message.n ? f.message.p : "server refused login.");
}

static void on_status(struct server *s, const char *m, size_t n)
{
    struct text name, value;
    struct server_login *l = s->login;

    if (!wire_status_read(m + 5, n - 5, &name, &value)) {
        server_login_failed(s, "08P01", "malformed ParameterStatus from server");
        return;
    }
    host_role(s, name, value);
    int i = var_index(&s->shard->engine->hub->var_names, name);
    if (i >= 0 && !vars_set(s->vars, i, value)) {
        server_login_failed(s, "53200", "out of memory");
        return;
    }
    if (s->shard->pool->guarded && !vars_safe(name, value)) {
        server_login_failed(s, "0A000", "server has %.*s=%.*s in spite of the startup packet",
                            TEXT_ARG(name), TEXT_ARG(value));
        return;
    }
    buf_append(&l->welcome, m, n);
}

/* The server speaks an older version of the protocol than we asked for; options we asked for
 * none. */
static void on_negotiate(struct server *s, const char *body, size_t n)
{
    struct server_login *l = s->login;
    struct rd r = rd_init(body, n);
    uint32_t version = rd_u32(&r), unknown = rd_u32(&r);

    if (!rd_done(&r) || unknown || l->negotiated || version >> 16 != 3 ||
        (version & 0xffff) >= l->minor) {
        server_login_failed(s, "08P01", "malformed NegotiateProtocolVersion from server");
        return;
    }
    l->negotiated = true;
}

static void on_keydata(struct server *s, const char *body, size_t n)
{
    struct rd r = rd_init(body, n);
    s->backend_pid = rd_u32(&r);
    size_t len = rd_left(&r);
    if (r.bad || len < 4 || len > sizeof(s->backend_key)) {
        server_login_failed(s, "08P01", "malformed BackendKeyData from server");
        return;
    }
    memcpy(s->backend_key, r.p, len);
    s->backend_key_len = len;
}

/* What later clients of the pool are welcomed with. */
static void publish_welcome(struct server *s)
{
    struct server_login *l = s->login;
    size_t len = buf_len(&l->welcome);
    struct welcome *w = calloc(1, sizeof(*w) + len);

    if (!w)
        return;
    w->refs = 1;
    w->len = len;
    if (len)
        memcpy(w->bytes, buf_data(&l->welcome), len);
    if (!vars_copy(&w->vars, s->vars, &s->shard->engine->hub->var_names)) {
        vars_release(&w->vars, &s->shard->engine->hub->var_names);
        free(w);
        return;
    }
    pool_welcome_put(s->shard->pool, w);
}

/* A replication client's server; connect_query is not for it. */
static void own_login_done(struct server *s)
{
    struct buf status = s->login->welcome;

    buf_init(&s->login->welcome);
    stat_inc(&shard_stats(s->shard, s->shard->engine)->server_logins);
    server_login_free(s);
    s->status = 'I';
    replica_ready(s, &status);
    buf_release(&status);
}

static void login_done(struct server *s)
{
    struct shard *sh = s->shard;
    const char *query = sh->db ? sh->db->connect_query : NULL;
    const char *why = host_refuses(s, s->login->last);

    if (why) {
        server_login_failed(s, "08006", "%s: %s", s->host[0] ? s->host : "server", why);
        return;
    }
    host_worked(sh, s->login->host);
    if (s->replication) {
        own_login_done(s);
        return;
    }
    publish_welcome(s);
    sh->failed_at = sh->down_since = 0;
    sh->worked = true;
    sh->starting = false;
    free(sh->failure);
    sh->failure = NULL;
    stat_inc(&shard_stats(sh, sh->engine)->server_logins);
    if (s->conn->tls)
        server_log(s, LOG_LV_DEBUG, "tls=%s", tls_describe(s->conn->tls));
    server_login_free(s);
    s->status = 'I';
    if (query && *query) {
        server_set_state(s, SERVER_TESTED);
        server_due(s);
        if (!server_own_query(s, text_of(query), 0))
            server_close(s, NULL, "out of memory");
        return;
    }
    server_ready(s);
}

/* One whole message. */
static void on_message(struct server *s, const char *m, size_t n)
{
    switch (m[0]) {
    case 'R':
        on_auth(s, m + 5, n - 5);
        break;
    case 'E':
        on_error(s, m + 5, n - 5);
        break;
    case 'S':
        on_status(s, m, n);
        break;
    case 'K':
        on_keydata(s, m + 5, n - 5);
        break;
    case 'v':
        on_negotiate(s, m + 5, n - 5);
        break;
    case 'N':
        break;
    case 'Z':
        if (s->login->phase != PHASE_PARAMS || n != 6)
            server_login_failed(s, "08P01", "server is ready without having authenticated us");
        else
            login_done(s);
        break;
    default:
        server_login_failed(s, "08P01", "unexpected message %d from server during login", m[0]);
    }
}

size_t server_login_input(struct server *s, char *data, size_t n)
{
    size_t pos = 0;
    const struct conn *conn = s->conn; /* another one when the next host is tried */

    if (s->login->phase == PHASE_SSL_ANSWER)
        return ssl_answer(s, data, n);
    while (s->login && !s->dying && s->conn == conn) {
        struct frame f;
        enum frame_status st = frame_peek(data + pos, n - pos, 1 << 20, &f);
        if (st == FRAME_BAD) {
            server_login_failed(s, "08P01", "malformed message from server during login");
            break;
        }
        if (st == FRAME_MORE || f.len > n - pos)
            return pos;
        on_message(s, data + pos, f.len);
        pos += f.len;
    }
    return s->dying || s->conn != conn ? n : pos;
}
