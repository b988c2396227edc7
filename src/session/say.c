/* SPDX-License-Identifier: ISC */
/* Log lines about clients and servers. */
#include "session/say.h"

#include "session/record.h"
#include "tenant/redact.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- who ---- */

/* The peer's address, brackets around IPv6; of a unix socket who connected. Gives the port. */
static int peer_text(char *out, size_t size, const struct conn *conn, int unix_port)
{
    char addr[128] = "?";
    int port = 0;

    if (conn && conn->peer.ss_family == AF_UNIX) {
        snprintf(out, size, "unix(%u)", sock_peer_pid(conn->fd));
        return unix_port;
    }
    if (conn)
        sockaddr_text(&conn->peer, addr, sizeof(addr), &port);
    bool v6 = strchr(addr, ':') != NULL;
    snprintf(out, size, "%s%s%s", v6 ? "[" : "", addr, v6 ? "]" : "");
    return port;
}

static void who_text(char *out, size_t size, struct text db, struct text user, const char *addr,
                     int port)
{
    snprintf(out, size, "%.*s/%.*s@%s:%d", db.n ? (int)db.n : 6, db.n ? db.p : "(nodb)",
             user.n ? (int)user.n : 8, user.n ? user.p : "(nouser)", addr, port);
}

void client_who(char *out, size_t size, struct text db, struct text user, const struct conn *conn,
                int unix_port)
{
    char addr[140];
    int port = peer_text(addr, sizeof(addr), conn, unix_port);

    who_text(out, size, db, user, addr, port);
}

/* Lines of everyday life are never folded, however many there are. */
static bool is_ordinary(const char *kind)
{
    static const char *const kinds[] = {
        "login attempt: db=%s user=%s tls=%s",
        "client close request",
        "new connection to server (from %s:%d)",
        "server lifetime over",
        "server idle timeout",
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

void say_client(struct say *s, const struct client *c, const char *kind)
{
    struct text tenant = record_tenant(c);
    char addr[140], who[560];
    int port = peer_text(addr, sizeof(addr), c->conn, (int)c->setup->g.listen_port);

    snprintf(s->host, sizeof(s->host), "%s:%d", addr, port);
    who_text(who, sizeof(who), c->db_name, c->user_name, addr, port);
    snprintf(s->id, sizeof(s->id), "C-%p", (const void *)c);
    snprintf(s->head, sizeof(s->head), "%s: %s", s->id, who);
    /* names that a client gives before its login is done are its own choice */
    bool named = !client_at_login(c);
    bool is_unix = c->conn && c->conn->peer.ss_family == AF_UNIX; /* the process does not count */
    snprintf(s->subject, sizeof(s->subject), "%s/%.*s/%.*s/%.*s", is_unix ? "unix" : addr,
             named ? (int)c->db_name.n : 0, c->db_name.p, named ? (int)c->user_name.n : 0,
             c->user_name.p, (int)tenant.n, tenant.p);
    s->about = (struct log_about){ .head = text_of(s->head),
                                   .client = text_of(s->id),
                                   .client_id = c->id,
                                   .database = c->db_name,
                                   .user = c->user_name,
                                   .tenant = tenant,
                                   .host = text_of(s->host),
                                   .subject = text_of(s->subject),
                                   .kind = kind && !is_ordinary(kind) ? kind : NULL };
}

void say_server(struct say *s, const struct server *sv, const char *kind)
{
    const struct pool *p = sv->shard->pool;
    const char *host = sv->host[0] ? sv->host : "unix";

    snprintf(s->host, sizeof(s->host), "%.140s:%d", host, sv->port);
    snprintf(s->id, sizeof(s->id), "S-%p", (const void *)sv);
    snprintf(s->head, sizeof(s->head), "%s: %.*s/%.*s@%s:%d", s->id, TEXT_ARG(p->db_name),
             TEXT_ARG(p->user_name), host, sv->port);
    snprintf(s->subject, sizeof(s->subject), "%.*s/%.*s", TEXT_ARG(p->db_name),
             TEXT_ARG(p->user_name));
    s->about = (struct log_about){ .head = text_of(s->head),
                                   .server = text_of(s->id),
                                   .database = p->db_name,
                                   .user = p->user_name,
                                   .host = text_of(s->host),
                                   .subject = text_of(s->subject),
                                   .kind = kind && !is_ordinary(kind) ? kind : NULL };
}

/* ---- lines ---- */

void client_log(const struct client *c, enum log_level lv, const char *fmt, ...)
{
    char text[2000];
    struct say s;
    va_list ap;

    if (!log_wants(c->engine->hub->log, lv))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say_client(&s, c, lv <= LOG_LV_LOG ? fmt : NULL);
    log_put(c->engine->hub->log, lv, &s.about, text_of(text));
}

void server_log(const struct server *sv, enum log_level lv, const char *fmt, ...)
{
    char text[2000];
    struct say s;
    va_list ap;
    struct log *log = sv->shard->engine->hub->log;

    if (!log_wants(log, lv))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say_server(&s, sv, lv <= LOG_LV_LOG ? fmt : NULL);
    log_put(log, lv, &s.about, text_of(text));
}

/* Of a text without a format: what varies (numbers, quoted parts) is left out. */
static void kind_of_text(const char *text, char *out, size_t size)
{
    size_t n = 0;
    bool quoted = false;

    for (; *text && n + 1 < size; text++) {
        quoted ^= *text == '"';
        if (!quoted && !(*text >= '0' && *text <= '9'))
            out[n++] = *text;
    }
    out[n] = '\0';
}

/* The kind of a closing: its format tells more than the text that was made by it. */
static const char *closing_kind(const char *kind, const char *reason, char *room, size_t size)
{
    if (kind && strcmp(kind, "%s") != 0)
        return kind;
    kind_of_text(reason, room, size);
    return room;
}

static void put_closing(struct log *log, enum log_level lv, const struct say *s, const char *what,
                        const char *reason, const char *age)
{
    struct log_about about = s->about;
    char text[2000], kind[sizeof(s->kind)];

    if (about.kind) {
        snprintf(text, sizeof(text), "%s %s", what, about.kind);
        snprintf(kind, sizeof(kind), "%.*s", (int)sizeof(kind) - 1, text);
        about.kind = kind;
    }
    about.reason = text_of(reason);
    snprintf(text, sizeof(text), "%s: %s%s", what, reason, age);
    log_put(log, lv, &about, text_of(text));
}

void client_log_closing(struct client *c, const char *kind, const char *reason, bool error)
{
    const struct settings *g = &c->engine->setup->g;
    struct log *log = c->engine->hub->log;
    char age[40], room[160];
    struct say s;

    if (!g->log_disconnections && !(error && g->log_pooler_errors))
        return;
    kind = closing_kind(kind, reason, room, sizeof(room));
    snprintf(age, sizeof(age), " (age=%llus)",
             (unsigned long long)((c->engine->loop.now - c->connected_at) / USEC_PER_SEC));
    say_client(&s, c, kind);
    if (g->log_disconnections)
        put_closing(log, LOG_LV_LOG, &s, "closing because", reason, age);
    if (error && g->log_pooler_errors)
        put_closing(log, LOG_LV_WARNING, &s, "pooler error", reason, "");
}

void server_log_closing(struct server *sv, const char *kind, const char *reason)
{
    struct engine *e = sv->shard->engine;
    char age[40], room[160];
    struct say s;

    if (!e->setup->g.log_disconnections)
        return;
    snprintf(age, sizeof(age), " (age=%llus)",
             (unsigned long long)((e->loop.now - sv->connected_at) / USEC_PER_SEC));
    say_server(&s, sv, closing_kind(kind, reason, room, sizeof(room)));
    put_closing(e->hub->log, LOG_LV_LOG, &s, "closing because", reason, age);
}

void client_log_refusal(const struct client *c, bool enforced, const char *reason,
                        struct text detail, struct text sql)
{
    enum log_level lv = enforced ? LOG_LV_WARNING : LOG_LV_LOG;
    struct text tenant = c->identity.n_claims ? c->identity.claims[0].value : TEXT("-");
    struct log *log = c->engine->hub->log;
    char text[2000];
    struct say s;

    if (!log_wants(log, lv))
        return;
    if (sql.n && redact_is_broken(sql))
        detail = TEXT("(a quote is broken)");
    if (enforced)
        snprintf(text, sizeof(text), "tenant %.*s: refused: %s: %.*s", TEXT_ARG(tenant), reason,
                 TEXT_ARG(detail));
    else
        snprintf(text, sizeof(text), "tenant audit: would be refused: %s: %.*s", reason,
                 TEXT_ARG(detail));
    say_client(&s, c, reason);
    snprintf(s.kind, sizeof(s.kind), "%s %s", enforced ? "refused" : "would refuse", reason);
    s.about.kind = s.kind;
    s.about.reason = text_of(reason);
    log_put(log, lv, &s.about, text_of(text));
}

/* ---- what servers say ---- */

static bool is_name(const struct server *sv, struct text t)
{
    const struct pool *p = sv->shard->pool;
    const struct database_conf *db = sv->shard->db;
    char local[128];
    int port;

    if (text_eq(t, p->db_name) || text_eq(t, p->user_name) || text_is(t, sv->host) ||
        (db && db->dbname && text_is(t, db->dbname)))
        return true;
    if (!sv->conn)
        return false;
    sockaddr_text(&sv->conn->local, local, sizeof(local), &port);
    return text_is(t, local);
}

/* The quotation mark that ends what the one at the beginning of t begins; its length in *n. NULL:
 * none begins there. Messages are written in the language of the server. */
static const char *closing_quote(struct text t, size_t *n)
{
    static const struct {
        const char *open, *close;
    } quotes[] = {
        { "\"", "\"" },
        { "'", "'" },
        { "`", "'" },
        { "\xc2\xab", "\xc2\xbb" },         /* guillemets */
        { "\xe2\x80\x9e", "\xe2\x80\x9c" }, /* low-high */
        { "\xe2\x80\x9c", "\xe2\x80\x9d" }, /* high */
        { "\xe2\x80\x98", "\xe2\x80\x99" },
        { "\xe2\x80\x9a", "\xe2\x80\x98" },
        { "\xe3\x80\x8c", "\xe3\x80\x8d" }, /* corner brackets */
    };
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
        if (!text_starts(t, text_of(quotes[i].open)))
            continue;
        *n = strlen(quotes[i].open);
        return quotes[i].close;
    }
    return NULL;
}

/* Where that mark stands next, or last; the end of the text when it does not. */
static size_t mark_at(struct text t, size_t from, const char *mark, bool last)
{
    size_t n = strlen(mark), at = t.n;

    for (size_t i = from; i + n <= t.n && (last || at == t.n); i++)
        if (memcmp(t.p + i, mark, n) == 0)
            at = i;
    return at;
}

static void put(char *out, size_t size, size_t *n, struct text t)
{
    for (size_t i = 0; i < t.n && *n + 1 < size; i++)
        out[(*n)++] = t.p[i];
}

/* The part in quotes at i, which may hold such quotes itself: a name is passed on, anything else
 * becomes "?" up to the last of them. Gives where the text goes on. */
static size_t put_quoted(char *out, size_t size, size_t *n, const struct server *sv, struct text t,
                         size_t i, size_t open, const char *close)
{
    size_t end = mark_at(t, i + open, close, false), len = strlen(close);

    if (end < t.n && is_name(sv, text_n(t.p + i + open, end - i - open))) {
        put(out, size, n, text_n(t.p + i, end + len - i));
        return end + len;
    }
    put(out, size, n, TEXT("\"?\""));
    end = mark_at(t, i + open, close, true);
    return end < t.n ? end + len : t.n;
}

void server_said(const struct server *sv, struct text t, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < t.n;) {
        size_t open;
        const char *close = closing_quote(text_n(t.p + i, t.n - i), &open);
        if (close) {
            i = put_quoted(out, size, &n, sv, t, i, open, close);
        } else if (t.p[i] >= '0' && t.p[i] <= '9') {
            while (i < t.n && t.p[i] >= '0' && t.p[i] <= '9')
                i++;
            put(out, size, &n, TEXT("?"));
        } else {
            put(out, size, &n, text_n(t.p + i++, 1));
        }
    }
    out[n] = '\0';
}
