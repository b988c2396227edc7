#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Logins: trust, plain, md5 and SCRAM of clients, and the same towards servers, with secrets of each kind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg(hba => ['host all postgres 127.0.0.1/32 trust', 'host all scrammy 127.0.0.1/32 scram-sha-256', 'host all emmdee 127.0.0.1/32 md5',
    'host all plainy 127.0.0.1/32 password', 'host all all 127.0.0.1/32 trust']);
$pg->sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE scrammy LOGIN PASSWORD 'pw scrammy'; CREATE ROLE plainy LOGIN PASSWORD 'pw plainy';"
        . "SET password_encryption = 'md5'; CREATE ROLE emmdee LOGIN PASSWORD 'pw emmdee'; CREATE ROLE other LOGIN");
my $secret = sub { $pg->value("SELECT rolpassword FROM pg_authid WHERE rolname = '$_[0]'") };
my ($scram, $md5) = map { $secret->($_) } qw(scrammy emmdee);
like($scram, qr/^SCRAM-SHA-256\$4096:/, 'a SCRAM secret');
like($md5, qr/^md5/, 'an md5 secret');
my %plain = (scrammy => 'pw scrammy', emmdee => 'pw emmdee', plainy => 'pw plainy');

sub attempt {
    my ($p, $user, $pw, $db) = @_;
    my $c = eval { $p->connect($db // 'test', $user, password => $pw, no_die => 1, timeout => 10) } or return "dead: $@";
    return "$c->{error}{C} $c->{error}{M}" if $c->{error};
    my $r = eval { $c->query('SELECT current_user') } or return "dead: $@";
    return $r->{error} ? $r->{error}{M} : row_values($r) . ' by ' . join ',', @{ $c->{auth} };
}
my $make = sub { my ($type, $auth, %set) = @_; proxy(pg => $pg, databases => { test => 'dbname=postgres', forced => 'dbname=postgres user=plainy password=\'pw plainy\'' }, auth => $auth, set => { auth_type => $type, server_login_retry => 1, query_wait_timeout => 30, %set }) };

my %code = (plain => 3, md5 => 5, 'scram-sha-256' => '10,11,12');
for my $type ('plain', 'md5', 'scram-sha-256') {
    my $p = $make->($type, {%plain});
    for my $user (sort keys %plain) {
        is(attempt($p, $user, $plain{$user}), "$user by $code{$type},0", "auth_type $type: $user with the right password");
    }
    like(attempt($p, 'scrammy', 'wrong'), qr/password authentication failed|SASL authentication failed/, "auth_type $type: a wrong password");
    like(attempt($p, 'scrammy', ''), qr/password authentication failed|SASL authentication failed|empty/, "auth_type $type: an empty password");
    like(attempt($p, 'nobody', 'x'), qr/password authentication failed|SASL authentication failed|no such user/, "auth_type $type: an unknown user");
    is(attempt($p, 'scrammy', $plain{scrammy}, 'forced'), "plainy by $code{$type},0", "auth_type $type: a forced user of the database");
    $p->stop; $p->{expect_exit} = 1;
}
# Secrets as the server keeps them.
my $p = $make->('md5', { emmdee => $md5, scrammy => $scram });
is(attempt($p, 'emmdee', $plain{emmdee}), 'emmdee by 5,0', 'an md5 secret in auth_file, used on the server as well');
is(attempt($p, 'scrammy', $plain{scrammy}), 'scrammy by 10,11,12,0', 'auth_type md5 turns to SCRAM for a SCRAM secret, keys passed through');
like(attempt($p, 'emmdee', 'wrong'), qr/password authentication failed/, 'a wrong password against an md5 secret');
$p->stop; $p->{expect_exit} = 1;
$p = $make->('scram-sha-256', { scrammy => $scram, emmdee => $md5 });
is(attempt($p, 'scrammy', $plain{scrammy}), 'scrammy by 10,11,12,0', 'SCRAM pass-through of keys');
is(attempt($p, 'scrammy', $plain{scrammy}), 'scrammy by 10,11,12,0', 'twice');
my @old = map { $_->{remote_pid} } @{ $p->console('SHOW SERVERS') };
$pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'scrammy'");
ok($p->lost_servers(@old), 'its server is killed');
is(attempt($p, 'scrammy', $plain{scrammy}), 'scrammy by 10,11,12,0', 'and after the server was killed');
like(attempt($p, 'scrammy', 'wrong'), qr/SASL authentication failed|password authentication failed/, 'a wrong password');
like(attempt($p, 'emmdee', $plain{emmdee}), qr/wrong password type|SASL|password authentication failed/, 'an md5 secret cannot serve SCRAM');
is(attempt($p, 'scrammy', $plain{scrammy}, 'forced'), 'plainy by 10,11,12,0', 'a forced user with a password of its own');
# Through libpq.
my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . " user=scrammy dbname=test password='pw scrammy'", 'SELECT current_user');
is($out, 'scrammy', 'libpq through SCRAM pass-through') or diag($err);
$p->stop; $p->{expect_exit} = 1;
# any and trust.
$p = $make->('trust', { scrammy => 'pw scrammy', other => '' });
is(attempt($p, 'other', ''), 'other by 0', 'trust: no question');
like(attempt($p, 'stranger', ''), qr/no such user|authentication failed/, 'trust: users of auth_file only');
is(attempt($p, 'scrammy', ''), 'scrammy by 0', 'trust: the stored secret serves the server');
$p->stop; $p->{expect_exit} = 1;
$p = proxy(pg => $pg, databases => { test => 'dbname=postgres user=postgres' }, set => { auth_type => 'any' });
is(attempt($p, 'whoever', ''), 'postgres by 0', 'any: whoever it is, the forced user');
$p->stop; $p->{expect_exit} = 1;
# SCRAM messages that are wrong.
if (ours()) {
    $p = $make->('scram-sha-256', { scrammy => $scram });
    my @first = ("n,,n=,r=abc", "y,,n=,r=abc", "p=tls-server-end-point,,n=,r=abc", "n,,r=abc", "n,,n=,r=", "x,,n=,r=abc", "n,a=other,n=,r=abc", '', "n,,n=,r=abc,m=ext", "\xff" x 5000);
    for my $f (@first) {
        my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8);
        $c->startup(user => 'scrammy', dbname => 'test');
        $c->read_until('R');
        $c->send_msg('p', "SCRAM-SHA-256\0" . pack('N', length $f) . $f);
        my $m = $c->read_msg(6);
        if ($m && $m->[0] eq 'R') { $c->send_msg('p', 'c=biws,r=stolen,p=AAAA'); $m = $c->read_msg(6) }
        ok(!$m || $m->[0] eq 'E', 'SCRAM: first message ' . substr($f, 0, 30) =~ s/[^ -~]/?/gr . ' leads to a refusal');
    }
    for my $len (0x7fffffff, 0xffffffff, 100000) {
        my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 8);
        $c->startup(user => 'scrammy', dbname => 'test');
        $c->read_until('R');
        $c->send_msg('p', "SCRAM-SHA-256\0" . pack('N', $len) . 'n,,n=,r=abc');
        my $m = $c->read_msg(6);
        ok(!$m || $m->[0] eq 'E', "SCRAM: a length of $len leads to a refusal");
    }
    is(attempt($p, 'scrammy', $plain{scrammy}), 'scrammy by 10,11,12,0', 'all the while the right password works');
    unlike($p->log_text, qr/pw scrammy|\Q$scram\E/, 'no secret in the log');
}
finish();
