/* SPDX-License-Identifier: ISC */
/* Hash map and lists. */
#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "tap.h"

enum { COUNT = 5000 };

static void test_map(void)
{
    struct map m;
    struct arena a;
    struct text keys[COUNT];
    map_init(&m);
    arena_init(&a, 0);
    ok(map_get(&m, TEXT("x")) == NULL && map_del(&m, TEXT("x")) == NULL,
       "an empty map has nothing");
    bool fresh = true, found = true, gone = true;
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = arena_printf(&a, "key %zu", i);
        fresh = fresh && map_put(&m, keys[i], &keys[i]) == NULL;
    }
    ok(fresh, "new keys replace nothing");
    is_int(map_count(&m), COUNT, "count");
    for (size_t i = 0; i < COUNT; i++)
        found = found && map_get(&m, keys[i]) == &keys[i];
    ok(found, "all are found");
    ok(map_get(&m, TEXT("key")) == NULL, "a prefix is another key");
    ok(map_put(&m, keys[0], &keys[1]) == &keys[0], "put gives the old value");
    is_int(map_count(&m), COUNT, "replacing does not count");
    for (size_t i = 0; i < COUNT; i += 2)
        gone = gone && map_del(&m, keys[i]) != NULL && map_get(&m, keys[i]) == NULL;
    ok(gone, "removed keys are gone");
    for (size_t i = 1; i < COUNT; i += 2)
        found = found && map_get(&m, keys[i]) == &keys[i];
    ok(found, "the others are still found");

    size_t pos = 0, seen = 0;
    struct text key;
    void *value;
    while (map_next(&m, &pos, &key, &value)) {
        seen += map_del(&m, key) == value;
    }
    is_int(seen, COUNT / 2, "walked all, deleting each");
    is_int(map_count(&m), 0, "nothing left");
    map_release(&m);
    ok(map_get(&m, keys[0]) == NULL, "empty after release");
    map_release(&m);
    arena_release(&a);
}

/* Keys that come and go must not fill the table with removed slots. */
static void test_churn(void)
{
    struct map m;
    char name[32];
    map_init(&m);
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(name, sizeof(name), "%d", i);
        struct text key = text_n(name, (size_t)n);
        map_put(&m, key, &m);
        map_del(&m, key);
    }
    ok(m.cap <= 64, "the table stays small (%zu slots)", m.cap);
    ok(map_put(&m, TEXT(""), &m) == NULL && map_get(&m, TEXT("")) == &m, "the empty key is a key");
    ok(map_get(&m, (struct text){ NULL, 0 }) == &m, "also without a pointer");
    ok(map_put(&m, TEXT("a\0b"), &name) == NULL && map_get(&m, TEXT("a\0c")) == NULL,
       "NUL bytes count");
    map_release(&m);
}

static void test_hash(void)
{
    const uint64_t one[2] = { 1, 2 }, other[2] = { 1, 3 };
    ok(map_hash(one, "abcdefgh", 8) == map_hash(one, "abcdefgh", 8), "same seed, same hash");
    ok(map_hash(one, "abcdefgh", 8) != map_hash(other, "abcdefgh", 8),
       "another seed, another hash");
    ok(map_hash(one, "abc", 3) != map_hash(one, "abc\0", 4), "the length counts");
    /* SipHash-1-3 of the bytes 0..n-1 under key 00..0f, computed with another implementation. */
    const uint64_t key[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };
    unsigned char in[15];
    for (unsigned char i = 0; i < 15; i++)
        in[i] = i;
    ok(map_hash(key, in, 0) == 0xabac0158050fc4dcULL, "known hash of nothing");
    ok(map_hash(key, in, 1) == 0xc9f49bf37d57ca93ULL, "known hash of one byte");
}

static void test_list(void)
{
    struct thing {
        int id;
        struct list link;
    } t[4] = { { .id = 0 }, { .id = 1 }, { .id = 2 }, { .id = 3 } };
    struct list head;
    list_init(&head);
    ok(list_empty(&head) && !list_first(&head) && !list_last(&head) && !list_pop(&head),
       "empty list");
    for (int i = 0; i < 4; i++) {
        list_init(&t[i].link);
        if (i % 2)
            list_push_tail(&head, &t[i].link);
        else
            list_push_head(&head, &t[i].link);
    }
    int order = 0;
    LIST_FOREACH(it, &head)
        order = order * 10 + LIST_ENTRY(it, struct thing, link)->id;
    is_int(order, 2013, "order after pushing on both ends");
    is_int(list_count(&head), 4, "count");
    list_del(&t[0].link);
    list_del(&t[0].link);
    ok(!list_linked(&t[0].link), "deleting twice is safe");
    LIST_FOREACH_SAFE(it, tmp, &head) {
        if (LIST_ENTRY(it, struct thing, link)->id == 1)
            list_del(it);
    }
    ok(list_first(&head) == &t[2].link && list_last(&head) == &t[3].link, "deleted while walking");
    ok(list_pop(&head) == &t[2].link && list_pop(&head) == &t[3].link && list_empty(&head),
       "popped in order");
}

int main(void)
{
    test_map();
    test_churn();
    test_hash();
    test_list();
    return tap_done();
}
