/* SPDX-License-Identifier: ISC */
/* Kinds of statements, tenants' outcomes, pins, slow queries: counted. */
#include "session/counts.h"

#include "session/slow.h"

/* ---- kinds ---- */

/* Behind blanks, comments and opening parentheses. */
static const char *skip_front(const char *p, const char *end)
{
    while (p < end) {
        if (*p == ' ' || *p == '(' || *p == ';' || (*p >= '\t' && *p <= '\r')) {
            p++;
        } else if (end - p > 1 && p[0] == '-' && p[1] == '-') {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            p = nl ? nl + 1 : end;
        } else if (end - p > 1 && p[0] == '/' && p[1] == '*') {
            int depth = 1;
            for (p += 2; p < end && depth > 0; p++) {
                int by = end - p < 2                  ? 0
                         : p[0] == '/' && p[1] == '*' ? 1
                         : p[0] == '*' && p[1] == '/' ? -1
                                                      : 0;
                depth += by;
                p += by != 0;
            }
        } else {
            break;
        }
    }
    return p;
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Most texts begin so. */
static bool is_select(const char *p, size_t n)
{
    static const char word[8] = "select";
    uint32_t head, want;
    uint16_t tail, end;

    if (n < 7)
        return false;
    memcpy(&head, p, 4);
    memcpy(&want, word, 4);
    memcpy(&tail, p + 4, 2);
    memcpy(&end, word + 4, 2);
    return (head | 0x20202020U) == want && (tail | 0x2020) == end && !is_letter(p[6]);
}

enum query_kind query_kind(const char *sql, size_t n)
{
    if (is_select(sql, n))
        return QUERY_SELECT;
    static const struct {
        const char *word;
        enum query_kind kind;
    } words[] = {
        { "select", QUERY_SELECT }, { "insert", QUERY_INSERT }, { "update", QUERY_UPDATE },
        { "delete", QUERY_DELETE }, { "with", QUERY_SELECT },   { "values", QUERY_SELECT },
        { "table", QUERY_SELECT },  { "merge", QUERY_MERGE },   { "copy", QUERY_COPY },
        { "create", QUERY_DDL },    { "alter", QUERY_DDL },     { "drop", QUERY_DDL },
        { "truncate", QUERY_DDL },  { "comment", QUERY_DDL },   { "grant", QUERY_DDL },
        { "revoke", QUERY_DDL },    { "reindex", QUERY_DDL },   { "refresh", QUERY_DDL },
        { "security", QUERY_DDL },  { "import", QUERY_DDL },
    };
    const char *end = sql + (n < QUERY_LOOK ? n : QUERY_LOOK), *p = skip_front(sql, end);
    char word[12];
    size_t len = 0;

    while (p < end && len < sizeof(word) && is_letter(*p))
        word[len++] = (char)(*p++ | 0x20);
    if (len < 4 || len == sizeof(word))
        return QUERY_UTILITY;
    word[len] = '\0';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (word[0] == words[i].word[0] && strcmp(word, words[i].word) == 0)
            return words[i].kind;
    return QUERY_UTILITY;
}

/* ---- tenants ---- */

void count_tenant(const struct client *c, enum tenant_outcome o)
{
    struct db_stats *st = shard_stats(c->shard, c->engine);

    count_nth(st, offsetof(struct db_stats, tenant_passed), o, 1);
    switch (c->tenant_mode) {
    case TENANT_REJECT:
        count_nth(st, offsetof(struct db_stats, reject_allowed), o, 1);
        break;
    case TENANT_REWRITE:
        count_nth(st, offsetof(struct db_stats, rewrite_allowed), o, 1);
        break;
    case TENANT_RLS:
        count_nth(st, offsetof(struct db_stats, rls_allowed), o, 1);
        break;
    default:
        break;
    }
}

void count_unbound(const struct client *c)
{
    struct db_ledger *db =
        c->shard ? c->shard->pool->db : registry_db(c->engine->registry, c->db_name);

    if (db)
        stat_inc(&db->stats[c->engine->id].tenant_unbound);
}

/* ---- servers ---- */

unsigned count_pins(struct db_stats *st, unsigned counted, unsigned held)
{
    unsigned changed = counted ^ held;

    for (unsigned i = 0; changed >> i; i++) {
        unsigned bit = 1U << i;
        if (changed & held & bit) {
            count_nth(st, offsetof(struct db_stats, pinned_advisory), i, 1);
            count_nth(st, offsetof(struct db_stats, pins_advisory), i, 1);
        } else if (changed & bit) {
            count_nth(st, offsetof(struct db_stats, pinned_advisory), i, UINT64_MAX);
        }
    }
    return held;
}

void count_prepared(struct server *s, size_t n)
{
    if (n == s->n_prepared)
        return;
    stat_add(&shard_stats(s->shard, s->shard->engine)->ps_kept, (uint64_t)n - s->n_prepared);
    s->n_prepared = n;
}

/* ---- slow queries ---- */

void count_slow_running(struct client *c, usec_t threshold)
{
    usec_t now = c->engine->loop.now;

    if (!threshold || c->replication || !c->query_at || c->slow_at == c->query_at ||
        now <= c->query_at || now - c->query_at <= threshold)
        return;
    c->slow_at = c->query_at;
    stat_inc(&shard_stats(c->shard, c->engine)->slow_queries);
    slow_running(c);
}

void count_slow(struct client *c, usec_t took, usec_t threshold)
{
    if (!threshold || c->replication || took <= threshold)
        return;
    if (c->slow_at != c->query_at)
        stat_inc(&shard_stats(c->shard, c->engine)->slow_queries);
    slow_ended(c, took);
}
