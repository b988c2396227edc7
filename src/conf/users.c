/* SPDX-License-Identifier: ISC */
/* Lines of [users], and what auth_file, admin_users and stats_users add to them. */
#include "conf/claims.h"
#include "conf/userlist.h"

#include <stdlib.h>

static struct user_conf unset_user(struct text name)
{
    return (struct user_conf){ .name = name,
                               .secret = TEXT(""),
                               .pool_mode = POOL_MODE_UNSET,
                               .tenant_mode = TENANT_MODE_UNSET,
                               .session_state = SESSION_STATE_UNSET,
                               .pool_size = LIMIT_UNSET,
                               .reserve_pool_size = LIMIT_UNSET,
                               .max_user_connections = LIMIT_UNSET,
                               .max_user_client_connections = LIMIT_UNSET,
                               .query_timeout = TIME_UNSET,
                               .idle_transaction_timeout = TIME_UNSET,
                               .transaction_timeout = TIME_UNSET,
                               .client_idle_timeout = TIME_UNSET,
                               .query_wait_timeout = TIME_UNSET };
}

struct user_conf *load_user_entry(struct load *l, struct text name, int *index)
{
    struct setup *s = l->s;
    struct user_conf *u = map_get(&s->user_by_name, name);

    if (u) {
        for (int i = 0; index && i < s->n_users; i++)
            if (s->users[i] == u)
                *index = i;
        return u;
    }
    CHECK(s->n_users < l->user_cap);
    u = ARENA_NEW(l->a, struct user_conf);
    *u = unset_user(arena_text(l->a, name));
    if (index)
        *index = s->n_users;
    s->users[s->n_users++] = u;
    map_put(&s->user_by_name, u->name, u);
    return u;
}

void load_user(struct load *l, const struct ini_line *line)
{
    struct text name, rest = line->value;
    struct claims claims = { .n = 0 };
    struct user_conf *u;
    struct dsn_pair pair;
    struct err e = { 0 };
    enum dsn_step step;
    int index = 0;

    if (!ini_unquote(line->key, l->a, &name)) {
        trouble_problem(&l->t, line->at, line->key,
                        "not a user name; one with odd characters stands in \"...\"");
        return;
    }
    if (name.n > USER_NAME_MAX) {
        trouble_problem(&l->t, line->at, line->key, "the name is longer than %d bytes",
                        USER_NAME_MAX);
        return;
    }
    /* a second line for the same user replaces the first as a whole */
    u = load_user_entry(l, name, &index);
    *u = unset_user(u->name);
    u->in_users = true;
    l->user_at[index] = line->at;
    while ((step = dsn_next(&rest, &pair, l->mem.secrets, &e)) == DSN_PAIR) {
        if (text_is(pair.key, "tenant") || text_starts(pair.key, TEXT("claim.")))
            claims_of_user(l, &claims, &pair, line->at);
        else
            load_pair(l, key_table_users(), pair.key, pair.value, u, line->at);
    }
    if (step == DSN_BAD)
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
    claims_finish(l, u, &claims, line->at);
    claims_grants(l, u, line->at);
}

static void make_room(struct load *l, int more)
{
    struct setup *s = l->s;
    int cap = s->n_users + more;
    struct user_conf **users;
    struct place *at;

    if (cap <= l->user_cap)
        return;
    users = ARENA_ARRAY(l->a, struct user_conf *, cap);
    at = ARENA_ARRAY(l->a, struct place, cap);
    for (int i = 0; i < s->n_users; i++) {
        users[i] = s->users[i];
        at[i] = l->user_at[i];
    }
    s->users = users;
    l->user_at = at;
    l->user_cap = cap;
}

static void take_auth_user(void *arg, struct text user, struct text secret)
{
    struct user_conf *u = load_user_entry(arg, user, NULL);

    u->in_auth_file = true;
    u->secret = secret; /* a later line wins */
}

static void load_auth_file(struct load *l)
{
    const char *path = l->s->g.auth_file;
    struct file_text file;
    int lines = 1;

    if (!load_file(l, "auth_file", path, &file))
        return;
    for (size_t i = 0; i < file.n; i++)
        lines += file.p[i] == '\n';
    make_room(l, lines);
    userlist_parse(text_n(file.p, file.n), path, l->mem.secrets, &l->t, take_auth_user, l);
    file_wipe(&file);
}

static void load_console_users(struct load *l, const char *list, bool admin)
{
    int n;
    const struct text *names = load_list(l, list, &n);

    make_room(l, n);
    for (int i = 0; i < n; i++) {
        struct user_conf *u = load_user_entry(l, names[i], NULL);
        if (admin)
            u->is_admin = true;
        else
            u->is_stats = true;
    }
}

void load_user_lists(struct load *l)
{
    load_auth_file(l);
    load_console_users(l, l->s->g.admin_users, true);
    load_console_users(l, l->s->g.stats_users, false);
}
