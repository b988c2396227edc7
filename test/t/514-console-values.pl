#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What the tables say in situations that are made: states and links of clients and servers, waiting, counts of pools,
# counters and their averages, addresses, TLS, prepared statements, cancel requests under way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use IO::Socket::INET;

need_ours();
my $pg = pg();
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $dir = work_dir() . '/sock';
mkdir $dir;
chmod 0777, $dir;
# A server that accepts and says nothing, and one whose cancel requests get stuck.
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my ($relay_port, $go) = (free_port(), work_dir() . '/go');
my $relay = spawn(argv => [$^X, "$FindBin::Bin/clients/stall_cancels.pl", $relay_port, $pg->port, $go], log => work_dir() . '/relay.log');
wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $relay_port) }, 10) or die "no relay\n";
my $p = proxy(pg => $pg,
    databases => { test => 'dbname=postgres pool_size=2', sess => 'dbname=postgres pool_mode=session pool_size=2', mute => 'host=127.0.0.1 port=' . $mute->sockport . ' dbname=x',
        slow => "host=127.0.0.1 port=$relay_port dbname=postgres pool_size=1", reset => 'dbname=postgres pool_mode=session pool_size=1' },
    set => { unix_socket_dir => $dir, stats_period => 1, query_wait_timeout => 600, client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert, client_tls_ca_file => $ca->ca,
        server_check_query => "select 'checked'", cancel_wait_timeout => 600, server_reset_query => 'DISCARD ALL' });
my $one = sub { my ($what, $db, $app) = @_; my @r = grep { $_->{database} eq $db && (!defined $app || $_->{application_name} eq $app) } @{ $p->console("SHOW $what") }; return @r == 1 ? $r[0] : { n => scalar @r } };
my $client = sub { $one->('CLIENTS', @_) };
my $as = sub { my ($app, $db, %o) = @_; return $p->connect($db // 'test', undef, params => { application_name => $app }, %o) };

# ---- clients: idle, active, waiting; links ----
my $a = $as->('a');
$a->query('SELECT 1');
my $ra = $client->('test', 'a');
is("$ra->{type} $ra->{state} $ra->{user} $ra->{replication} $ra->{link} $ra->{wait} $ra->{close_needed}", 'C idle postgres none  0 0', 'an idle client: no link');
is("$ra->{addr} $ra->{local_addr}:$ra->{local_port}", '127.0.0.1 127.0.0.1:' . $p->port, 'its addresses');
is($ra->{port}, $a->{rd}->sockport, 'its port');
ok($p->wait_log(qr/C-\Q$ra->{ptr}\E: test\/postgres\@127\.0\.0\.1:$ra->{port} login attempt/), 'ptr is that of the log');
$a->query('BEGIN');
$ra = $client->('test', 'a');
my $sv = (grep { $_->{ptr} eq $ra->{link} } @{ $p->console("SHOW SERVERS LIKE 'test'") })[0];
is("$ra->{state} $sv->{type} $sv->{state}", 'active S active', 'a client with its server');
is($sv->{link}, $ra->{ptr}, 'linked to one another');
is($sv->{remote_pid}, $a->value('SELECT pg_backend_pid()'), 'remote_pid is the backend');
is($sv->{port}, $pg->port, 'the server\'s port');
is($sv->{application_name}, 'a', 'the server has the client\'s application_name');
is($ra->{wait} + $ra->{wait_us}, 0, 'between queries nobody waits');
my $b = $as->('b');
$b->send_query('SELECT pg_sleep(300)');
my $w1 = $as->('w1');
wait_for(sub { $p->pool('test')->{sv_active} == 2 }, 10);
$w1->send_query('SELECT 11');
wait_for(sub { $p->pool('test')->{cl_waiting} == 1 }, 10);
my $w2 = $as->('w2');
$w2->send_query('SELECT 12');
ok(wait_for(sub { my $r = $client->('test', 'w1'); ($r->{wait} // 0) >= 1 }, 10), 'wait grows');
my $rw = $client->('test', 'w1');
is("$rw->{state} $rw->{link}", 'waiting ', 'a waiting client');
cmp_ok($rw->{wait_us}, '<', 1_000_000, 'wait_us is the rest of the second');
cmp_ok($client->('test', 'b')->{wait}, '>=', 1, 'wait of a query that runs');
my $pool = $p->pool('test');
is(join(' ', map { "$_=$pool->{$_}" } qw(cl_active cl_waiting sv_active sv_idle sv_login)), 'cl_active=2 cl_waiting=2 sv_active=2 sv_idle=0 sv_login=0', 'SHOW POOLS');
cmp_ok($pool->{maxwait}, '>=', 1, 'maxwait: the longest');
my %lists = map { $_->{list} => $_->{items} } @{ $p->console('SHOW LISTS') };
is($lists{used_servers}, 2, 'SHOW LISTS: used_servers');
is($one->('SOCKETS', 'test', 'w1')->{state}, 'cl_waiting', 'SHOW SOCKETS: states with cl_');
is($one->('SOCKETS', 'test', 'w1')->{pkt_avail}, length("Q....SELECT 11\0"), 'the bytes that wait');
my @active = map { $_->{state} } @{ $p->console("SHOW ACTIVE_SOCKETS LIKE 'test'") };
is(join(' ', sort @active), 'cl_active cl_active cl_waiting cl_waiting sv_active sv_active', 'SHOW ACTIVE_SOCKETS');
$a->query('COMMIT');
is(row_values($w1->finish) . row_values($w2->finish), 1112, 'they go on');
ok(wait_for(sub { $p->pool('test')->{sv_idle} == 1 }, 5), 'sv_idle');
is($p->pool('test')->{maxwait}, 0, 'nobody waits');
$b->cancel;
$b->finish;
my $t1 = $client->('test', 'a');
is($t1->{request_time} ge $t1->{connect_time}, 1, 'request_time is not before connect_time');
ok(wait_for(sub { $a->query('SELECT 1'); $client->('test', 'a')->{request_time} gt $t1->{request_time} }, 5), 'request_time is that of the last request');
my %id = map { $_->{id} => 1 } @{ $p->console('SHOW CLIENTS') };
ok(wait_for(sub { my @all = map { $_->{id} } @{ $p->console('SHOW CLIENTS') }; %id = map { $_ => 1 } @all; @all == grep { $_ > 0 } keys %id }), 'each has an id');

# ---- Unix sockets, the console, TLS ----
my $u = Bulkhead::Wire->login(host => $dir, port => $p->port, user => 'postgres', dbname => 'test', params => { application_name => 'u' });
my $ru = $client->('test', 'u');
is("$ru->{addr} $ru->{port} $ru->{local_addr} $ru->{local_port} $ru->{remote_pid}", 'unix ' . $p->port . ' unix ' . $p->port . " $$", 'a Unix socket: port, and the process behind it');
my $con = Bulkhead::Wire->login(host => $dir, port => $p->port, user => 'bhadmin', password => 'bhadmin', dbname => 'pgbouncer', params => { application_name => 'boss' });
my $rc = $client->('pgbouncer', 'boss');
is("$rc->{state} $rc->{user} $rc->{remote_pid} $rc->{worker}", "active bhadmin $$ -1", 'an administrator');
my $own = '';
wait_for(sub { my ($r) = grep { $_->{database} eq 'pgbouncer' } @{ $p->console('SHOW POOLS') }; $own = "$r->{user} $r->{cl_active} $r->{pool_mode}"; $own =~ / 2 / });
is($own, 'pgbouncer 2 statement', 'the console\'s own pool');
my $tls = Bulkhead::Wire->login(host => 'localhost', port => $p->port, user => 'postgres', dbname => 'test', tls => { ca => $ca->ca }, params => { application_name => 'tls' });
like($client->('test', 'tls')->{tls}, qr{^TLSv1\.3/TLS_\w+/ECDH=\w+$}, 'tls: version, suite and curve');
is($client->('test', 'a')->{tls}, '', 'tls: empty without');

# ---- prepared statements ----
$a->cork;
$a->parse("s$_", "SELECT $_") for 1 .. 3;
$a->sync;
$a->uncork;
$a->finish;
$a->ext("SELECT 1", [], name => 's4');
is($client->('test', 'a')->{prepared_statements}, 4, 'prepared_statements of a client');
ok((grep { $_->{prepared_statements} > 0 } @{ $p->console("SHOW SERVERS LIKE 'test'") }), 'and of a server');

# ---- servers: new, tested ----
my $m = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
$m->startup(user => 'postgres', dbname => 'mute');
ok(wait_for(sub { ($p->pool('mute') // { sv_login => 0 })->{sv_login} == 1 }, 10), 'sv_login: a server that is being logged in');
is($one->('SERVERS', 'mute')->{state}, 'new', 'its state');
$m->abort;
my $knock = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
ok(wait_for(sub { my %l = map { $_->{list} => $_->{items} } @{ $p->console('SHOW LISTS') }; $l{login_clients} == 1 }, 5), 'SHOW LISTS: login_clients');
$knock->abort;
$p->console("SET server_reset_query = 'select pg_sleep(300)'", raw => 1);
my $r = $as->('r', 'reset');
my $pid = $r->value('SELECT pg_backend_pid()');
$r->close;
ok(wait_for(sub { $p->pool('reset')->{sv_tested} == 1 }, 10), 'sv_tested: a server that is being reset');
is($one->('SERVERS', 'reset')->{state}, 'tested', 'its state');
$pg->sql("SELECT pg_cancel_backend($pid)");
$p->console("SET server_reset_query = 'DISCARD ALL'", raw => 1);

# ---- session mode: one assignment for each connection ----
my $stat = sub { my ($db, $k) = @_; return (grep { $_->{database} eq $db } @{ $p->console('SHOW STATS') })[0]{$k} };
my $s = $as->('s', 'sess');
$s->query('SELECT 1') for 1 .. 5;
my $s1 = $stat->('sess', 'total_server_assignment_count');
$s->query('SELECT 1') for 1 .. 5;
is($stat->('sess', 'total_server_assignment_count'), $s1, 'session mode: queries are no assignments');
is($client->('sess', 's')->{state}, 'active', 'the client keeps its server');
is($p->pool('sess')->{pool_mode}, 'session', 'SHOW POOLS: pool_mode');

# ---- counters ----
my $before = { %{ (grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS') })[0] } };
my $c = $as->('c');
$c->query('SELECT 1') for 1 .. 7;
$c->query('BEGIN');
$c->query('SELECT 2') for 1 .. 3;
$c->query('COMMIT');
$c->ext('SELECT $1::int', [$_], name => $_ == 1 ? 'n1' : '') for 1 .. 4;
$c->query("SELECT pg_sleep(0.05), repeat('x', 10000)");
my $after = (grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS') })[0];
my $d = sub { $after->{"total_$_[0]"} - $before->{"total_$_[0]"} };
is($d->('client_login_count'), 1, 'client_login_count');
is($d->('query_count'), 7 + 5 + 4 + 1, 'query_count: BEGIN and COMMIT too');
is($d->('xact_count'), 7 + 1 + 4 + 1, 'xact_count');
is($d->('server_assignment_count'), 7 + 1 + 4 + 1, 'server_assignment_count');
is($d->('client_parse_count'), 4, 'client_parse_count');
is($d->('bind_count'), 4, 'bind_count');
cmp_ok($d->('server_parse_count'), '<=', 4, 'server_parse_count');
cmp_ok($d->('query_time'), '>=', 50_000, 'query_time in microseconds');
cmp_ok($d->('xact_time'), '>=', $d->('query_time') - 1000, 'xact_time');
cmp_ok($d->('sent'), '>', 10_000, 'sent');
cmp_ok($d->('received'), '>', 200, 'received');
is($after->{total_requests}, $after->{total_query_count}, 'total_requests');
my ($totals) = grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS_TOTALS') };
is($totals->{query_count}, $after->{total_query_count}, 'SHOW STATS_TOTALS');
my $sum = 0;
my %sum = map { $_->{name} => $_->{value} } @{ $p->console('SHOW TOTALS') };
$sum += $_->{query_count} for @{ $p->console('SHOW STATS_TOTALS') };
is($sum - $sum{total_query_count}, 1, 'SHOW TOTALS: the sum over databases, its own query among the console\'s');
my $q0 = $stat->('pgbouncer', 'total_query_count');
my $l0 = $stat->('pgbouncer', 'total_client_login_count');
is($stat->('pgbouncer', 'total_query_count') - $q0, 2, 'commands of the console count as queries');
is($stat->('pgbouncer', 'total_client_login_count') - $l0, 2, 'and its logins');
# Averages of the last whole period, here a second.
my $until = time + 60;
my $avg;
do { $c->query('SELECT 1') for 1 .. 30; $avg = (grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS_AVERAGES') })[0] } until $avg->{query_count} > 0 && $avg->{query_time} > 0 || time > $until;
cmp_ok($avg->{query_count}, '>', 0, 'averages: queries per second');
cmp_ok($avg->{query_time}, '<', 1_000_000, 'averages: the time of one query');
cmp_ok($avg->{bytes_sent}, '>', $avg->{query_count}, 'averages: bytes per second');
ok(wait_for(sub { (grep { $_->{database} eq 'test' } @{ $p->console('SHOW STATS_AVERAGES') })[0]{query_count} == 0 }, 10), 'averages: a quiet period');
ok($p->wait_log(qr/LOG stats: \d+ xacts\/s, \d+ queries\/s, .*in \d+ B\/s, out \d+ B\/s, xact \d+ us, query \d+ us, wait \d+ us/, 10), 'the log\'s line of statistics');

# ---- cancel requests under way ----
my $x = $as->('x', 'slow');
my $y = $as->('y', 'slow');
$x->send_query('SELECT pg_sleep(1.5)');
wait_for(sub { $p->pool('slow')->{sv_active} == 1 }, 10);
my $ask = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
$ask->send_raw(pack('NN', 8 + length $x->{cancel_body}, 80877102) . $x->{cancel_body});
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} == 1 }, 10), 'sv_active_cancel: on its way to the server');
is($p->pool('slow')->{cl_active_cancel_req}, 1, 'cl_active_cancel_req');
my ($cl) = grep { $_->{state} eq 'active_cancel_req' } @{ $p->console("SHOW CLIENTS LIKE 'slow'") };
is(($cl->{port} // 0) . ($cl->{user} // ''), $ask->{rd}->sockport . 'postgres', 'SHOW CLIENTS: who asked');
my ($cs) = grep { $_->{state} eq 'active_cancel' } @{ $p->console("SHOW SERVERS LIKE 'slow'") };
is($cs->{link} // '', $cl->{ptr} // 'none', 'SHOW SERVERS: what carries it, linked');
is($cl->{link} // '', $cs->{ptr} // 'none', 'and back');
is($cs->{port} // 0, $relay_port, 'to the server\'s address');
ok(!$ask->readable(0.2), 'who asked is kept until it is done');
$x->finish;
ok(wait_for(sub { $p->pool('slow')->{sv_being_canceled} == 1 }, 10), 'sv_being_canceled: the server is free but for that');
is((grep { $_->{state} eq 'being_canceled' } @{ $p->console("SHOW SERVERS LIKE 'slow'") }) + 0, 1, 'its state');
$y->send_query('SELECT 77');
ok(!$y->readable(0.3), 'nobody else gets it');
spew($go, '');
is(row_values($y->finish), 77, 'until the request is gone');
ok($ask->wait_eof(10), 'then who asked is let go');
ok(wait_for(sub { my $r = $p->pool('slow'); $r->{sv_active_cancel} + $r->{cl_active_cancel_req} == 0 }), 'nothing is under way');
stop_child($relay, 'TERM', 5);
finish();
