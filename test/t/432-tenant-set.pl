#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# set= of [tenant_rules]: a setting holds for one statement, in both protocols, in and out of transactions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE EXTENSION cube;
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE items (id int, tenant_id text, pos point, c cube, note text);
CREATE TABLE others (id int, tenant_id text, pos point);
CREATE TABLE logged (id int, tenant_id text);
CREATE TABLE maps (id int, pos point);
CREATE TABLE bad (id int, tenant_id text);
CREATE INDEX ON items USING gist (pos); CREATE INDEX ON items USING gist (c);
INSERT INTO items SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, point(g, g), cube(ARRAY[g, g]), 'n' FROM generate_series(1, 400) g;
INSERT INTO others SELECT id, tenant_id, pos FROM items WHERE id < 9; INSERT INTO logged SELECT id, tenant_id FROM others; INSERT INTO maps SELECT id, pos FROM others; INSERT INTO bad SELECT id, tenant_id FROM others;
SQL
$pg->sql('ANALYZE');
my %common = (pg => $pg, users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { map { ($_ => '') } qw(acme beta) });
my $p = proxy(%common, databases => { db => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite', strict => 'dbname=postgres user=app pool_size=1 tenant_mode=reject',
        audit => 'dbname=postgres user=app pool_size=1 tenant_mode=audit' },
    rules => ['public.items = tenant_id set="work_mem=7MB" set="knn.effort=high"', 'public.logged = tenant_id set="work_mem=9MB" set_when=always',
        'public.maps = shared set="work_mem=5MB"', 'public.bad = tenant_id set="no_such_setting=1" set_when=always'],
    set => { tenant_columns => 'tenant_id', tenant_explain => 'plan', worker_threads => 1 });
# What the server sees is in its log: a column of the answer asks for the setting while the statement runs.
my $ask = "current_setting('work_mem')";
my $acme = $p->connect('db', 'acme');
my $default = $acme->value("SELECT $ask");
isnt($default, '7MB', 'the default is another value');
sub both {
    my ($c, $sql, $want, $name) = @_;
    my $r = $c->query($sql);
    is($r->{error} ? "$r->{error}{C} $r->{error}{M}" : row_values($r), $want, $name);
    is(scalar @{ $r->{results} }, 1, "$name: one answer");
    is(row_values($c->ext($sql, [])), $want, "$name, extended");
    return is(row_values($c->query("SELECT $ask")), $default, "$name: gone afterwards");
}
my %order = ('in ORDER BY' => "SELECT $ask FROM items ORDER BY pos <-> '(3,3)' LIMIT 1", 'operands the other way' => "SELECT $ask FROM items i ORDER BY '(3,3)'::point <-> i.pos LIMIT 1",
    'by its alias' => "SELECT $ask, pos <-> '(3,3)' AS d FROM items ORDER BY d LIMIT 1", 'by its number' => "SELECT $ask, pos <-> '(4,4)' FROM items ORDER BY 2 LIMIT 1", 'of cube' => "SELECT $ask FROM items ORDER BY c <-> cube(array[3,3]) LIMIT 1",
    'in a sub-query' => "SELECT $ask FROM (SELECT pos FROM items ORDER BY pos <-> '(3,3)' LIMIT 1) x", 'in a CTE' => "WITH c AS (SELECT * FROM items ORDER BY pos <-> '(1,1)' LIMIT 1) SELECT $ask FROM c");
for my $k (sort keys %order) {
    my $want = $k =~ /alias|number/ ? "7MB|" . ($k =~ /alias/ ? '1.4142135623730951' : '0') : '7MB';
    both($acme, $order{$k}, $want, "distance $k");
}
both($acme, "SELECT $ask FROM items ORDER BY id LIMIT 1", $default, 'another order');
both($acme, "SELECT $ask FROM items WHERE pos <-> '(1,1)' < 2 LIMIT 1", $default, 'a distance elsewhere');
both($acme, "SELECT $ask FROM others, items WHERE others.id = items.id ORDER BY others.pos <-> '(3,3)' LIMIT 1", $default, 'a distance of another table');
both($acme, "SELECT $ask FROM logged WHERE id = 2", '9MB', 'set_when=always');
both($acme, "SELECT $ask FROM maps ORDER BY pos <-> '(3,3)' LIMIT 1", '5MB', 'a shared table');
is($acme->query("INSERT INTO logged SELECT 100, 'acme' WHERE $ask = '9MB'")->{results}[0]{tag}, 'INSERT 0 1', 'INSERT');
is($acme->query("UPDATE logged SET id = 101 WHERE id = 100 AND $ask = '9MB'")->{results}[0]{tag}, 'UPDATE 1', 'UPDATE');
is($acme->query("DELETE FROM logged WHERE id = 101 AND $ask = '9MB'")->{results}[0]{tag}, 'DELETE 1', 'DELETE');
# Parameters, named statements, several servers' worth of reuse.
$acme->cork; $acme->parse('knn', "SELECT $ask, id FROM items ORDER BY pos <-> \$1::point LIMIT 1"); $acme->sync; $acme->uncork; $acme->finish;
for (1 .. 3) { $acme->cork; $acme->bind('', 'knn', ['(4,4)']); $acme->execute(''); $acme->sync; $acme->uncork; is(row_values($acme->finish), '7MB|4', "named, round $_") }
# In transactions.
for my $how (qw(query ext)) {
    my $run = sub { $how eq 'query' ? $acme->query($_[0]) : $acme->ext($_[0], []) };
    $acme->query('BEGIN');
    is(row_values($run->($order{'in ORDER BY'})), '7MB', "$how: in a transaction");
    is(row_values($run->("SELECT $ask")), $default, "$how: not for the next statement");
    is(row_values($acme->query("SELECT $ask")), $default, "$how: nor for one in the other protocol");
    $run->($order{'in ORDER BY'});
    is(row_values($acme->query("SELECT $ask")), $default, "$how: nor for the first in the other protocol");
    $acme->query('SAVEPOINT s');
    error_is($run->("SELECT 1 / (id - id) FROM items ORDER BY pos <-> '(3,3)'"), '22012', qr/zero/, "$how: a failure");
    is($run->('ROLLBACK TO s')->{status}, 'T', "$how: is rolled back");
    is(row_values($run->("SELECT $ask")), $default, "$how: with the setting");
    $run->($order{'in ORDER BY'});
    error_is($run->('SELECT 1/0'), '22012', qr/zero/, "$how: a failure behind it");
    is($run->('ROLLBACK')->{status}, 'I', "$how: ROLLBACK works");
    $acme->query('BEGIN ISOLATION LEVEL SERIALIZABLE'); is(row_values($run->($order{'in ORDER BY'})), '7MB', "$how: serializable");
    is($run->('COMMIT')->{results}[0]{tag}, 'COMMIT', "$how: COMMIT");
    is(row_values($run->("SELECT $ask")), $default, "$how: afterwards");
}
# A failed transaction refuses as ever.
$acme->query('BEGIN'); $acme->query('SELECT 1/0');
error_is($acme->query($order{'in ORDER BY'}), '25P02', qr/aborted/, 'in a failed transaction');
error_is($acme->ext($order{'in ORDER BY'}, []), '25P02', qr/aborted/, 'extended');
is($acme->query('ROLLBACK')->{status}, 'I', 'which ends as ever');
# Pipelines.
$acme->cork;
for my $q ("SELECT $ask", $order{'in ORDER BY'}, "SELECT $ask", $order{'in ORDER BY'}) { $acme->parse('', $q); $acme->bind('', ''); $acme->execute('') }
$acme->sync; $acme->uncork;
is(join(',', map { $_->{rows}[0][0] } @{ $acme->finish->{results} }), "$default,7MB,$default,7MB", 'pipeline: each statement has its own');
$acme->cork; $acme->parse('', $order{'in ORDER BY'}); $acme->bind('', ''); $acme->execute(''); $acme->parse('', 'SELECT 1/0'); $acme->bind('', ''); $acme->execute(''); $acme->sync;
$acme->parse('', "SELECT $ask"); $acme->bind('', ''); $acme->execute(''); $acme->sync; $acme->uncork;
is($acme->finish->{error}{C}, '22012', 'pipeline: an error');
is(row_values($acme->finish), $default, 'pipeline: the next batch is without');
# A suspended portal goes on.
$acme->query('BEGIN');
$acme->cork; $acme->parse('', "SELECT id FROM items ORDER BY pos <-> '(3,3)' LIMIT 3"); $acme->bind('', ''); $acme->execute('', 1); $acme->execute('', 1); $acme->execute('', 0); $acme->sync; $acme->uncork;
is(join(',', map { $_->[0] } map { @{ $_->{rows} } } @{ $acme->finish->{results} }), '2,4,6', 'a portal by row limits');
$acme->query('COMMIT');
# Several statements in one Query; answers keep their order.
my $r = $acme->query("SELECT 1; $order{'in ORDER BY'}; SELECT 'three'");
is(join(',', map { $_->{rows}[0][0] } @{ $r->{results} }), '1,7MB,three', 'several statements in one Query');
is(join(',', map { $_->{tag} } @{ $r->{results} }), 'SELECT 1,SELECT 1,SELECT 1', 'their tags');
is(row_values($acme->query("SELECT $ask")), $default, 'gone');
$r = $acme->query("BEGIN; $order{'in ORDER BY'}; COMMIT");
is(scalar @{ $r->{results} }, 3, 'with transaction commands among them it runs without the setting');
$r = $acme->query("$order{'in ORDER BY'}; -- comment");
is(row_values($r), '7MB', 'a comment at the end');
# Cursors, COPY, EXPLAIN.
$acme->query('BEGIN'); $acme->query("DECLARE c CURSOR FOR $order{'in ORDER BY'}");
is(row_values($acme->query('FETCH c')), '7MB', 'a cursor, for the rest of the transaction'); $acme->query('COMMIT');
is(row_values($acme->query("SELECT $ask")), $default, 'gone with it');
is($acme->query("COPY ($order{'in ORDER BY'}) TO STDOUT")->{results}[0]{tag}, 'COPY 1', 'COPY');
like(row_values($acme->query("EXPLAIN (COSTS OFF) $order{'in ORDER BY'}")), qr/Order By/, 'EXPLAIN: the index orders still');
# Errors point into the client's text.
is($acme->query("SELECT id + 'x' FROM items ORDER BY pos <-> '(3,3)'")->{error}{P}, 13, 'position of an error');
# Names that the server does not have, and names that are the rules' own.
error_is($acme->query('SELECT count(*) FROM bad'), '42704', qr/no_such_setting/, 'a setting that the server does not know: its error');
error_is($acme->ext('SELECT count(*) FROM bad', []), '42704', qr/no_such_setting/, 'extended');
is($acme->value('SELECT count(*) FROM others'), 4, 'the connection lives');
error_is($acme->query("SET knn.effort = 'low'"), '42501', qr/setting/, 'clients cannot set what rules set');
# Other modes.
my $strict = $p->connect('strict', 'acme');
is(row_values($strict->query("SELECT $ask FROM items WHERE tenant_id = 'acme' ORDER BY pos <-> '(3,3)' LIMIT 1")), '7MB', 'reject');
is(row_values($strict->ext("SELECT $ask FROM items WHERE tenant_id = \$1 ORDER BY pos <-> '(3,3)' LIMIT 1", ['acme'])), '7MB', 'reject, extended');
is(row_values($p->connect('audit', 'acme')->query($order{'in ORDER BY'})), $default, 'audit changes nothing');
# Another tenant on the same server.
is(row_values($p->connect('db', 'beta')->ext("SELECT $ask FROM items ORDER BY id LIMIT 1", [])), $default, 'nothing of it for another tenant');
finish();
