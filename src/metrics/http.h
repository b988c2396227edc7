/* SPDX-License-Identifier: ISC */
/*
 * Replies of the metrics service over libevent's evhttp: their headers, gzip, HEAD and 304. Control
 * thread only. Requests are untrusted; evhttp has limited the size of their headers.
 */
#ifndef METRICS_HTTP_H
#define METRICS_HTTP_H

#include "base/buf.h"

struct evhttp_request;

#define HTTP_TEXT "text/plain; charset=utf-8"

struct http_answer {
    int code;         /* its phrase is added */
    const char *type; /* Content-Type; NULL = HTTP_TEXT */
    struct text body; /* copied */
    const char *csp;  /* Content-Security-Policy; NULL = nothing may be loaded */
    const char *etag; /* with its quotes, of the uncompressed body: 304 when the client has it; sent
                         as a weak one; NULL = none, and nothing is cached */
    const char *vary; /* further names for Vary, or NULL */
    bool gzip;        /* compressed when the client takes that and it is worth it */
};

/* Answers and ends the request. HEAD gets the headers that GET would. Headers of other kinds
 * (Allow, Retry-After, ...) may be added to the request's output before. */
void http_reply(struct evhttp_request *req, const struct http_answer *a);
/* A line of plain text. */
void http_text(struct evhttp_request *req, int code, const char *body);
/* GET and HEAD only: false = it was another one, and is answered (405). */
bool http_method_ok(struct evhttp_request *req);
/* The values of all headers of this name, joined by commas; `into` is cleared first. Without
 * memory: the empty text. Valid until `into` changes. */
struct text http_header(struct evhttp_request *req, const char *name, struct buf *into);
/* Does the request ask for OpenMetrics? */
bool http_wants_openmetrics(struct evhttp_request *req);
/* RFC 1952. false: out of memory; out is to be released in any case. */
bool http_gzip(struct text body, struct buf *out);

#endif
