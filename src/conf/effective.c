/* SPDX-License-Identifier: ISC */
/* Looking entries up, and which of several values is in force. */
#include "conf/setup.h"

const struct database_conf *setup_database(const struct setup *s, struct text name, struct arena *a)
{
    const struct database_conf *found = map_get(&s->db_by_name, name);
    struct database_conf *db;

    if (found)
        return found;
    if (!s->autodb || !name.n || name.n > 63 || text_is(name, "pgbouncer") ||
        text_is(name, "pgbulkhead"))
        return NULL;
    db = arena_alloc(a, sizeof(*db));
    *db = *s->autodb;
    db->name = arena_text(a, name);
    if (!db->dbname || !db->dbname[0])
        db->dbname = db->name.p;
    return db;
}

const struct user_conf *setup_user(const struct setup *s, struct text name)
{
    return map_get(&s->user_by_name, name);
}

static int64_t first_limit(int64_t a, int64_t b, int64_t c)
{
    return a != LIMIT_UNSET ? a : b != LIMIT_UNSET ? b : c;
}

static usec_t first_time(usec_t a, usec_t b, usec_t c)
{
    return a != TIME_UNSET ? a : b != TIME_UNSET ? b : c;
}

void setup_limits(const struct setup *s, const struct database_conf *db,
                  const struct user_conf *user, struct pool_limits *out)
{
    const struct settings *g = &s->g;
    int mode = user ? user->pool_mode : POOL_MODE_UNSET;

    if (mode == POOL_MODE_UNSET)
        mode = db->pool_mode;
    out->pool_mode = mode == POOL_MODE_UNSET ? g->pool_mode : mode;
    int state = user ? user->session_state : SESSION_STATE_UNSET;
    if (state == SESSION_STATE_UNSET)
        state = db->session_state;
    out->session_state = state == SESSION_STATE_UNSET ? g->session_state : state;
    out->pool_size =
        first_limit(user ? user->pool_size : LIMIT_UNSET, db->pool_size, g->default_pool_size);
    out->min_pool_size = first_limit(LIMIT_UNSET, db->min_pool_size, g->min_pool_size);
    if (out->pool_size && out->min_pool_size > out->pool_size)
        out->min_pool_size = out->pool_size; /* a user's own, smaller size */
    out->reserve_pool_size = first_limit(user ? user->reserve_pool_size : LIMIT_UNSET,
                                         db->reserve_pool_size, g->reserve_pool_size);
    out->max_db_connections =
        first_limit(LIMIT_UNSET, db->max_db_connections, g->max_db_connections);
    out->max_db_client_connections =
        first_limit(LIMIT_UNSET, db->max_db_client_connections, g->max_db_client_connections);
    out->max_user_connections = first_limit(
        LIMIT_UNSET, user ? user->max_user_connections : LIMIT_UNSET, g->max_user_connections);
    out->max_user_client_connections =
        first_limit(LIMIT_UNSET, user ? user->max_user_client_connections : LIMIT_UNSET,
                    g->max_user_client_connections);
    out->query_wait_timeout = first_time(user ? user->query_wait_timeout : TIME_UNSET,
                                         db->query_wait_timeout, g->query_wait_timeout);
    out->server_lifetime = first_time(TIME_UNSET, db->server_lifetime, g->server_lifetime);
}

struct tenant_limits setup_tenant_limits(const struct setup *s, const struct database_conf *db,
                                         struct text tenant)
{
    const struct tenant_conf *t = map_get(&s->tenant_by_name, tenant);

    return (struct tenant_limits){
        .servers = first_limit(t ? t->max_connections : LIMIT_UNSET, db->max_tenant_connections,
                               s->g.max_tenant_connections),
        .clients =
            first_limit(t ? t->max_client_connections : LIMIT_UNSET,
                        db->max_tenant_client_connections, s->g.max_tenant_client_connections),
    };
}

int setup_tenant_mode(const struct setup *s, const struct database_conf *db,
                      const struct user_conf *user)
{
    if (user && user->tenant_mode != TENANT_MODE_UNSET)
        return user->tenant_mode;
    return db->tenant_mode != TENANT_MODE_UNSET ? db->tenant_mode : s->g.tenant_mode;
}

bool setup_holds_tenants(const struct setup *s, const struct database_conf *db)
{
    if (setup_tenant_mode(s, db, NULL) != TENANT_OFF)
        return true;
    for (int i = 0; i < s->n_users; i++)
        if (s->users[i]->tenant_mode != TENANT_MODE_UNSET && s->users[i]->tenant_mode != TENANT_OFF)
            return true;
    return false;
}

/* Lengths go in with each piece, so that no two sets of claims run into one another. */
void identity_hash(struct identity *id)
{
    uint64_t seed[2] = { 0x7067627562686431, (uint64_t)id->n_claims };

    for (int i = 0; i < id->n_claims; i++) {
        seed[0] = map_hash(seed, id->claims[i].name.p, id->claims[i].name.n);
        seed[0] = map_hash(seed, id->claims[i].value.p, id->claims[i].value.n);
    }
    id->hash = seed[0];
}
