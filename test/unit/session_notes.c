/* SPDX-License-Identifier: ISC */
/* A worker's tables: counting by template, bounds and who makes room, tenants with and without
 * clients. */
#include "tap.h"

#include "session/notes.h"

#include <stdio.h>

static void add(struct notes *n, enum note_kind kind, const char *template, usec_t now)
{
    const struct note w = { .kind = kind,
                            .reason = 3,
                            .database = TEXT("db"),
                            .template = text_of(template),
                            .about = TEXT("public.x"),
                            .fix = TEXT("fix"),
                            .tenant = TEXT("acme"),
                            .user = TEXT("bob") };
    notes_add(n, &w, now);
}

static const struct note *find(const struct notes *n, const char *template)
{
    const struct note *w;
    size_t pos = 0;
    while ((w = notes_next(n, &pos)) != NULL && !text_is(w->template, template))
        ;
    return w;
}

static int count(const struct notes *n)
{
    size_t pos = 0;
    int k = 0;
    while (notes_next(n, &pos))
        k++;
    return k;
}

static void statements(void)
{
    struct notes *n = notes_new();
    char name[40];

    if (!n)
        abort();
    add(n, NOTE_DENIED, "a", 10);
    add(n, NOTE_DENIED, "a", 20);
    add(n, NOTE_WOULD_REFUSE, "a", 30);
    is_int(count(n), 2, "one entry per kind and template");
    const struct note *a = find(n, "a");
    ok(a && text_is(a->database, "db") && text_is(a->about, "public.x") && text_is(a->fix, "fix") &&
           text_is(a->tenant, "acme") && text_is(a->user, "bob"),
       "with what was told");
    notes_reset(n, 1U << NOTE_WOULD_REFUSE);
    a = find(n, "a");
    ok(count(n) == 1 && a->count == 2 && a->first == 10 && a->last == 20, "reset by kind");
    add(n, NOTE_DENIED, "old", 5);
    for (int i = 0; i < NOTES_STATEMENTS + 100; i++) {
        snprintf(name, sizeof(name), "flood %d", i);
        add(n, NOTE_DENIED, name, 100 + (usec_t)i);
    }
    is_int(count(n), NOTES_STATEMENTS, "bounded");
    ok(find(n, "a") != NULL, "what is frequent stays");
    ok(!find(n, "old") && !find(n, "flood 0"), "of the rare ones the oldest went");
    ok(find(n, name) != NULL, "the newest is there");
    const struct note long_one = { .tenant = { name, 0 }, .template = TEXT("long") };
    struct note w = long_one;
    char tenant[300];
    memset(tenant, 'x', sizeof(tenant));
    memcpy(tenant + 127, "\xc3\xa4", 2);
    w.tenant = text_n(tenant, sizeof(tenant));
    notes_add(n, &w, 1000);
    is_int(find(n, "long")->tenant.n, 127, "a long name is cut at a character");
    notes_free(n);
}

static int tenants(const struct notes *n)
{
    size_t pos = 0;
    int k = 0;
    while (notes_next_tenant(n, &pos))
        k++;
    return k;
}

static void joining(void)
{
    struct notes *n = notes_new();
    char name[40];

    if (!n)
        abort();
    struct tenant_note *a = notes_join(n, TEXT("acme"), TEXT("u1"));
    ok(a && a == notes_join(n, TEXT("acme"), TEXT("u1")), "two clients of one tenant");
    is_int(a->clients, 2, "are counted");
    for (int i = 0; i < NOTES_USERS + 5; i++) {
        snprintf(name, sizeof(name), "user %d", i);
        notes_leave(n, notes_join(n, TEXT("acme"), text_of(name)));
    }
    is_int(a->n_users, NOTES_USERS + 1, "users are bounded");
    notes_leave(n, a);
    notes_leave(n, a);
    a->passed = 7;
    ok(a == notes_join(n, TEXT("acme"), TEXT("u1")) && a->passed == 7, "it is remembered");
    for (int i = 0; i < NOTES_TENANTS + 10; i++) {
        snprintf(name, sizeof(name), "tenant %d", i);
        notes_leave(n, notes_join(n, text_of(name), TEXT("u")));
    }
    is_int(tenants(n), NOTES_TENANTS + 1, "bounded, but for those with clients");
    notes_leave(n, a);
    is_int(tenants(n), NOTES_TENANTS, "and then without");
    ok(notes_join(n, TEXT("acme"), TEXT("u"))->passed == 7, "the last to leave stays");
    notes_free(n);
}

int main(void)
{
    statements();
    joining();
    return tap_done();
}
