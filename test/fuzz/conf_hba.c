/* SPDX-License-Identifier: ISC */
/* Any bytes as rules of access, as maps of names and as options of ldap; then logins against what
 * was read. The first byte says how many bytes the maps have (times eight). */
#include "auth/access.h"
#include "auth/outside.h"
#include "conf/keys.h"

#include <netinet/in.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "db", "alice", "all", "\\1", "a.b@c", "" };

static void log_in(const struct hba *h, const char *db, const char *user, bool v6)
{
    struct sockaddr_storage peer = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

    memcpy(&peer, v6 ? (const void *)&in6 : &in, v6 ? sizeof(in6) : sizeof(in));
    for (int i = 0; i < 4; i++) {
        const struct access_ask ask = {
            .db = text_of(db), .user = text_of(user), .is_unix = i & 1, .tls = i == 2, .peer = &peer
        };
        const struct hba_rule *r = access_rule(h, &ask);
        CHECK(!r || (r >= h->rules && r < h->rules + h->n_rules));
        CHECK(!r || (r->type == HBA_LOCAL) == ask.is_unix);
        CHECK(!r || r->type != HBA_HOSTSSL || ask.tls);
    }
}

static void use(const struct hba *h)
{
    const int n = (int)(sizeof(names) / sizeof(names[0]));

    for (int i = 0; i < h->n_rules; i++) {
        const struct hba_rule *r = &h->rules[i];
        CHECK(r->n_databases > 0 && r->n_users > 0 && r->line > 0);
        CHECK(r->method != HBA_PEER || r->type == HBA_LOCAL);
        for (int k = 0; k < n && r->map.p; k++)
            access_mapped(h, r->map, names[k], TEXT("alice"));
    }
    for (int i = 0; i < n * n; i++)
        log_in(h, names[i % n], names[i / n], i & 1);
    CHECK(access_mapped(h, text_n(NULL, 0), "alice", TEXT("alice")));
    CHECK(!access_mapped(h, text_n(NULL, 0), "alice", TEXT("alic")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trouble t = { .main_file = "fuzz" };
    struct secret *secrets = NULL;
    struct regex *patterns = NULL;
    struct hba h = { .n_rules = 0 };
    struct err e = { 0 };
    struct arena a;

    if (size < 1 || size > 20000)
        return 0;
    arena_init(&a, 0);
    size_t n_ident = (size_t)data[0] * 8;
    struct text body = text_n((const char *)data + 1, size - 1);
    struct text ident = text_n(body.p, n_ident < body.n ? n_ident : body.n);
    struct hba_load l = { &a, &secrets, &patterns, &t, false };

    ident_parse(&l, ident, "ident", &h);
    hba_parse(&l, text_n(body.p + ident.n, body.n - ident.n), "hba", &h);
    hba_check_maps(&l, &h);
    CHECK((t.n_problems > 0) == (buf_len(&t.problems) > 0));
    if (!t.n_problems)
        use(&h);
    const struct ldap_conf *c = ldap_options(body, &l, &e);
    CHECK(!c == (e.msg[0] != '\0'));
    CHECK(!c || *c->uris);
    regex_free_all(&patterns);
    secret_wipe_all(&secrets);
    buf_release(&t.problems);
    buf_release(&t.warnings);
    arena_release(&a);
    return 0;
}
