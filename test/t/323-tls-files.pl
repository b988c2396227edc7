#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Certificates by name (SNI), oldest versions, what RELOAD does with files that changed, are broken or are root's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $ca = Bulkhead::TLS->new;
my $pg = pg(tls => $ca);
my %file;
for my $name ('default.example', 'a.example', 'wild.example', 'deep.example') { $file{$name} = [$ca->cert($name, san => "DNS:$name", file => $name)] }
my $pair = sub { "$file{$_[0]}[1]:$file{$_[0]}[0]" };
my %tls = (client_tls_sslmode => 'allow', client_tls_key_file => $file{'default.example'}[0], client_tls_cert_file => $file{'default.example'}[1]);
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { %tls,
    client_tls_sni => ' A.Example=' . $pair->('a.example') . ', *.wild.example=' . $pair->('wild.example') . ',x.wild.example=' . $pair->('deep.example') });
# The common name of the certificate for a name; the handshake's own words when it fails.
my $subject = sub {
    my ($p, $name, @more) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', 's_client', '-starttls', 'postgres', '-connect', 'localhost:' . $p->port,
        defined $name ? ('-servername', $name) : '-noservername', @more], stdin => '', timeout => 10);
    return $out =~ /^subject=.*CN = (\S+)/m ? $1 : "$out$err";
};
my @names = (['a.example', 'a.example'], ['A.EXAMPLE', 'a.example'], ['a.example.', 'a.example'], ['b.wild.example', 'wild.example'], ['X.wild.example', 'deep.example'],
    ['c.b.wild.example', 'default.example'], ['wild.example', 'default.example'], ['other', 'default.example'], [undef, 'default.example'], ['b.a.example', 'default.example'],
    ['.wild.example', 'default.example'], ['*.wild.example', 'wild.example']);
for my $n (@names) { is($subject->($p, $n->[0]), $n->[1], 'asked for ' . ($n->[0] // 'no name')) }
is($subject->($p, 'a.example', '-tls1_2'), 'a.example', 'with TLS 1.2');
is($subject->($p, 'a.example', '-alpn', 'postgresql'), 'a.example', 'ALPN works with the certificate of a name');
like($subject->($p, 'a.example', '-alpn', 'h2'), qr/alert|no application protocol/, 'and refuses other protocols');
# libpq asks for the host's name; hostaddr says where it is.
my $psql = sub { my ($p, $host, $more) = @_; my ($st, $out, $err) = psql("host=$host hostaddr=127.0.0.1 port=" . $p->port . ' user=postgres dbname=test sslrootcert=' . $ca->ca . " $more", 'SELECT 1'); return $st ? $err : $out };
is($psql->($p, 'a.example', 'sslmode=verify-full'), 1, 'psql with verify-full by a name');
is($psql->($p, 'default.example', 'sslmode=verify-full'), 1, 'by the name of the certificate of all');
like($psql->($p, 'b.wild.example', 'sslmode=verify-full'), qr/certificate for "?wild\.example|does not match/, 'a certificate that does not bear the name is the client\'s to refuse');
# New files at RELOAD, for names too.
my $serial = sub { my ($p, $name) = @_; my (undef, $o) = run_cmd(argv => ['/bin/sh', '-c', 'openssl s_client -starttls postgres -servername ' . $name . ' -connect localhost:' . $p->port . ' </dev/null 2>/dev/null | openssl x509 -noout -serial'], timeout => 10); return $o };
my $stay = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca, args => ['-servername', 'a.example'] });
my $old = $serial->($p, 'a.example');
$file{'a.example'} = [$ca->cert('a.example', san => 'DNS:a.example', file => 'a.example')];
is($serial->($p, 'a.example'), $old, 'a file that changed is not looked at before RELOAD');
$p->reload;
ok(wait_for(sub { my $s = $serial->($p, 'a.example'); $s =~ /serial=/ && $s ne $old }, 5), 'RELOAD brings the certificate of a name');
is($stay->value('SELECT 2'), 2, 'clients stay');
my $now = $serial->($p, 'a.example');
my $good = slurp($file{'a.example'}[1]);
spew($file{'a.example'}[1], "nonsense\n");
error_is($p->console('RELOAD', no_die => 1, raw => 1), 'F0000', qr/./, 'a broken file: RELOAD fails');
ok($p->wait_log(qr/TLS setup failed: cannot load certificate file ".*a\.example\.crt"/), 'the log says which');
is($serial->($p, 'a.example'), $now, 'and what was in use stays');
spew($file{'a.example'}[1], $good);
for my $bad ('a.example', 'a.example=x', 'a.example=x:', '=x:y', 'a.example=/nowhere.crt:/nowhere.key') {
    my $r = $p->console("SET client_tls_sni = '$bad'", no_die => 1, raw => 1);
    ok($r->{error}, "client_tls_sni = $bad: refused");
}
is($serial->($p, 'a.example'), $now, 'nothing changed');
ok(!$p->console("SET client_tls_sni = ''", no_die => 1, raw => 1)->{error}, 'no names any more');
is($subject->($p, 'a.example'), 'default.example', 'by SET');
$stay->close;
$p->stop; $p->{expect_exit} = 1;

# Oldest versions.
my $version = sub { my ($p, @o) = @_; my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', 's_client', '-starttls', 'postgres', '-cipher', 'ALL@SECLEVEL=0', '-connect', 'localhost:' . $p->port, @o], stdin => '', timeout => 10); return $out =~ /New, (TLSv[\d.]+)/ ? $1 : 'none' };
my @versions = ([{}, 'TLSv1.2', 'TLSv1.3'], [{ client_tls_min_version => 'tlsv1.2' }, 'TLSv1.2', 'TLSv1.3'], [{ client_tls_min_version => 'tlsv1.3' }, 'none', 'TLSv1.3'],
    [{ client_tls_min_version => 'tlsv1.3', client_tls_protocols => 'legacy' }, 'none', 'TLSv1.3'], [{ client_tls_protocols => 'tlsv1.2' }, 'TLSv1.2', 'none']);
my $q = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => \%tls);
for my $v (@versions) {
    my ($set, $v12, $v13) = @$v;
    $q->{set} = { %tls, %$set };
    $q->reload;
    my $name = join(' ', map { "$_=$set->{$_}" } sort keys %$set) || 'default';
    is($version->($q, '-tls1_2'), $v12, "$name: TLS 1.2");
    is($version->($q, '-tls1_3'), $v13, "$name: TLS 1.3");
}
$q->{set} = { %tls, client_tls_min_version => 'tlsv1.3', client_tls_protocols => 'tlsv1.2' };
$q->write;
error_is($q->console('RELOAD', no_die => 1, raw => 1), 'F0000', qr/./, 'nothing left: RELOAD fails');
ok($q->wait_log(qr/the least version leaves no protocol of "tlsv1\.2"/), 'and says why');
# Cipher suites, curves and parameters do what they say.
my $cipher = sub { my ($p, @o) = @_; my ($st, $out) = run_cmd(argv => ['/usr/bin/openssl', 's_client', '-starttls', 'postgres', '-connect', 'localhost:' . $p->port, @o], stdin => '', timeout => 10); return join ' ', $out =~ /Cipher is (\S+)/, $out =~ /Server Temp Key: (.*)/ };
my ($rkey, $rcert) = ($ca->dir . '/rsa.key', $ca->dir . '/rsa.crt');
run_cmd(argv => ['/usr/bin/openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', 3, '-subj', '/CN=localhost', '-keyout', $rkey, '-out', $rcert], timeout => 60);
chmod 0644, $rkey, $rcert;
for my $c ([{ client_tls13_ciphers => 'TLS_CHACHA20_POLY1305_SHA256' }, ['-tls1_3'], qr/^TLS_CHACHA20_POLY1305_SHA256/],
    [{ client_tls13_ciphers => 'TLS_AES_128_GCM_SHA256' }, ['-tls1_3'], qr/^TLS_AES_128_GCM_SHA256/],
    [{ client_tls_ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256' }, ['-tls1_2'], qr/^ECDHE-ECDSA-AES128-GCM-SHA256/],
    [{ client_tls_ecdhcurve => 'secp384r1' }, ['-tls1_3'], qr/secp384r1|P-384/], [{ client_tls_ecdhcurve => 'secp384r1' }, ['-tls1_2'], qr/secp384r1|P-384/],
    [{ client_tls_key_file => $rkey, client_tls_cert_file => $rcert, client_tls_ciphers => 'DHE+AESGCM' }, ['-tls1_2'], qr/^DHE-RSA-AES\d+-GCM-SHA\d+ DH/],
    [{ client_tls_key_file => $rkey, client_tls_cert_file => $rcert, client_tls_ciphers => 'DHE+AESGCM', client_tls_dheparams => 'none' }, ['-tls1_2'], qr/NONE/]) {
    $q->{set} = { %tls, %{ $c->[0] } };
    $q->reload;
    like($cipher->($q, @{ $c->[1] }), $c->[2], join ' ', map { "$_=" . ($c->[0]{$_} =~ s{.*/}{}r) } sort keys %{ $c->[0] });
}
for my $bad ({ client_tls13_ciphers => 'NONSENSE' }, { client_tls_ciphers => 'NONSENSE' }, { client_tls_ecdhcurve => 'nonsense' }, { client_tls_dheparams => 'nonsense' }) {
    $q->{set} = { %tls, %$bad };
    $q->write;
    my ($k) = keys %$bad;
    error_is($q->console('RELOAD', no_die => 1, raw => 1), 'F0000', qr/./, "$k=nonsense: RELOAD fails");
}
ok($q->wait_log(qr/failed to set the TLSv1\.3 cipher suites/), 'PgBouncer\'s text');
$q->stop; $q->{expect_exit} = 1;

# Servers are replaced only when what they were opened with is another.
my $s = proxy(pg => $pg, databases => { test => 'host=localhost port=' . $pg->port . ' dbname=postgres' }, set => { server_tls_sslmode => 'verify-ca', server_tls_ca_file => $ca->ca, worker_threads => 1 });
my $pid = sub { my $c = $s->connect('test'); my $v = $c->value('SELECT pg_backend_pid()'); $c->close; return $v };
my $server = $pid->();
my $reloads = sub {
    my ($name, $same, %set) = @_;
    $s->{set} = { %{ $s->{set} }, %set };
    $s->reload;
    my $n;
    wait_for(sub { $n = $pid->(); $n ne $server }, $same ? 0.3 : 60);
    if ($same) { is($n, $server, "$name: the servers stay") } else { isnt($n, $server, "$name: the servers are replaced") }
    $server = $n;
};
$reloads->('nothing changed', 1);
$reloads->('another setting', 1, server_lifetime => 1000);
$reloads->('client_tls_*', 1, %tls);
$reloads->('server_tls_sslmode', 0, server_tls_sslmode => 'verify-full');
$reloads->('server_tls_min_version', 0, server_tls_min_version => 'tlsv1.3');
$reloads->('server_tls_channel_binding', 1, server_tls_channel_binding => 'disable');
{
    my $text = slurp($ca->ca);
    spew($ca->ca, "$text\n# another line\n");
    $reloads->('another content of the CA file', 0);
}
$s->{set}{server_tls_ca_file} = '/nowhere/ca.pem';
$s->write;
error_is($s->console('RELOAD', no_die => 1, raw => 1), 'F0000', qr/./, 'a CA file that is not there: RELOAD fails');
is($pid->(), $server, 'and the servers stay');
$s->stop; $s->{expect_exit} = 1;

# A key of root's: started as root, privileges dropped.
SKIP: {
    skip 'not root', 8 if $>;
    my ($rk, $rc) = $ca->cert('root.example', san => 'DNS:root.example', file => 'root');
    chown 0, 0, $rk;
    chmod 0600, $rk;
    my $r = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { %tls, client_tls_key_file => $rk, client_tls_cert_file => $rc, user => 'postgres' }, start => 0);
    $r->{pid} = spawn(argv => [Bulkhead::Proxy::binary(), $r->{ini}], log => $r->{log});
    ok(wait_for(sub { eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $r->port, timeout => 2)->abort; 1 } }, 20), 'root starts it') or diag($r->log_text);
    ok(wait_for(sub { slurp("/proc/$r->{pid}/status") !~ /^Uid:.*\b0\b/m }, 10), 'it is not root any more');
    is($subject->($r, undef), 'root.example', 'TLS with the key of root');
    ok(!$r->reload->{error}, 'RELOAD works');
    ok($r->wait_log(qr/key file ".*root\.key" cannot be read any more; the key in use is kept/), 'and says what it did');
    is($subject->($r, undef), 'root.example', 'the key goes on');
    # A certificate for another key cannot be had that way.
    ($rk, $rc) = $ca->cert('root.example', san => 'DNS:root.example', file => 'root');
    chown 0, 0, $rk;
    chmod 0600, $rk;
    error_is($r->console('RELOAD', no_die => 1, raw => 1), 'F0000', qr/./, 'a certificate of another key: RELOAD fails');
    ok($r->wait_log(qr/cannot be read since privileges were dropped.*restart it/), 'and says what to do');
    is($subject->($r, undef), 'root.example', 'the old one stays in use');
    stop_child($r->{pid}, 'QUIT', 10);
    delete $r->{pid}; $r->{expect_exit} = 1; $r->{status} = 0;
}
finish();
