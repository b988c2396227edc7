/* SPDX-License-Identifier: ISC */
/* First packets and the options parameter. */
#include "tap.h"

#include "wire/startup.h"

/* Parses a copy of its own size, so that a read behind the end is seen. */
static enum startup_kind parse(struct text t, struct startup *s, struct err *e)
{
    char *copy = malloc(t.n ? t.n : 1);
    if (!copy)
        abort();
    if (t.n)
        memcpy(copy, t.p, t.n);
    *e = (struct err){ 0 };
    enum startup_kind k = startup_parse(copy, t.n, s, e);
    if (k == STARTUP_BAD && !e->msg[0])
        k = (enum startup_kind)99;
    free(copy);
    return k;
}

static void test_kinds(void)
{
    struct startup s;
    struct err e;
    struct buf b;
    buf_init(&b);
    startup_build_ssl(&b);
    is_int(parse(buf_text(&b), &s, &e), STARTUP_SSL, "SSLRequest");
    is_int(s.len, 8, "its length");
    is_int(parse(TEXT("\0\0\0\10\4\322\26\60"), &s, &e), STARTUP_GSS, "GSSENCRequest");
    is_int(parse(TEXT("\0\0\0\11\4\322\26\57\0"), &s, &e), STARTUP_BAD, "SSLRequest with a tail");
    buf_clear(&b);
    startup_build_cancel(&b, 77, TEXT("key!"));
    is_int(startup_parse(b.p, b.n, &s, &e), STARTUP_CANCEL, "CancelRequest");
    is_int(s.cancel_id, 77, "its id");
    is_text(s.cancel_key, "key!", "its key");
    buf_clear(&b);
    startup_build_cancel(&b, 77, TEXT("key"));
    is_int(parse(buf_text(&b), &s, &e), STARTUP_BAD, "key of 3 bytes");
    static const char zeros[257];
    buf_clear(&b);
    startup_build_cancel(&b, 77, text_n(zeros, 256));
    is_int(parse(buf_text(&b), &s, &e), STARTUP_CANCEL, "key of 256 bytes");
    buf_clear(&b);
    startup_build_cancel(&b, 77, text_n(zeros, 257));
    is_int(parse(buf_text(&b), &s, &e), STARTUP_BAD, "key of 257 bytes");
    is_str(e.msg, "invalid packet length", "its text");
    is_int(parse(TEXT("\0\0\0\11\0\2\0\0\0"), &s, &e), STARTUP_V2, "protocol 2");
    is_str(e.msg, "old V2 protocol not supported", "its text");
    is_int(parse(TEXT("\0\0\0\11\0\4\0\0\0"), &s, &e), STARTUP_BAD, "protocol 4");
    is_str(e.sqlstate, "0A000", "its SQLSTATE");
    is_int(parse(TEXT("GET / HTTP/1.1"), &s, &e), STARTUP_BAD, "HTTP");
    is_int(parse(TEXT("\26\3\1\2"), &s, &e), STARTUP_BAD, "a TLS hello");
    is_int(parse(TEXT("\0\0\0\0"), &s, &e), STARTUP_BAD, "length 0");
    is_int(parse(TEXT("\0\0\47\21"), &s, &e), STARTUP_BAD, "length 10001");
    is_int(parse(TEXT("\0\0\0\10\0\3\0\0"), &s, &e), STARTUP_BAD, "no list at all");
    is_int(parse(TEXT(""), &s, &e), STARTUP_MORE, "nothing yet");
    buf_release(&b);
}

static void test_message(void)
{
    const struct startup_param in[] = {
        { TEXT("user"), TEXT("alice") },
        { TEXT(""), TEXT("left out") },
        { TEXT("database"), TEXT("app") },
        { TEXT("empty"), TEXT("") },
    };
    struct startup s;
    struct err e;
    struct buf b;
    buf_init(&b);
    startup_build(&b, 0, in, 4);
    size_t n = buf_len(&b), more = 0, refused = 0;
    is_int(startup_parse(b.p, n, &s, &e), STARTUP_MESSAGE, "StartupMessage");
    is_int(s.n_params, 3, "parameters");
    is_int(s.minor, 0, "3.0");
    is_text(s.params[0].value, "alice", "user");
    is_text(s.params[1].name, "database", "database");
    is_text(s.params[2].value, "", "empty value");
    for (size_t i = 0; i < n; i++)
        more += parse(text_n(b.p, i), &s, &e) == STARTUP_MORE;
    is_int(more, n, "each beginning asks for more");
    for (size_t i = 9; i < n; i++) { /* the length says i, the strings are cut */
        b.p[3] = (char)i;
        refused += parse(text_n(b.p, i), &s, &e) == STARTUP_BAD;
    }
    is_int(refused, n - 9, "each truncation is refused");
    b.p[3] = (char)n;
    b.p[7] = 2;
    is_int(startup_parse(b.p, n, &s, &e), STARTUP_MESSAGE, "3.2");
    is_int(s.minor, 2, "minor");
    buf_append(&b, "x", 1);
    b.p[3] = (char)(n + 1);
    is_int(parse(buf_text(&b), &s, &e), STARTUP_BAD, "bytes behind the list");
    buf_clear(&b);
    struct startup_param many[STARTUP_MAX_PARAMS + 1];
    for (int i = 0; i <= STARTUP_MAX_PARAMS; i++)
        many[i] = in[0];
    startup_build(&b, 0, many, STARTUP_MAX_PARAMS);
    is_int(parse(buf_text(&b), &s, &e), STARTUP_MESSAGE, "100 parameters");
    buf_clear(&b);
    startup_build(&b, 0, many, STARTUP_MAX_PARAMS + 1);
    is_int(parse(buf_text(&b), &s, &e), STARTUP_BAD, "101 parameters");
    buf_release(&b);
}

static bool collect(void *arg, struct text name, struct text value, struct err *e)
{
    buf_printf(arg, "[%.*s|%.*s]", TEXT_ARG(name), TEXT_ARG(value));
    return !text_is(name, "stop") || err_set(e, "stopped");
}

static void option(const char *in, const char *want, const char *error)
{
    struct buf b;
    struct arena a;
    struct err e = { 0 };
    buf_init(&b);
    arena_init(&a, 0);
    bool done = startup_options(text_of(in), &a, collect, &b, &e);
    is_text(buf_text(&b), want, "options: %s", in);
    ok(done == !error, "answer");
    is_str(e.msg, error ? error : "", "error");
    arena_release(&a);
    buf_release(&b);
}

static void test_options(void)
{
    static const char bad[] = "unsupported options startup parameter: only '-c config=val' and "
                              "'--config=val' are allowed";
    option("", "", NULL);
    option("  ", "", NULL);
    option("-c a=b", "[a|b]", NULL);
    option(" -c  a=b\t-cc=d --e-f=g-h ", "[a|b][c|d][e_f|g-h]", NULL);
    option("-c a=x\\ y\\\\z", "[a|x y\\z]", NULL);
    option("-c a=b\\", "[a|b]", NULL);
    option("-c a=b=c", "[a|b=c]", NULL);
    option("-c a=", "[a|]", NULL);
    option("-c", "", bad);
    option("-c a", "", bad);
    option("-c =b", "", bad);
    option("-c a=b -d", "[a|b]", bad);
    option("a=b", "", bad);
    option("--", "", bad);
    option("-c stop=1 -c a=b", "[stop|1]", "stopped");
}

int main(void)
{
    test_kinds();
    test_message();
    test_options();
    return tap_done();
}
