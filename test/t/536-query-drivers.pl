#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW QUERIES behind real drivers: what they prepare, pipeline, fetch in parts and copy is counted under one template.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { map { ($_ => 'dbname=postgres pool_size=2') } qw(three two async bench) }, set => { worker_threads => $ENV{BH_WORKERS} // 2 });
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/queries.py"], env => { BH_HOST => '127.0.0.1', BH_PORT => $p->port }, timeout => 90);
is($st, 0, 'the drivers run to their end') or diag("$out\n$err");
my $all = $p->console('SHOW QUERIES');
# calls|errors|rows
my $is = sub {
    my ($db, $like, $want, $name) = @_;
    my @r = grep { $_->{database} eq $db && $_->{template} =~ $like } @$all;
    is(@r == 1 ? join('|', @{ $r[0] }{qw(calls errors rows)}) : scalar(@r) . ' templates', $want, $name) or diag(join "\n", map { "$_->{database}: $_->{template} $_->{calls}" } @$all);
};
$is->('three', qr/driver_three/, '12|0|12', 'psycopg 3: prepared after a while');
$is->('three', qr/piped/, '10|0|10', 'psycopg 3: a pipeline');
$is->('three', qr/before_error/, '1|0|1', 'psycopg 3: what stands before an error in a pipeline');
$is->('three', qr/failing/, '1|1|0', 'psycopg 3: the error');
ok(!(grep { $_->{template} =~ /skipped/ } @$all), 'psycopg 3: what was skipped did not run');
$is->('three', qr/^COPY copied/, '1|0|30', 'psycopg 3: COPY');
$is->('three', qr/^DECLARE "named"/, '1|0|0', 'psycopg 3: a cursor');
$is->('three', qr/^FETCH/, '2|0|30', 'psycopg 3: fetched in parts');
$is->('two', qr/driver_two/, '7|0|7', 'psycopg2: values within the text');
$is->('async', qr/driver_async/, '5|0|5', 'asyncpg: prepared');
$is->('async', qr/ many$/, '8|0|8', 'asyncpg: executemany');
my ($cur) = grep { $_->{template} =~ /by_cursor/ } @$all;
is($cur->{calls}, 3, 'asyncpg: a portal in three parts');
my $dsn = 'host=127.0.0.1 port=' . $p->port . ' user=postgres dbname=bench';
($st, $out) = pgbench($dsn, '-i', '-q');
is($st, 0, 'pgbench -i') or diag($out);
for my $mode (qw(simple extended prepared)) {
    $p->console('RESET QUERIES', raw => 1);
    ($st, $out) = pgbench($dsn, '-M', $mode, qw(-c 4 -j 2 -t 50 -n));
    is($st, 0, "pgbench -M $mode") or diag($out);
    $all = $p->console('SHOW QUERIES');
    $is->('bench', qr/^UPDATE pgbench_branches/, '200|0|200', 'its statements');
    $is->('bench', qr/^INSERT INTO pgbench_history/, '200|0|200', 'all of them');
    $is->('bench', qr/^SELECT abalance/, '200|0|200', 'whatever their values');
}
($st, $out) = psql($dsn =~ s/dbname=bench/dbname=pgbouncer/r =~ s/user=postgres/user=bhadmin password=bhadmin/r, 'SHOW QUERIES LIMIT 2');
is($st, 0, 'psql: SHOW QUERIES');
is(scalar(split /\n/, $out), 2, 'psql: LIMIT');
unlike(join(' ', map { $_->{template} } @{ $p->console('SHOW QUERIES') }), qr/Sesame/, 'no value anywhere');
finish();
