#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# auth_type=hba: which line decides, by socket, TLS, address, database and user; how lines are written; a line that cannot be read
# refuses the start and, at RELOAD, keeps the rules that were in force.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Util qw(spew slurp run_cmd work_dir);

need_ours();
my $pg = pg();
$pg->sql("CREATE ROLE $_ LOGIN PASSWORD 'pw'") for 'alice', 'bob', 'carol', 'dora', 'zoe', '"ev,e"', '"al""l"';
my @users = ('alice', 'bob', 'carol', 'dora', 'ev,e', 'al"l', 'zoe');
my $ca = Bulkhead::TLS->new;
my ($skey, $scert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $sock = work_dir() . '/sock';
mkdir $sock; chmod 0777, $sock;
my $hba = work_dir() . '/hba.conf';
my $write = sub { spew($hba, @_); chmod 0644, $hba };
$write->("host all all 127.0.0.1/32 md5\n");
my $p = proxy(pg => $pg, databases => { map { ($_ => 'dbname=postgres') } 'db', 'other', 'alice', '"o dd"' }, auth => { (map { ($_ => 'pw') } @users), bhadmin => 'bhadmin' },
    set => { auth_type => 'hba', auth_hba_file => $hba, unix_socket_dir => $sock, client_tls_sslmode => 'allow', client_tls_key_file => $skey, client_tls_cert_file => $scert });
# rules => what a login is asked for: an authentication code, or why not
my $code = sub {
    my ($db, $user, %o) = @_;
    my $host = $o{unix} ? $sock : $o{tls} ? 'localhost' : '127.0.0.1';
    my $c = eval { Bulkhead::Wire->login(host => $host, port => $p->port, user => $user, dbname => $db, password => $o{pw} // 'pw', no_die => 1, timeout => 10, $o{tls} ? (tls => { ca => $ca->ca }) : ()) } or return "dead: $@";
    return $c->{error}{C} . ' ' . $c->{error}{M} if $c->{error};
    return join ',', @{ $c->{auth} };
};
my $reload = sub {
    my ($text) = @_;
    $write->("host pgbouncer bhadmin 127.0.0.1/32 plain\n$text");
    my $r = $p->console('RELOAD', raw => 1, no_die => 1);
    return $r->{error} ? "$r->{error}{C} $r->{error}{M}" : 'fine';
};
my $no = '28000 login rejected';
is($code->('db', 'alice'), '5,0', 'a line with md5');
is($code->('db', 'alice', pw => 'x'), '28P01 password authentication failed', 'a wrong password there');
is($code->('db', 'nobody'), '28P01 password authentication failed', 'an unknown user there goes through the exchange');
is($code->('db', 'alice', unix => 1), $no, 'no line for Unix sockets');
ok($p->wait_log(qr/no line of auth_hba_file is for this login/), 'the log says why');

# [rules, db, user, options, expected, name]
my @cases = (
    ["host db alice 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust", ['db', 'alice', $no, 'reject'], ['db', 'bob', '0', 'the line behind it'], ['other', 'alice', '0', 'another database']],
    ["host db alice 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 reject", ['db', 'alice', '0', 'the first that holds'], ['db', 'bob', $no, 'then the next']],
    ["local all alice trust\nlocal all all scram-sha-256\nhostssl all all all plain\nhostnossl all all all md5", ['db', 'alice', '0', 'local', unix => 1], ['db', 'bob', '10,11,12,0', 'local, scram', unix => 1], ['db', 'alice', '3,0', 'hostssl', tls => 1], ['db', 'alice', '5,0', 'hostnossl']],
    ["hostssl all all all trust", ['db', 'alice', $no, 'hostssl without TLS'], ['db', 'alice', '0', 'hostssl', tls => 1]],
    ["hostnossl all all all trust", ['db', 'alice', $no, 'hostnossl with TLS', tls => 1]],
    ["host all all 127.0.0.0 255.0.0.0 trust", ['db', 'alice', '0', 'a mask in a field of its own']],
    ["host all all 126.0.0.0/8 trust\nhost all all 127.0.0.0/9 md5", ['db', 'alice', '5,0', 'length of a mask']],
    ["host all all 0.0.0.0/0 trust", ['db', 'alice', '0', 'a mask of no bits']],
    ["host all all ::/0 trust", ['db', 'alice', $no, 'IPv6 is not IPv4']],
    ["host all all ::1/128 reject\nhost all all ::ffff:127.0.0.1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff trust\nhost all all samehost plain", ['db', 'alice', '3,0', 'samehost']],
    ["host all all samenet trust", ['db', 'alice', '0', 'samenet']],
    ["host db,other alice,bob all trust", ['db', 'bob', '0', 'lists'], ['other', 'alice', '0', 'lists'], ['alice', 'alice', $no, 'not in the list'], ['db', 'carol', $no, 'not in the list']],
    ["host db, other\talice,\tbob all trust", ['other', 'bob', '0', 'blanks behind commas']],
    ["host sameuser all all trust\nhost all all all md5", ['alice', 'alice', '0', 'sameuser'], ['alice', 'bob', '5,0', 'not the same user']],
    ["host replication all all trust", ['db', 'alice', $no, 'replication is no database'], ['replication', 'alice', $no, 'not even of that name']],
    ["host \"all\" all all trust", ['db', 'alice', $no, 'all in quotes is a name']],
    ["host \"o dd\" \"ev,e\",\"al\"\"l\" all trust", ['o dd', 'ev,e', '0', 'quotes: comma'], ['o dd', 'al"l', '0', 'quotes: a quote'], ['o dd', 'alice', $no, 'quotes: others']],
    ["# a comment\n\n   host all all all trust # another one\n", ['db', 'alice', '0', 'comments']],
    ["host all \\\n  alice all \\\n trust", ['db', 'alice', '0', 'a line that goes on'], ['db', 'bob', $no, 'a line that goes on']],
    ["host all /^a.*e\$ all trust", ['db', 'alice', '0', 'a pattern'], ['db', 'bob', $no, 'a pattern']],
    ["host /^(db|x)\$ all all trust", ['db', 'alice', '0', 'a pattern of databases'], ['other', 'alice', $no, 'a pattern of databases']],
    ["host all ALICE all trust", ['db', 'alice', $no, 'case counts']],
    ["host all all all password", ['db', 'alice', '3,0', 'password is plain']],
    ["hostgssenc all all all trust", ['db', 'alice', $no, 'GSS encryption is never there']],
    ["hostnogssenc all all all trust", ['db', 'alice', '0', 'so its absence is']],
    ["host all \@names all trust", ['db', 'zoe', '0', 'a file of names'], ['db', 'carol', '0', 'a file that names a file'], ['db', 'alice', $no, 'names that are not in it']],
    ["\xef\xbb\xbfhost all all all trust\r\n", ['db', 'alice', '0', 'marks of Windows']],
);
spew(work_dir() . '/names', "# who\nzoe, bob\n\@more\n"); spew(work_dir() . '/more', "\"carol\" dora\n");
chmod 0644, work_dir() . '/names', work_dir() . '/more';
for my $c (@cases) {
    my ($rules, @logins) = @$c;
    $rules =~ s/^\xef\xbb\xbf(.*)/$1/s; # the mark stands at the beginning of the file
    is($reload->("$rules\n"), 'fine', "can be read: " . $rules =~ s/\s+/ /gr);
    for (@logins) { my ($db, $user, $want, $name, %o) = @$_; is($code->($db, $user, %o), $want, $name) }
}
# The console has two names; a rule about one of them is about the other too.
for my $rule ('pgbouncer', 'pgbulkhead', '/^pgbouncer', 'postgres,pgbouncer') {
    is($reload->("host $rule all all reject\nhost all all all trust\n"), 'fine', "nobody on $rule");
    is($code->($_, 'alice'), $no, "$_ is closed by it") for 'pgbouncer', 'pgbulkhead';
    is($code->('db', 'alice'), '0', 'others are not');
}
is($reload->("host sameuser all all reject\nhost all all all trust\n"), 'fine', 'sameuser');
is($code->('pgbulkhead', 'alice'), '28000 not allowed', 'another user on the console goes on to its own rules');
# What cannot be read leaves everything as it was.
is($reload->("host all all all trust\n"), 'fine', 'rules to be kept');
my %bad = (
    'host all all all' => qr/the method is missing/, 'host all all' => qr/the address is missing/, 'host all' => qr/expected: type/, 'hostel all all all trust' => qr/none of local/,
    'host all all all trusty' => qr/method "trusty" is not supported/, 'host all all all gss' => qr/not supported/, 'host all all all any' => qr/not supported/, 'host all all all md5,trust' => qr/not supported/,
    'host all all 1.2.3/24 trust' => qr/no IP address/, 'host all all 1.2.3.4/33 trust' => qr/length of a mask/, 'host all all 1.2.3.4/-1 trust' => qr/length of a mask/, 'host all all ::1/129 trust' => qr/length of a mask/,
    'host all all 1.2.3.4 trust' => qr/no mask/, 'host all all 1.2.3.4 ffff:: trust' => qr/no mask/, 'host all all example.org trust' => qr/names of hosts/, 'host all all .example.org trust' => qr/names of hosts/,
    'host all all 1.2.3.4/32,5.6.7.8/32 trust' => qr/one line for each/, 'host all +group all trust' => qr/member of a role/, 'host samerole all all trust' => qr/member of a role/,
    'host samegroup all all trust' => qr/member of a role/, 'host all ,alice all trust' => qr/comma/, 'host all alice, ' => qr/ends with a comma/, 'host all "alice all trust' => qr/quote is not closed/,
    'host all "" all trust' => qr/empty name/, 'host all @nowhere all trust' => qr/cannot read/, 'host all all all peer' => qr/Unix sockets/, 'local all all cert' => qr/TLS/, 'hostnossl all all all cert' => qr/TLS/,
    'host all all all trust why=not' => qr/option "why" is not supported/, 'host all all all md5 map=x' => qr/not supported/, 'local all all peer map=x' => qr/map "x" is not in auth_ident_file/,
    'host all all all trust extra' => qr/name=value/, 'hostssl all all all md5 clientcert=1' => qr/clientcert=1 is not possible/, 'host all all all md5 clientcert=verify-ca' => qr/needs hostssl/,
    'host all /( all trust' => qr/pattern/, 'host all /\\d all trust' => qr/backslash/, 'host all /(?i)x all trust' => qr/not supported/, 'host all /a*? all trust' => qr/quantifiers/, 'host all /a{900}{900} all trust' => qr/quantifiers|repetitions/,
    'host all /(a{900}){900} all trust' => qr/repetitions/, "host all a\0b all trust" => qr/zero byte/,
);
for my $line (sort keys %bad) {
    my $before = length $p->log_text;
    is($reload->("host all all all reject\n$line\n"), 'F0000 RELOAD failed, see logs for additional details', 'RELOAD is refused: ' . $line =~ s/\0/?/r);
    like(substr($p->log_text, $before), qr/hba\.conf:3: .*(?:$bad{$line})/, 'the log tells the line');
    is($code->('db', 'alice'), '0', 'the rules in force are kept');
}
spew(work_dir() . '/loop', "\@loop\n"); chmod 0644, work_dir() . '/loop';
like($reload->("host all \@loop all trust\n"), qr/^F0000/, 'a file that names itself');
unlink $hba;
like($p->console('RELOAD', raw => 1, no_die => 1)->{error}{M}, qr/RELOAD failed/, 'a file that is gone');
is($code->('db', 'alice'), '0', 'the rules in force are kept');
is($reload->("host all all all trust\n"), 'fine', 'and back');
$p->stop; $p->{expect_exit} = 1;
# At start.
$write->("host all all all trust\nhost all all all truts\n");
my $q = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { alice => 'pw' }, set => { auth_type => 'hba', auth_hba_file => $hba }, start => 0, expect_exit => 256);
ok(!$q->start(may_fail => 1), 'no start with such a line');
ok($q->wait_log(qr/hba\.conf:2: the method "truts" is not supported/), 'the log tells the line');
$q = proxy(pg => $pg, databases => { db => 'dbname=postgres' }, auth => { alice => 'pw' }, set => { auth_type => 'hba' }, start => 0, expect_exit => 256);
ok(!$q->start(may_fail => 1), 'no start without a file');
ok($q->wait_log(qr/auth_type=hba needs auth_hba_file/), 'the log says what is missing');
finish();
