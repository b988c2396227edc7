#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Replication connections: the programs of PostgreSQL that make them, a stream by hand in both directions, a server for each that counts in
# pool_size and is never used again, refusals that concern nobody else, and tenants, who may not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $bin = Bulkhead::Util::pg_bin();
my $pg = pg(auth => 'scram-sha-256', conf => { wal_level => 'logical', max_wal_senders => 20, max_replication_slots => 10 });
$pg->sql($_) for "SET password_encryption = 'scram-sha-256'", "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'rp'", "CREATE ROLE plain LOGIN PASSWORD 'pp'",
    'CREATE TABLE t (n int)', 'GRANT ALL ON t TO plain', "CREATE FUNCTION look(n text) RETURNS TABLE (u text, p text) LANGUAGE sql SECURITY DEFINER AS
        'SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = n'";
$pg->sql("SELECT pg_create_physical_replication_slot('hold')");
my $to = 'host=127.0.0.1 port=' . $pg->port;
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my %auth = (repl => 'rp', plain => 'pp');
my $p = proxy(auth => \%auth, databases => { replication => "$to dbname=postgres auth_dbname=one", one => "$to dbname=postgres pool_size=2", forced => "$to dbname=postgres user=repl password=rp",
        tens => "$to dbname=postgres user=repl password=rp tenant_mode=reject catalog_user=postgres", statements => "$to dbname=postgres pool_mode=statement pool_size=9 connect_query='SELECT 1'", down => 'host=127.0.0.1 port=' . free_port() . ' dbname=postgres' },
    rules => ['public.t = n'], users => { plain => 'tenant=7', repl => 'tenant=*' },
    set => { auth_type => 'scram-sha-256', worker_threads => 2, server_login_retry => 5, query_wait_timeout => 20, client_tls_sslmode => 'allow', client_tls_key_file => $key,
        client_tls_cert_file => $cert, query_timeout => 5, slow_query_threshold => 0.3, log_stats => 0 });
my %env = (PGPASSWORD => 'rp', PGCONNECT_TIMEOUT => 15, HOME => work_dir(), LC_ALL => 'C.UTF-8');
my $at = sub { 'host=localhost port=' . $p->port . ' user=repl ' . join ' ', @_ };
my $run = sub { my ($prog, @a) = @_; my ($st, $o, $e) = run_cmd(argv => ["$bin/$prog", @a], user => 1, timeout => 90, env => \%env); diag("$prog: $o$e") if $st; return $st };
my $shown = sub { my ($what, $kind) = @_; return grep { $_->{replication} eq $kind } @{ $p->console("SHOW $what") } };
my $repl = sub { my ($db, $value, %o) = @_; return $p->connect($db, $o{user} // 'repl', no_die => 1, params => { replication => $value, %{ $o{params} // {} } }) };

# ---- programs ----
my $copy = work_dir() . '/copy';
is($run->('pg_basebackup', '-d', $at->('sslmode=require'), '-D', $copy, '-X', 'stream', '-c', 'fast', '-R'), 0, 'pg_basebackup with its stream of WAL beside it, by TLS');
ok(-s "$copy/PG_VERSION" && -s "$copy/global/pg_control", 'the copy is there');
is($run->('pg_basebackup', '-d', $at->('sslmode=disable'), '-D', "$copy.tar", '-Ft', '-X', 'fetch', '-c', 'fast'), 0, 'as tar, in clear');
my $wal = work_dir() . '/wal';
mkdir $wal;
my @u = getpwnam 'postgres';
chown $u[2], $u[3], $wal if $> == 0;
my $lsn = $pg->value('SELECT pg_current_wal_lsn()');
my $pid = spawn_as("$bin/pg_receivewal", '-d', $at->(), '-D', $wal, '-S', 'hold', '--synchronous', '-n');
ok(wait_for(sub { $shown->('CLIENTS', 'physical') }, 20), 'pg_receivewal: SHOW CLIENTS calls it physical');
ok(wait_for(sub { join(' ', map { "$_->{state} $_->{type}" } $shown->('SERVERS', 'physical')) eq 'active S' }, 20), 'SHOW SERVERS too');
$pg->sql('INSERT INTO t SELECT 1; SELECT pg_switch_wal()');
ok(wait_for(sub { grep { /\/[0-9A-F]{24}$/ } glob "$wal/*" }, 30), 'WAL arrives; it outlives query_timeout');
sub spawn_as { my (@argv) = @_; return Bulkhead::Util::spawn(argv => \@argv, user => 1, env => \%env, log => work_dir() . '/programs.log') }
Bulkhead::Util::stop_child($pid, 'INT', 20);
ok(wait_for(sub { !$shown->('SERVERS', 'physical') }, 10), 'its server is closed with it');
is($run->('pg_recvlogical', '-d', $at->('dbname=one'), '-S', 'log', '--create-slot', '-P', 'test_decoding'), 0, 'pg_recvlogical: a slot');
my $out = work_dir() . '/decoded';
$pid = spawn_as("$bin/pg_recvlogical", '-d', $at->('dbname=one'), '-S', 'log', '--start', '-f', $out, '-F', 1, '-s', 1);
ok(wait_for(sub { $shown->('CLIENTS', 'logical') }, 20), 'it starts: logical');
$pg->sql('INSERT INTO t VALUES (4711)');
ok(wait_for(sub { Bulkhead::Util::slurp($out) =~ /INSERT: n\[integer\]:4711/ }, 30), 'rows arrive');
wait_for(sub { grep { $_->{database} eq 'one' && $_->{age_us} > 6_000_000 } @{ $p->console('SHOW ACTIVITY') } }, 60, 0.1);
my $page = $p->http('/metrics')->{body};
like($page, qr/^pgbulkhead_oldest_query_seconds\{database="one"\} 0(?:\.0+)?$/m, 'a stream is no query that takes long');
like($page, qr/^pgbulkhead_oldest_transaction_seconds\{database="one"\} 0(?:\.0+)?$/m, 'nor a transaction');
like($page, qr/^pgbulkhead_slow_queries_total\{database="one"\} 0$/m, 'nor a slow query');
unlike($p->log_text, qr/slow query.*START_REPLICATION/, 'nor one in the log');
Bulkhead::Util::stop_child($pid, 'INT', 20);
ok(wait_for(sub { !$shown->('SERVERS', 'logical') }, 10), 'and its server is gone with it');

# ---- by hand ----
my $c = $repl->('one', 'database', params => { application_name => 'walker', options => '-c work_mem=5MB -c statement_timeout=77s' });
ok(!$c->{error}, 'replication=database') or diag($c->{error}{M});
is($c->{params}{application_name}, 'walker', 'the parameters are those of its own server');
is($c->value('SHOW work_mem') . $c->value('SHOW statement_timeout'), '5MB77s', 'options reach the server as they are');
my $r = $c->query('IDENTIFY_SYSTEM');
is(scalar @{ $r->{results}[0]{rows}[0] }, 4, 'IDENTIFY_SYSTEM');
is($r->{results}[0]{rows}[0][3], 'postgres', 'in the database that the entry names');
error_is($c->query('NONSENSE'), '42601', qr/syntax error/, 'an error leaves it open');
$c->query('CREATE_REPLICATION_SLOT byhand TEMPORARY LOGICAL test_decoding');
$c->send_query('START_REPLICATION SLOT byhand LOGICAL 0/0');
is($c->read_msg->[0], 'W', 'START_REPLICATION: both directions');
$pg->sql('INSERT INTO t VALUES (815)');
my $seen = '';
while ($seen !~ /815/) { my $m = $c->read_msg or last; $seen .= $m->[1] if $m->[0] eq 'd' }
like($seen, qr/INSERT: n\[integer\]:815/, 'data from the server');
$c->copy_data('r' . pack('Q>Q>Q>Q>C', (1 << 40) - 1, 0, 0, 0, 1)); # a reply is wanted
my $m;
do { $m = $c->read_msg } while $m && !($m->[0] eq 'd' && $m->[1] =~ /^k/);
ok($m, 'data from the client is answered: a keepalive comes');
$c->copy_done;
my @end = map { $_->[0] } grep { $_->[0] ne 'd' } @{ $c->read_until('Z') };
like("@end", qr/^c( C)+ Z$/, 'CopyDone both ways ends the stream');
is($c->value('SELECT 42'), 42, 'and the connection goes on');
$c->close;
$c = $repl->('one', 'database');
$c->query('CREATE_REPLICATION_SLOT again TEMPORARY LOGICAL test_decoding');
$c->send_query('START_REPLICATION SLOT again LOGICAL 0/0');
$c->read_until('W');
$c->cancel(host => $p->host, port => $p->port);
like(Bulkhead::Wire->types([grep { $_->[0] ne 'd' } @{ $c->read_until('Z') }]), qr/E.*Z$/, 'a cancel request ends a stream');
$c->close;
# PostgreSQL's spellings of a boolean.
my $nobody = sub { wait_for(sub { !grep { $_->{user} eq 'repl' } @{ $p->console('SHOW CLIENTS') } }) };
ok($nobody->(), 'nobody is there');
for (['TRUE', 'physical'], ['1', 'physical'], ['on', 'physical'], ['y', 'physical'], ['database', 'logical'], ['off', 'none'], ['0', 'none'], ['f', 'none']) {
    my ($value, $kind) = @$_;
    my $d = $repl->('one', $value);
    is($d->{error} ? $d->{error}{M} : join(' ', map { $_->{replication} } grep { $_->{user} eq 'repl' } @{ $p->console('SHOW CLIENTS') }), $kind, "replication=$value is $kind");
    $d->close;
    $nobody->();
}
$c = $repl->('one', 'maybe');
error_is($c, '22023', qr/invalid value for parameter "replication": "maybe"/, 'anything else is refused');

# ---- the pool ----
$c = $p->connect('one', 'repl');
is($c->value('SELECT 1'), 1, 'an ordinary client');
my $d = $repl->('one', 'database');
my $before = $d->value('SELECT pg_backend_pid()');
isnt($c->value('SELECT pg_backend_pid()'), $before, 'has another server');
my $idle = $c->value('SELECT pg_backend_pid()');
my $e = $repl->('one', 'database');
ok(!$e->{error}, 'pool_size is 2: the idle server gives way');
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $idle") }, 10), 'it is closed');
ok($p->wait_log(qr/closing because: evicted/), 'the log says so');
$c->send_query('SELECT 7');
ok(wait_for(sub { ($p->pool('one', 'repl') // {})->{cl_waiting} }, 10), 'now an ordinary client waits');
$e->close;
is(Bulkhead::Wire::digest($c->read_until('Z'))->{results}[0]{rows}[0][0], 7, 'until one of them leaves');
ok(wait_for(sub { $c->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'") <= 1 }, 30), 'its server is not one of theirs');
$e = $repl->('one', 'database');
my $waits = spawn_wait(sub { my $x = $repl->('one', 'database'); print $x->{error} ? $x->{error}{M} : $x->value('SELECT 6') });
ok(wait_for(sub { ($p->pool('one', 'repl') // {})->{cl_waiting} }, 10), 'two of them fill the pool: the third waits at its login');
$d->close;
is($waits->(), 6, 'for its turn');
$e->close;
$c->close;
sub spawn_wait {
    my ($code) = @_;
    my $file = work_dir() . '/waits';
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', $file;
        STDOUT->autoflush(1);
        alarm 600;
        eval { $code->(); 1 } or print "died: $@";
        POSIX::_exit(0);
    }
    return sub { waitpid $pid, 0; return Bulkhead::Util::slurp($file) };
}

# ---- refusals ----
$c = $repl->('one', 'true', user => 'plain');
error_is($c, '42501', qr/must be superuser or replication role|permission denied to start WAL sender/, 'who may not is told what the server says');
$c = $p->connect('one', 'plain');
is($c->value('SELECT 1'), 1, 'and nobody else is held up by it');
$c->close;
$c = $repl->('one', 'database', params => { work_mem => 'much' });
error_is($c, '22023', qr/invalid value for parameter "work_mem"/, 'a bad parameter: the server says so');
$c = $repl->('down', 'database');
error_is($c, '08006', qr/Connection refused/, 'a server that is down');
$c = $repl->('tens', 'database', user => 'plain');
error_is($c, '0A000', qr/replication is not possible for tenants/, 'a tenant: refused');
$c = $repl->('tens', 'database');
is($c->{error} ? $c->{error}{M} : $c->value('SELECT 3'), 3, 'who is exempt may');
$c->close;
$c = $repl->('forced', 'true', user => 'plain');
ok(!$c->{error}, 'a forced user replicates for whom the entry lets in') or diag($c->{error}{M});
is(scalar @{ $c->query('IDENTIFY_SYSTEM')->{results}[0]{rows} }, 1, 'and works');
$c->close;
$c = $repl->('statements', 'database');
is($c->query('BEGIN')->{status} . $c->query('COMMIT')->{status}, 'TI', 'pool_mode=statement does not reach it');
$c->parse('', 'SELECT 1');
$c->sync;
my $ext = $c->finish;
ok($ext->{error} ? $ext->{error}{C} eq '08P01' : 1, 'what the server thinks of the extended protocol is passed on');
$c->close;

# ---- auth_query ----
$p->{auth} = { plain => 'pp' };
$p->{set}{auth_user} = 'postgres';
$p->{set}{auth_query} = 'SELECT u, p FROM look($1)';
$p->reload;
ok(wait_for(sub { my $x = $p->connect('one', 'repl', no_die => 1, password => 'rp'); my $ok = !$x->{error}; $x->close; $ok }, 20), 'auth_query knows the user');
is($run->('pg_basebackup', '-d', $at->(), '-D', "$copy.2", '-X', 'stream', '-c', 'fast'), 0, 'pg_basebackup by auth_query');
$c = $p->connect('one', 'repl', no_die => 1, password => 'rp', params => { replication => 'database' });
is($c->{error} ? $c->{error}{M} : $c->value('SELECT 9'), 9, 'logical too');
$c->close;
ok(wait_for(sub { !$shown->('SERVERS', 'logical') && !$shown->('SERVERS', 'physical') }, 10), 'none of their servers stays');
finish();
