/* SPDX-License-Identifier: ISC */
/* Replies over evhttp. */
#include "metrics/http.h"

#include "metrics/negotiate.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <zlib.h>

#define WORTH_GZIP 1024 /* bytes from which on a body is compressed */
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 8

struct text http_header(struct evhttp_request *req, const char *name, struct buf *into)
{
    struct evkeyval *kv;

    buf_clear(into);
    for (kv = evhttp_request_get_input_headers(req)->tqh_first; kv; kv = kv->next.tqe_next) {
        if (strcasecmp(kv->key, name) != 0)
            continue;
        if (buf_len(into) > 0)
            buf_char(into, ',');
        buf_text_append(into, text_of(kv->value));
    }
    return into->failed ? text_n(NULL, 0) : buf_text(into);
}

bool http_wants_openmetrics(struct evhttp_request *req)
{
    struct buf b;

    buf_init(&b);
    bool open = negotiate_openmetrics(http_header(req, "Accept", &b));
    buf_release(&b);
    return open;
}

bool http_gzip(struct text body, struct buf *out)
{
    z_stream z = { 0 };

    if (body.n > UINT_MAX / 2 || deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW,
                                              GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong most = deflateBound(&z, (uLong)body.n);
    char *to = buf_reserve(out, most);
    bool fine = false;
    if (to) {
        z.next_in = (z_const Bytef *)(uintptr_t)body.p;
        z.avail_in = (uInt)body.n;
        z.next_out = (Bytef *)to;
        z.avail_out = (uInt)most;
        fine = deflate(&z, Z_FINISH) == Z_STREAM_END;
        if (fine)
            buf_commit(out, z.total_out);
    }
    deflateEnd(&z);
    return fine;
}

static const char *phrase(int code)
{
    static const struct {
        int code;
        const char *phrase;
    } known[] = {
        { 200, "OK" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 429, "Too Many Requests" },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].code == code)
            return known[i].phrase;
    return "Service Unavailable";
}

static void put_headers(struct evkeyvalq *head, const struct http_answer *a, bool zipped)
{
    char text[160];

    evhttp_add_header(head, "Content-Type", a->type ? a->type : HTTP_TEXT);
    evhttp_add_header(head, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(head, "Referrer-Policy", "no-referrer");
    evhttp_add_header(head, "Content-Security-Policy",
                      a->csp ? a->csp : "default-src 'none'; frame-ancestors 'none'");
    evhttp_add_header(head, "Cache-Control", a->etag ? "private, no-cache" : "no-store");
    if (a->etag) {
        snprintf(text, sizeof(text), "W/%s", a->etag);
        evhttp_add_header(head, "ETag", text);
    }
    if (a->gzip || a->vary) {
        snprintf(text, sizeof(text), "%s%s%s", a->gzip ? "Accept-Encoding" : "",
                 a->gzip && a->vary ? ", " : "", a->vary ? a->vary : "");
        evhttp_add_header(head, "Vary", text);
    }
    if (zipped)
        evhttp_add_header(head, "Content-Encoding", "gzip");
}

/* Has the client got this already? */
static bool fresh(struct evhttp_request *req, const struct http_answer *a, struct buf *b)
{
    return a->etag && a->code == 200 &&
           negotiate_etag(http_header(req, "If-None-Match", b), text_of(a->etag));
}

static bool zip(struct evhttp_request *req, const struct http_answer *a, struct buf *b)
{
    if (!a->gzip || a->body.n < WORTH_GZIP ||
        !negotiate_gzip(http_header(req, "Accept-Encoding", b)))
        return false;
    buf_clear(b);
    return http_gzip(a->body, b);
}

void http_reply(struct evhttp_request *req, const struct http_answer *a)
{
    struct evkeyvalq *head = evhttp_request_get_output_headers(req);
    struct evbuffer *out = evbuffer_new();
    struct text body = a->body;
    struct buf b;
    char length[32];

    buf_init(&b);
    bool same = fresh(req, a, &b), zipped = !same && zip(req, a, &b);
    put_headers(head, a, zipped);
    if (zipped)
        body = buf_text(&b);
    if (!same) {
        snprintf(length, sizeof(length), "%zu", body.n);
        evhttp_add_header(head, "Content-Length", length);
    }
    if (!out || (!same && evhttp_request_get_command(req) != EVHTTP_REQ_HEAD &&
                 evbuffer_add(out, body.p, body.n) != 0)) {
        evhttp_clear_headers(head);
        evhttp_send_error(req, 503, "Out of memory");
    } else {
        evhttp_send_reply(req, same ? 304 : a->code, phrase(same ? 304 : a->code), out);
    }
    if (out)
        evbuffer_free(out);
    buf_release(&b);
}

void http_text(struct evhttp_request *req, int code, const char *body)
{
    http_reply(req, &(struct http_answer){ .code = code, .body = text_of(body) });
}

bool http_method_ok(struct evhttp_request *req)
{
    enum evhttp_cmd_type cmd = evhttp_request_get_command(req);

    if (cmd == EVHTTP_REQ_GET || cmd == EVHTTP_REQ_HEAD)
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET, HEAD");
    http_text(req, 405, "only GET and HEAD\n");
    return false;
}
