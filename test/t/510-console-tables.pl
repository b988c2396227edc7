#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Every SHOW table: PgBouncer's columns under their names, in their order, of their types, ours behind them; each value
# is one of its column's type.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my %oid = (s => 25, i => 23, q => 20, n => 1700);
my $when = qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+$/;

# s text, i int4, q int8, n numeric, t text that is a time. Behind "|" stand our own columns.
my $conn = 's: type user database replication state addr; i: port; s: local_addr; i: local_port; t: connect_time request_time; i: wait wait_us close_needed; '
    . 's: ptr link; i: remote_pid; s: tls application_name; i: prepared_statements id';
my $buffers = 'i: recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail';
my @count = qw(server_assignment_count xact_count query_count received sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count);
my @short = map { s/^received$/bytes_received/r =~ s/^sent$/bytes_sent/r } @count;
my %columns = (
    CLIENTS => "$conn | i: worker; s: tenant tenant_mode; i: pinned",
    SERVERS => "$conn | i: worker guarded pinned",
    SOCKETS => "$conn; $buffers | i: worker",
    ACTIVE_SOCKETS => "$conn; $buffers | i: worker",
    POOLS => 's: database user; i: cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle '
        . 'sv_used sv_tested sv_login maxwait maxwait_us; s: pool_mode load_balance_hosts | i: guarded pinned',
    DATABASES => 's: name host; i: port; s: database force_user; i: pool_size min_pool_size reserve_pool_size server_lifetime; s: pool_mode load_balance_hosts; '
        . 'i: max_connections current_connections max_client_connections current_client_connections paused disabled | i: reserve_pool; s: tenant_mode',
    USERS => 's: name pool_size reserve_pool_size pool_mode; i: max_user_connections current_connections max_user_client_connections current_client_connections '
        . '| s: tenant_mode',
    STATS => 's: database; n: ' . join(' ', map { "total_$_" } @count) . '; n: ' . join(' ', map { 'avg_' . s/^received$/recv/r } @count) . ' | n: total_requests',
    STATS_TOTALS => 's: database; n: ' . join(' ', @short),
    STATS_AVERAGES => 's: database; n: ' . join(' ', @short[0 .. 7], map { "avg_$_" } @short[8 .. 11]),
    TOTALS => 's: name; n: value',
    LISTS => 's: list; i: items',
    CONFIG => 's: key value default changeable',
    STATE => 's: key value',
    PEERS => 'i: peer_id; s: host; i: port pool_size',
    PEER_POOLS => 'i: peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login',
    MEM => 's: name; i: size used free memtotal',
    DNS_HOSTS => 's: hostname; q: ttl; s: addrs | i: worker',
    DNS_ZONES => 's: zonename; q: serial; i: count',
    VERSION => 's: version',
);

# Something to show everywhere: traffic, a named host, a peer, a server list.
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', named => 'host=localhost port=' . $pg->port . ' dbname=postgres', two => 'host=127.0.0.1,127.0.0.2 port=' . $pg->port . ' dbname=postgres' },
    users => { postgres => 'pool_size=7 max_user_connections=9' }, set => { peer_id => 1 }, extra => "\n[peers]\n1 = host=127.0.0.1\n2 = host=127.0.0.1 port=6433 pool_size=5\n");
my $c = $p->connect('test', undef, params => { application_name => 'shown' });
$c->query('SELECT 1');
$p->connect('named')->query('SELECT 2');
my $running = $p->connect('two');
$running->send_query('SELECT pg_sleep(60)');
my $con = $p->connect('pgbouncer', 'bhadmin');
wait_for(sub { grep { $_->[1] eq 'two' && $_->[3] == 0 && $_->[2] == 1 } map { [0, $_->{database}, $_->{sv_active}, $_->{cl_waiting}] } @{ $p->console('SHOW POOLS') } }, 10);

for my $table (sort keys %columns) {
    my (@want, %kind);
    for my $group (map { split /;/ } split /\|/, $columns{$table}) {
        my ($k, $names) = $group =~ /^\s*(\w):\s*(.*?)\s*$/ or die "bad list: $group";
        for (split ' ', $names) { push @want, "$_:" . $oid{ $k eq 't' ? 's' : $k }; $kind{$_} = $k }
    }
    my $r = $con->query("SHOW $table");
    my $cols = $r->{results}[0]{cols} // [];
    is(join(' ', map { "$_->{name}:$_->{type}" } @$cols), "@want", "SHOW $table: columns and types");
    is($r->{results}[0]{tag}, 'SHOW', "SHOW $table: the tag");
    is(scalar(grep { $_->{format} } @$cols), 0, "SHOW $table: text format");
    my @bad;
    for my $row (@{ $r->{results}[0]{rows} }) {
        for my $i (0 .. $#$cols) {
            my ($k, $v) = ($kind{ $cols->[$i]{name} }, $row->[$i]);
            next if !defined $v;
            push @bad, "$cols->[$i]{name}=$v" if $k eq 't' ? $v !~ $when : $k ne 's' && $v !~ /^-?\d+$/;
            push @bad, "$cols->[$i]{name}=$v" if $k eq 'i' && $v =~ /^-?\d+$/ && abs $v > 2**31 - 1;
        }
    }
    is("@bad", '', "SHOW $table: values of their types");
    my $empty = $table =~ /^(?:PEER_POOLS|DNS_ZONES)$/;
    ok($empty || @{ $r->{results}[0]{rows} } > 0, "SHOW $table: rows");
    my $again = $con->query("select $table ;");
    is(join(' ', map { $_->{name} } @{ $again->{results}[0]{cols} // [] }), join(' ', map { $_->{name} } @$cols), "SELECT $table is SHOW $table");
}
my $help = join '', map { $_->{D} // '' } @{ $con->query('SHOW HELP')->{notices} };
my @missing = grep { $help !~ /^\tSHOW $_$/m } keys %columns;
is("@missing", '', 'SHOW HELP: names every table');
my $h = $con->query('SHOW HELP');
is("$h->{notices}[0]{S}|$h->{notices}[0]{M}", 'NOTICE|Console usage', 'SHOW HELP: a notice');
is(scalar @{ $h->{results}[0]{rows} }, 0, 'SHOW HELP: no rows');
error_is($con->query('SHOW FDS'), '08P01', qr/^SHOW FDS is not supported: .*-R/, 'SHOW FDS says what to do instead');
error_is($p->connect('pgbouncer', 'bhstats')->query('SHOW FDS'), '08P01', qr/admin access needed/, 'SHOW FDS: administrators only');

# Names of rows.
is(join(' ', (map { $_->{list} } @{ $p->console('SHOW LISTS') })[0 .. 13]),
    'databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones dns_queries dns_pending', 'SHOW LISTS: its rows');
my @sum = qw(server_assignment_count xact_count query_count client_bytes server_bytes xact_time query_time wait_time ps_client_parse_count ps_server_parse_count ps_bind_count client_login_count);
is(join(' ', map { $_->{name} } @{ $p->console('SHOW TOTALS') }), join(' ', map({ "total_$_" } @sum), map { "avg_$_" } @sum), 'SHOW TOTALS: its rows');
is(join(' ', map { $_->{key} } @{ $p->console('SHOW STATE') }), 'active paused suspended', 'SHOW STATE: its rows');
is(join(' ', grep { /_cache$/ } map { $_->{name} } @{ $p->console('SHOW MEM') }), 'user_cache db_cache pool_cache server_cache client_cache iobuf_cache prepared_statement_cache tenant_cache',
    'SHOW MEM: its rows');
my %fixed = (client_encoding => 'UTF-8', default_transaction_isolation => 'read committed', standard_conforming_strings => 'on', datestyle => 'ISO', timezone => 'GMT');
for my $g (sort keys %fixed) {
    my $r = $con->query('show ' . uc $g);
    is("$r->{results}[0]{cols}[0]{name}=$r->{results}[0]{rows}[0][0]", "$g=$fixed{$g}", "SHOW $g");
    $r = $con->query("SET $g = 'whatever'");
    is(($r->{results}[0]{tag} // '') . ' ' . ($r->{notices}[0]{M} // ''), 'SET SET ignored', "SET $g");
}
# The version.
my ($st, $out) = run_cmd(argv => [Bulkhead::Proxy::binary(), '--version']);
is((split /\n/, $out)[0], $p->console('SHOW VERSION')->[0]{version}, 'SHOW VERSION is the first line of --version');
my ($number) = $out =~ /^\S+ (\S+)/;
is($con->{params}{server_version}, "$number/bulkhead", 'server_version');
# What they say.
my %db = map { $_->{name} => $_ } @{ $p->console('SHOW DATABASES') };
is("$db{named}{host}:$db{named}{port}/$db{named}{database}", 'localhost:' . $pg->port . '/postgres', 'SHOW DATABASES: where to');
is($db{two}{load_balance_hosts}, 'round-robin', 'SHOW DATABASES: load_balance_hosts of a list');
is($db{test}{load_balance_hosts}, undef, 'SHOW DATABASES: and of one host');
is("$db{pgbouncer}{database} $db{pgbouncer}{force_user} $db{pgbouncer}{pool_mode}", 'pgbouncer pgbouncer statement', 'SHOW DATABASES: the console itself');
my %user = map { $_->{name} => $_ } @{ $p->console('SHOW USERS') };
ok(wait_for(sub { %user = map { $_->{name} => $_ } @{ $p->console('SHOW USERS') }; $user{postgres}{current_client_connections} == 2 }), 'two clients are left');
is(join('|', map { $user{postgres}{$_} // 'NULL' } qw(pool_size reserve_pool_size pool_mode max_user_connections current_client_connections)), '7|||9|2', 'SHOW USERS: what is set and what is in use');
is($user{bhadmin}{pool_size}, '', 'SHOW USERS: empty where nothing is set');
my ($host) = @{ $p->console("SHOW DNS_HOSTS LIKE 'localhost'") };
like($host->{addrs}, qr/\b127\.0\.0\.1/, 'SHOW DNS_HOSTS: addresses');
cmp_ok($host->{ttl}, '<=', 15, 'SHOW DNS_HOSTS: seconds left');
my %list = map { $_->{list} => $_->{items} } @{ $p->console('SHOW LISTS') };
is($list{dns_names}, scalar @{ $p->console('SHOW DNS_HOSTS') }, 'SHOW LISTS: dns_names');
is("$list{databases} $list{peers} $list{used_servers}", '4 2 3', 'SHOW LISTS: databases, peers, servers');
ok(wait_for(sub { (grep { $_->{list} eq 'used_clients' } @{ $p->console('SHOW LISTS') })[0]{items} == @{ $p->console('SHOW CLIENTS') } }), 'SHOW LISTS: used_clients, the console among them');
is(join(';', map { join '|', @$_{qw(peer_id host port pool_size)} } @{ $p->console('SHOW PEERS') }), '1|127.0.0.1|6432|20;2|127.0.0.1|6433|5', 'SHOW PEERS');
finish();
