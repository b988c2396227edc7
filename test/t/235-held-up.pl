#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What must not hold up, or cost, anybody else: a paused pool in line for a limit, a user at its limit, a listening connection that is to be replaced.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg(conf => { max_connections => 60 });
$pg->sql("CREATE ROLE $_ LOGIN") for qw(d e);
my $evicted = sub { my ($p, $who) = @_; return scalar grep { m{ \Q$who\E\@\S+ closing because: evicted} } split /\n/, $p->log_text };

# A pool that waits for its user's limit is paused: the pool behind it in line is served.
my $p = proxy(pg => $pg, databases => { map { ($_ => 'dbname=postgres pool_size=4') } qw(h0 h1 h2) }, users => { d => 'max_user_connections=1' }, auth => { d => '' },
    set => { worker_threads => 1, query_wait_timeout => 60 });
my @c = map { $p->connect("h$_", 'd') } 0 .. 2;
$c[0]->query('BEGIN');
$c[1]->send_query('SELECT 1');
ok(!$c[1]->readable(0.3), 'a pool waits for max_user_connections');
$p->console('PAUSE h1', raw => 1);
$c[2]->send_query('SELECT 2');
ok(!$c[2]->readable(0.3), 'and another one behind it');
$c[0]->query('COMMIT');
is(eval { row_values($c[2]->finish(timeout => 10)) } // $@, 2, 'the second is served while the first is paused');
ok(!$c[1]->readable(0.3), 'which still waits');
$p->console('RESUME h1', raw => 1);
is(eval { row_values($c[1]->finish(timeout => 20)) } // $@, 1, 'until RESUME');
$p->stop;

# A user that is at its limit, with clients that wait: servers of others of the database are of no use to it.
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres pool_size=8' }, users => { d => 'max_user_connections=1' }, auth => { d => '', e => '' },
    set => { worker_threads => 4, query_wait_timeout => 60 });
my @e = map { $p->connect('db', 'e') } 1 .. 8;
$_->send_query('SELECT pg_sleep(0.5)') for @e;
$_->finish for @e;
my ($d, $more) = map { $p->connect('db', 'd') } 1, 2;
my $before = $evicted->($p, 'db/e');
$d->query('BEGIN');
$more->send_query('SELECT 3');
ok(!$more->readable(1), 'a client waits for max_user_connections');
is($evicted->($p, 'db/e') - $before, 0, "no server of the database's other user is closed for it");
$d->query('COMMIT');
is(row_values($more->finish(timeout => 20)), 3, 'it is served when there is room');
$p->stop;

# RECONNECT, and another target: the connection that listens is replaced, too. Who listens is told, as when it is lost.
$pg->sql('CREATE DATABASE other');
$p = proxy(pg => $pg, databases => { l => 'dbname=postgres pool_size=2' }, set => { worker_threads => $ENV{BH_WORKERS} // 2 });
my $listener = sub { my ($s) = grep { $_->{state} eq 'listener' } @{ $p->console('SHOW SERVERS') }; return $s ? $s->{remote_pid} : '' };
my ($w, $l) = map { $p->connect('l') } 1, 2;
$l->query('LISTEN news');
my $first = $listener->();
ok($first, 'a connection listens');
$p->console('RECONNECT l', raw => 1);
ok($l->wait_eof(10), 'RECONNECT: who listened is told');
isnt($listener->(), $first, 'the connection is closed');
is(eval { $p->console('WAIT_CLOSE l', raw => 1, timeout => 10)->{results}[0]{tag} } // $@, 'WAIT_CLOSE', 'WAIT_CLOSE ends');
$l = $p->connect('l');
$l->query('LISTEN news');
$p->{databases}{l} = 'dbname=other pool_size=2';
$p->reload;
ok($l->wait_eof(10), 'RELOAD with another target: told as well');
$l = $p->connect('l');
$l->query('LISTEN news');
$w->query("NOTIFY news, 'there'");
ok($l->readable(10), 'heard where the servers are now');
is(scalar $p->complaints, 0, 'clean log');
finish();
