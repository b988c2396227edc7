/* SPDX-License-Identifier: ISC */
/* Any text is judged in both modes and protocols; what may be sent can be parsed, and is judged the
 * same again; verdicts found by template for other constants are what judging says (the world's
 * engine compares). */
#include "../unit/template_vary.h"
#include "../unit/tenant_world.h"

#include "base/check.h"
#include "tenant/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct world *w, struct text sql)
{
    w->ask.sql = sql;
    struct verdict *v = tenant_judge(w->engine, &w->ask);
    CHECK(v != NULL);
    if (v->action == VERDICT_REFUSE) {
        CHECK(v->message.n > 0 && (unsigned)v->reason < REFUSAL_COUNT);
    } else if (v->action == VERDICT_REWRITE) {
        struct buf b;
        struct arena a;
        struct tree t;
        struct err e;
        buf_init(&b);
        arena_init(&a, 0);
        CHECK(verdict_text(v, &w->id, &b));
        CHECK(tree_parse(NULL, arena_text(&a, buf_text(&b)), &a, &t, &e));
        arena_release(&a);
        buf_release(&b);
    }
    verdict_unref(w->engine, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    struct arena a;
    if (size > 20000 || !world_make(&w, "o'b\\x"))
        return 0;
    arena_init(&a, 0);
    struct text sql = arena_text(&a, text_n((const char *)data, size));
    for (int i = 0; i < 4; i++) {
        w.ask.mode = i & 1 ? TENANT_REJECT : TENANT_REWRITE;
        w.ask.extended = i & 2;
        judge(&w, sql);
    }
    uint32_t seed = (uint32_t)size;
    struct buf b;
    buf_init(&b);
    for (int i = 0; size < 1000 && i < 8; i++) {
        vary_text(sql, &seed, &b);
        w.ask.mode = i & 1 ? TENANT_REJECT : TENANT_REWRITE;
        w.ask.extended = i & 2;
        judge(&w, buf_text(&b));
    }
    buf_release(&b);
    arena_release(&a);
    world_free(&w);
    return 0;
}
