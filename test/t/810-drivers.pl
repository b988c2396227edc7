#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Real drivers: psycopg 3, psycopg2 and asyncpg in transaction pooling, libpq's COPY, psql, pg_dump, DBD::Pg.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
$pg->sql("CREATE TABLE items (id int PRIMARY KEY, name text, data jsonb)");
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 3, ignore_startup_parameters => 'extra_float_digits', worker_threads => $ENV{BH_WORKERS} // 2 });
my @env = (BH_HOST => '127.0.0.1', BH_PORT => $p->port, BH_USER => 'postgres', BH_DB => 'test');
for my $script (qw(psycopg3 psycopg2 asyncpg)) {
    if (!ours() && $script ne 'psycopg2') { next }
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/$script.py"], env => {@env}, timeout => 90);
    my @l = split /\n/, $out;
    is($st, 0, "$script runs to its end") or diag("$out\n$err");
    for my $l (@l) { next unless $l =~ /^(ok|not ok) (.*)/; ok($1 eq 'ok', "$script: $2") }
    ok(scalar(grep { /^ok/ } @l) >= 4, "$script: did its work");
}
# DBD::Pg.
SKIP: {
    skip 'PgBouncer', 1 unless ours();
    eval { require DBI; require DBD::Pg; 1 } or do { fail("DBD::Pg is missing: $@"); last SKIP };
    my $d = DBI->connect('dbi:Pg:host=127.0.0.1;port=' . $p->port . ';dbname=test', 'postgres', '', { RaiseError => 1, PrintError => 0 });
    my $s = $d->prepare('SELECT ?::int * 2');
    my @v;
    for (1 .. 5) { $s->execute($_); push @v, $s->fetchrow_array }
    is("@v", '2 4 6 8 10', 'DBD::Pg: a prepared statement');
    $d->begin_work;
    $d->do('INSERT INTO items VALUES (900, ?)', undef, 'dbd');
    $d->rollback;
    is($d->selectrow_array("SELECT count(*) FROM items WHERE id = 900"), 0, 'DBD::Pg: rollback');
    ok($d->ping, 'DBD::Pg: ping');
    undef $s;
    $d->disconnect;
}
# psql's own catalogue queries and a cursor by FETCH_COUNT.
my $dsn = 'host=127.0.0.1 port=' . $p->port . ' user=postgres dbname=test';
my ($st, $out, $err) = psql($dsn, "\\d items\n\\dt\n\\df\n\\l\n");
is($st, 0, 'psql: \d, \dt, \df, \l') or diag($err);
like($out, qr/items/, 'psql: shows the table');
($st, $out, $err) = psql($dsn, "\\set FETCH_COUNT 10\nSELECT g FROM generate_series(1, 35) g;\n");
is($out, join("\n", 1 .. 35), 'psql: FETCH_COUNT') or diag($err);
# pg_dump needs one server throughout.
my ($dst, $dout, $derr) = run_cmd(argv => ['/usr/bin/pg_dump', '-h', '127.0.0.1', '-p', $p->port, '-U', 'postgres', '-t', 'items', 'test'], timeout => 60);
is($dst, 0, 'pg_dump') or diag($derr);
like($dout, qr/CREATE TABLE public\.items/, 'pg_dump: has the table');
finish();
