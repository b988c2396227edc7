#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SIGTERM with drain_timeout: /readyz fails at once, connects that have begun are served, idle clients go with 57P01, transactions
# finish, and the time is bounded; rolling a fleet on one port refuses nobody; what signals do meanwhile; connections to the metrics.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use IO::Socket::INET;

need_ours();
my $pg = pg();
my $make = sub { my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', sess => 'dbname=postgres pool_mode=session' }, set => {@_}); $p->{expect_exit} = 1; return $p };
my $ended = sub { my ($p, $t) = @_; return wait_for(sub { defined($p->{status} = reap($p->{pid})) }, $t) };
my $end = sub {
    my ($p, $name) = @_;
    ok($ended->($p, 15), "$name: the process ends");
    is($p->{status}, 0, "$name: with status 0");
    is(scalar $p->complaints, 0, "$name: with a clean log") or diag(join "\n", $p->complaints);
    delete $p->{pid};
};
my $told = sub {
    my ($c, $name) = @_;
    my $m = $c->read_msg(12);
    ok($m && $m->[0] eq 'E' && $m->[1] =~ /C57P01\0Mserver shutting down\0/, $name) or diag($m ? $m->[1] : 'nothing came');
    ok($c->wait_eof(5), "$name: and the connection ends");
};

my $p = $make->(drain_timeout => 100, worker_threads => 2);
my ($idle, $busy, $sess, $sess_busy, $copy) = map { $p->connect($_) } qw(test test sess sess test);
$idle->query('SELECT 1');
$busy->query('BEGIN');
$sess->query('SELECT 1');
$sess_busy->query('BEGIN');
$copy->send_query('COPY (SELECT generate_series(1, 3), pg_sleep(0.7)) TO STDOUT');
sleep 1.2;
# A socket that has connected but not logged in.
my $late = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
is($p->http('/readyz')->{code}, 200, 'ready before');
kill 'TERM', $p->pid;
ok(wait_for(sub { $p->http('/readyz')->{code} == 503 }), '/readyz fails');
is($p->http('/livez')->{code}, 200, '/livez does not');
is($p->http('/healthz')->{code}, 200, 'nor /healthz');
$told->($idle, 'an idle client is told to go');
$told->($sess, 'and one of session mode between transactions');
$late->startup(user => 'postgres', dbname => 'test');
$late->authenticate(user => 'postgres');
is($late->value('SELECT 2'), 2, 'who had connected before is served');
my @rows = grep { $_->[0] eq 'd' } @{ $copy->finish(timeout => 20)->{msgs} };
is(scalar @rows, 3, 'a COPY finishes');
is($busy->value('SELECT 3'), 3, 'a transaction goes on');
kill 'USR2', $p->pid;
ok($p->wait_log(qr/got SIGUSR2 while shutting down, ignoring/), 'SIGUSR2 is ignored');
kill 'HUP', $p->pid;
ok($p->wait_log(qr/SIGHUP/), 'SIGHUP reloads');
is($busy->value('SELECT 4'), 4, 'which changes nothing');
$busy->query('COMMIT');
$sess_busy->query('COMMIT');
$told->($_, 'one whose transaction is over is told, too') for $busy, $sess_busy;
$end->($p, 'drain');

# The time is over.
$p = $make->(drain_timeout => 1);
my $c = $p->connect('test');
$c->query('BEGIN');
kill 'TERM', $p->pid;
$end->($p, 'an open transaction beyond drain_timeout');
ok($p->log_text =~ /drain_timeout is over, exiting with 1 clients/, 'and the log says so');
# SHUTDOWN WAIT_FOR_CLIENTS waits as PgBouncer does, a second order ends it.
$p = $make->(drain_timeout => 1);
$c = $p->connect('test');
$p->console('SHUTDOWN WAIT_FOR_CLIENTS', raw => 1, no_die => 1);
ok(!$ended->($p, 2), 'SHUTDOWN WAIT_FOR_CLIENTS does not drain');
is($c->value('SELECT 5'), 5, 'its client goes on');
kill 'TERM', $p->pid;
$end->($p, 'SIGTERM after SHUTDOWN');

# Signals in any order do no harm.
$p = $make->();
$c = $p->connect('test');
for my $s (qw(USR1 USR1 HUP USR2 USR2 HUP USR1 USR2)) { kill $s, $p->pid; sleep 0.05 }
is($c->value('SELECT 6'), 6, 'signals');
kill 'INT', $p->pid;
kill 'USR2', $p->pid;
$end->($p, 'SIGINT, SIGUSR2');

# A fleet of two on one port, each replaced three times, under a storm of connects: nobody is refused.
{
    my %set = (so_reuseport => 1, drain_timeout => 5, listen_backlog => 256, max_client_conn => 1000);
    my $first = $make->(%set);
    my $dir = work_dir();
    my @members = ($first->pid);
    my $more = sub {
        my $n = () = $first->log_text =~ /process up/g;
        push @members, spawn(argv => [Bulkhead::Proxy::binary(), "$first->{dir}/more.ini"], user => 1, log => $first->{log});
        return wait_for(sub { (() = $first->log_text =~ /process up/g) > $n }, 15);
    };
    spew("$first->{dir}/more.ini", $first->ini_text =~ s/^metrics_port = .*$/metrics_port = 0/mr);
    ok($more->(), 'a second process on the port');
    my $stop = "$dir/stop";
    my $kid = fork // die;
    if (!$kid) {
        for my $i (1 .. 6) {
            sleep 0.7;
            my $old = shift @members;
            $more->();
            kill 'TERM', $old;
            sleep 0.5;
        }
        spew($stop, join ' ', @members);
        POSIX::_exit(0);
    }
    my @r = parallel(4, sub {
        my ($n, $bad) = (0, '');
        while (!-e $stop) {
            my $v = eval { my $x = $first->connect('test'); my $y = $x->value('SELECT 7'); $x->close; $y };
            # On a busy machine a client may have been idle long enough to be told to go before it asks.
            ($v // '') eq '7' ? $n++ : $@ =~ /57P01 server shutting down/ ? 0 : ($bad .= $@ || 'wrong');
        }
        return $n > 5 && !$bad ? 'fine' : "$n: $bad";
    }, 100);
    waitpid $kid, 0;
    is(join('; ', @r), join('; ', ('fine') x 4), 'six replaced under a storm of connects: nobody was refused');
    kill 'QUIT', split ' ', slurp($stop);
    reap($_, 10) for @members;
    is(scalar $first->complaints, 0, 'with a clean log');
    delete $first->{pid};
}

# Connections to the metrics are bounded, and the bound is not the end.
$p = $make->();
is($p->http('/livez')->{code}, 200, 'metrics');
my $fds = sub { my @f = glob '/proc/' . $p->pid . '/fd/*'; return scalar @f };
my $before = $fds->();
my @open = map { IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $p->metrics_port, Timeout => 2) } 1 .. 150;
# The one of /livez may have been counted; those that say nothing go when others wait.
my $n = 0;
my $most = sub { my $k = $fds->() - $before; $n = $k if $k > $n; return $n };
wait_for(sub { $most->() >= 63 });
wait_for(sub { $most->() > 130 }, 1.5);
ok($n >= 63 && $n <= 130, "150 connections to the metrics: at most $n at once");
close $_ for grep { $_ } @open;
@open = ();
ok(wait_for(sub { eval { $p->http('/livez')->{code} == 200 } }, 20), 'served when they have gone');
ok(wait_for(sub { $fds->() <= $before + 2 }, 20), 'and no descriptor is lost') or diag($before . ' ' . $fds->());
kill 'QUIT', $p->pid;
$end->($p, 'the last one');
finish();
