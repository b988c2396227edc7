#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# 50,000 pools, nearly all idle: nothing walks them while nothing happens (objects looked at are counted, not time), a query and RELOAD work as ever, and
# pool_idle_timeout drops them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);

need_ours();
my $n = $ENV{BH_SLOW} ? 5000 : 50_000;
my $workers = $ENV{BH_WORKERS} // 2;
my $pg = pg(conf => { max_connections => 40 });
$pg->sql('CREATE ROLE alice LOGIN');
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres pool_size=2' }, auth => { alice => '', map { ("u$_" => '') } 1 .. $n },
    set => { worker_threads => $workers, max_client_conn => 5000, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0, max_db_connections => 10 });
my $list = sub { my ($what) = @_; return (grep { $_->{list} eq $what } @{ $p->console('SHOW LISTS') })[0]{items} };
my $looks = sub {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->metrics_port, Timeout => 10) or return -1;
    print $s "GET /metrics HTTP/1.0\r\n\r\n";
    my $sum = 0;
    while (<$s>) { $sum += $1 if /^pgbulkhead_worker_deadline_looks_total\{[^}]*\} (\d+)/ }
    return $sum;
};

# A login makes its pool; while everything is paused no server is opened, and the client goes away again.
$p->console('PAUSE');
my $startup = sub { my $b = pack('N', 196608) . join('', map { "$_\0" } 'user', $_[0], 'database', 'db') . "\0"; return pack('N', 4 + length $b) . $b };
for my $from (0 .. int(($n - 1) / 500)) {
    my @s;
    for my $i ($from * 500 + 1 .. ($from + 1) * 500) {
        last if $i > $n;
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->port) or die "connect: $!\n";
        syswrite $s, $startup->("u$i");
        push @s, $s;
    }
    my $want = $from * 500 + @s;
    wait_for(sub { $list->('pools') > $want }, 30, 0.02) or diag("only " . $list->('pools') . " of $want pools");
}
ok(wait_for(sub { $list->('used_clients') <= 2 }, 30, 0.1), 'the clients have left');
is($list->('pools'), $n + 1, "$n pools, and the console's");
$p->console('RESUME');
is(scalar(grep { $_->{user} eq 'u777' } @{ $p->console('SHOW POOLS', timeout => 60) }), 1, 'SHOW POOLS has them');

# Idle: nobody is looked at.
my @idle = map { $p->connect('db', 'alice') } 1 .. 50;
row_values($_->query('SELECT 1')) for @idle;
sleep 1;
my $before = $looks->();
sleep 3;
my $after = $looks->();
cmp_ok($after - $before, '<', 50, "$n idle pools, 50 idle clients: " . ($after - $before) . ' were looked at in three seconds');
cmp_ok($before, '>', 0, 'others were before, so that is counted');
is(row_values($idle[7]->query('SELECT 42')), 42, 'a client is served');
my $rss = proc_rss_kb($p->pid);
diag("resident memory with $n pools and 50 clients: $rss kB");

# RELOAD takes all of them along, and clients are served before and after.
$p->write;
$p->console('RELOAD', timeout => 60);
is(row_values($idle[8]->query('SELECT 43')), 43, 'a client is served after RELOAD');
# Metrics are bounded.
{
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->metrics_port, Timeout => 10);
    print $s "GET /metrics HTTP/1.0\r\n\r\n";
    my $series = 0;
    while (<$s>) { $series++ if /^pgbulkhead_/ }
    cmp_ok($series, '<=', 50_100, "metrics_max_series bounds the answer: $series");
}

# pool_idle_timeout: they are forgotten, those in use stay, and come back when they are asked for.
$p->{set}{pool_idle_timeout} = 1;
$p->write;
$p->console('RELOAD', timeout => 60);
ok(wait_for(sub { $list->('pools') <= 2 }, 60, 0.3), 'pool_idle_timeout drops the empty ones') or diag($list->('pools'));
is(row_values($_->query('SELECT 44')), 44, 'the one in use stays') for @idle[0, 1];
my $log = $p->log_text;
is(scalar(() = $log =~ /cleaning up idle pool/g), $n, 'each is logged, once');
like($log, qr{db/u777: cleaning up idle pool}, 'with its name');
$_->close for @idle;
$p->console('RECONNECT');
ok(wait_for(sub { $list->('pools') == 1 }, 30, 0.3), 'the last one goes, too');
my $again = $p->connect('db', 'alice');
is(row_values($again->query('SELECT 45')), 45, 'and comes back');
finish();
