/* SPDX-License-Identifier: ISC */
/* Bodies of all query messages; a Bind is rebuilt with added parameters, which must leave its own
 * as they were. */
#include "base/check.h"
#include "wire/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct wire_bind *m, const struct wire_bind *w, int n_added)
{
    struct text a = { NULL, 0 }, b = { NULL, 0 };
    int fa = 0, fb = 0;
    bool na = false, nb = false;
    CHECK(text_eq(m->portal, w->portal) && text_is(w->stmt, "other"));
    CHECK(w->n_params == m->n_params + n_added);
    CHECK(text_eq(text_n(m->results, m->results_len), text_n(w->results, w->results_len)));
    int step = m->n_params > 50 ? m->n_params / 50 : 1;
    for (int i = 0; i < m->n_params; i += step) {
        if (!wire_bind_param(m, i, &fa, &a, &na))
            continue;
        CHECK(wire_bind_param(w, i, &fb, &b, &nb));
        CHECK(fa == fb && na == nb && text_eq(a, b));
    }
    if (m->n_formats > 1 && m->n_formats != m->n_params)
        return; /* the server will refuse it */
    for (int i = 0; i < n_added; i++) {
        CHECK(wire_bind_param(w, m->n_params + i, &fb, &b, &nb));
        CHECK(fb == 0 && nb == (i == 1) && (nb || text_is(b, "acme")));
    }
}

static void rebuild(const struct wire_bind *m, int n_added)
{
    static const struct wire_added added[2] = { { { "acme", 4 }, false }, { { NULL, 0 }, true } };
    struct wire_bind w;
    struct buf b;
    buf_init(&b);
    if (wire_bind_build(&b, m, TEXT("other"), added, n_added)) {
        struct frame f;
        CHECK(frame_peek(buf_data(&b), buf_len(&b), UINT32_MAX, &f) == FRAME_OK);
        CHECK(f.type == 'B' && f.len == buf_len(&b));
        CHECK(wire_bind_read(buf_data(&b) + 5, buf_len(&b) - 5, &w));
        compare(m, &w, n_added);
    } else {
        CHECK(!buf_len(&b));
    }
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct text sql;
    struct wire_parse parse;
    struct wire_bind bind;
    struct wire_target target;
    struct wire_execute execute;
    struct frame f;
    if (frame_peek(p, size, 1 << 20, &f) == FRAME_OK)
        CHECK(f.len >= 5 && f.len <= 1 << 20);
    if (wire_query_read(p, size, &sql))
        CHECK(sql.n + 1 == size && !sql.p[sql.n]);
    if (wire_parse_read(p, size, &parse))
        CHECK(parse.name.n + parse.sql.n + 4u + 4u * parse.n_types == size);
    if (wire_target_read(p, size, &target))
        CHECK(target.name.n + 2 == size);
    if (wire_execute_read(p, size, &execute))
        CHECK(execute.portal.n + 5 == size);
    if (wire_bind_read(p, size, &bind)) {
        for (int i = 0; i <= 2; i++)
            rebuild(&bind, i);
    }
    return 0;
}
