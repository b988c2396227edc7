#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Time limits: idle clients and transactions, running queries, idle and old servers, waiting for logins.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $set = sub { proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => {@_}) };
my $servers = sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()") };

my $p = $set->(client_idle_timeout => 2);
my $c = $p->connect('test');
is($c->value('SELECT 1'), 1, 'client_idle_timeout: works');
my $m = eval { $c->read_msg(6) };
like($m ? Bulkhead::Wire::decode_fields($m->[1])->{M} : 'closed', qr/client_idle_timeout|closed/, 'client_idle_timeout: said');
ok($c->wait_eof, 'client_idle_timeout: ended');
$p->stop; $p->{expect_exit} = 1;

$p = $set->(idle_transaction_timeout => 1);
$c = $p->connect('test');
$c->query('BEGIN');
$m = eval { $c->read_msg(6) };
like($m ? Bulkhead::Wire::decode_fields($m->[1])->{M} : 'closed', qr/idle transaction timeout|closed/, 'idle_transaction_timeout: said');
ok($c->wait_eof, 'idle_transaction_timeout: ended');
$c = $p->connect('test');
for (1 .. 4) { $c->query('SELECT 1'); sleep 0.4 }
is($c->value('SELECT 2'), 2, 'idle_transaction_timeout: idle outside is no matter');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") }, 5), 'the server was not left in its transaction');
$p->stop; $p->{expect_exit} = 1;

$p = $set->(query_timeout => 3);
$c = $p->connect('test');
my $t = time;
my $r = eval { $c->query('SELECT pg_sleep(20)') };
like($r && $r->{error} ? $r->{error}{M} : 'closed', qr/query[_ ]timeout|closed/, 'query_timeout: said');
cmp_ok(time - $t, '<', 19, 'query_timeout: in time');
is($p->connect('test')->value('SELECT 3'), 3, 'query_timeout: others go on');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()") }, 25), 'query_timeout: the server is let go');
$p->stop; $p->{expect_exit} = 1;

$p = $set->(server_idle_timeout => 100, min_pool_size => 0);
$c = $p->connect('test');
$c->query('SELECT 1');
ok(wait_for(sub { $servers->() == 1 }), 'server_idle_timeout: a server');
$p->console('SET server_idle_timeout = 1');
ok(wait_for(sub { $servers->() == 0 }, 8), 'server_idle_timeout: closed when idle');
is($c->value('SELECT 4'), 4, 'server_idle_timeout: the client does not notice');
$p->stop; $p->{expect_exit} = 1;

$p = $set->(server_lifetime => 2);
$t = time;
$c = $p->connect('test');
my $pid = $c->value('SELECT pg_backend_pid()');
my $new;
while (time < $t + 60) { $new = $c->value('SELECT pg_backend_pid()'); last if $new != $pid; sleep 0.1 }
isnt($new, $pid, 'server_lifetime: replaced');
cmp_ok(time - $t, '>=', 1, 'server_lifetime: not before its time');
$c->query('BEGIN');
$pid = $c->value('SELECT pg_backend_pid()');
sleep 3;
is($c->value('SELECT pg_backend_pid()'), $pid, 'server_lifetime: never inside a transaction');
$c->query('COMMIT');
$p->stop; $p->{expect_exit} = 1;

if (ours()) {
    $p = $set->(transaction_timeout => 1);
    $c = $p->connect('test');
    $c->query('BEGIN');
    my $ended = 0;
    for (1 .. 100) { $r = eval { $c->query('SELECT 1') }; if (!$r || $r->{error} || $c->{eof}) { $ended = 1; last } sleep 0.25 }
    ok($ended, 'transaction_timeout: a busy transaction ends as well');
    $p->stop; $p->{expect_exit} = 1;

    $p = $set->(query_wait_notify => 1, default_pool_size => 1);
    my $h = $p->connect('test');
    $h->query('BEGIN');
    $c = $p->connect('test');
    $c->send_query('SELECT 1');
    ok($c->readable(60), 'query_wait_notify: something is said');
    $h->query('COMMIT');
    $r = $c->finish;
    like(join('', map { $_->{M} } @{ $r->{notices} }), qr/No server connection available in postgres backend, client being queued/, 'query_wait_notify: a notice');
    is(row_values($r), 1, 'query_wait_notify: and the answer');
    $p->stop; $p->{expect_exit} = 1;

    $p = proxy(pg => $pg, databases => { test => 'dbname=postgres min_pool_size=3 user=postgres' }, set => {});
    ok(wait_for(sub { $servers->() == 3 }, 8), 'min_pool_size: kept warm for a forced user');
}
finish();
