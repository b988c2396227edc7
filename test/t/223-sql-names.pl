#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# EXECUTE of a statement that PREPARE in SQL (or the protocol) made, among other statements of a Query and by the extended protocol:
# on any server of the pool, without a pin, with the answers of a session of PostgreSQL's own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg();
$pg->sql('CREATE TABLE t (a int); CREATE TABLE gone (a int)');
my $p = proxy(pg => $pg, databases => { three => 'dbname=postgres pool_size=3' }, set => { worker_threads => $ENV{BH_WORKERS} // 2, query_wait_timeout => 20 });
my $direct = Bulkhead::Wire->login(host => '127.0.0.1', port => $pg->port, user => 'postgres', dbname => 'postgres');
my $same = sub { my ($r) = @_; my $e = $r->{error} // {}; return join ' ', ($e->{C} // 'ok'), map { "$_->{tag}:" . join ',', map { map { $_ // 'NULL' } @$_ } @{ $_->{rows} // [] } } grep { defined $_->{tag} } @{ $r->{results} } };
# Another server each time: the one that a client of the test was on is taken by others meanwhile.
my @others = map { $p->connect('three') } 1 .. 2;
my $elsewhere = sub { my ($n) = @_; $_->query('COMMIT') for @others; $_->query('BEGIN') for @others[0 .. ($n % 3) - 1]; return };

my @prepare = ('PREPARE p (int) AS SELECT $1 * 10', 'PREPARE "Q w" AS INSERT INTO t VALUES (1) RETURNING a', 'PREPARE g AS SELECT count(*) FROM gone');
my @batches = (
    'EXECUTE p(1); EXECUTE p(2)', 'SELECT 1; EXECUTE p(3); SELECT 2', 'BEGIN; EXECUTE p(4); EXECUTE "Q w"; COMMIT', 'execute /* p */ P (5); EXECUTE "Q w"; EXPLAIN (COSTS OFF) EXECUTE p(1)',
    'EXECUTE p(6); SELECT 1/0; EXECUTE p(7)', 'EXECUTE p(1, 2); SELECT 1', 'SELECT 1; EXECUTE nobody', "SET application_name = 'x'; EXECUTE p(8); RESET application_name",
    'BEGIN ISOLATION LEVEL SERIALIZABLE; EXECUTE p(11); SHOW transaction_isolation; COMMIT', 'START TRANSACTION READ ONLY DEFERRABLE; SELECT 1; EXECUTE p(12); ROLLBACK',
    'EXECUTE g; EXECUTE p(9)', 'PREPARE p AS SELECT 1; EXECUTE p(1)', "SELECT 'EXECUTE p(1)'; EXECUTE p(10); -- EXECUTE p(2)",
);
my $c = $p->connect('three');
for ($direct, $c) { my $x = $_; $x->query($_) for @prepare }
for my $round (0 .. 2) {
    for my $sql (@batches) {
        $elsewhere->($round);
        is($same->($c->query($sql)), $same->($direct->query($sql)), "round $round: $sql");
    }
}
is($pg->value('SELECT count(*) FROM t'), 12, 'each ran once (direct and pooled)');
# In a transaction, one that fails, savepoints.
for ($direct, $c) { my $x = $_; $x->query($_) for 'BEGIN', 'SAVEPOINT s', 'SELECT 1/0' }
my $sql = 'EXECUTE p(1); SELECT 1';
is($same->($c->query($sql)), $same->($direct->query($sql)), 'in a failed transaction');
is($same->($c->query('ROLLBACK TO s; EXECUTE p(2)')), $same->($direct->query('ROLLBACK TO s; EXECUTE p(2)')), 'behind a savepoint');
$_->query('COMMIT') for $direct, $c;
# COPY beside it: what ends the batch must not get into its data.
for my $round (0 .. 2) {
    $elsewhere->($round);
    $c->send_query('EXECUTE p(7); COPY t FROM stdin; EXECUTE p(8)');
    $c->read_until('G');
    $c->copy_data("5\n"); $c->copy_done;
    my $r = Bulkhead::Wire::digest($c->read_until('Z'));
    is($r->{error}, undef, 'COPY among them') or diag($r->{error}{M});
    is($c->value('SELECT 1'), 1, '... and the connection goes on');
}
is($pg->value('SELECT count(*) FROM t WHERE a = 5'), 3, 'its rows are there');
# Pipelined: what is answered first decides.
$c->cork; $c->send_query($_) for 'PREPARE late AS SELECT 11', 'EXECUTE late; EXECUTE late', 'DEALLOCATE late', 'EXECUTE late; SELECT 1'; $c->uncork;
is($same->($c->finish), 'ok PREPARE:', 'a pipeline: PREPARE');
is($same->($c->finish), 'ok SELECT 1:11 SELECT 1:11', '... EXECUTE');
is($same->($c->finish), 'ok DEALLOCATE:', '... DEALLOCATE');
is($same->($c->finish), '26000', '... is gone');
# A statement whose table is gone: one error, the batch does not run, the connection goes on.
$pg->sql('DROP TABLE gone');
my $e = $p->connect('three');
$e->query('PREPARE h AS SELECT 1');
$pg->sql('CREATE TABLE gone (a int)');
$e->query('PREPARE g AS SELECT * FROM gone');
$pg->sql('DROP TABLE gone');
$p->console('RECONNECT three');
my $r = $e->query('INSERT INTO t VALUES (99); EXECUTE g');
error_is($r, '42P01', qr/gone/, 'a statement that cannot be prepared any more');
is((() = Bulkhead::Wire->types($r->{msgs}) =~ /E/g), 1, '... one error');
is($pg->value('SELECT count(*) FROM t WHERE a = 99'), 0, '... and nothing of the Query ran');
$r = $e->query('BEGIN; INSERT INTO t VALUES (99); EXECUTE g');
error_is($r, '26000', qr/does not exist/, '... behind BEGIN, where nothing may be in front of it');
is(Bulkhead::Wire->types($r->{msgs}), 'CCEZ', '... one error');
is($e->query('ROLLBACK')->{results}[0]{tag}, 'ROLLBACK', '... in the transaction');
is($same->($e->query('EXECUTE h; EXECUTE h')), 'ok SELECT 1:1 SELECT 1:1', 'the next one does');
# DEALLOCATE among others: what to do is said.
$r = $c->query('DEALLOCATE p; SELECT 1');
error_is($r, '0A000', qr/cannot be one of several statements/, 'DEALLOCATE among other statements is refused');
like($r->{error}{H} // '', qr/by itself/, '... with the way out');
is($c->value('EXECUTE p(3)'), 30, '... and takes nothing away');
is($same->($c->query('DEALLOCATE ALL; EXECUTE p(1)')), '26000 DEALLOCATE ALL:', 'DEALLOCATE ALL does');
error_is($c->query('EXECUTE p(1)'), '26000', qr/does not exist/, '... behind the Query too');

# The extended protocol: unnamed and named, described, on any server.
$c->query($_), $direct->query('DEALLOCATE ALL') for 'PREPARE p (int) AS SELECT $1 * 10 AS tenfold';
$direct->query('PREPARE p (int) AS SELECT $1 * 10 AS tenfold');
for my $round (0 .. 2) {
    $elsewhere->($round);
    for my $name ('', "n$round") {
        my @said;
        for my $x ($direct, $c) {
            $x->cork; $x->parse($name, "EXECUTE p($round)"); $x->describe('S', $name); $x->bind('', $name); $x->describe('P', ''); $x->execute(''); $x->sync; $x->uncork;
            my $r = $x->finish;
            push @said, Bulkhead::Wire->types($r->{msgs}) . ' ' . $same->($r);
        }
        is($said[1], $said[0], "round $round: extended EXECUTE, statement \"$name\": $said[0]");
    }
    for my $x ($c) { # prepared before, bound on another server
        $elsewhere->($round + 1);
        $x->cork; $x->bind('', "n$round"); $x->execute(''); $x->sync; $x->uncork;
        is(row_values($x->finish), $round * 10, "round $round: bound later, on another server");
    }
}
is($c->ext('EXECUTE nobody', [])->{error}{C}, '26000', 'a name that nobody made');
$c->query('DEALLOCATE p');
$c->cork; $c->bind('', 'n1'); $c->execute(''); $c->sync; $c->uncork;
error_is($c->finish, '26000', qr/does not exist/, 'a name that is gone when it is bound');
$c->query('PREPARE p (int) AS SELECT $1 * 100 AS hundredfold');
$c->cork; $c->bind('', 'n1'); $c->execute(''); $c->sync; $c->uncork;
is(row_values($c->finish), 100, 'the name means what it means now');
# While the client has a pin.
my $m = $p->connect('three');
$m->query('PREPARE mine AS SELECT 1');
$m->query('PREPARE two AS SELECT 2; SELECT 1');
is($m->value('EXECUTE mine') . $m->value('EXECUTE two'), '12', 'names of both kinds, pinned');
is($same->($m->query('EXECUTE two; EXECUTE mine')), 'ok SELECT 1:2 SELECT 1:1', '... in one Query');
error_is($m->query('PREPARE mine AS SELECT 3'), '42P05', qr/already exists/, '... and no name twice');
error_is($m->query('SELECT 1; PREPARE mine AS SELECT 3'), '42P05', qr/already exists/, '... in whatever Query');
$_->query('COMMIT') for @others;
finish();
