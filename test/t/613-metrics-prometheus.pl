#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Debian's Prometheus scrapes OpenMetrics over TLS, compressed, with a password, a token, a client certificate; and plainly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use Bulkhead::Prometheus;

need_ours();
my $pg = pg();
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('metrics', san => 'IP:127.0.0.1');
my ($ckey, $ccert) = $ca->cert('reader');
my ($tokens, $password) = (work_dir() . '/tokens', work_dir() . '/password');
spew($tokens, "0123456789abcdef0123456789abcdef\n");
spew($password, 's3cret of stats');
chmod 0644, $tokens, $password;
my @tls = (metrics_tls_cert_file => $cert, metrics_tls_key_file => $key);
my %db = (databases => { app => 'dbname=postgres' });
my $plain = proxy(pg => $pg, %db);
my $login = proxy(pg => $pg, %db, auth => { bhstats => 's3cret of stats' }, set => { @tls, metrics_login => 1, metrics_bearer_token_file => $tokens });
my $certs = proxy(pg => $pg, %db, set => { @tls, metrics_tls_ca_file => $ca->ca });
$_->connect('app')->query('SELECT 1') for $plain, $login, $certs;
my $https = "scheme: https\ntls_config: { ca_file: '" . $ca->ca . "' }\n";
my %jobs = (
    plain => [$plain, ''],
    basic => [$login, $https . "basic_auth: { username: bhstats, password_file: '$password' }\n"],
    bearer => [$login, $https . "authorization: { credentials_file: '$tokens' }\n"],
    certs => [$certs, "scheme: https\ntls_config: { ca_file: '" . $ca->ca . "', cert_file: '$ccert', key_file: '$ckey' }\n"],
    nobody => [$login, $https],
    nocert => [$certs, $https],
    notls => [$login, "basic_auth: { username: bhstats, password_file: '$password' }\n"],
);
my $m = Bulkhead::Prometheus->new(targets => { map { ($_ => ['127.0.0.1:' . $jobs{$_}[0]->metrics_port]) } keys %jobs }, scrape => { map { ($_ => $jobs{$_}[1]) } keys %jobs });
sub value { my ($expr) = @_; my $r = $m->query($expr); return @$r ? $r->[0]{value} : undef }

for my $job (qw(plain basic bearer certs)) {
    ok(wait_for(sub { (value("up{job=\"$job\"}") // 0) == 1 }, 90, 0.3), "$job: up");
    ok(wait_for(sub { (value("scrape_samples_scraped{job=\"$job\"}") // 0) > 100 }, 60, 0.3), '... with samples');
    ok(wait_for(sub { (value("sum(pgbulkhead_queries_total{job=\"$job\",database=\"app\"})") // 0) == 1 }, 20, 0.3), '... that are right');
    ok(wait_for(sub { (value("count(pgbulkhead_query_duration_seconds_bucket{job=\"$job\",database=\"app\",le=\"5.0\"})") // 0) == 1 }, 60, 0.3), '... in OpenMetrics');
}
my $meta = $m->api('targets/metadata', metric => 'pgbulkhead_queries');
is($meta->[0]{type} // 'none', 'counter', 'it knows a counter by its family');
$meta = $m->api('targets/metadata', metric => 'pgbulkhead_query_duration_seconds');
is($meta->[0]{type} // 'none', 'histogram', '... and a histogram');
# The last scrape's error; one of a second may come too late on a busy machine.
my %error;
wait_for(sub { %error = map { ($_->{labels}{job} => $_->{lastError}) } @{ $m->api('targets')->{activeTargets} }; !grep { $error{$_} ne '' } qw(plain basic bearer certs) }, 60, 0.3);
is($error{$_}, '', "$_: no error") for qw(plain basic bearer certs);
for (['nobody', qr/401/], ['nocert', qr/403/], ['notls', qr/./]) {
    my ($job, $why) = @$_;
    ok(wait_for(sub { (value("up{job=\"$job\"}") // 1) == 0 }, 60, 0.3), "$job: down");
    ok(wait_for(sub { my ($t) = grep { $_->{labels}{job} eq $job } @{ $m->api('targets')->{activeTargets} }; $t->{lastError} =~ $why }, 60, 0.3), '... for the right reason');
}
# A new certificate and a new token are taken up while it scrapes.
$ca->cert('metrics', san => 'IP:127.0.0.1', days => 90);
spew($tokens, "fedcba9876543210fedcba9876543210\n");
$login->reload;
ok(wait_for(sub { (value('pgbulkhead_tls_certificate_expiry_timestamp_seconds{job="bearer",role="metrics"}') // 0) > time + 60 * 86400 }, 60, 0.3), 'after RELOAD it goes on with the new ones');
my $p = $login->log_text;
unlike($p, qr/s3cret|0123456789abcdef0123|fedcba98/, 'the log holds no secret');
$m->stop;
finish();
