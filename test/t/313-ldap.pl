#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_type=ldap, and rules with ldap: a real slapd, simple bind and search, StartTLS and ldaps, names that are special.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Util qw(spew slurp work_dir run_cmd spawn stop_child free_port wait_for on_exit);

need_ours();
my $dir = work_dir() . '/slapd';
mkdir $_ for $dir, "$dir/db";
my $ca = Bulkhead::TLS->new;
my $other = Bulkhead::TLS->new(name => 'Other CA');
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'ldap');
chmod 0644, $key;
spew("$dir/slapd.conf", <<"CONF");
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $dir/pid
TLSCertificateFile $cert
TLSCertificateKeyFile $key
allow bind_anon_cred bind_anon_dn
database mdb
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw topsecret
directory $dir/db
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=people,dc=example" by dn.exact="cn=reader,dc=example" read by anonymous read by * none
access to dn.subtree="ou=closed,dc=example" by dn.exact="cn=reader,dc=example" read by anonymous auth by * none
access to * by * read
CONF
my $ldif = "dn: dc=example\nobjectClass: domain\ndc: example\n\ndn: cn=reader,dc=example\nobjectClass: person\ncn: reader\nsn: r\nuserPassword: reading\n\n"
    . join '', map { "dn: ou=$_,dc=example\nobjectClass: organizationalUnit\nou: $_\n\n" } qw(people closed);
my $person = sub { my ($uid, $ou, $pw, $mail) = @_; "dn: uid=$uid,ou=$ou,dc=example\nobjectClass: inetOrgPerson\nuid: $uid\ncn: $uid\nsn: $uid\n" . ($mail ? "mail: $mail\n" : '') . ($pw ? "userPassword: $pw\n" : '') . "\n" };
$ldif .= $person->(@$_) for ['alice', 'people', 'pw alice', 'alice@example.org'], ['bob', 'people', 'pw bob', 'both@example.org'], ['carol', 'people', 'pw carol', 'both@example.org'], ['nopw', 'people', ''], ['dora', 'closed', 'pw dora'];
spew("$dir/start.ldif", $ldif);
if (!$>) { my @u = getpwnam 'postgres'; chown $u[2], $u[3], glob("$dir/*"), $dir }
my ($st, $out, $err) = run_cmd(argv => ['/usr/sbin/slapadd', '-f', "$dir/slapd.conf", '-l', "$dir/start.ldif"], user => 1);
is($st, 0, 'a directory') or diag($err);
my ($port, $sport) = (free_port(), free_port());
my $pid = spawn(argv => ['/usr/sbin/slapd', '-f', "$dir/slapd.conf", '-h', "ldap://127.0.0.1:$port ldaps://127.0.0.1:$sport", '-d', '0'], user => 1, log => "$dir/log");
on_exit(sub { stop_child($pid, 'TERM', 10) });
ok(wait_for(sub { IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $sport) }, 20), 'that answers') or diag(slurp("$dir/log"));

my $pg = pg(hba => ['host all postgres 127.0.0.1/32 trust', 'host all alice 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']);
$pg->sql("CREATE ROLE $_ LOGIN PASSWORD 'pw $_'") for 'alice', 'bob', 'carol', 'dora', 'nopw', 'reader', '"ALICE"', '"a*"', '"alice "';
my $hba = work_dir() . '/hba.conf';
spew($hba, "host all all all plain\n"); chmod 0644, $hba;
my $make = sub { my (%set) = @_; proxy(pg => $pg, databases => { db => 'dbname=postgres', forced => 'dbname=postgres user=postgres' }, auth => { bhadmin => 'bhadmin' }, set => { %set }, env => { LDAPTLS_CACERT => $ca->ca }) };
my $p = $make->(auth_type => 'ldap', auth_ldap_options => qq(ldapserver=127.0.0.1 ldapport=$port ldapprefix="uid=" ldapsuffix=",ou=people,dc=example"));
my $no = '28P01 LDAP authentication failed';
my $login = sub {
    my ($user, $pw, %o) = @_;
    my $c = eval { Bulkhead::Wire->login(host => '127.0.0.1', port => $p->port, user => $user, dbname => $o{db} // 'db', password => $pw // "pw $user", no_die => 1, timeout => 20) } or return "dead: $@";
    return "$c->{error}{C} $c->{error}{M}" if $c->{error};
    return row_values($c->query('SELECT session_user')) . ' by ' . join ',', @{ $c->{auth} };
};
is($login->('alice'), 'alice by 3,0', 'simple bind; the password serves the server too');
is($login->('alice', 'wrong'), $no, 'a wrong password');
is($login->('alice', ''), $no, 'an empty password, which the directory would take for anonymous');
is($login->('bob', 'pw alice'), $no, 'the password of another one');
is($login->('nopw', 'x'), $no, 'an entry without a password');
is($login->('nobody', 'x'), $no, 'no such entry');
is($login->('dora'), $no, 'an entry elsewhere');
for my $user ('a*', 'alice ', ' alice', 'alice,ou=people', 'alice+cn=alice', 'al\\69ce', 'alice#', '"alice"', 'alice;x', "al\x01ice", 'x)(uid=alice', '', 'a=b') {
    my $got = $login->($user, 'pw alice', db => 'forced');
    like($got, qr/^(?:\Q$no\E|28000 no PostgreSQL user name.*)$/, 'special in a name: ' . $user =~ s/[^ -~]/?/gr);
}
ok($p->wait_log(qr/login of user "alice" from 127\.0\.0\.1: LDAP: bind failed: Invalid credentials/), 'the log says why');
unlike($p->log_text, qr/pw alice/, 'but no password');
ok(!eval { $p->console("SHOW CONFIG"); 1 }, "the console is behind the directory, too");
$p->stop; $p->{expect_exit} = 1;

# Rules; each is tried with logins: [options, [user, password, expected, name]...]
$p = $make->(auth_type => 'hba', auth_hba_file => $hba);
my $where = "ldapserver=127.0.0.1 ldapport=$port";
my $people = 'ou=people,dc=example';
my $reader = 'ldapbinddn="cn=reader,dc=example" ldapbindpasswd=reading';
my $ok = sub { "$_[0] by 3,0" };
my @cases = (
    [qq($where ldapbasedn="dc=example"), ['alice', undef, $ok->('alice'), 'search as nobody'], ['alice', 'wrong', $no, 'a wrong password'], ['dora', undef, $no, 'an entry that nobody may see'], ['ALICE', 'pw alice', $no, 'another spelling is another user'], ['nobody', 'x', $no, 'no such entry'], ['a*', 'pw alice', $no, 'an asterisk']],
    [qq($where ldapbasedn="dc=example" $reader), ['dora', undef, $ok->('dora'), 'search as a reader'], ['reader', 'reading', $no, 'the reader has no uid']],
    [qq($where ldapbasedn="dc=example" ldapsearchattribute=cn), ['bob', undef, $ok->('bob'), 'another attribute']],
    [qq($where ldapbasedn="dc=example" ldapsearchattribute=mail), ['both\@example.org', 'pw bob', $no, 'two entries']],
    [qq($where ldapbasedn="dc=example" ldapsearchfilter="(&(objectClass=inetOrgPerson)(|(uid=\$username)(mail=\$username\@example.org)))"), ['alice', undef, $ok->('alice'), 'a filter'], ['both', 'pw bob', $no, 'a filter that finds two'], ['x', 'y', $no, 'a filter that finds none']],
    [qq($where ldapbasedn="dc=example" ldapbinddn="cn=reader,dc=example" ldapbindpasswd=wrong), ['alice', undef, $no, 'a reader with a wrong password']],
    [qq($where ldapbasedn="dc=nowhere"), ['alice', undef, $no, 'a base that is not there']],
    [qq(ldapurl="ldap://127.0.0.1:$port/$people?uid?one"), ['alice', undef, $ok->('alice'), 'a URL']],
    [qq(ldapurl="ldap://127.0.0.1:$port/dc=example?uid?one"), ['alice', undef, $no, 'a scope that is too narrow']],
    [qq(ldapurl="ldap://127.0.0.1:$port/$people??sub?(cn=\$username)"), ['alice', undef, $ok->('alice'), 'a URL with a filter']],
    [qq(ldapurl="ldaps://127.0.0.1:$sport/ou%3Dpeople%2Cdc=example?uid?sub"), ['alice', undef, $ok->('alice'), 'ldaps, and percent signs'], ['alice', 'wrong', $no, 'ldaps, a wrong password']],
    [qq(ldapserver=127.0.0.1 ldapscheme=ldaps ldapport=$sport ldapprefix=uid= ldapsuffix=",$people"), ['alice', undef, $ok->('alice'), 'ldapscheme']],
    [qq(ldapserver=127.0.0.1 ldapport=$port ldaptls=1 ldapprefix=uid= ldapsuffix=",$people"), ['alice', undef, $ok->('alice'), 'StartTLS'], ['alice', 'wrong', $no, 'StartTLS, a wrong password']],
    [qq(ldapserver="127.0.0.1:1 127.0.0.1:$port" ldapprefix=uid= ldapsuffix=",$people"), ['alice', undef, $ok->('alice'), 'the second of two servers']],
    [qq(ldapserver=127.0.0.1 ldapport=1 ldapprefix=uid= ldapsuffix=",$people"), ['alice', undef, $no, 'nobody is there']],
);
my $reload = sub {
    spew($hba, "host pgbouncer bhadmin all plain\n@_\n");
    my $r = $p->console('RELOAD', raw => 1, no_die => 1);
    return $r->{error} ? $r->{error}{M} : 'fine';
};
for my $c (@cases) {
    my ($options, @logins) = @$c;
    is($reload->("host all all all ldap $options"), 'fine', "can be read: $options");
    for (@logins) { my ($user, $pw, $want, $name) = @$_; is($login->($user, $pw), $want, $name) }
}
is($reload->("host all alice all ldap $where ldapprefix=uid= ldapsuffix=\",$people\"\nhost all all all reject"), 'fine', 'rules to be kept');
my %bad = (
    '' => qr/ldap needs options/, $where => qr/ldapbasedn/, 'ldapprefix=x' => qr/ldapserver or ldapurl/, "$where ldapprefix=x ldapbasedn=y" => qr/do not go with/, "$where ldapbasedn=x ldapsearchattribute=a ldapsearchfilter=(a=\$username)" => qr/at once/,
    "$where ldapbasedn=x ldapsearchfilter=(a=b)" => qr/\$username/, "$where ldapbasedn=x ldapbinddn=y" => qr/go together/, "$where ldapprefix=x ldaptls=2" => qr/neither 0 nor 1/, "$where ldapprefix=x ldapfoo=2" => qr/not supported/,
    'ldapserver=h ldapport=0 ldapprefix=x' => qr/port/, 'ldapserver=h ldapport=99999 ldapprefix=x' => qr/port/, 'ldapserver=h/x ldapprefix=x' => qr/no host/, 'ldapserver=h ldapscheme=http ldapprefix=x' => qr/neither ldap nor ldaps/,
    'ldapurl=http://h/x' => qr/begins neither/, 'ldapurl=ldap://h/x?uid?most' => qr/scope/, 'ldapurl="ldap://h/x?a,b"' => qr/more than one attribute/, 'ldapurl=ldap://h/x%zz' => qr/hexadecimal/, 'ldapurl=ldap://h/x%00' => qr/hexadecimal/,
    'ldapurl=ldap://h/x?a?sub??ext' => qr/extensions/, "$where ldapscheme=ldaps ldaptls=1 ldapprefix=x" => qr/at once/,
);
for my $options (sort keys %bad) {
    my $before = length $p->log_text;
    like($reload->("host all all all ldap $options"), qr/RELOAD failed/, "RELOAD is refused: ldap $options");
    like(substr($p->log_text, $before), qr/hba\.conf:2: .*(?:$bad{$options})/, 'the log tells why');
}
is($login->('alice'), $ok->('alice'), 'the rules in force are kept');
unlike($p->log_text, qr/reading/, 'no password of a reader in the log');
# options in one place for all rules; certificates of others
$p->{set}{auth_ldap_options} = qq(ldapserver=127.0.0.1 ldapport=$port ldaptls=1 ldapbasedn="dc=example" $reader);
$p->write;
is($reload->('host all all all ldap'), 'fine', "auth_ldap_options for rules without");
is($login->('dora'), $ok->('dora'), 'serve rules without options');
is((grep { $_->{key} eq 'auth_ldap_options' } @{ $p->console('SHOW CONFIG') })[0]{value}, '***', 'SHOW CONFIG does not show them');
$p->stop; $p->{expect_exit} = 1;
$p = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { bhadmin => 'bhadmin' }, set => { auth_type => 'hba', auth_hba_file => $hba, auth_ldap_options => qq(ldapserver=127.0.0.1 ldapport=$port ldaptls=1 ldapbasedn="dc=example" $reader) }, env => { LDAPTLS_CACERT => $other->ca });
is($login->('dora'), $no, 'a directory with a certificate of others gets no password');
ok($p->wait_log(qr/LDAP: StartTLS failed/), 'the log says so');
$p->stop; $p->{expect_exit} = 1;
# At start.
my $q = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, set => { auth_type => 'ldap' }, start => 0, expect_exit => 256);
ok(!$q->start(may_fail => 1), 'no start without options');
ok($q->wait_log(qr/auth_type=ldap needs auth_ldap_options/), 'the log says what is missing');
finish();
