#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The extended query protocol: portals, Flush, pipelines, errors that skip up to Sync, formats, describing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 2 });
my $c = $p->connect('test');
my $t = sub { Bulkhead::Wire->types($_[0]{msgs}) };
my $r = $c->ext('SELECT $1::int + 1, $2::text', [41, "it's"]);
is(row_values($r), "42|it's", 'parameters');
is($t->($r), '12TDCZ', 'the usual answers');
$r = $c->ext('SELECT $1::int4, $2::text', [{ int4 => -7 }, undef], formats => [1, 0], results => [1, 0]);
is(unpack('l>', $r->{results}[0]{rows}[0][0]), -7, 'binary both ways');
ok(!defined $r->{results}[0]{rows}[0][1], 'NULL stays NULL');
$r = $c->ext('', []);
is($t->($r), '12nIZ', 'an empty statement');
# Describe of a statement alone.
$c->cork; $c->parse('', 'SELECT $1::int AS n, $2::uuid'); $c->describe('S', ''); $c->sync; $c->uncork;
$r = $c->finish;
is($t->($r), '1tTZ', 'Describe of a statement');
is(join(',', unpack 'n N*', $r->{msgs}[1][1]), '2,23,2950', 'its parameter types');
# Flush without Sync.
$c->cork; $c->parse('', 'SELECT 5'); $c->describe('S', ''); $c->flush; $c->uncork;
is(join('', map { $_->[0] } @{ $c->read_until('Tn') }), '1tT', 'Flush brings the answers');
$c->cork; $c->bind('', ''); $c->execute(''); $c->flush; $c->uncork;
is(join('', map { $_->[0] } @{ $c->read_until('C') }), '2DC', 'and again, the server kept');
$c->sync;
is($t->($c->finish), 'Z', 'Sync ends it');
# A portal in steps.
$c->query('BEGIN');
$c->cork; $c->parse('', 'SELECT g FROM generate_series(1, 10) g'); $c->bind('pt', ''); $c->execute('pt', 4); $c->flush; $c->uncork;
$r = { msgs => $c->read_until('sCE') };
is($t->($r), '12DDDDs', 'four rows, then suspended');
$c->cork; $c->execute('pt', 100); $c->sync; $c->uncork;
$r = $c->finish;
is($t->($r), 'DDDDDDCZ', 'then the rest');
$c->cork; $c->close_name('P', 'pt'); $c->execute('pt', 1); $c->sync; $c->uncork;
$r = $c->finish;
is($t->($r), '3EZ', 'a closed portal is gone');
error_is($r, '34000', qr/portal "pt" does not exist/, 'with the server\'s error');
$c->query('ROLLBACK');
# A pipeline of ten statements, one Sync.
$c->cork;
for (1 .. 10) { $c->parse('', "SELECT $_"); $c->bind('', ''); $c->execute('') }
$c->sync;
$c->uncork;
$r = $c->finish;
is(join(',', map { $_->{rows}[0][0] } @{ $r->{results} }), join(',', 1 .. 10), 'ten statements under one Sync');
# An error in the middle: nothing up to Sync, then all is well.
$c->cork;
for my $q ('SELECT 1', 'SELECT 1/0', 'SELECT 3') { $c->parse('', $q); $c->bind('', ''); $c->execute('') }
$c->sync;
$c->parse('', 'SELECT 4'); $c->bind('', ''); $c->execute(''); $c->sync;
$c->uncork;
$r = $c->finish;
is($t->($r), '12DC1EZ', 'messages after an error are skipped up to Sync');
error_is($r, '22012', qr/division/, 'one error only');
is(row_values($c->finish), 4, 'the next batch runs');
# Several Syncs in one write.
$c->cork;
for (1 .. 20) { $c->parse('', "SELECT $_ * 2"); $c->bind('', ''); $c->execute(''); $c->sync }
$c->uncork;
is(join(',', map { row_values($c->finish) } 1 .. 20), join(',', map { $_ * 2 } 1 .. 20), 'twenty batches in one packet');
# Sync alone, many of them.
$c->cork; $c->sync for 1 .. 5; $c->uncork;
is(join('', map { $t->($c->finish) } 1 .. 5), 'ZZZZZ', 'five Syncs, five answers');
# Simple and extended mixed in one packet.
$c->cork; $c->send_query('SELECT 1'); $c->parse('', 'SELECT 2'); $c->bind('', ''); $c->execute(''); $c->sync; $c->send_query('SELECT 3'); $c->uncork;
is(join(',', map { row_values($c->finish) } 1 .. 3), '1,2,3', 'both protocols in one packet');
# Errors of names.
$c->cork; $c->bind('', 'nothing_here'); $c->execute(''); $c->sync; $c->uncork;
SKIP: {
    skip 'PgBouncer 1.18', 2 unless ours();
    $r = $c->finish;
    error_is($r, '26000', qr/prepared statement "nothing_here" does not exist/, 'an unknown statement');
    is($c->value('SELECT 11'), 11, 'keeps the connection');
}
# 500 parameters and long rows.
my $d = $p->connect('test');
$r = $d->ext('SELECT ' . join('||', map { "\$$_\::text" } 1 .. 500), [map { "<$_>" } 1 .. 500]);
is($r->{results}[0]{rows}[0][0], join('', map { "<$_>" } 1 .. 500), '500 parameters');
$r = $d->ext('SELECT length($1)', ['q' x 1_500_000]);
is(row_values($r), 1500000, 'a parameter of 1.5 MB');
# Leaving in the middle of a batch: the server is not handed on dirty.
for my $i (1 .. 5) {
    my $e = $p->connect('test');
    $e->cork; $e->parse('', "SELECT $i"); $e->bind('', ''); $e->execute(''); $e->flush; $e->uncork;
    $e->read_until('C');
    $e->abort;
}
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 6), '1,2,3,4,5,6', 'clean servers after clients left in mid-batch');
finish();
