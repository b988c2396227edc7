#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Operations with traffic: PAUSE and RESUME, RECONNECT and reload storms cost nobody an error; a PostgreSQL that restarts, crashes or
# loses one server costs each client at most two, and it is used again when it is back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 400;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=5' }, set => { server_login_retry => 0.1, worker_threads => 2,
        max_client_conn => 200, query_wait_timeout => 60 });
my $stop = work_dir() . '/stop';
# While this file is there the server is away, and who has been told so waits: it is not asked how often one can be told.
my $down = "$stop.down";
# Clients that ask until the file appears; each gives its counts: right, wrong, errors; a broken connection is opened again.
my $traffic = sub {
    my ($n, $during) = @_;
    unlink $stop;
    my $kid = fork // die;
    if ($kid) { # servers are children of this process: it is the one to restart them
        my $ok = eval { $during->(); 1 };
        spew($stop, '');
        waitpid $kid, 0;
        ok($ok, 'what was to happen did') or diag($@);
        return map { [split ' '] } split /\n/, slurp("$stop.counts");
    }
    my @r = parallel($n, sub {
        my ($i) = @_;
        my ($right, $wrong, $errors, $last) = (0, 0, 0, 0);
        my ($c, $k, $refused);
        while (!-e $stop) {
            $k++;
            $c = eval { $p->connect('test') } if !$c;
            if (!$c) { $refused++; sleep 0.1; next }
            my $r = eval { $c->query($k % 3 ? "SELECT '$i-$k'" : "BEGIN; SELECT '$i-$k'; COMMIT") };
            if (!$r || $r->{error} || $r->{eof}) { $errors++; undef $c; sleep 0.02; if (-e $down) { wait_for(sub { !-e $down || -e $stop }); sleep 0.5 } next }
            my ($v) = map { @{ $_->{rows} // [] } } grep { $_->{cols} } @{ $r->{results} };
            ($v && $v->[0] eq "$i-$k") ? $right++ : $wrong++;
            sleep 0.002;
        }
        return join ' ', $right, $wrong, $errors, $refused // 0;
    }, 120);
    spew("$stop.counts", join '', map { "$_\n" } @r);
    POSIX::_exit(0);
};
my $no_error = sub {
    my ($name, @r) = @_;
    my @bad = grep { $_->[0] < 5 || $_->[1] || $_->[2] || $_->[3] } @r;
    is(scalar @bad, 0, "$name: no error, no wrong answer") or diag(join '; ', map { "@$_" } @r);
};
my $few = sub {
    my ($name, @r) = @_;
    my @bad = grep { $_->[0] < 5 || $_->[1] || $_->[2] > 2 } @r;
    is(scalar @bad, 0, "$name: at most two errors each, no wrong answer") or diag(join '; ', map { "@$_" } @r);
    diag("$name (right, wrong, errors, connects refused): " . join '; ', map { "@$_" } @r);
};
$no_error->('PAUSE and RESUME', $traffic->(8, sub {
    for (1 .. 12) { $p->console('PAUSE', raw => 1); sleep 0.1; $p->console('RESUME', raw => 1); sleep 0.1 }
    for (1 .. 6) { $p->console('PAUSE test', raw => 1); sleep 0.1; $p->console('RESUME test', raw => 1); sleep 0.1 }
}));
$no_error->('PAUSE and RESUME by signals', $traffic->(8, sub { for (1 .. 12) { kill 'USR1', $p->pid; sleep 0.1; kill 'USR2', $p->pid; sleep 0.1 } }));
$no_error->('RECONNECT', $traffic->(8, sub { for (1 .. 20) { $p->console('RECONNECT', raw => 1); sleep 0.1 } }));
$no_error->('PAUSE, restart of PostgreSQL, RESUME', $traffic->(8, sub {
    $p->console('PAUSE', raw => 1);
    $pg->restart('fast');
    $p->console('RESUME', raw => 1);
    sleep 1;
}));
my $rss = proc_rss_kb($p->pid);
$no_error->('200 SIGHUP, 100 RELOAD', $traffic->(6, sub {
    for (1 .. 200) { kill 'HUP', $p->pid; sleep 0.005 }
    for (1 .. 100) { $p->console('RELOAD', raw => 1) }
}));
SKIP: {
    skip 'memory under a sanitizer', 1 if $ENV{BH_SLOW};
    my $grown = proc_rss_kb($p->pid) - $rss;
    ok($grown < 8192, "and the memory stays: $grown kB more");
}
$few->('restart of PostgreSQL', $traffic->(6, sub { sleep 0.5; spew($down, ''); $pg->restart('fast'); unlink $down; sleep 3 }));
$few->('crash of PostgreSQL', $traffic->(6, sub { sleep 0.5; spew($down, ''); $pg->restart('immediate'); unlink $down; sleep 3 }));
$few->('a server killed', $traffic->(6, sub {
    sleep 0.5;
    my ($pid) = $pg->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1");
    my $recovered = sub { eval { $pg->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'") } // '' };
    my $was = $recovered->();
    spew($down, '');
    kill 'KILL', $pid;
    wait_for(sub { my $now = $recovered->(); $now ne '' && $now ne $was }) or die "the server has not started again\n";
    unlink $down;
    sleep 3;
}));
is($p->connect('test')->value('SELECT 1'), 1, 'all is well in the end');
my ($row) = grep { $_->{name} eq 'test' } @{ $p->console('SHOW DATABASES') };
is($row->{current_connections} <= 5 ? 'within' : $row->{current_connections}, 'within', 'and the limits are kept');
finish();
