/* SPDX-License-Identifier: ISC */
/* Accept, Accept-Encoding, If-None-Match; gzip there and back. */
#include "metrics/http.h"
#include "metrics/negotiate.h"
#include "tap.h"

#include <stdlib.h>
#include <zlib.h>

static void formats(void)
{
    static const struct {
        const char *accept;
        bool open;
    } cases[] = {
        { "", false },
        { "*/*", false },
        { "application/*", false },
        { "text/plain", false },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false },
        { "application/openmetrics-text", true },
        { "Application/OpenMetrics-Text; Version=1.0.0", true },
        { "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", true },
        { "application/openmetrics-text; version=\"1.0.0\"; q=1", true },
        { "application/openmetrics-text;version=0.0.1", false },
        { "application/openmetrics-text;version=2.0.0,text/plain;q=0.1", false },
        /* Prometheus' own */
        { "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
          "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
          true },
        { "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,"
          "*/*;q=0.1",
          true },
        { "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.8", false },
        { "text/plain, application/openmetrics-text", true },
        { "application/openmetrics-text;q=0", false },
        { "application/openmetrics-text;q=0.000, text/plain;q=0", false },
        { "application/openmetrics-text;q=0.001, text/plain;q=0", true },
        { "application/openmetrics-text;q=0.3, */*;q=0.9", false },
        { "application/openmetrics-text;q=0.3, */*;q=0.9, text/plain;q=0.2", true },
        { "application/openmetrics-text;q=0.3, text/*;q=0.4, */*;q=0.1", false },
        { "application/openmetrics-text;q=0.3, text/plain;version=1.0.0;q=0.9", true },
        { "application/openmetrics-text;q=0.3, text/plain;version=0.0.4;q=0.2, text/plain;q=0.9",
          true },
        /* what cannot be read is not said */
        { "application/openmetrics-text;q=1.5", false },
        { "application/openmetrics-text;q=", false },
        { "application/openmetrics-text;q=-1", false },
        { "application/openmetrics-text;q=0.1234", false },
        { "application/openmetrics-text;q=1.001", false },
        { "application/openmetrics-text;q=abc", false },
        { ",,;q=1,;;,", false },
        { "text/plain;x=\", application/openmetrics-text\"", false },
        { "text/plain;x=\"\\\", application/openmetrics-text", false },
        { "application/openmetrics-textual", false },
        { " application/openmetrics-text ;q=1 ", true },
        { "application/openmetrics-text;version", true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        is_int(negotiate_openmetrics(text_of(cases[i].accept)), cases[i].open, "Accept: %s",
               cases[i].accept);
}

static void encodings(void)
{
    static const struct {
        const char *accept;
        bool gzip;
    } cases[] = {
        { "", false },
        { "gzip", true },
        { "GZip", true },
        { "x-gzip", true },
        { "deflate, br", false },
        { "deflate, gzip;q=0.5, br", true },
        { "gzip;q=0", false },
        { "gzip;q=0, *", false },
        { "*", true },
        { "*;q=0", false },
        { "identity", false },
        { "gzip;q=0.5, identity", false },
        { "gzip;q=0.5, identity;q=0.5", true },
        { "identity;q=0, gzip;q=0.1", true },
        { "gzip;q=2", false },
        { "gzipped", false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        is_int(negotiate_gzip(text_of(cases[i].accept)), cases[i].gzip, "Accept-Encoding: %s",
               cases[i].accept);
}

static void etags(void)
{
    const struct text tag = TEXT("\"ab,c\"");

    ok(!negotiate_etag(TEXT(""), tag), "none");
    ok(negotiate_etag(TEXT("*"), tag), "any");
    ok(negotiate_etag(TEXT("\"ab,c\""), tag), "the same");
    ok(negotiate_etag(TEXT("\"x\", W/\"ab,c\""), tag), "weak, in a list");
    ok(!negotiate_etag(TEXT("\"ab\", c\""), tag), "others");
    ok(!negotiate_etag(TEXT(",, ,"), tag), "empty ones");
}

/* zlib's own reader gets back what was compressed. */
static bool there_and_back(struct text t)
{
    struct buf packed;
    char *room = malloc(t.n + 1);
    z_stream z = { 0 };

    buf_init(&packed);
    bool fine = http_gzip(t, &packed) && room && inflateInit2(&z, 15 + 16) == Z_OK;
    if (fine) {
        z.next_in = (Bytef *)buf_data(&packed);
        z.avail_in = (uInt)buf_len(&packed);
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)t.n + 1;
        fine = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0 &&
               text_eq(text_n(room, z.total_out), t);
        inflateEnd(&z);
    }
    free(room);
    buf_release(&packed);
    return fine;
}

static void gzips(void)
{
    struct buf b;
    unsigned x = 1;

    ok(there_and_back(TEXT("")), "nothing");
    ok(there_and_back(TEXT("a")), "a byte");
    buf_init(&b);
    for (int i = 0; i < 300000; i++) {
        x = x * 1103515245 + 12345;
        buf_char(&b, (char)(x >> 24));
    }
    ok(there_and_back(buf_text(&b)), "what does not compress");
    buf_clear(&b);
    for (int i = 0; i < 30000; i++)
        buf_printf(&b, "pgbulkhead_pool_size{database=\"d%d\"} 20\n", i % 700);
    ok(there_and_back(buf_text(&b)), "what does");
    buf_release(&b);
}

int main(void)
{
    formats();
    encodings();
    etags();
    gzips();
    return tap_done();
}
