/* SPDX-License-Identifier: ISC */
/* Files that include one another, later lines that win, which value is in force, warnings, SET. */
#include "conf.h"

static struct setup *load(const char *body, struct buf *problems)
{
    struct setup *s = conf_load(body, problems);

    is_text(problems->p, "", "no problem");
    ok(s != NULL, "loads");
    if (!s)
        exit(tap_done());
    return s;
}

static void files_and_order(void)
{
    struct buf problems;
    struct setup *s;

    conf_write("more.ini", TEXT("\xEF\xBB\xBFquery_timeout = 3\n[databases]\nx = port=1\n"));
    s = load(
        "  # comment\n\n[pgbouncer]\n;x\nauth_type=any\nquery_timeout=1\n   %include more.ini\n"
        "y = port=2\n x=port=7 pool_size=5\n[users]\nu=pool_size=1 pool_mode=session\n"
        "[pgbulkhead]\nquery_wait_timeout=9\n[users]\nu = max_user_connections=4\n"
        "[databases]\n* = host=all\n",
        &problems);
    is_int((int64_t)s->g.query_timeout, 3000000, "the included file comes later");
    is_int((int64_t)s->g.query_wait_timeout, 9000000, "both names of the section");
    is_int(s->n_databases, 2, "the section goes on behind an include");
    is_text(s->databases[0]->name, "x", "file order");
    is_int(s->databases[0]->port, 7, "a later line wins");
    is_int(setup_user(s, TEXT("u"))->pool_size, LIMIT_UNSET, "and replaces the first as a whole");
    is_int(setup_user(s, TEXT("u"))->max_user_connections, 4, "what it says");
    ok(setup_user(s, TEXT("v")) == NULL, "unknown user");
    is_text(text_of(s->path), "t.ini", "path");
    buf_release(&problems);
    setup_unref(s);
}

static void fallback(void)
{
    const struct database_conf *d;
    struct buf problems;
    struct arena a;
    struct setup *s = load("[pgbouncer]\nauth_type=any\n[databases]\n* = host=all pool_size=3\n"
                           "mine = dbname=theirs\n",
                           &problems);

    arena_init(&a, 0);
    ok(s->autodb && s->autodb->is_auto, "there is a fallback");
    d = setup_database(s, TEXT("some"), &a);
    is_text(d->name, "some", "it takes the name");
    is_text(text_of(d->dbname), "some", "on the server too");
    is_int(d->pool_size, 3, "and has the entry's values");
    ok(d->is_auto, "marked");
    d = setup_database(s, TEXT("mine"), &a);
    ok(!d->is_auto, "a configured one is found first");
    is_text(text_of(d->dbname), "theirs", "dbname");
    is_text(text_of(d->hosts[0]), "/tmp", "socket directory");
    ok(!setup_database(s, TEXT("pgbouncer"), &a), "the console is no database");
    ok(!setup_database(s, TEXT(""), &a), "nor the empty name");
    arena_release(&a);
    setup_unref(s);
    buf_release(&problems);
}

static void precedence(void)
{
    struct buf problems;
    struct pool_limits out;
    struct arena a;
    const struct database_conf *d, *plain;
    struct setup *s =
        load("[pgbouncer]\nauth_type=any\nmax_user_connections=11\nmin_pool_size=2\n"
             "tenant_mode=audit\ntenant_columns=t\nserver_lifetime=50\n"
             "[databases]\nplain = user=x\n"
             "d = user=x pool_mode=transaction pool_size=5 min_pool_size=4 reserve_pool=3 "
             "query_wait_timeout=9 max_db_connections=8 server_lifetime=7 tenant_mode=reject\n"
             "[users]\nu = pool_mode=statement pool_size=2 reserve_pool_size=0 "
             "query_wait_timeout=0 max_user_connections=1 tenant_mode=off\n",
             &problems);

    arena_init(&a, 0);
    d = setup_database(s, TEXT("d"), &a);
    plain = setup_database(s, TEXT("plain"), &a);
    setup_limits(s, plain, NULL, &out);
    is_int(out.pool_mode, POOL_SESSION, "global mode");
    is_int(out.pool_size, 20, "global size");
    is_int(out.min_pool_size, 2, "global minimum");
    is_int(out.max_user_connections, 11, "global user limit");
    is_int((int64_t)out.query_wait_timeout, 120000000, "global wait");
    is_int((int64_t)out.server_lifetime, 50000000, "global lifetime");
    setup_limits(s, d, NULL, &out);
    is_int(out.pool_mode, POOL_TRANSACTION, "the database's mode");
    is_int(out.pool_size, 5, "its size");
    is_int(out.min_pool_size, 4, "its minimum");
    is_int(out.reserve_pool_size, 3, "its reserve, by the older name");
    is_int(out.max_db_connections, 8, "its limit");
    is_int((int64_t)out.query_wait_timeout, 9000000, "its wait");
    is_int((int64_t)out.server_lifetime, 7000000, "its lifetime");
    setup_limits(s, d, setup_user(s, TEXT("u")), &out);
    is_int(out.pool_mode, POOL_STATEMENT, "the user's mode");
    is_int(out.pool_size, 2, "the user's size");
    is_int(out.min_pool_size, 2, "the minimum cannot be more");
    is_int(out.reserve_pool_size, 0, "the user's reserve");
    is_int(out.max_user_connections, 1, "the user's limit");
    is_int((int64_t)out.query_wait_timeout, 0, "the user's wait");
    is_int(setup_tenant_mode(s, plain, NULL), TENANT_AUDIT, "global tenant mode");
    is_int(setup_tenant_mode(s, d, NULL), TENANT_REJECT, "the database's");
    is_int(setup_tenant_mode(s, d, setup_user(s, TEXT("u"))), TENANT_OFF, "the user's");
    is_text(text_of(tenant_mode_name(TENANT_REWRITE)), "rewrite", "name of a tenant mode");
    is_text(text_of(pool_mode_name(POOL_STATEMENT)), "statement", "name of a pool mode");
    arena_release(&a);
    setup_unref(s);
    buf_release(&problems);
}

static void warnings(void)
{
    struct buf problems;
    struct setup *s = load("[pgbouncer]\nauth_type=trust\nconffile=x\nauth_user=x\nlogin_notify_message=\n"
                           "tenant_mode=reject\n[databases]\nd = host=h password=x "
                           "catalog_user=c\n[peers]\n2 = host=h\n",
                           &problems);

    is_text(s->warnings,
            "t.ini:8: password: has no effect without user=\n"
            "t.ini: tenant_mode is on, but there are neither tenant_columns nor [tenant_rules]: "
            "every statement on a table will be refused\n"
            "t.ini:2: auth_type: tenant_mode is on, but clients may say they are anybody\n",
            "what has no effect, and odd combinations");
    setup_unref(s);
    buf_release(&problems);
}

static void overrides(void)
{
    const struct setup_override over[] = { { TEXT("query_timeout"), TEXT("5") },
                                           { TEXT("unix_socket_dir"), TEXT("/x") },
                                           { TEXT("pool_mode"), TEXT("x") } };
    struct buf problems, changed;
    struct setup *s, *old;

    buf_init(&problems);
    buf_init(&changed);
    conf_write("t.ini", TEXT("[pgbouncer]\nauth_type=any\nquery_timeout=1\n[databases]\nd=\n*=\n"));
    s = setup_load("t.ini", 2, over, 1, &problems);
    ok(s && s->g.query_timeout == 5000000, "SET is laid over the file");
    ok(s && s->generation == 2, "generation");
    old = setup_ref(s);
    setup_unref(s);
    ok(!setup_load("t.ini", 3, over, 3, &problems), "bad SETs are refused");
    is_text(buf_text(&problems),
            "SET: unix_socket_dir: cannot be set\n"
            "SET: pool_mode: \"x\" is not one of session, transaction, statement\n",
            "with their texts");
    buf_release(&problems);
    conf_write("t.ini", TEXT("[pgbouncer]\nauth_type=any\nquery_timeout=7\nunix_socket_dir=/y\n"
                             "listen_port=7\n[databases]\nd=\n*=\n"));
    s = setup_load("t.ini", 3, NULL, 0, &problems);
    if (ok(s != NULL, "loads again")) {
        is_text(text_of(s->databases[0]->hosts[0]), "/y", "new socket directory");
        setup_keep_boot(s, old, &changed);
        is_text(buf_text(&changed), "listen_port\nunix_socket_dir\n", "keys that need a restart");
        is_int(s->g.listen_port, 6432, "the old port stays");
        is_text(text_of(s->databases[0]->hosts[0]), "/tmp", "and the old directory");
        is_text(text_of(s->autodb->hosts[0]), "/tmp", "for the fallback too");
        is_int((int64_t)s->g.query_timeout, 7000000, "others are new");
        is_int(s->n_track_extra, 1, "the list is whole");
    }
    setup_unref(s);
    setup_unref(old);
    setup_unref(NULL);
    buf_release(&changed);
    buf_release(&problems);
}

static void secrets(void)
{
    struct buf problems, list;
    struct setup *s;

    buf_init(&list);
    buf_text_append(&list, TEXT("; users\n\n\"o\"\"dd\" \"a\"\"b\" more \"words\"\n\"u\" \"old\"\n"
                                "  \"u\"\t\"md55d41402abc4b2a76b9719d911017c592\"\r\n\"long\" \""));
    for (int i = 0; i < 65530; i++)
        buf_char(&list, 'x');
    buf_text_append(&list, TEXT("\"\n\"latin\" \"\xE9\""));
    conf_write("users.txt", buf_text(&list));
    s = load("[pgbouncer]\nauth_file=users.txt\n[users]\nu=tenant=t\n", &problems);
    is_text(setup_user(s, TEXT("o\"dd"))->secret, "a\"b", "doubled quotes");
    is_text(setup_user(s, TEXT("u"))->secret, "md55d41402abc4b2a76b9719d911017c592", "the later");
    ok(setup_user(s, TEXT("u"))->in_users && setup_user(s, TEXT("u"))->in_auth_file, "in both");
    is_int((int64_t)setup_user(s, TEXT("long"))->secret.n, 65530, "the longest secret");
    is_text(setup_user(s, TEXT("latin"))->secret, "\xE9", "a secret is any bytes");
    is_int(s->n_users, 4, "all");
    setup_unref(s);
    buf_release(&problems);
    buf_text_append(&list, TEXT("\n\"longer\" \""));
    for (int i = 0; i < 65531; i++)
        buf_char(&list, 'x');
    buf_char(&list, '"');
    conf_write("users.txt", buf_text(&list));
    s = conf_load("[pgbouncer]\nauth_file=users.txt\n", &problems);
    is_text(problems.p, "users.txt:8: the secret is longer than 65530 bytes\n", "too long");
    ok(!s, "refused");
    buf_release(&problems);
    buf_release(&list);
}

int main(void)
{
    static const char *const files[] = { "t.ini", "more.ini", "users.txt" };
    char dir[64];

    conf_enter(dir);
    files_and_order();
    fallback();
    precedence();
    warnings();
    overrides();
    secrets();
    conf_leave(dir, files, 3);
    return tap_done();
}
