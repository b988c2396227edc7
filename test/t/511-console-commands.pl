#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The console's commands: tags, texts, SQLSTATEs, who may, what they wait for, and what takes them back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg();
my $dir = work_dir() . '/sock';
mkdir $dir;
chmod 0777, $dir;
my %o = (pg => $pg, databases => { test => 'dbname=postgres pool_size=2', other => 'dbname=postgres' }, set => { unix_socket_dir => $dir, query_wait_timeout => 60 });
my $p = proxy(%o);
my $con = $p->connect('pgbouncer', 'bhadmin');
my $tag = sub { my ($sql) = @_; my $r = $con->query($sql); return $r->{error} ? "$r->{error}{S} $r->{error}{C} $r->{error}{M}" : $r->{results}[-1]{tag} // 'none' };
my $shown = sub { my ($k) = @_; return $p->console("SHOW CONFIG LIKE '$k'")->[0]{value} };
my $db = sub { my ($k, $d) = @_; return $p->console("SHOW DATABASES LIKE '" . ($d // 'test') . "'")->[0]{$k} };

# ---- SET ----
for my $t (['SET query_wait_timeout=31', 31], ['set Query_Wait_Timeout = 32 ;', undef], ["SET query_wait_timeout = '33'", 33], ['SET query_wait_timeout TO 34', 34], ["set query_wait_timeout to '35';", 35],
    ["SET server_reset_query = 'SELECT ''a'''", "SELECT 'a'", 'server_reset_query'], ['SET server_reset_query = DISCARD ALL;', 'DISCARD ALL', 'server_reset_query']) {
    my ($sql, $want, $key) = @$t;
    next unless defined $want;
    $key //= 'query_wait_timeout';
    is($tag->($sql), "SET $key=$want", "$sql: the tag");
    is($shown->($key), $want, "$sql: in force");
}
like($tag->('SET no_such_key = 1'), qr/^ERROR 08P01 SET failed/, 'SET of an unknown key');
like($tag->('SET max_client_conn = many'), qr/^ERROR 08P01 SET failed/, 'SET of a bad value');
like($tag->('SET max_client_conn'), qr/^ERROR 08P01 /, 'SET of nothing');
is($tag->("SET application_name = 'x'"), 'SET', 'SET of what drivers set');
is($con->query('SET datestyle = iso')->{notices}[0]{M}, 'SET ignored', 'SET of a fixed value: a notice');

# ---- words ----
is($tag->('rElOaD'), 'RELOAD', 'any case');
is($tag->('  reload ; '), 'RELOAD', 'blanks and a semicolon');
is($tag->("/* now */ RELOAD -- please"), 'RELOAD', 'comments');
is($tag->('NONSENSE'), "ERROR 08P01 invalid command 'NONSENSE', use SHOW HELP;", 'an unknown command');
is($tag->('SHOW NONSENSE'), "ERROR 08P01 invalid command 'SHOW NONSENSE', use SHOW HELP;", 'an unknown table');
is($tag->('SELECT 1'), "ERROR 08P01 invalid command 'SELECT 1', use SHOW HELP;", 'a statement');
my $long = 'SELECT c.relname AS "Name", c.relkind FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) \'^(x)$\' ORDER BY 1, 2;';
is($tag->($long), "ERROR 08P01 invalid command '$long', use SHOW HELP;", 'a long one, as of \d in psql: what PgBouncer says');
is($tag->('PAUSE ' . 'a ' x 13), 'ERROR 08P01 too many words', 'too many words for a command');
is($tag->('RELOAD; RELOAD'), 'ERROR 08P01 one command at a time', 'two commands');
is($tag->('SHOW VERSION'), 'SHOW', 'the connection stays');
is($tag->('PAUSE "test"'), 'PAUSE', 'a name in double quotes');
is($tag->("RESUME 'test'"), 'RESUME', 'and in single ones');
for my $c ('PAUSE', 'RESUME', 'DISABLE', 'ENABLE', 'RECONNECT', 'KILL', 'WAIT_CLOSE') {
    is($tag->("$c nowhere"), 'ERROR 08P01 no such database: nowhere', "$c of an unknown database");
    is($tag->("$c pgbouncer"), 'ERROR 08P01 cannot ' . lc($c) . ' admin db: pgbouncer', "$c of the console");
}
is($tag->($_), 'ERROR 08P01 a database is required', "$_ without one") for qw(DISABLE ENABLE);

# ---- roles ----
my $stats = $p->connect('pgbouncer', 'bhstats');
for my $c ('SET log_stats = 0', 'RELOAD', 'PAUSE', 'PAUSE test', 'RESUME', 'SUSPEND', 'DISABLE test', 'ENABLE test', 'RECONNECT', 'KILL', 'KILL test', 'KILL_CLIENT 1', 'WAIT_CLOSE', 'SHUTDOWN',
    'SHUTDOWN WAIT_FOR_CLIENTS', 'SHOW FDS', 'RESET DENIALS', "DELETE TENANT 'x'", "EXPORT TENANT 'x' TO '/x'", "EXPLAIN TENANT 'x' SELECT 1") {
    error_is($stats->query($c), '08P01', qr/admin access needed/, "stats users: not $c");
}
is($stats->query("SHOW $_")->{error} // 'ok', 'ok', "stats users: SHOW $_") for qw(CLIENTS SERVERS POOLS STATS CONFIG LISTS MEM SOCKETS HELP STATE);
rejects($p, 'pgbouncer', 'postgres', undef, qr/not allowed/, 'others do not get in');
my ($st, $out) = run_cmd(argv => ['su', 'postgres', '-s', '/bin/sh', '-c', "psql -X -At -h $dir -p " . $p->port . " -U pgbouncer -d pgbouncer -c 'show version' -c 'reload'"]);
like($out, qr/^PgBulkhead .*\nRELOAD\n\z/s, 'user pgbouncer over the Unix socket, by the own uid: an administrator without password');
my ($own) = $p->log_text =~ /(C-\S+ pgbouncer\/pgbouncer\@unix\(\d+\):\d+) login attempt/;
ok($own, 'in the log with its process');
rejects($p, 'pgbouncer', 'pgbouncer', undef, qr/./, 'not over TCP');

# ---- RELOAD ----
spew($p->{ini}, $p->ini_text . "\nnonsense without a sign\n");
is($tag->('RELOAD'), 'ERROR F0000 RELOAD failed, see logs for additional details', 'a bad file');
ok($p->wait_log(qr/ERROR .*proxy\.ini/, 5), 'the log has what is wrong');
$p->write;
is($tag->('RELOAD'), 'RELOAD', 'a good one');

# ---- PAUSE, RESUME ----
my $c = $p->connect('test');
is($tag->('RESUME'), 'ERROR 08P01 pooler is not paused/suspended', 'RESUME of what is not paused');
is($tag->('RESUME test'), 'ERROR 08P01 database test is not paused', 'RESUME db of what is not paused');
$c->query('BEGIN');
my $admin = $p->connect('pgbouncer', 'bhadmin');
$admin->send_query('PAUSE test');
ok(!$admin->readable(0.5), 'PAUSE db waits for the transaction');
is($db->('paused'), 1, 'it is paused meanwhile');
my $new = $p->connect('test', undef, no_wait => 1);
$new->send_query('SELECT 5');
ok(!$new->readable(0.3), 'nobody gets a server');
$c->query('COMMIT');
my $r = $admin->finish;
is($r->{results}[0]{tag}, 'PAUSE', 'and answers when the servers are gone');
is(scalar(grep { $_->{database} eq 'test' } @{ $p->console('SHOW SERVERS') }), 0, 'they are');
is($tag->('PAUSE test'), 'ERROR 08P01 database test is already paused', 'PAUSE db twice');
is($tag->('RESUME test'), 'RESUME', 'RESUME db');
is(row_values($new->finish), 5, 'the client goes on');
# Ctrl-C.
$c->query('BEGIN');
for my $what ('PAUSE test', 'PAUSE') {
    $admin->send_query($what);
    ok(!$admin->readable(0.3), "$what waits");
    $new->send_query('SELECT 6');
    $admin->cancel;
    error_is($admin->finish, '57014', qr/^canceling statement due to user request$/, "Ctrl-C ends $what");
    is(row_values($new->finish), 6, 'clients go on');
    is($db->('paused') . $p->console('SHOW STATE')->[1]{value}, '0no', 'nothing is paused');
}
is($admin->query('SHOW VERSION')->{results}[0]{tag}, 'SHOW', 'the console goes on');
$admin->cancel;
is($admin->query('SHOW VERSION')->{results}[0]{tag}, 'SHOW', 'Ctrl-C without a command does nothing');
$admin->send_query('PAUSE test');
ok(!$admin->readable(0.2), 'PAUSE waits');
is($tag->('RESUME test'), 'RESUME', 'RESUME by another administrator');
error_is($admin->finish, '08P01', qr/PAUSE was ended by RESUME/, 'it is told');
$admin->send_query('PAUSE');
ok(wait_for(sub { $p->console('SHOW STATE')->[1]{value} eq 'yes' }, 5), 'PAUSE');
$admin->abort;
ok(wait_for(sub { $p->console('SHOW STATE')->[1]{value} eq 'no' }, 5), 'is taken back when the administrator leaves');
$c->query('COMMIT');
is($tag->('PAUSE'), 'PAUSE', 'PAUSE of everything');
is($tag->('PAUSE'), 'ERROR 08P01 already suspended/paused', 'twice');
is(join(',', map { "$_->{key}=$_->{value}" } @{ $p->console('SHOW STATE') }), 'active=no,paused=yes,suspended=no', 'SHOW STATE');
is($tag->('RESUME'), 'RESUME', 'RESUME');

# ---- DISABLE, ENABLE ----
is($tag->('DISABLE test'), 'DISABLE', 'DISABLE');
is($tag->('DISABLE test'), 'DISABLE', 'again');
is($db->('disabled'), 1, 'SHOW DATABASES');
rejects($p, 'test', undef, undef, qr/^database "test" is disabled$/, 'no new clients');
is($c->value('SELECT 7'), 7, 'those that are there go on');
is($tag->('ENABLE test'), 'ENABLE', 'ENABLE');
is($p->connect('test')->value('SELECT 8'), 8, 'and they come in');

# ---- RECONNECT, WAIT_CLOSE ----
my $pid = $c->value('SELECT pg_backend_pid()');
$c->query('BEGIN');
my $in = $c->value('SELECT pg_backend_pid()');
is($tag->('RECONNECT test'), 'RECONNECT', 'RECONNECT answers at once');
my ($sv) = grep { $_->{remote_pid} == $in } @{ $p->console("SHOW SERVERS LIKE 'test'") };
is($sv->{close_needed}, 1, 'the busy server is marked');
$admin = $p->connect('pgbouncer', 'bhadmin');
$admin->send_query('WAIT_CLOSE test');
ok(!$admin->readable(0.4), 'WAIT_CLOSE waits for it');
is($tag->('WAIT_CLOSE other'), 'WAIT_CLOSE', 'not for those of another database');
is($c->value('SELECT pg_backend_pid()'), $in, 'the transaction keeps its server');
$admin->cancel;
error_is($admin->finish, '57014', qr/canceling/, 'Ctrl-C ends WAIT_CLOSE');
$admin->send_query('WAIT_CLOSE');
ok(!$admin->readable(0.3), 'WAIT_CLOSE of everything');
$c->query('COMMIT');
is($admin->finish->{results}[0]{tag}, 'WAIT_CLOSE', 'it is gone');
isnt($c->value('SELECT pg_backend_pid()'), $in, 'a new server');
is($tag->('WAIT_CLOSE'), 'WAIT_CLOSE', 'nothing to wait for');
is($tag->('RECONNECT'), 'RECONNECT', 'RECONNECT of everything');

# ---- KILL_CLIENT ----
my $victim = $p->connect('test', undef, params => { application_name => 'victim' });
my ($v) = grep { $_->{application_name} eq 'victim' } @{ $p->console('SHOW CLIENTS') };
is($tag->("KILL_CLIENT $v->{id}"), 'KILL_CLIENT', 'KILL_CLIENT by id');
my $m = $victim->read_until('E', 5);
like($m->[-1][1] // '', qr/admin forced disconnect/, 'the client is told');
is($tag->("KILL_CLIENT $v->{id}"), 'ERROR 08P01 client not found', 'it is not there any more');
$victim = $p->connect('test', undef, params => { application_name => 'victim2' });
($v) = grep { $_->{application_name} eq 'victim2' } @{ $p->console('SHOW CLIENTS') };
is($tag->("KILL_CLIENT $v->{ptr}"), 'KILL_CLIENT', 'KILL_CLIENT by ptr');
is($tag->("KILL_CLIENT $_"), 'ERROR 08P01 invalid client pointer supplied', "KILL_CLIENT $_") for qw(abc 12x 0 -1 99999999999999999999999);
like($tag->('KILL_CLIENT'), qr/^ERROR 08P01 a client id is required/, 'KILL_CLIENT of nobody');
is($tag->("KILL_CLIENT 'x'"), 'ERROR 08P01 invalid client pointer supplied', 'KILL_CLIENT of a text');

# ---- KILL ----
my $k = $p->connect('other');
$k->query('SELECT 1');
is($tag->('KILL other'), 'KILL', 'KILL db');
$m = $k->read_until('E', 5);
like($m->[-1][1] // '', qr/database removed/, 'clients are dropped');
is($db->('paused', 'other'), 1, 'and it is paused');
is(scalar(grep { $_->{database} eq 'other' } @{ $p->console('SHOW SERVERS') }), 0, 'without servers');
is($c->value('SELECT 9'), 9, 'other databases go on');
is($tag->('RESUME other'), 'RESUME', 'RESUME');
is($p->connect('other')->value('SELECT 10'), 10, 'and it works again');
is($tag->('KILL'), 'KILL', 'KILL of everything');
ok(wait_for(sub { @{ $p->console('SHOW SERVERS') } == 0 }, 5), 'no server is left');
is($p->console('SHOW STATE')->[1]{value}, 'yes', 'and everything is paused');
is($tag->('RESUME'), 'RESUME', 'RESUME after KILL');
is($p->connect('test')->value('SELECT 11'), 11, 'it works again');
ok($p->wait_log(qr/LOG $_ command issued/), "the log: $_") for 'RELOAD', "PAUSE 'test'", 'PAUSE', "RESUME 'other'", "DISABLE 'test'", "KILL 'other'", "RECONNECT 'test'", "WAIT_CLOSE 'test'";

# ---- SHUTDOWN ----
like($tag->('SHUTDOWN SOMEHOW'), qr/^ERROR 08P01 SHUTDOWN takes WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS/, 'SHUTDOWN of another kind');
my $ends = sub { my ($q) = @_; my $ok = wait_for(sub { !$q->alive }, 15); $q->{expect_exit} = 1; return $ok && ($q->{status} // 0) == 0 };
my $own_con = Bulkhead::Wire->login(host => $dir, port => $p->port, user => 'bhadmin', password => 'bhadmin', dbname => 'pgbouncer');
my $stays = $p->connect('test');
$stays->query('BEGIN');
my $waits = $p->connect('pgbouncer', 'bhadmin');
is($waits->query('SHUTDOWN WAIT_FOR_CLIENTS')->{results}[0]{tag}, 'SHUTDOWN', 'SHUTDOWN WAIT_FOR_CLIENTS');
ok(wait_for(sub { !eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 2)->abort; 1 } }, 5), 'TCP is closed');
for my $x ('PAUSE', 'RESUME', 'SHUTDOWN WAIT_FOR_SERVERS', 'PAUSE test') {
    error_is($own_con->query($x), '08P01', qr/^pooler is shutting down$/, "$x meanwhile");
}
is($stays->value('SELECT 12'), 12, 'the clients go on');
$_->close for $c, $new, $victim, $k, $waits, $con, $stats, $admin;
$stays->query('COMMIT');
$stays->close;
ok($ends->($p), 'and it ends when they have left');
$own_con->close;

$p = proxy(%o);
$c = $p->connect('test');
$c->query('BEGIN');
is($p->console('SHUTDOWN WAIT_FOR_SERVERS', raw => 1)->{results}[0]{tag}, 'SHUTDOWN', 'SHUTDOWN WAIT_FOR_SERVERS');
is($c->value('SELECT 13'), 13, 'the transaction goes on');
ok($p->alive, 'it waits');
$c->query('COMMIT');
ok($ends->($p), 'and ends with the last server');

$p = proxy(%o);
$c = $p->connect('test');
$c->query('BEGIN');
$con = $p->connect('pgbouncer', 'bhadmin');
is($con->query('SHUTDOWN')->{results}[0]{tag}, 'SHUTDOWN', 'SHUTDOWN');
ok($ends->($p), 'ends at once');
finish();
