/* SPDX-License-Identifier: ISC */
/* The HTTP service. */
#include "metrics/metrics.h"

#include "auth/digest.h"
#include "base/check.h"
#include "metrics/collect.h"
#include "metrics/collect_tenants.h"
#include "metrics/door.h"
#include "metrics/http.h"
#include "metrics/page.h"
#include "metrics/status.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_SCRAPES 16 /* at once */
#define TIMEOUT_S 15   /* without a byte */
#define SLOW_S 30      /* for a whole request, or for taking a whole answer */
#define FULL_NEW_S 1   /* the same while there is no room for others: for a first request */
#define FULL_SLOW_S 5  /* ... and for all the rest */
#define HASH_BYTES 8
#define MAX_CONNECTIONS 64 /* more wait in the backlog */

/* A connection. */
struct open {
    struct bufferevent *b; /* referenced; NULL: free */
    usec_t since;          /* accepted, asked or answered last; 0: being answered */
    bool asked;            /* something, at some time */
};

struct metrics {
    struct hub *hub;
    struct loop *control;
    struct metrics_opts opts;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct evconnlistener *listener; /* NULL: given away */
    struct open open[MAX_CONNECTIONS + 1];
    struct door *door;
    int scrapes; /* under way */
    bool dead;
    uint64_t dropped;
    struct tops *tops; /* NULL: never asked for */
    uint64_t hashed;   /* generation of the setup that the hash is of */
    char hash[2 * HASH_BYTES + 1];
};

/* One answer being gathered. */
struct scrape {
    struct metrics *m;
    struct evhttp_request *req; /* NULL: the client has left */
    usec_t begun;
    bool status;       /* /api/status */
    struct busy *busy; /* for that; NULL: not known */
};

/* When something last happened on the request's connection. */
static void note_time(struct metrics *m, struct evhttp_request *req, usec_t now)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct bufferevent *b = conn ? evhttp_connection_get_bufferevent(conn) : NULL;

    for (int i = 0; b && i <= MAX_CONNECTIONS; i++)
        if (m->open[i].b == b) {
            m->open[i].since = now;
            m->open[i].asked = true;
        }
}

/* ---- /metrics and /api/status ---- */

static void metrics_release(struct metrics *m)
{
    door_free(m->door);
    tops_free(m->tops);
    free(m);
}

static void write_metrics(struct scrape *s, const struct collect *c)
{
    struct metrics *m = s->m;
    struct expo x;

    expo_init(&x, c->setup->g.metrics_max_series);
    if (http_wants_openmetrics(s->req))
        x.format = EXPO_OPENMETRICS;
    collect_write(c, &x);
    expo_end(&x);
    m->dropped += (uint64_t)x.dropped;
    if (x.out.failed)
        http_text(s->req, 503, "out of memory\n");
    else
        http_reply(s->req, &(struct http_answer){ .code = 200,
                                                  .type = expo_type(&x),
                                                  .body = buf_text(&x.out),
                                                  .vary = "Accept",
                                                  .gzip = true });
    expo_release(&x);
}

static void write_status(struct scrape *s, const struct collect *c)
{
    const struct settings *g = &c->setup->g;
    struct status st = { .c = c,
                         .busy = s->busy,
                         .tenant_names = g->metrics_top_tenants > 0 || g->metrics_login ||
                                         *g->metrics_bearer_token_file || *g->metrics_tls_ca_file,
                         .history = watch_history(c->watch),
                         .alerts = watch_alerts(c->watch) };
    struct evkeyvalq query = { 0 };
    const char *asked = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(s->req));
    struct buf out;

    buf_init(&out);
    if (asked && evhttp_parse_query_str(asked, &query) == 0) {
        const char *name = evhttp_find_header(&query, "database");
        st.curve = text_of(name ? name : "");
    }
    status_write(&st, &out);
    evhttp_clear_headers(&query);
    if (out.failed)
        http_text(s->req, 503, "out of memory\n");
    else
        http_reply(s->req, &(struct http_answer){ .code = 200,
                                                  .type = "application/json",
                                                  .body = buf_text(&out),
                                                  .gzip = true });
    buf_release(&out);
}

/* Eight bytes of SHA-256, computed once per load. */
static const char *config_hash(struct metrics *m, const struct setup *setup)
{
    unsigned char sum[DIGEST_LEN];
    struct buf b;

    if (m->hashed == setup->generation && m->hash[0])
        return m->hash;
    buf_init(&b);
    setup_describe(setup, &b);
    m->hash[0] = '\0';
    if (!b.failed && digest_sha256(buf_data(&b), buf_len(&b), sum)) {
        for (int i = 0; i < HASH_BYTES; i++)
            snprintf(m->hash + 2 * i, 3, "%02x", sum[i]);
        m->hashed = setup->generation;
    }
    buf_release(&b);
    return m->hash;
}

static void write_answer(struct scrape *s, const struct survey *survey)
{
    struct metrics *m = s->m;
    const struct metrics_ops *ops = m->opts.ops;
    const struct setup *setup = ops->setup(m->opts.arg);

    if (!setup || !survey) {
        http_text(s->req, 503, "not ready\n");
        return;
    }
    struct collect c = { .hub = m->hub,
                         .setup = setup,
                         .survey = survey,
                         .watch = m->opts.watch,
                         .backends = m->opts.backends,
                         .tops = setup->g.metrics_top_tenants ? m->tops : NULL,
                         .begun = s->begun,
                         .dropped_before = m->dropped,
                         .config_hash = config_hash(m, setup) };
    c.reload_ok = ops->reload(m->opts.arg, &c.reload_at);
    ops->tls(m->opts.arg, c.tls);
    c.login_failures = door_failures(m->door);
    c.login_addresses = door_addresses(m->door);
    if (s->status)
        write_status(s, &c);
    else
        write_metrics(s, &c);
}

static void forget_client(struct scrape *s)
{
    if (s->req)
        evhttp_connection_set_closecb(evhttp_request_get_connection(s->req), NULL, NULL);
}

static void gathered(void *arg, const struct survey *survey)
{
    struct scrape *s = arg;
    struct metrics *m = s->m;

    if (s->req) {
        forget_client(s);
        note_time(m, s->req, clock_mono_us());
        write_answer(s, survey);
    }
    busy_free(s->busy);
    free(s);
    m->scrapes--;
    if (m->dead && m->scrapes == 0)
        metrics_release(m);
}

/* ---- tenants that use most ---- */

static int tenants_wanted(const struct metrics *m)
{
    const struct setup *setup = m->opts.ops->setup(m->opts.arg);
    return setup ? (int)setup->g.metrics_top_tenants : 0;
}

static void on_tenants(void *arg, const struct top_found *f)
{
    struct scrape *s = arg;
    struct metrics *m = s->m;
    int k = tenants_wanted(m);

    if (f && k)
        tops_take(m->tops, f, k);
    survey_run(m->hub, gathered, s);
}

static void ask_tenants(struct scrape *s)
{
    struct metrics *m = s->m;
    int n = 0;

    if (!m->tops)
        m->tops = tops_new();
    if (!m->tops) {
        survey_run(m->hub, gathered, s);
        return;
    }
    const struct text *names = tops_names(m->tops, &n);
    top_gather(m->hub, names, n, on_tenants, s);
}

/* The client closed its connection before the answer was there. */
static void client_left(struct evhttp_connection *conn, void *arg)
{
    (void)conn;
    ((struct scrape *)arg)->req = NULL;
}

static void busy_known(void *arg, struct busy *b)
{
    struct scrape *s = arg;

    s->busy = b;
    if (s->req)
        survey_run(s->m->hub, gathered, s);
    else
        gathered(s, NULL);
}

static struct scrape *scrape_new(struct metrics *m, struct evhttp_request *req)
{
    struct scrape *s = m->scrapes < MAX_SCRAPES ? calloc(1, sizeof(*s)) : NULL;

    if (!s) {
        http_text(req, 503, "too many requests at once\n");
        return NULL;
    }
    s->m = m;
    s->req = req;
    s->begun = clock_mono_us();
    m->scrapes++;
    note_time(m, req, 0);
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), client_left, s);
    return s;
}

static void on_metrics(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;
    struct scrape *s = scrape_new(m, req);

    if (s && tenants_wanted(m))
        ask_tenants(s);
    else if (s)
        survey_run(m->hub, gathered, s);
}

static void on_status(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;
    struct scrape *s = scrape_new(m, req);

    if (!s)
        return;
    s->status = true;
    busy_run(m->hub, busy_known, s);
}

/* ---- the others ---- */

static void on_health(struct evhttp_request *req, void *arg)
{
    (void)arg;
    http_text(req, 200, "ok\n");
}

static void on_ready(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;

    if (atomic_load(&m->hub->registry.shutting_down))
        http_text(req, 503, "shutting down\n");
    else if (!m->opts.ops->setup(m->opts.arg))
        http_text(req, 503, "not ready\n");
    else
        http_text(req, 200, "ready\n");
}

static const struct route {
    const char *path;
    bool open; /* to all, without a login */
    void (*answer)(struct evhttp_request *req, void *metrics);
} routes[] = {
    { "/metrics", false, on_metrics }, { "/api/status", false, on_status },
    { "/healthz", true, on_health },   { "/livez", true, on_health },
    { "/readyz", true, on_ready },
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

static const struct page_file *find_page(const char *path)
{
    const struct page_file *f;
    size_t pos = 0;

    while ((f = page_next(&pos)) != NULL && strcmp(f->path, path) != 0)
        ;
    return f;
}

static void answer(struct metrics *m, struct evhttp_request *req, const char *path,
                   const struct route *r)
{
    const struct page_file *f = r ? NULL : find_page(path);

    if (r)
        r->answer(req, m);
    else if (f)
        http_reply(req, &(struct http_answer){ .code = 200,
                                               .type = f->type,
                                               .body = f->body,
                                               .csp = page_policy,
                                               .etag = f->etag,
                                               .gzip = true });
    else
        http_text(req, 404, "not found: / /api/status /metrics /healthz /livez /readyz\n");
}

/* All requests begin here. What is not there is not told either, without a login. */
static void on_request(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;
    const struct metrics_ops *ops = m->opts.ops;
    const struct setup *setup = ops->setup(m->opts.arg);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *found = uri ? evhttp_uri_get_path(uri) : NULL, *path = found ? found : "";
    const struct route *r = find_route(path);
    bool open = r && r->open;

    note_time(m, req, clock_mono_us());
    if (!m->listener) /* the next request is for the successor */
        evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
    if (!http_method_ok(req))
        return;
    if (!open && !setup)
        http_text(req, 503, "not ready\n");
    else if (open || door_admits(m->door, setup, ops->http_tls(m->opts.arg) != NULL, req))
        answer(m, req, path, r);
}

/* ---- start and stop ---- */

/* No descriptor or no memory: connections wait in the backlog until the next second. Left alone,
 * libevent would try and complain without end. arg is evhttp's, not ours. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    (void)arg;
    evconnlistener_disable(l);
}

/* evhttp takes its callbacks away from a connection that it gives up. */
static bool given_up(struct bufferevent *b)
{
    bufferevent_data_cb rd, wr;
    bufferevent_event_cb ev;
    void *arg;

    bufferevent_getcb(b, &rd, &wr, &ev, &arg);
    return !rd && !wr && !ev;
}

/* How many connections there are; lets go of those that evhttp gave up (or of all). */
static int count_open(struct metrics *m, bool drop)
{
    int n = 0;

    for (int i = 0; i <= MAX_CONNECTIONS; i++) {
        if (m->open[i].b && (drop || given_up(m->open[i].b))) {
            bufferevent_decref(m->open[i].b);
            m->open[i].b = NULL;
        }
        n += m->open[i].b != NULL;
    }
    return n;
}

/* Plain or TLS, as configured now. Without memory evhttp makes plain ones itself: the door lets
 * nobody in by them where TLS is asked for. */
static struct bufferevent *make_buffers(const struct metrics *m, struct event_base *base)
{
    const struct tls_ctx *tls = m->opts.ops->http_tls(m->opts.arg);

    if (!tls)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = tls_ctx_session(tls);
    struct bufferevent *b =
        ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE)
            : NULL; /* libevent frees ssl in any case */
    if (b)
        bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
    return b;
}

/* A connection was accepted: evhttp asks for its buffers. At the limit no more are accepted until
 * the next second finds room. The descriptor is closed with the buffers, not before: as long as we
 * hold them their events are registered, and must not be taken for those of a connection that gets
 * the same number. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct metrics *m = arg;
    int n = count_open(m, false);
    struct bufferevent *b = make_buffers(m, base);

    for (int i = 0; b && i <= MAX_CONNECTIONS; i++)
        if (!m->open[i].b) {
            m->open[i] = (struct open){ .b = b, .since = clock_mono_us() };
            bufferevent_incref(b);
            n++;
            break;
        }
    if (n >= MAX_CONNECTIONS && m->listener)
        evconnlistener_disable(m->listener);
    return b;
}

/* Timeouts begin anew with each byte; whoever sends or reads too few of them is let go here, and
 * sooner while others wait for the room: /healthz must not depend on who holds connections open.
 * Also when a successor listens: nobody should go on to read our figures. */
static void close_slow(struct metrics *m)
{
    usec_t now = clock_mono_us();
    bool full = count_open(m, false) >= MAX_CONNECTIONS || !m->listener;

    for (int i = 0; i <= MAX_CONNECTIONS; i++) {
        struct open *o = &m->open[i];
        usec_t most = !full ? SLOW_S : o->asked ? FULL_SLOW_S : FULL_NEW_S;
        if (o->b && o->since && now > o->since + most * USEC_PER_SEC && !given_up(o->b))
            bufferevent_trigger_event(o->b, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    }
}

void metrics_second(struct metrics *m)
{
    close_slow(m);
    if (count_open(m, false) < MAX_CONNECTIONS && m->listener)
        evconnlistener_enable(m->listener);
}

int metrics_fd(const struct metrics *m)
{
    return m->listener ? (int)evconnlistener_get_fd(m->listener) : -1;
}

void metrics_leave(struct metrics *m)
{
    if (!m->listener)
        return;
    m->listener = NULL;
    evhttp_del_accept_socket(m->http, m->bound);
}

static bool bind_http(struct metrics *m, const char *addr)
{
    if (m->opts.fd >= 0 && (evutil_make_socket_nonblocking(m->opts.fd) != 0 ||
                            evutil_make_socket_closeonexec(m->opts.fd) != 0))
        return false;
    struct evhttp_bound_socket *s =
        m->opts.fd >= 0 ? evhttp_accept_socket_with_handle(m->http, m->opts.fd)
                        : evhttp_bind_socket_with_handle(m->http, addr, (uint16_t)m->opts.port);

    if (!s) {
        if (m->opts.fd >= 0)
            close(m->opts.fd);
        return false;
    }
    m->bound = s;
    evhttp_set_bevcb(m->http, on_connection, m);
    m->listener = evhttp_bound_socket_get_listener(s);
    evconnlistener_set_error_cb(m->listener, on_accept_error);
    return true;
}

static bool open_http(struct metrics *m, struct err *e)
{
    const char *addr = strcmp(m->opts.listen_addr, "*") == 0 ? "0.0.0.0" : m->opts.listen_addr;

    m->http = evhttp_new(m->control->base);
    if (!m->http)
        return err_set(e, "cannot set up the metrics service: out of memory");
    evhttp_set_max_headers_size(m->http, 16384);
    evhttp_set_max_body_size(m->http, 4096);
    evhttp_set_timeout(m->http, TIMEOUT_S);
    evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(m->http, on_request, m);
    errno = 0;
    if (!bind_http(m, addr))
        return err_set(
            e, "metrics: cannot listen on %s port %d (metrics_listen_addr, metrics_port): %s", addr,
            m->opts.port, errno ? strerror(errno) : "no such address");
    return true;
}

struct metrics *metrics_new(struct hub *h, struct loop *control, const struct metrics_opts *o,
                            struct err *e)
{
    struct metrics *m = calloc(1, sizeof(*m));

    if (!m) {
        err_set(e, "cannot set up the metrics service: out of memory");
        return NULL;
    }
    m->hub = h;
    m->control = control;
    m->opts = *o;
    m->door = door_new(h->log, h->mock_seed);
    if (!m->door)
        err_set(e, "cannot set up the metrics service: out of memory");
    else if (open_http(m, e))
        return m;
    if (m->http)
        evhttp_free(m->http);
    door_free(m->door);
    free(m);
    return NULL;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    evhttp_free(m->http);
    count_open(m, true);
    m->http = NULL;
    m->dead = true;
    if (m->scrapes == 0)
        metrics_release(m);
}
