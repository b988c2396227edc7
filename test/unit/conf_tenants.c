/* SPDX-License-Identifier: ISC */
/* Who is which tenant, and the tenant rules. */
#include "conf.h"
#include "conf/identity.h"
#include "conf/suggest.h"
#include "conf/tenants.h"

static struct setup *load(const char *body)
{
    struct buf problems;
    struct setup *s = conf_load(body, &problems);

    is_text(problems.p, "", "no problem");
    buf_release(&problems);
    if (!ok(s != NULL, "loads"))
        exit(tap_done());
    return s;
}

static struct identity who(const struct setup *s, struct text name, struct arena *a)
{
    struct identity id;

    setup_identity(s, setup_user(s, name), name, a, &id);
    return id;
}

static void identities(void)
{
    struct arena a;
    struct identity x, y;
    struct setup *s = load("[pgbouncer]\nauth_type=any\n[users]\n"
                           "acme = tenant=acme claim.tenant_no=11 claim.b='x y' pool_size=3\n"
                           "same = claim.b='x y' tenant='acme' claim.tenant_no=11\n"
                           "other = tenant=acme claim.tenant_no=1 claim.b='1x y'\n"
                           "zoe = tenant='Zo\xC3\xAB ''\xE6\xA0\xAA' ; a comment\n"
                           "ops = tenant=*\n"
                           "nobody = pool_size=1\n");

    arena_init(&a, 0);
    x = who(s, TEXT("acme"), &a);
    ok(x.bound && !x.exempt, "bound");
    is_int(x.n_claims, 3, "three claims");
    is_text(x.claims[0].name, "tenant", "the main one first");
    is_text(x.claims[0].value, "acme", "its value");
    is_text(x.claims[1].name, "b", "the others by name");
    is_text(x.claims[1].value, "x y", "quoted value");
    is_text(x.claims[2].value, "11", "the last");
    y = who(s, TEXT("same"), &a);
    ok(x.hash == y.hash, "the same claims, the same hash");
    y = who(s, TEXT("other"), &a);
    ok(x.hash != y.hash, "other claims, another hash");
    x = who(s, TEXT("zoe"), &a);
    is_text(x.claims[0].value, "Zo\xC3\xAB '\xE6\xA0\xAA", "bytes as they are");
    x = who(s, TEXT("ops"), &a);
    ok(x.exempt && !x.bound, "exempt");
    x = who(s, TEXT("nobody"), &a);
    ok(!x.exempt && !x.bound && !x.n_claims, "no tenant");
    x = who(s, TEXT("stranger"), &a);
    ok(!x.exempt && !x.bound, "an unknown user neither");
    struct err e = { 0 };
    ok(!setup_tenant(s, TEXT("acme"), &a, &x, &e) && strstr(e.msg, "differs"),
       "claims that contradict one another name no tenant");
    ok(setup_tenant(s, TEXT("Zo\xC3\xAB '\xE6\xA0\xAA"), &a, &x, &e) && x.n_claims == 1,
       "a tenant by its name");
    y = who(s, TEXT("zoe"), &a);
    ok(x.hash == y.hash, "is the identity of its user");
    ok(setup_tenant(s, TEXT("unheard"), &a, &x, &e) && x.bound, "a tenant that no user names");
    ok(!setup_tenant(s, TEXT(""), &a, &x, &e), "no tenant is called nothing");
    arena_release(&a);
    setup_unref(s);
}

static void by_user_name(void)
{
    struct arena a;
    struct identity x;
    struct setup *s = load("[pgbouncer]\nauth_type=any\ntenant_identity=user\n[users]\n"
                           "acme = claim.no=11\nalias = tenant=real\nops = tenant=*\n");

    arena_init(&a, 0);
    x = who(s, TEXT("stranger"), &a);
    ok(x.bound && x.n_claims == 1, "every user is a tenant");
    is_text(x.claims[0].value, "stranger", "of his name");
    x = who(s, TEXT("acme"), &a);
    is_int(x.n_claims, 2, "with more claims");
    is_text(x.claims[0].value, "acme", "his name");
    is_text(x.claims[1].value, "11", "and the claim");
    x = who(s, TEXT("alias"), &a);
    is_text(x.claims[0].value, "real", "unless the section says otherwise");
    x = who(s, TEXT("*"), &a);
    ok(!x.bound && !x.exempt, "a user called * is neither exempt nor a tenant");
    x = who(s, TEXT("ops"), &a);
    ok(x.exempt, "exempt");
    x = who(s, TEXT(""), &a);
    ok(!x.bound, "no name, no tenant");
    arena_release(&a);
    setup_unref(s);
}

static void rules(void)
{
    struct setup *s = load("[pgbouncer]\nauth_type=any\n[tenant_rules]\n"
                           "public.documents = tenant_id ; a comment\n"
                           "Memory.* = user_id\n"
                           "*.log = deny\n"
                           "* = shared\n"
                           "public.shares = owner_tenant claim=tenant\n"
                           "public.\"Order = \"\" Items\" = \"TenantId\" claim = org\n"
                           "public . \"Vertr\xC3\xA4ge\" = \"shared\"\n"
                           "public.doc_types = SHARED\n"
                           "public.doc_types = shared\n");

    is_int(s->n_rules, 8, "rules");
    is_text(s->rules[0].schema, "public", "schema");
    is_text(s->rules[0].relation, "documents", "relation");
    is_text(s->rules[0].column, "tenant_id", "column");
    is_int((int64_t)s->rules[0].claim.n, 0, "no claim named");
    is_int(s->rules[0].line, 4, "line");
    is_text(text_of(s->rules[0].file), "t.ini", "file");
    ok(text_is(s->rules[1].schema, "memory") && !s->rules[1].relation.n && !s->rules[1].any_schema,
       "a whole schema, folded");
    ok(s->rules[2].any_schema && text_is(s->rules[2].relation, "log") &&
           s->rules[2].cls == RULE_DENY,
       "a name in every schema");
    ok(s->rules[3].any_schema && !s->rules[3].relation.n && s->rules[3].cls == RULE_SHARED,
       "everything");
    is_text(s->rules[4].claim, "tenant", "a claim by name");
    is_text(s->rules[5].relation, "Order = \" Items", "quoted relation");
    is_text(s->rules[5].column, "TenantId", "quoted column");
    is_text(s->rules[5].claim, "org", "claim with spaces around =");
    ok(s->rules[6].cls == RULE_TENANT && text_is(s->rules[6].column, "shared"),
       "a quoted word is a column");
    is_text(s->rules[6].relation, "Vertr\xC3\xA4ge", "other letters");
    setup_unref(s);
}

static void functions(void)
{
    struct setup *s = load("[pgbouncer]\nauth_type=any\n[tenant_functions]\n"
                           "public.norm_title(text) = allow\n"
                           "public.f( Double   Precision[] ,\"My Type\" ) = deny\n"
                           "\"S\".any = allow\npublic.none() = allow\n"
                           "[tenant_operators]\npublic.<-> = allow\npublic.@= = allow\n"
                           "public.<= = deny\n");

    is_int(s->n_functions, 4, "functions");
    is_text(s->functions[0].name, "norm_title", "name");
    is_text(s->functions[0].args, "text", "arguments");
    ok(s->functions[0].allow && !s->functions[0].args_any, "allowed");
    is_text(s->functions[1].args, "double precision[], \"My Type\"", "arguments folded");
    ok(!s->functions[1].allow, "denied");
    ok(s->functions[2].args_any && text_is(s->functions[2].schema, "S"), "whatever its arguments");
    ok(!s->functions[3].args_any && !s->functions[3].args.n, "no arguments");
    is_int(s->n_operators, 3, "operators");
    is_text(s->operators[0].name, "<->", "name");
    is_text(s->operators[1].name, "@=", "one that ends in =");
    is_text(s->operators[2].name, "<=", "another");
    ok(!s->operators[2].allow, "denied");
    setup_unref(s);
}

static struct identity joined(const struct setup *s, const char *user, const char *one,
                              const char *two, struct arena *a, struct err *e)
{
    const struct identity_says says[] = { { .source = "first", .tenant = text_of(one) },
                                          { .source = "second", .tenant = text_of(two) } };
    struct identity id;

    e->msg[0] = '\0';
    if (!identity_login(s, setup_user(s, text_of(user)), text_of(user), says, 2, a, &id, e))
        id = (struct identity){ .bound = false };
    return id;
}

/* Several sources, [tenants], tenants=. */
static void sources(void)
{
    struct setup *s =
        load("[pgbouncer]\nauth_type=any\ntenant_identity = startup, MAP\n[tenants]\n"
             "acme = no=11 id='a b'\n\"odd name\" =\n[users]\nu = pool_size=1\n"
             "m = tenant=acme claim.no=11\nc = claim.region=eu tenants=acme\n"
             "l = tenants='acme, odd name' tenant_switch=1\nall = tenants=*\nx = tenant=*\n");
    struct arena a;
    struct err e = { 0 };
    struct identity id;

    arena_init(&a, 0);
    is_int((int64_t)s->tenant_sources, SOURCE_STARTUP | SOURCE_MAP, "sources");
    id = joined(s, "u", "acme", "acme", &a, &e);
    ok(id.bound && id.n_claims == 3 && text_is(id.claims[1].name, "id") &&
           text_is(id.claims[2].value, "11"),
       "sources that agree, with the claims of [tenants]");
    ok(joined(s, "u", NULL, "acme", &a, &e).hash == id.hash, "one is enough");
    ok(joined(s, "m", NULL, NULL, &a, &e).hash == id.hash, "the map says the same");
    ok(!joined(s, "u", "acme", "beta", &a, &e).bound && strstr(e.msg, "first") &&
           strstr(e.msg, "second"),
       "sources that differ bind nobody: %s", e.msg);
    ok(!joined(s, "m", NULL, "beta", &a, &e).bound && e.msg[0],
       "nor one that differs from the map");
    ok(!joined(s, "u", "acme", "", &a, &e).bound && e.msg[0], "an empty name is not none");
    ok(!joined(s, "u", "*", NULL, &a, &e).bound && e.msg[0], "* is no tenant");
    ok(!joined(s, "u", "a\nb", NULL, &a, &e).bound && e.msg[0], "control characters");
    ok(!joined(s, "u", "\xff", NULL, &a, &e).bound && e.msg[0], "other than UTF-8");
    ok(!joined(s, "u", NULL, NULL, &a, &e).bound && !e.msg[0], "none at all is no error");
    id = joined(s, "c", "acme", NULL, &a, &e);
    ok(id.n_claims == 4 && text_is(id.claims[3].value, "eu"), "claims of a line without tenant=");
    ok(joined(s, "x", NULL, NULL, &a, &e).exempt && !joined(s, "x", "acme", NULL, &a, &e).exempt &&
           e.msg[0],
       "exempt, unless a source names a tenant");
    const struct user_conf *l = setup_user(s, TEXT("l"));
    ok(l->tenant_switch && l->n_tenants == 2 && identity_granted(s, l, TEXT("odd name"), false) &&
           !identity_granted(s, l, TEXT("odd"), true),
       "granted tenants");
    ok(identity_granted(s, setup_user(s, TEXT("all")), TEXT("acme"), false) &&
           !identity_granted(s, setup_user(s, TEXT("all")), TEXT("beta"), true),
       "* means those of [tenants]");
    ok(!identity_granted(s, setup_user(s, TEXT("u")), TEXT("acme"), false) &&
           identity_granted(s, NULL, TEXT("acme"), true),
       "without a list it depends on the source");
    arena_release(&a);
    setup_unref(s);
}

static const char *meant(const char *word)
{
    static const char *const known[] = { "pool_mode", "pool_size", "host", "port", "user" };
    struct suggest s;

    suggest_init(&s, text_of(word));
    for (int i = 0; i < 5; i++)
        suggest_offer(&s, known[i]);
    return s.best ? s.best : "(none)";
}

static void suggestions(void)
{
    is_text(text_of(meant("pool_mdoe")), "pool_mode", "neighbours swapped");
    is_text(text_of(meant("poolsize")), "pool_size", "a letter missing");
    is_text(text_of(meant("HOST")), "host", "case");
    is_text(text_of(meant("hst")), "host", "short word");
    is_text(text_of(meant("xy")), "(none)", "nothing near");
    is_text(text_of(meant("")), "(none)", "nothing at all");
    is_int((int64_t)suggest_distance(TEXT("kitten"), TEXT("sitting"), 9), 3, "distance");
    is_int((int64_t)suggest_distance(TEXT("abcdef"), TEXT(""), 3), 4, "over the limit");
}

int main(void)
{
    static const char *const files[] = { "t.ini" };
    char dir[64];

    conf_enter(dir);
    identities();
    by_user_name();
    sources();
    rules();
    functions();
    suggestions();
    conf_leave(dir, files, 1);
    return tap_done();
}
