#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Protocol 3.2 on both sides: long cancel keys, NegotiateProtocolVersion exactly once; libpq 18 and PostgreSQL 18, and servers
# that know 3.0 only.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead::Newest;
use Bulkhead;
use Bulkhead::Relay;

need_ours();
my $pg = pg(hba => ['host all scrammy 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']);
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { scrammy => 'pw' }, set => { auth_type => 'trust' });
my $open = sub { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10) };
# What a client asks for, and what it is told: the version (undef: nothing), the unknown parameters, the length of the secret.
my @cases = (
    ['3.0', 0, {}, undef, '', 4], ['3.0 with an option', 0, { '_pq_.a' => 1 }, 0, '_pq_.a', 4],
    ['3.1', 1, {}, 0, '', 4], ['3.2', 2, {}, undef, '', 32], ['3.2 with options', 2, { '_pq_.b' => 1, '_pq_.a' => 'x' }, 2, '_pq_.a _pq_.b', 32],
    ['3.3', 3, {}, 2, '', 32], ['3.9999', 9999, { '_pq_.test_protocol_negotiation' => '' }, 2, '_pq_.test_protocol_negotiation', 32],
);
my %keys;
for my $case (@cases) {
    my ($name, $minor, $params, $told, $names, $secret) = @$case;
    my $c = $open->();
    $c->startup(user => 'postgres', dbname => 'test', protocol => 196608 + $minor, params => $params);
    my $msgs = $c->read_until('Z');
    my @v = grep { $_->[0] eq 'v' } @$msgs;
    is(scalar @v, defined $told ? 1 : 0, "$name: NegotiateProtocolVersion " . (defined $told ? 'once' : 'not'));
    is($msgs->[0][0], defined $told ? 'v' : 'R', "$name: comes first");
    if (@v) {
        my ($version, $n) = unpack 'NN', $v[0][1];
        is($version, 196608 + $told, "$name: 3.$told");
        is(join(' ', split /\0/, substr $v[0][1], 8), $names, "$name: unknown options");
        is($n, scalar(split ' ', $names), "$name: their number");
    }
    my ($k) = grep { $_->[0] eq 'K' } @$msgs;
    is(length $k->[1], 4 + $secret, "$name: a secret of $secret bytes");
    $keys{ $k->[1] }++;
    is(row_values($c->query('SELECT 1')), 1, "$name: works");
    $c->close;
}
is(scalar keys %keys, @cases, 'each with a key of its own');
# Cancel requests need the whole key.
for my $minor (0, 2) {
    my $c = $open->();
    $c->startup(user => 'postgres', dbname => 'test', protocol => 196608 + $minor);
    $c->authenticate;
    my $key = $c->{cancel_body};
    $c->send_query('SELECT pg_sleep(100)');
    $pg->runs('SELECT pg_sleep%');
    my $wrong = $key;
    substr($wrong, -1, 1) = chr(ord(substr $wrong, -1, 1) ^ 1);
    my $flip = $key;
    substr($flip, 9, 1) = chr(ord(substr $flip, 9, 1) ^ 1) if $minor;
    for my $bad ($wrong, $minor ? (substr($key, 0, 8), substr($key, 0, 35), $flip) : (), $key . "\0", $key . "\0" x 28) {
        $c->cancel(body => $bad);
    }
    ok(!$c->readable(0.5), "3.$minor: wrong, short and long keys cancel nothing");
    $c->cancel(body => $key);
    error_is($c->finish, '57014', qr/canceling statement/, "3.$minor: the right one does");
    is($c->value('SELECT 2'), 2, 'and the client goes on');
    $c->close;
}
# libpq 18.
my $con = 'host=127.0.0.1 port=' . $p->port . ' user=postgres dbname=test';
my $code = <<'PY';
c = connect()
print(pq.PQfullProtocolVersion(c))
PY
for my $v ('3.0', '3.2', 'latest') {
    my ($st, $out, $err) = libpq18_run("$con max_protocol_version=$v", $code);
    is($out, ($v eq '3.0' ? 30000 : 30002) . "\n", "libpq 18 with max_protocol_version=$v") or diag($err);
}
my ($st, $out, $err) = libpq18_run("$con min_protocol_version=3.2 max_protocol_version=3.2", $code);
is($out, "30002\n", 'with min_protocol_version=3.2 too') or diag($err);
($st, $out, $err) = libpq18_run("$con max_protocol_version=3.2", <<'PY', watch => $pg->dsn);
c = connect()
pq.PQsendQuery(c, b'SELECT pg_sleep(100)')
runs('SELECT pg_sleep%')
k = P(pq.PQcancelCreate(c))
print(pq.PQcancelBlocking(k))
r = P(pq.PQgetResult(c))
print(pq.PQresultErrorField(r, ord('C')).decode())
PY
is($out, "1\n57014\n", 'PQcancelBlocking with a long key') or diag($err);

# Towards servers: 3.0 first, 3.2 when it is known that they are new; their long keys serve for cancelling.
my $seen = sub { my ($p) = @_; my @m = $p->log_text =~ /protocol 3\.(\d)/g; return "@m" };
my $lengths = sub {
    my (%set) = @_;
    my $relay = Bulkhead::Relay::recorder($pg->port);
    my $x = proxy(pg => $pg, databases => { test => "host=127.0.0.1 port=$relay->{port} dbname=postgres" }, set => { server_tls_sslmode => 'disable', server_lifetime => 3600, %set });
    my $a = $x->connect('test');
    $a->query('BEGIN');
    my $b = $x->connect('test');
    $b->send_query('SELECT pg_sleep(100)');
    $pg->runs('SELECT pg_sleep%');
    $b->cancel;
    error_is($b->finish, '57014', qr/canceling statement/, 'the server is canceled');
    $_->close for $a, $b;
    $x->stop; $x->{expect_exit} = 1;
    stop_child($relay->{pid}, 'TERM', 5);
    return join '', map { my ($n, $code) = split; ($code == 80877102 ? 'cancel ' . ($n - 8) : 'start 3.' . ($code & 0xffff)) . "\n" } split /\n/, slurp($relay->{log});
};
my $t = $lengths->();
like($t, qr/\Astart 3\.0\n/, 'the first connection asks for 3.0');
like($t, qr/^start 3\.2\n.*^cancel 36\n/ms, 'the next for 3.2, and its key is long');
$t = $lengths->(server_max_protocol_version => '3.2');
like($t, qr/\Astart 3\.2\n/, 'server_max_protocol_version=3.2: the first too');
unlike($t, qr/start 3\.0/, 'and all others');
$t = $lengths->(server_max_protocol_version => '3.0');
unlike($t, qr/start 3\.2/, 'server_max_protocol_version=3.0: never');
like($t, qr/^cancel 8$/m, 'short keys');

# Servers that answer the request in other ways: PostgreSQL 15 negotiates, a forged one must not.
sub forged {
    my ($bytes) = @_;
    my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die;
    my $pid = fork // die;
    if (!$pid) {
        alarm 900;
        while (my $s = $l->accept) { sysread $s, my $b, 65536; syswrite $s, $bytes; sleep 1; close $s }
        POSIX::_exit(0);
    }
    return ($l->sockport, $pid);
}
my $msg = sub { my ($t, $b) = @_; $t . pack('N', 4 + length $b) . $b };
my $v = sub { $msg->('v', pack('NN', @_[0, 1]) . join '', map { "$_\0" } @_[2 .. $#_]) };
my $good = $msg->('R', pack 'N', 0) . $msg->('S', "server_version\x{0}15.1\0") . $msg->('K', pack 'NN', 1, 2) . $msg->('Z', 'I');
my @servers = (
    ['an older version', $v->(196608, 0) . $good, undef], ['the version asked for', $v->(196610, 0) . $good, qr/NegotiateProtocolVersion/],
    ['a newer one', $v->(196612, 0) . $good, qr/NegotiateProtocolVersion/], ['twice', $v->(196608, 0) x 2 . $good, qr/NegotiateProtocolVersion/],
    ['an option that we did not send', $v->(196608, 1, '_pq_.x') . $good, qr/NegotiateProtocolVersion/],
    ['cut short', $msg->('v', pack 'N', 196608) . $good, qr/NegotiateProtocolVersion/], ['protocol 4', $v->(4 << 16, 0) . $good, qr/NegotiateProtocolVersion/],
    ['a secret of 256 bytes', $msg->('R', pack 'N', 0) . $msg->('K', pack('N', 1) . 'k' x 256) . $msg->('Z', 'I'), undef],
    ['a secret of 257 bytes', $msg->('R', pack 'N', 0) . $msg->('K', pack('N', 1) . 'k' x 257) . $msg->('Z', 'I'), qr/BackendKeyData/],
);
for my $s (@servers) {
    my ($name, $bytes, $bad) = @$s;
    my ($port, $pid) = forged($bytes);
    my $x = proxy(databases => { test => "host=127.0.0.1 port=$port dbname=postgres" }, set => { server_tls_sslmode => 'disable', server_max_protocol_version => '3.2', query_wait_timeout => 60 });
    if ($bad) { rejects($x, 'test', undef, '08P01', $bad, "server: $name: refused") }
    else { ok(eval { $x->connect('test'); 1 }, "server: $name: taken") or diag($@) }
    $x->stop; $x->{expect_exit} = 1;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}
finish();
