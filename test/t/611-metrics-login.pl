#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Who may read the metrics: passwords of console users, tokens, TLS and client certificates, guessing, RELOAD.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use MIME::Base64 qw(encode_base64);

need_ours();
my $pg = pg();
my ($good, $next) = ('4f1c2ab97e60d3584f1c2ab97e60d358', 'next/token+with=signs.0123456789');
my $tokens = work_dir() . '/tokens';
# made by PostgreSQL 15 for the password "pencil-pw"
my $scram = $pg->value(q{SET password_encryption = 'scram-sha-256'; CREATE ROLE probe_scram PASSWORD 'pencil-pw'; SELECT rolpassword FROM pg_authid WHERE rolname = 'probe_scram'});
my $md5 = $pg->value(q{SET password_encryption = 'md5'; CREATE ROLE probe_md5 PASSWORD 'md5-pw'; SELECT rolpassword FROM pg_authid WHERE rolname = 'probe_md5'});
like($scram, qr/^SCRAM-SHA-256\$/, 'a secret');
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' },
    auth => { bhstats => 'b:h s', probe_scram => $scram, probe_md5 => $md5, somebody => 'secret-of-somebody', bhadmin => 'bhadmin', empty => '' },
    set => { stats_users => 'bhstats, probe_scram, probe_md5, empty', metrics_login => 1 });
my ($scheme, @tls) = ('http');

sub curl {
    my ($path, @args) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/curl', '-sS', '-i', '-m', 100, @tls, @args, "$scheme://127.0.0.1:" . $p->metrics_port . $path], timeout => 120);
    my ($head, $body) = split /\r\n\r\n/, $out, 2;
    my ($code) = ($head // '') =~ m{^HTTP/1\.\d (\d+)};
    return { st => $st, code => $code // 0, head => $head // '', body => $body // '', err => $err };
}
sub code { return curl(@_)->{code} }
sub refused {
    my ($why, $what) = @_;
    my $from = length $p->log_text;
    my $went = eval { $p->reload; 1 };
    return ok(!$went && substr($p->log_text, $from) =~ $why, "$what is refused at RELOAD") || diag(substr $p->log_text, $from);
}
sub bearer { return ('-H', "Authorization: Bearer $_[0]") }
sub basic { return ('-u', $_[0]) }
wait_for(sub { code('/healthz') == 200 }, 10);
# Until no address is remembered for failures.
sub calm { my ($token) = @_; return wait_for(sub { curl('/metrics', bearer($token))->{body} =~ /^pgbulkhead_metrics_login_addresses 0$/m }, 40, 0.3) }

# ---- passwords ----
my $r = curl('/metrics');
is($r->{code}, 401, 'without a login');
like($r->{head}, qr/^www-authenticate: Basic realm="pgbulkhead", charset="UTF-8"\r?$/im, '... what is asked for');
unlike($r->{head}, qr/Bearer/, '... nothing else');
unlike($r->{body}, qr/pgbulkhead_/, '... nothing is told');
is(code($_), 401, "$_ neither") for '/nowhere', '/metrics/x';
is(code($_), 200, "$_ is open") for '/healthz', '/livez', '/readyz';
is(code('/metrics', basic('bhstats:b:h s')), 200, 'a user of stats_users');
is(code('/metrics', basic('bhadmin:bhadmin')), 200, 'one of admin_users');
is(code('/metrics', basic('probe_scram:pencil-pw')), 200, 'one with a SCRAM secret') for 1, 2;
is(code('/metrics', basic('probe_md5:md5-pw')), 200, 'one with an md5 secret');
is(code('/metrics', '-I', basic('bhadmin:bhadmin')), 200, 'HEAD');
is(code('/metrics', basic($_)), 401, "not $_") for 'bhstats:', 'somebody:secret-of-somebody', "probe_scram:$scram", 'empty:', 'nobody:x';
is(code('/metrics', bearer($good)), 401, 'a token, where there is none');
# odd forms count as failures; guessing has its limit below
$p->stop;
$p->start;
wait_for(sub { code('/healthz') == 200 }, 10);
is(code('/metrics', '-H', "Authorization: $_"), 401, "odd: $_") for 'Basic', 'Basic !!!', 'Basic YmhzdGF0cw==', 'Basic YmhzdGF0czpiOmggcwBY', 'Digest x', 'BasicYmg6eA==', 'Bearer';
is(code('/metrics', '-H', 'Authorization: basic   YmhhZG1pbjpiaGFkbWlu'), 200, 'the scheme in any case');
is($p->console('SHOW CONFIG', raw => 1)->{error}, undef, 'the console goes on');

# ---- tokens ----
spew($tokens, "# of Prometheus\n$good\n");
chmod 0644, $tokens;
$p->{set}{metrics_bearer_token_file} = $tokens;
ok(eval { $p->reload }, 'a file of tokens at RELOAD');
$r = curl('/metrics');
like($r->{head}, qr/^www-authenticate: Bearer realm="pgbulkhead"\r?$/im, 'asked for as well');
like($r->{head}, qr/^www-authenticate: Basic/im, '... beside passwords');
is(code('/metrics', bearer($good)), 200, 'the token');
is(code('/metrics', '-H', "Authorization: bEARER $good "), 200, 'the scheme in any case');
is(code('/metrics', basic('bhadmin:bhadmin')), 200, 'or a password');
ok(calm($good), 'nobody is held back');
is(code('/metrics', bearer(substr $good, 0, -1)), 401, 'not a part of it');
is(code('/metrics', bearer($next)), 401, 'not another one');
spew($tokens, "$good\n\n  $next  \n");
$p->reload;
is(code('/metrics', bearer($_)), 200, 'two tokens') for $good, $next;
spew($tokens, "$next\n");
$p->reload;
is(code('/metrics', bearer($good)), 401, 'one that was taken away');
is(code('/metrics', bearer($next)), 200, 'the one that stays');
for (["short\n", qr/at least 20/], ["a blank in the middle of it\n", qr/without blanks/], ["#\n", qr/no token/], [join('', map { "token-number-$_-0123456789\n" } 1 .. 17), qr/more tokens/]) {
    spew($tokens, $_->[0]);
    refused($_->[1], 'a bad file of tokens');
}
is(code('/metrics', bearer($next)), 200, '... and the old ones hold');
spew($tokens, "$next\n");
$p->{set}{metrics_login} = 0;
$p->reload;
is(code('/metrics', basic('bhadmin:bhadmin')), 401, 'tokens only');
is(code('/metrics', bearer($next)), 200, '... let in');

# ---- guesses ----
$p->{set}{metrics_login} = 1;
$p->reload;
sub failures { my ($n) = curl('/metrics', bearer($next))->{body} =~ /^pgbulkhead_metrics_login_failures_total (\d+)/m; return $n }
ok(calm($next), 'nobody is held back');
my $before = failures();
# All in one connection, so that they come faster than they are forgiven however slow the machine is.
my $ask = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 30);
$ask->send_raw(join '', map { "GET /nowhere HTTP/1.1\r\nHost: x\r\nAuthorization: $_\r\n\r\n" } (map { 'Basic ' . encode_base64("bhadmin:guess$_", '') } 1 .. 40),
    'Basic ' . encode_base64('bhadmin:bhadmin', ''), "Bearer $next");
$ask->send_raw("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
$ask->wait_eof(30);
my @codes = $ask->{in} =~ m{^HTTP/1\.1 (\d+)}mg;
is(scalar @codes, 43, 'all are answered');
is(join(' ', splice @codes, 40), '429 404 200', 'who guesses has to wait, also with the right one; right tokens and /healthz do not');
cmp_ok(scalar(grep { $_ == 401 } @codes), '>=', 10, 'ten wrong ones are heard');
cmp_ok(scalar(grep { $_ == 429 } @codes), '>=', 20, 'the others are not');
like($ask->{in}, qr/^retry-after: 1\r?$/im, 'and told when to come again');
is(code('/metrics', bearer($next)), 200, 'a right token is let in');
is(failures() - $before, scalar(grep { $_ == 401 } @codes), 'failures are counted');
is(code('/healthz'), 200, 'health is still open');
ok(wait_for(sub { code('/metrics', basic('bhadmin:bhadmin')) == 200 }, 30, 0.5), 'later the right one is heard again');

# ---- TLS ----
my $ca = Bulkhead::TLS->new;
my $alien = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('metrics', san => 'IP:127.0.0.1');
my ($ckey, $ccert) = $ca->cert('reader', client => 1);
my ($akey, $acert) = $alien->cert('reader', client => 1);
@{ $p->{set} }{qw(metrics_tls_cert_file metrics_tls_key_file)} = ($cert, $key);
my $kept = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 10);
$kept->send_raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
ok(wait_for(sub { eval { $kept->_fill(length($kept->{in}) + 1, 10) }; $kept->{in} =~ /ok\n\z/ }, 20), 'a connection of before');
ok(eval { $p->reload }, 'TLS at RELOAD');
$kept->{in} = '';
$kept->send_raw("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $next\r\n\r\n");
$kept->wait_eof(10);
like($kept->{in}, qr/\AHTTP\/1\.1 403 /, 'connections without TLS are of no use any more');
is(curl('/healthz')->{code}, 0, 'nothing is served without TLS');
($scheme, @tls) = ('https', '--cacert', $ca->ca);
is(code('/metrics', bearer($next)), 200, 'TLS');
is(code('/metrics', '--tlsv1.2', '--tls-max', '1.2', bearer($next)), 200, 'TLS 1.2');
is(code('/metrics', '--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', bearer($next)), 0, 'not 1.1');
is(code('/metrics', '--http2', bearer($next)), 200, 'who would like HTTP/2');
is(code('/metrics', '--no-alpn', bearer($next)), 200, 'who does not say');
is(code('/metrics'), 401, 'the login is still needed');
like(curl('/metrics', bearer($next))->{body}, qr/^pgbulkhead_tls_certificate_expiry_timestamp_seconds\{role="metrics",file="[^"]+"\} \d+/m, 'the end of the certificate shows');
like(curl('/api/status', bearer($next))->{body}, qr/"role":"metrics","file":"[^"]+","not_after":\d+/, '... and in the status');
is(curl('/metrics', '--cacert', $alien->ca, bearer($next))->{st}, 60, 'the certificate is ours');
my $bad = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 20);
$bad->send_raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
$bad->wait_eof(20);
unlike($bad->{in}, qr/HTTP|ok/, 'plain HTTP is not answered');
for my $junk ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\0" x 600, "\x16\x03\x01\x00\x05\x01", "\x80" x 900, "\x15\x03\x03\x00\x02\x02\x28") {
    my $s = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 20);
    $s->send_raw($junk);
    $s->readable(0.2);
    $s->abort;
}
is(code('/metrics', bearer($next)), 200, 'broken handshakes harm nobody');

# another certificate at RELOAD; a broken one is refused
my ($was) = $ca->cert('metrics', san => 'IP:127.0.0.1', days => 300);
ok(eval { $p->reload }, 'a new certificate');
my ($expiry) = curl('/metrics', bearer($next))->{body} =~ /expiry_timestamp_seconds\{role="metrics",file="[^"]+"\} (\d+)/;
cmp_ok($expiry, '>', time + 200 * 86400, '... is in use');
$p->{set}{metrics_tls_key_file} = $akey;
chmod 0644, $akey;
refused(qr/TLS setup failed: .*mismatch/, 'a wrong key');
is(code('/metrics', bearer($next)), 200, '... and the old one goes on');
$p->{set}{metrics_tls_key_file} = $key;

# client certificates
$p->{set}{metrics_tls_ca_file} = $ca->ca;
ok(eval { $p->reload }, 'client certificates at RELOAD');
is(code('/metrics', bearer($next)), 403, 'without one');
is(code($_), 200, "$_ is open") for '/healthz', '/readyz';
my @mine = ('--cert', $ccert, '--key', $ckey);
is(code('/metrics', @mine, bearer($next)), 200, 'with one, and the token');
is(code('/metrics', @mine), 401, 'not without the token');
is(code($_, '--cert', $acert, '--key', $akey, bearer($next)), 0, "$_: one of another authority") for '/metrics', '/healthz';
delete $p->{set}{$_} for qw(metrics_bearer_token_file metrics_login);
$p->reload;
is(code('/metrics', @mine), 200, 'alone, when there is no other login');
is(code('/metrics'), 403, '... and needed');

# ---- what is told ----
my $shown = join "\n", map { join '|', map { $_ // '' } %$_ } @{ $p->console('SHOW CONFIG') };
my $log = $p->log_text;
unlike($shown, qr/\Q$next\E|\Q$good\E|PRIVATE/, 'SHOW CONFIG holds no secret');
unlike($log, qr/\Q$next\E|\Q$good\E|pencil-pw|secret-of-somebody|guess\d|\Q$scram\E/, 'nor does the log');
like($log, qr/WARNING metrics: login from 127\.0\.0\.1 failed/, 'a failed login is logged');
my $lines = () = $log =~ /metrics: login from/g;
cmp_ok($lines, '<', 20, '... but not each');

# ---- warnings and contradictions, by --check ----
sub check {
    my (%set) = @_;
    my %old = %{ $p->{set} };
    $p->{set} = { stats_users => 'bhstats', %set };
    $p->write;
    my ($st, $out, $err) = run_cmd(argv => [Bulkhead::Proxy::binary(), '-t', $p->{ini}], timeout => 20);
    $p->{set} = \%old;
    return "$out$err";
}
my @cert = (metrics_tls_cert_file => $cert, metrics_tls_key_file => $key);
unlike(check(), qr/beyond this machine/, 'no warning on the loopback');
unlike(check(metrics_listen_addr => $_), qr/beyond this machine/, "... $_") for '127.1.2.3', '::1';
like(check(metrics_listen_addr => $_), qr/beyond this machine without TLS .* and without a login/, "a warning for $_") for '*', '0.0.0.0', '::', '192.0.2.1';
unlike(check(metrics_listen_addr => '*', metrics_port => 0), qr/beyond this machine/, 'none when it is off');
like(check(metrics_listen_addr => '*', metrics_login => 1), qr/beyond this machine without TLS .*can be read/, 'a login without TLS');
like(check(metrics_listen_addr => '*', @cert), qr/beyond this machine without a login/, 'TLS without a login');
unlike(check(metrics_listen_addr => '*', @cert, metrics_login => 1), qr/beyond this machine/, 'with both it is fine');
unlike(check(metrics_listen_addr => '*', @cert, metrics_tls_ca_file => $ca->ca), qr/beyond this machine/, '... as with client certificates');
like(check(metrics_tls_cert_file => $cert), qr/metrics_tls_cert_file and metrics_tls_key_file belong together/, 'a certificate without a key');
like(check(metrics_tls_ca_file => $cert), qr/metrics_tls_ca_file: needs metrics_tls_cert_file/, 'an authority without TLS');
like(check(@cert, metrics_tls_ca_file => '/nonexistent'), qr/cannot load CA file "\/nonexistent"/, 'a file that is not there');
like(check(metrics_bearer_token_file => '/nonexistent'), qr/cannot read "\/nonexistent"/, 'nor one of tokens');
like(check(metrics_login => 1, stats_users => 'empty', admin_users => 'nobody'), qr/nobody can log in/, 'a login for nobody');
finish();
