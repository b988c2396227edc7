/* SPDX-License-Identifier: ISC */
/* Hosts of servers: choosing, checking, and following changes in the name service. */
#include "session/hosts.h"

#include <netinet/in.h>
#include <stdlib.h>

/* ---- one of a list ---- */

int host_first(struct shard *sh)
{
    const struct database_conf *db = sh->db;
    int i;

    if (db->n_hosts < 2)
        return 0;
    i = sh->next_host % db->n_hosts;
    if (db->load_balance)
        sh->next_host = (i + 1) % db->n_hosts;
    return i;
}

void host_failed(struct shard *sh, int index)
{
    int n = sh->db ? sh->db->n_hosts : 0;

    if (n > 1 && sh->next_host % n == index)
        sh->next_host = (index + 1) % n;
}

void host_worked(struct shard *sh, int index)
{
    /* only one of the hosts can be the primary: no use in asking the others first */
    if (sh->db &&
        (sh->db->session_attrs == ATTRS_READ_WRITE || sh->db->session_attrs == ATTRS_PRIMARY))
        sh->next_host = index;
}

/* ---- what is asked for ---- */

void host_role(struct server *s, struct text name, struct text value)
{
    bool on = text_is(value, "on");

    if (text_is(name, "default_transaction_read_only")) {
        if (s->login) /* later a client may have set it */
            s->read_only = on ? ROLE_YES : ROLE_NO;
        return;
    }
    if (!text_is(name, "in_hot_standby"))
        return;
    s->standby = on ? ROLE_YES : ROLE_NO;
    if (!s->login && s->shard->db &&
        host_refuses(s, s->shard->db->session_attrs == ATTRS_PREFER_STANDBY)) {
        s->close_needed = true;
        server_due(s);
    }
}

const char *host_refuses(const struct server *s, bool last)
{
    int wanted = s->shard->db ? s->shard->db->session_attrs : ATTRS_ANY;
    bool writable = s->standby == ROLE_NO && s->read_only == ROLE_NO;

    if (wanted == ATTRS_ANY || (wanted == ATTRS_PREFER_STANDBY && last))
        return NULL;
    if (s->standby == ROLE_UNKNOWN)
        return "it does not say whether it is a standby (PostgreSQL before 14)";
    switch (wanted) {
    case ATTRS_READ_WRITE:
        return writable ? NULL : "session is read-only";
    case ATTRS_READ_ONLY:
        return writable ? "session is not read-only" : NULL;
    case ATTRS_PRIMARY:
        return s->standby == ROLE_NO ? NULL : "server is in hot standby mode";
    default:
        return s->standby == ROLE_YES ? NULL : "server is not in hot standby mode";
    }
}

/* ---- names ---- */

/* The servers of one name. */
struct host_watch {
    struct list node; /* in engine.host_queue, by the time of the last look-up */
    struct list servers;
    usec_t asked_at;
    char name[];
};

static struct host_watch *watch_of(struct engine *e, const char *name)
{
    struct host_watch *w = map_get(&e->hosts, text_of(name));
    size_t n = strlen(name) + 1;

    if (w)
        return w;
    w = calloc(1, sizeof(*w) + n);
    if (!w)
        return NULL;
    memcpy(w->name, name, n);
    list_init(&w->servers);
    w->asked_at = e->loop.now;
    list_push_tail(&e->host_queue, &w->node);
    map_put(&e->hosts, text_of(w->name), w);
    return w;
}

static bool is_name(const struct server *s)
{
    return s->host[0] && s->host[0] != '/' && s->host[0] != '@' && !resolver_numeric(s->host);
}

void hosts_watch(struct server *s)
{
    struct host_watch *w = is_name(s) ? watch_of(s->shard->engine, s->host) : NULL;

    list_init(&s->host_node);
    if (w)
        list_push_tail(&w->servers, &s->host_node);
}

void hosts_forget(struct server *s)
{
    if (s->host_node.next)
        list_del(&s->host_node);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)a)->sin_addr,
                      &((const struct sockaddr_in *)b)->sin_addr, sizeof(struct in_addr)) == 0;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
    return true;
}

void hosts_answer(void *engine, const char *name, const struct resolver_addr *a, int n)
{
    struct engine *e = engine;
    struct host_watch *w = map_get(&e->hosts, text_of(name));

    if (!w || n == 0)
        return; /* what was found once is believed until something else is found */
    LIST_FOREACH(k, &w->servers) {
        struct server *s = LIST_ENTRY(k, struct server, host_node);
        bool known = false;
        for (int i = 0; i < n && !known; i++)
            known = same_address(&s->addr, &a[i].ss);
        if (known || s->close_needed)
            continue;
        server_log(s, LOG_LV_LOG, "the name %s has another address now", name);
        s->close_needed = true;
        server_due(s);
    }
}

void hosts_tick(struct engine *e)
{
    usec_t period = e->setup->g.dns_zone_check_period;
    struct list *n;

    while ((n = list_first(&e->host_queue)) != NULL) {
        struct host_watch *w = LIST_ENTRY(n, struct host_watch, node);
        if (e->loop.now - w->asked_at < (period ? period : 60 * USEC_PER_SEC))
            return;
        list_del(&w->node);
        if (list_empty(&w->servers)) {
            map_del(&e->hosts, text_of(w->name));
            free(w);
            continue;
        }
        w->asked_at = e->loop.now;
        list_push_tail(&e->host_queue, &w->node);
        if (period)
            resolver_refresh(e->resolver, w->name);
    }
}

void hosts_release(struct engine *e)
{
    struct list *n;

    while ((n = list_pop(&e->host_queue)) != NULL)
        free(LIST_ENTRY(n, struct host_watch, node));
    map_release(&e->hosts);
}
