#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# tenant_guc is bound before the client's first statement, also when the client's own parameters are refused; an exclusion
# constraint does not show another tenant's row; audit works without a catalog.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE rooms (id int PRIMARY KEY, tenant_id text NOT NULL, during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO rooms VALUES (1, 'beta', '[100,200)');
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('app.tenant_id') $$;
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite',
        audit => 'dbname=postgres user=app pool_size=1 tenant_mode=audit catalog_user=nobody_there' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { map { ($_ => '') } qw(acme beta) },
    functions => ['public.who() = allow'],
    set => { tenant_columns => 'tenant_id', tenant_guc => 'app.tenant_id', worker_threads => 1 });
my ($acme, $beta) = map { $p->connect('db', $_) } qw(acme beta);
is($acme->value('SELECT who()'), 'acme', 'the server knows the tenant');
is($beta->value('SELECT who()'), 'beta', 'and the next one on the same server');
is($acme->value('SELECT who()'), 'acme', 'and the first again');
is(row_values($beta->ext('SELECT who()', [])), 'beta', 'extended');
is($acme->query("SET app.tenant_id = 'beta'")->{error}{C}, '42501', 'out of the client\'s reach');
my $bad = $p->connect('db', 'acme', params => { DateStyle => 'no such style' });
$bad->query('SELECT who()');
is($beta->value('SELECT who()'), 'beta', 'after a client with a refused parameter');
my $e = $acme->query("INSERT INTO rooms VALUES (2, 'acme', '[150,160)')")->{error};
is($e->{C}, '23P01', 'the constraint holds over tenants');
ok(!defined $e->{D}, 'and does not show the other row');
unlike(join(' ', values %$e), qr/100|200/, 'in any field');
my $a = $p->connect('audit', 'acme');
is($a->value('SELECT count(*) FROM rooms'), 1, 'audit passes without a catalog');
is(row_values($a->ext('SELECT count(*) FROM rooms', [])), 1, 'extended too');
done_testing();
