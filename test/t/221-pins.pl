#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Session state that cannot move ties the server to its client, until it is given back or the client is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { two => 'dbname=postgres pool_size=2', four => 'dbname=postgres pool_size=4', st => 'dbname=postgres pool_size=2 pool_mode=statement',
        pass => 'dbname=postgres pool_size=1 session_state=passthrough', all => 'dbname=postgres pool_size=2' },
    set => { worker_threads => $ENV{BH_WORKERS} // 2, query_wait_timeout => 60 });
my $pins = sub { return $p->console('SHOW PINS') };
my $pinned = sub { my ($db) = @_; my ($r) = grep { $_->{database} eq $db && $_->{user} ne 'pgbouncer' } @{ $p->console('SHOW POOLS') }; return $r->{pinned} };
# The answer comes before the server has been asked what is left: looks until it is so.
my $settles = sub {
    my ($db, $n, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { $pinned->($db) == $n }, 10);
    is($pinned->($db), $n, $what);
};
my $pid = sub { $_[0]->value('SELECT pg_backend_pid()') };

# Each kind, by a Query and by the extended protocol: the client keeps its server, the next one finds nothing.
my %leftovers = (
    advisory_lock => "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    held_cursor => 'SELECT count(*) FROM pg_cursors WHERE is_holdable',
    temporary_object => "SELECT count(*) FROM pg_class WHERE relname LIKE 'tmp%'",
);
my @kinds = (
    ['advisory_lock', 'SELECT pg_advisory_lock(1)'],
    ['advisory_lock', 'SELECT pg_try_advisory_lock(1)'],
    ['advisory_lock', 'SELECT pg_advisory_lock_shared(1, 2)'],
    ['held_cursor', 'DECLARE k CURSOR WITH HOLD FOR SELECT 1'],
    ['temporary_object', 'CREATE TEMP TABLE tmp (a int)'],
    ['temporary_object', 'CREATE TABLE pg_temp.tmp (a int)'],
    ['temporary_object', 'SELECT 1 AS a INTO TEMP tmp'],
    ['temporary_object', 'CREATE TEMPORARY SEQUENCE tmp_s'],
    ['temporary_object', 'CREATE TEMP VIEW tmp_v AS SELECT 1'],
    ['temporary_object', 'DO $$ BEGIN CREATE TEMP TABLE tmp (a int); END $$'],
);
for my $k (@kinds) {
    my ($kind, $sql) = @$k;
    for my $proto ('query', 'ext') {
        my $c = $p->connect('two');
        my $r = $proto eq 'query' ? $c->query($sql) : $c->ext($sql, []);
        ok(!$r->{error}, "$proto: $sql") or diag($r->{error}{M});
        my $shown = '';
        wait_for(sub { $shown = join(',', map { $_->{kind} } @{ $pins->() }); $shown eq $kind }, 10);
        is($shown, $kind, "SHOW PINS: $kind");
        my $other = $p->connect('two');
        my $mine = $pid->($c);
        isnt($pid->($other), $mine, 'another client gets another server');
        is($pid->($c), $mine, 'the client keeps its own');
        $c->close;
        ok(wait_for(sub { !@{ $pins->() } }, 10), 'unpinned when it goes');
        my @two = map { $p->connect('two') } 1 .. 2;
        $_->query('BEGIN') for @two;
        is(join(',', map { $_->value($leftovers{$kind}) } @two), '0,0', 'nothing is left on either server');
        $_->query('COMMIT') for @two;
        $_->close for @two, $other;
    }
}
# The next statement overtakes the question: settled all the same, while the client is there.
my $fast = $p->connect('two');
for (1 .. 30) {
    $fast->query('SELECT pg_advisory_lock(9), pg_advisory_unlock(9)');
    $fast->query('SELECT 1');
}
$settles->('two', 0, 'a question that was overtaken');
$fast->close;
# In its row: who, where, what, since when.
my $c = $p->connect('four');
$c->query("SELECT pg_advisory_lock(4711), 'secret'");
$p->wait_log(qr/pinned to its server \(advisory_lock\): SELECT pg_advisory_lock\(\?\), \?/);
my ($row) = @{ $pins->() };
is("$row->{database} $row->{user} $row->{kind}", 'four postgres advisory_lock', 'SHOW PINS: database, user, kind');
is($row->{statement}, 'SELECT pg_advisory_lock(?), ?', 'the statement without its literals');
like($row->{since}, qr/^20\d\d-/, 'since');
my ($cl) = grep { $_->{id} eq $row->{client} } @{ $p->console('SHOW CLIENTS') };
my ($sv) = grep { $_->{id} eq $row->{server} } @{ $p->console('SHOW SERVERS') };
is("$cl->{pinned} $sv->{pinned} " . $pinned->('four'), '1 1 1', 'SHOW CLIENTS, SERVERS, POOLS: pinned');
ok($p->wait_log(qr/pinned to its server \(advisory_lock\): SELECT pg_advisory_lock\(\?\)/), 'a line in the log');
unlike($p->log_text, qr/\(4711|4711\)/, 'without literals');

# Given back.
$c->query('SELECT pg_advisory_unlock(4711)');
$settles->('four', 0, 'the last lock given back');
for my $t (['SELECT pg_advisory_lock(1), pg_advisory_lock(2)', 'SELECT pg_advisory_unlock_all()'],
    ['DECLARE k CURSOR WITH HOLD FOR SELECT 1', 'CLOSE k'], ['DECLARE k CURSOR WITH HOLD FOR SELECT 1', 'CLOSE ALL'],
    ['CREATE TEMP TABLE tmp (a int)', 'DISCARD TEMP'], ['CREATE TEMP TABLE tmp (a int); SELECT pg_advisory_lock(1)', 'DISCARD ALL']) {
    $c->query($t->[0]);
    $settles->('four', 1, $t->[0]);
    $c->query($t->[1]);
    $settles->('four', 0, $t->[1]);
}
$c->query('SELECT pg_advisory_lock(1)'); $c->query('SELECT pg_advisory_lock(2)');
$c->query('SELECT pg_advisory_unlock(2)');
$settles->('four', 1, 'one of two locks');
$c->query('SELECT pg_advisory_unlock(1)');
$settles->('four', 0, 'both');

# What leaves nothing pins nothing.
for my $sql ('BEGIN; CREATE TEMP TABLE tmp (a int); ROLLBACK', 'BEGIN; CREATE TEMP TABLE tmp (a int) ON COMMIT DROP; COMMIT', 'SELECT pg_advisory_xact_lock(3)',
    'SELECT pg_advisory_lock(5), pg_advisory_unlock(5)', 'BEGIN; DECLARE k CURSOR FOR SELECT 1; COMMIT', 'BEGIN; DECLARE k CURSOR WITH HOLD FOR SELECT 1; ROLLBACK',
    'DO $$ BEGIN PERFORM 1; END $$', 'SELECT 1/0; CREATE TEMP TABLE tmp (a int)', "SELECT 'pg_advisory_lock(1)'") {
    $c->query($sql);
    $settles->('four', 0, $sql);
}
# A transaction over several messages, and an error in it.
$c->query('BEGIN'); $c->query('CREATE TEMP TABLE tmp (a int)'); $c->query('SELECT 1/0'); $c->query('ROLLBACK');
$settles->('four', 0, 'an error took it back');
$c->query('BEGIN'); $c->query('CREATE TEMP TABLE tmp (a int)'); $c->query('COMMIT');
is($c->value('SELECT count(*) FROM tmp'), 0, 'a temporary table lives on');
$c->query('INSERT INTO tmp VALUES (1)');
is($c->ext('SELECT a FROM tmp', [])->{results}[0]{rows}[0][0], 1, 'over transactions and protocols');
$c->query('BEGIN');
$c->close;
ok(wait_for(sub { !@{ $pins->() } }, 10), 'a client that goes away within a transaction');

# What nothing takes back closes the server.
$c = $p->connect('four');
$c->query("LOAD 'plpgsql'");
my $gone = $pid->($c);
$c->close;
ok(wait_for(sub { !$pg->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $gone") }, 10), 'LOAD: its server is closed');

# The limit: half of the pool; the rest stays free for others.
my @h = map { $p->connect('four') } 1 .. 3;
ok(!$_->query('SELECT pg_advisory_lock_shared(7)')->{error}, 'within the limit') for @h[0, 1];
$settles->('four', 2, 'which counts once the server has said what it holds');
error_is($h[2]->query('SELECT pg_advisory_lock_shared(7)'), '53300', qr/too many servers of the pool are pinned.*max_pinned_servers/, 'half of the pool: 53300');
error_is($h[2]->ext('SELECT pg_advisory_lock_shared(7)', []), '53300', qr/max_pinned_servers/, 'extended protocol');
is($h[2]->value('SELECT 1'), 1, 'that client goes on');
$h[2]->query('BEGIN');
error_is($h[2]->query('CREATE TEMP TABLE tmp (a int)'), '53300', qr/max_pinned_servers/, 'in a transaction');
error_is($h[2]->query('SELECT 1'), '25P02', qr/aborted/, 'which is failed');
$h[2]->query('ROLLBACK');
$h[0]->close;
ok(wait_for(sub { $pinned->('four') == 1 }, 10), 'one goes away');
ok(!$h[2]->query('SELECT pg_advisory_lock_shared(7)')->{error}, 'and another may');
$_->close for @h[1, 2];
$p->{set}{max_pinned_servers} = 0;
$p->reload;
my @a = map { $p->connect('all') } 1 .. 2;
ok(!$_->query('SELECT pg_advisory_lock_shared(7)')->{error}, 'max_pinned_servers=0: no limit') for @a;
$_->close for @a;

# Statement mode pins too; passthrough never does.
my $s = $p->connect('st');
$s->query('CREATE TEMP TABLE tmp (a int)');
$settles->('st', 1, 'statement mode');
is($s->value('SELECT count(*) FROM tmp'), 0, 'the table is there');
my $q = $p->connect('pass');
$q->query('CREATE TEMP TABLE tmp_leak (a int)');
$settles->('pass', 0, 'session_state=passthrough');

# PREPARE, EXECUTE, DEALLOCATE in SQL: kept here, prepared where they run, pinning nothing.
my @f = map { $p->connect('four') } 1 .. 3;
for my $i (0 .. 2) {
    is($f[$i]->query("PREPARE same (int) AS SELECT \$1 * 10 + $i")->{results}[0]{tag}, 'PREPARE', 'the same name in each client');
}
$settles->('four', 0, 'pins nothing');
for my $round (1 .. 2) {
    $_->query('BEGIN') for @f;
    is($f[$_]->value("EXECUTE same($round)"), $round * 10 + $_, "EXECUTE on any server: client $_") for 0 .. 2;
    $_->query('COMMIT') for @f;
    is($f[$_]->value("execute SAME ($round)"), $round * 10 + $_, "outside a transaction: client $_") for 2, 1, 0;
}
error_is($f[0]->query('PREPARE same AS SELECT 1'), '42P05', qr/"same" already exists/, 'a name twice');
error_is($f[0]->query('PREPARE bad AS SELEC'), '42601', qr/syntax error/, 'an error');
error_is($f[0]->query('EXECUTE bad'), '26000', qr/"bad" does not exist/, 'prepares nothing');
error_is($f[0]->query('PREPARE bad AS SELECT * FROM nowhere'), '42P01', qr/nowhere/, 'another error');
error_is($f[0]->query('EXECUTE bad'), '26000', qr/"bad" does not exist/, 'prepares nothing either');
$f[0]->query('BEGIN'); $f[0]->query('SELECT 1/0');
error_is($f[0]->query('PREPARE late AS SELECT 1'), '25P02', qr/aborted/, 'in a failed transaction');
$f[0]->query('ROLLBACK');
error_is($f[0]->query('EXECUTE late'), '26000', qr/"late" does not exist/, 'nothing');
like(row_values($f[0]->query('EXPLAIN (COSTS OFF) EXECUTE same(1)')), qr/Result/, 'EXPLAIN EXECUTE');
$f[0]->query('CREATE TABLE made AS EXECUTE same(4)');
is($pg->value('SELECT * FROM made'), 40, 'CREATE TABLE AS EXECUTE');
# One name space with the protocol's.
$f[1]->cork; $f[1]->bind('', 'same', ['6']); $f[1]->execute(''); $f[1]->sync; $f[1]->uncork;
is(row_values($f[1]->finish), 61, 'Bind of a name that SQL made');
$f[1]->cork; $f[1]->parse('proto', 'SELECT $1::int + 1'); $f[1]->sync; $f[1]->uncork; $f[1]->finish;
is($f[1]->value('EXECUTE proto(41)'), 42, 'EXECUTE of a name that the protocol made');
is($f[1]->query('DEALLOCATE same')->{results}[0]{tag}, 'DEALLOCATE', 'DEALLOCATE');
error_is($f[1]->query('EXECUTE same(1)'), '26000', qr/does not exist/, 'is gone');
is($f[2]->value('EXECUTE same(5)'), 52, 'for its client only');
$f[2]->query('DEALLOCATE ALL');
error_is($f[2]->query('EXECUTE same(1)'), '26000', qr/does not exist/, 'DEALLOCATE ALL');
is($f[0]->value('EXECUTE same(5)'), 50, 'for its client only');
# What is not told apart pins.
my $m = $p->connect('four');
is($m->query('PREPARE a AS SELECT 1; PREPARE b AS SELECT 2')->{results}[1]{tag}, 'PREPARE', 'two in one Query');
ok(wait_for(sub { join(',', map { $_->{kind} } grep { $_->{database} eq 'four' } @{ $pins->() }) eq 'prepared_statement' }), 'pinned');
is($m->value('EXECUTE b'), 2, 'and work');
is($f[0]->value("SELECT count(*) FROM pg_prepared_statements WHERE name IN ('a', 'b')"), 0, 'for the client alone');
is($m->ext('EXECUTE a', [])->{results}[0]{rows}[0][0], 1, 'extended EXECUTE there');
my $x = $p->connect('four');
$x->ext('PREPARE e AS SELECT 3', []);
is($x->ext('EXECUTE e', [])->{results}[0]{rows}[0][0], 3, 'by the extended protocol');
$m->close; $x->close;
ok(wait_for(sub { !grep { $_->{database} eq 'four' } @{ $pins->() } }, 10), 'until the client goes');
# What leaves nothing behind its transaction is not refused, however many do it at once; nor what is too long to be looked at.
$pg->sql('CREATE TABLE long (a text)');
my @at_once = parallel(6, sub {
    my $cl = $p->connect('four');
    my %bad;
    for my $i (1 .. 6) {
        for my $sql ("INSERT INTO long VALUES ('" . 'x' x 400_000 . "')", "BEGIN; CREATE TEMP TABLE once (a int) ON COMMIT DROP; COMMIT", 'SELECT pg_advisory_lock(' . $$ . '), pg_advisory_unlock(' . $$ . ')') {
            my $e = $cl->query($sql)->{error};
            $bad{ $e->{M} }++ if $e;
        }
    }
    return join '; ', sort keys %bad;
});
is("@at_once", '     ', 'passing state of many at once is not refused');
my $z = $p->connect('four');
$z->query('CREATE TEMP TABLE tmp (a int)');
$settles->('four', 1, 'a last one');
is($p->metric('pgbulkhead_pool_pinned_servers', 'database="four"'), 1, 'a gauge');
ok($p->metric('pgbulkhead_pins_refused_total') >= 3, 'a counter');
finish();
