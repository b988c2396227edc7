/* SPDX-License-Identifier: ISC */
/*
 * Other texts with the same template: constants are replaced by others of their kind, comments are
 * put between tokens. For tests that compare verdicts found by template with fresh ones.
 */
#ifndef TEST_UNIT_TEMPLATE_VARY_H
#define TEST_UNIT_TEMPLATE_VARY_H

#include "base/buf.h"
#include "tenant/lexer.h"
#include "tenant/tenant.h"

#include <stdlib.h>

static inline uint32_t vary_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* The text with some of its constants replaced. Not every result has the same template (a larger
 * number has another kind), or is a statement at all. NUL behind it. */
static inline void vary_text(struct text sql, uint32_t *seed, struct buf *out)
{
    static const char *const strings[] = { "''",
                                           "'x'",
                                           "'acme'",
                                           "'beta'",
                                           "''''",
                                           "'it''s'",
                                           "'\\'",
                                           "'\\''; DROP TABLE t; --'",
                                           "'%'",
                                           "'\xc3\xa4'",
                                           "'$1'",
                                           "'/* no comment */'",
                                           "'-- neither'",
                                           "'public.secret'",
                                           "'2020-01-01'",
                                           "'1 day'",
                                           "'{}'",
                                           "'a1111111-0000-4000-8000-00000000000a'",
                                           "'tenant_id'",
                                           "'a'\n'b'",
                                           "E'\\x41'",
                                           "'/*+ hint */'",
                                           "'server_version'",
                                           "'search_path'",
                                           "'11'" };
    static const char *const numbers[] = { "0",          "1",          "2",  "11", "42", "007",
                                           "2147483647", "2147483648", "99", "3",  "1.5" };
    static const char *const gaps[] = {
        " ", "  ", " /* c */ ", "\n", " -- c\n", "/* a'b */", "\t"
    };
    struct lexer x;
    struct token t;
    size_t at = 0;
    lexer_init(&x, sql, NULL);
    buf_clear(out);
    while (lexer_next(&x, &t)) {
        if (t.off > at) {
            uint32_t r = vary_random(seed);
            if (r % 8 == 0)
                buf_text_append(out, text_of(gaps[r / 8 % (sizeof(gaps) / sizeof(gaps[0]))]));
            else
                buf_text_append(out, text_n(sql.p + at, t.off - at));
        }
        at = t.off + t.len;
        uint32_t r = vary_random(seed);
        if (t.kind == TOKEN_INT && r % 2)
            buf_text_append(out, text_of(numbers[r / 2 % (sizeof(numbers) / sizeof(numbers[0]))]));
        else if (t.kind == TOKEN_STRING && r % 2)
            buf_text_append(out, text_of(strings[r / 2 % (sizeof(strings) / sizeof(strings[0]))]));
        else
            buf_text_append(out, token_text(sql, t));
    }
    buf_text_append(out, text_n(sql.p + at, sql.n - at));
    buf_char(out, 0);
    if (!out->failed)
        out->n--;
}

/* Are both verdicts the same, and the texts they send? */
static inline bool vary_same(const struct verdict *a, const struct verdict *b,
                             const struct identity *id)
{
    bool same = a->action == b->action && a->kind == b->kind && a->n_params == b->n_params &&
                a->n_added == b->n_added && a->n_checks == b->n_checks &&
                a->leaves_state == b->leaves_state && a->position == b->position &&
                text_eq(a->message, b->message) && text_eq(a->detail, b->detail) &&
                text_eq(a->hint, b->hint);
    for (int i = 0; same && i < a->n_added; i++)
        same =
            a->added[i].type == b->added[i].type && text_eq(a->added[i].claim, b->added[i].claim);
    for (int i = 0; same && i < a->n_checks; i++)
        same = a->checks[i].param == b->checks[i].param &&
               text_eq(a->checks[i].claim, b->checks[i].claim);
    if (!same || a->action != VERDICT_REWRITE)
        return same;
    struct buf one, two;
    buf_init(&one);
    buf_init(&two);
    same = verdict_text(a, id, &one) && verdict_text(b, id, &two) &&
           text_eq(buf_text(&one), buf_text(&two));
    buf_release(&one);
    buf_release(&two);
    return same;
}

#endif
