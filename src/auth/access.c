/* SPDX-License-Identifier: ISC */
/* Rules of access against logins. Whatever cannot be told ends in no rule: a rule further down
 * might let in whom this one would have rejected. */
#include "auth/access.h"

#include <ifaddrs.h>
#include <netinet/in.h>

struct address {
    int family;
    unsigned char ip[16];
};

enum answer { NO, YES, UNKNOWN };

static bool address_of(const struct sockaddr *sa, struct address *out)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        out->family = AF_INET;
        memcpy(out->ip, &in.sin_addr, 4);
        return true;
    }
    if (sa->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in;
    memcpy(&in, sa, sizeof(in));
    out->family = AF_INET6;
    memcpy(out->ip, &in.sin6_addr, 16);
    if (memcmp(out->ip, mapped, sizeof(mapped)) == 0) { /* a socket for both families */
        memmove(out->ip, out->ip + 12, 4);
        out->family = AF_INET;
    }
    return true;
}

static bool in_net(const struct address *a, const unsigned char *net, const unsigned char *mask)
{
    unsigned differs = 0;

    for (int i = 0; i < (a->family == AF_INET ? 4 : 16); i++)
        differs |= (unsigned)((a->ip[i] ^ net[i]) & mask[i]);
    return !differs;
}

/* Is it an address of this host, or of a network that the host is in? */
static enum answer is_near(const struct address *a, bool host_only)
{
    static const unsigned char whole[16] = { 255, 255, 255, 255, 255, 255, 255, 255,
                                             255, 255, 255, 255, 255, 255, 255, 255 };
    struct ifaddrs *list;
    enum answer got = NO;

    if (getifaddrs(&list) != 0)
        return UNKNOWN;
    for (const struct ifaddrs *i = list; i && got == NO; i = i->ifa_next) {
        struct address own, mask = { .family = 0 };
        if (!i->ifa_addr || !address_of(i->ifa_addr, &own) || own.family != a->family)
            continue;
        bool has_mask = !host_only && i->ifa_netmask && address_of(i->ifa_netmask, &mask);
        if (in_net(a, own.ip, has_mask && mask.family == own.family ? mask.ip : whole))
            got = YES;
    }
    freeifaddrs(list);
    return got;
}

static enum answer address_holds(const struct hba_rule *r, const struct access_ask *a)
{
    struct address peer;

    if (r->type == HBA_LOCAL)
        return a->is_unix ? YES : NO;
    if (a->is_unix || r->type == HBA_HOSTGSS || (r->type == HBA_HOSTSSL && !a->tls) ||
        (r->type == HBA_HOSTNOSSL && a->tls))
        return NO;
    if (r->address == HBA_ANY_ADDRESS)
        return YES;
    if (!address_of((const struct sockaddr *)a->peer, &peer))
        return UNKNOWN;
    if (r->address != HBA_NETWORK)
        return is_near(&peer, r->address == HBA_SAMEHOST);
    return peer.family == r->family && in_net(&peer, r->net, r->mask) ? YES : NO;
}

static enum answer pattern_holds(const struct regex *pattern, struct text name)
{
    bool failed;

    if (regex_matches(pattern, name.p, NULL, &failed))
        return YES;
    return failed ? UNKNOWN : NO;
}

static enum answer name_holds(const struct hba_name *n, struct text name,
                              const struct access_ask *a)
{
    switch (n->kind) {
    case HBA_NAME_ALL:
        return YES;
    case HBA_NAME_SAMEUSER:
        return text_eq(name, a->user) ? YES : NO;
    case HBA_NAME_REPLICATION:
        return NO; /* names_hold */
    case HBA_NAME_PATTERN:
        return pattern_holds(n->pattern, name);
    case HBA_NAME_IS:
        break;
    }
    return text_eq(n->name, name) ? YES : NO;
}

/* A rule about one of the database's names is about the database. */
static enum answer db_holds(const struct hba_name *n, const struct access_ask *a)
{
    enum answer got = name_holds(n, a->db, a);
    enum answer also = got == YES || !a->also.p ? NO : name_holds(n, a->also, a);

    return also == NO ? got : also;
}

static enum answer names_hold(const struct hba_name *names, int n, bool databases,
                              const struct access_ask *a)
{
    enum answer got = NO;

    for (int i = 0; i < n && got == NO; i++)
        if (databases && a->replication) /* `all` is not meant for these */
            got = names[i].kind == HBA_NAME_REPLICATION ? YES : NO;
        else
            got = databases ? db_holds(&names[i], a) : name_holds(&names[i], a->user, a);
    return got;
}

const struct hba_rule *access_rule(const struct hba *h, const struct access_ask *a)
{
    for (int i = 0; i < h->n_rules; i++) {
        const struct hba_rule *r = &h->rules[i];
        enum answer got = address_holds(r, a);
        if (got != NO) {
            enum answer db = names_hold(r->databases, r->n_databases, true, a);
            enum answer user = names_hold(r->users, r->n_users, false, a);
            got = db == NO || user == NO                               ? NO
                  : got == UNKNOWN || db == UNKNOWN || user == UNKNOWN ? UNKNOWN
                                                                       : YES;
        }
        if (got != NO)
            return got == YES ? r : NULL;
    }
    return NULL;
}

/* user is prefix + what the group matched + suffix */
static bool is_composed(struct text with, struct text group, struct text user)
{
    const char *at = memmem(with.p, with.n, "\\1", 2);
    size_t head = (size_t)(at - with.p), tail = with.n - head - 2;

    return group.p && user.n == head + group.n + tail && memcmp(user.p, with.p, head) == 0 &&
           (!group.n || memcmp(user.p + head, group.p, group.n) == 0) &&
           (!tail || memcmp(user.p + head + group.n, at + 2, tail) == 0);
}

static bool line_maps(const struct ident_line *l, const char *system, struct text user)
{
    struct text group = { NULL, 0 };

    if (l->system_pattern ? !regex_matches(l->system_pattern, system, &group, NULL)
                          : !text_is(l->system, system))
        return false;
    if (l->with_group)
        return is_composed(l->user.name, group, user);
    return l->user.kind == HBA_NAME_ALL ||
           (l->user.kind == HBA_NAME_PATTERN ? regex_matches(l->user.pattern, user.p, NULL, NULL)
                                             : text_eq(l->user.name, user));
}

bool access_mapped(const struct hba *h, struct text map, const char *system, struct text user)
{
    if (!map.p)
        return text_is(user, system);
    for (int i = 0; h && i < h->n_idents; i++)
        if (text_eq(h->idents[i].map, map) && line_maps(&h->idents[i], system, user))
            return true;
    return false;
}
