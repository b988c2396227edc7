/* SPDX-License-Identifier: ISC */
/* Any bytes as a configuration, and as an auth_file. */
#include "conf/setup.h"
#include "conf/userlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *arg, struct text user, struct text secret)
{
    size_t *total = arg;

    CHECK(user.n > 0 && user.n <= USER_NAME_MAX && secret.n <= USER_SECRET_MAX);
    *total += user.n + secret.n;
}

static void use(const struct setup *s)
{
    struct pool_limits limits;
    struct identity id;
    struct buf shown;
    struct arena a;

    arena_init(&a, 0);
    buf_init(&shown);
    for (int i = 0; i < keys_count(); i++)
        keys_value(s, i, &shown);
    for (int i = 0; i < s->n_users; i++) {
        setup_identity(s, s->users[i], s->users[i]->name, &a, &id);
        CHECK(!(id.bound && id.exempt) && (!id.bound || text_is(id.claims[0].name, "tenant")));
    }
    for (int i = 0; i < s->n_databases; i++) {
        CHECK(setup_database(s, s->databases[i]->name, &a) == s->databases[i]);
        setup_limits(s, s->databases[i], s->n_users ? s->users[0] : NULL, &limits);
        CHECK(!limits.pool_size || limits.min_pool_size <= limits.pool_size);
    }
    buf_release(&shown);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text body = { (const char *)data, size };
    struct trouble t = { .main_file = "fuzz" };
    struct secret *secrets = NULL;
    struct buf problems;
    struct setup *s;
    size_t total = 0;

    buf_init(&problems);
    s = setup_parse("fuzz", body, &problems);
    CHECK(!s == (buf_len(&problems) > 0));
    if (s)
        use(s);
    setup_unref(s);
    buf_release(&problems);
    userlist_parse(body, "fuzz", &secrets, &t, take, &total);
    CHECK(total <= size);
    secret_wipe_all(&secrets);
    buf_release(&t.problems);
    return 0;
}
