#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A daemon that cannot start: the caller sees why and a status other than 0. A log file opened as root can be opened again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $bin = Bulkhead::Proxy::binary();
my $dir = work_dir() . '/daemon';
mkdir $dir;
my @user = $> == 0 ? getpwnam 'postgres' : ();
chown $user[2], $user[3], $dir if @user;
my ($port, $ini) = (free_port(), "$dir/d.ini");
spew("$dir/users.txt", '');
spew($ini, "[databases]\n* = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $port\nunix_socket_dir =\nmetrics_port = 0\n"
        . "auth_type = trust\nauth_file = $dir/users.txt\npidfile = $dir/pid\nlogfile = $dir/log\n");
my $run = sub { run_cmd(argv => [$bin, '-d', (@user ? ('-u', 'postgres') : ()), $ini], timeout => 20) };
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1);
my ($st, $out, $err) = $run->();
isnt($st, 0, '-d with an occupied port fails');
like("$out$err", qr/127\.0\.0\.1.$port.*in use/, 'and says so on the terminal');
ok(!-e "$dir/pid", 'and leaves no pidfile');
close $taken;
($st, $out, $err) = $run->();
is($st, 0, 'started') or diag("$out$err");
ok(IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $port, Timeout => 2), 'and serves when the call returns');
my ($pid) = slurp("$dir/pid") =~ /^(\d+)/;
($st, $out, $err) = $run->();
isnt($st, 0, 'a second one fails');
kill 'HUP', $pid if $pid;
ok(wait_for(sub { slurp("$dir/log") =~ /SIGHUP/ }, 5), 'reloaded');
sleep 0.2;
unlike(slurp("$dir/log"), qr/cannot open log file/, 'the log file is opened again');
kill 'QUIT', $pid if $pid;
ok(wait_for(sub { !-e "$dir/pid" }, 10), 'ended');
finish();
