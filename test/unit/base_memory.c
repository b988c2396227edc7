/* SPDX-License-Identifier: ISC */
/* Arena, slab, buffer, random and wiping. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/random.h"
#include "base/slab.h"
#include "tap.h"

static void test_arena(void)
{
    struct arena a;
    arena_init(&a, 256);
    bool aligned = true, zeroed = true;
    for (size_t n = 0; n < 100; n++) {
        unsigned char *p = arena_zalloc(&a, n);
        aligned = aligned && (uintptr_t)p % 16 == 0;
        for (size_t i = 0; i < n; i++)
            zeroed = zeroed && p[i] == 0;
        memset(p, 0xaa, n);
    }
    ok(aligned, "pieces are aligned to 16");
    ok(zeroed, "zalloc clears");
    is_int(a.used, 99 * 100 / 2, "used counts bytes handed out");
    arena_clear(&a);
    is_int(a.used, 0, "clear forgets");
    char *big = arena_alloc(&a, 100000);
    memset(big, 1, 100000);
    is_text(arena_text(&a, TEXT("slice")), "slice", "text copied");
    is_text(arena_strdup(&a, "string"), "string", "string copied");
    struct text t = arena_printf(&a, "%s-%d-%0300d", "x", 7, 5);
    is_int(t.n, 304, "printf longer than a chunk");
    is_int(t.p[t.n], 0, "printf ends with NUL");
    ok(arena_try(&a, SIZE_MAX) == NULL && arena_try(&a, SIZE_MAX - 8) == NULL,
       "an impossible size fails without overflow");
    int *v = NULL, n = 0, cap = 0, same = 0;
    for (; n < 100; n++) {
        ARENA_ROOM(&a, v, n, cap, 3);
        v[n] = n;
    }
    for (int i = 0; i < n; i++)
        same += v[i] == i;
    is_int(same, 100, "an array that grows keeps what is in it");
    is_int(cap, 192, "it doubles");
    arena_release(&a);
}

static void test_arena_marks(void)
{
    struct arena a;
    arena_init(&a, 64);
    struct arena_mark empty = arena_mark(&a);
    struct text keep = arena_text(&a, TEXT("kept"));
    struct arena_mark m = arena_mark(&a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++)
            memset(arena_alloc(&a, 40), 0x55, 40);
        arena_rewind(&a, m);
        is_int(a.used, 5, "rewound to the mark (%d)", round);
    }
    is_text(keep, "kept", "older pieces stay");
    char *p = arena_alloc(&a, 8);
    memset(p, 1, 8);
    is_text(keep, "kept", "new pieces do not overlap old ones");
    arena_rewind(&a, empty);
    is_int(a.used, 0, "rewound to the empty arena");
    memset(arena_alloc(&a, 10), 1, 10);
    arena_release(&a);
    arena_release(&a);
    ok(arena_alloc(&a, 1) != NULL, "usable after release");
    arena_release(&a);
}

static void test_slab(void)
{
    enum { COUNT = 1000 };
    struct thing {
        int id;
        char fill[93];
    };
    struct slab s;
    struct thing *all[COUNT];
    slab_init(&s, "thing", sizeof(struct thing));
    bool clean = true, kept = true, aligned = true;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            all[i] = slab_get(&s);
            clean = clean && all[i] && all[i]->id == 0 && all[i]->fill[92] == 0;
            aligned = aligned && (uintptr_t)all[i] % 16 == 0;
            memset(all[i], 0xee, sizeof(*all[i]));
            all[i]->id = i;
        }
        is_int(s.used, COUNT, "objects out");
        for (int i = 0; i < COUNT; i++)
            kept = kept && all[i]->id == i;
        for (int i = 0; i < COUNT; i += 2)
            slab_put(&s, all[i]);
        is_int(s.used, COUNT / 2, "half given back");
        for (int i = 1; i < COUNT; i += 2)
            slab_put(&s, all[i]);
    }
    ok(clean, "objects are zeroed, recycled ones too");
    ok(aligned, "objects are aligned to 16");
    ok(kept, "objects do not overlap");
    is_int(s.used, 0, "none out");
    all[0] = slab_get(&s);
    slab_release(&s);
    is_int(s.used + s.free_count, 0, "release frees objects that are out");
    slab_init(&s, "tiny", 1);
    char *tiny = slab_get(&s);
    ok(tiny != NULL, "objects smaller than a pointer");
    slab_put(&s, tiny);
    slab_release(&s);
}

static void test_buf(void)
{
    struct buf b;
    buf_init(&b);
    is_int(buf_text(&b).n, 0, "a new buffer is empty");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%03d,", i);
    is_int(buf_len(&b), 4000, "grows");
    buf_consume(&b, 3996);
    is_text(buf_text(&b), "999,", "the rest after consuming");
    char *old = b.p;
    size_t cap = b.cap;
    ok(buf_reserve(&b, cap - 100) != NULL && b.p == old && b.off == 0,
       "moves the unread bytes instead of growing");
    is_text(buf_text(&b), "999,", "moved bytes are the same");
    buf_char(&b, 'x');
    buf_text_append(&b, TEXT("yz"));
    buf_append(&b, NULL, 0);
    is_text(buf_text(&b), "999,xyz", "appended");
    char *to = buf_reserve(&b, 2);
    memcpy(to, "12", 2);
    buf_commit(&b, 2);
    is_text(buf_text(&b), "999,xyz12", "reserve and commit");
    buf_consume(&b, 9);
    ok(b.off == 0 && b.n == 0 && b.cap == cap, "empty again, memory kept");
    ok(!b.failed, "no failure so far");
    ok(buf_reserve(&b, SIZE_MAX / 2) == NULL && b.failed, "an impossible size fails");
    buf_append(&b, "x", 1);
    is_int(buf_len(&b), 0, "nothing is appended after a failure");
    buf_wipe(&b);
    ok(!b.p && !b.failed, "wiped and released");
}

static void test_random(void)
{
    unsigned char a[64] = { 0 }, b[64] = { 0 };
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) != 0, "two draws differ");
    random_bytes(NULL, 0);
    wipe(a, sizeof(a));
    memset(b, 0, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) == 0, "wiped");
    wipe(NULL, 0);
}

int main(void)
{
    test_arena();
    test_arena_marks();
    test_slab();
    test_buf();
    test_random();
    return tap_done();
}
