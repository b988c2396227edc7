#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Slow queries in the log: while they run, when they end, when they are lost; wait, rows, state, tenant, trace, template without literals.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use JSON::PP;

need_ours();
my $secret = 'Sesame-5low';
my $id = '5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2';
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
INSERT INTO documents VALUES (1, 'acme', 'a'), (2, 'acme', 'b');
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=postgres pool_size=5', one => 'dbname=postgres user=postgres pool_size=1', guarded => 'dbname=postgres user=app tenant_mode=rewrite' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' },
    set => { slow_query_threshold => '0.2', tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 });
# A query that is slow for as long as we like: it waits for a lock of ours.
my $holder = $pg->connect('postgres');
my $locked = sub {
    my ($send, $during) = @_;
    $holder->query('SELECT pg_advisory_lock(7)');
    $send->();
    my $r = $during->();
    $holder->query('SELECT pg_advisory_unlock_all()');
    return $r;
};
my $has = sub { my ($re, $what) = @_; ok($p->wait_log($re, 20), $what) or diag(scalar $p->log_text =~ /((?:.*slow query.*\n)+)/ ? $1 : 'no slow query in the log') };
my $c = $p->connect('db', 'postgres', params => { application_name => "shop\n1" });
my $sql = "SELECT pg_advisory_xact_lock(7), '$secret' FROM generate_series(1, 3) /*route='x',traceparent='00-$id-01'*/";
my $t = 'SELECT pg_advisory_xact_lock\(\?\), \? FROM generate_series\(\?, \.\.\.\)';
# ---- simple
$locked->(sub { $c->send_query($sql) }, sub {
    $has->(qr{ LOG C-0x[0-9a-f]+: db/postgres\@127\.0\.0\.1:\d+ slow query still running: for \d+\.\d{6} s, waited \d+\.\d{6} s, application shop[^,]*1, trace 00-$id-01: $t$}m, 'while it runs');
    unlike($p->log_text, qr/slow query: took/, 'not yet the line of its end');
});
is($c->finish->{results}[0]{tag}, 'SELECT 3', 'it ends');
$has->(qr{slow query: took \d+\.\d{6} s, waited \d+\.\d{6} s, rows 3, application shop[^,]*1, trace 00-$id-01: $t$}m, 'when it has ended');
my $n = () = $p->log_text =~ /slow query/g;
is($n, 2, 'two lines');
is($p->metric('pgbulkhead_slow_queries_total', 'database="db"'), 1, 'counted once');
# ---- the next one is not slow, and inherits nothing
$c->query('SELECT 1');
# ---- prepared
$locked->(sub { $c->cork; $c->parse('p', 'SELECT pg_advisory_xact_lock($1)' . " /*traceparent='00-$id-00'*/"); $c->bind('', 'p', [7]); $c->execute(''); $c->sync; $c->uncork },
    sub { $has->(qr/still running: .*, trace 00-$id-00: SELECT pg_advisory_xact_lock\(\?\)$/m, 'prepared: while it runs') });
$c->finish;
$has->(qr/slow query: took .*, rows 1, application [^,]*, trace 00-$id-00: SELECT pg_advisory_xact_lock\(\?\)$/m, 'prepared: its end');
$locked->(sub { $c->cork; $c->bind('', 'p', [7]); $c->execute(''); $c->sync; $c->uncork },
    sub { ok(wait_for(sub { (() = $p->log_text =~ /still running: .*-00: /g) == 2 }, 20, 0.1), 'bound again: its trace too') });
$c->finish;
# ---- failed, lost
$locked->(sub { $c->send_query('SELECT pg_advisory_xact_lock(7) AS cancelled') }, sub {
    $has->(qr/still running: .* s, application [^,]*: SELECT pg_advisory_xact_lock\(\?\) AS cancelled$/m, 'without a trace');
    $pg->sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%AS cancelled' AND pid <> pg_backend_pid()});
});
is($c->finish->{error}{C}, '57014', 'it is cancelled');
$has->(qr/slow query: took .*, rows 0, failed with 57014, .*AS cancelled$/m, 'a failed one: its SQLSTATE');
my $l = $p->connect('db', 'postgres');
$locked->(sub { $l->send_query('SELECT pg_advisory_xact_lock(7) AS lost') }, sub {
    $has->(qr/still running: .* AS lost$/m, 'another one');
    $pg->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%AS lost' AND pid <> pg_backend_pid()});
    $l->wait_eof(10);
});
$has->(qr/slow query lost: after .* AS lost$/m, 'its server is lost');
# ---- waiting for a server is told apart
my ($h, $w) = map { $p->connect('one', 'postgres') } 1, 2;
$h->query('BEGIN');
$w->send_query("SELECT '$secret' AS waited");
select undef, undef, undef, 0.5;
$h->query('COMMIT');
$w->finish;
$has->(qr/slow query: took (0\.[2-9]|[1-9]\d*\.)\d+ s, waited (0\.[2-9]|[1-9]\d*\.)\d+ s, rows 1: SELECT \? AS waited$/m, 'a wait for a server');
# ---- a tenant's, in JSON
$p->console("SET log_format = 'json'");
my $a = $p->connect('guarded', 'acme', params => { application_name => 'x"y' });
$a->query('SELECT 1');
$holder->query('BEGIN');
$holder->query('SELECT * FROM documents WHERE id = 1 FOR UPDATE');
$a->send_query("UPDATE documents SET title = '$secret' /*traceparent='00-$id-01'*/");
$has->(qr/"slow":"running".*UPDATE documents/, 'a tenant\'s while it runs');
$holder->query('COMMIT');
is($a->finish->{results}[0]{tag}, 'UPDATE 2', 'it ends');
$has->(qr/"slow":"ended".*UPDATE documents/, 'and ended');
my ($j) = map { JSON::PP->new->utf8->decode($_) } grep { /"slow":"ended".*UPDATE documents/ } split /\n/, $p->log_text;
is(join('|', map { $_ // 'undef' } @$j{qw(level message database user tenant application_name rows template traceparent trace_id span_id)}),
    join('|', 'LOG', 'slow query', 'guarded', 'acme', 'acme', 'x"y', 2, 'UPDATE documents SET title = ?', "00-$id-01", split(/-/, $id)), 'its members');
cmp_ok($j->{took}, '>=', 0.2, 'took');
ok(abs($j->{took} - $j->{waited} - $j->{ran}) < 0.00001, 'waited and ran make up took');
# ---- off
$p->console("SET log_format = 'text'");
$p->console('SET query_stats = 0');
$locked->(sub { $c->send_query("SELECT pg_advisory_xact_lock(7), '$secret'") }, sub { $has->(qr/still running: .*: <query_stats is off>$/m, 'without query_stats there is no template') });
$c->finish;
$has->(qr/slow query: took .*: <query_stats is off>$/m, 'nor at the end');
$p->console('SET log_slow_queries = 0');
$n = () = $p->log_text =~ /slow query/g;
my $slow = $p->metric('pgbulkhead_slow_queries_total', 'database="db"');
$locked->(sub { $c->send_query('SELECT pg_advisory_xact_lock(7)') }, sub { ok(wait_for(sub { $p->metric('pgbulkhead_slow_queries_total', 'database="db"') > $slow }, 20, 0.1), 'switched off: still counted') });
$c->finish;
is(scalar(() = $p->log_text =~ /slow query/g), $n, 'and not logged');
unlike($p->log_text, qr/\Q$secret\E/, 'no literal in any line');
finish();
