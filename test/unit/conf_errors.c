/* SPDX-License-Identifier: ISC */
/* Each kind of mistake with the exact text that is shown for it. */
#include "conf.h"

struct mistake {
    const char *what, *body, *problems;
};

#define OK "[pgbouncer]\nauth_type=any\n"

static const struct mistake mistakes[] = {
    { "unknown key, nearest", OK "pool_mod=session\n",
      "t.ini:3: pool_mod: unknown key, did you mean \"pool_mode\"\n" },
    { "case counts", OK "Pool_Mode=session\n",
      "t.ini:3: Pool_Mode: unknown key, did you mean \"pool_mode\"\n" },
    { "unknown key, nothing near", OK "colour=blue\n", "t.ini:3: colour: unknown key\n" },
    { "key of another section", OK "connect_query=select 1\n",
      "t.ini:3: connect_query: unknown key here, it belongs to [databases]\n" },
    { "a user's key in a database", OK "[databases]\nd=tenant=acme\n",
      "t.ini:4: tenant: unknown key here, it belongs to [users]\n" },
    { "enum", OK "pool_mode=sesion\n",
      "t.ini:3: pool_mode: \"sesion\" is not one of session, transaction, statement, did you mean \"session\"\n" },
    { "enum, nothing near", OK "pool_mode=x\n",
      "t.ini:3: pool_mode: \"x\" is not one of session, transaction, statement\n" },
    { "number", OK "max_client_conn=10O\n",
      "t.ini:3: max_client_conn: \"10O\" is not a whole number\n" },
    { "range", OK "listen_port=70000\n",
      "t.ini:3: listen_port: \"70000\" is outside 0 to 65535\n" },
    { "empty number", OK "listen_port=\n", "t.ini:3: listen_port: \"\" is not a whole number\n" },
    { "time", OK "query_timeout=soon\n",
      "t.ini:3: query_timeout: \"soon\" is not a time in seconds\n" },
    { "negative time", OK "query_timeout=-1\n",
      "t.ini:3: query_timeout: \"-1\" is not a time in seconds\n" },
    { "bool", OK "log_stats=maybe\n", "t.ini:3: log_stats: \"maybe\" is neither 1 nor 0\n" },
    { "mode", OK "unix_socket_mode=0999\n",
      "t.ini:3: unix_socket_mode: \"0999\" is not an octal file mode\n" },
    { "bytes", OK "tenant_max_statement=5 apples\n",
      "t.ini:3: tenant_max_statement: \"5 apples\" is not a number of bytes such as 1048576 or 8MB\n" },
    { "section", OK "[database]\nd=\n",
      "t.ini:3: unknown section [database], did you mean \"databases\"\n" },
    { "section, nothing near", OK "[colours]\nx=y\n", "t.ini:3: unknown section [colours]\n" },
    { "section not closed", OK "[users\n", "t.ini:3: \"[users\" does not end with ]\n" },
    { "line before a section", "a=b\n" OK, "t.ini:1: a line before the first section\n" },
    { "no separator", OK "pool_mode\n",
      "t.ini:3: neither \"key = value\" nor a comment, a section or %include\n" },
    { "missing include", OK "%include gone.ini\n",
      "t.ini:3: cannot read \"gone.ini\": No such file or directory\n" },
    { "include in a ring", OK "%include t.ini\n",
      "t.ini:3: %include is nested more than 10 deep\n" },
    { "all together", OK "pool_mod=x\nlisten_port=x\n[databases]\nd=port=x\n",
      "t.ini:3: pool_mod: unknown key, did you mean \"pool_mode\"\n"
      "t.ini:4: listen_port: \"x\" is not a whole number\n"
      "t.ini:6: port: \"x\" is not a whole number\n" },
    /* databases */
    { "database pair", OK "[databases]\nd = host\n",
      "t.ini:4: d: expected key=value pairs separated by spaces; a value with spaces stands in '...'\n" },
    { "database quote", OK "[databases]\nd = host='x password=secret\n",
      "t.ini:4: d: the quote after host= is not closed\n" },
    { "behind a quote", OK "[databases]\nd = host='x'port=1\n",
      "t.ini:4: d: a space is missing after the quoted value of host\n" },
    { "semicolons between pairs", OK "[databases]\nd = host=h ; port=1\n",
      "t.ini:4: d: pairs are separated by spaces, and a comment stands on a line of its own\n" },
    { "database number", OK "[databases]\nd = pool_size=many\n",
      "t.ini:4: pool_size: \"many\" is not a whole number\n" },
    { "database key", OK "[databases]\nd = hots=x\n",
      "t.ini:4: hots: unknown key, did you mean \"host\"\n" },
    { "reserved", OK "[databases]\npgbouncer = host=x\n",
      "t.ini:4: pgbouncer: the name is reserved for the console\n" },
    { "reserved too", OK "[databases]\npgbulkhead = host=x\n",
      "t.ini:4: pgbulkhead: the name is reserved for the console\n" },
    { "long database name",
      OK "[databases]\na123456789b123456789c123456789d123456789e123456789f123456789abcd = \n",
      "t.ini:4: a123456789b123456789c123456789d123456789e123456789f123456789abcd: the name is longer than 63 bytes\n" },
    { "odd name", OK "[databases]\na b = host=x\n",
      "t.ini:4: a b: not a database name; one with odd characters stands in \"...\"\n" },
    { "empty host", OK "[databases]\nd = host=a,,b\n",
      "t.ini:4: host: an empty host in the list\n" },
    { "nothing but a comma", OK "[databases]\nd = host=,\n",
      "t.ini:4: host: an empty host in the list\nt.ini:4: host: an empty host in the list\n" },
    { "no socket directory", OK "listen_addr=*\nunix_socket_dir=\n[databases]\nd = port=1\n",
      "t.ini:6: host: neither host= nor unix_socket_dir is set\n" },
    { "min over size", OK "[databases]\nd = pool_size=2 min_pool_size=3\n",
      "t.ini:4: min_pool_size: 3 is more than pool_size, 2\n" },
    { "min over default", OK "min_pool_size=30\n",
      "t.ini:3: min_pool_size: more than default_pool_size\n" },
    { "nothing to listen on", OK "unix_socket_dir=\n",
      "t.ini: listen_addr: neither listen_addr nor unix_socket_dir is set: nothing to listen on\n" },
    { "catalog password alone", OK "[databases]\nd = catalog_password=x\n",
      "t.ini:4: catalog_password: given without catalog_user=\n" },
    /* users */
    { "long user name",
      OK
      "[users]\n"
      "u123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j123456789"
      "k123456789l123456789m1234567 =\n",
      "t.ini:4: u123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789"
      "j123456789k123456789l123456789m1234567: the name is longer than 127 bytes\n" },
    { "user key", OK "[users]\nu = tenat=x\n",
      "t.ini:4: tenat: unknown key, did you mean \"tenant\"\n" },
    { "user number", OK "[users]\nu = pool_size=-1\n",
      "t.ini:4: pool_size: \"-1\" is outside 0 to 2147483647\n" },
    { "empty tenant", OK "[users]\nu = tenant=''\n",
      "t.ini:4: tenant: must be 1 to 1000 bytes of valid UTF-8 without control characters\n" },
    { "broken UTF-8", OK "[users]\nu = tenant=Zo\xEB\n",
      "t.ini:4: tenant: must be 1 to 1000 bytes of valid UTF-8 without control characters\n" },
    { "claim without tenant", OK "[users]\nu = claim.org=1\n",
      "t.ini:4: org: a claim without tenant=\n" },
    { "an unknown source", OK "tenant_identity = map, tokens\n",
      "t.ini:3: tenant_identity: \"tokens\" is none of map, user, auth_query, cert, startup, token; did you mean \"token\"\n" },
    { "tokens without keys", OK "tenant_identity = token\n",
      "t.ini:3: tenant_identity: the source token needs tenant_token_keys\n" },
    { "certificates without TLS", OK "tenant_identity = cert\n",
      "t.ini:3: tenant_identity: the source cert needs client_tls_sslmode=verify-ca or verify-full\n" },
    { "the console as authentication database", OK "auth_dbname = pgbouncer\n",
      "t.ini:3: auth_dbname: cannot use the reserved \"pgbouncer\" database as an auth_dbname\n" },
    { "an option without a dot", OK "tenant_startup_option = tenant\n",
      "t.ini:3: tenant_startup_option: not the name of a custom setting such as pgbulkhead.tenant\n" },
    { "a token as password without tokens", OK "[users]\nu = password_token=1\n",
      "t.ini:4: password_token: needs token among the sources of tenant_identity\n" },
    { "a switch without a set", OK "[users]\nu = tenant_switch=1\n",
      "t.ini:4: tenant_switch: needs tenants=, or token among the sources of tenant_identity\n" },
    { "a tenant outside of the set", OK "[users]\nu = tenant=a tenants=b\n",
      "t.ini:4: tenant: is not among tenants=\n" },
    { "a set with one twice", OK "[users]\nu = tenants=a,b,a\n",
      "t.ini:4: tenants: \"a\" is given twice\n" },
    { "exempt, with a set", OK "[users]\nu = tenant=* tenants=a\n",
      "t.ini:4: tenant: * means exempt and stands alone, without claims\n" },
    { "[tenants] twice", OK "[tenants]\na = x=1\na = x=1\n",
      "t.ini:5: a: the tenant is described twice\n" },
    { "[tenants] with the main claim", OK "[tenants]\na = tenant=b\n",
      "t.ini:4: tenant: expected the names of further claims, such as tenant_no=11\n" },
    { "[tenants] against [users]", OK "[tenants]\na = x=1\n[users]\nu = tenant=a claim.x=2\n",
      "t.ini:6: u: the user's line in [users] and the section [tenants] disagree about claim \"x\"\n" },
    { "main claim", OK "[users]\nu = claim.tenant=1\n",
      "t.ini:4: claim.tenant: the main claim is written tenant=\n" },
    { "nameless claim", OK "[users]\nu = tenant=a claim.=1\n",
      "t.ini:4: claim.: the claim has no name\n" },
    { "claim twice", OK "[users]\nu = tenant=a claim.x=1 claim.x=2\n",
      "t.ini:4: claim.x: given twice\n" },
    { "tenant twice", OK "[users]\nu = tenant=a tenant=b\n", "t.ini:4: tenant: given twice\n" },
    { "quoted asterisk", OK "[users]\nu = tenant='*'\n",
      "t.ini:4: tenant: no tenant can be called *; without quotes it means exempt\n" },
    { "exempt with claims", OK "[users]\nu = tenant=* claim.x=1\n",
      "t.ini:4: tenant: * means exempt and stands alone, without claims\n" },
    /* peers */
    { "peer number", OK "[peers]\none = host=x\n",
      "t.ini:4: one: a peer is named by its number, 1 to 16383\n" },
    { "peer host", OK "[peers]\n1 = port=5\n", "t.ini:4: 1: host= is missing\n" },
    { "peer twice", OK "[peers]\n1 = host=a\n1 = host=b\n",
      "t.ini:5: 1: the peer is given twice\n" },
    /* login */
    { "secrets needed", "[pgbouncer]\n",
      "t.ini: auth_file: auth_type=md5 needs it: it holds the users' secrets\n" },
    { "users needed", "[pgbouncer]\nauth_type=trust\n",
      "t.ini: auth_file: auth_type=trust needs it: it says which users there are\n" },
    { "auth_file gone", "[pgbouncer]\nauth_file=gone.txt\n",
      "t.ini:2: auth_file: cannot read \"gone.txt\": No such file or directory\n" },
    { "auth_file broken", "[pgbouncer]\nauth_file=bad.txt\n",
      "bad.txt:2: expected \"user\" \"secret\", both in double quotes\n"
      "bad.txt:3: expected \"user\" \"secret\", both in double quotes\n"
      "bad.txt:4: the user name is empty\n"
      "bad.txt:5: a space is missing after the secret\n" },
    { "hba without rules", "[pgbouncer]\nauth_type=hba\n",
      "t.ini:2: auth_type: auth_type=hba needs auth_hba_file\n" },
    { "the console as a database's authentication database", OK "[databases]\nd = auth_dbname=pgbulkhead\n",
      "t.ini:4: auth_dbname: cannot use the reserved \"pgbulkhead\" database as an auth_dbname\n" },
    { "cert without TLS", "[pgbouncer]\nauth_type=cert\nadmin_users=a\n",
      "t.ini:2: auth_type: auth_type=cert needs client_tls_sslmode=verify-ca or verify-full\n" },
    /* TLS */
    { "no certificate", OK "client_tls_sslmode=require\n",
      "t.ini:3: client_tls_sslmode: needs client_tls_key_file and client_tls_cert_file\n" },
    { "certificate gone",
      OK "client_tls_sslmode=require\nclient_tls_key_file=k\nclient_tls_cert_file=t.ini\n",
      "t.ini:4: client_tls_key_file: cannot read \"k\": No such file or directory\n" },
    { "no CA",
      OK "client_tls_sslmode=verify-full\nclient_tls_key_file=t.ini\nclient_tls_cert_file=t.ini\n",
      "t.ini:3: client_tls_sslmode: checking client certificates needs client_tls_ca_file\n" },
    { "no CA for servers", OK "server_tls_sslmode=verify-full\n",
      "t.ini:3: server_tls_sslmode: checking server certificates needs server_tls_ca_file\n" },
    { "half a certificate for servers", OK "server_tls_key_file=t.ini\n",
      "t.ini:3: server_tls_key_file: server_tls_key_file and server_tls_cert_file belong together\n" },
    { "TLS version", OK "server_tls_protocols=tlsv1.2,tslv1.3\n",
      "t.ini:3: server_tls_protocols: \"tslv1.3\" is not a TLS version, did you mean \"tlsv1.3\"\n" },
    /* tenants */
    { "rls", OK "[databases]\nd = user=u tenant_mode=rls\n",
      "t.ini:4: tenant_guc: tenant_mode=rls needs it: policies learn the tenant from that setting\n" },
    { "rls for all", OK "tenant_mode=rls\n[databases]\nd = user=u\ne = user=u tenant_guc=a.b\n",
      "t.ini:5: tenant_guc: tenant_mode=rls needs it: policies learn the tenant from that setting\n" },
    { "rls without the setting after all",
      OK "tenant_mode=rls\ntenant_guc=a.b\n[databases]\nd = user=u tenant_guc=''\n",
      "t.ini:6: tenant_guc: tenant_mode=rls needs it: policies learn the tenant from that setting\n" },
    { "rls of a user", OK "[databases]\nd = user=u\n[users]\nx = tenant=t tenant_mode=rls\n",
      "t.ini:6: tenant_mode: tenant_mode=rls needs tenant_guc, for every database\n" },
    { "catalog out of reach", OK "[databases]\nd = host=h tenant_mode=rewrite\n",
      "t.ini:4: tenant_mode: nobody can read the catalog of this database: "
      "set catalog_user= and catalog_password=, "
      "or user=\n" },
    { "catalog out of reach, by the global mode",
      OK "tenant_mode=reject\n[databases]\nd = host=h\n",
      "t.ini:5: tenant_mode: nobody can read the catalog of this database: "
      "set catalog_user= and catalog_password=, "
      "or user=\n" },
    { "guc", OK "tenant_guc=search_path\n",
      "t.ini:3: tenant_guc: \"search_path\" is not the name of a custom setting such as app.tenant_id\n" },
    { "rule without schema", OK "[tenant_rules]\ndocuments = tenant_id\n",
      "t.ini:4: documents: the schema is missing: write schema.documents\n" },
    { "rule, unquoted space", OK "[tenant_rules]\npublic.Order Items = x\n",
      "t.ini:4: public.Order Items: expected schema.relation and nothing behind it; "
      "a name with odd characters stands "
      "in \"...\"\n" },
    { "rule, quote open", OK "[tenant_rules]\npublic.\"x = y\n",
      "t.ini:4: neither \"key = value\" nor a comment, a section or %include\n" },
    { "rule value", OK "[tenant_rules]\npublic.d = shared claim=x\n",
      "t.ini:4: public.d: expected column, shared or deny, then claim=NAME (behind a column), "
      "set=\"NAME=VALUE\", set_when=order_by_distance or always\n" },
    { "rule set", OK "[tenant_rules]\npublic.d = t set=\"role=x\"\n",
      "t.ini:4: public.d: set=: role is not for rules to set\n" },
    { "rule set name", OK "[tenant_rules]\npublic.d = t set=\"a b=x\"\n",
      "t.ini:4: public.d: set= needs \"NAME=VALUE\"\n" },
    { "rule set quote", OK "[tenant_rules]\npublic.d = t set=\"a=x\n",
      "t.ini:4: public.d: a double quote is not closed\n" },
    { "rule set on deny", OK "[tenant_rules]\npublic.d = deny set=\"a=x\"\n",
      "t.ini:4: public.d: set= on a relation that is denied\n" },
    { "rule set_when alone", OK "[tenant_rules]\npublic.d = t set_when=always\n",
      "t.ini:4: public.d: set_when= without set=\n" },
    { "rule set_when", OK "[tenant_rules]\npublic.d = t set=\"a=x\" set_when=never\n",
      "t.ini:4: public.d: set_when= is order_by_distance or always\n" },
    { "rule sets tenant_guc", OK "tenant_guc=app.t\n[tenant_rules]\npublic.d = t set=\"app.T=x\"\n",
      "t.ini:5: app.T: it is the setting that carries the tenant\n" },
    { "rules with two settings",
      OK "[tenant_rules]\npublic.d = t set=\"a=x\"\npublic.d = t set=\"a=y\"\n",
      "t.ini:5: public.d: contradicts t.ini:4\n" },
    { "rules contradict", OK "[tenant_rules]\npublic.d = a\nPUBLIC.D = b\n",
      "t.ini:5: PUBLIC.D: contradicts t.ini:4\n" },
    { "function", OK "[tenant_functions]\npublic.f(text = allow\n",
      "t.ini:4: public.f(text: expected schema.name or schema.name(argument types)\n" },
    { "function value", OK "[tenant_functions]\npublic.f = yes\n",
      "t.ini:4: public.f: \"yes\" is neither allow nor deny\n" },
    { "function both ways", OK "[tenant_functions]\npublic.f = allow\npublic.f = deny\n",
      "t.ini:5: public.f: allowed and denied\n" },
    { "operator", OK "[tenant_operators]\npublic.<->(a,b) = allow\n",
      "t.ini:4: public.<->(a,b): an operator consists of + - * / < > = ~ ! @ # % ^ & | ` ? only, "
      "without argument "
      "types\n" },
};

int main(void)
{
    static const char *const files[] = { "t.ini", "bad.txt" };
    char dir[64];
    struct buf problems;

    conf_enter(dir);
    conf_write("bad.txt",
               TEXT("\"ok\" \"x\" rest\nplain \"x\"\n\"u\"\n\"\" \"x\"\n\"u\" \"x\"y\n"));
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct setup *s = conf_load(mistakes[i].body, &problems);
        is_text(problems.p, mistakes[i].problems, "%s", mistakes[i].what);
        ok(!s, "%s: refused", mistakes[i].what);
        setup_unref(s);
        buf_release(&problems);
    }
    buf_init(&problems);
    ok(!setup_load("nowhere.ini", 1, NULL, 0, &problems), "no file: refused");
    is_text(buf_text(&problems),
            "nowhere.ini: cannot read \"nowhere.ini\": No such file or directory\n", "no file");
    buf_release(&problems);
    conf_leave(dir, files, 2);
    return tap_done();
}
