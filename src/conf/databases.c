/* SPDX-License-Identifier: ISC */
/* Lines of [databases] and [peers]. */
#include "conf/dsn.h"
#include "conf/load.h"

#define DB_NAME_MAX 63
#define HOST_MAX 255

static struct database_conf *new_database(struct load *l)
{
    struct database_conf *db = ARENA_NEW(l->a, struct database_conf);

    db->host = db->host_list = "";
    db->port = 5432;
    db->pool_size = db->min_pool_size = db->reserve_pool_size = LIMIT_UNSET;
    db->max_db_connections = db->max_db_client_connections = LIMIT_UNSET;
    db->max_tenant_connections = db->max_tenant_client_connections = LIMIT_UNSET;
    db->server_lifetime = db->query_wait_timeout = TIME_UNSET;
    db->pool_mode = POOL_MODE_UNSET;
    db->session_state = SESSION_STATE_UNSET;
    db->load_balance = 1;
    db->tenant_mode = TENANT_MODE_UNSET;
    db->tenant_redact_errors = SWITCH_UNSET;
    db->server_tls_negotiation = SWITCH_UNSET;
    return db;
}

static const char *join_hosts(struct load *l, const struct database_conf *db)
{
    struct buf list;
    const char *copy;

    buf_init(&list);
    for (int i = 0; i < db->n_hosts; i++)
        buf_printf(&list, "%s%s", i ? "," : "", db->hosts[i]);
    copy = arena_text(l->a, buf_text(&list)).p;
    buf_release(&list);
    return copy;
}

static void split_hosts(struct load *l, struct database_conf *db, struct place at)
{
    struct text rest = text_of(db->host), part;
    const char **hosts;
    int n = 1;

    for (const char *p = db->host; *p; p++)
        n += *p == ',';
    hosts = ARENA_ARRAY(l->a, const char *, n);
    if (!db->host[0]) {
        hosts[0] = ""; /* setup_load puts unix_socket_dir here */
        db->n_hosts = 1;
        db->hosts = hosts;
        return;
    }
    while (text_split(&rest, ',', &part)) {
        part = text_trim(part);
        if (!part.n)
            trouble_problem(&l->t, at, TEXT("host"), "an empty host in the list");
        else if (part.n > HOST_MAX)
            trouble_problem(&l->t, at, TEXT("host"), "a host is longer than %d bytes", HOST_MAX);
        else
            hosts[db->n_hosts++] = arena_text(l->a, part).p;
    }
    db->hosts = hosts;
    db->host_list = join_hosts(l, db);
}

/* Reads the pairs of a line into base. false: the line itself is malformed (reported). */
static bool take_pairs(struct load *l, const struct ini_line *line, struct key_table keys,
                       void *base)
{
    struct text rest = line->value;
    struct dsn_pair pair;
    struct err e = { 0 };
    enum dsn_step step;

    while ((step = dsn_next(&rest, &pair, l->mem.secrets, &e)) == DSN_PAIR)
        load_pair(l, keys, pair.key, pair.value, base, line->at);
    if (step == DSN_BAD)
        trouble_problem(&l->t, line->at, line->key, "%s", e.msg);
    return step == DSN_END;
}

static void check_database(struct load *l, const struct database_conf *db, struct place at)
{
    if (db->tenant_guc && db->tenant_guc[0] && !load_guc_ok(text_of(db->tenant_guc)))
        trouble_problem(&l->t, at, TEXT("tenant_guc"),
                        "\"%s\" is not the name of a custom setting such as app.tenant_id",
                        db->tenant_guc);
    if (db->catalog_password && !db->catalog_user)
        trouble_problem(&l->t, at, TEXT("catalog_password"), "given without catalog_user=");
    if (db->password && db->password[0] && !db->user)
        trouble_warn(&l->t, at, TEXT("password"), "has no effect without user=");
}

static bool name_ok(struct load *l, const struct ini_line *line, struct text *name)
{
    if (!ini_unquote(line->key, l->a, name)) {
        trouble_problem(&l->t, line->at, line->key,
                        "not a database name; one with odd characters stands in \"...\"");
        return false;
    }
    if (name->n > DB_NAME_MAX) {
        trouble_problem(&l->t, line->at, line->key, "the name is longer than %d bytes",
                        DB_NAME_MAX);
        return false;
    }
    if (text_is(*name, "pgbouncer") || text_is(*name, "pgbulkhead")) {
        trouble_problem(&l->t, line->at, line->key, "the name is reserved for the console");
        return false;
    }
    return true;
}

/* The place of the name in s->databases, a new one at the end when it is not there yet. */
static int find_slot(struct load *l, struct text name)
{
    struct setup *s = l->s;
    const struct database_conf *old = map_get(&s->db_by_name, name);

    if (!old)
        return s->n_databases++;
    for (int i = 0; i < s->n_databases; i++)
        if (s->databases[i] == old)
            return i;
    CHECK(false);
    return 0;
}

void load_database(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct database_conf *db;
    struct text name;
    int slot;

    if (!name_ok(l, line, &name))
        return;
    db = new_database(l);
    db->name = name;
    if (!take_pairs(l, line, key_table_databases(), db))
        return;
    split_hosts(l, db, line->at);
    check_database(l, db, line->at);
    if (text_is(name, "*")) {
        db->is_auto = true;
        s->autodb = db;
        l->auto_at = line->at;
        return;
    }
    if (!db->dbname || !db->dbname[0])
        db->dbname = name.p;
    slot = find_slot(l, name);
    s->databases[slot] = db;
    l->db_at[slot] = line->at;
    map_put(&s->db_by_name, db->name, db);
}

void load_peer(struct load *l, const struct ini_line *line)
{
    struct setup *s = l->s;
    struct peer_conf peer = { .port = 6432, .pool_size = LIMIT_UNSET };
    int64_t id;

    if (!text_to_int64(line->key, &id) || id < 1 || id > 16383) {
        trouble_problem(&l->t, line->at, line->key, "a peer is named by its number, 1 to 16383");
        return;
    }
    peer.id = (int)id;
    if (!take_pairs(l, line, key_table_peers(), &peer))
        return;
    if (!peer.host || !peer.host[0]) {
        trouble_problem(&l->t, line->at, line->key, "host= is missing");
        return;
    }
    for (int i = 0; i < s->n_peers; i++) {
        if (s->peers[i].id == peer.id) {
            trouble_problem(&l->t, line->at, line->key, "the peer is given twice");
            return;
        }
    }
    s->peers[s->n_peers++] = peer;
}
