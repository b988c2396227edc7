/* SPDX-License-Identifier: ISC */
/* SHOW VERSION, CONFIG, STATE, PEERS, PEER_POOLS, DNS_HOSTS, DNS_ZONES, FDS. */
#include "console/internal.h"
#include "session/peers.h"

static void put_table(struct admin *a, const struct wire_column *cols, int n)
{
    wire_rowdesc_build(&a->out, cols, n);
}

void show_version(struct admin *a, const struct statement *st)
{
    static const struct wire_column cols[] = { COL_S("version") };
    struct row r;

    (void)st;
    put_table(a, cols, COLUMNS(cols));
    row_init(&r);
    row_z(&r, a->console->hub->version);
    row_end(&r, COLUMNS(cols), &a->out);
    admin_complete(a, TEXT("SHOW"));
}

void show_config(struct admin *a, const struct statement *st)
{
    static const struct wire_column cols[] = { COL_S("key"), COL_S("value"), COL_S("default"),
                                               COL_S("changeable") };
    const struct setup *s = console_setup(a->console);
    struct buf value;
    struct row r;

    (void)st;
    buf_init(&value);
    row_init(&r);
    put_table(a, cols, COLUMNS(cols));
    for (int i = 0; i < keys_count(); i++) {
        const struct key_info *k = keys_at(i);
        buf_clear(&value);
        keys_value(s, i, &value);
        row_z(&r, k->name);
        row_text(&r, buf_text(&value));
        row_z(&r, k->default_text);
        row_z(&r, k->reloadable ? "yes" : "no");
        row_end(&r, COLUMNS(cols), &a->out);
    }
    buf_release(&value);
    admin_complete(a, TEXT("SHOW"));
}

void show_state(struct admin *a, const struct statement *st)
{
    static const struct wire_column cols[] = { COL_S("key"), COL_S("value") };
    bool paused = atomic_load(&a->console->hub->registry.paused);
    bool suspended = a->console->suspended != NULL;
    const char *const rows[][2] = { { "active", paused || suspended ? "no" : "yes" },
                                    { "paused", paused ? "yes" : "no" },
                                    { "suspended", suspended ? "yes" : "no" } };
    struct row r;

    (void)st;
    row_init(&r);
    put_table(a, cols, COLUMNS(cols));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        row_z(&r, rows[i][0]);
        row_z(&r, rows[i][1]);
        row_end(&r, COLUMNS(cols), &a->out);
    }
    admin_complete(a, TEXT("SHOW"));
}

void show_peers(struct admin *a, const struct statement *st)
{
    static const struct wire_column cols[] = { COL_I("peer_id"), COL_S("host"), COL_I("port"),
                                               COL_I("pool_size") };
    const struct setup *s = console_setup(a->console);
    struct row r;

    (void)st;
    row_init(&r);
    put_table(a, cols, COLUMNS(cols));
    for (int i = 0; i < s->n_peers; i++) {
        row_int(&r, s->peers[i].id);
        row_z(&r, s->peers[i].host);
        row_int(&r, s->peers[i].port);
        row_int(&r, s->peers[i].pool_size < 0 ? s->g.default_pool_size : s->peers[i].pool_size);
        row_end(&r, COLUMNS(cols), &a->out);
    }
    admin_complete(a, TEXT("SHOW"));
}

static const struct wire_column peer_pool_columns[] = {
    COL_I("peer_id"), COL_I("cl_active_cancel_req"), COL_I("cl_waiting_cancel_req"),
    COL_I("sv_active_cancel"), COL_I("sv_login")
};

static void fn_peer_pools(struct engine *e, struct ask *ask, struct ask_part *part)
{
    struct row r;
    (void)ask;

    row_init(&r);
    LIST_FOREACH(n, &e->peer_pools) {
        const struct peer_pool *p = LIST_ENTRY(n, struct peer_pool, node);
        row_int(&r, p->id);
        row_int(&r, p->n_active);
        row_int(&r, p->n_waiting);
        row_int(&r, p->n_active - p->n_login);
        row_int(&r, p->n_login);
        row_end(&r, COLUMNS(peer_pool_columns), &part->rows);
    }
}

void show_peer_pools(struct admin *a, const struct statement *st)
{
    (void)st;
    put_table(a, peer_pool_columns, COLUMNS(peer_pool_columns));
    (void)admin_ask(a, TEXT(""), 0, fn_peer_pools, NULL);
}

/* ---- DNS ---- */

static const struct wire_column host_columns[] = { COL_S("hostname"), COL_Q("ttl"), COL_S("addrs"),
                                                   COL_I("worker") };

static void fn_hosts(struct engine *e, struct ask *ask, struct ask_part *part)
{
    struct resolver_info info;
    struct buf addrs;
    size_t pos = 0;
    struct row r;
    (void)ask;

    buf_init(&addrs);
    row_init(&r);
    while (resolver_next(e->resolver, &pos, &info)) {
        buf_clear(&addrs);
        for (int i = 0; i < info.n; i++) {
            char text[64];
            int port;
            sockaddr_text(&info.addrs[i].ss, text, sizeof(text), &port);
            buf_printf(&addrs, "%s%s", i ? "," : "", text);
        }
        row_z(&r, info.host);
        row_uint(&r, info.ttl / USEC_PER_SEC);
        row_text(&r, buf_text(&addrs));
        row_int(&r, e->id);
        row_end(&r, COLUMNS(host_columns), &part->rows);
    }
    part->rows.failed |= addrs.failed;
    buf_release(&addrs);
}

void show_dns_hosts(struct admin *a, const struct statement *st)
{
    (void)st;
    put_table(a, host_columns, COLUMNS(host_columns));
    (void)admin_ask(a, TEXT(""), 0, fn_hosts, NULL);
}

/* Zones are not watched: answers go by their time. */
void show_dns_zones(struct admin *a, const struct statement *st)
{
    static const struct wire_column cols[] = { COL_S("zonename"), COL_Q("serial"), COL_I("count") };

    (void)st;
    put_table(a, cols, COLUMNS(cols));
    admin_complete(a, TEXT("SHOW"));
}

void show_fds(struct admin *a, const struct statement *st)
{
    (void)st;
    admin_error(a, "08P01",
                "SHOW FDS is not supported: a new process that is started with -R takes the sockets "
                "over by itself");
}
