#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Tenants' sessions with real clients: asyncpg's and psycopg's cleaning and cursors, psql, pgbench.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, body text);
INSERT INTO notes SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'note ' || g FROM generate_series(1, 20) g;
SQL
my %db = (tx => 'pool_size=2 tenant_mode=rewrite', session => 'pool_size=6 pool_mode=session tenant_mode=rewrite',
    guc => 'pool_size=2 tenant_mode=rewrite tenant_guc=app.tenant_id', gucsession => 'pool_size=10 pool_mode=session tenant_mode=rewrite tenant_guc=app.tenant_id');
my $p = proxy(pg => $pg, databases => { map { ($_ => "dbname=postgres user=app $db{$_}") } keys %db },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { acme => '', beta => '' },
    set => { tenant_columns => 'tenant_id', worker_threads => 2, ignore_startup_parameters => 'extra_float_digits' });
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/tenant_session.py"], timeout => 120,
    env => { BH_HOST => '127.0.0.1', BH_PORT => $p->port, BH_USER => 'acme', BH_DB => 'tx' });
is($st, 0, 'the drivers run to their end') or diag("$out\n$err");
for my $l (split /\n/, $out) { ok($1 eq 'ok', $2) if $l =~ /^(ok|not ok) (.*)/ }
cmp_ok(scalar(() = $out =~ /^ok /mg), '>=', 20, 'and did their work');
# psql.
my $dsn = 'host=127.0.0.1 port=' . $p->port . ' user=acme dbname=tx';
($st, $out, $err) = psql($dsn, <<'SQL');
PREPARE q(int) AS SELECT max(tenant_id), count(*) FROM notes WHERE id > $1;
EXECUTE q(10);
EXECUTE q(0);
DEALLOCATE q;
\set FETCH_COUNT 3
SELECT DISTINCT tenant_id FROM notes;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM notes ORDER BY id FOR UPDATE;
FETCH 2 FROM c;
UPDATE notes SET body = 'x' WHERE CURRENT OF c;
ROLLBACK;
DISCARD ALL;
RESET ALL;
NOTIFY news, 'x';
LISTEN news;
SQL
is($out, "acme|5\nacme|10\nacme\n2\n4", 'psql: prepared statements and cursors') or diag($err);
unlike($err, qr/ERROR/, 'psql: LISTEN too');
($st, $out, $err) = psql($dsn =~ s/tx/session/r, "LISTEN news;\nNOTIFY news, 'heard';\nSELECT 1;\n");
like($out, qr/"news" with payload "heard"/, 'psql: hears itself');
# pgbench: each tenant reads only its own, whatever the protocol.
my $dir = work_dir();
spew("$dir/bench.sql", "\\set n random(0, 20)\nBEGIN;\nSELECT count(*), 1 / (CASE WHEN count(*) FILTER (WHERE tenant_id <> 'acme') = 0 THEN 1 ELSE 0 END) FROM notes WHERE id > :n;\nEND;\n");
chmod 0644, "$dir/bench.sql";
for my $m (qw(simple extended prepared)) {
    my ($s, $o) = pgbench($dsn, '-n', '-c', 4, '-t', 30, '-M', $m, '-f', "$dir/bench.sql");
    ok($s == 0 && $o =~ m{transactions actually processed: 120/120}, "pgbench -M $m") or diag($o);
}
finish();
