/* SPDX-License-Identifier: ISC */
/*
 * A developer's tool: judges statements without a proxy. Reads the rules from an ini file and the
 * catalog from a live database, then NUL-terminated statements from standard input; prints for each
 * `PASS`, `REWRITE text` or `REFUSE reason: message | detail | hint`, NUL-terminated.
 *
 *     judge FILE.ini DATABASE USER HOST PORT SERVERUSER [rewrite|reject] [simple|extended] [vary]
 *
 * With `vary`, 40 variations of each statement (other constants, comments) are judged by an engine
 * with templates and by one without; printed is `SAME n`, n of them found by template, or `DIFFER`
 * with the first one for which the two say different things.
 */
#include "../unit/template_vary.h"
#include "main/catalog.h"
#include "tenant/tenant.h"

#include <stdio.h>
#include <stdlib.h>

static void show(const struct verdict *v, const struct identity *id)
{
    struct buf b;
    buf_init(&b);
    switch (v->action) {
    case VERDICT_PASS:
        buf_printf(&b, "PASS");
        break;
    case VERDICT_REWRITE:
        buf_printf(&b, "REWRITE ");
        if (!verdict_text(v, id, &b))
            abort();
        break;
    case VERDICT_REFUSE:
        buf_printf(&b, "REFUSE %s: %.*s | %.*s | %.*s", refusal_name(v->reason),
                   TEXT_ARG(v->message), TEXT_ARG(v->detail), TEXT_ARG(v->hint));
        break;
    }
    buf_char(&b, 0);
    fwrite(buf_data(&b), 1, buf_len(&b), stdout);
    fflush(stdout);
    buf_release(&b);
}

#define VARIATIONS 40

static void vary(struct tenant_engine *with, struct tenant_engine *without, struct tenant_ask *ask)
{
    const struct tenant_stats *s = tenant_engine_stats(with);
    uint64_t hits = s->template_hits;
    struct text original = ask->sql;
    struct buf b, differs;
    uint32_t seed = (uint32_t)original.n;
    buf_init(&b);
    buf_init(&differs);
    for (int i = 0; i < VARIATIONS; i++) {
        buf_clear(&b);
        if (i < 2) {
            buf_text_append(&b, original);
            buf_char(&b, 0);
            b.n--;
        } else {
            vary_text(original, &seed, &b);
        }
        ask->sql = buf_text(&b);
        struct verdict *x = tenant_judge(with, ask), *y = tenant_judge(without, ask);
        if (!x || !y)
            abort();
        if (!vary_same(x, y, ask->identity) && !differs.n)
            buf_text_append(&differs, ask->sql);
        verdict_unref(with, x);
        verdict_unref(without, y);
    }
    if (differs.n)
        printf("DIFFER %.*s", TEXT_ARG(buf_text(&differs)));
    else
        printf("SAME %d", (int)(s->template_hits - hits));
    putchar(0);
    fflush(stdout);
    buf_release(&b);
    buf_release(&differs);
}

int main(int argc, char **argv)
{
    struct buf problems;
    struct err e;
    struct arena a;
    struct identity id;
    if (argc < 7) {
        fprintf(
            stderr,
            "usage: judge FILE.ini DATABASE USER HOST PORT SERVERUSER [rewrite|reject] [simple|extended] [vary]\n");
        return 2;
    }
    buf_init(&problems);
    arena_init(&a, 0);
    struct setup *s = setup_load(argv[1], 1, NULL, 0, &problems);
    if (!s) {
        fprintf(stderr, "%.*s\n", TEXT_ARG(buf_text(&problems)));
        return 2;
    }
    struct catalog_source src = {
        .host = argv[4], .port = atoi(argv[5]), .dbname = argv[2], .user = argv[6]
    };
    struct catalog *c = catalog_load(&src, &e);
    struct policy *p =
        c ? policy_new(s, setup_database(s, text_of(argv[2]), &a), c, 1, &problems, &e) : NULL;
    if (!p) {
        fprintf(stderr, "%s\n", e.msg);
        return 2;
    }
    fprintf(stderr, "%.*s", TEXT_ARG(buf_text(&problems)));
    setup_identity(s, setup_user(s, text_of(argv[3])), text_of(argv[3]), &a, &id);
    struct tenant_engine_opts o = { .cache_bytes = 1 << 20 };
    struct tenant_engine *engine = tenant_engine_new(&o);
    o.no_templates = true;
    struct tenant_engine *without = tenant_engine_new(&o);
    struct tenant_ask ask = {
        .policy = p,
        .identity = &id,
        .mode = argc > 7 && strcmp(argv[7], "reject") == 0 ? TENANT_REJECT : TENANT_REWRITE,
        .extended = argc > 8 && strcmp(argv[8], "extended") == 0,
    };
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getdelim(&line, &cap, 0, stdin)) > 0) {
        ask.sql = text_n(line, (size_t)n - (line[n - 1] ? 0 : 1));
        if (argc > 9) {
            vary(engine, without, &ask);
            continue;
        }
        struct verdict *v = tenant_judge(engine, &ask);
        if (!v)
            abort();
        show(v, &id);
        verdict_unref(engine, v);
    }
    free(line);
    tenant_engine_free(engine);
    tenant_engine_free(without);
    policy_unref(p);
    setup_unref(s);
    buf_release(&problems);
    arena_release(&a);
    return 0;
}
