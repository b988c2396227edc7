/* SPDX-License-Identifier: ISC */
/*
 * A developer's tool: CPU time of judging a query as mappers of objects write it (a join of three
 * tables, eleven columns, three conditions, ORDER BY, LIMIT), without a proxy around it. Prints
 * microseconds per statement, the mean of the best of many batches: a miss of both caches, the same
 * text again, other literals.
 *
 *     judge [ROUNDS [miss|text|template]]
 */
#include "../unit/tenant_world.h"

#include "base/check.h"

#include <stdlib.h>
#include <time.h>

static const char *const orm =
    "SELECT \"documents\".\"id\" AS \"id%d\", \"documents\".\"title\", \"documents\".\"doc_type\", "
    "\"documents\".\"version\", \"documents\".\"meta\", \"chunks\".\"id\", \"chunks\".\"seq\", "
    "\"chunks\".\"document_id\", \"doc_types\".\"code\", \"doc_types\".\"label\", "
    "\"doc_types\".\"rank\" FROM \"documents\" INNER JOIN \"chunks\" ON "
    "(\"chunks\".\"document_id\" = \"documents\".\"id\") LEFT OUTER JOIN \"doc_types\" ON "
    "(\"documents\".\"doc_type\" = \"doc_types\".\"code\") WHERE (\"documents\".\"version\" > %d "
    "AND \"documents\".\"title\" = 'title %d' AND \"chunks\".\"seq\" < %d) "
    "ORDER BY \"documents\".\"id\" DESC LIMIT 21";

#define BATCH 20

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Judges and renders `rounds` texts, in which constants vary, or a name too. */
static double run(struct world *w, bool extended, int rounds, bool constants, bool names)
{
    struct tenant_engine_opts o = { .cache_bytes = 1 << 20 };
    struct buf out;
    char sql[1024];
    tenant_engine_free(w->engine);
    w->engine = tenant_engine_new(&o);
    CHECK(w->engine != NULL);
    buf_init(&out);
    w->ask.extended = extended;
    double total = 0, best = 1e9;
    for (int i = 0; i < rounds; i++) {
        int k = constants ? i : 7;
        int n = snprintf(sql, sizeof(sql), orm, names ? i : 0, k % 97, k, k % 1009);
        w->ask.sql = text_n(sql, (size_t)n);
        buf_clear(&out);
        double start = cpu_us();
        struct verdict *v = tenant_judge(w->engine, &w->ask);
        CHECK(v && v->action == VERDICT_REWRITE && verdict_text(v, &w->id, &out));
        verdict_unref(w->engine, v);
        total += cpu_us() - start;
        if ((i + 1) % BATCH == 0) {
            best = total < best ? total : best;
            total = 0;
        }
    }
    buf_release(&out);
    return best / BATCH;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *title;
        bool constants, names;
    } kinds[] = { { "miss", "a miss", true, true },
                  { "text", "same text", false, false },
                  { "template", "literals vary", true, false } };
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20000;
    struct world w;
    CHECK(world_make(&w, "acme"));
    double clock = cpu_us();
    for (int i = 0; i < 1000; i++)
        (void)cpu_us();
    clock = (cpu_us() - clock) / 1000;
    printf("%-16s %10s %10s   (us of CPU; %.2f of them are the clock)\n", "", "simple", "extended",
           clock);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (argc > 2 && strcmp(argv[2], kinds[k].name) != 0)
            continue;
        printf("%-16s %10.2f %10.2f\n", kinds[k].title,
               run(&w, false, rounds, kinds[k].constants, kinds[k].names),
               run(&w, true, rounds, kinds[k].constants, kinds[k].names));
    }
    world_free(&w);
    return 0;
}
