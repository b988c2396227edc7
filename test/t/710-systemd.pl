#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# systemd: readiness, reloading, stopping, status and watchdog over a notify socket (path and abstract), socket activation,
# MAINPID of a daemon, and the unit files.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket;

need_ours();
my $dir = work_dir();
my $pg = pg();
my $top = $ENV{top_srcdir} // "$FindBin::Bin/../..";

# ---- notifications ----
for my $kind ('path', 'abstract') {
    my $name = $kind eq 'path' ? "$dir/notify" : "\0pgbulkhead-test-$$";
    my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $name) or die "notify socket: $!\n";
    chmod 0777, $name if $kind eq 'path';
    my @got;
    my $take = sub { my $m; while (defined $s->recv($m, 4096, MSG_DONTWAIT) && length $m) { push @got, $m } return };
    my $said = sub { my ($re) = @_; return wait_for(sub { $take->(); grep { /$re/ } @got }, 10) };
    my $p = proxy(pg => $pg, set => { drain_timeout => 10 }, env => { NOTIFY_SOCKET => $name =~ s/^\0/@/r, WATCHDOG_USEC => 600_000 });
    $p->{expect_exit} = 1;
    ok($said->(qr/^READY=1$/), "$kind: ready");
    is(scalar(grep { /MAINPID/ } @got), 0, "$kind: no MAINPID: the process is the one that was started");
    ok($said->(qr/^STATUS=serving, \d+ clients$/), "$kind: status");
    ok($said->(qr/^WATCHDOG=1$/), "$kind: the watchdog is fed");
    @got = ();
    ok($said->(qr/^WATCHDOG=1$/), "$kind: again and again");
    @got = ();
    kill 'HUP', $p->pid;
    ok($said->(qr/^READY=1$/), "$kind: ready after a reload");
    my ($r) = grep { /^RELOADING=1\nMONOTONIC_USEC=\d+$/ } @got;
    ok($r, "$kind: reloading was said before, with its time");
    my ($at) = map { /USEC=(\d+)/ } $r // '';
    my $now = do { open my $f, '<', '/proc/uptime'; <$f> =~ /^([\d.]+)/; $1 };
    ok($at && $at / 1e6 <= $now + 1, "$kind: which is of the monotonic clock");
    @got = ();
    $p->console('RELOAD', raw => 1);
    ok($said->(qr/^READY=1$/) && (grep { /^RELOADING/ } @got), "$kind: RELOAD too");
    kill 'TERM', $p->pid;
    ok($said->(qr/^STOPPING=1$/), "$kind: stopping");
    ok(wait_for(sub { defined($p->{status} = reap($p->{pid})) }, 10) && $p->{status} == 0, "$kind: ended");
    delete $p->{pid};
}

# Variables that make no sense, or that are another process's.
for my $e ([{ NOTIFY_SOCKET => 'x' }, 'a relative path'], [{ NOTIFY_SOCKET => '/' . 'a' x 200 }, 'a long path'],
    [{ NOTIFY_SOCKET => "$dir/nobody", WATCHDOG_USEC => 'abc' }, 'nobody there, no number'],
    [{ LISTEN_FDS => 3, LISTEN_PID => 1 }, 'sockets for another process'], [{ LISTEN_FDS => 2 }, 'sockets for nobody'],
    [{ LISTEN_FDS => '-4', LISTEN_PID => 1 }, 'a negative number'])
{
    my $p = proxy(pg => $pg, env => $e->[0]);
    is($p->connect('postgres')->value('SELECT 1'), 1, "started as usual: $e->[1]");
    $p->stop;
}

# ---- a daemon names itself ----
{
    my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/notify2");
    chmod 0777, "$dir/notify2";
    my $p = proxy(pg => $pg, start => 0, set => { pidfile => "$dir/daemon.pid", logfile => "$dir/daemon.log" });
    $p->{expect_exit} = 1;
    my ($st, $out, $err) = run_cmd(argv => [Bulkhead::Proxy::binary(), '-q', '-d', $p->{ini}], user => 1, timeout => 20, env => { NOTIFY_SOCKET => "$dir/notify2" });
    is($st, 0, '-d') or diag("$out$err");
    chomp(my $pid = slurp("$dir/daemon.pid"));
    my $m;
    ok(wait_for(sub { $s->recv($m, 4096, MSG_DONTWAIT); ($m // '') eq "MAINPID=$pid\nREADY=1" }, 5), 'says its number') or diag($m);
    kill 'QUIT', $pid;
    ok(wait_for(sub { !-e "$dir/daemon.pid" }, 10), 'ended');
}

# ---- sockets made by somebody else ----
my $activate = <<'P';
use IO::Socket::INET; use IO::Socket::UNIX; use POSIX;
my ($spec, @run) = @ARGV;
my (@s, @names);
for (split /,/, $spec) {
    my ($name, $at) = split /=/;
    my $s = $at =~ m{/} ? IO::Socket::UNIX->new(Local => $at, Listen => 5) : IO::Socket::INET->new(LocalAddr => $at, Listen => 5, Proto => 'tcp', ReuseAddr => 1);
    $s //= IO::Socket::INET->new(LocalAddr => substr($at, 4), Proto => 'udp') if $at =~ /^udp/;
    die "$at: $!" unless $s;
    push @s, $s; push @names, $name;
}
my @high = map { fcntl($_, 0, 20) } @s;
POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high;
POSIX::close($_) for @high;
$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = @s; $ENV{LISTEN_FDNAMES} = join ':', @names;
exec @run; die;
P
spew("$dir/activate.pl", $activate);
chmod 0644, "$dir/activate.pl";
{
    my ($port, $http, $unix) = (free_port(), free_port(), "$dir/client-socket");
    my $p = proxy(pg => $pg, start => 0, set => { listen_addr => '192.0.2.1', unix_socket_dir => '/nonexistent', metrics_port => 1 });
    my $pid = spawn(argv => ['/usr/bin/perl', "$dir/activate.pl", "pg=127.0.0.1:$port,pg=$unix,metrics=127.0.0.1:$http",
            Bulkhead::Proxy::binary(), $p->{ini}], user => 1, log => $p->{log});
    ok(wait_for(sub { eval { Bulkhead::Wire->login(host => '127.0.0.1', port => $port, user => 'postgres', dbname => 'postgres')->value('SELECT 1') == 1 } }, 10),
        'activated: TCP; listen_addr is ignored') or diag($p->log_text);
    $p->{expect_exit} = 1;
    my $u = IO::Socket::UNIX->new(Peer => $unix);
    ok($u, 'activated: Unix socket; unix_socket_dir is ignored');
    print $u pack('NN', 8, 80877103);
    $u->read(my $answer, 1);
    is($answer, 'N', 'which answers');
    $p->{metrics_port} = $http;
    like($p->http('/readyz')->{body}, qr/ready/, 'activated: metrics by name');
    kill 'TERM', $pid;
    my $st = wait_for(sub { my $s = reap($pid); defined $s ? [$s] : 0 }, 10);
    is($st && $st->[0], 0, 'ended');
    ok(-S $unix, "the socket's file stays: it is systemd's");
    unlike($p->log_text, qr/cannot listen/, 'nothing else was bound');
}
for my $bad (['udp:127.0.0.1:' . free_port(), 'no listening stream socket']) {
    my $p = proxy(pg => $pg, start => 0);
    $p->{expect_exit} = 1;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/perl', "$dir/activate.pl", "x=udp$bad->[0]" =~ s/udpudp:/udp:/r, Bulkhead::Proxy::binary(), $p->{ini}], user => 1, timeout => 20);
    isnt($st, 0, 'a UDP socket is refused');
    like("$out$err", qr/LISTEN_FDS.*$bad->[1]/, 'with a message');
}

# ---- unit files ----
{
    my $units = "$dir/units";
    mkdir $units;
    for my $f (qw(pgbulkhead.service pgbulkhead.socket)) {
        my $t = slurp("$top/etc/systemd/$f");
        $t =~ s{/usr/local/bin/pgbulkhead}{Bulkhead::Proxy::binary()}ge;
        $t =~ s/^(User|Group)=pgbulkhead$/$1=postgres/mg;
        spew("$units/$f", $t);
        chmod 0644, "$units/$f";
    }
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/systemd-analyze', 'verify', '--man=no', "$units/pgbulkhead.service", "$units/pgbulkhead.socket"], timeout => 60);
    is($st, 0, 'systemd-analyze verify') or diag("$out$err");
    unlike("$out$err", qr/pgbulkhead/, 'without a warning about them') or diag("$out$err");
    ($st, $out, $err) = run_cmd(argv => ['/usr/bin/systemd-analyze', 'security', '--offline=yes', '--no-pager', '--threshold=20', "$units/pgbulkhead.service"], timeout => 60);
    is($st, 0, 'systemd-analyze security: at most 2.0') or diag("$out$err");
    my ($level) = "$out$err" =~ /Overall exposure level for \S+: ([\d.]+)/;
    ok(defined $level && $level <= 2.0, 'exposure ' . ($level // '?'));
}
finish();
