#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Signed tokens as password, startup parameter and by SET: signatures, times, replay, rotation of keys, expiry at the next statement.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Digest::SHA qw(hmac_sha256);
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64);

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, tenant_no int NOT NULL);
INSERT INTO notes SELECT g, (ARRAY['acme','beta','gamma'])[1 + g % 3], 11 + g % 3 FROM generate_series(1, 30) g;
SQL
my $dir = work_dir();
my $openssl = sub { my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', @_], timeout => 60); die "openssl @_: $err" if $st; return $out };
my $key = sub { my ($name, @how) = @_; $openssl->('genpkey', @how, '-out', "$dir/$name.key"); $openssl->('pkey', '-in', "$dir/$name.key", '-pubout', '-out', "$dir/$name.pub"); chmod 0644, "$dir/$name.pub" };
$key->('rsa', qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048));
$key->('ec', qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256));
$key->('ec2', qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256));
my %secret = (s1 => 'first shared secret, long enough!!', s2 => 'second shared secret, long enough!');
my $keys = sub { spew("$dir/token.keys", join '', map { "$_\n" } @_); chmod 0644, "$dir/token.keys" };
my @all = ("; keys of tokens", "s1 v1 $secret{s1}", "s1 HS256 $secret{s1}", "s2 HS256 b64:" . encode_base64url($secret{s2}), "r RS256 \@$dir/rsa.pub", "e ES256 \@$dir/ec.pub");
$keys->(@all);

# Signs a payload (hash, or text as it is).
my $json = JSON::PP->new->canonical;
sub token {
    my ($payload, %o) = @_;
    my $alg = $o{alg} // 'HS256';
    my $body = encode_base64url(ref $payload ? $json->encode({ exp => time() + 60, %$payload }) =~ s/("(?:exp|iat|nbf)":)(\d+)\.\d+/$1$2/gr : $payload);
    my $data = $alg eq 'v1' ? "v1.$body" : encode_base64url($json->encode({ alg => $alg, typ => 'JWT', ($o{kid} ? (kid => $o{kid}) : ()) })) . ".$body";
    my $sig;
    if ($alg eq 'v1' || $alg eq 'HS256') { $sig = hmac_sha256($data, $o{secret} // $secret{s1}) }
    else {
        spew("$dir/tbs", $data);
        $openssl->('dgst', '-sha256', '-sign', "$dir/" . ($o{key} // ($alg eq 'RS256' ? 'rsa' : 'ec')) . '.key', '-out', "$dir/sig", "$dir/tbs");
        $sig = slurp("$dir/sig");
        if ($alg eq 'ES256') { # from DER to r and s of 32 bytes each
            my ($r, $s) = unpack 'x3 C/a x C/a', $sig;
            $sig = join '', map { substr(("\0" x 32) . $_, -32) } $r, $s;
        }
    }
    return "$data." . encode_base64url($sig);
}
my %users = (api => 'password_token=1', pooled => 'tenant_switch=1', some => 'tenants=acme,beta tenant_switch=1', plain => 'pool_mode=transaction', mapped => 'tenant=acme', sess => 'tenant_switch=1 pool_mode=session');
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=10 tenant_mode=rewrite', audit => 'dbname=postgres user=app tenant_mode=audit' }, users => \%users,
    auth => { (map { ($_ => 'pw') } qw(pooled some plain mapped sess)) }, rules => ['public.notes = tenant_id'], extra => "\n[tenants]\nacme = tenant_no=11\n",
    set => { auth_type => 'scram-sha-256', tenant_identity => 'token', tenant_token_keys => "$dir/token.keys", tenant_token_leeway => 0, tenant_token_plaintext => 1, worker_threads => $ENV{BH_WORKERS} // 2 });
my $who = sub { my ($c) = @_; my $r = $c->query("SELECT string_agg(DISTINCT tenant_id, ',') FROM notes"); return $r->{error} ? "$r->{error}{C} $r->{error}{M}" : row_values($r) };
my $in = sub { my ($user, $pw, %o) = @_; my $c = $p->connect($o{db} // 'db', $user, password => $pw, no_die => 1, %o); return $c->{error} ? "$c->{error}{C} $c->{error}{M}" : $who->($c) };

# As password.
for my $alg (qw(v1 HS256 RS256 ES256)) {
    is($in->('api', token({ tenant => 'acme', sub => 'api' }, alg => $alg)), 'acme', "password: $alg");
    is($in->('api', token({ tenant => 'beta', user => 'api', sub => 'somebody' }, alg => $alg)), 'beta', "password: $alg, member user");
}
is($in->('api', token({ tenant => 'acme', sub => 'api' }, secret => $secret{s2}, kid => 's2')), 'acme', 'a key by its name');
is($in->('api', token({ tenant => 'acme', sub => 'api' }, secret => $secret{s2})), 'acme', 'a key without a name');
my @bad = (
    ['another key\'s name', token({ tenant => 'acme', sub => 'api' }, kid => 's2')], ['an unknown key\'s name', token({ tenant => 'acme', sub => 'api' }, kid => 'zzz')],
    ['another secret', token({ tenant => 'acme', sub => 'api' }, secret => 'x' x 40)], ['another EC key', token({ tenant => 'acme', sub => 'api' }, alg => 'ES256', key => 'ec2')],
    ['the public key as a secret', token({ tenant => 'acme', sub => 'api' }, secret => slurp("$dir/rsa.pub"))], ['nothing', ''], ['a password', 'pw'],
    ['another user', token({ tenant => 'acme', sub => 'pooled' })], ['another user by user', token({ tenant => 'acme', sub => 'api', user => 'pooled' })], ['no user', token({ tenant => 'acme' })],
    ['no tenant', token({ sub => 'api' })], ['expired', token({ tenant => 'acme', sub => 'api', exp => time() - 1 })], ['not yet', token({ tenant => 'acme', sub => 'api', nbf => time() + 30 })],
    ['never expires', token('{"tenant":"acme","sub":"api"}')], ['an audience', token({ tenant => 'acme', sub => 'api', aud => 'other' })], ['two tenants', token('{"tenant":"acme","tenant":"beta","sub":"api","exp":9999999999}')],
    ['a long one', token({ tenant => 'acme', sub => 'api', pad => 'x' x 9000 })], ['cut', substr(token({ tenant => 'acme', sub => 'api' }), 0, -1)],
);
{
    my ($h, $b) = split /\./, token({ tenant => 'acme', sub => 'api' });
    push @bad, ['alg none', encode_base64url('{"alg":"none"}') . ".$b."], ['no signature', "$h.$b."];
}
for my $b (@bad) { like($in->('api', $b->[1]), qr/^28P01 token authentication failed/, "password refused: $b->[0]") }
for my $t ('*', '', "a\x01") { like($in->('api', token({ tenant => $t, sub => 'api' })), qr/^28000 (?:no usable tenant|no tenant can be called)/, 'a tenant that cannot be one') }
like($in->('api', token({ tenant => 'acme', sub => 'api', claims => { tenant_no => 12 } })), qr/^28000 .*disagree/, 'a claim that [tenants] contradicts');
is($in->('api', token({ tenant => 'acme', sub => 'api', claims => { tenant_no => 11 } })), 'acme', 'one that agrees');
like($in->('plain', token({ tenant => 'acme', sub => 'plain' })), qr/^28P01/, 'no password for other users');
# As startup parameter.
my $par = sub { my ($t) = @_; return (params => { 'pgbulkhead.tenant_token' => $t }) };
is($in->('plain', 'pw', $par->(token({ tenant => 'beta' }))), 'beta', 'startup parameter');
is($in->('plain', 'pw', options => '-c pgbulkhead.tenant_token=' . token({ tenant => 'beta' }, alg => 'ES256')), 'beta', 'in options');
like($in->('plain', 'wrong', $par->(token({ tenant => 'beta' }))), qr/^28P01/, 'the password is asked all the same');
like($in->('plain', 'pw', $par->('rubbish')), qr/^28000 the token is malformed/, 'a bad one');
like($in->('plain', 'pw', $par->(token({ tenant => 'beta', user => 'pooled' }))), qr/^28000 the token is for another user/, "another user's");
like($in->('plain', 'pw'), qr/^28000 no tenant is bound/, 'none');
like($in->('mapped', 'pw', $par->(token({ tenant => 'beta' }))), qr/^28000 .*different tenants/, 'one that contradicts the map');
is($in->('mapped', 'pw', $par->(token({ tenant => 'acme' }))), 'acme', 'one that agrees with it');
like($in->('some', 'pw', $par->(token({ tenant => 'gamma' }))), qr/^28000 .*not granted/, 'one outside of tenants=');
like($in->('api', token({ tenant => 'acme', sub => 'api' }), $par->(token({ tenant => 'beta' }))), qr/^28000 .*different tenants/, 'password and parameter that differ');
# By SET.
my $set = sub { my ($c, $t) = @_; my $r = $c->query("SET pgbulkhead.tenant_token = '$t'"); return $r->{error} ? "$r->{error}{C} $r->{error}{M}" : $r->{results}[0]{tag} };
my $c = $p->connect('db', 'pooled', password => 'pw');
like($who->($c), qr/^28000 no tenant is set/, 'SET: nothing before it');
is($set->($c, token({ tenant => 'acme' })), 'SET', 'SET');
is($who->($c), 'acme', 'acme');
is($set->($c, token({ tenant => 'beta' }, alg => 'RS256')), 'SET', 'another');
is($who->($c), 'beta', 'beta');
is($c->ext("SET pgbulkhead.tenant_token TO '" . token({ tenant => 'gamma' }, alg => 'ES256') . "'", [])->{results}[0]{tag}, 'SET', 'extended');
is($who->($c), 'gamma', 'gamma');
like($set->($c, token({ tenant => 'acme' }, secret => 'y' x 32)), qr/^28000 the token is not signed/, 'a bad one');
is($who->($c), 'gamma', 'changes nothing');
error_is($c->query("SET pgbulkhead.tenant = 'acme'"), '42501', qr/not granted/, 'a plain SET is not for users without tenants=');
error_is($c->query('SHOW pgbulkhead.tenant_token'), '42501', qr/not shown/, 'a token is not shown');
is($c->query('RESET pgbulkhead.tenant_token')->{results}[0]{tag}, 'RESET', 'RESET');
like($who->($c), qr/^28000/, 'back to none');
$c = $p->connect('db', 'some', password => 'pw');
like($set->($c, token({ tenant => 'gamma' })), qr/^42501 .*not granted/, 'outside of tenants=');
is($set->($c, token({ tenant => 'beta' })), 'SET', 'within');
like($set->($p->connect('db', 'plain', password => 'pw', $par->(token({ tenant => 'acme' }))), token({ tenant => 'beta' })), qr/^42501 .*may not change/, 'without tenant_switch');
$c = $p->connect('db', 'sess', password => 'pw');
is($set->($c, token({ tenant => 'acme' })), 'SET', 'session pooling');
is($who->($c), 'acme', 'acme');
is($set->($c, token({ tenant => 'beta' })), 'SET', 'again');
is($who->($c), 'beta', 'beta');
# Expiry: checked when a statement begins, not only at the login.
my $soon = time() + 3;
my $l = $p->connect('db', 'plain', password => 'pw', $par->(token({ tenant => 'acme', exp => int $soon })));
my $t = $p->connect('db', 'plain', password => 'pw', $par->(token({ tenant => 'acme', exp => int $soon })));
my $s = $p->connect('db', 'sess', password => 'pw');
is($set->($s, token({ tenant => 'acme', exp => int $soon })), 'SET', 'a token that ends soon');
is($who->($_), 'acme', 'serves now') for $l, $s;
$l->cork; $l->parse('st', 'SELECT count(*) FROM notes'); $l->sync; $l->uncork; $l->finish;
$t->query('BEGIN');
ok(wait_for(sub { $who->($l) =~ /^28000 the token that names the tenant has expired/ }, 15, 0.2), 'then the next statement says that it has expired');
like($who->($s), qr/^28000 the token/, 'in session pooling too');
$l->cork; $l->bind('', 'st', []); $l->execute(''); $l->sync; $l->uncork;
error_is($l->finish, '28000', qr/expired/, 'and what was prepared');
is($who->($t), 'acme', 'a transaction that had begun goes on');
$t->query('COMMIT');
like($who->($t), qr/^28000/, 'to its end');
is($set->($s, token({ tenant => 'beta' })), 'SET', 'a fresh token');
is($who->($s), 'beta', 'serves again');
# Rotation.
my $old = token({ tenant => 'acme', sub => 'api' });
$keys->($all[3], $all[4]);
$p->reload;
like($in->('api', $old), qr/^28P01/, 'a key that was taken away');
is($in->('api', token({ tenant => 'acme', sub => 'api' }, secret => $secret{s2}, kid => 's2')), 'acme', 'one that stays');
like($set->($s, token({ tenant => 'acme' })), qr/^28000 the token is not signed/, 'SET follows the keys too');
is($who->($s), 'beta', 'living sessions keep their tenant');
for my $line ('k HS256 short', 'k none x', 'k HS256', "k RS256 \@$dir/ec.pub", "k ES256 \@$dir/rsa.pub", "k ES256 \@$dir/ec.key", "k RS256 \@$dir/missing", "k HS512 $secret{s1}", "s1 HS256 $secret{s1}\ns1 HS256 $secret{s2}") {
    $keys->($line);
    ok(!eval { $p->reload; 1 }, "RELOAD refuses the key file: " . $line =~ s/\n/, /r);
}
is($in->('api', token({ tenant => 'acme', sub => 'api' }, secret => $secret{s2}, kid => 's2')), 'acme', 'and keeps the keys it had');
$keys->(@all);
# Rules: audience, issuer, age, another member, once.
$p->{set}{tenant_token_audience} = 'the db'; $p->{set}{tenant_token_issuer} = 'idp'; $p->{set}{tenant_token_max_age} = 20; $p->{set}{tenant_token_claim} = 'org';
$p->reload;
my %good = (org => 'acme', sub => 'api', aud => ['x', 'the db'], iss => 'idp', iat => int time());
is($in->('api', token({%good})), 'acme', 'with all that is asked');
for my $m (qw(org sub aud iss iat)) { my %g = %good; delete $g{$m}; like($in->('api', token(\%g)), qr/^28P01/, "without $m") }
like($in->('api', token({ %good, iat => int(time() - 21), exp => int(time() + 100) })), qr/^28P01 .*expired/, 'too old');
like($in->('api', token({ %good, iat => int(time() + 30) })), qr/^28P01 .*not valid yet/, 'from the future');
delete @{ $p->{set} }{qw(tenant_token_audience tenant_token_issuer tenant_token_max_age tenant_token_claim)};
$p->{set}{tenant_token_replay} = 'once';
$p->reload;
my $once = token({ tenant => 'acme', sub => 'api', jti => 'one' });
is($in->('api', $once), 'acme', 'once: used');
like($in->('api', $once), qr/^28P01 .*used before/, 'once: not twice') for 1 .. 4;
is($in->('api', token({ tenant => 'acme', sub => 'api', jti => 'two' })), 'acme', 'once: another');
like($in->('api', token({ tenant => 'beta', sub => 'api', jti => 'two' })), qr/^28P01 .*used before/, 'once: the same number by the same key');
like($in->('api', token({ tenant => 'acme', sub => 'api' })), qr/^28P01 .*jti/, 'once: without a number');
delete $p->{set}{tenant_token_replay};
# In clear only where that was asked for.
$p->{set}{tenant_token_plaintext} = 0;
$p->reload;
like($in->('api', token({ tenant => 'acme', sub => 'api' })), qr/^28000 .*needs TLS/, 'without TLS nobody is asked for a token');
# psql, and the log.
my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . ' dbname=db user=pooled password=pw', "SET pgbulkhead.tenant_token = '" . token({ tenant => 'gamma' }) . "';\nSELECT DISTINCT tenant_id FROM notes;\n");
is($out, 'gamma', 'psql') or diag($err);
my $log = $p->log_text;
my @leaks = grep { /eyJ\w{20}|v1\.\w{20}|long enough/ } split /\n/, $log;
is("@leaks", '', 'no token and no secret in the log');
is($pg->value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'tenant_tok' AND pid <> pg_backend_pid()"), 0, 'none on a server');
finish();
