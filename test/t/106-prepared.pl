#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Prepared statements of the protocol across transactions and servers: names, texts, types, limits, errors.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', one => 'dbname=postgres pool_size=1' }, set => { default_pool_size => 3, max_prepared_statements => 10 });
my $t = sub { Bulkhead::Wire->types($_[0]{msgs}) };
my $prep = sub { my ($c, $n, $sql, @types) = @_; $c->cork; $c->parse($n, $sql, @types); $c->sync; $c->uncork; return $c->finish };
my $run = sub { my ($c, $n, @v) = @_; $c->cork; $c->bind('', $n, [@v]); $c->execute(''); $c->sync; $c->uncork; return $c->finish };

my @c = map { $p->connect('test') } 1 .. 6;
is($t->($prep->($c[$_], 'q', "SELECT \$1::int * 10 + $_")), '1Z', "client $_ prepares q") for 0 .. 5;
for my $round (1 .. 3) {
    # All at once, so that the statements land on every server.
    $_->query('BEGIN') for @c[0 .. 2];
    is(row_values($run->($c[$_], 'q', $round)), $round * 10 + $_, "round $round: client $_ gets its own text, inside a transaction") for 0 .. 2;
    $_->query('COMMIT') for @c[0 .. 2];
    is(row_values($run->($c[$_], 'q', $round)), $round * 10 + $_, "round $round: client $_") for 3 .. 5;
}
# Errors keep the connection.
my $r = $prep->($c[0], 'q', 'SELECT 1');
error_is($r, '42P05', qr/prepared statement "q" already exists/, 'a name twice: 42P05');
$r = $run->($c[0], 'unknown');
error_is($r, '26000', qr/prepared statement "unknown" does not exist/, 'an unknown name: 26000');
$c[0]->cork; $c[0]->describe('S', 'unknown'); $c[0]->sync; $c[0]->uncork;
error_is($c[0]->finish, '26000', qr/"unknown" does not exist/, 'describing an unknown name');
is(row_values($run->($c[0], 'q', 1)), 10, 'the connection and its statement live on');
$r = $prep->($c[1], 'bad', 'SELEC');
error_is($r, '42601', qr/syntax error/, 'a statement with an error');
error_is($run->($c[1], 'bad'), '26000', qr/"bad" does not exist/, 'does not exist');
is($t->($prep->($c[1], 'bad', 'SELECT 8')), '1Z', 'and its name is free');
is(row_values($run->($c[1], 'bad')), 8, 'as seen');
# Close, and preparing again.
$c[0]->cork; $c[0]->close_name('S', 'q'); $c[0]->close_name('S', 'never'); $c[0]->sync; $c[0]->uncork;
is($t->($c[0]->finish), '33Z', 'Close, also of unknown names');
error_is($run->($c[0], 'q', 1), '26000', qr/"q" does not exist/, 'a closed name is gone');
is(row_values($run->($c[1], 'q', 1)), 11, 'for its client only');
is($t->($prep->($c[0], 'q', 'SELECT $1::text || 1')), '1Z', 'prepared with another text');
is(row_values($run->($c[0], 'q', 'x')), 'x1', 'and used');
# The same text with other types is another statement.
$prep->($c[0], 'i', 'SELECT pg_typeof($1)', 23);
$prep->($c[1], 'i', 'SELECT pg_typeof($1)', 25);
is(row_values($run->($c[0], 'i', '1')) . row_values($run->($c[1], 'i', '1')), 'integertext', 'types are part of a statement');
# Describe of a named statement.
$c[2]->cork; $c[2]->describe('S', 'q'); $c[2]->sync; $c[2]->uncork;
is($t->($c[2]->finish), 'tTZ', 'Describe of a statement');
# Parse and Bind in one batch with an error before: nothing is prepared.
$c[3]->cork; $c[3]->parse('', 'SELECT 1/(SELECT 0)'); $c[3]->bind('', ''); $c[3]->execute(''); $c[3]->parse('later', 'SELECT 1'); $c[3]->sync; $c[3]->uncork;
error_is($c[3]->finish, '22012', qr/division/, 'an error before a Parse');
error_is($run->($c[3], 'later'), '26000', qr/"later" does not exist/, 'the skipped Parse prepared nothing');
# Many statements against the limit of 10 per server.
my $d = $p->connect('one');
$prep->($d, "s$_", "SELECT $_ + \$1::int") for 1 .. 40;
is(join(',', map { row_values($run->($d, "s$_", 100)) } 1 .. 40), join(',', 101 .. 140), '40 statements with a limit of 10');
my $e = $p->connect('one');
my $held = $e->value('SELECT count(*) FROM pg_prepared_statements');
cmp_ok($held, '<=', 11, "the server keeps few of them ($held)");
# Many statements in one pipeline beyond the limit.
$d->cork;
for (1 .. 40) { $d->bind('', "s$_", [200]); $d->execute('') }
$d->sync;
$d->uncork;
$r = $d->finish;
is(join(',', map { $_->{rows}[0][0] } @{ $r->{results} }), join(',', 201 .. 240), '40 statements in one pipeline');
# One text shared by clients is prepared once per server.
my @same = map { $p->connect('one') } 1 .. 5;
$prep->($same[$_], "mine$_", 'SELECT 4242') for 0 .. 4;
is(row_values($run->($same[$_], "mine$_")), 4242, "shared text, client $_") for 0 .. 4;
# Each worker has its names.
cmp_ok($e->value("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 4242'"), '<=', $ENV{BH_WORKERS} // 2, 'one statement per worker on the server');
# What a server of the pool has prepared, for whichever worker, needs no server to be prepared once more. (pgbench -M prepared waits
# for each Parse in a thread that holds servers in its other clients' transactions.)
{
    my $q = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1' }, set => { worker_threads => 2 });
    my ($holder, @others) = map { $q->connect('one') } 1 .. 9;
    is($t->($prep->($holder, 'open', 'BEGIN')), '1Z', 'BEGIN as a statement');
    is($run->($holder, 'open')->{status}, 'T', 'holds the only server');
    is($t->($prep->($others[$_], 'open', 'BEGIN')), '1Z', "client $_ of two workers prepares it meanwhile") for 0 .. $#others;
    $holder->query('COMMIT');
    is($run->($others[$_], 'open')->{status}, 'T', "client $_ runs it"), $others[$_]->query('COMMIT') for 0 .. $#others;
    $_->close for $holder, @others;
    $q->stop;
}
# DEALLOCATE ALL and DISCARD ALL of one client leave the others' alone.
$same[0]->query('DEALLOCATE ALL');
is(row_values($run->($same[1], 'mine1')), 4242, 'after DEALLOCATE ALL of another client');
error_is($run->($same[0], 'mine0'), '26000', qr/"mine0" does not exist/, 'which lost its own');
$same[1]->query('DISCARD ALL');
is(row_values($run->($same[2], 'mine2')), 4242, 'after DISCARD ALL of another client');
# The unnamed statement stays for its client over Flush and Sync.
$d->cork; $d->parse('', 'SELECT 31'); $d->sync; $d->uncork; $d->finish;
is($e->value('SELECT 1'), 1, 'another client uses the server');
is($t->($run->($d, '')), '2DCZ', 'the unnamed statement survives Sync in transaction pooling');
# A killed server: statements come back.
my @old = map { $_->{remote_pid} } @{ $p->console('SHOW SERVERS') };
$pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
ok($p->lost_servers(@old), 'all servers are lost');
is(row_values($run->($same[3], 'mine3')), 4242, 'statements are prepared again on a new server');
is(row_values($run->($d, 's1', 1)), 2, 'for everybody');
# Names that are long or odd.
my $odd = "n'\"; DROP -- \xc3\xab" . 'x' x 300;
is($t->($prep->($d, $odd, 'SELECT 12')), '1Z', 'an odd long name');
is(row_values($run->($d, $odd)), 12, 'works');
finish();
