/* SPDX-License-Identifier: ISC */
/* Replication connections: their startup parameters, and a server for each. */
#include "session/replica.h"
#include "session/login.h"
#include "session/session.h"

#include <string.h>
#include <strings.h>

const char *replica_name(uint8_t replication)
{
    static const char *const names[] = { [REPLICATION_NONE] = "none",
                                         [REPLICATION_LOGICAL] = "logical",
                                         [REPLICATION_PHYSICAL] = "physical" };
    return names[replication];
}

/* ---- startup parameters ---- */

/* Is the value the word, or a beginning of it that is no other one's? */
static bool abbreviates(struct text value, const char *word, size_t least)
{
    return value.n >= least && value.n <= strlen(word) && strncasecmp(value.p, word, value.n) == 0;
}

bool replica_kind(struct text value, uint8_t *kind, struct err *e)
{
    bool yes = abbreviates(value, "true", 1) || abbreviates(value, "yes", 1) ||
               text_is_i(value, "on") || text_is(value, "1");
    bool no = abbreviates(value, "false", 1) || abbreviates(value, "no", 1) ||
              abbreviates(value, "off", 2) || text_is(value, "0");

    if (!yes && !no && !text_is(value, "database"))
        return err_set_state(e, "22023", "invalid value for parameter \"replication\": \"%.*s\"",
                             TEXT_ARG(value));
    *kind = no ? REPLICATION_NONE : yes ? REPLICATION_PHYSICAL : REPLICATION_LOGICAL;
    return true;
}

struct keeping {
    struct client *c;
    struct startup_param *p;
    int n, cap;
    bool tenant; /* a parameter was about the tenant */
};

static bool keep(struct keeping *k, struct text name, struct text value)
{
    if (k->n == k->cap) {
        int cap = k->cap ? 2 * k->cap : 16;
        struct startup_param *p = ARENA_ARRAY(&k->c->arena, struct startup_param, cap);
        if (!p)
            return false;
        if (k->n)
            memcpy(p, k->p, sizeof(*p) * (size_t)k->n);
        k->p = p;
        k->cap = cap;
    }
    k->p[k->n] =
        (struct startup_param){ arena_text(&k->c->arena, name), arena_text(&k->c->arena, value) };
    return k->p[k->n].name.p && k->p[k->n++].value.p;
}

static bool keep_param(void *arg, struct text name, struct text value, struct err *e)
{
    struct keeping *k = arg;
    bool ok;

    if (identity_param(k->c, &k->c->login->given, name, value, &ok, e)) {
        k->tenant = true;
        return ok;
    }
    return keep(k, name, value) || err_set_state(e, "53200", "out of memory");
}

/* Options as they are, but for those about the tenant: then the others, each on its own. */
static bool keep_options(struct keeping *k, struct text value, struct err *e)
{
    struct err why = { 0 };
    int before = k->n;

    k->tenant = false;
    if (!startup_options(value, &k->c->arena, keep_param, k, &why)) {
        if (k->tenant || why.sqlstate[0]) {
            *e = why;
            return false;
        }
    } else if (k->tenant) {
        return true;
    }
    k->n = before;
    return keep(k, TEXT("options"), value) || err_set_state(e, "53200", "out of memory");
}

static bool is_ignored(const struct setup *s, struct text name)
{
    for (int i = 0; i < s->n_ignore_startup; i++)
        if (text_ieq(s->ignore_startup[i], name))
            return true;
    return false;
}

bool replica_params(struct client *c, const struct startup *s, struct err *e)
{
    struct keeping k = { .c = c };

    for (int i = 0; i < s->n_params; i++) {
        struct text name = s->params[i].name, value = s->params[i].value;
        if (text_is(name, "user") || text_is(name, "database") ||
            text_starts(name, TEXT("_pq_.")) || is_ignored(c->setup, name))
            continue;
        if (text_is(name, "options") ? !keep_options(&k, value, e)
                                     : !keep_param(&k, name, value, e))
            return false;
    }
    c->own_params = k.p;
    c->n_own_params = k.n;
    return true;
}

const struct startup_param *replica_startup(const struct server *s, int *n)
{
    *n = s->client ? s->client->n_own_params : 0;
    return s->client ? s->client->own_params : NULL;
}

/* ---- its server ---- */

void replica_login(struct client *c)
{
    if (c->state == CLIENT_LOGIN)
        shard_wait(c);
}

/* The longest idle server of the pool makes room. */
static bool evict_own(struct shard *sh)
{
    struct list *last = list_last(&sh->servers[SERVER_IDLE]);

    if (last)
        server_close(LIST_ENTRY(last, struct server, node), NULL, "evicted");
    return last != NULL;
}

bool replica_open(struct shard *sh, struct client *c)
{
    bool reserved = false;
    enum slot full;

    while ((full = shard_take_slot(sh, c, &reserved)) != SLOT_OK)
        if (!evict_own(sh))
            return false;
    struct server *s = server_new(sh, reserved);
    if (!s) {
        pool_slot_put(sh->pool);
        client_close(c, "53200", "out of memory");
        return true;
    }
    s->replication = c->replication;
    sh->n_own_logins++;
    shard_served(c);
    client_set_state(c, CLIENT_ACTIVE);
    c->server = s;
    s->client = c;
    s->assigned_at = sh->engine->loop.now;
    server_begin(s);
    return true;
}

void replica_closes(struct server *s)
{
    if (s->replication && s->state == SERVER_LOGIN)
        s->shard->n_own_logins--;
}

/* The server's own parameters: they are what the client asked for. */
void replica_ready(struct server *s, const struct buf *status)
{
    struct client *c = s->client;
    struct engine *e = c->engine;
    struct buf b;

    buf_init(&b);
    wire_auth_build(&b, 0, NULL, 0);
    buf_text_append(&b, buf_text(status));
    client_make_key(c, &b);
    client_login_notice(c, &b);
    wire_ready_build(&b, 'I');
    bool ok = !b.failed && vars_copy(&c->vars, s->vars, &e->hub->var_names);
    if (ok)
        conn_write_copy(c->conn, b.p, b.n);
    buf_release(&b);
    if (!ok) {
        server_close(s, "53200", "out of memory");
        return;
    }
    replica_closes(s); /* its login is over */
    server_set_state(s, SERVER_ACTIVE);
    stat_inc(&shard_stats(c->shard, e)->client_logins);
    client_login_free(c);
    c->idle_at = s->request_at = e->loop.now;
    conn_resume(c->conn);
    conn_reshow(c->conn);
}
