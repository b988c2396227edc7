#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The simple query protocol: results, errors, notices, empty and multiple statements, large messages both ways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' });
my $c = $p->connect('test');
my $r = $c->query("SELECT 1 AS a, 'two' AS b, NULL AS c");
is(row_values($r), '1|two|NULL', 'a row');
is(join(',', map { "$_->{name}:$_->{type}" } @{ $r->{results}[0]{cols} }), 'a:23,b:25,c:25', 'its description');
is($r->{results}[0]{tag}, 'SELECT 1', 'its tag');
is($r->{status}, 'I', 'idle afterwards');
is(Bulkhead::Wire->types($c->query('')->{msgs}), 'IZ', 'an empty query');
is(Bulkhead::Wire->types($c->query('-- only a comment')->{msgs}), 'IZ', 'a comment alone');
is(Bulkhead::Wire->types($c->query('SELECT 1; SELECT 2; SELECT 3')->{msgs}), 'TDCTDCTDCZ', 'three statements');
$r = $c->query('SELECT 1; SELECT 1/0; SELECT 3');
is(Bulkhead::Wire->types($r->{msgs}), 'TDCEZ', 'an error in the middle ends the list');
error_is($r, '22012', qr/division by zero/, 'with the server\'s state and text');
error_is($c->query('SELEC 1'), '42601', qr/syntax error at or near "SELEC"/, 'a syntax error');
is($c->query('BEGIN')->{status}, 'T', 'in a transaction');
is($c->query('SELECT 1/0')->{status}, 'E', 'in a failed one');
error_is($c->query('SELECT 1'), '25P02', qr/current transaction is aborted/, 'which stays failed');
is($c->query('ROLLBACK')->{status}, 'I', 'until rolled back');
$r = $c->query("DO \$\$ BEGIN RAISE NOTICE 'hello %', 42; RAISE WARNING 'careful'; END \$\$");
is(join('|', map { "$_->{S} $_->{M}" } @{ $r->{notices} }), 'NOTICE hello 42|WARNING careful', 'notices in order');
is(row_values($c->query("SELECT length(repeat('x', 3000000))")), 3000000, 'a function over much');
$r = $c->query("SELECT repeat('y', 3000000)");
is(length $r->{results}[0]{rows}[0][0], 3000000, 'a row of 3 MB arrives');
my $big = 'z' x 2_000_000;
is(row_values($c->query("SELECT length('$big')")), 2000000, 'a query of 2 MB is passed on');
$r = $c->query('SELECT g, md5(g::text) FROM generate_series(1, 20000) g');
is(scalar @{ $r->{results}[0]{rows} }, 20000, '20000 rows');
is($r->{results}[0]{rows}[19999][0], 20000, 'in order');
is(row_values($c->query("SELECT 'Zo\x{c3}\x{ab} \x{e6}\x{a0}\x{aa}'")), "Zo\x{c3}\x{ab} \x{e6}\x{a0}\x{aa}", 'UTF-8 untouched');
# Several queries in one write: answers in order.
$c->cork;
$c->send_query("SELECT $_") for 1 .. 50;
$c->uncork;
is(join(',', map { row_values($c->finish) } 1 .. 50), join(',', 1 .. 50), '50 queries in one packet');
# A query in pieces, byte by byte.
my $m = 'Q' . pack('N', 4 + 11) . "SELECT 99;\0";
for my $b (split //, $m) { $c->send_raw($b); sleep 0.002 }
is(row_values($c->finish), 99, 'a query dripped byte by byte');
$c->close;
# Same over many short connections.
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 30), join(',', 1 .. 30), '30 connections');
my $n = $pg->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
cmp_ok($n, '<=', 2, "few servers were needed ($n)");
finish();
