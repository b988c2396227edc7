#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_type=pam, and rules with pam: real PAM with services of its own, in a mount namespace where nobody else sees /etc/pam.d change.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
BEGIN {
    if (!$ENV{BH_PAM_NAMESPACE}) {
        $ENV{BH_PAM_NAMESPACE} = 1;
        exec 'unshare', ($> ? ('--user', '--map-root-user') : ()), '--mount', '--propagation', 'private', $^X, "-I$FindBin::Bin/../lib", abs_path($0) or die "unshare: $!\n";
    }
}
use Bulkhead;
use Bulkhead::Util qw(spew slurp work_dir run_cmd);

need_ours();
my $dir = work_dir() . '/pam.d';
mkdir $dir; chmod 0755, $dir;
my $script = work_dir() . '/judge';
my $seen = work_dir() . '/seen';
# Who may log in: the password is the user's name backwards. "slow" takes its time.
spew($script, <<"SH"); chmod 0755, $script;
#!/bin/sh
password=\$(tr -d '\\0')
echo "\$PAM_SERVICE \$PAM_TYPE \$PAM_USER \$PAM_RHOST" >>$seen
[ "\$PAM_USER" = slow ] && sleep 2
[ "\$PAM_TYPE" != account ] || { [ "\$PAM_USER" != expired ]; exit; }
[ "\$password" = "\$(printf %s "\$PAM_USER" | rev)" ]
SH
spew($seen, ''); chmod 0666, $seen;
my $judge = "auth required pam_exec.so quiet expose_authtok $script\naccount required pam_exec.so quiet $script\n";
spew("$dir/pgbouncer", $judge);
spew("$dir/bh-second", "auth required pam_exec.so quiet expose_authtok $script\naccount required pam_permit.so\n");
spew("$dir/bh-delay", "auth optional pam_faildelay.so delay=5000000\n$judge");
spew("$dir/bh-broken", "auth required pam_there_is_no_such.so\naccount required pam_permit.so\n");
spew("$dir/other", "auth required pam_deny.so\naccount required pam_deny.so\n");
chmod 0644, glob "$dir/*";
my ($st, $out, $err) = run_cmd(argv => ['mount', '--bind', $dir, '/etc/pam.d']);
is($st, 0, 'a folder of services for this test alone') or diag($err);

my $pg = pg(hba => ['host all postgres 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 scram-sha-256']);
$pg->sql("CREATE ROLE $_ LOGIN PASSWORD '" . reverse($_) . "'") for qw(alice bob expired slow listed);
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres', forced => 'dbname=postgres user=postgres' }, auth => { listed => 'other secret', bhadmin => 'x' },
    set => { auth_type => 'pam', admin_users => 'nimda,bhadmin' });
my $login = sub {
    my ($user, $pw, %o) = @_;
    my $c = eval { Bulkhead::Wire->login(host => '127.0.0.1', port => $p->port, user => $user, dbname => $o{db} // 'db', password => $pw, no_die => 1, timeout => 15) } or return "dead: $@";
    return "$c->{error}{C} $c->{error}{M}" if $c->{error};
    return row_values($c->query($o{sql} // 'SELECT session_user')) . ' by ' . join ',', @{ $c->{auth} };
};
my $no = '28P01 PAM authentication failed';
is($login->('alice', 'ecila'), 'alice by 3,0', 'the right password, which serves the server too; auth_file need not have the user');
like(slurp($seen), qr/^pgbouncer auth alice 127\.0\.0\.1\npgbouncer account alice 127\.0\.0\.1\n/, 'PAM_RHOST, and both parts of the service');
is($login->('alice', 'wrong'), $no, 'a wrong password');
is($login->('alice', ''), $no, 'an empty password');
is($login->('bob', 'ecila'), $no, 'the password of another one');
is($login->('stranger', 'regnarts', db => 'forced'), 'postgres by 3,0', 'whom only PAM knows, with a forced user');
is($login->('expired', 'deripxe'), $no, 'an account that must not be used');
ok($p->wait_log(qr/login of user "expired" from 127\.0\.0\.1: pam_acct_mgmt failed/), 'the log says why');
is($login->('listed', 'detsil'), 'listed by 3,0', 'a user of auth_file is asked by PAM as well');
is($login->('listed', 'other secret'), $no, 'and the secret there does not count');
like($login->('alice', 'ecila', db => 'nowhere'), qr/^3D000 no such database/, 'no such database, said after the password');
is($login->('alice', 'wrong', db => 'nowhere'), $no, 'and not before');
like($login->('nimda', 'admin', db => 'pgbouncer', sql => 'SHOW VERSION'), qr/by 3,0$/, 'the console');
is($login->('nimda', 'nimda', db => 'pgbouncer'), $no, 'the console, a wrong password');
like($login->('alice', 'ecila', db => 'pgbouncer'), qr/^28000 not allowed/, 'the console is for its users');
like($login->('root', 'toor', db => 'forced'), qr/^postgres by/, 'root is a name as others');
# Two do not wait for one another's worker, and a client that leaves is not missed.
my $slow = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 15);
$slow->startup(user => 'slow', dbname => 'db');
$slow->read_until('R');
$slow->send_msg('p', "wols\0");
$slow->abort;
is($login->('alice', 'ecila'), 'alice by 3,0', 'behind somebody slow who has left');
# Bytes that are no password message, or more than one.
for (["a\0b\0", 'a zero byte'], ['noend', 'no end'], ['', 'nothing at all'], ["ecila\0 ", 'something behind']) {
    my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10);
    $c->startup(user => 'alice', dbname => 'db');
    $c->read_until('R');
    $c->send_msg('p', $_->[0]);
    my $m = $c->read_msg(6);
    ok($m && $m->[0] eq 'E', "$_->[1] is refused");
}
{
    my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10);
    $c->startup(user => 'alice', dbname => 'db');
    $c->read_until('R');
    $c->send_raw("p" . pack('N', 10) . "ecila\0" . "p" . pack('N', 10) . "wrong\0");
    my $m = $c->read_msg(10);
    $m = $c->read_msg(10) while $m && $m->[0] =~ /[RSK]/;
    ok(!$m || $m->[0] =~ /[EZ]/, 'a second password has no effect on the first');
}
unlike($p->log_text, qr/ecila|deripxe|other secret/, 'no secret in the log');
$p->stop; $p->{expect_exit} = 1;
# Rules.
my $hba = work_dir() . '/hba.conf';
spew($hba, "host db alice all pam\nhost db bob all pam pamservice=bh-second\nhost db slow all pam pamservice=bh-delay\nhost db listed all pam pamservice=bh-broken\nhost db expired all pam pamservice=bh-nothing\nhost all all all md5\n"); chmod 0644, $hba;
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { bhadmin => 'x' }, set => { auth_type => 'hba', auth_hba_file => $hba });
is($login->('alice', 'ecila'), 'alice by 3,0', 'a rule with pam: the service pgbouncer');
is($login->('bob', 'bob'), 'bob by 3,0', 'pamservice=');
like(slurp($seen), qr/^bh-second auth bob 127\.0\.0\.1\n\z/m, 'that one');
is($login->('listed', 'detsil'), $no, 'a service whose module is missing');
is($login->('expired', 'deripxe'), $no, 'a service that is missing is the service other');
is($login->('slow', 'wrong'), $no, 'a module that delays after failures');
is($login->('stranger', 'x'), '28P01 password authentication failed', 'the other rules');
$p->stop; $p->{expect_exit} = 1;
finish();
