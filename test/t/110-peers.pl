#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A fleet: cancel requests find their client whichever process they reach; PgBouncer's key scheme; several processes on one port.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::TLS;
use IO::Socket::INET;
use IO::Socket::UNIX;

need_ours();
my $pg = pg();
my $busy = sub {
    my ($want) = @_;
    return wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == $want }, 10);
};
# [id, byte 0 to 7] of a client's key.
my $key = sub { my @b = unpack 'C8', $_[0]{cancel_body}; return ($b[1] | $b[2] << 8, @b) };

# What stands for a peer that PgBouncer 1.21 or later would be: takes one request at a time and shows its bytes.
my $fake = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $!";
my $taken = sub {
    my $s = $fake->accept;
    $s->blocking(1);
    my $n = sysread $s, my $bytes, 300;
    if ($n && $bytes eq pack 'NN', 8, 80877103) { # no TLS here
        syswrite $s, 'N';
        $n = sysread $s, $bytes, 300;
    }
    close $s;
    return $n ? substr $bytes, 0, $n : '';
};

# ---- three processes, each with the others as peers: by TCP, by Unix socket ----
my $dir = work_dir();
my @p = map { proxy(pg => $pg, start => 0, databases => { test => 'dbname=postgres' }) } 1 .. 3;
for my $i (0 .. 2) {
    my $sock = "$dir/s$i";
    mkdir $sock;
    chmod 0777, $sock;
    $p[$i]{sock} = $sock;
    $p[$i]{set} = { peer_id => [1, 300, 16383]->[$i], unix_socket_dir => $sock, default_pool_size => 4, verbose => 1, cancel_wait_timeout => 60 };
}
my $peers = sub {
    return "\n[peers]\n1 = host=127.0.0.1 port=$p[0]{port}\n300 = host=$p[1]{sock} port=$p[1]{port} pool_size=2\n16383 = host=localhost port=$p[2]{port}\n"
        . "77 = host=127.0.0.1 port=" . $fake->sockport . "\n78 = host=127.0.0.1 port=" . free_port() . "\n" . ($_[0] // '');
};
for (@p) { $_->{extra} = $peers->(); $_->write; $_->start }
my @ids = (1, 300, 16383);
for my $i (0 .. 2) {
    my @c = map { $p[$i]->connect('test') } 1 .. 5;
    is_deeply([map { ($key->($_))[0] } @c], [($ids[$i]) x 5], "process $ids[$i]: its number is in the second and third byte");
    is_deeply([map { my @k = $key->($_); ($k[1] >> 7, $k[8] & 3) } @c], [(0, 3) x 5], 'the first bit is 0, the last two say three steps');
}
for my $from (0 .. 2) {
    for my $to (0 .. 2) {
        my $c = $p[$to]->connect('test');
        my $other = $p[$from]->connect('test');
        $_->send_query('SELECT pg_sleep(30)') for $c, $other;
        $busy->(2);
        $c->cancel(host => $p[$from]->host, port => $p[$from]->port);
        error_is($c->finish, '57014', qr/canceling statement due to user request/, "a request at process $ids[$from] finds the client of process $ids[$to]");
        ok(!$other->readable(0.2), 'and nobody else');
        $other->cancel;
        $other->finish;
    }
}
{ # the console's own keys
    my $c = $p[0]->connect('test');
    $c->query('BEGIN');
    my $admin = $p[0]->connect('pgbouncer', 'bhadmin');
    $admin->send_query('PAUSE test');
    ok(!$admin->readable(0.3), 'the console waits for a client');
    $admin->cancel(host => $p[1]->host, port => $p[1]->port);
    error_is($admin->finish, '57014', qr/cancel/, 'a request at another process finds the console');
    $p[0]->console('RESUME test', raw => 1, no_die => 1);
}
is_deeply([map { $_->{peer_id} } @{ $p[0]->console('SHOW PEERS') }], [1, 300, 16383, 77, 78], 'SHOW PEERS');
is_deeply([sort map { $_->{peer_id} } @{ $p[0]->console('SHOW PEER_POOLS') }], [16383, 300], 'SHOW PEER_POOLS: those that were sent something');
my ($n) = map { $_->{items} } grep { $_->{list} eq 'peer_pools' } @{ $p[0]->console('SHOW LISTS') };
is($n, 2, 'SHOW LISTS counts them');
ok($p[0]->wait_log(qr/peer-300\@unix:\d+ passing on a cancel request/), 'the log names the peer');

# ---- the bytes, step by step ----
my $c = $p[0]->connect('test');
# Sends a request without waiting for its end; the connection is kept.
my @asked;
my $send = sub {
    my ($to, @k) = @_;
    my $b = pack('NC*', 80877102, @k);
    push @asked, Bulkhead::Wire->new(host => $to->host, port => $to->port, timeout => 5);
    $asked[-1]->send_raw(pack('N', 4 + length $b) . $b);
};
my @k = (0x12, 77, 0, 4, 5, 6, 7, 0xfb);
$send->($p[0], @k);
is(unpack('H*', $taken->()), unpack('H*', pack 'NNC8', 16, 80877102, 0x12, 77, 0, 4, 5, 6, 7, 0xfa), 'passed on with one step less, all else as it came');
$send->($p[0], @k[0 .. 6], 0xf9);
is(ord substr($taken->(), -1), 0xf8, 'the last step');
$send->($p[0], @k[0 .. 6], 0xf8);
ok($p[0]->wait_log(qr/failed to forward cancel request because its TTL was exhausted/), 'no step left: dropped');
$send->($p[0], 0x12, 0xe7, 3, 4, 5, 6, 7, 0xff);
ok($p[0]->wait_log(qr/cancel request for peer 999 dropped/), 'a peer that nobody knows');
$send->($p[0], 0x12, 78, 0, 4, 5, 6, 7, 0xff);
ok($p[0]->wait_log(qr/peer-78\@127\.0\.0\.1:\d+ cancel request is not passed on/), 'a peer that is down');
# The long key of protocol 3.2 travels whole.
$send->($p[0], @k, (0x78) x 24);
is(length $taken->(), 40, 'a long key is passed on whole');
ok($asked[-1]->wait_eof(10), 'who asked is told when it is done');
# A request that came in two steps: the key's last bits are 1 by then.
$c->send_query('SELECT pg_sleep(30)');
$busy->(1);
my @own = unpack 'C8', $c->{cancel_body};
$send->($p[1], @own[0 .. 6], $own[7] & ~2);
error_is($c->finish, '57014', qr/canceling/, 'a request after three hops is ours still');
# A peer that does not answer: the request is given up, those behind it are served in turn.
my $quiet = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
$p[0]{extra} = $peers->('79 = host=127.0.0.1 port=' . $quiet->sockport . " pool_size=1\n");
ok(!$p[0]->reload->{error}, 'a peer by RELOAD');
$send->($p[0], 1, 79, 0, 1, 1, 1, $_, 3) for 1 .. 3;
my $row = sub { (grep { $_->{peer_id} == 79 } @{ $p[0]->console('SHOW PEER_POOLS') })[0] // {} };
ok(wait_for(sub { my $r = $row->(); ($r->{cl_active_cancel_req} // 0) == 1 && $r->{cl_waiting_cancel_req} == 2 && $r->{sv_login} == 1 }), 'pool_size holds: one under way, two wait');
$p[0]->console('SET cancel_wait_timeout = 1');
ok(wait_for(sub { my $r = $row->(); $r->{cl_active_cancel_req} + $r->{cl_waiting_cancel_req} == 0 }, 15), 'cancel_wait_timeout ends them');
ok($p[0]->wait_log(qr/cancel_wait_timeout/), 'with a line in the log');

# ---- TLS between peers ----
my ($tls_key, $tls_cert) = Bulkhead::TLS->new->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1');
my @t = map { proxy(pg => $pg, start => 0, server_host => '127.0.0.1', databases => { test => 'dbname=postgres' }) } 1, 2;
for my $i (0, 1) {
    $t[$i]{set} = { peer_id => $i + 1, client_tls_sslmode => 'allow', client_tls_key_file => $tls_key, client_tls_cert_file => $tls_cert,
        server_tls_sslmode => 'prefer', log_connections => 1, verbose => 1 };
    $t[$i]{extra} = "\n[peers]\n1 = host=localhost port=$t[0]{port}\n2 = host=localhost port=$t[1]{port}\n";
    $t[$i]->write;
    $t[$i]->start;
}
my $d = $t[1]->connect('test');
$d->send_query('SELECT pg_sleep(30)');
$busy->(1);
my $before = $t[1]->metric('pgbulkhead_tls_handshakes_total', 'side="client"') // 0;
$d->cancel(host => $t[0]->host, port => $t[0]->port);
error_is($d->finish, '57014', qr/canceling/, 'to a peer over TLS');
cmp_ok($t[1]->metric('pgbulkhead_tls_handshakes_total', 'side="client"') // 0, '>', $before, 'it was TLS');

# ---- several processes on one port ----
my $port = free_port();
my @f = map { proxy(pg => $pg, start => 0, databases => { test => 'dbname=postgres' }) } 1 .. 3;
for my $i (0 .. 2) {
    mkdir "$dir/f$i";
    chmod 0777, "$dir/f$i";
    $f[$i]{port} = $port;
    $f[$i]{set} = { so_reuseport => 1, peer_id => $i + 1, unix_socket_dir => "$dir/f$i", default_pool_size => 20 };
    $f[$i]{extra} = "\n[peers]\n" . join '', map { "$_ = host=$dir/f" . ($_ - 1) . " port=$port\n" } 1 .. 3;
    $f[$i]->write;
    $f[$i]->start;
}
$_->wait_log(qr/process up/) for @f; # that the port answers says only that one of them is there
my (@clients, %on);
while (@clients < 12 || (keys %on < 3 && @clients < 60)) {
    push @clients, $f[0]->connect('test');
    $on{ ($key->($clients[-1]))[0] } = 1;
}
is(join(', ', sort keys %on), '1, 2, 3', 'the system deals connections to the processes');
(pop @clients)->close while @clients > 12;
$_->send_query('SELECT pg_sleep(60)') for @clients;
$busy->(12);
my $good = 0;
for my $cl (@clients) {
    $cl->cancel;
    $good++ if ($cl->finish->{error}{C} // '') eq '57014';
}
is($good, 12, 'each cancel finds its query, wherever it lands');
# One leaves: the others' cancels work on.
$f[2]{expect_exit} = 1;
$f[2]->stop;
my @rest = map { $f[0]->connect('test') } 1 .. 6;
$_->send_query('SELECT pg_sleep(60)') for @rest;
$busy->(6);
$good = 0;
for my $cl (@rest) { $cl->cancel; $good++ if ($cl->finish->{error}{C} // '') eq '57014' }
is($good, 6, 'when a process has gone, the others find each other');

# ---- Debian's PgBouncer, which knows no peers, beside ours on one port ----
my $old = "$dir/old";
mkdir $old;
if ($> == 0) { my @u = getpwnam 'postgres'; chown $u[2], $u[3], $old }
my $shared = free_port();
my $mine = proxy(pg => $pg, start => 0, databases => { test => 'dbname=postgres' });
$mine->{port} = $shared;
$mine->{set} = { so_reuseport => 1, peer_id => 5 };
$mine->write;
$mine->start;
spew("$old/users.txt", qq("postgres" ""\n));
spew("$old/b.ini", '[databases]' . "\ntest = " . $mine->server_dsn . " dbname=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $shared\n"
        . "unix_socket_dir =\nauth_type = trust\nauth_file = $old/users.txt\nso_reuseport = 1\npool_mode = transaction\n");
sub pgbouncer_there { my $s = slurp('/proc/net/tcp'); my $hex = sprintf '0100007F:%04X', $shared; my $k = () = $s =~ /\Q$hex\E 00000000:0000 0A/g; return $k == 2 }
my $bpid = spawn(argv => ['/usr/sbin/pgbouncer', "$old/b.ini"], user => 1, log => "$old/log");
$mine->wait_log(qr/process up/);
ok(wait_for(\&pgbouncer_there, 10), 'Debian\'s PgBouncer listens beside us') or diag(slurp("$old/log"));
my (@ours_c, @theirs);
for (1 .. 60) {
    my $x = $mine->connect('test');
    push @{ ($key->($x))[0] == 5 && (($key->($x))[8] & 3) == 3 ? \@ours_c : \@theirs }, $x;
    last if @ours_c > 3 && @theirs > 3;
}
ok(@ours_c && @theirs, 'clients land with both: ' . @ours_c . ' and ' . @theirs);
my $through = sub {
    my ($cl) = @_;
    $cl->send_query('SELECT pg_sleep(60)');
    $busy->(1);
    for my $try (1 .. 60) {
        $cl->cancel;
        return ($cl->finish->{error}{C} // '') eq '57014' if $cl->readable(0.1);
    }
    return 0;
};
ok($through->($ours_c[0]), 'a cancel for a client of ours that lands with the old one is lost, and comes through when it is sent again');
ok($through->($theirs[0]), 'and the other way round');
is($ours_c[1]->value('SELECT 5') + $theirs[1]->value('SELECT 6'), 11, 'nobody else was hit');
stop_child($bpid, 'KILL', 5);
finish();
