#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# EXPLAIN TENANT on the console and `pgbulkhead explain`: verdict, reasons, relations, rewritten text; nothing is run.
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
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
CREATE TABLE "Odd ""Name" (tenant_id text, v int);
CREATE TABLE kinds (code text PRIMARY KEY, label text);
CREATE TABLE loose (id int);
CREATE TABLE invoices (id int, tenant_no int);
CREATE VIEW v_documents AS SELECT * FROM documents;
CREATE FUNCTION norm(t text, n int DEFAULT 1) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(t) $$;
CREATE FUNCTION danger(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM documents; RETURN 1; END $$;
INSERT INTO documents VALUES (1, 'acme', 'a'), (2, 'beta', 'b');
SQL
my @base = (pg => $pg, users => { acme => 'tenant=acme claim.tenant_no=11', beta => 'tenant=beta' }, auth => { acme => '', beta => '' },
    rules => ['public.kinds = shared', 'public.invoices = tenant_no']);
my $p = proxy(@base, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite' }, set => { tenant_columns => 'tenant_id' });
$p->connect('db', 'acme')->value('SELECT 1');

# item => [rows as value|class|how|source]
my $explain = sub {
    my ($what, %o) = @_;
    my $r = $p->console("EXPLAIN TENANT $what", raw => 1, no_die => 1, %o);
    return { error => $r->{error} } if $r->{error};
    my %h;
    for my $row (@{ $r->{results}[-1]{rows} }) { my ($item, @v) = @$row; push @{ $h{$item} }, join '|', map { $_ // '' } @v }
    $h{tag} = $r->{results}[-1]{tag};
    return \%h;
};
my $one = sub { my ($h, $item) = @_; return ($h->{$item}[0] // '-') =~ s/\|+\z//r };

my $h = $explain->("'acme' SELECT * FROM documents d JOIN kinds k ON k.code = d.title WHERE d.title = '$secret'");
is($h->{tag}, 'EXPLAIN', 'the tag');
is($one->($h, 'verdict'), 'rewritten', 'rewrite mode: verdict');
is($h->{relation}[0], 'documents AS d -> public.documents|tenant, by column tenant_id|predicate added to the join\'s ON|column tenant_id found in the catalog', 'a tenant table');
like($h->{relation}[1], qr/^kinds AS k -> public\.kinds\|shared\|read only, all rows\|.*proxy\.ini:\d+$/, 'a shared table and the line that says so');
like($one->($h, 'text'), qr/COALESCE\(.*'acme'.*\Q$secret\E/, 'the rewritten text');
$h = $explain->("acme DATABASE db MODE reject SELECT * FROM documents d");
is($one->($h, 'verdict'), 'refused', 'MODE reject: verdict');
is($one->($h, 'reason'), 'missing_predicate', 'its reason');
is($one->($h, 'sqlstate'), '42501', 'its state');
is($one->($h, 'hint'), "add: d.tenant_id = 'acme'", 'its hint');
is($one->($h, 'would help'), 'AND d.tenant_id = $tenant', 'what would help');
is($one->($h, 'position'), 15, 'the position is in the statement, not in the command');
$h = $explain->("'acme' AS EXTENDED MODE reject SELECT * FROM documents WHERE tenant_id = \$1");
is($one->($h, 'verdict'), 'passed', 'AS EXTENDED: verdict');
like($h->{relation}[0], qr/proven: equal to \$1, which Bind is checked for/, 'by its parameter');
is($one->($h, 'parameter'), '$1 must equal the claim tenant', 'which is named');
$h = $explain->("'acme' SELECT * FROM invoices");
like($one->($h, 'text'), qr/tenant_no.*'11'/, 'a claim of the tenant\'s users');
like($h->{relation}[0], qr/by column tenant_no.*proxy\.ini:\d+$/, 'and the rule');
$h = $explain->("'beta' SELECT * FROM invoices");
is($one->($h, 'reason'), 'no_claim', 'a tenant without that claim');
$h = $explain->("'nobody yet' SELECT * FROM \"Odd \"\"Name\"");
like($one->($h, 'text'), qr/'nobody yet'/, 'a tenant that no user names');
like($h->{relation}[0], qr/^"Odd ""Name" -> public\."Odd ""Name"\|/, 'odd names are quoted');
$h = $explain->("'acme' SELECT * FROM loose");
is($one->($h, 'would help'), '[tenant_rules] public.loose = deny    ; or: shared (every tenant reads all of it), or its tenant column', 'a rule for a table without the column');
$h = $explain->("'acme' SELECT * FROM v_documents");
is($one->($h, 'would help'), '[tenant_rules] public.v_documents = tenant_id', 'a rule for a view with it');
$h = $explain->("'acme' SELECT norm('x')");
is($one->($h, 'would help'), '[tenant_functions] public.norm(text, int4) = allow', 'a rule for a function');
like($h->{function}[0], qr/^norm\|denied\|not allowed\|public\.norm is not declared/, 'and why');
$h = $explain->("'acme' SELECT danger(1)");
is($one->($h, 'verdict'), 'refused', 'a function that would do harm');
is($pg->value('SELECT count(*) FROM documents'), 2, 'nothing is run');
$h = $explain->("'acme' MODE rls SELECT * FROM documents");
is($one->($h, 'reason'), 'rls_not_forced', 'MODE rls: a table without forced policies');
$h = $explain->("'acme' SELECT 1; DELETE FROM documents");
is($one->($h, 'verdict'), 'rewritten', 'several statements are one text');
$h = $explain->("'acme' SELECT 'a' ; SELECT \$\$;\$\$ -- '");
is($one->($h, 'verdict'), 'passed', 'quotes, semicolons and comments are the statement\'s');
is($explain->("'acme' SELEC")->{reason}[0] =~ s/\|//gr, 'unparsable', 'a syntax error');
# As many parentheses as are let through, and as many as are not: the console lives.
for my $n (400, 2000, 30000) {
    my $v = $explain->("'acme' SELECT " . '(' x $n . '1' . ')' x $n);
    like($one->($v, 'verdict'), qr/passed|refused/, "$n parentheses");
}
like($one->($explain->("'acme' SELECT " . join(' + ', 1 .. 5000)), 'verdict'), qr/passed|refused/, 'a long chain of operators');

# Mistakes.
for my $t (["TENANT", qr/name of a tenant/], ["'acme'", qr/statement.*missing/], ["'acme' MODE off SELECT 1", qr/MODE is/], ["'acme' AS text SELECT 1", qr/AS is followed/],
    ["'acme' DATABASE none SELECT 1", qr/no such database/], ["'' SELECT 1", qr/name/], ["'acme", qr/unterminated/]) {
    my $r = $p->console('EXPLAIN ' . ($t->[0] eq 'TENANT' ? 'TENANT' : "TENANT $t->[0]"), raw => 1, no_die => 1);
    error_is($r, '08P01', $t->[1], "mistake: $t->[0]");
}
error_is($p->console('EXPLAIN SELECT 1', raw => 1, no_die => 1), '08P01', qr/EXPLAIN TENANT/, 'no other EXPLAIN');
error_is($p->console("EXPLAIN TENANT 'acme' SELECT 1", raw => 1, no_die => 1, user => 'bhstats'), '08P01', qr/admin access/, 'not for stats_users');
error_is($p->console("EXPLAN TENANT 'acme' SELECT '$secret'", raw => 1, no_die => 1), '08P01', qr/invalid command .*\Q$secret\E/, 'a mistyped command is shown to who typed it');
ok($p->wait_log(qr/invalid command '\? \? \? SELECT \?'/), 'and logged without what it holds');
is($p->console('SHOW VERSION')->[0]{version} ? 1 : 0, 1, 'the console lives');

# Offline.
my $bin = Bulkhead::Proxy::binary();
my $run = sub { my ($args, %o) = @_; return run_cmd(argv => [$bin, 'explain', @$args], timeout => 30, %o) };
my ($st, $out, $err) = $run->(['--config', $p->{ini}, '--tenant', 'acme', "SELECT * FROM documents WHERE title = '$secret'"]);
is($st, 0, 'offline: rewritten is status 0') or diag($err);
like($out, qr/^verdict: rewritten\nrelation: documents -> public\.documents: tenant, by column tenant_id; predicate added to WHERE \(column tenant_id found in the catalog\)\ntext: SELECT .*\n\z/, 'offline: as on the console');
($st, $out, $err) = $run->(['-c', $p->{ini}, '-t', 'acme', '-m', 'reject', '-d', 'db', 'SELECT * FROM documents']);
is($st >> 8 || $st, 1, 'offline: refused is status 1');
like($out, qr/^verdict: refused\nreason: missing_predicate\n/, 'offline: with the reason');
($st, $out, $err) = $run->(['-c', $p->{ini}, '-t', 'acme', '-x'], stdin => "-- first\nSELECT 1;\n\nSELECT *\n  FROM loose; /* end */\n");
is($st >> 8 || $st, 1, 'offline: of several, the worst counts');
like($out, qr/statement: -- first SELECT 1\nverdict: passed\n\nstatement: SELECT \*   FROM loose\nverdict: refused\n/, 'offline: each statement of standard input');
($st, $out, $err) = $run->(['-c', $p->{ini}, '-t', 'acme'], stdin => "SELECT 'open");
is($st >> 8 || $st, 1, 'offline: a broken text is refused');
for my $t ([['-c', $p->{ini}, 'SELECT 1'], qr/Usage/, 'no tenant'], [['-c', "$p->{dir}/none.ini", '-t', 'acme', 'SELECT 1'], qr/none\.ini/, 'no configuration'],
    [['-c', $p->{ini}, '-t', 'acme', '-d', 'none', 'SELECT 1'], qr/no such entry/, 'no such database'], [['-c', $p->{ini}, '-t', 'acme', ''], qr/no statement/, 'no statement', stdin => ''],
    [['-c', $p->{ini}, '-t', 'acme', '--dsn', 'host=/nowhere', 'SELECT 1'], qr/./, 'no server'], [['-c', $p->{ini}, '-t', 'acme', '--dsn', 'hots=x', 'SELECT 1'], qr/--dsn takes/, 'a bad DSN']) {
    my ($args, $like, $name, %o) = @$t;
    ($st, $out, $err) = $run->($args, %o);
    is($st >> 8 || $st, 2, "offline: $name: trouble");
    like($err, $like, "offline: $name: says so");
}
($st, $out, $err) = $run->(['-c', $p->{ini}, '-t', 'acme', '--dsn', 'host=' . $pg->host . ' port=' . $pg->port . ' user=app dbname=postgres', 'SELECT * FROM kinds']);
is($st, 0, 'offline: --dsn') or diag($err);
($st, $out, $err) = run_cmd(argv => [$bin, '--help'], timeout => 10);
like($out, qr/pgbulkhead explain/, '--help names the command');
unlike($p->log_text, qr/\Q$secret\E/, 'no literal in the log');
finish();
