#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# TLS towards servers: modes, verification of names and authorities, client certificates, versions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $ca = Bulkhead::TLS->new;
my $other = Bulkhead::TLS->new(name => 'Other CA');
my $pg = pg(tls => $ca, conf => { ssl_min_protocol_version => 'TLSv1.2' },
    hba => ['hostssl all certuser 127.0.0.1/32 cert', 'host all all 127.0.0.1/32 trust']);
$pg->sql('CREATE ROLE certuser LOGIN');
my $plain = pg();
my ($ckey, $ccert) = $ca->cert('certuser', file => 'certuser');
my $Q = 'SELECT ssl::text || \' \' || coalesce(version, \'-\') FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
my $ask = sub {
    my ($server, $host, $user, %set) = @_;
    my $p = proxy(pg => $server, databases => { test => "host=$host port=" . $server->port . ' dbname=postgres' }, auth => { certuser => '' },
        set => { query_wait_timeout => 30, server_connect_timeout => 20, server_login_retry => 1, %set });
    my $c = eval { $p->connect('test', $user, no_die => 1, timeout => 10) };
    my $r = !$c ? "dead: $@" : $c->{error} ? "error: $c->{error}{M}" : do {
        my $x = eval { $c->query($Q) };
        !$x ? "dead: $@" : $x->{error} ? "error: $x->{error}{M}" : row_values($x);
    };
    $p->stop;
    $p->{expect_exit} = 1;
    return ($r, $p->log_text);
};
my ($r, $log);
is(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'disable'))[0], 'false -', 'disable: in clear');
like(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'prefer'))[0], qr/^true TLSv1\.3$/, 'prefer: TLS where offered');
is(($ask->($plain, '127.0.0.1', 'postgres', server_tls_sslmode => 'prefer'))[0], 'false -', 'prefer: in clear where not');
like(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'require'))[0], qr/^true/, 'require: TLS');
($r, $log) = $ask->($plain, '127.0.0.1', 'postgres', server_tls_sslmode => 'require');
like($r, qr/^(error|dead)/, 'require: a server without TLS is refused');
like(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'verify-ca', server_tls_ca_file => $ca->ca))[0], qr/^true/, 'verify-ca: the right CA');
($r, $log) = $ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'verify-ca', server_tls_ca_file => $other->ca);
like($r, qr/^(error|dead)/, 'verify-ca: another CA is refused');
like(($ask->($pg, 'localhost', 'postgres', server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca))[0], qr/^true/, 'verify-full: the right name');
like(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca))[0], qr/^true/, 'verify-full: the right address') if ours();
like(($ask->($pg, 'localhost', 'certuser', server_tls_sslmode => 'require', server_tls_key_file => $ckey, server_tls_cert_file => $ccert))[0], qr/^true/, 'a client certificate towards the server');
($r, $log) = $ask->($pg, 'localhost', 'certuser', server_tls_sslmode => 'require');
like($r, qr/certificate/, 'and without it the server\'s own error');
is(($ask->($pg, '127.0.0.1', 'postgres', server_tls_sslmode => 'require', server_tls_protocols => 'tlsv1.2'))[0], 'true TLSv1.2', 'server_tls_protocols');
# A certificate for another name.
my $wrong = pg(tls => $ca, no_start => 1);
my ($k, $c) = $ca->cert('elsewhere.example', san => 'DNS:elsewhere.example', file => 'postgres-server');
$wrong->start;
($r, $log) = $ask->($wrong, 'localhost', 'postgres', server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca);
like($r, qr/^(error|dead)/, 'verify-full: another name is refused');
like(($ask->($wrong, 'localhost', 'postgres', server_tls_sslmode => 'verify-ca', server_tls_ca_file => $ca->ca))[0], qr/^true/, 'verify-ca: the name does not matter');
finish();
