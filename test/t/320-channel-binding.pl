#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SCRAM-SHA-256-PLUS, bound to the server's certificate: offered to clients, used towards servers, downgrades refused.
use strict;
use warnings;
use Digest::SHA qw(sha256 sha512 hmac_sha256);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use MIME::Base64 qw(encode_base64 decode_base64);

need_ours();
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $pg = pg(tls => $ca, hba => ['host all postgres 127.0.0.1/32 trust', 'hostssl all scrammy 127.0.0.1/32 scram-sha-256', 'hostnossl all scrammy 127.0.0.1/32 scram-sha-256',
    'host all emmdee 127.0.0.1/32 md5', 'host all trusted 127.0.0.1/32 trust']);
$pg->sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE scrammy LOGIN PASSWORD 'pw scrammy'; CREATE ROLE trusted LOGIN;"
        . "SET password_encryption = 'md5'; CREATE ROLE emmdee LOGIN PASSWORD 'pw emmdee'");
my $secret = $pg->value("SELECT rolpassword FROM pg_authid WHERE rolname = 'scrammy'");
my %tls = (client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert, server_tls_sslmode => 'require');
my $make = sub {
    my ($secret, %set) = @_;
    return proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { scrammy => $secret, emmdee => 'pw emmdee', trusted => 'pw' },
        set => { auth_type => 'scram-sha-256', query_wait_timeout => 60, %tls, %set });
};
my $try = sub {
    my ($p, $more) = @_;
    my ($st, $out, $err) = psql('host=localhost port=' . $p->port . " user=scrammy password='pw scrammy' dbname=test sslrootcert=" . $ca->ca . " $more", 'SELECT current_user');
    return $st ? $err : $out;
};
my $p = $make->($secret); # pass-through: what is proved with binding serves with binding
is($try->($p, 'sslmode=verify-full channel_binding=require'), 'scrammy', 'libpq demands channel binding and gets it');
is($try->($p, 'sslmode=verify-full channel_binding=disable'), 'scrammy', 'without it, too');
is($try->($p, 'sslmode=disable channel_binding=prefer'), 'scrammy', 'without TLS there is none');
like($try->($p, 'sslmode=disable channel_binding=require'), qr/channel binding/i, 'and libpq sees that');
like($try->($p, 'sslmode=require channel_binding=require password=wrong'), qr/SASL authentication failed/, 'a wrong password');

# The exchange by hand. Returns what came: "ok", or the error.
sub exchange {
    my ($port, %o) = @_;
    my $w = Bulkhead::Wire->new(host => 'localhost', port => $port, timeout => 10, $o{plain} ? () : (tls => { ca => $ca->ca }));
    $w->startup(user => 'scrammy', dbname => 'test');
    my $m = $w->read_msg;
    return "$m->[0]: $m->[1]" if $m->[0] ne 'R';
    my @mechs = split /\0/, substr $m->[1], 4;
    $o{mechs} && push @{ $o{mechs} }, @mechs;
    my $gs2 = $o{gs2} // 'p=tls-server-end-point,,';
    my $bare = 'n=,r=' . encode_base64(join('', map { chr int rand 256 } 1 .. 18), '');
    $w->send_msg('p', ($o{mechanism} // 'SCRAM-SHA-256-PLUS') . "\0" . pack('N', length "$gs2$bare") . "$gs2$bare");
    $m = $w->read_msg;
    return $m ? Bulkhead::Wire::decode_fields($m->[1])->{M} // 'no text' : 'closed' if !$m || $m->[0] ne 'R';
    my $server = substr $m->[1], 4;
    my %f = map { /^(.)=(.*)$/s } split /,/, $server;
    my $salted = Bulkhead::Wire::_pbkdf2('pw scrammy', decode_base64($f{s}), $f{i});
    my $final = 'c=' . encode_base64(($o{c_gs2} // $gs2) . ($o{data} // ''), '') . ",r=$f{r}";
    my $ckey = hmac_sha256('Client Key', $salted);
    my $proof = $ckey ^ hmac_sha256("$bare,$server,$final", sha256($ckey));
    $w->send_msg('p', "$final,p=" . encode_base64($proof, ''));
    while ($m = $w->read_msg) {
        return Bulkhead::Wire::decode_fields($m->[1])->{M} if $m->[0] eq 'E';
        return 'ok' if $m->[0] eq 'Z';
    }
    return 'closed';
}
my $der = do { my $pem = slurp($cert); my ($b) = $pem =~ /-----BEGIN CERTIFICATE-----(.*?)-----END/s; decode_base64($b) };
my $hash = sha256($der);
my @mechs;
is(exchange($p->port, data => $hash, mechs => \@mechs), 'ok', 'the hash of the certificate (RFC 5929) is the binding');
is("@mechs", 'SCRAM-SHA-256-PLUS SCRAM-SHA-256', 'both mechanisms are offered, the bound one first');
@mechs = ();
is(exchange($p->port, gs2 => 'n,,', mechanism => 'SCRAM-SHA-256', plain => 1, mechs => \@mechs), 'ok', 'a client without TLS');
is("@mechs", 'SCRAM-SHA-256', 'is offered no binding');
is(exchange($p->port, gs2 => 'n,,', mechanism => 'SCRAM-SHA-256'), 'ok', 'a client that cannot bind, with TLS');
is(exchange($p->port, gs2 => 'y,,', mechanism => 'SCRAM-SHA-256', plain => 1), 'ok', 'a client that could bind, and was offered none');
my $no = qr/^SASL authentication failed$/;
like(exchange($p->port, gs2 => 'y,,', mechanism => 'SCRAM-SHA-256'), $no, 'a downgrade: the client could bind and saw no offer');
like(exchange($p->port, data => $hash, plain => 1), $no, 'a bound mechanism that was not offered');
like(exchange($p->port, data => sha256("x$der")), $no, 'another certificate: somebody is in between');
like(exchange($p->port, data => ''), $no, 'no binding data');
like(exchange($p->port, data => substr $hash, 0, 31), $no, 'half of them');
like(exchange($p->port, data => $hash . "\0"), $no, 'too many');
like(exchange($p->port, gs2 => 'p=tls-unique,,', data => $hash), $no, 'another type of binding');
like(exchange($p->port, gs2 => 'n,,', data => $hash), $no, 'the bound mechanism with the flag n');
like(exchange($p->port, gs2 => 'y,,'), $no, 'with the flag y');
like(exchange($p->port, data => $hash, mechanism => 'SCRAM-SHA-256'), $no, 'binding data with the plain mechanism');
like(exchange($p->port, data => $hash, c_gs2 => 'n,,'), $no, 'another header in the end than in the beginning');
like(exchange($p->port, gs2 => 'n,,', mechanism => 'SCRAM-SHA-256', c_gs2 => 'y,,'), $no, 'n, then y');
is($try->($p, 'sslmode=require channel_binding=require'), 'scrammy', 'others go on');
is((grep { $_->{user} eq 'scrammy' && $_->{sv_idle} } @{ $p->console('SHOW POOLS') }) > 0, 1, 'servers were reached by the keys proved');
$p->stop; $p->{expect_exit} = 1;

# Required of clients.
$p = $make->('pw scrammy', client_tls_channel_binding => 'require');
is($try->($p, 'sslmode=require channel_binding=prefer'), 'scrammy', 'require: bound');
@mechs = ();
is(exchange($p->port, data => $hash, mechs => \@mechs), 'ok', 'require: by hand');
is("@mechs", 'SCRAM-SHA-256-PLUS', 'require: nothing else is offered');
like($try->($p, 'sslmode=require channel_binding=disable'), qr/SASL authentication mechanisms are supported/, 'require: a client that will not');
like(exchange($p->port, gs2 => 'n,,', mechanism => 'SCRAM-SHA-256'), $no, 'require: the plain mechanism');
like($try->($p, 'sslmode=disable'), qr/channel binding is required: connect with TLS/, 'require: without TLS');
$p->stop; $p->{expect_exit} = 1;
$p = $make->('pw scrammy', client_tls_channel_binding => 'disable');
@mechs = ();
is(exchange($p->port, gs2 => 'y,,', mechanism => 'SCRAM-SHA-256', mechs => \@mechs), 'ok', 'disable: y is true');
is("@mechs", 'SCRAM-SHA-256', 'disable: not offered');
$p->stop; $p->{expect_exit} = 1;

# Certificates whose signature uses other hashes, and one for which there is none.
for my $kind (['rsa', '-sha512', 'sha512'], ['rsa', '-sha1', 'sha256'], ['ed25519', '', '']) {
    my ($algorithm, $digest, $name) = @$kind;
    my $base = $ca->dir . "/k-$algorithm$digest";
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', 'req', '-x509', '-newkey', $algorithm eq 'rsa' ? 'rsa:2048' : $algorithm, '-nodes', '-days', 3, $digest ? $digest : (),
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', "$base.key", '-out', "$base.crt"], timeout => 60);
    is($st, 0, "a certificate: $algorithm $digest") or diag($err);
    chmod 0644, "$base.key", "$base.crt";
    my $x = $make->('pw scrammy', client_tls_key_file => "$base.key", client_tls_cert_file => "$base.crt");
    my $own = sub { my ($st, $out, $err) = psql('host=localhost port=' . $x->port . " user=scrammy password='pw scrammy' dbname=test sslmode=require channel_binding=$_[0]", 'SELECT 1'); return $st ? $err : $out };
    if ($name) { is($own->('require'), 1, "$algorithm $digest: bound by $name") }
    else { is($own->('prefer'), 1, "$algorithm: no hash is defined: not offered") }
    $x->stop; $x->{expect_exit} = 1;
}

# Towards servers: the server's log of a role that insists does not exist in PostgreSQL, so a forged server looks at it.
my $as_server = sub {
    my ($user, %set) = @_;
    my $x = $make->('pw scrammy', auth_type => 'trust', %set);
    my $c = eval { $x->connect('test', $user, no_die => 1, timeout => 10) };
    my $r = !$c ? "dead $@" : $c->{error} ? $c->{error}{M} : $c->value('SELECT current_user');
    $x->stop; $x->{expect_exit} = 1;
    return $r;
};
is($as_server->('scrammy', server_tls_channel_binding => $_), 'scrammy', "server: $_") for qw(disable prefer require);
like($as_server->('emmdee', server_tls_channel_binding => 'require'), qr/channel binding is required, and the server asks for a password without it/, 'server, require: not for md5');
is($as_server->('emmdee'), 'emmdee', 'server, prefer: md5');
like($as_server->('trusted', server_tls_channel_binding => 'require'), qr/channel binding is required, and the server let us in without it/, 'server, require: not for trust');
# auth_query goes by the same rules.
for my $who (['trusted', qr/^auth_query failed$/], ['scrammy', qr/^ok$/]) {
    my $x = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { $who->[0] => 'pw scrammy' },
        set => { auth_type => 'scram-sha-256', auth_user => $who->[0], auth_query => 'SELECT usename, \'pw of all\' FROM pg_user WHERE usename = $1', server_tls_sslmode => 'require', server_tls_channel_binding => 'require', query_wait_timeout => 60 });
    my $c = $x->connect('test', 'emmdee', password => 'pw of all', no_die => 1, timeout => 15);
    like($c->{error} && $c->{error}{M} !~ /asks for a password without it/ ? $c->{error}{M} : 'ok', $who->[1], "auth_query by $who->[0], channel binding required");
    ok($x->wait_log(qr/channel binding required/), 'and the log says why') if $who->[0] eq 'trusted';
    $x->stop; $x->{expect_exit} = 1;
}
my $bad = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { server_tls_channel_binding => 'require', server_tls_sslmode => 'prefer' }, start => 0);
ok(!$bad->start(may_fail => 1), 'server, require without TLS: not started');
ok($bad->wait_log(qr/server_tls_channel_binding: needs server_tls_sslmode=require/), 'and the reason');
$bad->{expect_exit} = 1;
# A server that does not offer it, and what we then send: the flag y, by which a true server sees a downgrade.
my ($skey, $scert) = $ca->cert('localhost', san => 'DNS:localhost', file => 'forged');
for my $case (['SCRAM-SHA-256', 'prefer', qr/^y,,n=/], ['SCRAM-SHA-256', 'disable', qr/^n,,n=/], ['SCRAM-SHA-256', 'require', qr/^$/],
    ["SCRAM-SHA-256-PLUS\0SCRAM-SHA-256", 'prefer', qr/^p=tls-server-end-point,,n=/], ["SCRAM-SHA-256-PLUS\0SCRAM-SHA-256", 'disable', qr/^n,,n=/],
    ['SCRAM-SHA-256-PLUS', 'require', qr/^p=tls-server-end-point,,n=/], ['SCRAM-SHA-256-PLUS', 'disable', qr/^$/]) {
    my ($mechs, $mode, $want) = @$case;
    my ($port, $log) = (free_port(), work_dir() . '/forged.log');
    spew($log, '');
    my $file = work_dir() . '/forged.py';
    spew($file, <<'PY');
import socket, ssl, struct, sys
port, key, cert, log, mechs = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
x = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
x.load_cert_chain(cert, key)
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(('127.0.0.1', port))
l.listen(5)
while True:
    c, _ = l.accept()
    try:
        if len(c.recv(8)) < 8:
            continue
        c.sendall(b'S')
        s = x.wrap_socket(c, server_side=True)
        s.recv(10000)
        body = struct.pack('>I', 10) + b''.join(m.encode() + b'\0' for m in mechs.split('+')) + b'\0'
        s.sendall(b'R' + struct.pack('>I', 4 + len(body)) + body)
        m = s.recv(10000)
        if m:
            open(log, 'wb').write(m[m.index(b'\0', 5) + 5:])
        s.close()
    except (OSError, ssl.SSLError):
        pass
PY
    my $pid = spawn(argv => ['/usr/bin/python3', $file, $port, $skey, $scert, $log, $mechs =~ s/\0/+/gr], log => work_dir() . '/forged.err');
    wait_for(sub { eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $port, timeout => 2)->abort; 1 } }, 10);
    my $x = proxy(databases => { test => "host=localhost port=$port dbname=postgres" }, auth => { scrammy => 'pw scrammy' },
        set => { server_tls_sslmode => 'require', server_tls_channel_binding => $mode, query_wait_timeout => 60, server_login_retry => 1 });
    my $c = $x->connect('test', 'scrammy', no_die => 1, timeout => 10);
    my $name = "a server that offers " . ($mechs =~ s/\0/, /r) . ", $mode";
    like(slurp($log), $want, $name);
    like($c->{error}{M}, $mode eq 'require' ? qr/channel binding is required, and the server does not offer it/ : qr/no SASL mechanism that we know/, "$name: refused") if $want eq qr/^$/;
    $x->stop; $x->{expect_exit} = 1;
    stop_child($pid, 'KILL', 5);
}
finish();
