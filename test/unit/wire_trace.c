/* SPDX-License-Identifier: ISC */
/* traceparent in comments of statements: what is one, and the many things that are none. */
#include "wire/traceparent.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define ID "5bd66ef5095369c7b0d1f8f4bd33716a"
#define SPAN "c532cb4098ac3dd2"
#define V "00-" ID "-" SPAN "-01"
#define KEY "traceparent='"

/* The trace in the text as a header, "" for none. The text lies in memory of its very size. */
static const char *trace_of(struct text sql, bool whole)
{
    static char out[TRACEPARENT_LEN + 1];
    struct traceparent t;
    char *copy = malloc(sql.n ? sql.n : 1);

    if (!copy)
        abort();
    if (sql.n)
        memcpy(copy, sql.p, sql.n);
    bool found = traceparent_find(text_n(copy, sql.n), whole, &t);
    free(copy);
    if (found != t.set)
        return "result and member differ";
    traceparent_text(&t, out);
    return out;
}

static void found(const char *sql)
{
    is_text(trace_of(text_of(sql), true), V, "found in %s", sql);
}

static void none(const char *sql)
{
    is_text(trace_of(text_of(sql), true), "", "none in %s", sql);
}

static void places(void)
{
    found("SELECT 1 /*" KEY V "'*/");
    found("SELECT 1/*" KEY V "'*/;\n ");
    found("SELECT 1 /*route='x'," KEY V "',tracestate='a%3Db'*/");
    found("SELECT 1 /* " KEY V "' */ ;;");
    found("/*" KEY V "'*/ SELECT 1");
    is_text(trace_of(TEXT("\n\t /*a='b'," KEY V "'*/SELECT 1"), true), V, "behind blanks");
    found("/*" KEY V "'*/");
    found("/* first */ SELECT /* second */ 1 /*" KEY V "'*/");
    found("SELECT 'it''s' /*" KEY "00-" ID "-" SPAN "%2D01'*/");
    found("SELECT 1 /*" KEY "%30%30%2d" ID "-" SPAN "-01'*/");
    none("");
    none("/");
    none("*/");
    none("/*/");
    none("/**/");
    none("SELECT 1 " KEY V "'");
    none("SELECT '" KEY V "'");
    none("SELECT /*" KEY V "'*/ 1");
    none("SELECT 1 /*" KEY V "'*/ WHERE true");
    none("SELECT 1 /*" KEY V "'");
    none("SELECT 1 -- " KEY V "'");
    none("SELECT 1 /*x" KEY V "'*/");
    none("SELECT 1 /*Traceparent='" V "'*/");
    none("SELECT 1 /*traceparent=\"" V "\"*/");
    none("SELECT 1 /*" KEY V "*/");
    none("SELECT 1 /*" KEY V "'x='y'*/");
    none("SELECT 1 /*" KEY V "'," KEY V "'*/");
    is_text(trace_of(TEXT("SELECT 1 /*" KEY V "'*/"), false), "",
            "the end of a text that goes on is no end");
    is_text(trace_of(TEXT("/*" KEY V "'*/ SELECT '"), false), V, "its beginning is");
}

static void values(void)
{
    none("SELECT 1 /*" KEY "'*/");
    none("SELECT 1 /*" KEY "00'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "-1'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "-01-extra'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "-011'*/");
    none("SELECT 1 /*" KEY "ff-" ID "-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY "0g-" ID "-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY "00_" ID "-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY "00-5BD66EF5095369C7B0D1F8F4BD33716A-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY "00-00000000000000000000000000000000-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY "00-" ID "-0000000000000000-01'*/");
    none("SELECT 1 /*" KEY "00-secret69c7b0d1f8f4bd33716a000000-" SPAN "-01'*/");
    none("SELECT 1 /*" KEY V "%'*/");
    none("SELECT 1 /*" KEY V "%2'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "-0%zz'*/");
    none("SELECT 1 /*" KEY "00-" ID "-" SPAN "-0\\'1'*/");
    is_text(trace_of(TEXT("SELECT 1 /*" KEY "01-" ID "-" SPAN "-01-what.comes.later'*/"), true), V,
            "a later version may have more");
    is_text(trace_of(TEXT("SELECT 1 /*" KEY "cc-" ID "-" SPAN "-01x'*/"), true), "",
            "behind a dash only");
    is_text(trace_of(TEXT("SELECT 1 /*" KEY "00-" ID "-" SPAN "-fe'*/"), true),
            "00-" ID "-" SPAN "-fe", "flags are kept");
    is_text(trace_of(TEXT("SELECT 1 /*" KEY "00-" ID "-" SPAN "-\0"
                          "01'*/"),
                     true),
            "", "a NUL");
}

/* Every prefix, and every byte changed: nothing but hexadecimal of the right form comes out. */
static void mutations(void)
{
    static const char good[] = "/*" KEY V "'*/ SELECT 1 /*a='b'," KEY V "'*/";
    char sql[sizeof(good)];
    int bad = 0;

    for (size_t n = 0; n < sizeof(good); n++) {
        const char *t = trace_of(text_n(good, n), true);
        bad += *t && strcmp(t, V) != 0;
    }
    is_int(bad, 0, "prefixes");
    for (size_t i = 0; i + 1 < sizeof(good); i++)
        for (int c = 0; c < 256; c++) {
            memcpy(sql, good, sizeof(good));
            sql[i] = (char)c;
            const char *t = trace_of(text_n(sql, sizeof(good) - 1), true);
            bad += *t && (strlen(t) != TRACEPARENT_LEN ||
                          strspn(t, "0123456789abcdef-") != TRACEPARENT_LEN);
        }
    is_int(bad, 0, "changed bytes");
}

/* Long texts and comments: nothing is found far from the ends. */
static void lengths(void)
{
    static char sql[100000];
    size_t n;

    memset(sql, ' ', sizeof(sql));
    memcpy(sql, "/*", 2);
    n = sizeof(sql) - 200;
    memcpy(sql + n, "*/ SELECT 1 /*" KEY V "'*/", sizeof("*/ SELECT 1 /*" KEY V "'*/") - 1);
    is_text(trace_of(text_n(sql, sizeof(sql)), true), V, "behind a long text and blanks");
    memset(sql, 'x', sizeof(sql));
    memcpy(sql, "/*" KEY V "'", sizeof("/*" KEY V "'") - 1);
    memcpy(sql + sizeof(sql) - 2, "*/", 2);
    is_text(trace_of(text_n(sql, sizeof(sql)), true), "", "not in a comment without an end");
    memset(sql, '*', sizeof(sql));
    sql[sizeof(sql) - 1] = '/';
    is_text(trace_of(text_n(sql, sizeof(sql)), true), "", "stars");
}

int main(void)
{
    places();
    values();
    mutations();
    lengths();
    return tap_done();
}
