#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Cancels over TLS in both directions, and server_tls_sslmode=allow: in clear, and by TLS where the server insists.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead::Newest;
use Bulkhead;
use Bulkhead::Relay;

need_ours();
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $pg = pg(tls => $ca, hba => ['host all postgres 127.0.0.1/32 trust', 'hostssl all tlsonly 127.0.0.1/32 trust', 'hostnossl all clearonly 127.0.0.1/32 trust',
    'host all either 127.0.0.1/32 trust', 'host all pass 127.0.0.1/32 scram-sha-256']);
$pg->sql("CREATE ROLE $_ LOGIN PASSWORD 'pw'") for qw(tlsonly clearonly either pass);
my $relay = Bulkhead::Relay::recorder($pg->port);
my ($port, $log) = @$relay{qw(port log)};
# How the connections since the last call began.
my %called = (80877103 => 'ssl', 80877102 => 'cancel');
my $seen = sub { my $t = slurp($log); open my $f, '>', $log; close $f; return join ' ', map { my (undef, $code, $first) = split; $called{$code} // ($first == 0 ? 'clear' : 'direct') } split /\n/, $t };
$seen->();
my %tls = (client_tls_sslmode => 'require', client_tls_key_file => $key, client_tls_cert_file => $cert);
my $make = sub { proxy(pg => $pg, databases => { test => "host=localhost port=$port dbname=postgres" }, set => { %tls, worker_threads => 1, @_ }) };
my $cancel = sub {
    my ($p, $name) = @_;
    my $w = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca });
    $w->send_query('SELECT pg_sleep(100)');
    $pg->runs('SELECT pg_sleep%');
    return $w;
};
# PQcancelBlocking of libpq 18 uses TLS as the connection does.
my $p = $make->(server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca);
$p->{tls_client} = { ca => $ca->ca };
for my $how ('postgres', 'direct') {
    my ($st, $out, $err) = libpq18_run('host=localhost port=' . $p->port . " user=postgres dbname=test sslmode=verify-full sslnegotiation=$how sslrootcert=" . $ca->ca, <<'PY', watch => $pg->dsn . ' sslmode=disable');
c = connect()
pq.PQsendQuery(c, b'SELECT pg_sleep(100)')
runs('SELECT pg_sleep%')
k = P(pq.PQcancelCreate(c))
print(pq.PQcancelBlocking(k))
r = P(pq.PQgetResult(c))
print(pq.PQresultErrorField(r, ord('C')).decode())
PY
    is($out, "1\n57014\n", "PQcancelBlocking, sslnegotiation=$how") or diag($err);
}
like($seen->(), qr/^ssl(?: ssl){2,3}$/, 'connections to the server and two cancels, all by TLS');
# In clear to us, by TLS to the server; with the verification of the server's own connection, whatever RELOAD changed since.
# One server that is there and nobody's: a client that left at once may have taken its own along, a cancel may still hold it.
my $warm = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca });
$warm->query('SELECT 1');
$warm->close;
wait_for(sub { my @s = map { $_->{state} } @{ $p->console('SHOW SERVERS') }; @s && !grep { $_ ne 'idle' } @s }, 10);
$seen->();
my $w = $cancel->($p);
is($seen->(), '', 'the server is used again');
$p->{set}{server_tls_sslmode} = 'disable';
$p->reload;
$w->cancel;
error_is($w->finish, '57014', qr/canceling statement/, 'a cancel in clear, while RELOAD has turned TLS to servers off');
is($seen->(), 'ssl', 'goes by TLS to a server that was reached by it');
$w->close;
$w = $cancel->($p);
is($seen->(), 'clear', 'new servers are reached in clear');
$p->{set}{server_tls_sslmode} = 'verify-full';
$p->reload;
$w->cancel;
error_is($w->finish, '57014', qr/canceling statement/, 'and the other way round');
is($seen->(), 'cancel', 'in clear where the server is');
$w->close;
$p->stop; $p->{expect_exit} = 1;
# Direct on both sides.
$p = $make->(server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca, server_tls_negotiation => 'direct');
$w = $cancel->($p);
$w->cancel(tls => { ca => $ca->ca, direct => 1 });
error_is($w->finish, '57014', qr/canceling statement/, 'direct TLS on both sides');
is($seen->(), 'direct direct', 'to the server, too');
$w->close;
$p->stop; $p->{expect_exit} = 1;

# allow: as libpq understands it.
$p = $make->(%tls, client_tls_sslmode => 'allow', server_tls_sslmode => 'allow', server_login_retry => 0.2, auth_type => 'trust');
$p->{auth} = { map { $_ => 'pw' } qw(tlsonly clearonly either) };
$p->{auth}{pass} = 'wrong';
$p->reload;
my $ask = sub {
    my $c = $p->connect('test', $_[0], no_die => 1, timeout => 10);
    return $c->{error}{M} if $c->{error};
    my $r = $c->query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    return $r->{error} ? $r->{error}{M} : row_values($r);
};
$seen->();
is($ask->('either'), 'f', 'allow: in clear where the server takes it');
is($seen->(), 'clear', 'at once');
is($ask->('tlsonly'), 't', 'allow: by TLS where the server insists');
is($seen->(), 'clear ssl', 'after it said so');
is($ask->('clearonly'), 'f', 'allow: in clear where that is what the server wants');
$seen->();
like($ask->('pass'), qr/password authentication failed/, 'allow: a wrong password stays one');
unlike($seen->(), qr/ssl/, 'and is not tried by TLS');
like($ask->('nobody'), qr/./, 'allow: a user that the server does not have');
$p->{set}{server_tls_sslmode} = 'disable';
$p->reload;
like($ask->('tlsonly'), qr/no encryption|no pg_hba/, 'disable: never by TLS');
stop_child($relay->{pid}, 'TERM', 5);
finish();
