/* SPDX-License-Identifier: ISC */
/* Users that auth_file does not have: asking for them, and going on with the answer. */
#include "session/lookup.h"

#include "base/random.h"
#include "session/session.h"

#include <stdlib.h>

struct lookup_ask *lookup_ask_new(struct client *c)
{
    struct lookup_ask *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->engine = c->engine;
    a->client = c->id;
    a->setup = setup_ref(c->setup);
    a->db_name = text_dup(c->db_name);
    a->user = text_dup(c->user_name);
    if (a->db_name && a->user)
        return a;
    lookup_ask_free(a);
    return NULL;
}

void lookup_ask_free(struct lookup_ask *a)
{
    setup_unref(a->setup);
    free(a->db_name);
    free(a->user);
    free(a);
}

void lookup_post(const struct lookup_ask *a, struct mail_lookup *m)
{
    m->mail.kind = MAIL_LOOKUP;
    m->client = a->client;
    loop_post(&a->engine->loop, &m->mail);
}

void client_looked_up(struct engine *e, struct mail_lookup *m)
{
    LIST_FOREACH_SAFE(n, next, &e->login_clients) {
        struct client *c = LIST_ENTRY(n, struct client, node);
        if (c->id != m->client)
            continue;
        client_login_looked_up(c, m);
        break;
    }
    wipe(m->bytes, m->n_bytes);
}
