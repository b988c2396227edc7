#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Refused statements in pipelines and transactions: the answers are those of a PostgreSQL that fails the same messages.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO documents VALUES (1, 'acme'), (2, 'beta');
CREATE TABLE hidden (id int);
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, set => { tenant_columns => 'tenant_id', query_wait_timeout => 5 });
my $c = $p->connect('db', 'acme');
sub run { my (@do) = @_; $c->cork; for my $d (@do) { my ($m, @a) = @$d; $c->$m(@a) } $c->uncork; return }
sub types { return eval { Bulkhead::Wire->types($c->read_until('Z', 5)) } // "$@" }
sub good { my ($say) = @_; is(eval { $c->value('SELECT count(*) FROM documents') } // "$@", 1, "$say: goes on") }
my $bad = 'SELECT * FROM hidden';
$c->query($bad); # the catalog has been asked for by now

run([execute => 'nosuch'], [send_query => $bad], ['sync']);
is(types(), 'EZ', 'a refused Query behind a failed message is skipped like any other');
ok(!$c->readable(0.3), 'and nothing follows');
good('skipped');
run([send_query => 'SELECT 1'], [send_query => $bad], [send_query => 'SELECT 2']);
is(types() . types() . types(), 'TDCZEZTDCZ', 'a refused Query between two others');
good('between');
run([parse => '', 'SELECT 1'], [send_query => $bad], [send_query => 'SELECT 2']);
is(types() . types(), '1EZTDCZ', 'a refused Query ends a batch');
good('ended');
my $other = $p->connect('db', 'acme');
is(eval { $other->value('SELECT 5') } // "$@", 5, 'the server is free');
is($c->query('BEGIN')->{status}, 'T', 'BEGIN');
is($c->query($bad)->{status}, 'E', 'a refusal fails the transaction');
error_is($c->query('SELECT 1'), '25P02', qr/aborted/, 'on the server too');
is($c->query('ROLLBACK')->{status}, 'I', 'ROLLBACK');
$c->query('BEGIN');
run([parse => '', $bad], [bind => '', '', []], [execute => ''], ['sync'], [send_query => 'SELECT 3']);
is(types() . types(), 'EZEZ', 'extended: refused, and the transaction is failed');
$c->query('ROLLBACK');
good('after all');
finish();
