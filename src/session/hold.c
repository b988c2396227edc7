/* SPDX-License-Identifier: ISC */
/* SUSPEND: nothing is read from clients and servers; what was read goes out. */
#include "session/session.h"

static void hold(struct conn *c, bool on)
{
    if (c)
        conn_hold(c, on);
}

void engine_hold(struct engine *e, bool on)
{
    e->suspended = e->loop.held = on;
    LIST_FOREACH(n, &e->all_clients) {
        hold(LIST_ENTRY(n, struct client, all)->conn, on);
    }
    LIST_FOREACH(n, &e->shards) {
        struct shard *sh = LIST_ENTRY(n, struct shard, node);
        for (int i = 0; i < SERVER_STATES; i++)
            LIST_FOREACH(k, &sh->servers[i]) {
                hold(LIST_ENTRY(k, struct server, node)->conn, on);
            }
    }
}

/* Does it still hold output that the socket did not take? */
static bool full(const struct conn *c)
{
    return c && conn_blocked(c);
}

uint64_t engine_unflushed(struct engine *e, bool drop)
{
    uint64_t n = 0;

    LIST_FOREACH_SAFE(k, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(k, struct client, all);
        n += full(c->conn);
        if (drop && full(c->conn))
            client_drop(c, "suspend_timeout");
    }
    LIST_FOREACH(m, &e->shards) {
        struct shard *sh = LIST_ENTRY(m, struct shard, node);
        shard_hold(sh);
        for (int i = 0; i < SERVER_STATES; i++)
            LIST_FOREACH_SAFE(k, next, &sh->servers[i]) {
                struct server *s = LIST_ENTRY(k, struct server, node);
                n += full(s->conn);
                if (drop && full(s->conn))
                    server_close(s, NULL, "suspend_timeout");
            }
        shard_unhold(sh);
    }
    return n;
}
