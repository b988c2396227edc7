/* SPDX-License-Identifier: ISC */
/* Guard, lexer and blanking over any bytes: no crash; tokens cover the text in order; blanking
 * keeps all tokens. */
#include "base/check.h"
#include "tenant/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(struct text sql, const struct token *v, int n)
{
    uint32_t end = 0;
    for (int i = 0; i < n; i++) {
        CHECK(v[i].off >= end && v[i].len > 0 && v[i].off + v[i].len <= sql.n);
        for (uint32_t k = end; k < v[i].off; k++)
            CHECK(sql.p[k] && strchr(" \t\n\r\f", sql.p[k]));
        end = v[i].off + v[i].len;
        CHECK(lexer_keyword(sql, v[i]) < KW_number_of);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct token *v, *w;
    struct err e = { 0 };
    struct guard_settings s = { true, true };
    struct guard_report r;
    arena_init(&a, 0);
    struct text sql = arena_text(&a, text_n((const char *)data, size));
    enum guard_code code = guard_check(sql, &s, NULL, &r, &e);
    CHECK((code == GUARD_OK) == (e.msg[0] == 0));
    int n = lexer_run(sql, &a, &v, NULL, &e);
    if (n >= 0)
        check_order(sql, v, n);
    if (code == GUARD_OK) {
        CHECK(n == (int)(r.tokens + r.comments));
        struct text b = guard_blank(&a, sql);
        int m = lexer_run(b, &a, &w, NULL, &e), j = 0;
        for (int i = 0; i < n; i++)
            if (j < m && w[j].off == v[i].off && w[j].len == v[i].len && w[j].kind == v[i].kind)
                j++;
            else
                CHECK(token_is_comment(v[i]));
        CHECK(j == m);
    }
    arena_release(&a);
    return 0;
}
