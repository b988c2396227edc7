/* SPDX-License-Identifier: ISC */
/* What texts do to their session: the cheap pass never misses what the reader tells. */
#include "tenant/effects.h"

#include "tap.h"

static const char *const kinds[FX_KINDS] = {
    "set",
    "set_local",
    "reset",
    "reset_all",
    "discard_all",
    "discard_plans",
    "discard_sequences",
    "discard_temp",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "rollback_to",
    "prepare",
    "execute",
    "deallocate",
    "listen",
    "unlisten",
    "notify",
    "lock",
    "unlock",
    "unlock_all",
    "hold",
    "close",
    "temp",
    "load",
    "do",
    "sequence",
    "seed",
    "unknown",
};

/* want: "kind name=value, ..." */
static void reads(const char *sql, const char *want)
{
    struct effects *e = NULL;
    char got[2000] = "";
    size_t n = 0;

    ok(effects_read(text_of(sql), false, &e), "read: %s", sql);
    for (int i = 0; e && i < e->n; i++) {
        const struct effect *x = &e->list[i];
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s%s%s%s%s", i ? ", " : "",
                              kinds[x->kind], x->name.n ? " " : "", x->name.p,
                              x->value.n ? "=" : "", x->value.p);
        if (!(e->kinds & FX_BIT(x->kind)))
            ok(false, "its bit");
    }
    is_text(text_of(got), want, "its effects");
    uint32_t plain = FX_BIT(FX_BEGIN) | FX_BIT(FX_COMMIT) | FX_BIT(FX_ROLLBACK) |
                     FX_BIT(FX_SAVEPOINT) | FX_BIT(FX_RELEASE) | FX_BIT(FX_ROLLBACK_TO);
    ok(!effects_have(e, ~plain) || effects_maybe(text_of(sql)), "the cheap pass sees it");
    free(e);
}

static void settings(void)
{
    reads("SET a = 1", "set a=1");
    reads("set session App.\"Ten.ant\" to 'it''s'", "set app.ten.ant=it's");
    reads("SET LOCAL x TO on, off", "set_local x=on, off");
    reads("SET SESSION AUTHORIZATION bob", "set session_authorization=bob");
    reads("SET SESSION SESSION AUTHORIZATION DEFAULT", "reset session_authorization");
    reads("SET ROLE none", "set role=none");
    reads("SET role TO 'x'", "set role=x");
    reads("SET TIME ZONE 'UTC'", "set timezone=UTC");
    reads("SET NAMES 'latin1'", "set client_encoding=latin1");
    reads("SET SCHEMA 's'", "set search_path=s");
    reads("SET search_path TO \"A\", b", "set search_path=\"A\", b");
    reads("SET XML OPTION CONTENT", "set xmloption=CONTENT");
    reads("SET TRANSACTION READ ONLY", "");
    reads("SET LOCAL TRANSACTION READ ONLY", "");
    reads("SET CONSTRAINTS ALL DEFERRED", "");
    reads("SET session.x = 1", "set session.x=1");
    reads("SET SESSION session.x = 1", "set session.x=1");
    reads("SET local.x = 1", "set local.x=1");
    reads("SET LOCAL local.x = 1", "set_local local.x=1");
    reads("SET transaction.x = 1", "set transaction.x=1");
    reads("SET SESSION characteristics.x = 1", "set characteristics.x=1");
    reads("SET constraints.x = 1", "set constraints.x=1");
    reads("SET a123456789b123456789c123456789d123456789e123456789f123456789g123456789.x = 1",
          "set a123456789b123456789c123456789d123456789e123456789f123456789g12.x=1");
    reads("SET a.\xc3\x89 = 1", "set a.\xc3\x89=1, unknown");
    reads("SELECT U&\"set_config\"('a', 'b', false)", "unknown");
    reads("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
          "set default_transaction_isolation, set default_transaction_read_only, "
          "set default_transaction_deferrable");
    reads("SET x TO DEFAULT", "reset x");
    reads("SET x FROM CURRENT", "");
    reads("RESET ALL", "reset_all");
    reads("RESET time zone", "reset timezone");
    reads("RESET session authorization;RESET Role", "reset session_authorization, reset role");
    reads("RESET a.b;", "reset a.b");
    reads("SELECT set_config('A.b','v',false)", "set a.b=v");
    reads("SELECT pg_catalog.\"set_config\"('search_path', '', false);", "set search_path");
    reads("SELECT set_config('a','v',true)", "");
    reads("SELECT set_config('a'||x,'v',true), set_config(n, v, l) FROM t", "set=v");
    reads("SELECT set_config(name, $1, $2) FROM pg_settings", "set=$1");
    reads("UPDATE t SET a = 1 WHERE b", "");
    reads("SELECT 'SET a = 1'", "");
    reads("SELECT ';set a=1'", "");
    reads("SELECT 1; /* x */ -- y\n set a=1", "set a=1");
    reads("/* a */SELECT 1;;;set a=1", "set a=1");
    reads("DISCARD ALL;DISCARD TEMP;DISCARD PLANS;DISCARD SEQUENCES",
          "discard_all, discard_temp, discard_plans, discard_sequences");
}

static void others(void)
{
    reads("BEGIN; SAVEPOINT \"A\"; ROLLBACK TO a; RELEASE SAVEPOINT A; COMMIT",
          "begin, savepoint A, rollback_to a, release a, commit");
    reads("START TRANSACTION READ ONLY; ROLLBACK WORK TO SAVEPOINT s; ROLLBACK AND CHAIN",
          "begin, rollback_to s, rollback, begin");
    reads("ABORT; END AND NO CHAIN; COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'",
          "rollback, commit");
    reads("PREPARE TRANSACTION 'x'", "commit");
    reads("PREPARE p (int) AS SELECT $1", "prepare p=(int) AS SELECT $1");
    reads("PREPARE transaction AS SELECT 1", "prepare transaction=AS SELECT 1");
    reads("EXECUTE \"P\" (1, 'a')", "execute P=(1, 'a')");
    reads("EXPLAIN ANALYZE EXECUTE p(1)", "execute p=(1)");
    reads("CREATE TABLE x AS EXECUTE p", "execute p");
    reads("CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()", "");
    reads("DEALLOCATE PREPARE ALL; DEALLOCATE p; DEALLOCATE prepare",
          "deallocate, deallocate p, deallocate prepare");
    reads("LISTEN c; UNLISTEN c; UNLISTEN *; NOTIFY \"C\", 'pay'",
          "listen c, unlisten c, unlisten, notify C=pay");
    reads("SELECT pg_advisory_lock(1, 2), pg_try_advisory_lock_shared(3)", "lock=1, 2, lock=3");
    reads("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(1)", "");
    reads("SELECT pg_advisory_unlock(1), PG_ADVISORY_UNLOCK_ALL()", "unlock=1, unlock_all");
    reads("DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1", "hold c");
    reads("DECLARE c CURSOR FOR SELECT 1", "");
    reads("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1 WITH HOLD", "");
    reads("CLOSE c; CLOSE ALL", "close c, close");
    reads("CREATE TEMP TABLE t (a int)", "temp");
    reads("CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1", "temp");
    reads("SELECT 1 INTO TEMP t", "temp");
    reads("SELECT 1 INTO LOCAL TEMPORARY t", "temp");
    reads("CREATE TABLE pg_temp.x (a int)", "temp");
    reads("SELECT temp FROM weather WHERE temperature > 1", "");
    reads("LOAD 'x'; DO 'begin end'", "load=x, do");
    reads("SELECT lastval(), currval('s'), setseed(0.5)", "sequence, sequence=s, seed=0.5");
    reads("SELECT U&\"set\\005fconfig\"('a','b',false)", "unknown");
    reads("SET U&\"\\0061\" = 1", "unknown");
    reads("SELECT set_config('not closed", "unknown");
    reads("", "");
    reads(";;", "");

    struct effects *e = NULL;
    ok(effects_read(TEXT("SELECT '\\'; SET a = 1; --'"), true, &e) &&
           effects_have(e, FX_BIT(FX_UNKNOWN)),
       "backslashes where they escape");
    free(e);
    ok(effects_read(TEXT("SELECT 1;  SET a = 1 ;"), false, &e) && e->n == 1 &&
           e->list[0].off == 11 && e->list[0].end == 21 && e->n_statements == 2 &&
           e->list[0].leading,
       "places");
    free(e);
}

static void usual_texts(void)
{
    static const char *const none[] = {
        "SELECT abalance FROM pgbench_accounts WHERE aid = 1;",
        "/* app='x' */ SELECT * FROM employee WHERE created_timestamp > now() AND info = 'v'",
        "-- comment\nINSERT INTO example (server_id, complete) VALUES ($1, 'see; select')",
        "BEGIN",
        "COMMIT;",
        "BEGIN; UPDATE t SET a=1; COMMIT;",
        "(SELECT 1)",
        "SELECT pg_advisory_xact_lock(1)",
        "SHOW search_path",
        "",
        " ; ",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        ok(!effects_maybe(text_of(none[i])), "passed by: %s", none[i]);
    static const char *const some[] = {
        "SELECT 'x; set y'",       "SELECT \"temp\"",     "/* not closed",
        "SELECT 1; /* not closed", "SELECT 1;frobnicate",
    };
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        ok(effects_maybe(text_of(some[i])), "looked at: %s", some[i]);
    /* blanks behind very many semicolons cost linear time */
    static char many[400001];
    for (size_t i = 0; i + 5 <= sizeof(many); i += 5)
        memcpy(many + i, "; --x", 5);
    ok(effects_maybe(text_n(many, sizeof(many) - 1)), "a text made to be slow");
}

/* Many bytes are looked at together: what stands where in them does not matter. */
static void all_places(void)
{
    static const char *const words[] = {
        ";set", "set_CONFIG(", "TEMP ",  "pg_temp_3", "lastVal(", "CurrVal(",        "setsEEd(",
        "U&\"a", "u&\"a",      "; LOAD", ";;do",      " temp",    "pg_advisory_lock",
    };
    static const char *const fill[] = { " ", "a ", "n", "t " };
    char sql[200];

    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        int missed = 0, found = 0;
        for (size_t before = 0; before < 40; before++)
            for (size_t behind = 0; behind < 40; behind++) {
                const char *f = fill[(before + behind) % 4];
                size_t n = 0, word = strlen(words[w]);
                memcpy(sql, "select ", 7);
                for (n = 7; n < 7 + before; n++)
                    sql[n] = f[(n - 7) % strlen(f)];
                sql[n++] = ' ';
                found += effects_maybe(text_n(sql, n));
                memcpy(sql + n, words[w], word);
                n += word;
                sql[n++] = ' ';
                memset(sql + n, 'x', behind);
                n += behind;
                missed += !effects_maybe(text_n(sql, n));
            }
        ok(missed == 0 && found == 0, "%s wherever it stands (%d, %d)", words[w], missed, found);
    }
    ok(effects_maybe(TEXT(";set a=1 /* more than sixteen bytes */")), "the first byte");
    ok(effects_maybe(TEXT("selects it, more than sixteen bytes")), "a word like SELECT");
}

int main(void)
{
    settings();
    all_places();
    others();
    usual_texts();
    return tap_done();
}
