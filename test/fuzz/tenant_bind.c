/* SPDX-License-Identifier: ISC */
/* Any Bind for statements of a tenant, in both modes: what is accepted has the tenant's value in
 * each parameter that stands for the tenant, and the message that is built from it has the client's
 * values unchanged with ours behind them. First byte: which statement; the rest: the message's
 * body. */
#include "../unit/tenant_world.h"

#include "base/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sample {
    int mode;
    const char *sql;
    uint32_t types[4];
    int n_types;
    int checked;       /* the parameter that has to be the tenant's, 1-based, 0 = none */
    const char *claim; /* by that claim */
    uint32_t type;     /* of this type */
};

static const struct sample samples[] = {
    { TENANT_REWRITE, "SELECT id FROM documents WHERE title = $1", { 0 }, 0, 0, NULL, 0 },
    { TENANT_REWRITE,
      "SELECT id FROM documents d JOIN invoices i ON i.total = d.id WHERE title = $1",
      { W_TEXT },
      1,
      0,
      NULL,
      0 },
    { TENANT_REWRITE,
      "INSERT INTO documents (id, tenant_id, title) VALUES ($1, $2, $3)",
      { 0 },
      0,
      2,
      "o'b\\x",
      W_TEXT },
    { TENANT_REWRITE,
      "INSERT INTO documents (id, title) VALUES ($1, $2)",
      { W_INT8, W_TEXT },
      2,
      0,
      NULL,
      0 },
    { TENANT_REWRITE,
      "INSERT INTO invoices (tenant_no, total) VALUES ($1, $2)",
      { W_INT4 },
      1,
      1,
      "11",
      W_INT4 },
    { TENANT_REJECT,
      "SELECT id FROM documents WHERE tenant_id = $1 AND title = $2",
      { W_TEXT, W_TEXT },
      2,
      1,
      "o'b\\x",
      W_TEXT },
    { TENANT_REJECT,
      "SELECT id FROM documents WHERE tenant_id = $1",
      { W_VARCHAR },
      1,
      1,
      "o'b\\x",
      W_VARCHAR },
    { TENANT_REJECT,
      "SELECT total FROM invoices WHERE tenant_no = $1",
      { W_INT4 },
      1,
      1,
      "11",
      W_INT4 },
    { TENANT_REJECT,
      "SELECT total FROM invoices WHERE tenant_no = $1",
      { W_INT8 },
      1,
      1,
      "11",
      W_INT8 },
    { TENANT_REJECT,
      "SELECT hash FROM keys WHERE tenant_uuid = $1",
      { W_UUID },
      1,
      1,
      "a1111111-0000-4000-8000-00000000000a",
      W_UUID },
};

/* ---- a second, simple reading of values ---- */

static bool hex_is(struct text v, const char *uuid)
{
    char out[64];
    size_t n = 0;
    if (v.n != 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%02x", (unsigned char)v.p[i]);
    }
    return strcmp(out, uuid) == 0;
}

static bool number_is(struct text v, const char *want)
{
    int64_t x = 0;
    for (size_t i = 0; i < v.n; i++)
        x = (int64_t)((uint64_t)x << 8 | (unsigned char)v.p[i]);
    return x == strtoll(want, NULL, 10);
}

/* As PostgreSQL's input functions would take a text for an equal value: blanks around numbers, a
 * sign, zeros in front; braces, case and missing dashes of a uuid. */
static bool text_means(struct text v, const struct sample *s)
{
    char plain[64];
    size_t n = 0;
    if (s->type == W_TEXT || s->type == W_VARCHAR)
        return text_is(v, s->claim);
    for (size_t i = 0; i < v.n && n + 1 < sizeof(plain); i++) {
        char c = v.p[i];
        if (s->type == W_UUID && c >= 'A' && c <= 'F')
            c = (char)(c + 32);
        if (s->type == W_UUID ? !strchr("{}-", c) : !strchr(" \t\n\r\v\f+", c) || !c)
            plain[n++] = c;
    }
    plain[n] = '\0';
    if (s->type != W_UUID)
        return strspn(plain, "0123456789") == n && n &&
               strtoll(plain, NULL, 10) == strtoll(s->claim, NULL, 10);
    char want[64];
    size_t k = 0;
    for (const char *p = s->claim; *p; p++)
        if (*p != '-')
            want[k++] = *p;
    want[k] = '\0';
    return strcmp(plain, want) == 0;
}

static bool means(const struct wire_bind *m, const struct sample *s)
{
    struct text v;
    int format;
    bool is_null;
    if (!wire_bind_param(m, s->checked - 1, &format, &v, &is_null) || is_null)
        return false;
    if (format == 0)
        return text_means(v, s);
    if (format != 1)
        return false;
    if (s->type == W_UUID)
        return hex_is(v, s->claim);
    if (s->type == W_INT4)
        return v.n == 4 && number_is(v, s->claim);
    if (s->type == W_INT8)
        return v.n == 8 && number_is(v, s->claim);
    return text_is(v, s->claim);
}

/* ---- what is built ---- */

static void same_values(const struct wire_bind *a, const struct wire_bind *b)
{
    for (int i = 0; i < a->n_params; i++) {
        struct text x = { NULL, 0 }, y = { NULL, 0 };
        int f = 0, g = 0;
        bool p = false, q = false;
        bool had = wire_bind_param(a, i, &f, &x, &p), has = wire_bind_param(b, i, &g, &y, &q);
        CHECK(had == has);
        CHECK(!had || (f == g && p == q && text_eq(x, y)));
    }
    CHECK(text_eq(a->portal, b->portal));
    CHECK(text_eq(text_n(a->results, a->results_len), text_n(b->results, b->results_len)));
}

static void built(const struct wire_bind *m, const struct verdict *v,
                  const struct wire_added *added)
{
    int n_added = v->action == VERDICT_REWRITE ? v->n_added : 0;
    struct wire_bind again;
    struct buf b;
    buf_init(&b);
    if (wire_bind_build(&b, m, TEXT("PGBULKHEAD_1"), added, n_added)) {
        CHECK(!b.failed && b.n > 5 && b.p[0] == 'B');
        CHECK(wire_bind_read(b.p + 5, b.n - 5, &again));
        CHECK(again.n_params == m->n_params + n_added);
        CHECK(text_is(again.stmt, "PGBULKHEAD_1"));
        same_values(m, &again);
        for (int i = 0; i < n_added; i++) {
            struct text x = { NULL, 0 };
            int format = -1;
            bool is_null = true;
            /* A list of formats that is too short is the server's to refuse. */
            if (again.n_formats > 1 && again.n_formats != again.n_params)
                break;
            CHECK(wire_bind_param(&again, m->n_params + i, &format, &x, &is_null));
            CHECK(format == 0 && !is_null && text_eq(x, added[i].value));
        }
    }
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    struct wire_bind m;
    struct wire_added added[VERDICT_MAX_ADDED];
    struct tenant_refusal r;

    if (size < 2 || size > 100000 || !wire_bind_read((const char *)data + 1, size - 1, &m) ||
        !world_make(&w, "o'b\\x"))
        return 0;
    const struct sample *s = &samples[data[0] % (sizeof(samples) / sizeof(samples[0]))];
    w.ask.mode = s->mode;
    w.ask.extended = true;
    w.ask.types = s->types;
    w.ask.n_types = s->n_types;
    struct verdict *v = world_judge(&w, s->sql);
    CHECK(v->action != VERDICT_REFUSE);
    CHECK(s->checked == 0 || v->n_checks == 1);
    if (verdict_bind(v, &w.id, &m, s->types, s->n_types, added, &r)) {
        CHECK(m.n_params == v->n_params || (!v->n_added && !v->n_checks));
        CHECK(s->checked == 0 || means(&m, s));
        built(&m, v, added);
    } else {
        CHECK(r.message.n > 0);
    }
    verdict_unref(w.engine, v);
    world_free(&w);
    return 0;
}
