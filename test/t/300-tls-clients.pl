#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# TLS towards clients: modes, verification, versions, client certificates, plaintext refused, bytes before the handshake.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $ca = Bulkhead::TLS->new;
my $other_ca = Bulkhead::TLS->new(name => 'Other CA');
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my ($ckey, $ccert) = $ca->cert('postgres', file => 'client', client => 1);
my ($xkey, $xcert) = $other_ca->cert('postgres', file => 'foreign', client => 1);
my %tls = (client_tls_key_file => $key, client_tls_cert_file => $cert, client_tls_ca_file => $ca->ca);
my $make = sub { proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { %tls, @_ }) };
my $con = sub { my ($p, %o) = @_; my $host = delete $o{host} // 'localhost'; return join ' ', "host=$host port=" . $p->port . ' user=postgres dbname=test', map { "$_=$o{$_}" } sort keys %o };
my $try = sub { my ($st, $out, $err) = psql($con->(@_), 'SELECT 41 + 1'); return $st ? $err : $out };

my $p = $make->(client_tls_sslmode => 'require');
is($try->($p, sslmode => 'require'), 42, 'require: TLS works');
is($try->($p, sslmode => 'verify-full', sslrootcert => $ca->ca), 42, 'verify-full works');
like($try->($p, sslmode => 'verify-full', sslrootcert => $other_ca->ca), qr/certificate verify failed/, 'verify-full against another CA fails');
like($try->($p, sslmode => 'disable'), qr/SSL required|TLS|SSL/, 'plaintext is refused with a clear error');
rejects($p, 'test', undef, undef, qr/SSL required|TLS/i, 'for a raw client too');
my ($st, $out) = psql($con->($p, sslmode => 'require'), "\\conninfo\n");
like($out, qr/TLSv1\.3/, 'TLS 1.3 is agreed');
my $show = sub { run_cmd(argv => ['/usr/bin/psql', '-X', '-A', '-t', '-q', '-w', '-d', 'host=localhost port=' . $p->port . ' user=bhadmin dbname=pgbouncer sslmode=require'], stdin => 'SHOW CLIENTS;') };
($st, $out) = $show->();
like($out, qr/TLSv1\.3/, 'SHOW CLIENTS tells it');
# Bytes stuffed behind SSLRequest, before the handshake, must not be executed.
my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8);
my $body = pack('N', 196608) . "user\0postgres\0database\0test\0\0";
$c->send_raw(pack('NN', 8, 80877103) . pack('N', 4 + length $body) . $body . 'Q' . pack('N', 13) . "SELECT 1\0");
my $first = $c->read_bytes(1, 5);
my $ended = $c->wait_eof(6);
ok($ended, 'bytes before the handshake: the connection is ended');
unlike($c->{in}, qr/SELECT|\bR\0\0\0\x08\0\0\0\0/, 'and nothing of them is answered in clear');
# A handshake that is nonsense, one that never comes, one that is left.
for my $junk ('', 'x' x 300, "\x16\x03\x01\x00\x05hello") {
    my $d = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8);
    $d->send_raw(pack 'NN', 8, 80877103);
    is($d->read_bytes(1, 5), 'S', 'SSLRequest is answered S');
    $d->send_raw($junk) if length $junk;
    ok($d->wait_eof(6), 'a broken handshake ends the connection') if length $junk;
    $d->abort;
}
is($try->($p, sslmode => 'require'), 42, 'others go on');
# A large result and a large query over TLS.
($st, $out) = psql($con->($p, sslmode => 'require'), "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 2000);\nSELECT repeat('y', 500000);\n");
is($out, "2000000\n" . 'y' x 500000, 'large results');
my $w = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca });
is($w->value("SELECT length('" . 'z' x 300000 . "')"), 300000, 'a large query');
$w->cork; $w->send_query("SELECT $_") for 1 .. 30; $w->uncork;
is(join(',', map { row_values($w->finish) } 1 .. 30), join(',', 1 .. 30), '30 queries at once');
$w->close;
$p->{tls_client} = { ca => $ca->ca };
$p->stop; $p->{expect_exit} = 1;

$p = $make->(client_tls_sslmode => 'allow');
is($try->($p, sslmode => 'require'), 42, 'allow: TLS works');
is($try->($p, sslmode => 'disable'), 42, 'allow: plaintext works');
$p->stop; $p->{expect_exit} = 1;

$p = $make->(client_tls_sslmode => 'disable');
like($try->($p, sslmode => 'require'), qr/server does not support SSL/, 'disable: TLS is not offered');
is($try->($p, sslmode => 'prefer'), 42, 'disable: prefer falls back');
$p->stop; $p->{expect_exit} = 1;

$p = $make->(client_tls_sslmode => 'require', client_tls_protocols => 'tlsv1.3');
is($try->($p, sslmode => 'require'), 42, 'TLS 1.3 only: a new client works');
like($try->($p, sslmode => 'require', ssl_max_protocol_version => 'TLSv1.2'), qr/protocol version|SSL error/i, 'TLS 1.3 only: TLS 1.2 is refused');
$p->stop; $p->{expect_exit} = 1;

$p = $make->(client_tls_sslmode => 'require');
is($try->($p, sslmode => 'require', ssl_max_protocol_version => 'TLSv1.2'), 42, 'by default TLS 1.2 works');
($st, $out) = run_cmd(argv => ['/usr/bin/openssl', 's_client', '-starttls', 'postgres', '-tls1_1', '-cipher', 'ALL@SECLEVEL=0', '-connect', 'localhost:' . $p->port], timeout => 10);
unlike($out, qr/Protocol\s*:\s*TLSv1\.1\n.*Verify return code.*\n.*---\nread/s, 'TLS 1.1 is not agreed');
isnt($st, 0, 'and the handshake fails');
$p->stop; $p->{expect_exit} = 1;

$p = $make->(client_tls_sslmode => 'verify-full');
is($try->($p, sslmode => 'require', sslcert => $ccert, sslkey => $ckey), 42, 'client certificate: accepted');
like($try->($p, sslmode => 'require'), qr/certificate|SSL|alert|closed/i, 'client certificate: demanded');
like($try->($p, sslmode => 'require', sslcert => $xcert, sslkey => $xkey), qr/certificate|unknown ca|SSL|alert|closed/i, 'client certificate: of another CA refused');
$p->stop; $p->{expect_exit} = 1;

if (ours() || 1) {
    $p = $make->(client_tls_sslmode => 'verify-full', auth_type => 'cert');
    is($try->($p, sslmode => 'require', sslcert => $ccert, sslkey => $ckey), 42, 'auth_type cert: the common name is the user');
    my ($mkey, $mcert) = $ca->cert('mallory', file => 'mallory', client => 1);
    like($try->($p, sslmode => 'require', sslcert => $mcert, sslkey => $mkey), qr/certificate|authentication failed|login failed|no such user/i, 'auth_type cert: another name is refused');
    $p->stop; $p->{expect_exit} = 1;
}

# New certificates by RELOAD, clients that are connected stay.
$p = $make->(client_tls_sslmode => 'require');
$p->{tls_client} = { ca => $ca->ca };
my $stay = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca });
my $serial = sub {
    my (undef, $o) = run_cmd(argv => ['/bin/sh', '-c', 'openssl s_client -starttls postgres -connect localhost:' . $p->port . ' </dev/null 2>/dev/null | openssl x509 -noout -serial'], timeout => 10);
    return $o;
};
my $old = $serial->();
like($old, qr/serial=/, 'a serial number');
$ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
$p->reload;
ok(wait_for(sub { my $s = $serial->(); $s =~ /serial=/ && $s ne $old }, 5), 'RELOAD brings the new certificate');
is($stay->value('SELECT 43'), 43, 'and the connected client stays');
# A broken certificate at RELOAD: the old one stays in use.
my $now = $serial->();
spew($cert, "nonsense\n");
$p->console('RELOAD', no_die => 1, raw => 1);
is($serial->(), $now, 'a broken file at RELOAD: the certificate in use is kept');
is($stay->value('SELECT 44'), 44, 'and so are clients');
$ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
$stay->close;
finish();
