#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Metrics over HTTP: Prometheus text that promtool accepts, values that are right, health and readiness.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=2 catalog_user=postgres' }, set => { worker_threads => 2, probe_interval => 2 });
my $c = $p->connect('test');
$c->query('SELECT 1') for 1 .. 25;
$c->query('SELECT 1/0');
ok(wait_for(sub { defined $p->metric('pgbulkhead_backend_up') }, 20, 0.2), 'the server is probed soon');
my $r = $p->http('/metrics');
is($r->{code}, 200, '/metrics');
like($r->{head}, qr{^content-type: text/plain; version=0\.0\.4}im, 'its type');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $r->{body}, timeout => 30);
is($st, 0, 'promtool check metrics is clean') or diag("$out$err");
for my $n (qw(pgbulkhead_client_connections pgbulkhead_pool_server_connections pgbulkhead_pool_waiting_clients pgbulkhead_pool_size
    pgbulkhead_queries_total pgbulkhead_transactions_total pgbulkhead_received_bytes_total pgbulkhead_sent_bytes_total pgbulkhead_errors_total
    pgbulkhead_query_duration_seconds_bucket pgbulkhead_transaction_duration_seconds_bucket pgbulkhead_pool_wait_duration_seconds_bucket pgbulkhead_tenant_statements_total pgbulkhead_build_info
    pgbulkhead_backend_up pgbulkhead_backend_connections_max pgbulkhead_backend_connections_used)) {
    like($r->{body}, qr/^\Q$n\E[{ ]/m, "metric $n");
}
like($r->{body}, qr/pgbulkhead_query_duration_seconds_bucket\{[^}]*le="$_"/, "bucket edge $_") for '0.5', '5';
is($p->metric('pgbulkhead_queries_total', 'database="test"'), 26, 'queries are counted exactly');
is($p->metric('pgbulkhead_query_duration_seconds_count', 'database="test"'), 26, 'and timed');
cmp_ok($p->metric('pgbulkhead_errors_total', 'database="test"'), '>=', 1, 'errors are counted');
ok(wait_for(sub { ($p->metric('pgbulkhead_backend_connections_max') // 0) == 100 }, 20, 0.3), 'the probe learns max_connections');
cmp_ok($p->metric('pgbulkhead_backend_connections_used') // 0, '>=', 1, 'and the used ones');
# Buckets grow and end in the count.
my @b = map { /\} (\d+)/ ? $1 : () } grep { /^pgbulkhead_query_duration_seconds_bucket\{[^}]*database="test"/ } split /\n/, $p->http('/metrics')->{body};
is(join(',', @b), join(',', sort { $a <=> $b } @b), 'buckets are cumulative');
is($b[-1], 26, 'the last one is the count');
is($p->http('/healthz')->{code}, 200, '/healthz');
is($p->http('/readyz')->{code}, 200, '/readyz');
is($p->http('/nowhere')->{code}, 404, 'another path: 404');
isnt($p->http('/metrics', method => 'DELETE')->{code}, 200, 'another method is refused');
# Waiting clients and pauses show.
my @h = map { my $x = $p->connect('test'); $x->query('BEGIN'); $x } 1, 2;
my $w = $p->connect('test');
$w->send_query('SELECT 1');
ok(wait_for(sub { ($p->metric('pgbulkhead_pool_waiting_clients', 'database="test"') // 0) == 1 }, 5, 0.1), 'a waiting client shows');
$_->query('COMMIT') for @h;
$w->finish;
cmp_ok($p->metric('pgbulkhead_pool_wait_duration_seconds_count', 'database="test"') // 0, '>=', 1, 'and its wait is in the histogram');
# Requests that are wrong, slow or many.
my $s = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 5);
$s->send_raw("GARBAGE\r\n\r\n");
ok($s->wait_eof(8) || 1, 'garbage');
my @slow = map { my $x = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 5); $x->send_raw("GET /metr"); $x } 1 .. 30;
is($p->http('/metrics')->{code}, 200, 'served while thirty others dawdle');
$_->abort for @slow;
is($c->value('SELECT 2'), 2, 'clients do not notice');
# Not ready while the server is away.
$pg->stop('immediate');
ok(wait_for(sub { ($p->metric('pgbulkhead_backend_up') // 1) == 0 }, 30, 0.5), 'backend_up is 0 when the server is gone');
$pg->start;
ok(wait_for(sub { ($p->metric('pgbulkhead_backend_up') // 0) == 1 }, 40, 0.5), 'and 1 when it is back');
# A scrape with labels that need quoting.
$p->{databases}{'"odd \\ name"'} = 'dbname=postgres';
$p->reload;
my $odd = eval { $p->connect('odd \\ name') };
$odd->query('SELECT 1') if $odd;
($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $p->http('/metrics')->{body}, timeout => 30);
is($st, 0, 'odd database names are quoted') or diag("$out$err");
finish();
