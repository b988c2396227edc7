#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The console: every SHOW with its columns, commands, rights, and that it answers when all pools are full.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=1', other => 'dbname=postgres' }, set => { max_client_conn => 20, query_wait_timeout => 100 });
my $c = $p->connect('test');
$c->query('SELECT 1');
my $cols = sub { my ($what) = @_; my $r = $p->console("SHOW $what", raw => 1, no_die => 1); return $r->{error} ? "error $r->{error}{M}" : join ' ', map { $_->{name} } @{ $r->{results}[0]{cols} } };
my %exact = (
    CLIENTS => 'type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id',
    SERVERS => 'type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id',
    POOLS => 'database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts',
    DATABASES => 'name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode load_balance_hosts max_connections current_connections max_client_connections current_client_connections paused disabled',
    USERS => 'name pool_size reserve_pool_size pool_mode max_user_connections current_connections max_user_client_connections current_client_connections',
    STATS => 'database ' . join(' ', map { "total_$_" } qw(server_assignment_count xact_count query_count received sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count))
        . ' ' . join(' ', map { "avg_$_" } qw(server_assignment_count xact_count query_count recv sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count)),
    LISTS => 'list items', CONFIG => 'key value default changeable', STATE => 'key value', VERSION => 'version',
);
if (ours()) {
    for my $t (sort keys %exact) { like($cols->($t), qr/^\Q$exact{$t}\E(?: |$)/, "SHOW $t: PgBouncer's columns first") }
    my @lists = map { $_->{list} } @{ $p->console('SHOW LISTS') };
    is(join(' ', @lists[0 .. 13]), 'databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones dns_queries dns_pending', 'SHOW LISTS: its rows');
    my %cfg = map { $_->{key} => $_ } @{ $p->console('SHOW CONFIG') };
    is($cfg{max_client_conn}{value}, 20, 'SHOW CONFIG: a value');
    is($cfg{max_client_conn}{default}, 100, 'SHOW CONFIG: its default');
    is($cfg{listen_port}{changeable}, 'no', 'SHOW CONFIG: changeable');
    is($p->console('SHOW STATE')->[0]{key}, 'active', 'SHOW STATE');
    my $h = $p->console('SHOW HELP', raw => 1);
    like(join('', map { ($_->{M} // '') . ($_->{D} // '') } @{ $h->{notices} }), qr/Console usage.*SHOW/s, 'SHOW HELP: a notice');
    like($p->console('SHOW VERSION')->[0]{version}, qr/pgbulkhead/i, 'SHOW VERSION');
    is(scalar @{ $p->console('SHOW POOLS', dbname => 'pgbulkhead') }, scalar @{ $p->console('SHOW POOLS') }, 'database pgbulkhead is the console as well');
} else {
    ok($cols->($_) =~ /^\w+/, "SHOW $_") for qw(CLIENTS POOLS DATABASES STATS LISTS CONFIG VERSION);
}
my $pool = $p->pool('test');
is("$pool->{cl_active} $pool->{sv_idle} $pool->{pool_mode}", '1 1 transaction', 'SHOW POOLS counts');
my ($cl) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW CLIENTS') };
is($cl->{user}, 'postgres', 'SHOW CLIENTS');
my ($sv) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW SERVERS') };
is($sv->{state}, 'idle', 'SHOW SERVERS');
is($sv->{remote_pid}, $c->value('SELECT pg_backend_pid()'), 'SHOW SERVERS: remote_pid');
my ($stats) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS') };
my $q0 = $stats->{total_query_count};
$c->query('SELECT 1') for 1 .. 10;
($stats) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS') };
is($stats->{total_query_count} - $q0, 10, 'SHOW STATS counts queries exactly');
is($stats->{total_xact_count}, $stats->{total_query_count}, 'and transactions');
cmp_ok($stats->{total_received}, '>', 100, 'and bytes');
# Manners of the console.
my $con = $p->connect('pgbouncer', 'bhadmin');
is(scalar @{ $con->query('show pools;')->{results} }, 1, 'any case, a semicolon');
error_is($con->query('SHOW nonsense'), '08P01', qr/./, 'an unknown SHOW: 08P01') if ours();
error_is($con->query('FROBNICATE'), '08P01', qr/./, 'an unknown command: 08P01') if ours();
is(scalar @{ $con->query('SHOW VERSION')->{results} }, 1, 'the connection stays');
my $ext = $p->connect('pgbouncer', 'bhadmin');
my $e = $ext->ext('SHOW POOLS', []);
ok(ours() ? @{ $e->{results} } == 1 : $e->{error} || $e->{eof}, 'the extended protocol works, PgBouncer refuses it');
rejects($p, 'pgbouncer', 'postgres', undef, qr/not allowed|no such|denied|admin/i, 'other users do not get in');
my $st = $p->connect('pgbouncer', 'bhstats');
is(scalar @{ $st->query('SHOW POOLS')->{results} }, 1, 'stats users: SHOW');
ok($st->query('PAUSE')->{error}, 'stats users: no commands');
ok($st->query('RELOAD')->{error}, 'stats users: no RELOAD');
ok($st->query('KILL test')->{error}, 'stats users: no KILL');
is($con->query('SELECT version')->{error} // 'ok', 'ok', 'SELECT x is SHOW x') if ours();
# SET.
is($con->query("SET query_wait_timeout = '33'")->{error} // 'ok', 'ok', 'SET');
my ($qw) = grep { $_->{key} eq 'query_wait_timeout' } @{ $p->console('SHOW CONFIG') };
is($qw->{value}, 33, 'is in SHOW CONFIG');
ok($con->query('SET listen_port = 1')->{error}, 'SET of what cannot be changed is refused') if ours();
ok($con->query('SET no_such = 1')->{error}, 'SET of an unknown key is refused') if ours();
ok($con->query('SET max_client_conn = many')->{error}, 'SET of a bad value is refused') if ours();
# PAUSE and RESUME.
$con->query('PAUSE test');
$c->send_query('SELECT 21');
ok(!$c->readable(0.4), 'PAUSE db: clients wait');
is($p->connect('other')->value('SELECT 22'), 22, 'PAUSE db: other databases go on');
$con->query('RESUME test');
is(row_values($c->finish), 21, 'RESUME db: and go on');
$c->query('BEGIN');
my $admin = $p->connect('pgbouncer', 'bhadmin');
$admin->send_query('PAUSE');
ok(!$admin->readable(0.4), 'PAUSE waits for open transactions');
$c->query('COMMIT');
ok($admin->readable(60), 'and returns when they are over');
$admin->finish;
my ($state) = ours() ? grep { $_->{key} eq 'paused' } @{ $p->console('SHOW STATE') } : { value => 'yes' };
is($state->{value}, 'yes', 'SHOW STATE: paused');
$con->query('RESUME');
is($c->value('SELECT 23'), 23, 'RESUME');
# DISABLE, ENABLE.
$con->query('DISABLE test');
rejects($p, 'test', undef, undef, qr/database "test" is disabled|disabled|does not allow/, 'DISABLE: new clients are refused');
$con->query('ENABLE test');
is($p->connect('test')->value('SELECT 24'), 24, 'ENABLE');
# RECONNECT.
my $pid = $c->value('SELECT pg_backend_pid()');
$con->query('RECONNECT test');
ok(wait_for(sub { $c->value('SELECT pg_backend_pid()') != $pid }, 5), 'RECONNECT: a new server, the client stays');
# Full pools.
my $hold = $p->connect('test');
$hold->query('BEGIN');
my @full = map { my $x = eval { $p->connect('test', undef, no_die => 1) }; $x && !$x->{error} ? do { $x->send_query('SELECT 1'); $x } : () } 1 .. 25;
ok(wait_for(sub { $p->pool('test')->{cl_waiting} >= 10 }), 'all pools and client slots full');
is($p->console('SHOW POOLS')->[0]{database} ne '', 1, 'the console answers');
$_->abort for @full;
$hold->query('ROLLBACK');
ok(wait_for(sub { (grep { $_->{database} eq 'test' } @{ $p->console('SHOW CLIENTS') }) <= 3 }), 'they have left');
# KILL.
my $k = $p->connect('other');
$con->query('KILL other');
my $m = eval { $k->query('SELECT 1') };
ok(!$m || $m->{error} || $k->{eof}, 'KILL db: clients are dropped');
$con->query('RESUME other');
is($p->connect('other')->value('SELECT 25'), 25, 'RESUME after KILL');
if (ours()) {
    my ($victim) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW CLIENTS') };
    ok(!$con->query("KILL_CLIENT $victim->{id}")->{error}, 'KILL_CLIENT');
    error_is($con->query('KILL_CLIENT 999999999'), '08P01', qr/client not found/, 'KILL_CLIENT of nobody');
    error_is($con->query('PAUSE nowhere'), '08P01', qr/no such database: nowhere/, 'PAUSE of an unknown database');
}
# psql.
my ($s, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . ' user=bhadmin dbname=pgbouncer', "SHOW VERSION;\nSHOW POOLS;\nSHOW DATABASES;\n");
is($s, 0, 'psql talks to the console') or diag($err);
($s, $out) = run_cmd(argv => ['/usr/bin/psql', '-X', '-w', '-d', 'host=127.0.0.1 port=' . $p->port . ' user=bhadmin dbname=pgbouncer', '-c', 'SHUTDOWN']);
ok(wait_for(sub { !$p->alive }, 10), 'SHUTDOWN ends the process');
$p->{expect_exit} = 1;
is($p->{status} // 0, 0, 'with status 0') if ours();
is(scalar $p->complaints, 0, 'and a clean log');
finish();
