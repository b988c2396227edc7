/* SPDX-License-Identifier: ISC */
/* Rules of access and maps of names, line by line; patterns; options of ldap; special names. */
#include "tap.h"

#include "auth/access.h"
#include "auth/outside.h"
#include "conf/keys.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct world {
    struct arena a;
    struct secret *secrets;
    struct regex *patterns;
    struct trouble t;
    struct hba h;
};

static void begin(struct world *w, const char *rules, const char *maps)
{
    *w = (struct world){ .t = { .main_file = "t" } };
    arena_init(&w->a, 0);
    struct hba_load l = { &w->a, &w->secrets, &w->patterns, &w->t, true };
    ident_parse(&l, text_of(maps), "i", &w->h);
    hba_parse(&l, text_of(rules), "h", &w->h);
    hba_check_maps(&l, &w->h);
}

static void end(struct world *w)
{
    regex_free_all(&w->patterns);
    secret_wipe_all(&w->secrets);
    buf_release(&w->t.problems);
    buf_release(&w->t.warnings);
    arena_release(&w->a);
}

/* The line that decides for a client from that address ("" = Unix socket); 0: none. */
static int line_for(const struct world *w, const char *from, const char *db, const char *user,
                    bool tls, bool replication)
{
    struct sockaddr_storage ss = { .ss_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, from, &in.sin_addr) == 1)
        memcpy(&ss, &in, sizeof(in));
    else if (inet_pton(AF_INET6, from, &in6.sin6_addr) == 1)
        memcpy(&ss, &in6, sizeof(in6));
    const struct access_ask ask = { .db = text_of(db),
                                    .user = text_of(user),
                                    .is_unix = !*from,
                                    .tls = tls,
                                    .replication = replication,
                                    .peer = &ss };
    const struct hba_rule *r = access_rule(&w->h, &ask);
    return r ? r->line : 0;
}

static void rules(void)
{
    struct world w;

    begin(&w,
          "local db all trust\n"
          "hostssl db alice 10.1.0.0/16 md5\n"
          "\n# a comment\n"
          "host \\\n all,replication bob 10.1.2.128/25 plain\n"
          "hostnossl sameuser all fd00:1::/33 reject\n"
          "host replication all 0.0.0.0/0 scram-sha-256\n"
          "host /^x[0-9]+$ all 10.9.9.9 255.255.255.1 trust\n",
          "");
    is_text(buf_text(&w.t.problems), "", "rules: no problem");
    is_int(w.h.n_rules, 6, "rules: six");
    is_int(line_for(&w, "", "db", "x", false, false), 1, "local");
    is_int(line_for(&w, "", "other", "x", false, false), 0, "local, another database");
    is_int(line_for(&w, "10.1.255.1", "db", "alice", true, false), 2, "hostssl");
    is_int(line_for(&w, "10.1.255.1", "db", "alice", false, false), 0, "hostssl without TLS");
    is_int(line_for(&w, "::ffff:10.1.255.1", "db", "alice", true, false), 2, "mapped IPv4");
    is_int(line_for(&w, "10.2.0.0", "db", "alice", true, false), 0, "outside of the network");
    is_int(line_for(&w, "10.1.2.128", "q", "bob", true, false), 5, "the first of a network");
    is_int(line_for(&w, "10.1.2.127", "q", "bob", true, false), 0, "one before it");
    is_int(line_for(&w, "10.1.2.255", "", "bob", true, true), 5, "replication in a list");
    is_int(line_for(&w, "10.1.2.255", "q", "eve", false, true), 8, "replication");
    is_int(line_for(&w, "10.1.2.255", "replication", "eve", false, false), 0, "only a name");
    is_int(line_for(&w, "fd00:1:7fff::1", "u", "u", false, false), 7, "IPv6, the last bit");
    is_int(line_for(&w, "fd00:1:8000::1", "u", "u", false, false), 0, "IPv6, beyond it");
    is_int(line_for(&w, "fd00:1::1", "u", "v", false, false), 0, "not the same user");
    is_int(line_for(&w, "10.9.9.7", "x42", "u", false, false), 9, "a mask with holes");
    is_int(line_for(&w, "10.9.9.8", "x42", "u", false, false), 0, "a mask with holes, outside");
    is_int(line_for(&w, "10.9.9.9", "ax42", "u", false, false), 0, "an anchored pattern");
    end(&w);
}

static void maps(void)
{
    static const struct {
        const char *map, *system, *user;
        bool yes;
    } cases[] = {
        { "m root alice", "root", "alice", true },
        { "m root alice", "ROOT", "alice", false },
        { "m root alice", "root", "Alice", false },
        { "n root alice", "root", "alice", false },
        { "m root all", "root", "anybody", true },
        { "m root \"all\"", "root", "anybody", false },
        { "m /o root", "root", "root", true },
        { "m /^o root", "root", "root", false },
        { "m \"/o\" root", "root", "root", false },
        { "m /^(.*)@x$ \\1", "bob@x", "bob", true },
        { "m /^(.*)@x$ \\1", "bob@y", "bob", false },
        { "m /^(.*)@x$ \\1", "@x", "", true },
        { "m /^(.*)@x$ \\1", "all@x", "bob", false },
        { "m /^(.*)@x$ \\1", "+x@x", "bob", false },
        { "m /^(.*)@x$ \\1", "/b@x", "bob", false },
        { "m /^(.*)@x$ a_\\1_z", "q@x", "a_q_z", true },
        { "m /^(.*)@x$ a_\\1_z", "q@x", "a_q_zz", false },
        { "m /^(.*)@x$ a_\\1_z", "q@x", "a_z", false },
        { "m /^(.*)@x$ \\1\\1", "q@x", "q\\1", true },
        { "m /^(a)|b$ \\1", "b", "", false },
        { "m root /^al", "root", "alice", true },
        { "m root /^al", "root", "mal", false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        begin(&w, "", cases[i].map);
        ok(access_mapped(&w.h, TEXT("m"), cases[i].system, text_of(cases[i].user)) ==
                   cases[i].yes &&
               !w.t.n_problems,
           "%s: %s %s %s", cases[i].map, cases[i].system, cases[i].yes ? "is" : "is not",
           cases[i].user);
        end(&w);
    }
    struct world w;
    begin(&w, "", "m root alice");
    ok(access_mapped(&w.h, text_n(NULL, 0), "alice", TEXT("alice")), "no map: the same");
    ok(!access_mapped(&w.h, text_n(NULL, 0), "root", TEXT("alice")), "no map: another");
    ok(!access_mapped(NULL, TEXT("m"), "root", TEXT("alice")), "no rules at all");
    end(&w);
}

static void patterns(void)
{
    static const char *const bad[] = { "",        "(",     "a\\d",        "[\\.]",   "***:a",
                                       "a??",     "(?:a)", "[a",          "[[.a.]]", "a**",
                                       "a{2}{3}", "a\\",   "(a{99}){99}", "[[=a=]]", "a{9999}" };
    static const char *const good[] = { "a",      "^a$",    "a\\.b",       "[]a]", "[^]a]",
                                        "(a|b)+", "a{2,3}", "[[:digit:]]", "\\\\", "\\$" };
    struct arena a;
    struct regex *chain = NULL;
    const struct regex *r;

    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = { 0 };
        ok(!regex_compile(text_of(bad[i]), &a, &chain, &r, &e) && e.msg[0], "refused: %s", bad[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct err e = { 0 };
        ok(regex_compile(text_of(good[i]), &a, &chain, &r, &e), "taken: %s", good[i]);
    }
    char long_one[2000];
    memset(long_one, 'a', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    struct err e = { 0 };
    bool failed = false;
    ok(regex_compile(TEXT("a"), &a, &chain, &r, &e) && !regex_matches(r, long_one, NULL, &failed) &&
           failed,
       "a subject that is too long counts as not told");
    regex_free_all(&chain);
    arena_release(&a);
}

static void ldap(void)
{
    struct world w;
    struct err e = { 0 };

    begin(&w, "", "");
    struct hba_load l = { &w.a, &w.secrets, &w.patterns, &w.t, true };
    const struct ldap_conf *c = ldap_options(
        TEXT("ldapurl=\"ldaps://h.example:1636/dc=a,dc=b?mail?one\" ldapbinddn=\"cn=r,dc=a\" "
             "ldapbindpasswd=\"s e\"\"c\""),
        &l, &e);
    is_text(text_of(e.msg), "", "a URL and a reader");
    if (c) {
        is_text(text_of(c->uris), "ldaps://h.example:1636", "where");
        is_text(text_of(c->basedn), "dc=a,dc=b", "base");
        is_text(text_of(c->attribute), "mail", "attribute");
        is_int(c->scope, 1, "scope");
        is_text(text_of(c->bindpasswd), "s e\"c", "password");
    }
    c = ldap_options(TEXT("ldapserver=\"a b:7 [::1]\" ldapsuffix=@x"), &l, &e);
    ok(c != NULL, "three servers");
    if (c)
        is_text(text_of(c->uris), "ldap://a:389 ldap://b:7 ldap://[::1]:389", "with ports");
    end(&w);
    ok(outside_name_ok("alice.b-c@x") && outside_name_ok("Zo\xc3\xab"), "names that are fine");
    ok(!outside_name_ok("") && !outside_name_ok("a*") && !outside_name_ok("a,b") &&
           !outside_name_ok("a ") && !outside_name_ok(" a") && !outside_name_ok("a  b") &&
           !outside_name_ok("a\nb") && !outside_name_ok("a=b") && !outside_name_ok("a\\b"),
       "names that are not");
}

int main(void)
{
    rules();
    maps();
    patterns();
    ldap();
    return tap_done();
}
