/* SPDX-License-Identifier: ISC */
/* Deadlines: none early, none late, none lost, whatever is set and cleared meanwhile. */
#include "base/wheel.h"
#include "tap.h"

#define TICK 100
#define N 3000

struct thing {
    struct due due;
    usec_t fired, again;  /* when it fired last; what it sets itself to then */
    struct thing *victim; /* cleared when this one fires */
    int fires;
};

struct world {
    struct wheel w;
    usec_t now;
};

static void fire(struct due *d, void *arg)
{
    struct world *x = arg;
    struct thing *t = LIST_ENTRY(d, struct thing, due);
    t->fired = x->now;
    t->fires++;
    if (t->victim)
        due_clear(&t->victim->due);
    due_by(&x->w, d, t->again);
    t->again = 0;
}

static void go(struct world *x, usec_t to, usec_t step)
{
    while (x->now < to) {
        x->now += step;
        wheel_turn(&x->w, x->now, fire, x);
    }
}

static void test_one(void)
{
    struct world x = { .now = 5000 };
    struct thing t = { .fires = 0 }, v = { .fires = 0 };
    wheel_init(&x.w, TICK, x.now);
    due_init(&t.due);
    due_init(&v.due);
    due_by(&x.w, &t.due, 0);
    ok(t.due.at == 0, "0 sets nothing");
    due_by(&x.w, &t.due, 7000);
    due_by(&x.w, &t.due, 9000);
    go(&x, 8000, 50);
    ok(t.fires == 1 && t.fired > 7000 && t.fired <= 7000 + 2 * TICK,
       "a later one does not put off");
    due_by(&x.w, &t.due, 9000);
    due_by(&x.w, &t.due, 8500);
    go(&x, 8800, 50);
    is_int(t.fires, 2, "an earlier one does");
    go(&x, 20000, 50);
    is_int(t.fires, 2, "and replaces it");
    due_by(&x.w, &t.due, 100);
    go(&x, 20200, 50);
    is_int(t.fires, 3, "what is over fires at the next tick");
    due_by(&x.w, &t.due, 30000);
    due_clear(&t.due);
    go(&x, 40000, 50);
    is_int(t.fires, 3, "cleared");
    t.victim = &v;
    due_by(&x.w, &t.due, 40050);
    due_by(&x.w, &v.due, 40060);
    go(&x, 41000, 500);
    ok(t.fires == 4 && v.fires == 0, "one clears another in the same slot");
    t.victim = NULL;
    t.again = 1;
    due_by(&x.w, &t.due, 41100);
    go(&x, 41600, 50);
    is_int(t.fires, 6, "one that sets itself to the past fires once more, not for ever");
    uint64_t looks = x.w.looks;
    due_by(&x.w, &t.due, x.now + (usec_t)TICK * WHEEL_SLOTS * 10);
    go(&x, x.now + (usec_t)TICK * WHEEL_SLOTS * 9, TICK);
    ok(t.fires == 6 && x.w.looks - looks <= 10, "far away: one look per round");
    go(&x, x.now + (usec_t)TICK * WHEEL_SLOTS * 2, TICK);
    is_int(t.fires, 7, "and then it fires");
    due_by(&x.w, &t.due, x.now + 1000);
    go(&x, x.now + (usec_t)TICK * WHEEL_SLOTS * 50, (usec_t)TICK * WHEEL_SLOTS * 50);
    is_int(t.fires, 8, "a long sleep loses nothing");
}

static void test_many(void)
{
    struct world x = { .now = 1000000 };
    static const int spans[] = { 1, 50, 700, 90000 };
    struct thing *t = calloc(N, sizeof(*t));
    usec_t *at = calloc(N, sizeof(*at));
    uint64_t rnd = 88172645463325252ULL;
    int bad = 0, lost = 0;

    if (!t || !at)
        exit(1);
    wheel_init(&x.w, TICK, x.now);
    for (int i = 0; i < N; i++) {
        rnd ^= rnd << 13;
        rnd ^= rnd >> 7;
        rnd ^= rnd << 17;
        due_init(&t[i].due);
        at[i] = x.now + rnd % ((uint64_t)spans[i % 4] * 100 + 1) + 1;
        due_by(&x.w, &t[i].due, at[i]);
    }
    go(&x, x.now + 10000000, 37);
    for (int i = 0; i < N; i++) {
        lost += t[i].fires != 1;
        bad += t[i].fired < at[i] || t[i].fired > at[i] + 2 * TICK + 37;
    }
    is_int(lost, 0, "each fires once");
    is_int(bad, 0, "in time");
    free(t);
    free(at);
}

int main(void)
{
    test_one();
    test_many();
    return tap_done();
}
