#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Tenants end to end: own rows only in both protocols, foreign writes refused, refusals counted, fail closed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text, pages int DEFAULT 1);
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, body text);
CREATE TABLE kinds (code text PRIMARY KEY, label text);
CREATE TABLE unknown_to_all (id int, secret text);
INSERT INTO documents SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g, g FROM generate_series(1, 20) g;
INSERT INTO notes SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'note ' || g FROM generate_series(1, 20) g;
INSERT INTO kinds VALUES ('a', 'kind a'), ('b', 'kind b');
INSERT INTO unknown_to_all VALUES (1, 'SECRET');
SQL
my $workers = $ENV{BH_WORKERS} // 2;
my $p = proxy(pg => $pg, databases => {
        db => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite', strict => 'dbname=postgres user=app pool_size=2 tenant_mode=reject',
        audit => 'dbname=postgres user=app pool_size=2 tenant_mode=audit', open => 'dbname=postgres user=app pool_size=2 tenant_mode=off',
    },
    users => { acme => 'tenant=acme', beta => 'tenant=beta', ops => 'tenant=*', lost => 'pool_mode=transaction' }, auth => { map { ($_ => '') } qw(acme beta ops lost) },
    rules => ['public.kinds = shared'], set => { tenant_columns => 'tenant_id', worker_threads => $workers });
my ($acme, $beta) = map { $p->connect('db', $_) } qw(acme beta);
is($acme->value('SELECT count(*) FROM documents'), 10, 'acme sees its ten rows');
is($beta->value('SELECT count(*) FROM documents'), 10, 'beta its own');
is($acme->value("SELECT string_agg(DISTINCT tenant_id, ',') FROM documents"), 'acme', 'nothing foreign among them');
is($acme->value("SELECT count(*) FROM documents WHERE tenant_id = 'beta' OR true"), 10, 'OR does not widen');
is($acme->value("SELECT count(*) FROM (SELECT 1 FROM documents UNION ALL SELECT 1 FROM notes) u"), 20, 'UNION does not either');
is($acme->value('SELECT count(*) FROM documents d JOIN notes n ON true'), 100, 'nor a cross join');
is($acme->value('SELECT count(*) FROM kinds'), 2, 'a shared table is read');
is(row_values($acme->ext('SELECT count(*) FROM documents WHERE pages > $1', [10])), 5, 'extended: with a parameter');
is(row_values($beta->ext('SELECT count(*) FROM documents WHERE pages > $1', [10])), 5, 'extended: of the other tenant, same text');
my $r = $acme->ext('SELECT tenant_id, title FROM documents WHERE id = $1', [1]);
is(row_values($r), '', 'extended: a foreign row by its key is not there');
# Described as written.
$acme->cork; $acme->parse('', 'SELECT id FROM documents WHERE pages = $1 AND title = $2'); $acme->describe('S', ''); $acme->sync; $acme->uncork;
my $m = $acme->finish->{msgs};
is(Bulkhead::Wire->types($m), '1tTZ', 'Describe of a rewritten statement');
is(unpack('n', $m->[1][1]), 2, 'shows the two parameters of the client');
# Named statements across transactions and servers, one text for both tenants.
for my $c ($acme, $beta) { $c->cork; $c->parse('st', 'SELECT min(tenant_id), max(tenant_id), count(*) FROM notes WHERE id > $1'); $c->sync; $c->uncork; $c->finish }
for my $i (1 .. 6) {
    for my $w ([$acme, 'acme'], [$beta, 'beta']) {
        my ($c, $name) = @$w;
        $c->cork; $c->bind('', 'st', [0]); $c->execute(''); $c->sync; $c->uncork;
        is(row_values($c->finish), "$name|$name|10", "prepared, round $i: $name");
    }
}
# Writes.
is($acme->query("INSERT INTO notes VALUES (100, 'acme', 'mine')")->{results}[0]{tag}, 'INSERT 0 1', 'own rows are inserted');
error_is($acme->query("INSERT INTO notes VALUES (101, 'beta', 'theirs')"), '42501', qr/./, 'foreign rows are refused');
is($acme->query("INSERT INTO notes (id, body) VALUES (102, 'given')")->{error} // 'ok', 'ok', 'a missing tenant column is given');
is($pg->value('SELECT tenant_id FROM notes WHERE id = 102'), 'acme', 'as the tenant');
is($acme->query("UPDATE notes SET body = 'x'")->{results}[0]{tag}, 'UPDATE 12', 'UPDATE without WHERE changes own rows');
is($pg->value("SELECT count(*) FROM notes WHERE body = 'x' AND tenant_id <> 'acme'"), 0, 'and no other');
error_is($acme->query("UPDATE notes SET tenant_id = 'beta' WHERE id = 100"), '42501', qr/./, 'rows cannot be given away');
is($acme->query('DELETE FROM notes WHERE id IN (1, 100)')->{results}[0]{tag}, 'DELETE 1', 'DELETE reaches own rows');
error_is($acme->query("UPDATE kinds SET label = 'z'"), '42501', qr/./, 'a shared table is not written');
error_is($acme->ext('INSERT INTO notes VALUES ($1, $2, $3)', [103, 'beta', 'x'], types => [23, 25, 25]), '42501', qr/./, 'extended: a foreign value in Bind is refused');
is($acme->ext('INSERT INTO notes VALUES ($1, $2, $3)', [104, 'acme', 'x'], types => [23, 25, 25])->{error} // 'ok', 'ok', 'extended: the own value is taken');
is($pg->value('SELECT count(*) FROM notes WHERE id = 103'), 0, 'nothing of it arrived');
# Refusals: state, hint, place.
$r = $acme->query('SELECT secret FROM unknown_to_all');
error_is($r, '42501', qr/./, 'an undeclared table is refused');
like(join(' ', map { $r->{error}{$_} // '' } qw(M D)), qr/unknown_to_all/, 'by name');
ok(length($r->{error}{H} // ''), 'with a hint');
ok(($r->{error}{P} // 0) > 0, 'and a position');
for my $sql ("COPY documents TO '/tmp/x'", 'TRUNCATE documents', 'DROP TABLE documents', 'CREATE TABLE x (i int)', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres', "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM dblink('x', 'y')", 'DO $$ BEGIN END $$', "SELECT set_config('search_path', 'x', false)", 'LOCK TABLE documents', 'SELECT pg_sleep(1000)', 'ALTER SYSTEM SET x = 1', 'VACUUM', 'PREPARE TRANSACTION \'x\'',
    'SELECT * FROM pg_stat_activity', 'SELECT * FROM pg_authid', 'SELECT $$', 'SELEC', "SELECT lo_import('/etc/passwd')", 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$') {
    my $q = $acme->query($sql);
    ok($q->{error} && $q->{error}{C} =~ /^(?:42501|0A000|42601)$/, "refused: $sql") or diag($q->{error} ? "$q->{error}{C} $q->{error}{M}" : 'it was answered');
}
is($acme->value('SELECT 1'), 1, 'the connection lives');
# FunctionCall.
$acme->send_msg('F', pack('Nnnn', 1, 0, 0, 0));
$r = $acme->finish;
ok($r->{error} && $r->{error}{C} =~ /^(?:0A000|42501)$/, 'FunctionCall is refused');
is($acme->value('SELECT 2'), 2, 'and the connection lives');
# A refusal inside a transaction fails it on the server too.
$acme->query('BEGIN');
$acme->query("INSERT INTO notes VALUES (200, 'acme', 'in transaction')");
$r = $acme->query('SELECT * FROM unknown_to_all');
is($r->{status}, 'E', 'a refusal fails the transaction');
error_is($acme->query('SELECT 1'), '25P02', qr/aborted/, 'which stays failed');
is($acme->query('COMMIT')->{results}[0]{tag}, 'ROLLBACK', 'COMMIT answers ROLLBACK');
is($pg->value('SELECT count(*) FROM notes WHERE id = 200'), 0, 'and nothing is kept');
$acme->query('BEGIN'); $acme->query('SAVEPOINT s'); $acme->query('SELECT * FROM unknown_to_all');
is($acme->query('ROLLBACK TO s')->{status}, 'T', 'a savepoint saves it');
is($acme->value('SELECT 3'), 3, 'and it goes on');
$acme->query('COMMIT');
# A refusal in a pipeline: its place in the order, the rest skipped to Sync.
$acme->cork;
for my $q ('SELECT 11', 'SELECT * FROM unknown_to_all', "INSERT INTO notes VALUES (300, 'acme', 'skipped')") { $acme->parse('', $q); $acme->bind('', ''); $acme->execute('') }
$acme->sync;
$acme->parse('', 'SELECT 12'); $acme->bind('', ''); $acme->execute(''); $acme->sync;
$acme->uncork;
$r = $acme->finish;
is($r->{results}[0]{rows}[0][0], 11, 'pipeline: the answer before the refusal');
is($r->{error}{C}, '42501', 'pipeline: then the refusal');
is(scalar @{ $r->{results} }, 1, 'pipeline: then nothing up to Sync');
is(row_values($acme->finish), 12, 'pipeline: the next batch runs');
is($pg->value('SELECT count(*) FROM notes WHERE id = 300'), 0, 'pipeline: what was skipped did not happen');
# Several statements in one Query: nothing of it takes effect.
$r = $acme->query("INSERT INTO notes VALUES (400, 'acme', 'x'); SELECT * FROM unknown_to_all");
is($r->{error}{C}, '42501', 'a refused statement in a list');
is($pg->value('SELECT count(*) FROM notes WHERE id = 400'), 0, 'refuses the list as a whole');
# SET: own settings by allow-list, and never another tenant's business.
is($acme->query("SET statement_timeout = '9s'")->{error} // 'ok', 'ok', 'SET of an allowed setting');
# Fail closed.
my $lost = $p->connect('db', 'lost', no_die => 1);
$r = $lost->{error} ? { error => $lost->{error} } : $lost->query('SELECT count(*) FROM documents');
ok($r->{error} && $r->{error}{C} =~ /^(?:42501|28000)$/, 'a user without a tenant gets nothing') or diag(row_values($r));
is($p->connect('db', 'ops')->value('SELECT count(*) FROM documents'), 20, 'tenant=* is exempt');
is($p->connect('open', 'acme')->value('SELECT count(*) FROM documents'), 20, 'tenant_mode=off');
# reject and audit.
my $s = $p->connect('strict', 'acme');
error_is($s->query('SELECT count(*) FROM documents'), '42501', qr/./, 'reject: a statement without the predicate');
is($s->value("SELECT count(*) FROM documents WHERE tenant_id = 'acme'"), 10, 'reject: with it');
error_is($s->query("SELECT count(*) FROM documents WHERE tenant_id = 'beta'"), '42501', qr/./, 'reject: with another tenant\'s');
is(row_values($s->ext('SELECT count(*) FROM documents WHERE tenant_id = $1', ['acme'])), 10, 'reject: by parameter');
is(row_values($s->ext('SELECT count(*) FROM documents WHERE tenant_id = ANY ($1)', ['{acme}'])), 10, 'reject: by a parameter that is an array');
error_is($s->ext('SELECT count(*) FROM documents WHERE tenant_id = ANY ($1)', ['{acme,beta}']), '42501', qr/./, 'reject: with another tenant in it');
error_is($s->ext('SELECT count(*) FROM documents WHERE tenant_id = $1', ['beta']), '42501', qr/./, 'reject: by a parameter of another tenant');
# Described but never run: no error yet, drivers describe what they never execute.
$s->cork; $s->parse('d', 'SELECT title FROM documents'); $s->describe('S', 'd'); $s->sync; $s->uncork;
is(Bulkhead::Wire->types($s->finish->{msgs}), '1tTZ', 'reject: Parse and Describe of what would be refused go through');
$s->cork; $s->bind('', 'd'); $s->execute(''); $s->sync; $s->uncork;
is($s->finish->{error}{C} // 'answered', '42501', 'reject: running it is refused');
is($s->value('SELECT 4'), 4, 'reject: the connection lives');
is($p->connect('audit', 'acme')->value('SELECT count(*) FROM documents'), 20, 'audit: passes');
# Counted.
cmp_ok($p->metric('pgbulkhead_tenant_statements_total', 'outcome="denied"') // 0, '>=', 20, 'denials are counted');
cmp_ok($p->metric('pgbulkhead_tenant_statements_total', 'outcome="rewritten"') // 0, '>=', 20, 'rewritten ones too');
cmp_ok($p->metric('pgbulkhead_tenant_statements_total', 'outcome="audited"') // 0, '>=', 1, 'and what audit would have stopped');
cmp_ok($p->metric('pgbulkhead_tenant_denials_total') // 0, '>=', 20, 'by reason');
unlike($p->log_text, qr/SECRET/, 'no data in the log');
# A new table is found when it is met; a table that appears without the column is refused.
$pg->sql("SET ROLE app; CREATE TABLE later (tenant_id text, v int); INSERT INTO later VALUES ('acme', 1), ('beta', 2)");
ok(wait_for(sub { my $q = $acme->query('SELECT sum(v) FROM later'); !$q->{error} && row_values($q) eq '1' }, 10, 0.3), 'a table created later is found and guarded');
# Many tenants' clients on few servers: never a foreign row.
my @res = parallel(6, sub {
    my ($i) = @_;
    my $name = $i % 2 ? 'acme' : 'beta';
    my $c = $p->connect('db', $name);
    my $bad = 0;
    for my $k (1 .. 80) {
        my $q = $k % 2 ? $c->query('SELECT min(tenant_id), max(tenant_id) FROM documents') : $c->ext('SELECT min(tenant_id), max(tenant_id) FROM documents WHERE id > $1', [0]);
        $bad++ unless row_values($q) eq "$name|$name";
    }
    return $bad;
});
is("@res", '0 0 0 0 0 0', 'six clients of two tenants, 480 statements, no foreign row');
finish();
