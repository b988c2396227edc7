#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# How a server reads a tenant's statement is pinned: encodings, standard_conforming_strings, search_path, whatever roles,
# databases and clients say; and what computes on a row before the tenant's condition cannot tell of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $schema = <<'SQL';
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL, title text, n int, pat text DEFAULT 'x');
INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g, g % 2 - 1 FROM generate_series(1, 20) g;
UPDATE docs SET n = CASE WHEN tenant_id = 'beta' THEN 0 ELSE 1 END, pat = CASE WHEN tenant_id = 'beta' THEN '(' ELSE 'x' END;
CREATE VIEW v_docs AS SELECT id, tenant_id, 1 / n AS q, 'x' ~ pat AS b FROM docs;
CREATE SCHEMA evil;
CREATE TABLE evil.docs (id int, tenant_id text, title text);
INSERT INTO evil.docs VALUES (1, 'acme', 'EVIL');
GRANT ALL ON SCHEMA public, evil TO app;
GRANT ALL ON ALL TABLES IN SCHEMA public, evil TO app;
SQL
$pg->sql("CREATE ROLE app LOGIN");
$pg->sql($schema);
my %enc = (latin1 => 'LATIN1', ascii => 'SQL_ASCII', eucjp => 'EUC_JP');
for my $db (sort keys %enc) {
    $pg->sql("CREATE DATABASE $db TEMPLATE template0 ENCODING '$enc{$db}' LC_COLLATE 'C' LC_CTYPE 'C'");
    $pg->sql($schema, $db);
}
$pg->sql("ALTER ROLE app SET $_") for "standard_conforming_strings = off", "client_encoding = 'SJIS'", "search_path = evil", "backslash_quote = on", "default_transaction_read_only = off";
$pg->sql("ALTER DATABASE postgres SET client_encoding = 'LATIN1'");
my $as = 'user=app catalog_user=postgres pool_size=2';
my $p = proxy(pg => $pg, databases => { db => "dbname=postgres $as tenant_mode=rewrite", strict => "dbname=postgres $as tenant_mode=reject",
        open => "dbname=postgres user=app pool_size=2 tenant_mode=off", map { ($_ => "dbname=$_ $as tenant_mode=rewrite") } keys %enc },
    users => { acme => 'tenant=acme', umlaut => "tenant=\x{c3}\x{a4}" }, auth => { map { ($_ => '') } qw(acme umlaut) },
    rules => ['public.v_docs = tenant_id'], set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 });
my $o = $p->connect('open', 'acme');
is($o->value('SHOW standard_conforming_strings'), 'off', 'without tenants the role has its say');
$o->close;
for my $db (qw(db strict)) {
    my $c = $p->connect($db, 'acme');
    is($c->value('SHOW client_encoding'), 'UTF8', "$db: client_encoding is UTF8");
    is($c->value('SHOW standard_conforming_strings'), 'on', "$db: standard_conforming_strings is on");
    is($c->value('SHOW search_path'), 'public', "$db: search_path is the one the rules reckon with");
    is($c->value("SELECT count(*) FROM docs WHERE tenant_id = 'acme'"), 10, "$db: and public.docs is meant");
    is($c->value("SELECT title FROM docs WHERE tenant_id = 'acme' AND title = 'title 2\\' OR tenant_id = 'acme' AND id = 2 --'"), 'title 2', "$db: a backslash does not lengthen a string") if $db eq 'db';
    is($c->value("SELECT length('\\')"), 1, "$db: nor does it escape");
    is($c->value("SELECT octet_length('\x{c3}\x{a9}')"), 2, "$db: text arrives as UTF8");
    for my $sql ("SET client_encoding = 'SJIS'", "SET client_encoding TO latin1", "SET NAMES 'BIG5'", "SET NAMES DEFAULT", "RESET client_encoding", "SET standard_conforming_strings = off",
        "SET standard_conforming_strings TO DEFAULT", "SET backslash_quote = on", "SET search_path = evil", "SELECT set_config('standard_conforming_strings', 'off', false)", "SET LOCAL client_encoding = 'GBK'") {
        my $r = $c->query($sql);
        my ($enc, $scs, $path) = map { $c->value("SHOW $_") } qw(client_encoding standard_conforming_strings search_path);
        is("$enc $scs $path", 'UTF8 on public', "$db: pinned after $sql") or diag($r->{error} ? $r->{error}{M} : 'passed');
    }
    ok(!$c->query("SET client_encoding = 'utf-8'")->{error}, "$db: UTF8 may be set");
    ok(!$c->query('SET standard_conforming_strings = on')->{error}, "$db: and strings as they are");
    $c->close;
}
# At start-up.
for my $enc (qw(SJIS BIG5 GBK GB18030 UHC JOHAB SHIFT_JIS_2004 LATIN1 WIN1252 SQL_ASCII EUC_JP MULE_INTERNAL nonsense)) {
    rejects($p, 'db', 'acme', undef, qr/UTF8|encoding/i, "client_encoding=$enc at start-up is refused", params => { client_encoding => $enc });
}
for my $enc ('UTF8', 'utf-8', "'utf-8'", 'Unicode') {
    my $c = $p->connect('db', 'acme', params => { client_encoding => $enc });
    is($c->value('SHOW client_encoding'), 'UTF8', "client_encoding=$enc is UTF8");
    $c->close;
}
rejects($p, 'db', 'acme', undef, qr/./, "$_ at start-up is refused", params => { options => $_ })
    for '-c standard_conforming_strings=off', '-c backslash_quote=on', '-c search_path=evil', '--client-encoding=SJIS', '-c client_encoding=LATIN1';
# Databases in other encodings: ASCII statements only; what is bound is not read as SQL.
for my $db (sort keys %enc) {
    my $c = $p->connect($db, 'acme');
    is($c->value('SELECT count(*) FROM docs'), 10, "$enc{$db}: ASCII statements work");
    error_is($c->query("SELECT '\x{c3}\x{a9}'"), '0A000', qr/encoding/, "$enc{$db}: others are refused");
    error_is($c->query("SELECT 1 AS \x{c3}\x{89}"), '0A000', qr/encoding/, "$enc{$db}: names too");
    error_is($c->query('SELECT id FROM U&"d\006Fcs"'), '0A000', qr/encoding/, "$enc{$db}: and names with escapes");
    is($c->value('SELECT id FROM "docs" ORDER BY 1 LIMIT 1'), 2, "$enc{$db}: quoted names are good");
    my $v = $enc{$db} eq 'EUC_JP' ? "\x{e3}\x{81}\x{82}" : "\x{c3}\x{a9}";
    is(row_values($c->ext('SELECT $1::text', [$v])), $v, "$enc{$db}: a bound value comes back");
    $c->close;
    my $u = $p->connect($db, 'umlaut');
    error_is($u->query('SELECT count(*) FROM docs'), '42501', qr/claim/, "$enc{$db}: a tenant's value is ASCII");
    $u->close;
}
my $u = $p->connect('db', 'umlaut');
is($u->value('SELECT count(*) FROM docs'), 0, 'in UTF8 it need not be');
$u->close;
# A view's column computes: in reject mode, too, nothing of a foreign row may be told by its error.
for my $db (qw(db strict)) {
    my $c = $p->connect($db, 'acme');
    is($c->value("SELECT count(*) FROM v_docs WHERE b AND tenant_id = 'acme'"), 10, "$db: what costs as much as the tenant's condition");
    is($c->value("SELECT count(*) FROM v_docs WHERE q > 0 AND tenant_id = 'acme'"), 10, "$db: a view's column is tested on own rows only");
    is($c->value("SELECT count(*) FROM v_docs WHERE tenant_id = 'acme' AND q = ANY (ARRAY[1])"), 10, "$db: with ANY");
    is($c->value("SELECT count(*) FROM docs d JOIN v_docs v ON v.id = d.id AND v.tenant_id = 'acme' WHERE d.tenant_id = 'acme' AND v.q IN (1, 2)"), 10, "$db: in a join");
    $c->close;
}
finish();
