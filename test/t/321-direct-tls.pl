#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# TLS without SSLRequest: from clients (libpq 18's sslnegotiation=direct, openssl) and to servers; ALPN in both ways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead::Newest;
use Bulkhead;

need_ours();
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $pg = pg(tls => $ca, hba => ['hostssl all all 127.0.0.1/32 trust', 'host all postgres 127.0.0.1/32 trust']);
my %tls = (client_tls_sslmode => 'require', client_tls_key_file => $key, client_tls_cert_file => $cert);
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', plainly => 'dbname=postgres server_tls_negotiation=postgres' },
    set => { %tls, server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca, server_tls_negotiation => 'direct', verbose => 1 });
$p->{tls_client} = { ca => $ca->ca };
my $con = sub { "host=localhost port=" . $p->port . " user=postgres dbname=test sslrootcert=" . $ca->ca . " @_" };
my $try = sub { my ($st, $out, $err) = psql($con->(@_), 'SELECT 41 + 1', env => { libpq18() }); return $st ? $err : $out };

# From clients.
is($try->('sslmode=verify-full sslnegotiation=direct'), 42, 'libpq 18: direct TLS');
is($try->('sslmode=require sslnegotiation=postgres'), 42, 'libpq 18: by SSLRequest');
my ($st, $out) = libpq18_run($con->('sslmode=verify-full sslnegotiation=direct'), "c = connect()\nprint(pq.PQsslAttribute(c, b'alpn').decode())\nprint(value(c, 'SELECT 7'))\n");
is($out, "postgresql\n7\n", 'direct: the protocol postgresql is agreed (ALPN)');
($st, $out) = libpq18_run($con->('sslmode=verify-full sslnegotiation=postgres'), "c = connect()\nprint(pq.PQsslAttribute(c, b'alpn').decode())\n");
is($out, "postgresql\n", 'by SSLRequest: too');
is((psql("host=localhost port=" . $p->port . ' user=postgres dbname=test sslmode=require', 'SELECT 8'))[1], 8, 'libpq 15, which knows no ALPN, by SSLRequest');
my $w = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca, direct => 1 });
is($w->value("SELECT length('" . 'z' x 300000 . "')"), 300000, 'direct TLS: a large query');
$w->close;
my $s_client = sub {
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', 's_client', '-connect', 'localhost:' . $p->port, @_], stdin => '', timeout => 10);
    return "$out$err";
};
like($s_client->('-alpn', 'postgresql'), qr/ALPN protocol: postgresql/, 'openssl: direct TLS');
like($s_client->('-alpn', 'h2,http/1.1'), qr/no application protocol|alert/, 'another protocol is refused in the handshake');
like($s_client->('-alpn', 'h2', '-starttls', 'postgres'), qr/no application protocol|alert/, 'by SSLRequest as well');
like($s_client->('-starttls', 'postgres'), qr/No ALPN negotiated/, 'by SSLRequest it is not needed');
# Without ALPN: an error inside of TLS, before anything is read.
{
    my ($st, $out, $err) = run_cmd(argv => ['/bin/sh', '-c', '(sleep 1) | openssl s_client -quiet -connect localhost:' . $p->port], timeout => 10);
    like("$out$err", qr/direct TLS connection without ALPN/, 'direct TLS without ALPN is refused');
}
ok($p->wait_log(qr/closing because: direct TLS connection without ALPN/), 'and logged');
# In TLS there is no second TLS.
my $in = Bulkhead::Wire->new(host => 'localhost', port => $p->port, timeout => 8, tls => { ca => $ca->ca, direct => 1 });
$in->send_raw(pack 'NN', 8, 80877103);
my $m = $in->read_msg;
is($m && $m->[0], 'E', 'SSLRequest inside of TLS: an error');
$in->abort;
# A ClientHello that comes byte by byte, a broken one, one that stops.
my $hello = do {
    my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die;
    my $pid = spawn(argv => ['/usr/bin/openssl', 's_client', '-alpn', 'postgresql', '-connect', '127.0.0.1:' . $l->sockport], log => work_dir() . '/hello.log');
    my $s = $l->accept;
    sysread $s, my $b, 65536;
    stop_child($pid, 'KILL', 5);
    $b;
};
my $raw = sub { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8) };
my $d = $raw->();
for my $b (split //, substr $hello, 0, 400) { $d->send_raw($b) }
is(substr($d->read_bytes(5, 8) // '', 0, 1), "\x16", 'a ClientHello byte by byte is answered');
$d->abort;
$d = $raw->();
$d->send_raw("\x16\x03\x01\x00\x05hello");
ok($d->wait_eof(6), 'a broken ClientHello ends the connection');
unlike($d->{in}, qr/^E/, 'without an answer in clear');
$d = $raw->();
$d->send_raw(substr $hello, 0, 20);
$d->abort;
# After SSLRequest the handshake is that one; after GSSENCRequest direct TLS is no start packet of old.
$d = $raw->();
$d->send_raw(pack('NN', 8, 80877104));
is($d->read_bytes(1, 5), 'N', 'GSSENCRequest: N');
$d->send_raw($hello);
is(substr($d->read_bytes(5, 8) // '', 0, 1), "\x16", 'then TLS');
$d->abort;
is($try->('sslmode=require'), 42, 'others go on');

# To servers.
is($p->pool('test', 'postgres')->{sv_idle} > 0, 1, 'servers were reached directly');
like($pg->value("SELECT string_agg(DISTINCT version, ',') FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name <> '' OR ssl"), qr/TLSv1\.3/, 'by TLS 1.3');
my $c = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'plainly', tls => { ca => $ca->ca });
is($c->value('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'), 't', 'server_tls_negotiation of a database counts more');
$c->close;
# A cancel goes the same way.
$w = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca, direct => 1 });
$w->send_query('SELECT pg_sleep(100)');
$pg->runs('SELECT pg_sleep%');
$w->cancel(tls => { ca => $ca->ca, direct => 1 });
error_is($w->finish, '57014', qr/canceling statement/, 'a cancel by direct TLS on both sides');
$w->close;
$p->stop; $p->{expect_exit} = 1;

# Servers that cannot.
my $old = pg();
my $q = proxy(pg => $old, databases => { test => 'dbname=postgres' }, set => { server_tls_sslmode => 'require', server_tls_negotiation => 'direct', query_wait_timeout => 60 });
rejects($q, 'test', undef, '08006', qr/TLS handshake failed/, 'a server without TLS: refused');
$q->stop; $q->{expect_exit} = 1;
# Wishes that contradict one another.
for my $set ({ server_tls_sslmode => 'prefer' }, { server_tls_sslmode => 'disable' }) {
    my $x = proxy(pg => $old, databases => { test => 'dbname=postgres' }, set => { server_tls_negotiation => 'direct', %$set }, start => 0);
    ok(!$x->start(may_fail => 1), "direct with $set->{server_tls_sslmode}: not started");
    ok($x->wait_log(qr/server_tls_negotiation: needs server_tls_sslmode=require/), 'and the reason');
    $x->{expect_exit} = 1;
}
# TLS is off: a client that begins with it is let go.
my $off = proxy(pg => $old, databases => { test => 'dbname=postgres' });
$d = Bulkhead::Wire->new(host => '127.0.0.1', port => $off->port, timeout => 8);
$d->send_raw($hello);
ok($d->wait_eof(6), 'TLS off: the connection ends');
ok($off->wait_log(qr/direct TLS connection, but TLS is not on/), 'and the log says why');
finish();
