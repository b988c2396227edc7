#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Names of servers, asked of a name server of the test's own: resolv_conf, dns_max_ttl, dns_nxdomain_ttl, a changed answer that retires
# servers, dns_zone_check_period, several addresses, names in a list of hosts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Socket::INET;

need_ours();
# Zone file: "name address address ..."; the log has a line for each question of type A.
my ($zone, $asked) = map { work_dir() . "/$_" } qw(zone asked);
my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "udp: $!";
my $port = $udp->sockport;
spew($asked, '');
my $dns = fork // die;
if (!$dns) {
    alarm 900;
    while (defined $udp->recv(my $m, 512)) {
        my ($id) = unpack 'n', $m;
        my ($at, @labels) = (12);
        while (my $n = unpack 'C', substr $m, $at, 1) { push @labels, substr $m, $at + 1, $n; $at += $n + 1 }
        my $name = lc join '.', @labels;
        my $type = unpack 'n', substr $m, $at + 1, 2;
        my $question = substr $m, 12, $at + 5 - 12;
        my %z = map { my ($k, @v) = split; ($k => \@v) } split /\n/, slurp($zone);
        my @a = $type == 1 ? @{ $z{$name} // [] } : ();
        if ($type == 1) { open my $f, '>>', $asked; print $f "$name\n" }
        my $answer = join '', map { pack('nnnNn', 0xc00c, 1, 1, 300, 4) . inet_aton($_) } @a;
        $udp->send(pack('nnnnnn', $id, $z{$name} ? 0x8180 : 0x8183, 1, scalar @a, 0, 0) . $question . $answer);
    }
    POSIX::_exit(0);
}
use Socket qw(inet_aton);
sub asked { my ($name) = @_; return scalar(() = slurp($asked) =~ /^\Q$name\E$/mg) }
sub zone { rename spew("$zone.new", join '', map { "$_\n" } @_), $zone or die "$zone: $!\n" } # the server never reads a half

# One server, which listens on three addresses.
my $pg = pg(conf => { listen_addresses => '127.0.0.1,127.0.0.21,127.0.0.22' }, hba => ['host all all 127.0.0.0/8 trust']);
my $resolv = work_dir() . '/resolv.conf';
spew($resolv, "nameserver 127.0.0.1:$port\noptions timeout:20 attempts:2\n");
zone('db1.test 127.0.0.21', 'two.test 127.0.0.99 127.0.0.22', 'other.test 127.0.0.22');
my $to = 'port=' . $pg->port . ' dbname=postgres';
my $p = proxy(databases => { one => "host=db1.test $to", two => "host=two.test $to", gone => "host=gone.test $to", list => "host=gone.test,other.test $to load_balance_hosts=disable" },
    set => { resolv_conf => $resolv, dns_max_ttl => 1000, dns_nxdomain_ttl => 0.2, pool_mode => 'session', worker_threads => 1, server_login_retry => 0.1, server_check_query => '' });
my $addr = 'SELECT inet_server_addr()';
is($p->connect('one')->value($addr), '127.0.0.21', 'resolv_conf: the name server is asked');
is(asked('db1.test'), 1, 'once');
my @c = map { $p->connect('one') } 1 .. 3;
$_->value('SELECT 1') for @c;
is(asked('db1.test'), 1, 'dns_max_ttl: the answer is kept for further servers, whatever its own time to live');
is($p->connect('two')->value($addr), '127.0.0.22', 'several addresses: on to the next one');
is($p->connect('list')->value($addr), '127.0.0.22', 'a name that does not exist in a list of hosts: on to the next host');
my $lists = { map { $_->{list} => $_->{items} } @{ $p->console('SHOW LISTS') } };
cmp_ok($lists->{dns_names}, '>=', 3, 'SHOW LISTS counts the names');
# dns_nxdomain_ttl.
my $e = eval { my $x = $p->connect('gone', undef, no_die => 1); $x->{error} // $x->query('SELECT 1')->{error} };
like($e->{M} // $@, qr/server DNS lookup failed: gone\.test/, 'a name that does not exist');
zone('db1.test 127.0.0.21', 'two.test 127.0.0.22', 'other.test 127.0.0.22', 'gone.test 127.0.0.1');
ok(wait_for(sub { eval { $p->connect('gone')->value($addr) eq '127.0.0.1' } }, 10), 'dns_nxdomain_ttl: it is looked up again when there is one');
$p->console('SET dns_nxdomain_ttl = 1000');
# A changed answer retires servers: seen by a look-up for a new server after dns_max_ttl.
zone('db1.test 127.0.0.22', 'two.test 127.0.0.22', 'other.test 127.0.0.22', 'gone.test 127.0.0.1');
my $more = $p->connect('one');
is($more->value($addr), '127.0.0.21', 'a changed zone: as long as the answer is kept, nothing changes');
$p->console('SET dns_max_ttl = 0.1');
$p->console('RECONNECT two');
$p->stop;
unlink $p->{log};
$p->{set}{dns_max_ttl} = 0.1;
$p->write;
zone('db1.test 127.0.0.21', 'two.test 127.0.0.22', 'other.test 127.0.0.22', 'gone.test 127.0.0.1');
$p->start;
@c = map { $p->connect('one') } 1 .. 3;
is(join(' ', map { $_->value($addr) } @c), join(' ', ('127.0.0.21') x 3), 'three servers at the old address');
$c[2]->close;
zone('db1.test 127.0.0.22', 'two.test 127.0.0.22', 'other.test 127.0.0.22', 'gone.test 127.0.0.1');
sleep 0.3;
my @d = map { $p->connect('one') } 1 .. 2;
$_->query('SELECT 1') for @d;
ok(wait_for(sub { eval { $p->connect('one')->value($addr) eq '127.0.0.22' } }, 10), 'dns_max_ttl over: new servers go to the new address');
ok($p->wait_log(qr/the name db1\.test has another address now/), 'the old ones are retired');
is($c[0]->value($addr), '127.0.0.21', 'but not while a client has them');
$_->close for @c[0, 1], @d;
ok(wait_for(sub { !grep { $_->{database} eq 'one' && $_->{addr} eq '127.0.0.21' } @{ $p->console('SHOW SERVERS') } }, 10), 'then they are closed');
ok($p->wait_log(qr/one\/postgres\@db1\.test:\d+ closing because: obsolete connection/), 'as obsolete');
# An answer that has the old address too retires nothing.
my $keep = $p->connect('one');
my $pid = $keep->value('SELECT pg_backend_pid()');
$keep->close;
zone('db1.test 127.0.0.21 127.0.0.22', 'two.test 127.0.0.22', 'other.test 127.0.0.22');
$p->console('SET dns_zone_check_period = 0.2');
my $n = asked('db1.test');
ok(wait_for(sub { asked('db1.test') >= $n + 2 }, 10), 'dns_zone_check_period: names of connected servers are looked up without a new server');
ok((grep { $_->{database} eq 'one' && $_->{remote_pid} == $pid } @{ $p->console('SHOW SERVERS') }), 'an address more: the server stays');
my $again = $p->connect('one');
$again->query('SELECT 1');
# One that lacks it does, with nobody connecting.
zone('db1.test 127.0.0.21', 'two.test 127.0.0.22', 'other.test 127.0.0.22');
$again->close;
ok(wait_for(sub { !grep { $_->{database} eq 'one' } @{ $p->console('SHOW SERVERS') } }, 10), 'and a changed one retires idle servers');
is($p->connect('one')->value($addr), '127.0.0.21', 'the next client goes to the new address');
# The name server is silent: servers stay, and new ones use no stale answer for ever but say what is wrong.
my $busy = $p->connect('one');
$busy->value('SELECT 1');
kill 'KILL', $dns;
waitpid $dns, 0;
close $udp;
sleep 0.6;
is($busy->value('SELECT 2'), 2, 'a name server that is silent closes nothing');
finish();
