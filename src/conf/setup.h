/* SPDX-License-Identifier: ISC */
/*
 * The configuration as an immutable, refcounted snapshot: ini files, auth_file and tenant rules,
 * checked and typed. Read by every thread; replaced as a whole by RELOAD and SET.
 */
#ifndef CONF_SETUP_H
#define CONF_SETUP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"

#include <stdatomic.h>

enum state_mode { STATE_VIRTUAL, STATE_PASSTHROUGH, SESSION_STATE_UNSET };
enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT, POOL_MODE_UNSET };
enum tenant_mode {
    TENANT_OFF,
    TENANT_AUDIT,
    TENANT_REJECT,
    TENANT_REWRITE,
    TENANT_RLS,
    TENANT_MODE_UNSET
};
enum tenant_explain { TENANT_EXPLAIN_OFF, TENANT_EXPLAIN_PLAN };
enum tenant_audit_level { TENANT_AUDIT_REFUSED, TENANT_AUDIT_EXEMPT, TENANT_AUDIT_ALL };
/* Where a login's tenant may come from (key tenant_identity); bits. */
enum tenant_source {
    SOURCE_MAP = 1,
    SOURCE_USER = 2,
    SOURCE_AUTH_QUERY = 4,
    SOURCE_CERT = 8,
    SOURCE_STARTUP = 16,
    SOURCE_TOKEN = 32
};
/* Which of several hosts a database's servers may be (key target_session_attrs), as libpq's. */
enum session_attrs {
    ATTRS_ANY,
    ATTRS_READ_WRITE,
    ATTRS_READ_ONLY,
    ATTRS_PRIMARY,
    ATTRS_STANDBY,
    ATTRS_PREFER_STANDBY
};
/* The field of a client's certificate that holds the tenant, in the order of the key's names. */
enum cert_field { CERT_CN, CERT_OU, CERT_SAN_DNS, CERT_SAN_URI, CERT_SAN_EMAIL };
enum auth_type {
    AUTH_ANY,
    AUTH_TRUST,
    AUTH_PLAIN,
    AUTH_MD5,
    AUTH_CERT,
    AUTH_HBA,
    AUTH_LDAP,
    AUTH_PAM,
    AUTH_SCRAM
};

/* In the order of the keys' names. */
enum tls_negotiation { NEGOTIATE_POSTGRES, NEGOTIATE_DIRECT };
enum channel_binding { BINDING_DISABLE, BINDING_PREFER, BINDING_REQUIRE };
enum protocol_choice { PROTOCOL_3_0, PROTOCOL_3_2, PROTOCOL_AUTO };

/* One member per key of the [pgbouncer] section, named like the key (keys.def): times are usec_t in
 * microseconds, integers int64_t, booleans bool, texts NUL-terminated const char * ("" when unset),
 * enums int. */
struct settings {
#define KEY_BOOL(name, ...) bool name;
#define KEY_INT(name, ...) int64_t name;
#define KEY_TIME(name, ...) usec_t name;
#define KEY_TEXT(name, ...) const char *name;
#define KEY_ENUM(name, ...) int name;
#include "conf/keys.def"
};

/* A named value by which the tenant is known. The one named "tenant" is the main one. */
struct claim {
    struct text name, value;
};

/* Who a user is for the tenant engine. */
struct identity {
    bool exempt;                /* tenant=* */
    bool bound;                 /* has a tenant */
    const struct claim *claims; /* claims[0] is "tenant" when bound */
    int n_claims;
    uint64_t hash; /* of all claims, for cache keys (compare claims too) */
};

#define LIMIT_UNSET (-1) /* not given in this section: the wider one applies */

struct database_conf {
    struct text name;         /* as clients ask for it; NUL-terminated */
    bool is_auto;             /* made from "*" */
    const char *dbname;       /* on the server */
    const char *host;         /* comma list as written, "" = Unix socket in unix_socket_dir */
    const char *const *hosts; /* taken apart; at least one: unix_socket_dir when host is "" */
    int n_hosts;
    const char *host_list; /* the same as a list without spaces, as libpq reads it; "" as in host */
    int port;
    const char *user, *password; /* forced user, NULL = the client's; password NULL = none given */
    const char *auth_user, *auth_dbname, *auth_query; /* NULL = unset */
    const char *catalog_user, *catalog_password; /* who reads the catalog; NULL = user/password */
    const char *connect_query;                   /* NULL = none */
    const char *client_encoding, *datestyle, *timezone, *application_name; /* NULL = unset */
    int64_t pool_size, min_pool_size, reserve_pool_size, max_db_connections,
        max_db_client_connections, max_tenant_connections, max_tenant_client_connections;
    usec_t server_lifetime, query_wait_timeout; /* TIME_UNSET when not given */
    int pool_mode;                              /* POOL_MODE_UNSET when not given */
    int session_state;                          /* SESSION_STATE_UNSET when not given */
    int load_balance;                           /* 1 round-robin, 0 disable */
    int session_attrs;                          /* enum session_attrs */
    int server_tls_negotiation;                 /* SWITCH_UNSET = global */
    int tenant_mode;                            /* TENANT_MODE_UNSET when not given */
    const char *tenant_guc;                     /* NULL = global */
    int tenant_redact_errors;                   /* 0, 1, SWITCH_UNSET = global */
    int64_t storage_capacity;                   /* bytes, 0 = not stated */
};
#define TIME_UNSET UINT64_MAX
#define SWITCH_UNSET (-1)

struct user_conf {
    struct text name; /* NUL-terminated */
    bool in_auth_file, in_users;
    struct text secret; /* auth_file: plain, md5 or SCRAM; empty when unknown */
    int pool_mode, tenant_mode, session_state;
    int64_t pool_size, reserve_pool_size, max_user_connections, max_user_client_connections;
    usec_t query_timeout, idle_transaction_timeout, transaction_timeout, client_idle_timeout,
        query_wait_timeout;
    struct identity identity; /* bound=false, exempt=false when the section says nothing */
    bool is_admin, is_stats;
    bool tenant_switch;         /* may change the tenant between transactions */
    bool password_token;        /* logs in with a signed token in place of a password */
    const char *tenants_list;   /* tenants= as written; NULL = not given */
    const struct text *tenants; /* taken apart */
    int n_tenants;
    bool all_tenants; /* tenants=*: those of the section [tenants] */
};

/* A line of [tenants]. */
struct tenant_conf {
    struct text name;
    struct claim *claims; /* others than the tenant, sorted by name */
    int n_claims;
    int64_t max_connections, max_client_connections; /* LIMIT_UNSET when not given */
};

/* A line of the file tenant_token_keys. */
enum token_alg { TOKEN_V1, TOKEN_HS256, TOKEN_RS256, TOKEN_ES256 };
#define TOKEN_KEYS_MAX 64
/* Lines of the file metrics_bearer_token_file, and their characters. */
#define METRICS_TOKENS_MAX 16
#define METRICS_TOKEN_MIN 20
struct token_key_conf {
    struct text kid;
    int alg;         /* enum token_alg */
    struct text key; /* shared secret ("b64:..." = base64url) or PEM text; wiped with the setup */
};

struct peer_conf {
    int id;
    const char *host;
    int port;
    int64_t pool_size;
};

/* [tenant_rules]: schema.relation = column [claim=NAME] | shared | deny, then [set="NAME=VALUE"]...
 * [set_when=order_by_distance|always]. An asterisk stands for every relation. */
enum rule_class { RULE_TENANT, RULE_SHARED, RULE_DENY };
#define RULE_SETTINGS_MAX 4
struct rule_setting {
    struct text name, value;
};
struct tenant_rule {
    struct text schema, relation; /* unquoted; relation empty = every relation of the schema */
    bool any_schema;              /* "*" alone or "*.name" */
    enum rule_class cls;
    struct text column; /* RULE_TENANT */
    struct text claim;  /* empty: the claim named like the column if there is one, else "tenant" */
    struct rule_setting settings[RULE_SETTINGS_MAX]; /* for statements that read the relation */
    int n_settings;
    bool settings_always; /* else for those that order by a distance of one of its columns */
    const char *file;
    int line;
};
/* [tenant_functions] schema.name(argtypes) = allow|deny (args_any when no parentheses);
 * [tenant_operators] schema.op = allow|deny */
struct tenant_function {
    struct text schema, name;
    struct text args; /* as inside the parentheses: single spaces, ", " between, lower case */
    bool args_any, allow;
};
struct tenant_operator {
    struct text schema, name;
    bool allow;
};

struct secret;
struct source; /* the lines it was made of; private to conf */
struct hba;
struct ldap_conf;
struct regex;

struct setup {
    _Atomic int refs;
    uint64_t generation; /* grows with each load */
    struct arena arena;
    struct settings g;
    char path[4096]; /* of the file; the key conffile names the one that the next RELOAD reads */
    struct database_conf **databases; /* in file order, without "*" */
    int n_databases;
    const struct database_conf *autodb; /* "*", or NULL */
    struct user_conf **users;
    int n_users;
    struct map db_by_name, user_by_name, tenant_by_name;
    unsigned tenant_sources; /* bits of enum tenant_source */
    struct token_key_conf *token_keys;
    int n_token_keys;
    struct text metrics_tokens[METRICS_TOKENS_MAX]; /* of metrics_bearer_token_file */
    int n_metrics_tokens;
    struct peer_conf *peers;
    int n_peers;
    struct tenant_rule *rules;
    int n_rules;
    struct tenant_function *functions;
    int n_functions;
    struct tenant_operator *operators;
    int n_operators;
    const struct text *tenant_columns; /* of the key tenant_columns */
    int n_tenant_columns;
    const struct text *ignore_startup; /* of ignore_startup_parameters */
    int n_ignore_startup;
    const struct text *track_extra;
    int n_track_extra;
    struct source *source;        /* shared with setups that differ in SETs only */
    const struct hba *hba;        /* conf/hba.h; NULL unless auth_type=hba */
    const struct ldap_conf *ldap; /* of auth_ldap_options, or NULL */
    struct regex *patterns;       /* of rules and maps, freed at the end */
    struct secret *secrets;       /* memory of passwords and auth_file secrets, wiped at the end */
    struct text warnings; /* lines to log at start: keys without effect yet, odd combinations */
};

/* One `key = value` of a running SET; holds until the next RELOAD. */
struct setup_override {
    struct text key, value;
};

/* Loads and checks everything. generation: the new one. NULL: all problems found, one per line
 * "file:line: key: what is wrong[, did you mean \"x\"]", in problems (caller releases). */
struct setup *setup_load(const char *path, uint64_t generation, const struct setup_override *over,
                         int n_over, struct buf *problems) MUST_CHECK;
/* The lines that `old` was made of once more, with other SETs: a SET does not read the ini files
 * again (auth_file and what else is named there are read). NULL as above. */
struct setup *setup_again(const struct setup *old, uint64_t generation,
                          const struct setup_override *over, int n_over,
                          struct buf *problems) MUST_CHECK;
/* The same for a text in memory, without %include and without reading auth_file; name stands in
 * messages. */
struct setup *setup_parse(const char *name, struct text body, struct buf *problems) MUST_CHECK;
struct setup *setup_ref(const struct setup *s);
void setup_unref(const struct setup *s); /* wipes secrets when it was the last; NULL is fine */

/* For RELOAD, before s is shared: puts the values of `old` back for keys that cannot change while
 * running. Their names, one per line, are appended to changed (may be NULL). */
void setup_keep_boot(struct setup *s, const struct setup *old, struct buf *changed);

/* The entry for a database name, or the "*" entry filled with the name (then allocated in `a`), or
 * NULL. */
const struct database_conf *setup_database(const struct setup *s, struct text name,
                                           struct arena *a);
const struct user_conf *setup_user(const struct setup *s, struct text name); /* NULL when unknown */

/* Effective values, PgBouncer's precedence (user over database over global); user may be NULL. */
struct pool_limits {
    int pool_mode, session_state;
    int64_t pool_size, min_pool_size, reserve_pool_size; /* pool_size 0 = unlimited */
    int64_t max_db_connections, max_db_client_connections, max_user_connections,
        max_user_client_connections;
    usec_t query_wait_timeout, server_lifetime;
};
void setup_limits(const struct setup *s, const struct database_conf *db,
                  const struct user_conf *user, struct pool_limits *out);
/* What a tenant may have in a database, its line of [tenants] over the database over the global
 * keys; 0 = unlimited. */
struct tenant_limits {
    int64_t servers, clients;
};
struct tenant_limits setup_tenant_limits(const struct setup *s, const struct database_conf *db,
                                         struct text tenant);
/* database over global, user over both. */
int setup_tenant_mode(const struct setup *s, const struct database_conf *db,
                      const struct user_conf *user);
/* Whether the database, or one of [users] wherever it logs in, holds tenants. */
bool setup_holds_tenants(const struct setup *s, const struct database_conf *db);
/* The identity that the configuration alone gives a login: the user's own, else by
 * tenant_identity=user (the user name is the tenant), else unbound. Lives in `a`. Other sources:
 * conf/identity.h. */
void setup_identity(const struct setup *s, const struct user_conf *user, struct text user_name,
                    struct arena *a, struct identity *out);
/* Sets id->hash from the claims. */
void identity_hash(struct identity *id);
/* The identity of a tenant named by an administrator: the claims of all users of that tenant. A
 * tenant that no user names has the one claim. false: e (claims that contradict one another, an
 * empty name). Slices live in `a` or the setup. */
bool setup_tenant(const struct setup *s, struct text tenant, struct arena *a, struct identity *out,
                  struct err *e) MUST_CHECK;
/* Appends what the configuration says and RELOAD can change, the same text for the same meaning:
 * without comments, names of files that are a machine's own, and secrets (as "***"). */
void setup_describe(const struct setup *s, struct buf *out);
const char *pool_mode_name(int mode);   /* "session" ... */
const char *tenant_mode_name(int mode); /* "rewrite" ... */

/* For SHOW CONFIG, SET and the sample file: every key of [pgbouncer]. */
struct key_info {
    const char *name, *help, *default_text;
    bool reloadable;
    bool effective; /* false: accepted, without effect yet (said at start when set) */
};
int keys_count(void);
const struct key_info *keys_at(int i);
/* Present value as text (appended; nothing secret is among them). */
void keys_value(const struct setup *s, int i, struct buf *out);
/* Checks one override as SET would: unknown key, not reloadable, bad value → false with e. */
bool keys_check(const char *key, struct text value, struct err *e);

#endif
