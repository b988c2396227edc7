#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SUSPEND: nothing is read, nobody accepted, until RESUME, SIGUSR2, a cancel, or the console leaves; who does not read its data is
# closed after suspend_timeout.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { suspend_timeout => 2, worker_threads => 2, metrics_port => 0 });
my $admin = sub { $p->connect('pgbouncer', 'bhadmin', password => 'bhadmin') };
my $state = sub { my ($c) = @_; my $r = $c->query('SHOW STATE'); return join ' ', map { "$_->[0]=$_->[1]" } @{ $r->{results}[-1]{rows} } };
my @c = map { $p->connect('test') } 1 .. 6;
$_->query('SELECT 1') for @c;
my $a = $admin->();
my $suspend = sub { my ($n) = @_; my $r = $a->query('SUSPEND'); ok(!$r->{error}, "SUSPEND $n") or diag($r->{error}{M}); return };
my $held = sub {
    my ($n) = @_;
    $_->send_query("SELECT 'x$n'") for @c;
    sleep 0.5;
    is(scalar(grep { $_->readable(0) } @c), 0, "$n: nobody is answered");
};
my $free = sub { my ($n) = @_; is(join(',', map { row_values($_->finish(timeout => 10)) } @c), join(',', ("x$n") x 6), "$n: all are answered"); return };

$suspend->(1);
is($state->($a), 'active=no paused=no suspended=yes', 'SHOW STATE');
$held->(1);
my $late = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
$late->startup(user => 'postgres', dbname => 'test');
ok(!$late->readable(0.5), 'a new one is not served');
error_is($a->query('SUSPEND'), '08P01', qr{already suspended/paused}, 'not twice');
error_is($a->query('PAUSE'), '08P01', qr{already suspended/paused}, 'no PAUSE meanwhile');
ok(!$a->query('RESUME')->{error}, 'RESUME');
$free->(1);
$late->authenticate(user => 'postgres');
is($late->value('SELECT 2'), 2, 'and the new one');
is($state->($a), 'active=yes paused=no suspended=no', 'SHOW STATE after');
error_is($a->query('RESUME'), '08P01', qr{pooler is not paused/suspended}, 'RESUME once');

$suspend->(2);
$held->(2);
$a->close;
$free->(2);
$a = $admin->();
$suspend->(3);
$held->(3);
kill 'USR2', $p->pid;
$free->(3);
# A query that runs is answered afterwards; a transaction goes on.
my $gate = $pg->connect('postgres');
$gate->query('SELECT pg_advisory_lock(1)');
$c[0]->send_query('SELECT pg_advisory_xact_lock(1), 5');
$c[1]->query('BEGIN');
$pg->runs('SELECT pg_advisory_xact_lock%');
$suspend->(4);
$gate->query('SELECT pg_advisory_unlock(1)');
ok(!$c[0]->readable(1), 'an answer waits');
$a->query('RESUME');
like(row_values($c[0]->finish(timeout => 10)), qr/5$/, 'and comes');
is($c[1]->value('SELECT 6'), 6, 'a transaction goes on');
$c[1]->query('COMMIT');
# One that does not read.
my $slow = $p->connect('test');
$slow->send_query("SELECT repeat('y', 1000) FROM generate_series(1, 60000)");
# Until nothing more fits in between: what can be read (FIONREAD) has not grown for two seconds.
my ($full, $since) = (0, time);
wait_for(sub {
    ioctl $slow->{rd}, 0x541B, my $n = pack 'i', 0;
    $n = unpack 'i', $n;
    ($full, $since) = ($n, time) if $n != $full;
    return $full > 0 && time - $since > 2;
}, 120);
my $t = time;
$suspend->(5);
ok(time - $t >= 1.5, 'SUSPEND waits for a client that does not read');
ok($p->wait_log(qr/closing because: suspend_timeout/), 'and closes it in the end');
$a->query('RESUME');
is($c[0]->value('SELECT 7'), 7, 'others go on');
# In any order with traffic: everybody gets its own answers.
my $kid = fork // die;
if (!$kid) {
    my $b = $admin->();
    for (1 .. 25) { $b->query('SUSPEND'); sleep 0.02; $b->query('RESUME'); sleep 0.03 }
    POSIX::_exit(0);
}
my @r = parallel(4, sub {
    my ($i) = @_;
    my $x = $p->connect('test');
    my $bad = 0;
    for my $k (1 .. 200) { $bad++ unless row_values($x->query("SELECT '$i-$k'")) eq "$i-$k"; sleep 0.005 }
    return $bad;
});
waitpid $kid, 0;
is(join(' ', @r), '0 0 0 0', '25 times under load: no wrong answer, no error');
$suspend->(6);
kill 'TERM', $p->pid;
sleep 0.3;
is($c[2]->value('SELECT 8'), 8, 'SIGTERM goes on, so that clients can leave');
finish();
