#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_ident_file: peer on Unix sockets and names of certificates, with maps, patterns and groups; clientcert=; auth_type=cert;
# whose the Unix socket is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Util qw(spew work_dir run_cmd);

need_ours();
my $me = getpwuid $>;
my $pg = pg();
my @users = ($me, 'alice', 'bob', 'app_alice', 'ALICE', 'postgres');
$pg->sql(join ';', map { qq(CREATE ROLE "$_" LOGIN) } grep { $_ ne 'postgres' } @users);
my $ca = Bulkhead::TLS->new;
my $other = Bulkhead::TLS->new(name => 'Other CA');
my ($skey, $scert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my %cert = (alice => [$ca->cert('alice', file => 'alice', client => 1)], mail => [$ca->cert('alice@example.org', file => 'mail', client => 1)], all => [$ca->cert('all', file => 'all', client => 1)],
    twocn => [$ca->cert('x', file => 'twocn', client => 1, subject => '/CN=alice/CN=bob')], none => [$ca->cert('x', file => 'none', client => 1, subject => '/O=somebody')]);
my $sock = work_dir() . '/sock';
mkdir $sock; chmod 01777, $sock;
my ($hba, $ident) = map { work_dir() . "/$_" } 'hba.conf', 'ident.conf';
spew($_, '') for $hba, $ident; chmod 0644, $hba, $ident;
my %set = (auth_type => 'hba', auth_hba_file => $hba, auth_ident_file => $ident, unix_socket_dir => $sock, client_tls_sslmode => 'verify-ca', client_tls_ca_file => $ca->ca, client_tls_key_file => $skey, client_tls_cert_file => $scert);
spew($hba, "local all all peer\nhostssl pgbouncer bhadmin all trust\n");
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { map { ($_ => 'pw') } @users, 'bhadmin' }, set => \%set, tls_client => { ca => $ca->ca, key => $cert{alice}[0], cert => $cert{alice}[1] });
my $reload = sub {
    my ($rules, $maps) = @_;
    spew($hba, "hostssl pgbouncer bhadmin all trust\n$rules"); spew($ident, $maps // '');
    my $r = $p->console('RELOAD', raw => 1, no_die => 1);
    return $r->{error} ? $r->{error}{M} : 'fine';
};
my $result = sub { my ($st, $out, $err) = @_; return $st ? ($err =~ /FATAL:\s+(.*)/ ? $1 : $err) : $out };
my $unix = sub { my ($user, %o) = @_; return $result->(psql("host=$sock port=" . $p->port . " user=$user dbname=db", 'SELECT session_user', %o)) };
my $tls = sub {
    my ($user, $cert, $pw) = @_;
    return $result->(psql('host=localhost port=' . $p->port . " user=$user dbname=db sslmode=verify-full sslrootcert=" . $ca->ca . " sslkey=$cert{$cert}[0] sslcert=$cert{$cert}[1]" . ($pw ? " password=$pw" : ''), 'SELECT session_user'));
};
# peer
is($unix->($me), $me, 'peer: the system user');
is($unix->('alice'), 'unix socket login rejected', 'peer: somebody else');
ok($p->wait_log(qr/peer: system user "\Q$me\E" may not log in as this user/), 'the log says who it was');
my $rules = "local all all peer map=m\n";
is($reload->($rules, "m $me alice\n"), 'fine', 'a map');
is($unix->('alice'), 'alice', 'peer: mapped');
is($unix->($me), 'unix socket login rejected', 'peer: a map is all there is');
is($reload->($rules, "m $me bob\nm $me all\n"), 'fine', 'all');
is($unix->('alice'), 'alice', 'peer: all');
is($reload->($rules, "m $me \"all\"\n"), 'fine', 'all in quotes');
is($unix->('alice'), 'unix socket login rejected', 'is a name');
is($reload->($rules, "m \"/^r\" alice\nother $me alice\n"), 'fine', 'a pattern in quotes');
is($unix->('alice'), 'unix socket login rejected', 'is a name, and other maps do not count');
is($reload->($rules, "m /^\Q$me\E\$ /^al\n"), 'fine', 'patterns on both sides');
is($unix->('alice'), 'alice', 'peer: pattern of users');
is($unix->('bob'), 'unix socket login rejected', 'peer: pattern of users, another one');
is($reload->($rules, "m /^(.).*\$ app_\\1lice\n"), 'fine', 'a group');
is($unix->('app_' . substr($me, 0, 1) . 'lice'), substr($me, 0, 1) eq 'a' ? 'app_alice' : 'unix socket login rejected', 'peer: who is not known does not get in by a map');
is($reload->("local all all ident map=m\n", "m $me alice # why\n"), 'fine', 'ident on sockets is peer');
is($unix->('alice'), 'alice', 'ident');
SKIP: {
    skip 'only root can be somebody else', 1 if $>;
    is($reload->("local all all peer\n"), 'fine', 'peer again');
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/psql', '-XAtqw', '-d', "host=$sock port=" . $p->port . ' user=postgres dbname=db', '-c', 'SELECT session_user'], user => 1);
    is($out, "postgres\n", 'peer: another system user') or diag($err);
    is($unix->('postgres'), 'unix socket login rejected', 'not for us');
}
# certificates
is($reload->("hostssl all all all cert\n"), 'fine', 'cert');
is($tls->('alice', 'alice'), 'alice', 'cert: CN');
is($tls->('bob', 'alice'), 'certificate authentication failed', 'cert: another name');
is($tls->('ALICE', 'alice'), 'certificate authentication failed', 'cert: case counts');
is($tls->('alice', 'twocn'), 'certificate authentication failed', 'cert: two CNs');
is($tls->('alice', 'none'), 'certificate authentication failed', 'cert: no CN');
ok($p->wait_log(qr/TLS certificate name mismatch.*TLS client certificate required/s), 'the log tells them apart');
is($reload->("hostssl all all all cert map=m\n", "m /^(.*)\@example\\.org\$ \\1\nm /^(.*)\@example\\.org\$ app_\\1\n"), 'fine', 'cert with a map');
is($tls->('alice', 'mail'), 'alice', 'cert: a group of the name');
is($tls->('app_alice', 'mail'), 'app_alice', 'cert: a group within a name');
is($tls->('bob', 'mail'), 'certificate authentication failed', 'cert: not mapped');
is($tls->('alice', 'alice'), 'certificate authentication failed', 'cert: the bare name is not mapped');
is($reload->("hostssl all all all cert map=m\n", "m /^(.*)\$ \\1\n"), 'fine', 'everybody as himself');
is($tls->('alice', 'all'), 'certificate authentication failed', 'a certificate for "all" is for a user of that name only');
is($reload->("hostssl all bob all plain clientcert=verify-ca\nhostssl all all all plain clientcert=verify-full\n"), 'fine', 'clientcert');
is($tls->('bob', 'alice', 'pw'), 'bob', 'verify-ca: any certificate, and the password');
is($tls->('bob', 'alice', 'no'), 'password authentication failed', 'verify-ca: a wrong password');
is($tls->('alice', 'alice', 'pw'), 'alice', 'verify-full: the name, and the password');
is($tls->('alice', 'alice', 'no'), 'password authentication failed', 'verify-full: a wrong password');
is($tls->('alice', 'twocn', 'pw'), 'certificate authentication failed', 'verify-full: no name');
# maps that cannot be read
is($reload->("hostssl all all all trust\nlocal all all trust\n"), 'fine', 'rules to be kept');
for (["m root\n", qr/three words/], ["m root alice extra\n", qr/three words/], ["m a,b alice\n", qr/three words/], ["m root +admins\n", qr/member of a role/], ["m /^(a\$ alice\n", qr/pattern/], ["m /^a\$ \\1\n", qr/has none/], ["m /^\\w alice\n", qr/backslash/], ["m \"root alice\n", qr/quote/], ["\"\" root alice\n", qr/empty/], ["m \"\" alice\n", qr/empty/]) {
    my ($maps, $why) = @$_;
    my $before = length $p->log_text;
    like($reload->("local all all reject\n", "# maps\n$maps"), qr/RELOAD failed/, 'RELOAD is refused: ' . $maps =~ s/\n//r);
    like(substr($p->log_text, $before), qr/ident\.conf:2: .*(?:$why)/, 'the log tells the line');
    is($unix->('alice'), 'alice', 'the rules in force are kept');
}
$p->stop; $p->{expect_exit} = 1;
# auth_type=cert alone
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { map { ($_ => '') } @users }, set => { %set, auth_type => 'cert' }, tls_client => $p->{tls_client});
is($tls->('alice', 'alice'), 'alice', 'auth_type=cert');
is($tls->('bob', 'alice'), 'certificate authentication failed', 'auth_type=cert, another name');
is($unix->('alice'), 'certificate authentication failed', 'auth_type=cert on a Unix socket');
ok($p->wait_log(qr/TLS connection required/), 'the log says what is missing');
# [users] says what users may do; whether they are there is asked of auth_query, where there is one.
$p->stop; $p->{expect_exit} = 1;
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=alice' }, users => { gone => 'pool_mode=transaction', bob => 'pool_mode=transaction' }, auth => { bhadmin => 'bhadmin' },
    set => { %set, auth_type => 'cert', auth_user => 'postgres' }, tls_client => $p->{tls_client});
$cert{gone} = [$ca->cert('gone', file => 'gone', client => 1)];
$cert{bob} //= [$ca->cert('bob', file => 'bob', client => 1)];
is($tls->('bob', 'bob'), 'alice', 'cert: a user whom auth_query knows');
is($tls->('gone', 'gone'), 'certificate authentication failed', 'cert: one who is in [users] only');
if (!$>) { # started as root, with user=
    my $q = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, set => { unix_socket_dir => $sock, user => 'postgres' }, as_root => 1);
    my $file = "$sock/.s.PGSQL." . $q->port;
    ok($q->wait_log(qr/process up/), 'started as root');
    is((getpwuid((stat $file)[4]))[0], 'postgres', 'the socket belongs to the user that the process becomes');
    $q->stop; $q->{expect_exit} = 1;
    ok(!-e $file, 'who can therefore remove it');
}
finish();
