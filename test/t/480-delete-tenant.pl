#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# DELETE TENANT and EXPORT TENANT: all tables in the order of their keys, counts, dry run, nobody else's rows, and back again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE accounts (tenant_id text PRIMARY KEY, name text);
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL REFERENCES accounts, parent int REFERENCES docs, title text, twice text GENERATED ALWAYS AS (title || title) STORED);
CREATE TABLE chunks (id int PRIMARY KEY, tenant_id text NOT NULL, doc int NOT NULL REFERENCES docs ON DELETE CASCADE, body text);
CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_no int NOT NULL, doc int REFERENCES docs);
-- two tables that reference one another, not deferrable
CREATE TABLE teams (id int PRIMARY KEY, tenant_id text NOT NULL, head int);
CREATE TABLE members (id int PRIMARY KEY, tenant_id text NOT NULL, team int NOT NULL REFERENCES teams);
ALTER TABLE teams ADD FOREIGN KEY (head) REFERENCES members;
CREATE TABLE events (tenant_id text NOT NULL, id int, data bytea, PRIMARY KEY (tenant_id, id)) PARTITION BY LIST (tenant_id);
CREATE TABLE events_acme PARTITION OF events FOR VALUES IN ('acme');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE base (id int, tenant_id text); CREATE TABLE sub (extra text) INHERITS (base);
CREATE TABLE kinds (code text PRIMARY KEY);
INSERT INTO kinds VALUES ('a'), ('b');
INSERT INTO accounts SELECT t, upper(t) FROM unnest(ARRAY['acme', 'beta', 'o''brien']) t;
INSERT INTO docs SELECT g, (ARRAY['acme', 'beta'])[g % 2 + 1], CASE WHEN g > 10 THEN g - 10 END, E'tab\there \\ line\nfeed ' || g FROM generate_series(1, 40) g;
INSERT INTO chunks SELECT g, d.tenant_id, d.id, 'chunk' FROM generate_series(1, 80) g JOIN docs d ON d.id = g % 40 + 1;
INSERT INTO notes (tenant_no, doc) SELECT CASE tenant_id WHEN 'acme' THEN 11 ELSE 12 END, id FROM docs;
INSERT INTO teams SELECT g, (ARRAY['acme', 'beta'])[g % 2 + 1] FROM generate_series(1, 6) g;
INSERT INTO members SELECT g, (ARRAY['acme', 'beta'])[g % 2 + 1], g FROM generate_series(1, 6) g;
UPDATE teams SET head = id;
INSERT INTO events SELECT t, g, '\xdeadbeef00ff' FROM unnest(ARRAY['acme', 'beta']) t, generate_series(1, 5) g;
INSERT INTO base VALUES (1, 'acme'), (2, 'beta'), (3, NULL); INSERT INTO sub VALUES (4, 'acme', 'x'), (5, 'beta', 'y');
SQL
my $dir = work_dir();
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite' },
    users => { acme => 'tenant=acme claim.tenant_no=11', beta => 'tenant=beta claim.tenant_no=12', ops => 'tenant=*' }, auth => { map { ($_ => '') } qw(acme beta ops) },
    rules => ['public.kinds = shared'], set => { tenant_columns => 'tenant_id,tenant_no' });
my @tables = ([accounts => 'tenant_id'], [docs => 'tenant_id'], [chunks => 'tenant_id'], [notes => 'tenant_no'], [teams => 'tenant_id'], [members => 'tenant_id'],
    [events => 'tenant_id'], [base => 'tenant_id'], [sub => 'tenant_id']);
my $print = sub {
    my ($where) = @_;
    return join "\n", map { my ($t, $c) = @$_; "$t " . $pg->value("SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM ONLY $t x WHERE " . $where->($c)) }
        grep { $_->[0] ne 'events' } @tables;
};
my $all_of = sub { my ($t, $no) = @_; return sub { my ($c) = @_; return $c eq 'tenant_no' ? "$c = $no" : "$c = '$t'" } };
my $others = sub { my ($c) = @_; return $c eq 'tenant_no' ? "$c <> 11" : "$c IS DISTINCT FROM 'acme'" };
my $state = sub { return $print->($all_of->('acme', 11)) . "\n" . $print->($others) . "\n" . $pg->value("SELECT md5(string_agg(e::text, '|' ORDER BY e::text)) FROM events e") };
my $before = $state->();
my $rest = $print->($others);
my $con = $p->connect('pgbouncer', 'bhadmin');
my $rows = sub { my ($r) = @_; return { map { ($_->[1] => $_->[4]) } @{ ($r->{results}[-1] // {})->{rows} // [] } } };
my %want = (accounts => 1, docs => 20, chunks => 40, notes => 20, teams => 3, members => 3, events => 5, base => 1, sub => 1, total => 94);

# What is wrong is said.
error_is($con->query('DELETE TENANT'), '08P01', qr/DRY RUN/, 'no tenant: usage');
error_is($con->query("DELETE TENANT 'acme' DRY RAIN"), '08P01', qr/DRY RUN/, 'a slip in DRY RUN deletes nothing');
error_is($con->query("DELETE FROM x"), '08P01', qr/DELETE TENANT/, 'DELETE of something else: usage');
error_is($con->query("DELETE TENANT 'acme' DATABASE nowhere"), '08P01', qr/no such database: nowhere/, 'an unknown database');
error_is($con->query("DELETE TENANT 'nobody'"), '22P02', qr/"notes".*integer: "nobody"/s, 'a tenant without a number where a table wants one');
error_is($p->connect('pgbouncer', 'bhstats')->query("DELETE TENANT 'acme' DRY RUN"), '08P01', qr/admin access/, 'not for those who may only look');
is($state->(), $before, 'nothing changed');

# Dry run, also while clients are there.
my $c = $p->connect('db', 'acme');
is($c->value('SELECT count(*) FROM docs'), 20, 'a client of the tenant');
my $r = $con->query("DELETE TENANT 'acme' DRY RUN");
is_deeply($rows->($r), \%want, 'dry run: counts by table') or diag($r->{error}{M} // '');
is($r->{results}[-1]{tag} // '', 'DELETE TENANT DRY RUN', 'its tag');
my @order = map { $_->[1] } @{ $r->{results}[-1]{rows} };
my %at = map { ($order[$_] => $_) } 0 .. $#order;
ok($at{chunks} < $at{docs} && $at{notes} < $at{docs} && $at{docs} < $at{accounts}, 'children before parents') or diag("@order");
is($state->(), $before, 'and nothing changed');

# Refused while clients are connected.
error_is($con->query("DELETE TENANT 'acme'"), '55006', qr/1 clients of tenant "acme".*FORCE/, 'refused while a client is connected');
is($c->value('SELECT 1'), 1, 'who was left alone');
is($p->connect('db', 'acme')->value('SELECT 2'), 2, 'and others may come after the refusal');

# Foreign keys that would reach into other tenants.
$pg->sql("SET ROLE app; INSERT INTO chunks VALUES (999, 'beta', 1, 'foreign child')"); # doc 1 is acme's or beta's
my $owner = $pg->value('SELECT tenant_id FROM docs WHERE id = 1');
my ($doc) = $owner eq 'acme' ? (1) : (2);
$pg->sql("SET ROLE app; UPDATE chunks SET doc = $doc WHERE id = 999");
$r = $con->query("DELETE TENANT 'acme' FORCE");
error_is($r, '58000', qr/foreign key chunks_doc_fkey of table public.chunks acts on rows that are not the tenant's/, 'a cascade into another tenant is found');
$pg->sql('SET ROLE app; DELETE FROM chunks WHERE id = 999');
is($state->(), $before, 'nothing changed');
$pg->sql("SET ROLE app; CREATE TABLE loose (id int, doc int REFERENCES docs ON DELETE SET NULL); INSERT INTO loose VALUES (1, $doc)");
error_is($con->query("DELETE TENANT 'acme' FORCE"), '58000', qr/foreign key loose_doc_fkey/, 'so is one from a table without tenants');
$pg->sql('SET ROLE app; DROP TABLE loose');

# A server that refuses in the middle.
$pg->sql(q{SET ROLE app; CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not me'; END $$; CREATE TRIGGER t BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION no()});
error_is($con->query("DELETE TENANT 'acme' FORCE"), 'P0001', qr/DELETE FROM "public"."accounts".*not me/s, 'an error of the server is told');
is($state->(), $before, 'and all of it undone');
$pg->sql('SET ROLE app; DROP TRIGGER t ON accounts');
# Row security that would hide rows is an error, not a smaller count.
$pg->sql("SET ROLE app; ALTER TABLE docs ENABLE ROW LEVEL SECURITY; ALTER TABLE docs FORCE ROW LEVEL SECURITY; CREATE POLICY none ON docs USING (false)");
error_is($con->query("DELETE TENANT 'acme' FORCE"), '42501', qr/row-level security/, 'row-level security in the way');
$pg->sql("SET ROLE app; DROP POLICY none ON docs; ALTER TABLE docs DISABLE ROW LEVEL SECURITY");

# EXPORT.
error_is($con->query("EXPORT TENANT 'acme' TO 'relative'"), '08P01', qr/absolute/, 'EXPORT wants an absolute path');
mkdir "$dir/out"; chmod 0777, "$dir/out";
my $to = "$dir/out/acme";
$r = $con->query("EXPORT TENANT 'acme' TO '$to'");
is_deeply($rows->($r), \%want, 'EXPORT: counts') or diag($r->{error}{M} // '');
is((stat $to)[2] & 07777, 0700, 'a directory for its owner alone');
my $manifest = slurp("$to/manifest.json");
like($manifest, qr/"tenant": "acme".*"table": "docs", "columns": \["id", "tenant_id", "parent", "title"\], "rows": 20/s, 'the manifest; generated columns are left out');
for my $m ($manifest =~ /"file": "([^"]+)", "sha256": "\w+"/g) {
    my ($sum) = (run_cmd(argv => ['sha256sum', "$to/$m"]))[1] =~ /^(\w+)/;
    ok($manifest =~ /"\Q$m\E", "sha256": "$sum"/, "$m: its digest");
    ok(slurp("$to/$m") !~ /beta/, "$m: nobody else's rows");
}
error_is($con->query("EXPORT TENANT 'acme' TO '$to'"), '58000', qr/cannot make directory/, 'never over something that is there');

# DELETE for real; the tenant stays out meanwhile.
my $d = $p->connect('db', 'acme');
$d->value('SELECT 1');
my $hold = $pg->connect('postgres');
$hold->query("BEGIN; SELECT * FROM accounts WHERE tenant_id = 'acme' FOR UPDATE");
my $con2 = $p->connect('pgbouncer', 'bhadmin');
$con2->send_query("DELETE TENANT 'acme' FORCE");
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") }, 20), 'DELETE waits for a lock');
ok($d->query('SELECT 1')->{error}, 'the connected client was closed');
rejects($p, 'db', 'acme', '57P03', qr/tenant "acme" is being deleted/, 'the tenant cannot log in meanwhile');
is($p->connect('db', 'beta')->value('SELECT count(*) FROM docs'), 20, 'others can');
error_is($con->query("DELETE TENANT 'beta' FORCE"), '58000', qr/another tenant/, 'one at a time');
$hold->query('ROLLBACK');
$r = $con2->finish;
is_deeply($rows->($r), \%want, 'DELETE TENANT: counts') or diag($r->{error}{M} // '');
is($print->($all_of->('acme', 11)), $print->(sub { 'false' }), 'no row is left');
is($pg->value("SELECT count(*) FROM events WHERE tenant_id = 'acme'"), 0, 'nor in partitions');
is($print->($others), $rest, "nobody else's changed");
is($pg->value('SELECT count(*) FROM kinds'), 2, 'shared tables are left alone');
is($p->connect('db', 'acme')->value('SELECT count(*) FROM docs'), 0, 'the tenant may log in again, to nothing');
$r = $con->query("DELETE TENANT 'acme' FORCE");
is($rows->($r)->{total}, 0, 'again: nothing to delete');

# And back.
my ($st, $out, $err) = run_cmd(argv => ['sh', '-c', 'cd "$1" && shift && exec psql "$@"', 'sh', $to, '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-h', $pg->host, '-p', $pg->port,
        '-U', 'postgres', '-d', 'postgres', '-c', 'SET session_replication_role = replica', '-f', 'restore.sql'], timeout => 60, env => { HOME => $dir });
is($st, 0, 'restore.sql loads') or diag($err);
is($state->(), $before, 'and all is as it was');

# The administrator leaves: the work is canceled.
$hold->query("BEGIN; SELECT * FROM accounts WHERE tenant_id = 'acme' FOR UPDATE");
my $con3 = $p->connect('pgbouncer', 'bhadmin');
$con3->send_query("DELETE TENANT 'acme' FORCE");
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") }, 20), 'it waits again');
$con3->close;
ok($p->wait_log(qr/DELETE TENANT of database "db" failed: .*cancel/), 'canceled when the administrator leaves');
$hold->query('ROLLBACK');
is($state->(), $before, 'nothing was deleted');
ok(wait_for(sub { my $x = eval { $p->connect('db', 'acme') }; $x && !$x->{error} }, 10), 'and the tenant may come back');
finish();
