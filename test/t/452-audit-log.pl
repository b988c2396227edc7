#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# tenant_audit_log: a line of JSON per statement, exact for hostile bytes, without literals; exempt users; levels; reopening; losses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use JSON::PP;

need_ours();
my $secret = 'Sesame-5ecret';
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
CREATE TABLE kinds (code text PRIMARY KEY, label text);
INSERT INTO documents SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20) g;
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=4 tenant_mode=rewrite', watch => 'dbname=postgres user=app pool_size=2 tenant_mode=audit', strict => 'dbname=postgres user=app pool_size=2 tenant_mode=reject', open => 'dbname=postgres user=app' },
    users => { acme => 'tenant=acme', ops => 'tenant=*', odd => qq(tenant='a"b\\''c') }, auth => { map { ($_ => '') } qw(acme ops odd) },
    rules => ['public.kinds = shared'], set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 }, start => 0);
my $log = "$p->{dir}/audit.json";
$p->{set}{tenant_audit_log} = $log;
$p->write;
$p->start;
my $json = JSON::PP->new->utf8;
# All lines; each has to be valid.
my $lines = sub {
    my ($file) = @_;
    return map { my $l = $_; my $h = eval { $json->decode($l) }; $h or do { diag("bad line: $l"); () } } split /\n/, -e ($file // $log) ? slurp($file // $log) =~ s/[^\n]*\z//r : '';
};
# Waits for the n-th line of all.
my $last = sub {
    my ($n, $file) = @_;
    wait_for(sub { scalar(() = (-e ($file // $log) ? slurp($file // $log) : '') =~ /\n/g) >= $n }, 10, 0.05);
    my @l = $lines->($file);
    is(scalar @l, $n, "$n lines");
    return $l[-1] // {};
};
# ---- refused ones only
my $c = $p->connect('db', 'acme', params => { application_name => "app \"x\"\\ \x01\xc3\xa4" });
$c->query('SELECT * FROM documents');
$c->query("SELECT * FROM nowhere, kinds WHERE a = '$secret' /*traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',secret='$secret'*/");
my $l = $last->(1);
like($l->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'time');
is(join('|', map { $_ // '' } @$l{qw(database user tenant verdict reason sqlstate about template position mode traceparent)}),
    'db|acme|acme|refused|unknown_relation|42501|nowhere|SELECT * FROM nowhere, kinds WHERE a = ?|15|rewrite|00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01', 'a refused statement');
like($l->{client}, qr/^127\.0\.0\.1:\d+$/, 'client');
like($l->{application_name}, qr/^app "x"\\ ./, 'hostile bytes arrive as they should');
$c->query("UPDATE kinds SET label = '$secret'");
$l = $last->(2);
is(join('|', $l->{reason}, $l->{about}, @{ $l->{relations} }), 'read_only_relation|public.kinds|public.kinds', 'relations');
$c->query("SELECT \xff '$secret'");
$l = $last->(3);
is($l->{reason}, 'encoding', 'a text that is no UTF-8');
$c->query("SELECT 'a\x01b' \"q\x02\\\" FROM nowhere");
$l = $last->(4);
like($l->{template}, qr/^SELECT \? "q\?\\" FROM nowhere$/, 'control characters in names');
my $o = $p->connect('db', 'odd');
$o->query('SELECT * FROM nowhere');
is($last->(5)->{tenant}, q(a"b\\'c), 'a hostile tenant');
my $s = $p->connect('strict', 'acme');
$s->ext('SELECT * FROM documents WHERE tenant_id = $1', [$secret]);
$l = $last->(6);
is(join('|', @$l{qw(reason template mode)}), 'bind_value|SELECT * FROM documents WHERE tenant_id = ?|reject', 'a value in Bind');
my $w = $p->connect('watch', 'acme');
$w->query('SELECT * FROM nowhere2');
is($last->(7)->{verdict}, 'would refuse', 'audit mode');
$p->connect('db', 'ops')->query("SELECT '$secret'");
$p->connect('open', 'acme')->query("SELECT '$secret'");
$last->(7);
# ---- exempt users
$p->console("SET tenant_audit = 'refused,exempt'");
my $ops = $p->connect('db', 'ops');
$ops->query("DELETE FROM documents WHERE title = '$secret'");
$l = $last->(8);
is(join('|', @$l{qw(user tenant verdict template mode)}), 'ops|*|exempt|DELETE FROM documents WHERE title = ?|off', 'an exempt user');
$ops->ext('SELECT $1::text', [$secret]);
is($last->(9)->{template}, 'SELECT ?::text', 'an exempt user, extended protocol');
$ops->parse('s', 'SELECT 4711'); $ops->sync; $ops->finish;
for (1, 2) { $ops->bind('', 's', []); $ops->execute(''); $ops->sync; $ops->finish }
is($last->(11)->{template}, 'SELECT ?', 'each run of a prepared statement');
# In pieces, and longer than what is looked at.
my $long = "SELECT length('" . $secret x 200_000 . "')";
is($ops->value($long), 13 * 200_000, 'a long statement of an exempt user');
is($last->(12)->{template}, 'SELECT ?( ...', 'shows its beginning, strictly');
$c->query('SELECT * FROM documents');
$last->(12);
# ---- all
$p->console('SET tenant_audit = all');
$c->query("SELECT title FROM documents JOIN kinds ON code = '$secret'");
$l = $last->(13);
is(join('|', @$l{qw(verdict template)}, @{ $l->{relations} // [] }), 'rewritten|SELECT title FROM documents JOIN kinds ON code = ?|public.documents|public.kinds', 'a rewritten one');
ok(!exists $l->{reason} && !exists $l->{position}, 'without a reason');
$c->query('SELECT 1');
is($last->(14)->{verdict}, 'passed', 'a passed one');
$w->query('SELECT * FROM documents');
is($last->(15)->{verdict}, 'would rewrite', 'audit mode: one that would be rewritten');
# ---- reopening
rename $log, "$log.1";
$p->console('RELOAD');
$p->console('SET tenant_audit = all');
$c->query('SELECT 1');
$last->(1);
$last->(15, "$log.1");
$p->console("SET tenant_audit_log = '$p->{dir}/none/audit.json'");
ok($p->wait_log(qr/cannot open tenant_audit_log .*none/), 'a file that cannot be opened is said');
$c->query('SELECT 2');
is($last->(2)->{verdict}, 'passed', 'and the old one goes on');
# ---- a full disk
if (-e '/dev/full') {
    $p->console('SET tenant_audit_log = /dev/full');
    $c->query('SELECT 3') for 1 .. 3;
    ok($p->wait_log(qr/tenant_audit_log: \d+ lines were lost/), 'losses are said');
    ok(wait_for(sub { ($p->metric('pgbulkhead_audit_lines_dropped_total') // 0) >= 3 }, 10, 0.2), 'and counted');
    is($c->value('SELECT 4'), 4, 'and hold nobody up');
}
$p->console("SET tenant_audit_log = ''");
$c->query('SELECT 5');
$last->(2);
cmp_ok($p->metric('pgbulkhead_audit_lines_total') // 0, '>=', 17, 'lines are counted');
cmp_ok($p->metric('pgbulkhead_tenant_statements_total', 'outcome="exempt"') // 0, '>=', 5, 'statements of exempt users are counted');
my $mode = (stat $log)[2] & 0777;
is($mode & 07, 0, 'the file is not for everybody');
# Nothing anywhere.
unlike(slurp($_), qr/5ecret/, 'no literal in ' . s{.*/}{}r) for grep { -e } $log, "$log.1", $p->{log};
# A file that cannot be opened at start is a reason not to.
my $q = proxy(pg => $pg, set => { tenant_audit_log => '/nowhere/audit.json' }, start => 0);
$q->start(may_fail => 1); # its listeners may be open for a moment
ok($q->wait_log(qr/FATAL cannot open tenant_audit_log/), 'no start without the file');
ok(wait_for(sub { !$q->alive }, 10, 0.05), 'the program ends');
$q->{expect_exit} = 1;
finish();
