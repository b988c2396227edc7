/* SPDX-License-Identifier: ISC */
/* What clients proved and servers take too: kept with the pool, for all workers, so that servers
 * can be opened after RECONNECT, restarts and fail-overs without a new login. */
#include "session/proven.h"

#include "base/random.h"

#include <stdlib.h>

static void forget_password(struct proven *p)
{
    if (p->password)
        wipe(p->password, strlen(p->password));
    free(p->password);
    p->password = NULL;
}

void proven_release(struct proven *p)
{
    forget_password(p);
    wipe(p, sizeof(*p));
}

void pool_proven_put(struct pool *p, const struct scram_keys *keys, const char *password,
                     bool elsewhere)
{
    char *copy = password ? strdup(password) : NULL;

    pthread_mutex_lock(&p->mutex);
    if (!p->proven)
        p->proven = calloc(1, sizeof(*p->proven));
    if (p->proven && keys)
        p->proven->keys = *keys;
    if (p->proven && copy) {
        forget_password(p->proven);
        p->proven->password = copy;
        p->proven->elsewhere = elsewhere;
        copy = NULL;
    }
    pthread_mutex_unlock(&p->mutex);
    if (copy) /* no memory for the rest */
        wipe(copy, strlen(copy));
    free(copy);
}

bool pool_proven_get(struct pool *p, struct proven *out)
{
    bool done = true;

    *out = (struct proven){ .password = NULL };
    pthread_mutex_lock(&p->mutex);
    if (p->proven) {
        out->keys = p->proven->keys;
        out->password = p->proven->password ? strdup(p->proven->password) : NULL;
        out->elsewhere = p->proven->elsewhere;
        done = !p->proven->password || out->password;
    }
    pthread_mutex_unlock(&p->mutex);
    return done;
}

void pool_proven_free(struct pool *p)
{
    if (p->proven)
        proven_release(p->proven);
    free(p->proven);
    p->proven = NULL;
}
