/* SPDX-License-Identifier: ISC */
/* The HTTP service. */
#include "metrics/metrics.h"

#include "base/check.h"
#include "metrics/collect.h"
#include "metrics/http.h"
#include "metrics/page.h"
#include "metrics/status.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_SCRAPES 16 /* at once */
#define TIMEOUT_S 15
#define MAX_CONNECTIONS 64 /* more wait in the backlog */

struct metrics {
    struct hub *hub;
    struct loop *control;
    struct metrics_opts opts;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct evconnlistener *listener;               /* NULL: given away */
    struct bufferevent *open[MAX_CONNECTIONS + 1]; /* referenced; NULL: free */
    int scrapes;                                   /* under way */
    bool dead;
    uint64_t dropped;
};

/* One answer being gathered. */
struct scrape {
    struct metrics *m;
    struct evhttp_request *req; /* NULL: the client has left */
    usec_t begun;
    bool status;       /* /api/status */
    struct busy *busy; /* for that; NULL: not known */
};

/* ---- /metrics and /api/status ---- */

static void metrics_release(struct metrics *m)
{
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
    const struct status st = { .c = c, .busy = s->busy };
    struct buf out;

    buf_init(&out);
    status_write(&st, &out);
    if (out.failed)
        http_text(s->req, 503, "out of memory\n");
    else
        http_reply(s->req, &(struct http_answer){ .code = 200,
                                                  .type = "application/json",
                                                  .body = buf_text(&out),
                                                  .gzip = true });
    buf_release(&out);
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
                         .backends = m->opts.backends->list,
                         .watch = m->opts.watch,
                         .n_backends = m->opts.backends->n,
                         .begun = s->begun,
                         .dropped_before = m->dropped };
    c.reload_ok = ops->reload(m->opts.arg, &c.reload_at);
    ops->tls(m->opts.arg, &c.tls[0], &c.tls[1]);
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
        write_answer(s, survey);
    }
    busy_free(s->busy);
    free(s);
    m->scrapes--;
    if (m->dead && m->scrapes == 0)
        metrics_release(m);
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
    if (!http_method_ok(req))
        return NULL;
    struct scrape *s = m->scrapes < MAX_SCRAPES ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        http_text(req, 503, "too many requests at once\n");
        return NULL;
    }
    s->m = m;
    s->req = req;
    s->begun = clock_mono_us();
    m->scrapes++;
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), client_left, s);
    return s;
}

static void on_metrics(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;
    struct scrape *s = scrape_new(m, req);

    if (s)
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

/* A file of the status page. */
static void on_page(struct evhttp_request *req, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const struct page_file *f;
    size_t pos = 0;

    (void)arg;
    if (!http_method_ok(req))
        return;
    while ((f = page_next(&pos)) != NULL)
        if (path && strcmp(path, f->path) == 0)
            break;
    if (!f)
        http_text(req, 404, "not found\n");
    else
        http_reply(req, &(struct http_answer){ .code = 200,
                                               .type = f->type,
                                               .body = f->body,
                                               .csp = page_policy,
                                               .etag = f->etag,
                                               .gzip = true });
}

/* ---- the others ---- */

static void on_health(struct evhttp_request *req, void *arg)
{
    (void)arg;
    if (http_method_ok(req))
        http_text(req, 200, "ok\n");
}

static void on_ready(struct evhttp_request *req, void *arg)
{
    struct metrics *m = arg;

    if (!http_method_ok(req))
        return;
    if (atomic_load(&m->hub->registry.shutting_down))
        http_text(req, 503, "shutting down\n");
    else if (!m->opts.ops->setup(m->opts.arg))
        http_text(req, 503, "not ready\n");
    else
        http_text(req, 200, "ready\n");
}

static void on_other(struct evhttp_request *req, void *arg)
{
    (void)arg;
    if (http_method_ok(req))
        http_text(req, 404, "not found: / /api/status /metrics /healthz /livez /readyz\n");
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
        if (m->open[i] && (drop || given_up(m->open[i]))) {
            bufferevent_decref(m->open[i]);
            m->open[i] = NULL;
        }
        n += m->open[i] != NULL;
    }
    return n;
}

/* A connection was accepted: evhttp asks for its buffers. At the limit no more are accepted until
 * the next second finds room. The descriptor is closed with the buffers, not before: as long as we
 * hold them their events are registered, and must not be taken for those of a connection that gets
 * the same number. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct metrics *m = arg;
    int n = count_open(m, false);
    struct bufferevent *b = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

    for (int i = 0; b && i <= MAX_CONNECTIONS; i++)
        if (!m->open[i]) {
            m->open[i] = b;
            bufferevent_incref(b);
            n++;
            break;
        }
    if (n >= MAX_CONNECTIONS && m->listener)
        evconnlistener_disable(m->listener);
    return b;
}

void metrics_second(struct metrics *m)
{
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

static bool set_routes(struct metrics *m)
{
    const struct page_file *f;
    size_t pos = 0;

    evhttp_set_gencb(m->http, on_other, m);
    while ((f = page_next(&pos)) != NULL)
        if (evhttp_set_cb(m->http, f->path, on_page, m) != 0)
            return false;
    return evhttp_set_cb(m->http, "/metrics", on_metrics, m) == 0 &&
           evhttp_set_cb(m->http, "/api/status", on_status, m) == 0 &&
           evhttp_set_cb(m->http, "/healthz", on_health, m) == 0 &&
           evhttp_set_cb(m->http, "/livez", on_health, m) == 0 &&
           evhttp_set_cb(m->http, "/readyz", on_ready, m) == 0;
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
    if (!set_routes(m))
        return err_set(e, "cannot set up the metrics service: out of memory");
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
    if (open_http(m, e))
        return m;
    if (m->http)
        evhttp_free(m->http);
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
