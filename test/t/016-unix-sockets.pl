#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Unix sockets: directory, mode, group, abstract ones in both directions, a stale file, a live one; no host= means unix_socket_dir.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Socket::UNIX;

need_ours();
my $abs = "\@bh-test-$$";
my $pg = pg(conf => { unix_socket_directories => work_dir() . ", $abs-pg" });
my $dir = work_dir() . '/sock';
mkdir $dir;
chmod 0777, $dir;
my $group = $> == 0 ? getgrgid((getpwnam 'postgres')[3]) : getgrgid($));
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', dir => 'host=' . work_dir() . ' port=' . $pg->port . ' dbname=postgres',
        abs => "host=$abs-pg port=" . $pg->port . ' dbname=postgres', list => "host=$dir/none," . work_dir() . ' port=' . $pg->port . ' dbname=postgres' },
    set => { unix_socket_dir => $dir, unix_socket_mode => '0750', unix_socket_group => $group });
my $path = "$dir/.s.PGSQL.$p->{port}";
ok(-S $path, 'unix_socket_dir: the socket is there, with the port in its name');
is(sprintf('%04o', (stat $path)[2] & 07777), '0750', 'unix_socket_mode');
is(scalar getgrgid((stat $path)[5]), $group, 'unix_socket_group');
my ($mode) = map { $_->{value} } grep { $_->{key} eq 'unix_socket_mode' } @{ $p->console('SHOW CONFIG') };
is($mode, '0750', 'SHOW CONFIG shows it in octal');
my ($st, $out, $err) = psql("host=$dir port=$p->{port} user=postgres dbname=test", 'SELECT 11');
is("$st $out", '0 11', 'psql over the Unix socket') or diag $err;
($st, $out) = psql("host=$dir port=$p->{port} user=postgres dbname=dir", 'SELECT inet_server_addr() IS NULL');
is("$st $out", '0 t', 'a server over its Unix socket');
($st, $out, $err) = psql("host=$dir port=$p->{port} user=postgres dbname=abs", 'SELECT inet_server_addr() IS NULL');
is("$st $out", '0 t', 'a server over its abstract one') or diag $err;
($st, $out) = psql("host=$dir port=$p->{port} user=postgres dbname=list", 'SELECT 3');
is("$st $out", '0 3', 'directories in a list of hosts: on to the next one');
my ($row) = grep { $_->{database} eq 'abs' } @{ $p->console('SHOW SERVERS') };
is($row->{addr}, 'unix', 'SHOW SERVERS says unix');
$p->stop;
ok(!-e $path, 'the file goes with the process');
# A file that nobody answers on is replaced; one that somebody answers on is not.
my $stale = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 1) or die "$path: $!";
close $stale;
chown((getpwnam 'postgres')[2, 3], $path) if $> == 0;
ok(-S $path, 'a stale file lies there');
ok($p->start(may_fail => 1), 'the proxy starts');
($st, $out) = psql("host=$dir port=$p->{port} user=postgres dbname=test", 'SELECT 12');
is("$st $out", '0 12', 'and answers on it');
my $q = proxy(pg => $pg, start => 0, set => { unix_socket_dir => $dir, listen_addr => '' });
$q->{port} = $p->{port};
$q->{expect_exit} = 1;
$q->write;
($st, $out, $err) = run_cmd(argv => [Bulkhead::Proxy::binary(), $q->{ini}], user => 1, timeout => 20);
is($st, 1, 'a second proxy on the same path does not start');
like("$out$err", qr{cannot listen on \Q$path\E: Address already in use}, 'and says why');
($st, $out) = psql("host=$dir port=$p->{port} user=postgres dbname=test", 'SELECT 13');
is("$st $out", '0 13', 'the first goes on');
# Without host= the server is looked for in unix_socket_dir.
my $r = proxy(databases => { own => 'port=' . $pg->port . ' dbname=postgres' }, set => { unix_socket_dir => work_dir() });
is($r->connect('own')->value('SELECT inet_server_addr() IS NULL'), 't', 'no host=: the directory of unix_socket_dir');
# Abstract ones.
my $a = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { unix_socket_dir => $abs, unix_socket_mode => '0700' });
($st, $out, $err) = psql("host=$abs port=$a->{port} user=postgres dbname=test", 'SELECT 14');
is("$st $out", '0 14', 'an abstract socket') or diag $err;
ok(!-e "$abs/.s.PGSQL.$a->{port}", 'is no file');
# Mistakes are said.
for (['unix_socket_group', 'no-such-group-here', qr/no such group: no-such-group-here/], ['unix_socket_dir', "$dir/none", qr/cannot listen on .*No such file or directory/],
    ['unix_socket_dir', $dir . '/x' x 60, qr/the path is longer than \d+ bytes/]) {
    my ($key, $value, $like) = @$_;
    my $b = proxy(pg => $pg, start => 0, set => { unix_socket_dir => $dir, $key => $value });
    $b->{expect_exit} = 1;
    ($st, $out, $err) = run_cmd(argv => [Bulkhead::Proxy::binary(), $b->{ini}], user => 1, timeout => 20);
    is($st, 1, "$key = $value: it does not start");
    like("$out$err", $like, 'and says why');
}
finish();
