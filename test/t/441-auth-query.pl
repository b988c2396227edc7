#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_query: users of the database log in, with secrets of each kind, tenant and claims from the look-up; what goes wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg(hba => ['host all postgres 127.0.0.1/32 trust', 'host all looker 127.0.0.1/32 scram-sha-256', 'host all scrammy 127.0.0.1/32 scram-sha-256',
    'host all emmdee 127.0.0.1/32 md5', 'host all old 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']);
$pg->sql(<<'SQL');
SET password_encryption = 'scram-sha-256';
CREATE ROLE scrammy LOGIN PASSWORD 'pw scrammy'; CREATE ROLE looker LOGIN SUPERUSER PASSWORD 'pw looker'; CREATE ROLE nologin PASSWORD 'x';
CREATE ROLE old LOGIN PASSWORD 'pw old' VALID UNTIL '2001-01-01'; CREATE ROLE nopass LOGIN; CREATE ROLE app LOGIN;
SET password_encryption = 'md5'; CREATE ROLE emmdee LOGIN PASSWORD 'pw emmdee';
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, tenant_no int NOT NULL); ALTER TABLE notes OWNER TO app;
INSERT INTO notes SELECT g, (ARRAY['acme','beta','gamma'])[1 + g % 3], 11 + g % 3 FROM generate_series(1, 30) g;
CREATE SCHEMA auth;
CREATE TABLE auth.users (name text PRIMARY KEY, secret text, tenant text, no text);
INSERT INTO auth.users VALUES ('alice', 'pw alice', 'acme', '11'), ('bob', 'pw bob', 'beta', NULL), ('nobodys', 'pw nobodys', NULL, NULL), ('null', NULL, 'acme', NULL),
    ('empty', '', 'acme', NULL), ('star', 'pw star', '*', NULL), ('blank', 'pw blank', '', NULL), ('ctl', 'pw ctl', E'ac\x01me', NULL), ('wrong', 'pw wrong', 'acme', '12'),
    ('mapped', 'pw mapped', 'acme', NULL), ('one', 'pw one', 'acme', NULL), ('filed', 'pw filed', 'beta', NULL), ('tok', 'pw tok', 'acme', NULL);
CREATE FUNCTION auth.slow(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 FROM pg_sleep(1) $$;
SQL
my $login = sub {
    my ($p, $user, $pw, %o) = @_;
    my $c = eval { $p->connect($o{db} // 'test', $user, password => $pw, no_die => 1, timeout => 15, %{ $o{with} // {} }) } or return "dead: $@";
    return "$c->{error}{C} $c->{error}{M}" if $c->{error};
    my $r = eval { $c->query($o{sql} // 'SELECT current_user') } or return "dead: $@";
    return $r->{error} ? "$r->{error}{C} $r->{error}{M}" : row_values($r);
};
# The default query.
for my $type (qw(md5 scram-sha-256 plain)) {
    my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { looker => 'pw looker' }, set => { auth_type => $type, auth_user => 'looker', server_login_retry => 1 });
    is($login->($p, 'scrammy', 'pw scrammy'), 'scrammy', "$type: a SCRAM secret, and the proof serves the server");
    is($login->($p, 'scrammy', 'pw scrammy'), 'scrammy', "$type: twice");
    is($login->($p, 'emmdee', 'pw emmdee'), 'emmdee', "$type: an md5 secret") if $type ne 'scram-sha-256';
    my $failed = qr/^28P01 (?:password|SASL) authentication failed/;
    like($login->($p, 'scrammy', 'wrong'), $failed, "$type: a wrong password");
    like($login->($p, 'scrammy', ''), $failed, "$type: an empty one");
    like($login->($p, $_, 'pw x'), $failed, "$type: $_") for 'stranger', 'nologin', 'nopass', "o'neill; --", 'SCRAMMY', 'äö';
    like($login->($p, 'old', 'pw old'), $failed, "$type: a password that is not valid any more");
    # a user who is not there cannot be told from one who is
    if ($type eq 'scram-sha-256') {
        my @seen = map { my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8); $c->startup(user => $_, dbname => 'test'); my $m = $c->read_msg(8); $c->abort; unpack('H*', $m->[1]) } qw(scrammy stranger);
        is($seen[0], $seen[1], 'the same question for known and unknown users');
    }
    # the database's own answer counts at once
    $pg->sql("SET password_encryption = 'scram-sha-256'; ALTER ROLE scrammy PASSWORD 'pw new'");
    is($login->($p, 'scrammy', 'pw new'), 'scrammy', "$type: a changed password counts at once");
    like($login->($p, 'scrammy', 'pw scrammy'), $failed, "$type: the old one no more");
    $pg->sql("SET password_encryption = 'scram-sha-256'; ALTER ROLE scrammy PASSWORD 'pw scrammy'");
    # connections are kept, and made anew when the server cut them
    cmp_ok($pg->value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'looker'"), '<=', 3, "$type: few connections");
    $pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'looker'");
    is($login->($p, 'scrammy', 'pw scrammy'), 'scrammy', "$type: after they were cut");
    my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . " user=scrammy dbname=test password='pw scrammy'", 'SELECT current_user');
    is($out, 'scrammy', "$type: psql") or diag($err);
    unlike($p->log_text, qr/pw scrammy|SCRAM-SHA-256\$/, "$type: no secret in the log");
    $p->stop; $p->{expect_exit} = 1;
}
# A query of one's own, with tenant and claims.
my %db = (test => 'dbname=postgres user=app tenant_mode=rewrite', open => 'dbname=postgres user=app tenant_mode=off', other => "dbname=postgres user=app auth_dbname=gone",
    own => "dbname=postgres user=app tenant_mode=rewrite auth_query='SELECT name, secret, ''gamma''::text AS t FROM auth.users WHERE name = \$1'",
    auth => 'dbname=postgres');
my $q = 'SELECT name, secret, tenant, no AS "claim.tenant_no" FROM auth.users WHERE name = lower($1)';
my $p = proxy(pg => $pg, databases => \%db, auth => { looker => 'pw looker', filed => 'pw in file' },
    users => { mapped => 'tenant=beta', filed => 'tenant=beta', one => 'tenants=beta', tok => 'tenant_mode=rewrite' }, rules => ['public.notes = tenant_id'],
    extra => "\n[tenants]\nacme = tenant_no=11\n",
    set => { auth_type => 'scram-sha-256', auth_user => 'looker', auth_dbname => 'auth', auth_query => $q, tenant_identity => 'auth_query', server_login_retry => 1 });
my $who = "SELECT string_agg(DISTINCT tenant_id, ',') FROM notes";
is($login->($p, 'alice', 'pw alice', sql => $who), 'acme', 'the third column is the tenant');
is($login->($p, 'bob', 'pw bob', sql => $who), 'beta', 'another');
is($login->($p, 'ALICE', 'pw alice', sql => $who), 'acme', 'the query says who the user is');
like($login->($p, 'nobodys', 'pw nobodys'), qr/^28000 no tenant is bound/, 'NULL: no tenant');
like($login->($p, 'null', 'pw null'), qr/^28P01/, 'NULL as secret: nobody gets in');
like($login->($p, 'empty', ''), qr/^28P01/, 'an empty secret neither');
like($login->($p, 'star', 'pw star'), qr/^28000 no tenant can be called/, '* exempts nobody here');
like($login->($p, 'blank', 'pw blank'), qr/^28000 no usable tenant/, 'an empty tenant');
like($login->($p, 'ctl', 'pw ctl'), qr/^28000 no usable tenant/, 'a control character');
like($login->($p, 'wrong', 'pw wrong'), qr/^28000 .*disagree about claim/, 'a claim that [tenants] contradicts');
like($login->($p, 'mapped', 'pw mapped'), qr/^28000 .*different tenants/, 'a tenant that [users] contradicts');
like($login->($p, 'one', 'pw one'), qr/^28000 .*not granted/, 'one that is not granted');
is($login->($p, 'filed', 'pw in file', sql => $who), 'beta', 'a user of auth_file is not looked up');
like($login->($p, 'FILED', 'pw filed'), qr/^28000 /, 'nor by another spelling');
is($login->($p, 'alice', 'pw alice', db => 'open'), 'app', 'a database without tenants');
is($login->($p, 'bob', 'pw bob', db => 'own', sql => $who), 'gamma', "a database's own query");
like($login->($p, 'alice', 'pw alice', db => 'other'), qr/^08006 bouncer config error/, 'auth_dbname that is not there');
ok($p->wait_log(qr/authentication database "gone" is not configured/), "the log tells which");
like($login->($p, 'alice', 'pw alice', db => 'nowhere'), qr/^3D000/, 'no such database, said after the password');
like($login->($p, 'alice', 'wrong', db => 'nowhere'), qr/^28P01/, 'and not before');
like($login->($p, 'stranger', 'x'), qr/^28P01/, 'an unknown user');
# Queries that do not work.
for my $bad (['SELECT name FROM auth.users WHERE name = $1', 'one column'], ['SELECT name, secret FROM auth.users WHERE $1 <> $1 OR true', 'all rows'], ['SELEC', 'no SQL'], ['SELECT NULL::text, secret FROM auth.users WHERE name = $1', 'no name'],
    ['SELECT name, secret, tenant, no, no FROM auth.users WHERE name = $1', 'a claim twice'], ['SELECT name, secret FROM auth.missing WHERE name = $1', 'no table'], ['SELECT name, (1/0)::text FROM auth.users WHERE name = $1', 'an error at run time'],
    ['SELECT name, secret, tenant, no AS tenant FROM auth.users WHERE name = $1', 'a claim called tenant']) {
    $p->{set}{auth_query} = $bad->[0];
    $p->reload;
    like($login->($p, 'alice', 'pw alice'), qr/^(?:08006 auth_query failed|28000 an unusable claim)/, "a query that does not serve: $bad->[1]");
}
$p->{set}{auth_query} = $q; $p->{set}{tenant_identity} = 'map'; $p->reload;
like($login->($p, 'alice', 'pw alice'), qr/^08006 auth_query failed/, 'a tenant nobody asked for');
$p->{set}{auth_query} = "SELECT auth.slow(name), secret FROM auth.users WHERE name = \$1"; $p->{databases}{open} = 'dbname=postgres user=app tenant_mode=off'; $p->reload;
my @r = parallel(6, sub { $login->($p, 'alice', 'pw alice', db => 'open') }, 40);
is(join(',', @r), join(',', ('app') x 6), 'six at once, slowly');
# The authentication database is away.
$p->{set}{auth_query} = $q; $p->{set}{tenant_identity} = 'auth_query'; $p->{databases}{auth} = 'dbname=postgres host=127.0.0.1 port=1'; $p->reload;
like($login->($p, 'alice', 'pw alice'), qr/^08006 auth_query failed/, 'no connection');
is($login->($p, 'filed', 'pw in file', sql => $who), 'beta', 'auth_file goes on');
$p->{databases}{auth} = 'dbname=postgres'; $p->reload;
is($login->($p, 'alice', 'pw alice', sql => $who), 'acme', 'and back again');
# Everything in one packet: nothing is lost while the database is asked.
my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8);
my $start = pack('N', 196608) . "user\0alice\0database\0test\0\0";
$c->send_raw(pack('N', 4 + length $start) . $start . 'X' . pack('N', 4));
ok($c->wait_eof(8), 'a client that leaves while it is looked up');
is($login->($p, 'alice', 'pw alice', sql => $who), 'acme', 'others go on');
unlike($p->log_text, qr/pw alice/, 'no secret in the log');
# trust and certificates ask who there is.
$p->{set}{auth_type} = 'trust'; $p->reload;
is($login->($p, 'alice', '', sql => $who), 'acme', 'trust: a user of the query');
like($login->($p, 'stranger', ''), qr/^28P01/, 'trust: nobody else');
finish();
