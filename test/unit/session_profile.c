/* SPDX-License-Identifier: ISC */
/* Numbers of statements: adding, quantiles, tenants. */
#include "tap.h"

#include "session/profile.h"

#include <string.h>

static void quantiles(void)
{
    struct profile_counts n = { 0 };

    is_int((long)profile_quantile(&n, 0.95), 0, "of nothing");
    is_int((long)profile_tenants(&n), 0, "nobody");
    n.calls = 100;
    n.steps[20] = 90;
    n.steps[40] = 10;
    n.min_us = 1;
    n.max_us = 1 << 30;
    uint64_t low = profile_quantile(&n, 0.5), high = profile_quantile(&n, 0.95);
    ok(low < high && low > 16 && high < 1 << 30, "half %d, most %d", (int)low, (int)high);
    n.max_us = n.min_us = low;
    is_int((long)profile_quantile(&n, 0.95), (long)low, "not above the longest");
    memset(&n, 0, sizeof(n));
    n.calls = 1;
    n.steps[PROFILE_STEPS - 1] = 1;
    n.min_us = n.max_us = UINT64_MAX / 2;
    ok(profile_quantile(&n, 0.95) > 0, "beyond all steps");
}

static void adding(void)
{
    struct profile_counts a = { .calls = 2, .errors = 1, .min_us = 5, .max_us = 9, .rows = 3 },
                          b = { 0 };

    a.steps[3] = UINT32_MAX - 1;
    a.tenants[1] = 4;
    profile_add(&b, &a);
    profile_add(&b, &a);
    ok(b.calls == 4 && b.errors == 2 && b.min_us == 5 && b.max_us == 9 && b.rows == 6, "sums");
    ok(b.steps[3] == UINT32_MAX && b.tenants[1] == 4, "full is full");
    memset(&a, 0, sizeof(a));
    profile_add(&b, &a);
    is_int((long)b.min_us, 5, "what was never called changes nothing");
}

static void tenants(void)
{
    const uint64_t seed[2] = { 1, 2 };
    static const int counts[] = { 1, 2, 10, 100, 1000, 3000 };
    struct profile_counts n = { 0 };
    int done = 0;

    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        for (; done < counts[i]; done++) {
            char name[30];
            snprintf(name, sizeof(name), "tenant-%d", done);
            unsigned bit = profile_tenant_bit(seed, text_of(name)) - 1U;
            n.tenants[bit / 64] |= 1ULL << bit % 64;
        }
        double est = (double)profile_tenants(&n);
        ok(est >= counts[i] * 0.85 && est <= counts[i] * 1.15 + 1, "%d tenants: about %d",
           counts[i], (int)est);
    }
    memset(n.tenants, 0xff, sizeof(n.tenants));
    ok(profile_tenants(&n) > 5000, "all bits");
}

int main(void)
{
    quantiles();
    adding();
    tenants();
    return tap_done();
}
