/* SPDX-License-Identifier: ISC */
/* What the configuration wants of a connection to a server: how TLS begins, channel binding, which
 * protocol version. */
#include "session/session.h"

bool server_wants_direct(const struct server *s)
{
    const struct database_conf *db = s->shard->db;
    int how = db->server_tls_negotiation;

    if (how == SWITCH_UNSET)
        how = s->shard->engine->setup->g.server_tls_negotiation;
    return how == NEGOTIATE_DIRECT;
}

void server_binding(const struct server *s, struct scram_binding *out)
{
    int how = s->shard->engine->setup->g.server_tls_channel_binding;

    *out = (struct scram_binding){ .required = how == BINDING_REQUIRE };
    if (how != BINDING_DISABLE)
        out->n = tls_end_point(s->conn->tls, out->data);
}

/* The major version that the pool's servers have told; 0: none has. */
static int64_t known_major(struct pool *p)
{
    struct welcome *w = pool_welcome_get(p);
    int64_t major = 0;
    struct frame f;

    for (size_t pos = 0; w && pos < w->len; pos += f.len) {
        struct text name, value;
        if (frame_peek(w->bytes + pos, w->len - pos, UINT32_MAX, &f) != FRAME_OK ||
            f.len > w->len - pos)
            break;
        if (!wire_status_read(w->bytes + pos + 5, f.len - 5, &name, &value) ||
            !text_is(name, "server_version"))
            continue;
        size_t digits = 0;
        while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
            digits++;
        if (!digits || !text_to_int64(text_n(value.p, digits), &major))
            major = 0;
    }
    if (w)
        welcome_unref(w);
    return major;
}

uint16_t server_protocol_minor(const struct server *s)
{
    switch (s->shard->engine->setup->g.server_max_protocol_version) {
    case PROTOCOL_3_0:
        return 0;
    case PROTOCOL_3_2:
        return 2;
    default: /* what stands between us and an old server might not know how to negotiate */
        return known_major(s->shard->pool) >= 18 ? 2 : 0;
    }
}
