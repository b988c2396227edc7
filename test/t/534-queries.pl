#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW QUERIES and RESET QUERIES: each protocol and kind of end is counted, under the client's text without its literals.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $secret = 'Sesame-5ecret';
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE t (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20) g;
SQL
my $workers = $ENV{BH_WORKERS} // 2;
my $p = proxy(pg => $pg, databases => {
        db => 'dbname=postgres user=app pool_size=4', one => 'dbname=postgres user=app pool_size=1', raw => 'dbname=postgres user=app pool_size=1 session_state=passthrough',
        mine => 'dbname=postgres user=app pool_size=4 tenant_mode=rewrite', few => 'dbname=postgres user=app pool_size=2',
        virtual => 'dbname=postgres user=app pool_size=2 session_state=virtual',
    },
    users => { map { ($_ => $_ eq 'plain' ? 'pool_mode=transaction' : "pool_mode=transaction tenant=$_") } qw(plain acme beta gamma) },
    auth => { map { ($_ => '') } qw(plain acme beta gamma) },
    set => { tenant_columns => 'tenant_id', worker_threads => $workers, query_stats_max => 50 });
my $rows = sub { my ($db, $like) = @_; return [grep { $_->{database} eq $db && $_->{template} =~ $like } @{ $p->console('SHOW QUERIES') }] };
# calls|errors|rows of the one template that matches
my $is = sub {
    my ($db, $like, $want, $name) = @_;
    my $r = $rows->($db, $like);
    is(@$r == 1 ? join('|', @{ $r->[0] }{qw(calls errors rows)}) : scalar(@$r) . ' templates', $want, $name)
        or diag(join "\n", map { "$_->{database}: $_->{template} $_->{calls}" } @{ $p->console('SHOW QUERIES') });
    return $r->[0];
};

# ---- the simple protocol
my $c = $p->connect('db', 'plain');
$c->query("SELECT title FROM t WHERE id = $_ AND title <> '$secret$_'") for 1 .. 9;
my $r = $is->('db', qr/^SELECT title FROM t WHERE id/, '9|0|9', 'texts that differ in constants are one template');
is($r->{template}, 'SELECT title FROM t WHERE id = ? AND title <> ?', 'which has none of them');
cmp_ok($r->{total_us}, '>=', 9 * $r->{min_us}, 'times add up');
ok($r->{min_us} <= $r->{mean_us} && $r->{mean_us} <= $r->{max_us}, 'mean within min and max');
ok($r->{min_us} <= $r->{p95_us} && $r->{p95_us} <= $r->{max_us}, 'p95 within min and max');
cmp_ok($r->{bytes}, '>=', 9 * 60, 'bytes of the answers');
is($r->{tenants}, 0, 'no tenant');
$c->query('SELECT id FROM t WHERE id IN (' . join(',', 1 .. $_) . ')') for 1 .. 5;
$is->('db', qr/IN \(\?, \.\.\.\)/, '5|0|15', 'lists of constants are one, however many');
$c->query("SELECT 1; SELECT '$secret' FROM t WHERE id < 4; -- $secret");
$is->('db', qr/^SELECT \?; SELECT/, '1|0|4', 'several statements in one Query are one call; rows of all');
$c->query("/* $secret */ SELECT id FROM nowhere_$_") for 1;
$c->query("SELECT id / 0 FROM t WHERE title <> '$secret'") for 1 .. 3;
$is->('db', qr/nowhere/, '1|1|0', 'an error');
$is->('db', qr{id / \?}, '3|3|0', 'errors at run time');
$c->query("SELECT '$secret");
$c->query("SELECT 'a' || $secret'");
$is->('db', qr/^<unreadable>$/, '2|2|0', 'what cannot be read shows nothing');
$c->query("COPY t (id, tenant_id) FROM STDIN", copy => ["100\tacme\n101\tbeta\n"]);
$is->('db', qr/^COPY t/, '1|0|2', 'COPY FROM');
$c->query('COPY (SELECT id FROM t WHERE id > 99) TO STDOUT');
$is->('db', qr/^COPY \(/, '1|0|2', 'COPY TO');
$c->query("DELETE FROM t WHERE id > 99");
$is->('db', qr/^DELETE/, '1|0|2', 'DELETE');
$c->query('');
$is->('db', qr/^<empty>$/, '1|0|0', 'nothing at all');
$c->query('SELECT /* ' . ('x' x 70_000) . " */ '$secret'");
$is->('db', qr/^<too long>$/, '1|0|1', 'a text that is too long to be looked at');
$c->query('BEGIN');
$c->query('DECLARE cur CURSOR FOR SELECT id FROM t ORDER BY id');
$c->query("FETCH $_ FROM cur") for 2, 3;
$c->query('COMMIT');
$is->('db', qr/^FETCH/, '2|0|5', 'a cursor');
$c->query("SET standard_conforming_strings = off");
$c->query("SELECT 'it\\'s $secret', '", no_die => 1);
$c->query("SELECT 'it\\'s $secret or \\'$secret'");
$is->('db', qr/^<unreadable>$/, '4|3|1', 'a backslash while it escapes shows nothing');
$c->query("SELECT 'it\\\\', title AS plain FROM t");
$c->query("RESET standard_conforming_strings");
$c->query("SELECT 'normal', title AS plain FROM t") for 1 .. 3;
$is->('db', qr/AS plain/, '3|0|60', '... and does not decide how others with such a text are shown');
$c->query("SELECT 'standard_conforming_strings \\', title AS fine FROM t");
$c->query("SELECT '\xff', title AS \"\xc3\xa9\" FROM t", no_die => 1);
$c->query("SELECT 'normal', title AS \"\xc3\xa9\" FROM t") for 1, 2;
$c->query("SELECT 'normal', title AS fine FROM t") for 1, 2;
$is->('db', qr/AS fine/, '2|0|40', 'nor do doubtful words in a constant');
$is->('db', qr/AS "[^_]/, '2|0|40', 'nor bytes in it that are no text');

# a text in pieces
$c->send_raw('Q' . pack('N', 4 + length("SELECT 41, 'abc' FROM t LIMIT 2\0")) . 'SELECT 41, ');
$c->send_raw("'abc' FROM t LIMIT 2\0");
$c->finish;
$is->('db', qr/^SELECT \?, \.\.\. FROM t LIMIT/, '1|0|2', 'a Query that comes in pieces');

# ---- the extended protocol
$c->ext('SELECT title FROM t WHERE id > $1 AND id < $2', [3, 6]) for 1 .. 4;
$is->('db', qr/id > \? AND id < \?$/, '4|0|8', 'the unnamed statement');
$c->ext('SELECT id FROM t WHERE id = $1', [7], name => 's1');
for (1 .. 5) { $c->bind('', 's1', [8])->execute('')->sync; $c->finish }
$is->('db', qr/^SELECT id FROM t WHERE id = \?$/, '6|0|6', 'a named statement');
$c->cork;
$c->bind('', 's1', [$_])->execute('') for 1 .. 3;
$c->parse('', 'SELECT 7 FROM t')->bind('', '', [])->execute('')->sync->uncork;
$c->finish;
$is->('db', qr/^SELECT id FROM t WHERE id = \?$/, '9|0|9', 'several Executes and one Sync');
$is->('db', qr/^SELECT \? FROM t$/, '1|0|20', 'the one behind them');
$c->cork;
for (1 .. 3) { $c->bind('', 's1', [$_])->execute('')->sync }
$c->uncork;
$c->finish for 1 .. 3;
$is->('db', qr/^SELECT id FROM t WHERE id = \?$/, '12|0|12', 'a pipeline with a Sync each');
$c->query('BEGIN');
$c->parse('', 'SELECT id FROM t ORDER BY id DESC')->bind('por', '', [])->execute('por', 5)->sync;
$c->finish;
$c->bind('', 's1', [1])->execute('')->execute('por', 6)->sync;
$c->finish;
$c->query('COMMIT');
$is->('db', qr/DESC$/, '2|0|0', 'a portal in parts: a call for each') ; # PortalSuspended tells no rows
$is->('db', qr/^SELECT id FROM t WHERE id = \?$/, '13|0|13', 'the one between them');
$c->cork->bind('', 's1', ["x$secret"]);
$c->execute('')->bind('', 's1', [1])->execute('')->sync->uncork;
$c->finish;
$is->('db', qr/^SELECT id FROM t WHERE id = \?$/, '14|1|13', 'a Bind that fails is an error; what is skipped did not run');
$c->ext("SELECT x, '$secret' FROM");
$is->('db', qr/^SELECT x, \? FROM$/, '1|1|0', 'a Parse that fails');
$c->ext('');
$c->query('PREPARE q(int) AS SELECT count(*) FROM t WHERE id < $1');
$c->query("EXECUTE q($_)") for 1 .. 3;
$is->('db', qr/^SELECT count\(\*\) FROM t WHERE id < \?$/, '3|0|3', 'EXECUTE in SQL counts for what it runs');
my $raw = $p->connect('raw', 'plain');
$raw->query('PREPARE q(int) AS SELECT 1');
$raw->query("EXECUTE q($_)") for 1 .. 3;
$is->('raw', qr/^EXECUTE q\(\?\)$/, '3|0|3', 'without virtual session state it is a text as others');
$raw->bind('', 'q', [1])->execute('')->sync;
$raw->finish;
$is->('raw', qr/^<prepared by name>$/, '1|0|1', 'and Bind of its name runs nobody knows what');

# ---- waiting
my @w = map { $p->connect('one', 'plain') } 1 .. 2;
$w[0]->query('BEGIN');
$w[1]->send_query('SELECT 1 AS waiter');
wait_for(sub { ($p->pool('one', 'plain') // {})->{cl_waiting} // 0 }, 10);
$w[0]->query('COMMIT');
$w[1]->finish;
$r = $is->('one', qr/waiter/, '1|0|1', 'one that waited for its server');
cmp_ok($r->{wait_us}, '>', 0, 'its wait counts apart');
is($is->('one', qr/^BEGIN/, '1|0|0', 'one that did not')->{wait_us}, 0, 'has none');

# ---- cancelled, killed, left
$w[0]->send_query('SELECT pg_sleep(60)');
my $runs = sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") };
wait_for($runs, 10);
$w[0]->cancel;
error_is($w[0]->finish, '57014', qr/cancel/, 'a cancelled one');
$is->('one', qr/pg_sleep/, '1|1|0', 'is an error');
$w[0]->send_query('SELECT pg_sleep(61)');
wait_for($runs, 10);
$pg->value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'");
$w[0]->wait_eof(10);
$is->('one', qr/pg_sleep/, '2|2|0', 'one whose server is killed');
$w[1]->send_query('SELECT pg_sleep(62)');
wait_for($runs, 10);
$w[1]->abort;
ok(wait_for(sub { my $x = $rows->('one', qr/pg_sleep/)->[0]; $x->{calls} == 3 && $x->{errors} == 3 }, 10), 'one whose client left');

# ---- tenants
my %t = map { ($_ => $p->connect('mine', $_)) } qw(acme beta gamma);
for my $n (sort keys %t) { $t{$n}->query("SELECT count(*) FROM t WHERE title <> '$secret'") for 1 .. 2 }
$r = $is->('mine', qr/^SELECT count/, '6|0|6', 'a rewritten statement');
is($r->{template}, 'SELECT count(*) FROM t WHERE title <> ?', 'is shown as its client wrote it');
like($r->{tenants}, qr/^[23]$/, 'by how many tenants, about'); # two of them may share a bit
$t{acme}->ext('SELECT title FROM t WHERE id = $1', [$_]) for 2, 4;
is($is->('mine', qr/^SELECT title/, '2|0|2', 'extended')->{tenants}, 1, 'one tenant');
$t{acme}->query("SELECT pg_read_file('$secret')");
$is->('mine', qr/pg_read_file/, '1|1|0', 'a refused one is a call and an error');
$t{acme}->ext("SELECT lo_get(\$1)", [1]);
$is->('mine', qr/lo_get/, '1|1|0', 'refused in the extended protocol');
$t{acme}->query('PREPARE q(int) AS SELECT title FROM t WHERE id = $1');
$t{acme}->query("EXECUTE q($_)") for 2, 4, 6;
$is->('mine', qr/^PREPARE/, '1|0|0', 'PREPARE of a tenant');
$is->('mine', qr/^SELECT title FROM t WHERE id = \?$/, '5|0|5', 'EXECUTE of a tenant counts for what it runs');
$t{beta}->query("COPY t (id, title) FROM STDIN", copy => ["200\t$secret\n"]);
$is->('mine', qr/^COPY/, '1|0|1', 'COPY of a tenant');
my $v = $p->connect('virtual', 'plain');
$v->query("PREPARE vq(int) AS SELECT id FROM t WHERE id <= \$1");
$v->query("EXECUTE vq($_)") for 1 .. 3;
$is->('virtual', qr/^SELECT id FROM t WHERE id <= \?/, '3|0|6', 'EXECUTE with virtual session state');

# ---- the table itself
my $all = $p->console('SHOW QUERIES');
is(join(',', map { $_->{total_us} } @$all), join(',', sort { $b <=> $a } map { $_->{total_us} } @$all), 'the most time first');
is(scalar @{ $p->console('SHOW QUERIES LIMIT 3') }, 3, 'LIMIT');
is(join('|', map { $_->{database} } @{ $p->console("SHOW QUERIES LIKE 'min%' LIMIT 2") }), 'mine|mine', 'LIKE and LIMIT');
ok(!(grep { $_->{database} ne 'one' } @{ $p->console("SHOW QUERIES LIKE 'one'") }), 'LIKE');
like($p->console('SHOW QUERIES LIMIT x', raw => 1, no_die => 1)->{error}{M}, qr/LIMIT takes a number/, 'LIMIT takes a number');
like($p->console('SHOW POOLS LIMIT 1', raw => 1, no_die => 1)->{error}{M}, qr/invalid command/, 'other tables have none');
ok(scalar @{ $p->console('SHOW QUERIES', user => 'bhstats') }, 'for stats_users');
my ($st, $out) = psql('host=' . $p->host . ' port=' . $p->port . ' user=bhadmin password=bhadmin dbname=pgbouncer', 'SHOW QUERIES');
is($st, 0, 'psql shows it');
unlike($out, qr/\Q$secret\E/, 'no literal anywhere');
unlike(join(' ', map { $_->{template} } @$all), qr/\Q$secret\E|[\x00-\x1f\x7f]/, 'nor control characters');

# ---- bounds: as many templates as it may have, sums stay
is($p->console('RESET QUERIES', raw => 1)->{results}[0]{tag}, 'RESET', 'RESET QUERIES');
is(scalar @{ $p->console('SHOW QUERIES') }, 0, 'empties it');
my $few = $p->connect('few', 'plain');
for my $i (1 .. 300) { $few->query("SELECT 1 AS a$i"); $few->query('SELECT 2 AS hot') if $i % 3 == 0 }
$all = $p->console('SHOW QUERIES');
cmp_ok(scalar @$all, '<=', 51, 'query_stats_max templates of the one worker, and one row for the others');
my $sum = 0;
$sum += $_->{calls} for @$all;
is($sum, 400, 'no call is lost');
is(($rows->('few', qr/hot/)->[0] // {})->{calls}, 100, 'what is met often stays');
cmp_ok(($rows->('', qr/^<other statements>$/)->[0] // {})->{calls}, '>=', 200, 'the others are one row');

# ---- off and on
$p->console('RESET QUERIES', raw => 1);
$p->console('SET query_stats = 0', raw => 1);
$c->query('SELECT 1 AS off');
is(scalar @{ $p->console('SHOW QUERIES') }, 0, 'query_stats = 0: nothing is counted');
$p->console('SET query_stats = 1', raw => 1);
$c->query('SELECT 1 AS on');
$is->('db', qr/AS on/, '1|0|1', 'and on again');
finish();
