/* SPDX-License-Identifier: ISC */
/* Which limits hold for a client: at its login, and again when the configuration has changed. */
#include "session/session.h"

static usec_t first(usec_t own, usec_t global)
{
    return own != TIME_UNSET ? own : global;
}

void client_limits(struct client *c, const struct setup *s, const struct database_conf *db)
{
    const struct user_conf *login = setup_user(s, c->user_name);
    /* whose login the servers use: a forced user's settings are those of the pool */
    const struct user_conf *user = db->user ? setup_user(s, text_of(db->user)) : login;
    static const struct user_conf none = { .query_timeout = TIME_UNSET,
                                           .idle_transaction_timeout = TIME_UNSET,
                                           .transaction_timeout = TIME_UNSET,
                                           .client_idle_timeout = TIME_UNSET };
    const struct user_conf *u = user ? user : &none;
    struct pool_limits pool;

    setup_limits(s, db, login, &c->limits); /* clients and waiting: by the login user */
    setup_limits(s, db, user, &pool);
    if (client_at_login(c)) /* its session depends on them: they stay as they were then */
        c->pool_mode = c->replication ? POOL_SESSION : pool.pool_mode;
    c->limits.pool_mode = c->pool_mode;
    if (client_at_login(c))
        c->virtual_state = c->pool_mode != POOL_SESSION && pool.session_state == STATE_VIRTUAL;
    c->query_timeout = first(u->query_timeout, s->g.query_timeout);
    c->idle_transaction_timeout = first(u->idle_transaction_timeout, s->g.idle_transaction_timeout);
    c->transaction_timeout = first(u->transaction_timeout, s->g.transaction_timeout);
    c->idle_timeout =
        first(login ? login->client_idle_timeout : TIME_UNSET, s->g.client_idle_timeout);
    if (c->replication) /* a stream is a query without an end */
        c->query_timeout = c->transaction_timeout = 0;
    if (c->login_user)
        atomic_store(&c->login_user->clients.max, c->limits.max_user_client_connections);
}

void clients_take_setup(struct engine *e)
{
    LIST_FOREACH(n, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if (c->state == CLIENT_DEAD || !c->shard || !c->shard->db)
            continue;
        client_limits(c, e->setup, c->shard->db);
        client_due(c);
    }
}
