#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The command line: --version, --help, -q, -v, -u, -d with pidfile, exit codes; syslog.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Socket::UNIX;

need_ours();
my $pg = pg();
my $bin = Bulkhead::Proxy::binary();
sub run { my (@argv) = @_; return run_cmd(argv => [$bin, @argv], user => 1, timeout => 20) }
my $p = proxy(pg => $pg, start => 0, args => ['-v']);
my ($st, $out, $err) = run('--version');
is($st, 0, '--version: exit 0');
my ($first) = split /\n/, $out;
is((run('-V'))[1], $out, '-V is the same');
($st, $out) = run('--help');
is($st, 0, '--help: exit 0');
like($out, qr/^  -d, --daemon.*^  -q, --quiet.*^  -u, --user=.*^  -v, --verbose/ms, 'it lists the options');
for (['no file', []], ['two files', ['a', 'b']], ['an unknown option', ['-z', 'a']], ['a file that is not there', ['/nowhere.ini']]) {
    ($st, $out, $err) = run(@{ $_->[1] });
    is($st, 1, "$_->[0]: exit 1");
    isnt("$out$err", '', "$_->[0]: something is said");
}
$p->start;
is($p->console('SHOW VERSION')->[0]{version}, $first, 'SHOW VERSION is the first line of --version');
ok($p->wait_log(qr/ LOG process up: /), 'the log goes to stderr');
$p->connect('postgres')->query('SELECT 1');
is($p->stop('QUIT'), 0, 'QUIT: exit 0');
# -q: nothing on stderr; logfile has it.
$p->{args} = ['-q'];
$p->{set}{logfile} = "$p->{dir}/file.log";
unlink $p->{log};
$p->write;
$p->start;
$p->connect('postgres')->close;
is(slurp($p->{log}), '', '-q: nothing on stderr');
like(slurp("$p->{dir}/file.log"), qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG .*login attempt: db=postgres user=postgres tls=no$/m, 'logfile has the lines in their form');
ok(wait_for(sub { slurp("$p->{dir}/file.log") =~ / LOG C-0x[0-9a-f]+: postgres\/postgres\@127\.0\.0\.1:\d+ closing because: client close request \(age=\d+s\)$/m }, 10), 'and reasons');
# RELOAD opens the file again.
rename "$p->{dir}/file.log", "$p->{dir}/old.log";
$p->console('RELOAD', raw => 1);
$p->connect('postgres')->close;
ok(wait_for(sub { -s "$p->{dir}/file.log" }, 5), 'RELOAD opens logfile again, for rotation');
$p->stop;
# -d.
my $pid = "$p->{dir}/pid";
delete $p->{set}{logfile};
$p->write;
($st, $out, $err) = run('-d', $p->{ini});
is($st, 1, '-d without pidfile: exit 1');
like("$out$err", qr/daemon needs pidfile configured/, 'and it says so');
$p->{set}{pidfile} = $pid;
$p->write;
($st, $out, $err) = run('-d', $p->{ini});
like("$st $out$err", qr/^1 .*daemon needs logfile or syslog/s, 'nor without a log');
$p->{set}{logfile} = "$p->{dir}/daemon.log";
$p->write;
($st) = run('-q', '-d', $p->{ini});
is($st, 0, '-d: exit 0 when it is up');
my $n = slurp($pid) + 0;
ok(kill(0, $n), 'the pidfile has the process');
is($p->connect('postgres')->value('SELECT 5'), 5, 'it answers');
($st, $out, $err) = run('-q', $p->{ini});
is($st, 1, 'a second one does not start');
kill 'QUIT', $n;
ok(wait_for(sub { !kill(0, $n) || slurp("/proc/$n/stat") =~ / Z / }, 10), 'QUIT ends it');
ok(!-e $pid, 'and the pidfile goes');
# Another user, as root only.
SKIP: {
    skip 'only root can become another user', 4 if $> != 0;
    delete @{ $p->{set} }{qw(pidfile logfile)};
    $p->write;
    ($st, $out, $err) = run_cmd(argv => [$bin, $p->{ini}], timeout => 20);
    like("$st $out$err", qr/^1 .*should not run as root/s, 'root is refused');
    my $log = "$p->{dir}/user.log";
    my $kid = spawn(argv => [$bin, '-u', 'postgres', $p->{ini}], log => $log);
    ok(wait_for(sub { slurp($log) =~ /process up/ }, 20), '-u: it starts');
    my ($uid) = slurp("/proc/$kid/status") =~ /^Uid:\s+(\d+)/m;
    is($uid, (getpwnam 'postgres')[2], 'as that user');
    is($p->connect('postgres')->value('SELECT 6'), 6, 'and answers');
    stop_child($kid, 'QUIT', 10);
}
# syslog: a socket of the test's own where there is none.
SKIP: {
    skip 'somebody listens on /dev/log', 3 if $> != 0 || -e '/dev/log';
    my $dev = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => '/dev/log') or skip "/dev/log: $!", 3;
    chmod 0666, '/dev/log';
    my $s = proxy(pg => $pg, args => ['-q'], set => { syslog => 1, syslog_ident => 'my-pooler', syslog_facility => 'local3' });
    $s->connect('postgres')->close;
    my $got = '';
    ok(wait_for(sub { my $m; $got .= "$m\n" if $dev->recv($m, 4096, 0x40) || length($m // ''); $got =~ /login attempt/ }, 10), 'syslog has the lines');
    like($got, qr/^<158>.*my-pooler\[\d+\]: .*login attempt/m, 'with syslog_ident, facility local3 and priority info');
    $s->console('SET syslog = 0');
    ok(1, 'syslog is changed while running');
    $s->stop;
    close $dev;
    unlink '/dev/log';
}
finish();
