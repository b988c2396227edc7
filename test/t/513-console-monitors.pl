#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Monitors that know PgBouncer's console: Debian's prometheus-pgbouncer-exporter, check_postgres, what the Go exporter asks
# for, psql in its forms of output.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=1 reserve_pool_size=4', other => 'dbname=template1' }, set => { max_client_conn => 200, default_pool_size => 17, query_wait_timeout => 1000 });
my $a = $p->connect('test');
$a->query('BEGIN');
$a->query('SELECT 1') for 1 .. 9;
my $waiting = $p->connect('test');
$waiting->send_query('SELECT 2');
$p->connect('other')->query('SELECT 3');
wait_for(sub { $p->pool('test')->{cl_waiting} == 1 }, 10);
my @to = ('host=127.0.0.1', 'port=' . $p->port, 'dbname=pgbouncer');
my $dsn = "@to user=bhstats";

# ---- Debian's exporter ----
my $port = free_port();
my $log = work_dir() . '/exporter.log';
my $pid = spawn(argv => ['/usr/bin/prometheus-pgbouncer-exporter', '--host', '127.0.0.1', '--port', $port, '--pgbouncer-host', '127.0.0.1', '--pgbouncer-port', $p->port, '--pgbouncer-user', 'bhstats'], log => $log,
    env => { PGPASSWORD => 'bhstats' });
my $text = '';
my $up = wait_for(sub {
    my $s = eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $port, timeout => 5) } or return 0;
    $s->send_raw("GET /metrics HTTP/1.0\r\n\r\n");
    $s->wait_eof(10);
    $text = $s->{in};
    $s->abort;
    return $text =~ m{^HTTP/1\.\d 200} && $text =~ /received_bytes_total\{database="test"\} [1-9]/;
}, 40);
ok($up, 'the exporter answers') or diag(slurp($log));
stop_child($pid, 'TERM', 10);
my %m = map { /^(pgbouncer_\S+) (\S+)$/ ? ($1 => $2) : () } split /\r?\n/, $text;
cmp_ok($m{'pgbouncer_requests_total{database="test"}'} // -1, '>=', 10, 'exporter: requests of a database');
cmp_ok($m{'pgbouncer_received_bytes_total{database="test"}'} // -1, '>', 0, 'exporter: bytes received');
cmp_ok($m{'pgbouncer_query_microseconds_total{database="test"}'} // -1, '>', 0, 'exporter: time in queries');
is($m{'pgbouncer_active_clients{database="test",user="postgres"}'}, '1.0', 'exporter: active clients of a pool');
is($m{'pgbouncer_waiting_clients{database="test",user="postgres"}'}, '1.0', 'exporter: waiting ones');
is($m{'pgbouncer_pool_size{database="template1"}'}, '17.0', 'exporter: pool_size');
is($m{'pgbouncer_reserve_pool{database="postgres"}'}, '4.0', 'exporter: reserve_pool');
is($m{'pgbouncer_databases'}, '3.0', 'exporter: SHOW LISTS');
is(scalar(grep { /^pgbouncer_(?:pools|users|free_clients|used_clients|login_clients|free_servers|used_servers|dns_names|dns_zones|dns_queries|dns_pending)$/ } keys %m), 11, 'exporter: all of it');

# ---- check_postgres ----
my $check = sub {
    my ($action, @args) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/check_postgres', "--action=$action", '--host=127.0.0.1', '--port=' . $p->port, '--dbuser=bhstats', '--db=pgbouncer', @args],
        env => { PGPASSWORD => 'bhstats', HOME => work_dir() }, timeout => 40);
    return ($st, "$out$err");
};
my ($st, $out) = $check->('pgb_pool_cl_waiting', '--warning=5', '--critical=9');
like($out, qr/OK:.*\btest=1\b/s, 'check_postgres: waiting clients') or diag($out);
($st, $out) = $check->('pgb_pool_cl_waiting', '--warning=1', '--critical=9');
like($out, qr/WARNING:.*\btest=1\b/s, 'check_postgres: it warns');
($st, $out) = $check->("pgb_pool_$_", '--warning=5000', '--critical=9000'), like($out, qr/OK:.*\btest=\d/s, "check_postgres: $_")
    for qw(cl_active sv_active sv_idle sv_used sv_tested sv_login maxwait);
($st, $out) = $check->('pgbouncer_backends', '--warning=150', '--critical=190');
like($out, qr/OK:.*\d+ of 200 connections/s, 'check_postgres: connections of max_client_conn') or diag($out);
($st, $out) = $check->('pgbouncer_checksum', '--critical=0');
my ($sum) = $out =~ /([0-9a-f]{32})/;
ok($sum, 'check_postgres: a checksum of the settings') or diag($out);
($st, $out) = $check->('pgbouncer_checksum', "--critical=$sum");
like($out, qr/OK:/, 'check_postgres: it stays');
$p->console('SET server_lifetime = 99', raw => 1);
($st, $out) = $check->('pgbouncer_checksum', "--critical=$sum");
like($out, qr/CRITICAL:/, 'check_postgres: and tells a change');

# ---- what the Go exporter reads, by column name ----
my %reads = (
    'SHOW DATABASES' => [qw(name host port database force_user pool_size min_pool_size reserve_pool reserve_pool_size pool_mode max_connections current_connections max_client_connections current_client_connections paused disabled)],
    'SHOW STATS' => [qw(database total_query_count total_query_time total_received total_requests total_sent total_wait_time total_xact_count total_xact_time total_client_parse_count total_server_parse_count total_bind_count avg_query_count avg_query_time avg_wait_time)],
    'SHOW POOLS' => [qw(database user cl_active cl_active_cancel_req cl_waiting_cancel_req cl_waiting sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode)],
    'SHOW CLIENTS' => [qw(type user database state addr wait wait_us close_needed)], 'SHOW SERVERS' => [qw(type user database state addr wait wait_us close_needed)],
    'SHOW LISTS' => [qw(list items)], 'SHOW CONFIG' => [qw(key value default changeable)], 'SHOW VERSION' => ['version'],
);
for my $q (sort keys %reads) {
    my $r = $p->console($q, user => 'bhstats', raw => 1);
    my %has = map { $_->{name} => 1 } @{ $r->{results}[0]{cols} };
    is(join(' ', grep { !$has{$_} } @{ $reads{$q} }), '', "$q has what exporters read");
}

# ---- psql ----
my $psql = sub {
    my ($s, $o, $e) = run_cmd(argv => ['/usr/bin/psql', '-X', '-w', '-d', "@to user=bhstats password=bhstats", @_], timeout => 20, env => { HOME => work_dir(), PAGER => 'false' });
    return $s ? "status $s: $e" : $o;
};
like($psql->('-c', 'SHOW POOLS'), qr/^ database +\| +user .*\n-+\+.*\n(?: .*\n)+\(3 rows\)\n/, 'psql -c: a table');
like($psql->('-At', '-c', 'SHOW VERSION'), qr/^PgBulkhead \S+\n\z/, 'psql -At: bare');
like($psql->('-AtF,', '-c', "SHOW LISTS"), qr/^databases,3$/m, 'psql -AtF,: values with a comma between');
my $other = $p->connect('other');
like($psql->('-x', '-c', "SHOW CLIENTS LIKE 'other'"), qr/^-\[ RECORD 1 \]-.*\ntype +\| C\nuser +\| postgres\ndatabase +\| other\n/, 'psql -x: records');
like($psql->('--csv', '-c', 'SHOW STATE'), qr/^key,value\nactive,yes\npaused,no\nsuspended,no\n\z/, 'psql --csv');
like($psql->('-H', '-c', 'SHOW STATE'), qr{<td align="left">paused</td>}, 'psql -H');
like($psql->('-c', 'SHOW STATE', '-c', 'SHOW VERSION'), qr/suspended.*PgBulkhead/s, 'psql: several commands');
my ($s, $o, $e) = psql("@to user=bhstats password=bhstats", "\\timing on\n\\x auto\nSHOW HELP;\nSHOW POOLS \\gx\nSHOW CONFIG \\g (format=unaligned)\nNONSENSE;\nSHOW VERSION;\n", args => ['-v', 'VERBOSITY=verbose']);
is($s, 0, 'psql: a script') or diag($e);
like($e, qr/NOTICE: +00000: Console usage\nDETAIL:/, 'psql: SHOW HELP');
like($e, qr/ERROR: +08P01: invalid command 'NONSENSE;', use SHOW HELP;/, 'psql: an error, and it goes on');
like($o, qr/PgBulkhead/, 'psql: after it');
($s, $o, $e) = psql("@to user=bhstats password=bhstats", "\\d\n\\l\nSHOW VERSION;\n");
like($o, qr/PgBulkhead/, 'psql: \\d and \\l fail, the session stays');
$a->query('ROLLBACK');
is(row_values($waiting->finish), 2, 'the waiting client goes on');
finish();
