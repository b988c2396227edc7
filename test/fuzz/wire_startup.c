/* SPDX-License-Identifier: ISC */
/* First packets, and each parameter's value as `options`; what was parsed is built and parsed
 * again. */
#include "base/check.h"
#include "wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool touch(void *arg, struct text name, struct text value, struct err *e)
{
    size_t *sum = arg;
    CHECK(name.n && !e->msg[0]);
    for (size_t i = 0; i < name.n; i++)
        *sum += (unsigned char)name.p[i];
    for (size_t i = 0; i < value.n; i++)
        *sum += (unsigned char)value.p[i];
    return true;
}

static void again(const struct startup *s)
{
    struct startup t;
    struct err e = { 0 };
    struct buf b;
    buf_init(&b);
    startup_build(&b, s->minor, s->params, s->n_params);
    CHECK(startup_parse(buf_data(&b), buf_len(&b), &t, &e) == STARTUP_MESSAGE);
    CHECK(t.n_params == s->n_params && t.len == s->len);
    for (int i = 0; i < t.n_params; i++) {
        CHECK(text_eq(t.params[i].name, s->params[i].name));
        CHECK(text_eq(t.params[i].value, s->params[i].value));
    }
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct startup s;
    struct err e = { 0 };
    struct arena a;
    size_t sum = 0;
    enum startup_kind kind = startup_parse((const char *)data, size, &s, &e);
    CHECK(kind == s.kind && (kind == STARTUP_BAD || kind == STARTUP_V2) == !!e.msg[0]);
    CHECK(kind == STARTUP_MORE || kind == STARTUP_BAD || kind == STARTUP_V2 || s.len <= size);
    arena_init(&a, 0);
    if (kind == STARTUP_MESSAGE) {
        again(&s);
        for (int i = 0; i < s.n_params; i++) {
            e = (struct err){ 0 };
            startup_options(s.params[i].value, &a, touch, &sum, &e);
        }
    }
    e = (struct err){ 0 };
    startup_options(text_n((const char *)data, size), &a, touch, &sum, &e);
    arena_release(&a);
    return 0;
}
