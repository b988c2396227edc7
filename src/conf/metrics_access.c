/* SPDX-License-Identifier: ISC */
/* Who may read the metrics: the file of tokens, and whether the keys about it agree. */
#include "conf/load.h"

#include "base/check.h"

#include <arpa/inet.h>

static void problem(struct load *l, const char *key, const char *what)
{
    trouble_problem(&l->t, load_key_at(l, key), text_of(key), "%s", what);
}

/* A token travels in a header: printable ASCII without blanks (RFC 6750 has less). */
static const char *token_fault(struct text t)
{
    if (t.n < METRICS_TOKEN_MIN)
        return "a token needs at least 20 characters; `openssl rand -hex 32` makes a good one";
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] <= ' ' || t.p[i] > '~')
            return "a token is made of printable ASCII characters without blanks";
    return NULL;
}

static void load_tokens(struct load *l)
{
    const char *path = l->s->g.metrics_bearer_token_file;
    struct place at = { path, 0 };
    struct file_text file;
    struct text rest, line;

    if (!load_file(l, "metrics_bearer_token_file", path, &file))
        return;
    rest = text_n(file.p, file.n);
    while (text_split(&rest, '\n', &line)) {
        at.line++;
        line = text_trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        const char *fault = token_fault(line);
        if (l->s->n_metrics_tokens == METRICS_TOKENS_MAX)
            fault = "there are more tokens than 16";
        if (fault)
            trouble_problem(&l->t, at, text_n(NULL, 0), "%s", fault);
        else
            l->s->metrics_tokens[l->s->n_metrics_tokens++] = secret_text(l->mem.secrets, line);
    }
    if (!l->s->n_metrics_tokens && !l->t.n_problems)
        trouble_problem(&l->t, (struct place){ path, 0 }, text_n(NULL, 0), "no token in this file");
    file_wipe(&file);
}

/* Is there somebody who can log in? */
static bool somebody(const struct setup *s)
{
    for (int i = 0; i < s->n_users; i++)
        if ((s->users[i]->is_admin || s->users[i]->is_stats) && s->users[i]->secret.n > 0)
            return true;
    return false;
}

static bool loopback(const char *addr)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, addr, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return (inet_pton(AF_INET6, addr, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6)) ||
           text_is_i(text_of(addr), "localhost");
}

/* What anybody on the network could read or hear. */
static void warn_open(struct load *l)
{
    const struct settings *g = &l->s->g;
    bool tls = g->metrics_tls_cert_file[0], token = g->metrics_bearer_token_file[0];
    bool login = g->metrics_login || token || (tls && g->metrics_tls_ca_file[0]);

    if (!g->metrics_port || loopback(g->metrics_listen_addr) || (tls && login))
        return;
    trouble_warn(&l->t, load_key_at(l, "metrics_listen_addr"), TEXT("metrics_listen_addr"),
                 "metrics are served beyond this machine %s",
                 !tls && !login ? "without TLS (metrics_tls_cert_file) and without a login "
                                  "(metrics_login, metrics_bearer_token_file)"
                 : tls          ? "without a login (metrics_login, metrics_bearer_token_file)"
                       : "without TLS (metrics_tls_cert_file): passwords and tokens can be read "
                         "on the way");
}

void load_metrics_access(struct load *l)
{
    const struct settings *g = &l->s->g;

    load_tokens(l);
    if (!g->metrics_tls_cert_file[0] != !g->metrics_tls_key_file[0])
        problem(l, g->metrics_tls_cert_file[0] ? "metrics_tls_cert_file" : "metrics_tls_key_file",
                "metrics_tls_cert_file and metrics_tls_key_file belong together");
    if (g->metrics_tls_ca_file[0] && !g->metrics_tls_cert_file[0])
        problem(l, "metrics_tls_ca_file",
                "needs metrics_tls_cert_file: certificates of clients come with TLS only");
    if (g->metrics_login && !somebody(l->s))
        problem(l, "metrics_login",
                "nobody can log in: no user of admin_users or stats_users has a password in "
                "auth_file");
    warn_open(l);
}
