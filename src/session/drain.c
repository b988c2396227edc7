/* SPDX-License-Identifier: ISC */
/* Before the end: clients between transactions are let go, so that they come back elsewhere. */
#include "session/session.h"

/* Has nothing of it begun, and is nothing of it on the way? */
static bool at_rest(const struct client *c)
{
    if (!c->conn || c->left || c->extended || c->skip_to_sync || c->catalog_wait || c->in_copy ||
        conn_blocked(c->conn) || !conn_alive(c->conn))
        return false;
    if (c->state == CLIENT_IDLE)
        return true;
    const struct server *s = c->server; /* session mode, or kept for its state */
    return c->state == CLIENT_ACTIVE && s && s->status == 'I' && s->left == 0 &&
           pending_empty(s->pending);
}

static usec_t since(const struct client *c)
{
    usec_t at = c->idle_at > c->connected_at ? c->idle_at : c->connected_at;
    return c->state == CLIENT_ACTIVE && c->server->request_at > at ? c->server->request_at : at;
}

void engine_drain(struct engine *e, usec_t idle_for)
{
    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if ((c->state == CLIENT_IDLE || c->state == CLIENT_ACTIVE) && at_rest(c) &&
            e->loop.now >= since(c) + idle_for)
            client_close(c, "57P01", "server shutting down");
    }
}
