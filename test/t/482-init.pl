#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# pgbulkhead --init: what it finds in a catalog loads and works at once, and nothing is opened that was not found.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $bin = Bulkhead::Proxy::binary();
my $dir = work_dir();
my $dsn = sub { my ($db) = @_; return 'host=' . $pg->host . ' port=' . $pg->port . " user=app dbname=$db" };
my $init = sub { my (@args) = @_; return run_cmd(argv => [$bin, @args], timeout => 60, env => { HOME => $dir }) };
$pg->sql('CREATE ROLE app LOGIN');
$pg->sql("CREATE DATABASE $_ OWNER app") for qw(plain policies citus nothing);

# By names, policies and Citus' table.
$pg->sql(<<'SQL', 'plain');
SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, slug text UNIQUE, title text);
CREATE TABLE chunks (id int PRIMARY KEY, tenant_id text NOT NULL, doc int REFERENCES documents);
CREATE TABLE invoices (id int PRIMARY KEY, tenant_no int, sum int);
CREATE TABLE "Odd ; Table" (id int, "tenant_id" text);
CREATE TABLE events (tenant_id text, id int) PARTITION BY LIST (tenant_id);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE amounts (tenant_id numeric, id int);
CREATE TABLE kinds (code text);
CREATE TABLE sessions (user_id text, id int);
CREATE VIEW v_documents AS SELECT * FROM documents;
CREATE VIEW v_sums AS SELECT sum(sum) FROM invoices;
CREATE FUNCTION pure(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(*) FROM documents';
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION trg();
INSERT INTO documents SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 's' || g, 't' FROM generate_series(1, 10) g;
INSERT INTO invoices VALUES (1, 11, 5), (2, 12, 6);
INSERT INTO "Odd ; Table" VALUES (1, 'acme'), (2, 'beta'); INSERT INTO events VALUES ('acme', 1), ('beta', 2);
SQL
$pg->sql(qq{SET ROLE app; CREATE TABLE "line\nfeed" (tenant_id text); CREATE TABLE "bad = shared\n; x" (id int)}, 'plain');
my ($st, $out, $err) = $init->('--init', $dsn->('plain'));
is($st, 0, '--init runs') or diag($err);
like($out, qr/^public\.documents = tenant_id ;/m, 'a table by the name of its column');
like($out, qr/^public\.invoices = tenant_no ;/m, 'a second column');
like($out, qr/^public\."Odd ; Table" = tenant_id ;/m, 'odd names are quoted');
like($out, qr/^public\.events = tenant_id ;/m, 'a partitioned table');
unlike($out, qr/^public\.events_rest/m, 'its partitions go with it');
like($out, qr/^; public\.amounts = tenant_id ;.*type is not supported/m, 'a type that does not fit is said');
like($out, qr/^; public\.kinds = shared$/m, 'a table without a tenant is a choice');
like($out, qr/^; public\.sessions = user_id claim=tenant$/m, 'a doubtful column is a choice');
unlike($out, qr/^[^;\n]*= shared/m, 'nothing is shared by itself');
like($out, qr/^; public\.v_documents = tenant_id$/m, 'a view that shows the column: a choice');
like($out, qr/^; public\.v_sums = deny$/m, 'one that does not');
like($out, qr/^; public\.pure\(text\) = allow$/m, 'a pure function: a choice');
like($out, qr/^; public\.peek\(\): sql, not volatile, SECURITY DEFINER$/m, 'another one: only mentioned');
like($out, qr/^tenant_columns = tenant_id$/m, 'tenant_columns');
like($out, qr/^; public\.documents: a unique key without the tenant column/m, 'warned: a unique key');
like($out, qr/^; public\.chunks: foreign key chunks_doc_fkey leaves the tenant column out/m, 'warned: a foreign key');
like($out, qr/^; public\.invoices: the tenant column may be NULL/m, 'warned: NULL');
like($out, qr/^; public\.documents: trigger watch/m, 'warned: a trigger');
like($out, qr/^; role postgres bypasses row-level security/m, 'warned: roles');
my @loose = grep { !/^(;|\[|$|[\w.]+ = |public\.)/ } split /\n/, $out;
is("@loose", '', 'every line is a comment, a section or a setting');

# It loads, and works with a user added.
my $port = free_port();
my $ini = $out =~ s/^listen_port = .*/listen_port = $port/mr;
$ini =~ s/^auth_type = .*/auth_type = trust\nauth_file = $dir\/users.txt\nuser = postgres\nunix_socket_dir = $dir/m;
$ini =~ s/^\[users\]/[users]\nacme = tenant=acme claim.tenant_no=11\nbeta = tenant=beta claim.tenant_no=12/m;
spew("$dir/users.txt", qq{"acme" ""\n"beta" ""\n});
spew("$dir/init.ini", $ini);
chmod 0644, "$dir/init.ini", "$dir/users.txt";
($st, undef, $err) = $init->('--check', "$dir/init.ini");
is($st, 0, '--check takes it') or diag($err);
my $pid = spawn(argv => [$bin, "$dir/init.ini"], user => 1, log => "$dir/init.log", group => 1);
ok(wait_for(sub { slurp("$dir/init.log") =~ /catalog of database "app" read/ }, 30), 'the pooler starts from it') or diag(slurp("$dir/init.log"));
for my $w ([acme => 11], [beta => 12]) {
    my $c = "host=127.0.0.1 port=$port dbname=app user=$w->[0]";
    is((psql($c, 'SELECT count(*) FROM documents'))[1], 5, "$w->[0]: its documents");
    is((psql($c, 'SELECT tenant_no FROM invoices'))[1], $w->[1], "$w->[0]: its invoices");
    is((psql($c, 'SELECT tenant_id FROM "Odd ; Table"'))[1], $w->[0], "$w->[0]: its odd rows");
    is((psql($c, 'SELECT tenant_id FROM events'))[1], $w->[0], "$w->[0]: its events");
    like((psql($c, "SELECT * FROM $_"))[2], qr/tenant isolation/, "$w->[0]: $_ is refused") for qw(kinds sessions v_documents v_sums amounts);
    like((psql($c, "SELECT $_"))[2], qr/tenant isolation/, "$w->[0]: $_ is refused") for ("pure('x')", 'peek()');
}
stop_child($pid, 'TERM');

# Row-level security: column and setting of the policies.
$pg->sql(<<'SQL', 'policies');
SET ROLE app;
CREATE TABLE a (org uuid NOT NULL, id int); CREATE TABLE b (org uuid NOT NULL, id int); CREATE TABLE c ("Owner" text, tenant_id text);
ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY;
ALTER TABLE b ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON a USING (org = current_setting('app.org')::uuid);
CREATE POLICY p ON b USING (org = (SELECT NULLIF(current_setting('app.org', true), '')::uuid));
CREATE POLICY p ON c USING ("Owner" = current_setting('app.owner'));
SQL
($st, $out, $err) = $init->("--init=" . $dsn->('policies'));
is($st, 0, 'policies') or diag($err);
like($out, qr/^public\.$_ = org ; policy compares it with app\.org$/m, "table $_: the policy's column") for qw(a b);
like($out, qr/^public\.c = "Owner" ; policy compares it with app\.owner$/m, 'a policy goes before a name');
like($out, qr/tenant_mode=rewrite tenant_guc=app\.org$/m, 'tenant_guc: the setting of most policies');
like($out, qr/^; public\.b: row-level security does not hold for its owner/m, 'warned: not forced');
# Citus' catalog, as far as it is read.
$pg->sql('ALTER ROLE app SUPERUSER');
$pg->sql(<<'SQL', 'citus');
SET allow_system_table_mods = on;
CREATE TABLE public.orders (shop int NOT NULL, id int);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partkey text);
INSERT INTO pg_catalog.pg_dist_partition VALUES ('public.orders', '{VAR :varno 1 :varattno 1 :vartype 23}');
SQL
($st, $out, $err) = $init->('--init', $dsn->('citus'));
like($out, qr/^public\.orders = shop ; distribution column \(Citus\)$/m, 'the distribution column') or diag($err);
# As asked for; nothing found; no server.
($st, $out, $err) = $init->('--init', $dsn->('plain'), '--columns', 'user_id, title');
like($out, qr/^public\.sessions = user_id ; as asked for$/m, '--columns');
unlike($out, qr/^public\.invoices/m, 'and no other');
($st, $out, $err) = $init->('--init', $dsn->('nothing'));
is($st, 0, 'an empty database');
unlike($out, qr/^tenant_columns/m, 'has no tenant column');
($st, $out, $err) = $init->('--init', 'host=127.0.0.1 port=1 dbname=x connect_timeout=2');
is($st, 2, 'no server: status 2');
like($err, qr/cannot connect/, 'and why');
($st, $out, $err) = $init->('--columns', 'x', "$dir/init.ini");
is($st, 1, '--columns without --init: usage');
finish();
