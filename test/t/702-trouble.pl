#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# PostgreSQL restarts, servers are killed, clients vanish or read slowly: no hang, no wrong answer, service comes back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 4, server_login_retry => 1, query_wait_timeout => 100, worker_threads => $ENV{BH_WORKERS} // 2 });
my $c = $p->connect('test');
# A server killed while idle: the client does not notice, or sees one error.
my $pid = $c->value('SELECT pg_backend_pid()');
$pg->kill_backend($pid);
$p->lost_servers($pid) if ours();
sleep 0.3;
is($c->value('SELECT 1'), 1, 'a server killed while idle: not noticed');
# Killed inside a transaction: PostgreSQL's error and the end of this client, others go on.
my $d = $p->connect('test');
$d->query('BEGIN');
$pid = $d->value('SELECT pg_backend_pid()');
$pg->kill_backend($pid);
my $r = eval { $d->query('SELECT 2', timeout => 10) };
ok(!$r || $r->{error} || $r->{eof}, 'killed inside a transaction: told');
my @errs = $r ? @{ $r->{errors} } : ();
cmp_ok(scalar @errs, '<=', 1, 'with one error, not two') if ours();
is($c->value('SELECT 3'), 3, 'others go on');
# Killed inside a query.
$d = $p->connect('test');
$d->send_query('SELECT pg_sleep(100)');
wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()") }, 5);
$pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()");
$r = eval { $d->finish(timeout => 10) };
ok($r && ($r->{error} || $r->{eof}), 'killed inside a query: told') or diag($@);
like($r->{error}{M} // '', qr/terminating connection due to administrator command|server conn crashed/, 'with the server\'s own words');
is($c->value('SELECT 4'), 4, 'others go on');
# kill -9 of a backend: PostgreSQL restarts itself.
$pid = $c->value('SELECT pg_backend_pid()');
kill 'KILL', $pid;
ok(wait_for(sub { eval { my $n = $p->connect('test', undef, timeout => 10); $n->value('SELECT 5') == 5 } }, 15, 0.1), 'kill -9 of a backend: service comes back');
# A restart under load.
my $t0 = time;
my $file = work_dir() . '/stop';
my @jobs;
for my $i (1 .. 4) {
    my $kid = fork // die;
    if (!$kid) {
        alarm 900;
        my ($n, $err, $wrong, $last) = (0, 0, 0, time);
        my $x;
        while (!-e $file) {
            $x //= eval { $p->connect('test', undef, timeout => 20) };
            if (!$x) { $err++; sleep 0.05; next }
            my $tag = "$i-" . ++$n;
            my $q = eval { $x->query("SELECT '$tag'", timeout => 20) };
            if (!$q || $q->{error} || $q->{eof}) { $err++; $x->abort if $x; undef $x }
            elsif (row_values($q) ne $tag) { $wrong++ }
            else { $last = time; spew("$file.$i", '') if -e "$file.back" && !-e "$file.$i" }
        }
        spew(work_dir() . "/r$i", "$n $err $wrong $last");
        POSIX::_exit(0);
    }
    push @jobs, $kid;
}
sleep 0.7;
$pg->restart('fast');
my $back = time;
sleep 2.5;
$pg->restart('immediate');
$back = time;
spew("$file.back", '');
ok(wait_for(sub { 4 == (() = glob "$file.[1-4]") }), 'all are served again');
spew($file, '');
waitpid $_, 0 for @jobs;
for my $i (1 .. 4) {
    my ($n, $err, $wrong, $last) = split ' ', slurp(work_dir() . "/r$i");
    ok(defined $wrong && $wrong == 0, "client $i: no wrong answer over two restarts (" . ($n // 'hung') . ' queries, ' . ($err // '?') . ' errors)');
    cmp_ok($last // 0, '>', $back, "client $i: served after them");
}
# Clients that vanish at any moment, and connections reset before the login ends.
for my $i (1 .. 60) {
    my $x = eval { $i % 4 ? $p->connect('test') : Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port) } or next;
    if ($i % 4 == 1) { $x->query('BEGIN'); $x->send_query('SELECT 1') }
    elsif ($i % 4 == 2) { $x->send_query("SELECT repeat('x', 1000000)") }
    elsif ($i % 4 == 3) { $x->send_raw('Q' . pack('N', 500) . 'SELECT half a message') }
    $x->abort;
}
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 8), '1,2,3,4,5,6,7,8', 'after sixty clients that vanished: right answers');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") }, 5), 'and no transaction left open');
# A slow reader must not hold up others, nor fill memory.
my $before = proc_rss_kb($p->pid);
my @slow = map { my $x = $p->connect('test'); $x->send_query("SELECT repeat('s', 10000) FROM generate_series(1, 5000)"); $x } 1 .. 2;
sleep 0.6;
my $grown = proc_rss_kb($p->pid) - $before;
cmp_ok($grown, '<', $ENV{BH_SANITIZE} ? 200_000 : 20_000, "two unread results of 50 MB take little memory ($grown kB)");
is(join(',', map { $c = $p->connect('test'); $c->value("SELECT $_") } 1 .. 4), '1,2,3,4', 'others are served meanwhile');
for my $x (@slow) {
    my $q = $x->finish(timeout => 60);
    is(scalar @{ $q->{results}[0]{rows} }, 5000, 'the slow reader gets all of it');
}
# A stopped server process: only its own client waits.
$d = $p->connect('test');
$d->query('BEGIN');
$pid = $d->value('SELECT pg_backend_pid()');
kill 'STOP', $pid;
$d->send_query('SELECT 7');
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 4), '1,2,3,4', 'a frozen server holds up nobody else');
kill 'CONT', $pid;
is(row_values($d->finish), 7, 'and goes on when it wakes');
$d->close;
finish();
