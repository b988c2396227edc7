#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_query with rules, expired passwords, auth_dbname; names that are not there; passwords of 65,530 bytes in both directions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Util qw(spew work_dir);

need_ours();
my $pg = pg(hba => ['host all postgres 127.0.0.1/32 trust', 'host all looker 127.0.0.1/32 trust', 'host all clear 127.0.0.1/32 password', 'host all emmdee 127.0.0.1/32 md5', 'host all all 127.0.0.1/32 scram-sha-256']);
my $long = join '', map { chr(33 + ($_ * 7) % 90) } 1 .. 65530; # printable
$long =~ tr/'"\\/abc/;
$pg->sql("CREATE ROLE looker SUPERUSER LOGIN");
$pg->sql("CREATE ROLE $_->[0] LOGIN PASSWORD '$_->[1]'" . ($_->[2] // '')) for ['alice', 'pw alice'], ['gone', 'pw gone', " VALID UNTIL '2020-01-01'"], ['future', 'pw future', " VALID UNTIL '2200-01-01'"], ['forever', 'pw forever', " VALID UNTIL 'infinity'"], ['clear', $long], ['scram', $long];
$pg->sql("SET password_encryption = md5; CREATE ROLE emmdee LOGIN PASSWORD '$long'");
$pg->sql("CREATE ROLE nologin PASSWORD 'pw nologin'");
$pg->sql('CREATE DATABASE users');
my $hba = work_dir() . '/hba.conf';
spew($hba, "host all alice,ALIAS,bhadmin all md5\nhost all ADMIN all md5\nhost all boss all reject\nhost all all all scram-sha-256\n"); chmod 0644, $hba;
my %db = (db => 'dbname=postgres', other => 'dbname=postgres auth_dbname=gone', elsewhere => 'dbname=postgres auth_dbname=users', users => 'dbname=users');
my $p = proxy(pg => $pg, databases => \%db, auth => { looker => '' }, set => { auth_type => 'scram-sha-256', auth_user => 'looker' });
my $login = sub {
    my ($user, $pw, %o) = @_;
    my $c = eval { Bulkhead::Wire->login(host => '127.0.0.1', port => $p->port, user => $user, dbname => $o{db} // 'db', password => $pw // "pw $user", no_die => 1, timeout => 20) } or return "dead: $@";
    return "$c->{error}{C} $c->{error}{M}" if $c->{error};
    my $r = $c->query('SELECT session_user');
    return ($r->{error} ? $r->{error}{M} : row_values($r)) . ' by ' . join ',', @{ $c->{auth} };
};
my $scram = '10,11,12,0';
my $no = '28P01 SASL authentication failed';
# the default auth_query
is($login->('alice'), "alice by $scram", 'the default auth_query; SCRAM keys go on to the server');
is($login->('gone'), $no, 'a password that is no longer valid');
is($login->($_), "$_ by $scram", "a password that is valid: $_") for 'future', 'forever';
is($login->('nologin'), $no, 'a role that may not log in');
is($login->('nobody', 'x'), $no, 'nobody: the exchange runs to its end');
ok($p->wait_log(qr/no such user: nobody/), 'only the log tells');
is($login->('alice', 'wrong'), $no, 'a wrong password looks the same');
like($login->('alice', undef, db => 'nowhere'), qr/^3D000 no such database: nowhere|^28P01/, 'a database that is not there is told after the password');
is($login->('alice', 'wrong', db => 'nowhere'), $no, 'and not before');
is($login->('alice', undef, db => 'other'), '08006 bouncer config error', 'auth_dbname that is not configured');
ok($p->wait_log(qr/authentication database "gone" is not configured/), 'the log tells which');
is($login->('alice', undef, db => 'elsewhere'), "alice by $scram", 'auth_dbname');
$p->stop; $p->{expect_exit} = 1;
# names that the query changes; rules are about the name that it gives
my $query = q{SELECT CASE $1 WHEN 'ALIAS' THEN 'alice' WHEN 'ADMIN' THEN 'boss' ELSE lower($1) END, CASE WHEN $1 = 'NULL' THEN NULL WHEN $1 = 'EMPTY' THEN '' ELSE 'pw ' || lower($1) END WHERE $1 <> 'none'};
$p = proxy(pg => $pg, databases => \%db, auth => { looker => '', bhadmin => 'bhadmin' }, set => { auth_type => 'hba', auth_hba_file => $hba, auth_user => 'looker', auth_query => $query });
is($login->('ALICE', 'pw alice'), '28P01 password authentication failed', 'md5 by the rule of the name that the query gives, hashed with the name that the client sent');
like($login->('Alice', 'pw alice'), qr/^28P01/, 'so that neither fits by chance');
is($login->('alice', 'pw alice'), 'alice by 5,0', 'the same name on both sides');
is($login->('FUTURE', 'pw future'), "future by $scram", 'the login user is whom the query names');
is($login->('ADMIN', 'pw admin'), '28000 login rejected', 'a name that is rejected cannot be reached by another one');
is($login->('boss', 'pw boss'), '28000 login rejected', 'nor by its own');
is($login->('NULL', 'pw null'), $no, 'no secret: nothing matches');
is($login->('NULL', ''), $no, 'nor an empty password');
is($login->('EMPTY', ''), $no, 'an empty secret neither');
is($login->('none', 'x'), $no, 'no row');
$p->console('DISABLE users');
is($login->('future', undef, db => 'elsewhere'), '08P01 authentication database "users" is disabled', 'auth_dbname that is disabled');
$p->console('ENABLE users');
is($login->('future', undef, db => 'elsewhere'), "future by $scram", 'and enabled again');
$p->stop; $p->{expect_exit} = 1;
# long passwords: the client's way in and ours to the server
for my $type ('plain', 'md5', 'scram-sha-256') {
    my $code = { plain => '3,0', md5 => '5,0', 'scram-sha-256' => $scram }->{$type};
    $p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { map { ($_ => $long) } qw(clear scram emmdee) }, set => { auth_type => $type });
    is($login->($_, $long), "$_ by $code", "$type: 65,530 bytes from auth_file, to the server by " . { clear => 'password', scram => 'SCRAM', emmdee => 'md5' }->{$_}) for qw(clear scram emmdee);
    like($login->('scram', substr($long, 0, -1)), qr/^28P01/, "$type: one byte less");
    like($login->('scram', $long . 'x'), qr/^28P01|^08P01|^dead/, "$type: one byte more");
    $p->stop; $p->{expect_exit} = 1;
}
my $q = proxy(pg => $pg, auth => { x => "${long}x" }, start => 0, expect_exit => 256);
ok(!$q->start(may_fail => 1), 'auth_file with 65,531 bytes');
ok($q->wait_log(qr/the secret is longer than 65530 bytes/), 'is told');
unlike($q->log_text, qr/\Q@{[substr $long, 0, 40]}\E/, 'without it');
# through auth_query: SCRAM keys, and a plain password on its way through
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { looker => '' }, set => { auth_type => 'plain', auth_user => 'looker' });
is($login->('clear', $long), 'clear by 3,0', '65,530 bytes that only the client has, to a server that wants them in clear');
is($login->('scram', $long), 'scram by 3,0', 'and to one that wants SCRAM');
# reserved
for my $name ('pgbouncer', 'pgbulkhead') {
    my $r = proxy(pg => $pg, set => { auth_dbname => $name }, start => 0, expect_exit => 256);
    ok(!$r->start(may_fail => 1), "auth_dbname=$name");
    ok($r->wait_log(qr/cannot use the reserved "$name" database as an auth_dbname/), 'is refused');
}
# any
$p->stop; $p->{expect_exit} = 1;
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres', forced => 'dbname=postgres user=postgres' }, set => { auth_type => 'any' });
is($login->('whoever', ''), '28000 bouncer config error', 'auth_type=any without a forced user');
ok($p->wait_log(qr/auth_type=any requires a forced user/), 'the log tells');
is($login->('whoever', '', db => 'forced'), 'postgres by 0', 'with one');
$p->stop; $p->{expect_exit} = 1;
# what no stored secret can answer
my $secret = $pg->value("SELECT rolpassword FROM pg_authid WHERE rolname = 'alice'");
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { clear => '', emmdee => $secret }, set => { auth_type => 'trust' });
like($login->($_), qr/^28P01 server login failed: wrong password type/, "a server that asks for the password of $_, which is not there") for 'clear', 'emmdee';
finish();
