#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SCRAM pass-through lasts: RECONNECT, killed and restarted servers, a server that refuses for a while, other workers, a changed
# password; passwords that SASLprep changes; with and without TLS.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $ca = Bulkhead::TLS->new;
my @hba = ('host all postgres 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 scram-sha-256');
my $pg = pg(tls => $ca, hba => \@hba);
$pg->sql("CREATE ROLE scrammy LOGIN PASSWORD 'one'");
my $secret = sub { $pg->value("SELECT rolpassword FROM pg_authid WHERE rolname = '$_[0]'") };
for my $tls ('disable', 'require') {
    my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { scrammy => $secret->('scrammy') },
        set => { auth_type => $tls eq 'disable' ? 'md5' : 'scram-sha-256', server_tls_sslmode => $tls, server_login_retry => 0.2, query_wait_timeout => 60, worker_threads => 2 });
    my $login = sub { Bulkhead::Wire->login(host => '127.0.0.1', port => $p->port, user => 'scrammy', password => $_[0], dbname => 'test') };
    my @c = map { $login->('one') } 1 .. 4; # on both workers
    my $all = sub { my ($name) = @_; is(join(' ', map { my $r = eval { $_->query('SELECT current_user') }; !$r ? "dead: $@" : $r->{error} ? $r->{error}{M} : row_values($r) } @c), 'scrammy ' x 3 . 'scrammy', "$tls: $name") };
    $all->('by the keys that the clients proved');
    $p->console('RECONNECT', raw => 1);
    $all->('after RECONNECT');
    my @old = map { $_->{remote_pid} } @{ $p->console('SHOW SERVERS') };
    $pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'scrammy'");
    $p->lost_servers(@old);
    $all->('after the servers were killed');
    @old = map { $_->{remote_pid} } @{ $p->console('SHOW SERVERS') };
    $pg->restart('fast');
    $p->lost_servers(@old);
    $all->('after the server was restarted');
    # The server refuses the user for a while: what was proved is not forgotten.
    spew($pg->dir . '/pg_hba.conf', "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 reject\n");
    $pg->reload;
    $p->console('RECONNECT', raw => 1);
    my $r = eval { $c[0]->query('SELECT 1') };
    ok(!$r || $r->{error}, "$tls: the server refuses");
    spew($pg->dir . '/pg_hba.conf', join '', map { "$_\n" } 'local all all trust', @hba);
    $pg->reload;
    my $again = $c[3];
    my $who;
    wait_for(sub { $who = eval { row_values($again->query('SELECT current_user')) } // "dead $@"; $who eq 'scrammy' }, 10, 0.2);
    is($who, 'scrammy', "$tls: then it does not, and no new login was needed");
    # A new password: one login with it serves the clients of all workers.
    @c = map { $login->('one') } 1 .. 4;
    $pg->sql("ALTER ROLE scrammy PASSWORD 'two'");
    $p->{auth}{scrammy} = $secret->('scrammy');
    $p->reload;
    $p->console('RECONNECT', raw => 1);
    my $new = $login->('two');
    is($new->value('SELECT current_user'), 'scrammy', "$tls: a login with the new password");
    $all->('serves those of before');
    eval { $login->('one') };
    like($@, qr/SASL authentication failed/, "$tls: the old password is refused");
    $all->('and does not disturb the others');
    $pg->sql("ALTER ROLE scrammy PASSWORD 'one'");
    $_->close for @c, $new;
    $p->stop; $p->{expect_exit} = 1;
}

# SASLprep as PostgreSQL does it: the proxy computes from plain passwords, on both sides.
my %pw = (ligature => "\x{fb01}sh \x{2168}", composed => "u\x{308}ber", hangul => "\x{1100}\x{1161}\x{11a8}", space => "a\x{a0}b\x{3000}c", soft => "I\x{ad}X", emoji => "\x{1f600}x\x{ad}",
    hebrew => "\x{5d0}\x{5d1}\x{fb2e}", mixed => "\x{5d0}x\x{fb01}", compat => "\x{ff21}\x{ff42}\x{2460}", old => "\x{340}x", marks => "a\x{301}\x{323}");
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, auth => { map { my $x = $pw{$_}; utf8::encode($x); $_ => $x } keys %pw }, set => { auth_type => 'scram-sha-256', query_wait_timeout => 60 });
for my $user (sort keys %pw) {
    my $b = $pw{$user};
    utf8::encode($b);
    $pg->sql("CREATE ROLE $user LOGIN PASSWORD '$b'");
    my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . " user=$user dbname=test", 'SELECT current_user', env => { PGPASSWORD => $b });
    is($out, $user, "a password with $user: libpq, the proxy and the server agree") or diag($err);
}
my $same = "\x{fc}ber";
utf8::encode($same);
my ($st, $out) = psql('host=127.0.0.1 port=' . $p->port . ' user=composed dbname=test', 'SELECT current_user', env => { PGPASSWORD => $same });
is($out, 'composed', 'the same password written with other characters');
my ($st2, $o2) = psql('host=127.0.0.1 port=' . $p->port . ' user=ligature dbname=test', 'SELECT current_user', env => { PGPASSWORD => 'fish IX' });
is($o2, 'ligature', 'and in ASCII');
finish();
