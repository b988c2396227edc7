#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW LATENCY: percentiles of queries, transactions and waits per database, which tell a slow server from a pool that is too small.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { quick => 'dbname=postgres pool_size=4', slow => 'dbname=postgres pool_size=4', small => 'dbname=postgres pool_size=1', '"odd ""name"' => 'dbname=postgres' },
    set => { worker_threads => $ENV{BH_WORKERS} // 2, alert_interval => 1 });
my $row = sub { my ($db, $what) = @_; my ($r) = grep { $_->{database} eq $db && $_->{what} eq $what } @{ $p->console('SHOW LATENCY') }; return $r };
my @columns = ('database', 'what', map { my $w = $_; map { "${_}_$w" } qw(count p50 p95 p99) } qw(1m 5m 15m));
my $r = $p->console('SHOW LATENCY', raw => 1);
is(join(',', map { $_->{name} } @{ $r->{results}[-1]{cols} }), join(',', @columns), 'columns');
is(scalar @{ $r->{results}[-1]{rows} }, 0, 'no database had a query yet');

# ---- exact counts, whichever worker did it ----
my @c = map { $p->connect('quick') } 1 .. 4;
for my $c (@c) { $c->query('SELECT 1') for 1 .. 50 }
ok(wait_for(sub { $row->('quick', 'query') }, 30, 0.1), 'a database with queries appears');
my $q = $row->('quick', 'query');
is(join(' ', map { $q->{"count_$_"} } qw(1m 5m 15m)), '200 200 200', 'all queries are in all windows');
is($row->('quick', 'transaction')->{count_1m}, 200, 'transactions');
ok(!(grep { my $w = $_; !($q->{"p50_$w"} > 0 && $q->{"p50_$w"} <= $q->{"p95_$w"} && $q->{"p95_$w"} <= $q->{"p99_$w"}) } qw(1m 5m 15m)), 'p50 <= p95 <= p99')
    or diag(explain($q));
$c[0]->query('SELECT 1');
is($row->('quick', 'query')->{count_1m}, 201, 'one more is seen at once, between two looks');
is(scalar(grep { $_->{database} eq 'slow' } @{ $p->console('SHOW LATENCY') }), 0, 'no row for a database without queries');

# ---- as Prometheus takes them from the same histogram ----
my (@le, %cum);
for (split /\n/, $p->http('/metrics')->{body}) {
    next unless /^pgbulkhead_query_duration_seconds_bucket\{(?=[^}]*database="quick")[^}]*le="([^"]+)"\} (\d+)/;
    push @le, $1;
    $cum{$1} = $2;
}
my $prom = sub {
    my ($q) = @_;
    my $rank = $q * $cum{'+Inf'};
    my ($from, $below) = (0, 0);
    for (@le) {
        return $from * 1000 if $_ eq '+Inf';
        return 1000 * ($from + ($_ - $from) * ($rank - $below) / ($cum{$_} - $below)) if $cum{$_} >= $rank;
        ($from, $below) = ($_, $cum{$_});
    }
};
$q = $row->('quick', 'query');
for my $k ([p50 => 0.5], [p95 => 0.95], [p99 => 0.99]) {
    ok(abs($q->{"$k->[0]_15m"} - $prom->($k->[1])) < 0.002, "$k->[0] as histogram_quantile") or diag($q->{"$k->[0]_15m"} . ' and ' . $prom->($k->[1]));
}

# ---- the server or the pool? ----
my $s = $p->connect('slow');
$s->query('SELECT pg_sleep(0.3)') for 1 .. 3;
ok(wait_for(sub { $row->('slow', 'query') }, 30, 0.1), 'the slow one appears');
cmp_ok($row->('slow', 'query')->{p50_1m}, '>=', 250, 'a slow server: queries take long');
my $h = $p->connect('small');
$h->query('BEGIN');
my @w = map { my $x = $p->connect('small'); $x->send_query('SELECT 1'); $x } 1 .. 4;
ok(wait_for(sub { $p->pool('small')->{cl_waiting} == 4 }, 30, 0.05), 'four clients wait');
sleep 0.3;
$h->query('COMMIT');
$_->finish for @w;
ok(wait_for(sub { ($row->('small', 'wait') // {})->{count_1m} // 0 }, 30, 0.1), 'its waits appear');
cmp_ok($row->('small', 'wait')->{p95_1m}, '>=', 250, 'a pool that is too small: waits take long');

# ---- names, NULL, LIKE, the extended protocol ----
my $odd = $p->connect('odd "name');
$odd->query('SELECT 1');
ok(wait_for(sub { $row->('odd "name', 'query') }, 30, 0.1), 'a name with a quote');
is(join(',', map { $_->{database} } grep { $_->{what} eq 'query' } @{ $p->console('SHOW LATENCY') }), 'odd "name,quick,slow,small', 'by name');
is(scalar @{ $p->console("SHOW LATENCY LIKE 'sl%'") }, 3, 'LIKE');
is(scalar @{ $p->console('SHOW LATENCY', user => 'bhstats') }, 12, 'for stats_users too');
$p->console('SET alert_interval = 0');
is($row->('quick', 'query')->{count_15m}, 201, 'without looks, what is known stays');
is($p->metric('pgbulkhead_history_databases'), 4, 'the gauge says how many are followed');
is($p->metric('pgbulkhead_history_databases_left_out'), 0, 'and how many are not');
finish();
