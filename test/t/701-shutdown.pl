#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The end of the process: SIGTERM drains clients, SIGINT servers, SIGQUIT leaves at once, SHUTDOWN in its variants.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $make = sub { my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => {@_}); $p->{expect_exit} = 1; return $p };
my $ended = sub { my ($p, $t) = @_; return wait_for(sub { defined($p->{status} = reap($p->{pid})) }, $t) };
my $refuses = sub { my ($p) = @_; return wait_for(sub { !IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $p->port, Timeout => 1) }) };
my $end = sub {
    my ($p, $name) = @_;
    ok($ended->($p, 10), "$name: the process ends");
    is($p->{status}, 0, "$name: with status 0");
    is(scalar $p->complaints, 0, "$name: with a clean log") or diag(join "\n", $p->complaints);
    delete $p->{pid};
};

my $p = $make->();
my $c = $p->connect('test');
$c->query('BEGIN');
kill 'QUIT', $p->pid;
$end->($p, 'SIGQUIT');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") }, 5), 'SIGQUIT: servers are let go');

$p = $make->();
$c = $p->connect('test');
$c->query('BEGIN');
kill 'TERM', $p->pid;
ok($refuses->($p), 'SIGTERM: no new clients');
is($c->value('SELECT 1'), 1, 'SIGTERM: the client goes on');
$c->query('COMMIT');
is($c->value('SELECT 2'), 2, 'SIGTERM: as long as it likes');
ok(!$ended->($p, 0.3), 'SIGTERM: the process waits for it');
$c->close;
$end->($p, 'SIGTERM');

$p = $make->();
$c = $p->connect('test');
$c->query('SELECT 1');
kill 'TERM', $p->pid;
$p->wait_log(qr/got SIGTERM/);
kill 'TERM', $p->pid;
$end->($p, 'a second SIGTERM');

$p = $make->();
$c = $p->connect('test');
$c->query('BEGIN');
kill 'INT', $p->pid;
sleep 0.3;
is(eval { $c->value('SELECT 3') } // $@, 3, 'SIGINT: an open transaction goes on');
$c->query('COMMIT');
$end->($p, 'SIGINT');

$p = $make->();
$c = $p->connect('test');
eval { $p->console('SHUTDOWN', raw => 1, no_die => 1) };
$end->($p, 'SHUTDOWN');

$p = $make->();
$c = $p->connect('test');
$c->query('SELECT 1');
eval { $p->console('SHUTDOWN WAIT_FOR_CLIENTS', raw => 1, no_die => 1) };
is($c->value('SELECT 4'), 4, 'SHUTDOWN WAIT_FOR_CLIENTS: the client goes on');
$c->close;
$end->($p, 'SHUTDOWN WAIT_FOR_CLIENTS');

$p = $make->();
$c = $p->connect('test');
kill 'USR1', $p->pid;
ok(wait_for(sub { grep { $_->{key} eq 'paused' && $_->{value} eq 'yes' } @{ $p->console('SHOW STATE') } }), 'SIGUSR1 is heard');
$c->send_query('SELECT 5');
ok(!$c->readable(0.3), 'SIGUSR1 pauses');
kill 'USR2', $p->pid;
is(row_values($c->finish), 5, 'SIGUSR2 resumes');
kill 'QUIT', $p->pid;
$end->($p, 'SIGQUIT with a client');

# Ended while clients are in every stage: waiting, in login, in a query, in COPY.
$p = $make->(default_pool_size => 2, worker_threads => 2);
my @c = map { $p->connect('test') } 1 .. 6;
$c[0]->query('BEGIN');
$c[1]->send_query('SELECT pg_sleep(15)');
$_->send_query('SELECT 1') for @c[2, 3];
my $half = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
$half->send_raw("\0\0\0");
sleep 0.3;
kill 'QUIT', $p->pid;
$end->($p, 'SIGQUIT in the midst');
finish();
