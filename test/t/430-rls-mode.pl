#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# tenant_mode=rls: the server's policies decide about rows, the pooler about everything else; roles and tables that
# policies do not hold are found.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE owner; CREATE ROLE app LOGIN; CREATE ROLE walker LOGIN BYPASSRLS; CREATE ROLE heir LOGIN; GRANT owner TO heir;
CREATE ROLE rooted LOGIN; GRANT postgres TO rooted; CREATE ROLE switched LOGIN; ALTER ROLE switched SET role = 'owner';
CREATE ROLE own_login LOGIN; GRANT owner TO own_login;
GRANT ALL ON SCHEMA public TO owner; ALTER ROLE app SET app.tenant_id = 'beta';
SET ROLE owner;
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL DEFAULT current_setting('app.tenant_id'), title text);
CREATE TABLE tagged (id int, project numeric, label text);
CREATE TABLE bare (id int, tenant_id text);
CREATE TABLE loose (id int, tenant_id text);
CREATE TABLE parted (id int, tenant_id text) PARTITION BY LIST (tenant_id);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('acme');
CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('beta');
CREATE TABLE kinds (code text); CREATE TABLE base (id int, v text); CREATE TABLE child (whose text) INHERITS (base);
CREATE TABLE odd (id int, tenant_id text);
CREATE TABLE listed (tenant_id text, tags text[]);
CREATE VIEW v_plain AS SELECT * FROM docs; CREATE VIEW v_invoker WITH (security_invoker) AS SELECT * FROM docs;
CREATE VIEW v_bare WITH (security_invoker) AS SELECT * FROM bare; CREATE VIEW v_undeclared WITH (security_invoker) AS SELECT * FROM docs;
CREATE MATERIALIZED VIEW m_docs AS SELECT * FROM bare;
CREATE RULE r AS ON DELETE TO odd DO INSTEAD DELETE FROM bare;
RESET ROLE;
CREATE VIEW v_super AS SELECT * FROM docs;
SQL
$pg->sql("INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20) g;
INSERT INTO tagged SELECT g, g % 2, 'x' FROM generate_series(1, 10) g; INSERT INTO bare VALUES (1, 'acme'), (2, 'beta'); INSERT INTO loose VALUES (1, 'acme'), (2, 'beta');
INSERT INTO parted VALUES (1, 'acme'), (2, 'beta'); INSERT INTO kinds VALUES ('k'); INSERT INTO child VALUES (1, 'x', 'beta'); INSERT INTO odd VALUES (1, 'acme'); INSERT INTO listed VALUES ('acme', '{x}'), ('beta', '{x,y}')");
my $tenant = "current_setting('app.tenant_id', true)";
$pg->sql(join ';', (map { "ALTER TABLE $_ ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON $_ USING (tenant_id = $tenant)" } qw(docs parted parted_b odd listed)),
    "ALTER TABLE child ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON child USING (whose = $tenant)",
    "ALTER TABLE tagged ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY even ON tagged USING (project = 0)",
    "ALTER TABLE loose ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON loose USING (tenant_id = $tenant)", 'GRANT ALL ON ALL TABLES IN SCHEMA public TO app, walker, rooted, switched');
my %db = (map({ ($_ => "dbname=postgres user=$_ pool_size=2 tenant_mode=rls") } qw(app walker heir rooted switched)),
    db => 'dbname=postgres user=app pool_size=1 tenant_mode=rls', plain => 'dbname=postgres user=app pool_size=1 tenant_mode=off',
    mixed => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite', own => 'dbname=postgres pool_size=1 tenant_mode=rls catalog_user=postgres');
my $p = proxy(pg => $pg, databases => \%db, users => { acme => 'tenant=acme', beta => 'tenant=beta', late => 'tenant=acme tenant_mode=rls', ops => 'tenant=*', own_login => 'tenant=acme', app => 'tenant=acme' },
    auth => { map { ($_ => '') } qw(acme beta late ops lost own_login app) },
    rules => ['public.kinds = shared', 'public.base = shared', 'public.v_plain = tenant_id', 'public.v_invoker = tenant_id', 'public.v_bare = tenant_id', 'public.v_super = tenant_id', 'public.m_docs = tenant_id'],
    set => { tenant_columns => 'tenant_id', tenant_guc => 'app.tenant_id', worker_threads => 1 });
my ($acme, $beta) = map { $p->connect('db', $_) } qw(acme beta);
sub both { # one answer in both protocols
    my ($c, $sql, $want, $name) = @_;
    my $r = $c->query($sql);
    is($r->{error} ? "$r->{error}{C} $r->{error}{M} $r->{error}{D}" : row_values($r), $want, $name);
    return is(row_values($c->ext($sql, [])), $want, "$name, extended");
}
both($acme, 'SELECT count(*), min(tenant_id), max(tenant_id) FROM docs', '10|acme|acme', 'own rows by the server\'s policy');
both($beta, 'SELECT count(*), min(tenant_id), max(tenant_id) FROM docs', '10|beta|beta', 'the other tenant on the same server');
both($acme, "SELECT count(*) FROM docs WHERE tenant_id = 'beta' OR true", '10', 'OR does not widen');
both($acme, 'SELECT count(*) FROM tagged', '5', 'a policy on no tenant column at all');
both($acme, 'SELECT count(*) FROM parted', '1', 'a partitioned table');
both($beta, 'SELECT count(*) FROM parted_b', '1', 'a partition that has its own policy');
both($acme, 'SELECT count(*) FROM parted_b', '0', 'which holds');
both($acme, 'SELECT count(*) FROM kinds', '1', 'shared');
both($acme, 'SELECT count(*) FROM v_plain', '10', 'a declared view whose owner is held too');
both($acme, 'SELECT count(*) FROM v_invoker', '10', 'a declared security_invoker view');
both($acme, "WITH c AS MATERIALIZED (SELECT * FROM docs) SELECT count(*) FROM c JOIN tagged t ON t.id = c.id WHERE EXISTS (SELECT FROM docs d WHERE d.id = t.id)", '5', 'sub-queries and CTEs');
# To the server an array constructor is leakproof and costs nothing, so it is computed before the policy.
for my $q ("ARRAY[tags, ARRAY['z']] IS NOT NULL", "'z' = ANY (ARRAY[(ARRAY[tags, ARRAY['z']])[1][1], 'y'])") {
    error_is($acme->query("SELECT count(*) FROM listed WHERE $q"), '42501', qr/tenant isolation/, "not on the other tenant's rows: $q");
}
both($acme, "SELECT ARRAY[tags, ARRAY['z']] FROM listed WHERE 'x' = ANY (ARRAY[tenant_id, 'x'])", '{{x},{z}}', 'results and values that are no arrays');
# Writes are checked by the server.
is($acme->query("INSERT INTO docs (id, title) VALUES (100, 'own')")->{results}[0]{tag}, 'INSERT 0 1', 'INSERT, tenant column by default');
is($pg->value('SELECT tenant_id FROM docs WHERE id = 100'), 'acme', 'of the tenant');
error_is($acme->query("INSERT INTO docs VALUES (101, 'beta', 'x')"), '42501', qr/row-level security/, 'a foreign row is the server\'s refusal');
error_is($acme->query("UPDATE docs SET tenant_id = 'beta' WHERE id = 100"), '42501', qr/row-level security/, 'giving a row away too');
is($acme->query("UPDATE docs SET title = 'y' WHERE id IN (1, 2)")->{results}[0]{tag}, 'UPDATE 1', 'UPDATE reaches own rows');
is($acme->query("INSERT INTO docs VALUES (2, DEFAULT, 'z') ON CONFLICT (id) DO UPDATE SET title = excluded.title")->{results}[0]{tag}, 'INSERT 0 1', 'ON CONFLICT over an own row');
error_is($acme->query("INSERT INTO docs VALUES (1, DEFAULT, 'z') ON CONFLICT (id) DO UPDATE SET title = excluded.title"), '42501', qr/row-level security/, 'not over a foreign one');
is($acme->query("MERGE INTO docs d USING (VALUES (4, 'm'), (200, 'n')) s(id, t) ON d.id = s.id WHEN MATCHED THEN UPDATE SET title = s.t WHEN NOT MATCHED THEN INSERT (id, title) VALUES (s.id, s.t)")->{results}[0]{tag}, 'MERGE 2', 'MERGE');
is($acme->query('DELETE FROM docs WHERE id >= 100')->{results}[0]{tag}, 'DELETE 2', 'DELETE');
is($acme->query('SELECT id FROM docs WHERE id < 4 FOR UPDATE')->{results}[0]{tag}, 'SELECT 1', 'FOR UPDATE');
# What policies do not hold.
my %closed = (bare => 'not enabled', loose => 'not forced', parted_a => 'not enabled', v_bare => 'not enabled', v_super => 'does not hold its owner', v_undeclared => 'declared', m_docs => 'does not reach', base => 'past its policies');
for my $t (sort keys %closed) {
    my $e = $acme->query("SELECT * FROM $t")->{error} // {};
    is($e->{C}, '42501', "$t is closed");
    like($e->{M}, qr/rls_not_forced/, "$t: by a reason of its own");
    like($e->{D}, qr/$closed{$t}/, "$t: $closed{$t}");
    ok($e->{H}, "$t: with a hint");
}
for my $sql ("DELETE FROM odd", 'SELECT 1 FROM kinds FOR UPDATE', "INSERT INTO kinds VALUES ('z')", 'DELETE FROM bare', "UPDATE m_docs SET id = 1", 'TRUNCATE docs', 'ALTER TABLE docs DISABLE ROW LEVEL SECURITY',
    'SET row_security = off', 'SET ROLE owner', 'SET SESSION AUTHORIZATION owner', "SELECT set_config('app.tenant_id', 'beta', false)", "SET app.tenant_id = 'beta'", "SELECT query_to_xml('SELECT * FROM bare', true, true, '')",
    'SELECT * FROM pg_stat_activity', 'DO $$ BEGIN END $$', "SELECT tenant_id::regclass FROM (SELECT tenant_id FROM docs) x") {
    my $e = $acme->query($sql)->{error} // {};
    like($e->{C} // 'passed', qr/^(?:42501|0A000)$/, "closed: $sql") or diag($e->{M});
}
is($pg->value('SELECT count(*) FROM bare'), 2, 'nothing happened');
# COPY.
error_is($acme->query('COPY docs FROM STDIN'), '0A000', qr/./, 'COPY FROM is refused, as by PostgreSQL');
is($acme->query('COPY (SELECT id FROM docs) TO STDOUT')->{results}[0]{tag}, 'COPY 10', 'COPY of a query');
is($acme->query('COPY docs TO STDOUT')->{results}[0]{tag}, 'COPY 10', 'COPY of a table: the server filters');
is($acme->query('COPY docs (id) TO STDOUT')->{results}[0]{tag}, 'COPY 10', 'and of columns');
error_is($acme->query('COPY loose TO STDOUT'), '42501', qr/rls_not_forced/, 'not of a table that is not forced');
# The catalog learns of changes.
$pg->sql("ALTER TABLE bare ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON bare USING (tenant_id = $tenant)");
ok(wait_for(sub { my $r = $acme->query('SELECT count(*) FROM bare'); !$r->{error} && row_values($r) eq '1' }, 10, 0.3), 'a table that is forced later is open then');
# Logins.
rejects($p, 'walker', 'acme', '28000', qr/"walker": it has BYPASSRLS/, 'BYPASSRLS');
rejects($p, 'heir', 'acme', '28000', qr/"heir": it is a member of owner, which owns public\.\w+/, 'member of the owner');
rejects($p, 'rooted', 'acme', '28000', qr/"rooted": it is a member of postgres, which is a superuser/, 'member of a superuser');
rejects($p, 'switched', 'acme', '28000', qr/"switched": it is switched/, 'ALTER ROLE ... SET role');
rejects($p, 'own', 'own_login', '28000', qr/member of owner/, 'the client\'s own role');
is($p->connect('own', 'app')->value('SELECT count(*) FROM docs'), 10, 'another one is fine');
rejects($p, 'db', 'lost', '28000', qr/no tenant/, 'no tenant, no login');
is($p->connect('mixed', 'late')->value('SELECT count(*) FROM tagged'), 5, 'tenant_mode=rls of a user');
is($p->connect('db', 'ops')->value('SELECT 1'), 1, 'exempt users log in');
my $log = $p->log_text;
for my $w (['ERROR', 'role "walker": it has BYPASSRLS'], ['ERROR', 'role "heir": it is a member'], ['WARNING', 'public.loose is a tenant table, but row-level security is not forced on it'], ['WARNING', 'policy even of public.tagged does not mention app.tenant_id']) {
    like($log, qr/$w->[0].*\Q$w->[1]\E/, "log: $w->[1]");
}
unlike($log, qr/ERROR.*role "app"/, 'and nothing about the good role');
finish();
