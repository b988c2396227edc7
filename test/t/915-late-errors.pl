#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A batch fails after a later one was sent: what the failed one skipped is taken back, not what the later one put in its place.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN');
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app' }, auth => { some => '' }, set => { worker_threads => 1 });
my $proxied = $p->connect('db', 'some');
my $direct = Bulkhead::Wire->login(host => '127.0.0.1', port => $pg->port, user => 'app', dbname => 'postgres');

sub go { my ($c, @do) = @_; $c->cork; for my $d (@do) { my ($m, @a) = @$d; $c->$m(@a) } $c->uncork; my $r; $r = $c->finish for grep { $_->[0] eq 'sync' } @do; return $r }
sub runs { my ($c, $name) = @_; my $r = go($c, [bind => '', $name, []], [execute => ''], ['sync']); return $r->{error} ? $r->{error}{C} : $r->{results}[0]{rows}[0][0] }
my @fail = ([execute => 'nosuch']);
my @case = (
    ['a later Parse stays', '', 3, [parse => '', 'SELECT 1'], @fail, [parse => '', 'SELECT 2'], ['sync'], [parse => '', 'SELECT 3'], ['sync']],
    ['two fail', '', 1, [parse => '', 'SELECT 1'], @fail, [parse => '', 'SELECT 2'], ['sync'], @fail, [parse => '', 'SELECT 3'], ['sync']],
    ['two of three fail', '', 4, @fail, [parse => '', 'SELECT 2'], ['sync'], @fail, [parse => '', 'SELECT 3'], ['sync'], [parse => '', 'SELECT 4'], ['sync']],
    ['a later Parse of the name stays', 'n', 3, @fail, [parse => 'n', 'SELECT 2'], ['sync'], [close_name => 'S', 'n'], [parse => 'n', 'SELECT 3'], ['sync']],
    ['a name anew: both fail', 'k', 7, [parse => 'k', 'SELECT 7'], ['sync'], @fail, [close_name => 'S', 'k'], [parse => 'k', 'SELECT 8'], ['sync'],
        @fail, [close_name => 'S', 'k'], [parse => 'k', 'SELECT 9'], ['sync']],
    ['a name anew twice: the first fails', 'j', 9, [parse => 'j', 'SELECT 7'], ['sync'], @fail, [close_name => 'S', 'j'], [parse => 'j', 'SELECT 8'],
        [close_name => 'S', 'j'], [parse => 'j', 'SELECT 8'], ['sync'], [close_name => 'S', 'j'], [parse => 'j', 'SELECT 9'], ['sync']],
    ['a name closed: both fail', 'i', 7, [parse => 'i', 'SELECT 7'], ['sync'], @fail, [close_name => 'S', 'i'], ['sync'], @fail, [close_name => 'S', 'i'], ['sync']],
    ['names: two fail', 'm', '26000', @fail, [parse => 'm', 'SELECT 2'], ['sync'], @fail, [close_name => 'S', 'm'], ['sync']],
);
for my $case (@case) {
    my ($what, $name, $want, @do) = @$case;
    for my $w (['PostgreSQL', $direct], ['ours', $proxied]) {
        go($w->[1], @do);
        is(runs($w->[1], $name), $want, "$what: $w->[0]") for 1, 2;
    }
}
finish();
