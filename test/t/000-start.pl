#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The command line: version, help, -t and its exit codes, bad files, an occupied port, a daemon with a pidfile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $bin = Bulkhead::Proxy::binary();
my $dir = work_dir();
my $run = sub { run_cmd(argv => [$bin, @_], timeout => 20, user => 1) };

my ($st, $out, $err) = $run->('--version');
is($st, 0, '--version exits 0');
like($out . $err, ours() ? qr/\Apgbulkhead \d+\.\d+/i : qr/PgBouncer 1/, '--version names itself');
($st, $out, $err) = $run->('--help');
is($st, 0, '--help exits 0');
like($out . $err, qr/usage/i, '--help shows the usage');
($st, $out, $err) = $run->('--no-such-option', 'x.ini');
isnt($st, 0, 'an unknown option is refused');
($st, $out, $err) = $run->();
isnt($st, 0, 'no file is refused');
($st, $out, $err) = $run->("$dir/absent.ini");
isnt($st, 0, 'a missing file is refused');
like($err . $out, qr/absent\.ini/, 'the message names the file');

my $port = free_port();
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1);
spew("$dir/taken.ini", "[databases]\n* = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $port\n"
        . "unix_socket_dir =\nauth_type = trust\nauth_file = $dir/none.txt\n");
spew("$dir/none.txt", '');
($st, $out, $err) = $run->("$dir/taken.ini");
isnt($st, 0, 'an occupied port is refused');
like($err . $out, qr/$port/, 'the message names the port');
like($err . $out, qr/in use/i, 'and says why');
close $taken;

SKIP: {
    skip 'PgBouncer', 12 unless ours();
    my $good = "[databases]\n* = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $port\nauth_type = trust\nauth_file = $dir/none.txt\nunix_socket_dir =\n";
    spew("$dir/good.ini", $good);
    ($st, $out, $err) = $run->('-t', "$dir/good.ini");
    is($st, 0, '-t accepts a good file') or diag($out . $err);
    spew("$dir/bad.ini", $good . "default_pool_siez = 4\n");
    ($st, $out, $err) = $run->('-t', "$dir/bad.ini");
    is($st, 1, '-t refuses a bad file with status 1');
    like($err . $out, qr/bad\.ini:9: default_pool_siez: .*did you mean .?default_pool_size/, 'file, line, key and a proposal');
    ($st, $out, $err) = $run->("$dir/bad.ini");
    isnt($st, 0, 'and the start is refused as well');
    like($err . $out, qr/bad\.ini:9: default_pool_siez/, 'with the same message');
    my $c = IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $port, Timeout => 1);
    ok(!$c, '-t listens nowhere');
    spew("$dir/own.ini", $good =~ s/\[pgbouncer\]/[pgbulkhead]/r);
    ($st, $out, $err) = $run->('-t', "$dir/own.ini");
    is($st, 0, 'the section may be called pgbulkhead') or diag($out . $err);

    spew("$dir/daemon.ini", "${good}pidfile = $dir/d.pid\nlogfile = $dir/d.log\n");
    ($st, $out, $err) = $run->('-d', "$dir/daemon.ini");
    is($st, 0, '-d returns') or diag($err);
    ok(wait_for(sub { slurp("$dir/d.pid") =~ /^(\d+)/ }, 5), 'the pidfile is written');
    my ($pid) = slurp("$dir/d.pid") =~ /^(\d+)/;
    ok($pid && kill(0, $pid), 'the daemon runs');
    ok(wait_for(sub { IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $port, Timeout => 1) }, 5), 'and listens');
    kill 'QUIT', $pid if $pid;
    ok(wait_for(sub { !-e "$dir/d.pid" && !kill 0, $pid }, 10), 'it ends and takes its pidfile along');
}
finish();
