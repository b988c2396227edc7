#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What drivers send to clean up: DEALLOCATE of a name that only the proxy knows (psycopg 3, DBD::Pg), asyncpg's release of a
# connection, and their look-ups of types by oid::regtype; for tenants and others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, size int);
INSERT INTO notes VALUES (1, 'acme', 23), (2, 'beta', 25);
SQL
my $p = proxy(pg => $pg, databases => { off => 'dbname=postgres user=app pool_size=1',
        ten => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite',
        guc => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite tenant_guc=app.tenant_id' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { map { ($_ => '') } qw(acme beta) },
    set => { tenant_columns => 'tenant_id', worker_threads => 1 });
for my $db (qw(off ten)) {
    my ($c, $o) = map { $p->connect($db, 'acme') } 1 .. 2;
    for my $own ("_pg3_0") {
        $c->cork;
        $c->parse($own, 'SELECT 7');
        $c->bind('', $own, []);
        $c->execute('');
        $c->sync;
        $c->uncork;
        is(row_values($c->finish), '7', "$db: a prepared statement");
        is($c->query("DEALLOCATE $own")->{error}, undef, "$db: DEALLOCATE in SQL");
        is($c->query("SELECT 1")->{error}, undef, "$db: goes on");
        $c->cork;
        $c->bind('', $own, []);
        $c->sync;
        $c->uncork;
        is($c->finish->{error}{C}, '26000', "$db: the name is gone");
    }
    for my $tx (0, 1) {
        $c->query('BEGIN') if $tx;
        $c->cork;
        $c->parse('s', 'SELECT 8');
        $c->sync;
        $c->uncork;
        is($c->finish->{error}, undef, "$db: prepared");
        is($c->ext('DEALLOCATE PREPARE "s"', [])->{error}, undef, "$db: DEALLOCATE by Parse");
        is($c->query('COMMIT')->{error}, undef, "$db: committed") if $tx;
        $c->cork;
        $c->parse('s', 'SELECT 9');
        $c->bind('', 's', []);
        $c->execute('');
        $c->sync;
        $c->uncork;
        is(row_values($c->finish), '9', "$db: the name is free again");
        is($c->query('DEALLOCATE s')->{error}, undef, "$db: and again");
    }
    is($c->query('DEALLOCATE nosuch')->{error}{C}, '26000', "$db: an unknown name");
    is($c->query('DEALLOCATE ALL')->{error}, undef, "$db: ALL");
    is($c->ext('DEALLOCATE ALL', [])->{error}, undef, "$db: ALL by Parse");
    is($c->query('SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;')->{error}, undef, "$db: asyncpg's cleaning");
    is($o->value('SELECT 5'), 5, "$db: the other client");
    is($o->value("SELECT typelem::regtype::text FROM pg_catalog.pg_type WHERE oid = 1007"), 'integer', "$db: names of types");
    is($o->value('WITH t AS (SELECT typelem AS e FROM pg_catalog.pg_type WHERE oid = 1007) SELECT e::regtype::text FROM t'),
        'integer', "$db: through WITH");
}
my $t = $p->connect('ten', 'acme');
is($t->query('SELECT size::regtype FROM notes')->{error}{C}, '42501', 'not over tenant tables');
is($t->query('SELECT n::regtype FROM (SELECT size AS n FROM notes) x')->{error}{C}, '42501', 'nor sub-selects of them');
is($t->value('SELECT count(*) FROM notes'), 1, 'own rows');
my $g = $p->connect('guc', 'acme');
is($g->query('RESET ALL')->{error}, undef, 'RESET ALL');
is($g->value("SELECT current_setting('app.tenant_id', true)"), 'acme', 'tenant_guc is bound again');
done_testing();
