#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A scrape with 10,000 clients and 500 pools: everything is in it, and what it does for that does not grow with the clients (lines are counted, not time).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 290;
use IO::Socket::INET;

need_ours();
# Descriptors: as many as may be had, for us and for the proxy that we start.
my ($hard) = map { /^Max open files\s+\d+\s+(\d+)/ ? $1 : () } do { open my $f, '<', "/proc/$$/limits" or die $!; <$f> };
$hard //= 1 << 20;
system('/usr/bin/prlimit', '--pid', $$, '--nofile=' . ($hard < 30000 ? $hard : 30000));
my ($dbs, $users) = (50, 10);
my $all = $ENV{BH_SLOW} ? 2000 : $hard > 12000 ? 10_000 : $hard - 1500;
my $each = int($all / ($dbs * $users));
my $pg = pg(conf => { max_connections => 90 });
$pg->sql(join ';', map { "CREATE ROLE u$_ LOGIN" } 1 .. $users);
my $p = proxy(pg => $pg, databases => { map { ("db$_" => 'dbname=postgres pool_size=2 max_db_connections=1') } 1 .. $dbs }, auth => { map { ("u$_" => '') } 1 .. $users },
    set => { worker_threads => $ENV{BH_WORKERS} // 2, max_client_conn => $all + 100, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0, auth_type => 'trust' });
my $startup = sub { my ($u, $d) = @_; my $b = pack('N', 196608) . "user\0$u\0database\0$d\0\0"; return pack('N', 4 + length $b) . $b };

# The first client of each pool brings a server in, which makes room for the next pool's; the others are welcomed without one.
my (@s, $bad);
for my $round (1 .. $each) {
    for my $u (1 .. $users) {
        my @new;
        for my $d (1 .. $dbs) {
            my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->port) or die "connect: $!\n";
            syswrite $s, $startup->("u$u", "db$d");
            push @new, $s;
        }
        for my $s (@new) {
            my $in = '';
            while ($in !~ /Z\0\0\0\x05I\z/) { my $n = sysread $s, $in, 8192, length $in; if (!$n) { $bad //= $in; last } }
        }
        push @s, @new;
    }
}
is($bad, undef, scalar(@s) . ' clients of ' . $dbs * $users . ' pools');

# But for what a probe knows: on a busy machine one may come late, and old values are left out.
my $lines = sub { my ($body) = @_; return scalar(() = $body =~ /^(?!pgbulkhead_backend_)\w+(?:\{[^\n]*\})? \S+$/mg) };
my (@took, $body);
for (1 .. 5) { my $r = $p->http('/metrics'); $body = $r->{body}; push @took, $body =~ /^pgbulkhead_scrape_duration_seconds (\S+)$/m }
my ($sum, $pools) = (0, 0);
$sum += $1 while $body =~ /^pgbulkhead_client_connections\{[^}]*state="(?:idle|active|waiting)"\} (\d+)$/mg;
is($sum, scalar @s, 'all clients are in it');
$pools++ while $body =~ /^pgbulkhead_pool_size\{database="db\d+",user="u\d+",guarded="0"\} 2$/mg;
is($pools, $dbs * $users, 'all pools');
is($p->metric('pgbulkhead_metrics_series_dropped_total'), 0, 'nothing was left out');
my $many = $lines->($body);
diag(sprintf '%d clients, %d pools: %d series, %d kB, scrapes took %s s by pgbulkhead_scrape_duration_seconds', scalar @s, $pools, $many, length($body) / 1024, join ', ', @took);
cmp_ok($many, '<', 50_000, 'within the budget');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $body, timeout => 60);
is($st, 0, 'promtool check metrics is clean') or diag("$out$err");

# Nine of ten clients go: as many series, because none is a client's.
close $_ for splice @s, 0, int(@s * 9 / 10);
my $left = @s;
ok(wait_for(sub { ($p->metric('pgbulkhead_worker_connections') // 0) <= $left + 5 }, 60, 0.5), 'nine of ten clients have left');
wait_for(sub { $body = $p->http('/metrics')->{body}; $lines->($body) == $many }, 20, 0.3);
is($lines->($body), $many, 'a tenth of the clients is as many series');
diag('then ' . ($body =~ /^(pgbulkhead_scrape_duration_seconds \S+)$/m)[0]);
finish();
