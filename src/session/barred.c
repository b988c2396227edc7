/* SPDX-License-Identifier: ISC */
/* A tenant that nobody may be for a while, because its rows are being deleted. */
#include "session/session.h"

#include <stdlib.h>

bool hub_bar(struct hub *h, struct text tenant)
{
    char *copy = text_dup(tenant);

    if (!copy)
        return false;
    pthread_mutex_lock(&h->barred_mutex);
    free(h->barred);
    h->barred = copy;
    atomic_store(&h->any_barred, true);
    pthread_mutex_unlock(&h->barred_mutex);
    return true;
}

void hub_unbar(struct hub *h)
{
    pthread_mutex_lock(&h->barred_mutex);
    atomic_store(&h->any_barred, false);
    free(h->barred);
    h->barred = NULL;
    pthread_mutex_unlock(&h->barred_mutex);
}

bool hub_barred(struct hub *h, const struct identity *id)
{
    if (!atomic_load(&h->any_barred) || !id->bound)
        return false;
    pthread_mutex_lock(&h->barred_mutex);
    bool is = h->barred && text_is(id->claims[0].value, h->barred);
    pthread_mutex_unlock(&h->barred_mutex);
    return is;
}

int engine_tenant_clients(struct engine *e, struct text tenant, bool close)
{
    int found = 0;

    LIST_FOREACH_SAFE(n, next, &e->all_clients) {
        struct client *c = LIST_ENTRY(n, struct client, all);
        if (c->state == CLIENT_DEAD || !c->identity.bound ||
            !text_eq(c->identity.claims[0].value, tenant))
            continue;
        found++;
        if (close)
            client_close(c, "57P01", "tenant \"%.*s\" is being deleted", TEXT_ARG(tenant));
    }
    return found;
}
