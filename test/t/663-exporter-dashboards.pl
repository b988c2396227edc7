#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# metrics_pgbouncer_names=1 under a real Prometheus: what dashboards and rules for pgbouncer_exporter ask (sums, ratios, joins over
# labels, rates, top lists) has the right answers; contrib/prometheus/pgbouncer-names.yml serves those with the names of its early versions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use Bulkhead::Prometheus;
use Bulkhead::Rules qw(top rules);

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { shop => 'dbname=postgres user=postgres pool_size=2 max_db_connections=8', crm => 'dbname=postgres user=postgres pool_size=3 reserve_pool_size=1' },
    set => { worker_threads => 2, query_wait_timeout => 3000, metrics_pgbouncer_names => 1, max_client_conn => 200, max_user_connections => 50 });
my $m = Bulkhead::Prometheus->new(targets => { pgbouncer => ['127.0.0.1:' . $p->metrics_port] }, rules => { 'pgbouncer-names.yml' => slurp(top() . '/contrib/prometheus/pgbouncer-names.yml') });
my @hold = map { my $c = $p->connect('shop'); $c->query('BEGIN'); $c } 1, 2;
my $waits = $p->connect('shop');
$waits->send_query('SELECT 1');
my $crm = $p->connect('crm');
# The value that the expression has after a while; with a code, until it is right.
sub value {
    my ($expr, $right) = @_;
    my $v;
    wait_for(sub { $crm->query('SELECT 1'); $hold[0]->query('SELECT 2'); my $r = $m->query($expr); $v = @$r == 1 ? $r->[0]{value} : @$r ? 'many' : 'none'; $right->($v) }, 60, 0.3);
    return $v;
}
sub equals { my ($expr, $want) = @_; return is(value($expr, sub { $_[0] eq $want }), $want, $expr) }
sub grows { my ($expr) = @_; my $v = value($expr, sub { $_[0] =~ /^[\d.e+-]+$/ && $_[0] > 0 }); return ok($v =~ /^[\d.e+-]+$/ && $v > 0, "$expr: $v") }
# Gauges, summed as on a front page.
equals('min(pgbouncer_up)', 1);
equals('sum(pgbouncer_pools_client_waiting_connections)', 1);
equals('sum by (database) (pgbouncer_pools_server_active_connections{database="shop"})', 2);
equals('sum(pgbouncer_pools_client_active_connections{database="shop"})', 2);
equals('max(pgbouncer_databases_pool_size{name="shop"})', 2);
equals('max(pgbouncer_databases_reserve_pool{name="crm"})', 1);
equals('sum(pgbouncer_databases_max_connections{name="shop"})', 8);
equals('pgbouncer_databases_current_connections{name="shop",database="postgres",force_user="postgres",pool_mode=""}', 2);
equals('pgbouncer_config_max_client_connections', 200);
equals('pgbouncer_config_max_user_connections', 50);
equals('sum(pgbouncer_databases_paused) + sum(pgbouncer_databases_disabled)', 0);
equals('count(pgbouncer_version_info{version!=""})', 1);
grows('max(pgbouncer_pools_client_maxwait_seconds)');
grows('pgbouncer_used_clients / pgbouncer_config_max_client_connections');
# How full a pool is: the pools' label database is the databases' label name.
equals('sum by (database) (pgbouncer_pools_server_active_connections) / on (database) group_left () label_replace(sum by (name) (pgbouncer_databases_pool_size{name="shop"}), "database", "$1", "name", "(.*)")', 1);
equals('sum(pgbouncer_databases_current_connections{name="shop"}) / sum(pgbouncer_databases_max_connections{name="shop"})', 0.25);
# Counters under both kinds of names.
for my $s ('pgbouncer_stats_totals_', 'pgbouncer_stats_') {
    grows("sum(rate(${s}queries_pooled_total[30s]))");
    grows("rate(${s}received_bytes_total{database=\"crm\"}[30s])");
    grows("rate(${s}sent_bytes_total{database=\"crm\"}[30s])");
    grows("rate(${s}sql_transactions_pooled_total{database=\"crm\"}[30s])");
    grows("1000 * increase(${s}queries_duration_seconds_total{database=\"crm\"}[30s:]) / clamp_min(increase(${s}queries_pooled_total{database=\"crm\"}[30s:]), 1)");
    grows("1000 * increase(${s}server_in_transaction_seconds_total{database=\"crm\"}[30s:]) / clamp_min(increase(${s}sql_transactions_pooled_total{database=\"crm\"}[30s:]), 1)");
    grows("topk by (instance) (1, rate(${s}queries_pooled_total[30s]))");
}
# No sample comes twice, and all that the file records is there.
my $r = $m->query('count by (__name__, database, user, name, state, application_name) ({__name__=~"pgbouncer_.*"}) > 1');
is(scalar @$r, 0, 'each series is there once');
my @empty;
wait_for(sub { @empty = grep { !@{ $m->query($_) } } map { $_->{record} } rules('contrib/prometheus/pgbouncer-names.yml'); !@empty }, 60, 0.3);
is("@empty", '', 'every recorded name has samples');
$_->query('COMMIT') for @hold;
$waits->finish;
grows('sum(rate(pgbouncer_stats_totals_client_wait_seconds_total[60s]))');
$m->stop;
$_->close for @hold, $waits, $crm;
finish();
