#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Conditions that are tested elsewhere than in a scan's filter: by the server of a foreign table (also of partitions,
# children and views), where the barrier does not go; operators of extensions under the names of built-in ones that cannot
# fail; and INSERT without a column list after the table was made anew.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my ($host, $port) = ($pg->host, $pg->port);
$pg->sql("CREATE ROLE app LOGIN; CREATE ROLE guest LOGIN; GRANT ALL ON SCHEMA public TO app; CREATE EXTENSION postgres_fdw; CREATE EXTENSION intarray;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR app SERVER loop OPTIONS (user 'app', password_required 'false');
GRANT USAGE ON FOREIGN SERVER loop TO app;");
my $columns = 'id int, tenant_id text NOT NULL, name text, qty int, ids int[]';
$pg->sql(<<"SQL");
SET ROLE app;
CREATE TABLE base ($columns);
INSERT INTO base SELECT i, CASE WHEN i % 2 = 0 THEN 'acme' ELSE 'beta' END, CASE WHEN i % 2 = 0 THEN 'ff' ELSE 'SECRET' END, i,
    CASE WHEN i % 2 = 0 THEN '{1,2}' ELSE '{1,NULL}' END::int[] FROM generate_series(1, 200) i;
CREATE FOREIGN TABLE far ($columns) SERVER loop OPTIONS (table_name 'base');
CREATE TABLE parts ($columns) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE parts_far PARTITION OF parts FOR VALUES FROM (0) TO (1000) SERVER loop OPTIONS (table_name 'base');
CREATE TABLE kin ($columns);
CREATE FOREIGN TABLE kin_far () INHERITS (kin) SERVER loop OPTIONS (table_name 'base');
CREATE VIEW v_far AS SELECT * FROM far;
CREATE VIEW v_parts AS SELECT * FROM parts;
CREATE VIEW v_v AS SELECT * FROM v_parts;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY; ALTER TABLE parts FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON parts USING (tenant_id = current_setting('app.tenant_id', true) OR current_setting('app.tenant_id', true) IS NULL);
CREATE TABLE made (id int, tenant_id text NOT NULL, name text);
GRANT SELECT ON parts TO guest;
ANALYZE base;
SQL
my %users = (acme => 'tenant=acme', beta => 'tenant=beta');
for my $mode (qw(rewrite reject)) {
    my $p = proxy(pg => $pg, databases => { db => "dbname=postgres user=app pool_size=2 tenant_mode=$mode" },
        users => \%users, auth => { map { ($_ => '') } keys %users },
        rules => [map { "public.$_ = tenant_id" } qw(far v_far v_parts v_v)], set => { tenant_columns => 'tenant_id', worker_threads => 1 });
    my $c = $p->connect('db', 'acme');
    for my $t (qw(far parts parts_far kin kin_far v_far v_parts v_v)) {
        for my $q ("SELECT count(*) FROM $t WHERE tenant_id = 'acme' AND decode(name, 'hex') IS NOT NULL",
            "SELECT count(*) FROM $t x JOIN base b ON b.id = x.id AND b.tenant_id = 'acme' AND decode(x.name, 'hex') IS NOT NULL WHERE x.tenant_id = 'acme'",
            "SELECT count(*) FROM base b LEFT JOIN $t x ON x.tenant_id = 'acme' AND x.id = b.id AND 1 / (x.qty % 2 - 1) < 5 WHERE b.tenant_id = 'acme'") {
            my $r = $c->query($q);
            is($r->{error} ? $r->{error}{M} : $r->{results}[0]{rows}[0][0], 100, "$mode: $q");
        }
        my $r = $c->ext("SELECT count(*) FROM $t WHERE tenant_id = \$1 AND decode(name, 'hex') IS NOT NULL", ['acme']);
        is($r->{error} ? $r->{error}{M} : $r->{results}[0]{rows}[0][0], 100, "$mode: $t by the extended protocol");
    }
    for my $t (qw(far parts parts_far kin kin_far v_far)) {
        for my $q ("UPDATE $t SET qty = 0 WHERE tenant_id = 'acme' AND decode(name, 'hex') IS NULL",
            "DELETE FROM $t WHERE tenant_id = 'acme' AND decode(name, 'hex') IS NULL",
            "DELETE FROM $t WHERE tenant_id = 'acme' AND EXISTS (SELECT 1 FROM base b WHERE b.tenant_id = 'acme' AND b.id = $t.id AND decode($t.name, 'hex') IS NULL)",
            "UPDATE $t SET qty = b.qty FROM base b WHERE b.tenant_id = 'acme' AND $t.tenant_id = 'acme' AND b.id = $t.id AND decode($t.name, 'hex') IS NULL") {
            my $r = $c->query($q);
            ok($r->{error} && $r->{error}{C} =~ /^(?:0A000|42501)$/ && $r->{error}{M} =~ /^tenant isolation/, "$mode refused: $q")
                or diag($r->{error} ? "$r->{error}{C} $r->{error}{M}" : 'answered');
        }
        next if $t ne "kin"; # foreign tables and views on them are only read
        my $done = $c->query("UPDATE $t SET qty = qty WHERE tenant_id = 'acme' AND id = 8");
        is($done->{error} ? "$done->{error}{M} $done->{error}{W}" : $done->{results}[0]{tag}, 'UPDATE 1', "$mode: $t changed by a key");
    }
    my $ids = $c->query("SELECT count(*) FROM base WHERE tenant_id = 'acme' AND ids \@> ARRAY[1]");
    is($ids->{error} ? $ids->{error}{M} : $ids->{results}[0]{rows}[0][0], 100, "$mode: an extension's operator with a built-in one's name");

    # The catalog as it was read says (id, tenant_id, name).
    is($c->query("INSERT INTO made VALUES (1, 'acme', 'beta')")->{error}, undef, "$mode: INSERT without a column list");
    $pg->sql('SET ROLE app; DROP TABLE made; CREATE TABLE made (id int, name text, tenant_id text NOT NULL)');
    $c->query("INSERT INTO made VALUES (1, 'acme', 'beta')");
    is($pg->value("SELECT count(*) FROM made WHERE tenant_id <> 'acme'"), 0, "$mode: no row for another tenant in a table made anew");
    $pg->sql('SET ROLE app; DROP TABLE made; CREATE TABLE made (id int, tenant_id text NOT NULL, name text)');
    $p->stop;
}
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=guest pool_size=2 tenant_mode=rls tenant_guc=app.tenant_id' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { map { ($_ => '') } qw(acme beta) }, set => { tenant_columns => 'tenant_id', worker_threads => 1 });
my $c = eval { $p->connect('db', 'acme', no_die => 1) };
my $e = $c && !$c->{error} ? $c->query("SELECT count(*) FROM parts WHERE decode(name, 'hex') IS NOT NULL")->{error} : $c->{error};
is($e->{C}, '42501', 'rls: a table that holds a foreign one is closed');
finish();
