/* SPDX-License-Identifier: ISC */
/* Clients whom PAM, a directory or the system knows: asking, and the answer's way to the client. */
#include "session/proof.h"

#include "base/random.h"
#include "session/login.h"

#include <stdlib.h>
#include <sys/socket.h>

struct proof_ask *proof_ask_new(struct client *c, enum proof_kind kind, const struct hba_rule *rule,
                                struct text password)
{
    struct proof_ask *a = calloc(1, sizeof(*a));
    struct ucred cred;
    socklen_t len = sizeof(cred);
    bool ok = true;
    int port;

    if (!a)
        return NULL;
    a->kind = kind;
    a->engine = c->engine;
    a->client = c->id;
    a->setup = setup_ref(c->setup);
    a->rule = rule;
    a->give_up = clock_mono_us() +
                 (c->setup->g.client_login_timeout ? c->setup->g.client_login_timeout : UINT32_MAX);
    a->user = text_dup(c->user_name);
    if (c->is_unix)
        memcpy(a->rhost, "localhost", sizeof("localhost"));
    else
        sockaddr_text(&c->conn->peer, a->rhost, sizeof(a->rhost), &port);
    if (kind == PROOF_PEER) {
        ok = getsockopt(c->conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0;
        a->uid = ok ? cred.uid : 0;
    } else {
        a->password = text_dup(password);
        ok = a->password != NULL;
    }
    if (ok && a->user)
        return a;
    proof_ask_free(a);
    return NULL;
}

void proof_ask_free(struct proof_ask *a)
{
    setup_unref(a->setup);
    if (a->password)
        wipe(a->password, strlen(a->password));
    free(a->password);
    free(a->user);
    free(a);
}

void proof_post(const struct proof_ask *a, enum outside_answer answer)
{
    struct mail_proof *m = calloc(1, sizeof(*m));

    if (!m)
        return;
    m->mail.kind = MAIL_PROOF;
    m->client = a->client;
    m->answer = answer;
    loop_post(&a->engine->loop, &m->mail);
}

void client_proof_came(struct engine *e, const struct mail_proof *m)
{
    LIST_FOREACH_SAFE(n, next, &e->login_clients) {
        struct client *c = LIST_ENTRY(n, struct client, node);
        if (c->id != m->client)
            continue;
        client_auth_answered(c, m->answer);
        break;
    }
}
