#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A statement that comes back because what took its place was skipped (an error in the batch) is judged for the tenant that the
# client has become meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL);
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite' }, users => { some => 'tenants=acme,beta tenant_switch=1' },
    auth => { some => '' }, rules => ['public.notes = tenant_id'], set => { worker_threads => 1 });
my $c = $p->connect('db', 'some');
sub run { my (@do) = @_; $c->cork; for my $d (@do) { my ($m, @a) = @$d; $c->$m(@a) } $c->uncork; return $c->finish }
sub tenant { my ($t) = @_; my $r = $c->query("SET pgbulkhead.tenant = '$t'"); ok(!$r->{error}, "tenant $t") or diag explain $r->{error}; return }
my $id = 0;

for my $name ('', 'n') {
    my $what = $name ? 'named' : 'unnamed';
    my $insert = sprintf "INSERT INTO notes (id, tenant_id) VALUES (%d, 'acme')", ++$id;
    my @take_away = $name ? ([close_name => 'S', $name]) : ([parse => '', 'SELECT 1']);
    tenant('acme');
    ok(!run([parse => $name, $insert], ['sync'])->{error}, "$what: the tenant's own row");
    tenant('beta');
    is(run([execute => 'nosuch'], @take_away, ['sync'])->{error}{C}, '34000', "$what: a batch fails");
    my $r = run([bind => '', $name, []], [execute => ''], ['sync']);
    is($r->{error}{C}, '42501', "$what: refused for the other tenant") or diag explain $r;
    is($pg->value("SELECT count(*) FROM notes WHERE id = $id"), '0', "$what: no row of the former tenant");
    tenant('acme');
    ok(!run([bind => '', $name, []], [execute => ''], ['sync'])->{error}, "$what: and runs for its own");
    is($pg->value("SELECT count(*) FROM notes WHERE id = $id"), '1', "$what: there it is");
}
finish();
