#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Session, transaction and statement pooling: when a server is kept and when it is given back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => {
        sess => 'dbname=postgres pool_mode=session', xact => 'dbname=postgres pool_mode=transaction', stmt => 'dbname=postgres pool_mode=statement',
    }, set => { default_pool_size => 2, query_wait_timeout => 60 }, users => { smith => 'pool_mode=session' }, auth => { smith => '' });
$pg->sql('CREATE ROLE smith LOGIN');
my $pid = sub { $_[0]->value('SELECT pg_backend_pid()') };

# session: one server for as long as the client stays, reset afterwards.
my ($a, $b) = map { $p->connect('sess') } 1, 2;
my ($pa, $pb) = ($pid->($a), $pid->($b));
isnt($pa, $pb, 'session: a server each');
is($pid->($a), $pa, 'session: the same one all the time');
$a->query("SET work_mem = '7MB'; CREATE TEMP TABLE mine (x int)");
is($a->value('SHOW work_mem'), '7MB', 'session: settings stay');
$p->console('SET query_wait_timeout = 1');
my $c = $p->connect('sess', undef, no_die => 1);
my $r = $c->{error} ? { error => $c->{error} } : $c->query('SELECT 1');
like($r->{error}{M} // '', qr/query_wait_timeout/, 'session: a third client waits in vain');
$p->console('SET query_wait_timeout = 60');
$a->close;
my $d = $p->connect('sess');
is($pid->($d), $pa, 'session: the server is handed on');
is($d->value('SHOW work_mem'), $pg->value('SHOW work_mem'), 'session: with settings reset');
is($d->value("SELECT count(*) FROM pg_class WHERE relname = 'mine'"), 0, 'session: and temporary tables gone');
$_->close for $b, $d;

# transaction: given back at its end.
my @t = map { $p->connect('xact') } 1 .. 6;
is(join(',', map { $_->value('SELECT 1') } @t), '1,1,1,1,1,1', 'transaction: six clients on two servers');
$t[0]->query('BEGIN');
my $p0 = $pid->($t[0]);
isnt($pid->($_), $p0, 'transaction: others do not get the server of an open transaction') for @t[1 .. 3];
is($pid->($t[0]), $p0, 'transaction: it stays inside');
$t[0]->query('COMMIT');
$_->query('BEGIN') for @t[1, 2];
my ($p1, $p2) = map { $pid->($_) } @t[1, 2];
ok($p1 == $p0 || $p2 == $p0, 'transaction: after COMMIT others get it');
$t[3]->send_query('SELECT 3');
ok(!$t[3]->readable(0.3), 'transaction: a third waits while both are taken');
$t[1]->query('SELECT 1/0');
ok(!$t[3]->readable(0.2), 'transaction: a failed transaction is still one');
$t[1]->query('ROLLBACK');
is(row_values($t[3]->finish), 3, 'transaction: and is served after ROLLBACK');
# A client that vanishes inside its transaction: rolled back, never inherited.
$t[2]->query('CREATE TABLE ghost (x int)');
$t[2]->abort;
my $n = 0;
for my $i (1 .. 6) { $n++ if $t[4]->value('SELECT txid_current_if_assigned() IS NULL') ne 't' }
is($n, 0, 'transaction: nobody inherits an open transaction');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_class WHERE relname = 'ghost'") }), 'transaction: what it did is undone');

# statement: no transactions.
my ($s, $s2) = map { $p->connect('stmt') } 1, 2;
is($s->value('SELECT 5'), 5, 'statement: queries work');
$r = $s->query('BEGIN');
my $m = $r->{error} // do { my $x = $s->read_msg; $x && $x->[0] eq 'E' ? Bulkhead::Wire::decode_fields($x->[1]) : {} };
like($m->{M} // '', qr/transaction blocks not allowed in statement pooling mode/, 'statement: BEGIN is refused');
ok($s->wait_eof(5), 'statement: and the client dropped');
is($s2->value('SELECT 6'), 6, 'statement: others go on');
is($s2->value('SELECT 1; SELECT 2'), 2, 'statement: several statements in one query');

# [users] pool_mode.
my @u = map { $p->connect('xact', 'smith') } 1, 2;
is($pid->($u[0]), $pid->($u[0]), 'user with pool_mode=session keeps a server');
isnt($pid->($u[0]), $pid->($u[1]), 'of its own');
finish();
