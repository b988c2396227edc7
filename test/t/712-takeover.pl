#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# -R: a new process takes over the sockets of the old one, five times under load, plain and encrypted: no transaction fails, no
# connect is refused; cancels find clients of the old process; a new process that fails changes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 400;
use IO::Socket::UNIX;
use Socket;

need_ours();
my $pg = pg(set => { max_connections => 200 });
my $ca = Bulkhead::TLS->new;
my ($key, $crt) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1');
my $dir = work_dir();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { unix_socket_dir => $dir, pidfile => "$dir/pid",
        client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $crt, max_client_conn => 500,
        server_lifetime => 3600, worker_threads => 2 });
$p->{expect_exit} = 1;
my $bin = Bulkhead::Proxy::binary();
my @procs = ($p->pid);
my $sock = "$dir/.s.PGBULKHEAD." . $p->port;
ok(wait_for(sub { -S $sock && ((stat $sock)[2] & 07777) == 0600 }, 5), 'a socket for the successor');
is((stat $sock)[2] & 07777, 0600, 'of which others are kept');

# Starts a successor; true when the pidfile names it.
my $successor = sub {
    my $pid = spawn(argv => [$bin, '-R', $p->{ini}], user => 1, log => $p->{log});
    push @procs, $pid;
    return wait_for(sub { -s "$dir/pid" && slurp("$dir/pid") =~ /^$pid$/m }, 20);
};
my $conn = 'host=127.0.0.1 port=' . $p->port . ' dbname=test user=postgres';
{
    my ($st, $out) = pgbench('host=' . $pg->host . ' port=' . $pg->port . ' dbname=postgres user=postgres', qw(-i -q -s 1));
    is($st, 0, 'tables for pgbench') or diag($out);
}
# One that stays where it was, with a transaction open, and its cancel key.
my $old = $p->connect('test');
$old->query('BEGIN');
$old->query('CREATE TEMP TABLE t(i int)');

# Who reads the metrics in one connection comes to the successor, too.
my $reader = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 20);
$reader->send_raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
ok(wait_for(sub { eval { $reader->_fill(length($reader->{in}) + 1, 10) }; $reader->{in} =~ /ok\n\z/ }, 20), 'a reader of metrics');
unlike($reader->{in}, qr/^connection: close/im, '... may stay');

my %load;
for my $l ([plain => "$conn sslmode=disable"], [tls => "$conn sslmode=require"], [connects => "$conn sslmode=disable", '-C'],
    ['tls connects' => "$conn sslmode=require", '-C'])
{
    my ($name, $info, @more) = @$l;
    my $file = "$dir/bench-" . $name =~ s/ /-/r;
    $load{$name} = [spawn(argv => ['/usr/bin/pgbench', '-n', '-S', '-T', 14, '-c', 3, @more, $info], log => $file), $file];
}
for my $i (1 .. 5) {
    sleep 1.5;
    ok($successor->(), "takeover $i");
    next if $i > 1;
    $reader->send_raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    ok($reader->wait_eof(20), 'the reader is sent away');
    is($p->http('/healthz')->{code}, 200, '... and served by the successor');
}
for my $name (sort keys %load) {
    my ($pid, $file) = @{ $load{$name} };
    my $st = wait_for(sub { my $s = reap($pid); defined $s ? [$s] : 0 }, 300);
    my $t = slurp($file);
    ok($st && $st->[0] == 0, "$name: pgbench ends well");
    my ($failed) = $t =~ /number of failed transactions: (\d+)/;
    my ($done) = $t =~ /number of transactions actually processed: (\d+)/;
    ok(defined $failed && $failed == 0 && $done > 0 && $t !~ /error|FATAL|aborted/, "$name: no transaction failed") or diag($t);
    diag("$name: $done transactions");
}
# Those without clients have ended; the first one has the open transaction, and nobody in between may go before it: they
# pass its cancels on.
is($old->value('SELECT count(*) FROM t'), 0, 'the open transaction is where it was');
is(scalar(grep { !defined reap($_) } @procs), 6, 'all are there while the first one has a client');
$old->send_query('SELECT pg_sleep(100)');
for (1 .. 40) { $old->cancel; last if $old->readable(0.5) } # the first ones may come before the query
my $r = $old->finish(timeout => 10);
error_is($r, '57014', qr/canceling statement/, 'a cancel finds the client five processes back');
$old->query('ROLLBACK');
is($old->value('SELECT 1'), 1, 'which goes on');
$old->close;
ok(wait_for(sub { !grep { !defined reap($_) } @procs[0 .. 4] }, 20), 'when it leaves, all but the newest end');
my $newest = $procs[-1];
ok(!defined reap($newest), 'the newest serves');
is($p->connect('test')->value('SELECT 2'), 2, 'clients');
like($p->http('/readyz')->{body}, qr/ready/, 'and metrics');
ok(-S $sock && -s "$dir/pid", 'its files are there');

# One that cannot start: nothing changes.
my $good = slurp($p->{ini});
my $c = $p->connect('test');
spew("$dir/bad.ini", $good . "tenant_audit_log = /nonexistent/dir/x\n");
my ($st, $out, $err) = run_cmd(argv => [$bin, '-R', "$dir/bad.ini"], user => 1, timeout => 20);
isnt($st, 0, 'a successor that cannot start fails');
like("$out$err", qr/tenant_audit_log/, 'and says why');
ok($p->wait_log(qr/did not take over, going on/), 'the present process has seen it');
is($c->value('SELECT 3'), 3, 'its clients stay');
is($p->connect('test')->value('SELECT 4'), 4, 'it takes new ones');
is(slurp("$dir/pid"), "$newest\n", 'the pidfile is its own');
# Who speaks out of turn, or nonsense, gets nothing.
for my $words ([], ['READY'], ['x' x 2000], ["CANCEL\0\0\0\1\0\0\0\2", 'READY'], ['TAKEOVER 2', 'READY'], ['TAKEOVER 1'], ['FLAGS1'], ["FLAGS3test\0"], ['STATE', "FLAGS1\0", 'TAKEOVER 1'], ['STATE']) {
    my $s = IO::Socket::UNIX->new(Type => SOCK_SEQPACKET, Peer => $sock) or die "$sock: $!\n";
    $s->send($_) for @$words;
    sleep 0.2;
    close $s;
    sleep 0.1;
}
is($c->value('SELECT 5'), 5, 'nonsense on its socket changes nothing');
is($p->connect('test')->value('SELECT 6'), 6, 'for new clients either');
# Without an old process -R starts as usual.
kill 'QUIT', $newest;
ok(wait_for(sub { defined reap($newest) }, 10), 'ended');
ok(!-e $sock && !-e "$dir/pid", 'without leaving files');
ok($successor->(), '-R without an old process');
is($p->connect('test')->value('SELECT 5'), 5, 'serves');

# drain_timeout lets idle clients go to the new one.
$p->{set}{drain_timeout} = 100;
$p->write;
kill 'HUP', $procs[-1];
ok($p->wait_log(qr/SIGHUP/), 'reloaded');
my $idle = $p->connect('test');
my $busy = $p->connect('test');
$busy->query('BEGIN');
my $before = $procs[-1];
ok($successor->(), 'takeover with drain_timeout');
my $bye = $idle->read_msg(10);
ok($bye && $bye->[0] eq 'E' && $bye->[1] =~ /C57P01\0/ && $bye->[1] =~ /server shutting down/, 'an idle client is told to go (57P01)');
is($busy->value('SELECT 6'), 6, 'one in a transaction stays');
$busy->query('COMMIT');
ok(wait_for(sub { defined reap($before) }, 15), 'until its end');
is($p->connect('test')->value('SELECT 7'), 7, 'the new one serves');
kill 'QUIT', $procs[-1];
ok(wait_for(sub { defined reap($procs[-1]) }, 10), 'ended');
is(scalar $p->complaints, 0, 'with a clean log') or diag(join "\n", $p->complaints);
delete $p->{pid};
finish();
