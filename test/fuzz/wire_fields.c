/* SPDX-License-Identifier: ISC */
/* A server's bodies (error, ParameterStatus, ParameterDescription), and quoting: what is quoted
 * reads back. */
#include "base/check.h"
#include "wire/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Undoes quoting; the quote may not end before the text does. */
static void unquote(struct text t, char quote, struct text want)
{
    bool backslash = t.n && t.p[0] == 'E';
    size_t i = backslash ? 1 : 0, k = 0;
    CHECK(t.n >= 2 && t.p[i] == quote && t.p[t.n - 1] == quote);
    for (i++; i < t.n - 1; i++, k++) {
        if (t.p[i] == quote || (backslash && t.p[i] == '\\')) {
            CHECK(i + 1 < t.n - 1 && t.p[i + 1] == t.p[i]);
            i++;
        }
        CHECK(k < want.n && t.p[i] == want.p[k]);
        CHECK(backslash || quote != '\'' || t.p[i] != '\\');
    }
    CHECK(k == want.n);
}

static void error_again(const struct wire_error_fields *f)
{
    struct wire_error_fields g;
    struct buf b;
    buf_init(&b);
    wire_error_build(&b, 'E',
                     &(struct wire_error){ .severity = "ERROR",
                                           .sqlstate = "XX000",
                                           .message = f->message,
                                           .detail = f->detail,
                                           .hint = f->hint });
    CHECK(wire_error_read(buf_data(&b) + 5, buf_len(&b) - 5, &g));
    CHECK(text_eq(f->message, g.message) && text_eq(f->detail, g.detail));
    CHECK(text_eq(f->hint, g.hint));
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text all = text_n((const char *)data, size), name, value;
    struct wire_error_fields f;
    struct buf b;
    buf_init(&b);
    wire_error_read(all.p, all.n, &f);
    error_again(&f);
    if (wire_status_read(all.p, all.n, &name, &value))
        CHECK(name.n + value.n + 2 == size);
    for (int drop = 0; drop < 3; drop++) {
        buf_clear(&b);
        if (wire_paramdesc_trim(&b, all.p, all.n, drop))
            CHECK(buf_len(&b) == size + 5 - 4 * (size_t)drop);
        else
            CHECK(!buf_len(&b));
    }
    buf_clear(&b);
    wire_quote_literal(&b, all);
    unquote(buf_text(&b), '\'', all);
    buf_clear(&b);
    wire_quote_ident(&b, all);
    unquote(buf_text(&b), '"', all);
    buf_release(&b);
    return 0;
}
