#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# traceparent of sqlcommenter comments: exemplars in OpenMetrics, the audit log, for simple and prepared statements and pipelines; hostile ones are no trace.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
INSERT INTO documents SELECT g, 'acme', 'x' FROM generate_series(1, 5) g;
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres', guarded => 'dbname=postgres user=app tenant_mode=rewrite', quiet => 'dbname=postgres' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 });
my $accept = 'Accept: application/openmetrics-text; version=1.0.0';
# Exemplars of the database: trace-span => [le, value].
my $exemplars = sub {
    my ($db) = @_;
    my %e;
    for (split /\n/, $p->http('/metrics', headers => [$accept])->{body}) {
        next unless /^pgbulkhead_query_duration_seconds_bucket\{database="\Q$db\E",le="([^"]+)"\} \d+ # \{trace_id="([0-9a-f]{32})",span_id="([0-9a-f]{16})"\} (\S+) (\S+)$/;
        $e{"$2-$3"} = [$1, $4, $5];
    }
    return \%e;
};
my $n = 0;
my $new = sub { sprintf '%032x-%016x', ++$n + 0x5bd66ef5, $n + 0xc532 };
# The statement runs and its trace is the only one that comes new.
my $seen = sub {
    my ($db, $id, $what, $not) = @_;
    my $e = $exemplars->($db);
    is(exists $e->{$id} ? 1 : 0, $not ? 0 : 1, $what) or diag(join "\n", sort keys %$e);
    return $e->{$id};
};
for my $db (qw(db guarded)) {
    my $c = $p->connect($db, $db eq 'db' ? 'postgres' : 'acme');
    my $s = 'SELECT title FROM documents WHERE id = ';
    my $id = $new->();
    $c->query("${s}1 /*action='a%20b',traceparent='00-$id-01'*/");
    my $e = $seen->($db, $id, "$db: a simple query");
    cmp_ok($e->[1], '<=', $e->[0] eq '+Inf' ? 9e9 : $e->[0], "$db: its value is in its bucket");
    cmp_ok(abs($e->[2] - time), '<', 3600, "$db: and its time is now");
    $id = $new->();
    $c->query("/*traceparent='00-$id-01'*/ ${s}2");
    $seen->($db, $id, "$db: a comment in front");
    $id = $new->();
    $c->query("${s}2 /*traceparent='00-$id-00'*/");
    $seen->($db, $id, "$db: a trace that nobody records", 1);
    $id = $new->();
    $c->query("${s}2 /*traceparent='00-\U$id\E-01'*/");
    $c->query("${s}2 /*traceparent='00-$id-01'*/ + 0");
    $seen->($db, lc $id, "$db: not of that form, or in the middle", 1);
    $id = $new->();
    $c->ext("$s\$1 /*traceparent='00-$id-01'*/", [3]);
    $seen->($db, $id, "$db: extended protocol");
    # Prepared once, run again after others.
    my ($one, $two) = ($new->(), $new->());
    $c->parse('one', "$s\$1 /*traceparent='00-$one-01'*/");
    $c->parse('two', "$s\$1 AND true /*traceparent='00-$two-01'*/");
    $c->sync;
    $c->finish;
    my $run = sub { my ($name) = @_; $c->cork; $c->bind('', $name, [1]); $c->execute(''); $c->sync; $c->uncork; return $c->finish };
    $run->('one');
    $seen->($db, $one, "$db: a prepared statement");
    $run->('two') for 1 .. 30;
    $seen->($db, $two, "$db: another one");
    $run->('one') for 1 .. 30;
    $seen->($db, $one, "$db: the first one again");
    # A pipeline of queries, one without a trace between.
    my ($first, $last) = ($new->(), $new->());
    $c->cork;
    $c->send_query("${s}1 /*traceparent='00-$first-01'*/");
    $c->send_query("${s}1");
    $c->send_query("SELECT pg_sleep(1.2) /*traceparent='00-$last-01'*/") if $db eq 'db';
    $c->uncork;
    $c->finish for 1 .. ($db eq 'db' ? 3 : 2);
    $e = $seen->($db, $first, "$db: the first of a pipeline");
    cmp_ok($e->[1], '<', 9e9, "$db: with a value");
    if ($db eq 'db') {
        $e = $seen->($db, $last, 'the last of it');
        cmp_ok($e->[1], '>=', 1.19, 'each with its own time');
    }
    # A failing one.
    $id = $new->();
    $c->query("SELECT 1/0 /*traceparent='00-$id-01'*/") if $db eq 'db';
    $seen->($db, $id, 'one that fails') if $db eq 'db';
    $c->query($s . $_) for 1 .. 3;
}
# Refused statements have theirs in SHOW DENIALS.
my $a = $p->connect('guarded', 'acme');
$a->query("SELECT 1 FROM nowhere /*traceparent='00-$_-00'*/") for $new->(), my $refused = $new->();
is((map { $_->{last_trace} } @{ $p->console('SHOW DENIALS') })[0], "00-$refused-00", 'SHOW DENIALS: the trace of the last one');
$a->query('SELECT 1 FROM nowhere');
is((map { $_->{last_trace} // '' } @{ $p->console('SHOW DENIALS') })[0], '', 'none when it has none');
# Text format has none; promtool takes it.
my $text = $p->http('/metrics')->{body};
unlike($text, qr/trace_id/, 'no exemplars in the text format');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $text, timeout => 30);
is($st, 0, 'which promtool accepts') or diag("$out$err");
# No more of them than buckets, however many traces there are; SET switches off for what is new.
my $q = $p->connect('quiet', 'postgres');
$q->query("SELECT 1 /*traceparent='00-" . $new->() . "-01'*/") for 1 .. 200;
my $count = keys %{ $exemplars->('quiet') };
ok($count >= 1 && $count <= 15, "bounded: $count exemplars of 200 traces");
$p->console('SET trace_exemplars = 0');
my $off = $new->();
$q->query("SELECT 1 /*traceparent='00-$off-01'*/");
$seen->('quiet', $off, 'trace_exemplars = 0', 1);
finish();
