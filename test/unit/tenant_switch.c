/* SPDX-License-Identifier: ISC */
/* SET, RESET and SHOW of pgbulkhead's settings are told from everything else. */
#include "tenant/switch.h"

#include "tap.h"

static void reads(const char *sql, enum switch_kind want, const char *value)
{
    struct arena a;
    struct text got;
    const char *tag;
    struct err e = { 0 };

    arena_init(&a, 0);
    enum switch_kind kind = switch_read(text_of(sql), &a, &got, &tag, &e);
    is_int(kind, want, "%s", sql);
    if (value)
        is_text(got, value, "its value");
    if (kind == SWITCH_BAD)
        ok(e.msg[0] && e.sqlstate[0], "with a text");
    arena_release(&a);
}

int main(void)
{
    reads("SET pgbulkhead.tenant = 'acme'", SWITCH_SET_TENANT, "acme");
    reads("set session PgBulkhead . TENANT to 'it''s';", SWITCH_SET_TENANT, "it's");
    reads("; ;/* /* */ */SET\"pgbulkhead\".\"TENANT\"='' --x", SWITCH_SET_TENANT, "");
    reads("SET pgbulkhead.tenant_token TO 'v1.a.b'", SWITCH_SET_TOKEN, "v1.a.b");
    reads("SET pgbulkhead.tenant = DEFAULT", SWITCH_RESET, NULL);
    reads("RESET pgbulkhead.tenant_token", SWITCH_RESET, NULL);
    reads("SHOW pgbulkhead.tenant", SWITCH_SHOW, NULL);
    reads("SET pgbulkhead.tenant_token = 'not closed", SWITCH_BAD, NULL);

    static const char *const none[] = {
        "",
        ";",
        "SELECT 1",
        "SET tenant = 'acme'",
        "SET app.tenant = 'acme'",
        "SHOW pgbulkhead",
        "SELECT 'SET pgbulkhead.tenant = ''acme'''",
        "SELECT $$;SET pgbulkhead.tenant = 'x'$$",
        "SET \"pgbulkhead.tenant\" = 'acme'",
        "SET x = 'pgbulkhead.tenant'",
        "RESET ALL",
        "UPDATE t SET pgbulkhead.tenant = 'x'",
        "SET pgbulkhead.tenant.x = 'a'",
        "SET 'pgbulkhead'",
        "SET pgbulkhead.tenant = 'not closed",
        "-- SET pgbulkhead.tenant = 'acme'",
        "SET pgbulkheadx.tenant = 'a'",
        "\"SET\" pgbulkhead.tenant = 'a'",
        "SHOW ALL",
        "ALTER ROLE x SET pgbulkhead.tenant = 'a'",
        "SET x.pgbulkhead.tenant = 'a'",
        "(SET pgbulkhead.tenant = 'a')",
        "EXPLAIN SET pgbulkhead.tenant = 'a'",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        reads(none[i], SWITCH_NONE, NULL);

    static const char *const bad[] = {
        "SET LOCAL pgbulkhead.tenant = 'a'",
        "SET pgbulkhead.tenant",
        "SET pgbulkhead.tenant =",
        "SET pgbulkhead.tenant 'a'",
        "SET pgbulkhead.tenant = a",
        "SET pgbulkhead.tenant = 1",
        "SET pgbulkhead.tenant = 'a', 'b'",
        "SET pgbulkhead.tenant = 'a' 'b'",
        "SET pgbulkhead.tenant = 'a'\n'b'",
        "SET pgbulkhead.tenant = E'a'",
        "SET pgbulkhead.tenant = U&'a'",
        "SET pgbulkhead.tenant = N'a'",
        "SET pgbulkhead.tenant = $$a$$",
        "SET pgbulkhead.tenant = 'a\\'",
        "SET pgbulkhead.tenant = $1",
        "SET pgbulkhead.tenant = 'a'; SELECT 1",
        "SELECT 1; SET pgbulkhead.tenant = 'a'",
        "BEGIN; SHOW pgbulkhead.tenant",
        "SHOW pgbulkhead.tenant; SHOW pgbulkhead.tenant",
        "SET pgbulkhead.tenants = 'a'",
        "RESET pgbulkhead.x",
        "SHOW pgbulkhead.tenant_token",
        "SET U&\"pgbulkhead\".tenant = 'a'",
        "SET pgbulkhead.U&\"tenant\" = 'a'",
        "SHOW U&\"pgbulkhea\\0064\".tenant",
        "RESET pgbulkhead.tenant x",
        "SET pgbulkhead.tenant FROM CURRENT",
        "SET pgbulkhead.tenant = DEFAULT x",
        "SET pgbulkhead.tenant = ('a')",
        "SET pgbulkhead.tenant == 'a'",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        reads(bad[i], SWITCH_BAD, NULL);
    return tap_done();
}
