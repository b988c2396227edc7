#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The tenant from a client's certificate: CN, OU and alternative names, exactly, with other ways of logging in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO notes SELECT g, (ARRAY['acme','beta','gamma'])[1 + g % 3] FROM generate_series(1, 30) g;
SQL
my $ca = Bulkhead::TLS->new;
my $other = Bulkhead::TLS->new(name => 'Other CA');
my ($skey, $scert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my %cert = (
    acme => [$ca->cert('acme', file => 'acme', client => 1)], ACME => [$ca->cert('ACME', file => 'upper', client => 1)], api => [$ca->cert('api', file => 'api', client => 1, subject => '/OU=beta/CN=api')],
    two => [$ca->cert('x', file => 'two', client => 1, subject => '/OU=acme/OU=beta/CN=api')], none => [$ca->cert('x', file => 'none', client => 1, subject => '/O=somebody')],
    twocn => [$ca->cert('x', file => 'twocn', client => 1, subject => '/CN=acme/CN=beta')], foreign => [$other->cert('acme', file => 'foreign', client => 1)],
    uri => [$ca->cert('api', file => 'uri', client => 1, san => 'URI:urn:tenant:acme')], uris => [$ca->cert('api', file => 'uris', client => 1, san => 'URI:urn:tenant:acme,URI:urn:tenant:beta')],
    wrong => [$ca->cert('api', file => 'wrong', client => 1, san => 'URI:urn:project:acme')], bare => [$ca->cert('api', file => 'bare', client => 1, san => 'URI:urn:tenant:')],
    dns => [$ca->cert('api', file => 'dns', client => 1, san => 'DNS:acme,URI:urn:tenant:beta')], mail => [$ca->cert('api', file => 'mail', client => 1, san => 'email:beta')], utf => [$ca->cert('Zoë 株式', file => 'utf', client => 1)],
);
my %users = (api => 'pool_mode=transaction', acme => 'pool_mode=transaction', mapped => 'tenant=beta', few => 'tenants=beta');
my %set = (auth_type => 'plain', client_tls_sslmode => 'verify-ca', client_tls_key_file => $skey, client_tls_cert_file => $scert, client_tls_ca_file => $ca->ca, tenant_identity => 'cert');
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite' }, users => \%users, auth => { map { ($_ => 'pw') } keys %users }, rules => ['public.notes = tenant_id'], set => \%set,
    tls_client => { ca => $ca->ca, key => $cert{acme}[0], cert => $cert{acme}[1] });
my $login = sub {
    my ($cert, $user, $sql) = @_;
    my $c = 'host=localhost port=' . $p->port . ' user=' . ($user // 'api') . " dbname=db password=pw sslmode=verify-full sslrootcert=" . $ca->ca . ($cert ? " sslkey=$cert{$cert}[0] sslcert=$cert{$cert}[1]" : ' sslcert=/nowhere sslkey=/nowhere');
    my ($st, $out, $err) = psql($c, $sql // "SELECT coalesce(string_agg(DISTINCT tenant_id, ','), 'nothing') FROM notes");
    return $st ? $err : $out;
};
my $config = sub { %set = (%set, @_); $p->reload };
is($login->('acme'), 'acme', 'CN');
is($login->('ACME'), 'nothing', 'CN of another spelling is another tenant');
is($login->('utf', undef, 'SHOW pgbulkhead.tenant'), 'Zoë 株式', 'CN in UTF-8');
like($login->('twocn'), qr/more than once/, 'two CNs');
like($login->('none'), qr/no tenant is bound/, 'no CN');
like($login->('foreign'), qr/certificate|alert|unknown ca|SSL|closed/i, 'a certificate of others');
like($login->(undef), qr/certificate|alert|SSL|closed/i, 'none');
like($login->('acme', 'mapped'), qr/name different tenants/, 'a certificate that contradicts the map');
like($login->('acme', 'few'), qr/not granted/, 'one outside of tenants=');
$config->(tenant_cert_field => 'OU');
is($login->('api'), 'beta', 'OU');
is($login->('api', 'mapped'), 'beta', 'that agrees with the map');
like($login->('two'), qr/more than once/, 'two OUs');
like($login->('acme'), qr/no tenant is bound/, 'no OU');
$config->(tenant_cert_field => 'SAN:uri', tenant_cert_prefix => 'urn:tenant:');
is($login->('uri'), 'acme', 'a URI behind a prefix');
like($login->('uris'), qr/more than once/, 'two URIs');
like($login->('wrong'), qr/does not begin as tenant_cert_prefix/, 'another prefix');
like($login->('bare'), qr/no usable tenant/, 'nothing behind the prefix');
like($login->('acme'), qr/no tenant is bound/, 'no URI');
is($login->('dns'), 'beta', 'other kinds of names do not count');
$config->(tenant_cert_field => 'SAN:dns', tenant_cert_prefix => '');
is($login->('dns'), 'acme', 'a DNS name');
$config->(tenant_cert_field => 'SAN:email');
is($login->('mail'), 'beta', 'an e-mail address');
# Sources that must agree.
$config->(auth_type => 'plain', tenant_identity => 'cert, user', tenant_cert_field => 'CN');
is($login->('acme', 'acme'), 'acme', 'certificate and user name agree');
like($login->('acme', 'api'), qr/name different tenants/, 'or not');
# Contradictions of the configuration.
for my $bad ([client_tls_sslmode => 'require'], [tenant_cert_field => 'SAN:ip'], [tenant_identity => 'cert, certificate']) {
    my %was = %set;
    ok(!eval { $config->(@$bad); 1 }, "RELOAD refuses $bad->[0] = $bad->[1]");
    %set = %was;
}
# auth_type=cert: one field says who, another which tenant.
my %more = (databases => { db => 'dbname=postgres user=app tenant_mode=rewrite' }, users => \%users, auth => { map { ($_ => '') } keys %users }, rules => ['public.notes = tenant_id']);
$p = proxy(pg => $pg, %more, set => { %set, auth_type => 'cert', tenant_identity => 'cert', tenant_cert_field => 'OU' });
is($login->('api'), 'beta', 'auth_type=cert, tenant by OU');
like($login->('acme'), qr/certificate authentication failed/, 'the user is still the CN');
ok($p->wait_log(qr/TLS certificate name mismatch/), 'the log tells the reason');
$p = proxy(pg => $pg, %more, set => { %set, auth_type => 'cert', tenant_identity => 'cert', tenant_cert_field => 'CN' });
is($login->('acme', 'acme'), 'acme', 'auth_type=cert, tenant by CN');
finish();
