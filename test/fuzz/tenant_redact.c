/* SPDX-License-Identifier: ISC */
/* Templates of any bytes: bounded, valid UTF-8 on one line, and the same whatever the literals
 * hold. */
#include "base/check.h"
#include "tenant/guard.h"
#include "tenant/redact.h"
#include "wire/traceparent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shape(struct text t)
{
    size_t bad;
    CHECK(t.n <= REDACT_MAX + 4);
    CHECK(guard_utf8(t, &bad));
    for (size_t i = 0; i < t.n; i++)
        CHECK((unsigned char)t.p[i] >= 0x20 && t.p[i] != 0x7f);
}

/* The text with another value in each literal of a plain kind. */
static void other_values(struct text sql, const struct token *t, int n, struct buf *out)
{
    uint32_t end = 0;
    for (int i = 0; i < n; i++) {
        struct text tok = token_text(sql, t[i]);
        bool plain =
            t[i].kind == TOKEN_STRING && !memchr(tok.p, '\n', tok.n) && !memchr(tok.p, '\r', tok.n);
        buf_append(out, sql.p + end, t[i].off - end);
        if (plain)
            buf_text_append(out, TEXT("'another''s value'"));
        else if (t[i].kind == TOKEN_INT)
            buf_text_append(out, TEXT("4711"));
        else
            buf_text_append(out, tok);
        end = t[i].off + t[i].len;
    }
    buf_append(out, sql.p + end, sql.n - end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char parent[TRACEPARENT_LEN + 1];
    struct traceparent trace;
    struct text sql = text_n((const char *)data, size);
    struct buf plain, strict, other, again;
    struct arena a;
    struct token *t;
    struct err e;
    size_t bad;

    arena_init(&a, 0);
    buf_init(&plain);
    buf_init(&strict);
    buf_init(&other);
    buf_init(&again);
    redact(sql, false, &plain);
    redact(sql, true, &strict);
    check_shape(buf_text(&plain));
    check_shape(buf_text(&strict));
    if (traceparent_find(sql, true, &trace)) {
        traceparent_text(&trace, parent);
        CHECK(strlen(parent) == TRACEPARENT_LEN &&
              strspn(parent, "0123456789abcdef-") == strlen(parent));
    }
    int n = guard_utf8(sql, &bad) ? lexer_run(sql, &a, &t, NULL, &e) : -1;
    if (n >= 0) {
        other_values(sql, t, n, &other);
        redact(buf_text(&other), false, &again);
        CHECK(text_eq(buf_text(&plain), buf_text(&again)));
    }
    buf_release(&plain);
    buf_release(&strict);
    buf_release(&other);
    buf_release(&again);
    arena_release(&a);
    return 0;
}
