#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Whose turn it is: a tenant with 200 waiting clients does not keep the others waiting. Turns are counted, not time, and on a pool of one
# server: two that run side by side number their rows in the order in which the system lets them run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg(conf => { max_connections => 60 });
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE served (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text NOT NULL, what text);
SQL
my $many = 200;

for my $workers (1, 2, 4) {
    my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=1 tenant_mode=rewrite', plain => 'dbname=postgres user=app pool_size=1' },
        users => { map { ($_ => "tenant=$_") } qw(acme beta gamma) }, auth => { map { ($_ => '') } qw(acme beta gamma app) },
        set => { worker_threads => $workers, max_client_conn => 1000, query_wait_timeout => 120, tenant_columns => 'tenant_id' });
    my $say = "$workers worker" . ($workers > 1 ? 's' : '');
    my $tenants = sub { return { map { $_->{tenant} => $_ } @{ $p->console('SHOW TENANTS') } } };
    my $hold = $p->connect('db', 'acme');
    my %c = (acme => [map { $p->connect('db', 'acme') } 1 .. $many], beta => [map { $p->connect('db', 'beta') } 1 .. 10], gamma => [map { $p->connect('db', 'gamma') } 1 .. 5]);
    $hold->query('BEGIN');
    # The other tenants come last of all.
    for my $who (qw(acme beta gamma)) { $_->send_query("INSERT INTO served (what) VALUES ('$workers')") for @{ $c{$who} } }
    ok(wait_for(sub { my $t = $tenants->(); $t->{acme}{cl_waiting} == $many && $t->{beta}{cl_waiting} == 10 && $t->{gamma}{cl_waiting} == 5 }, 60, 0.1), "$say: all wait")
        or diag(explain $tenants->());
    my $t = $tenants->();
    is(join('|', map { "$_->{sv_active} $_->{cl_active}" } @{$t}{qw(acme beta gamma)}), '1 1|0 0|0 0', "$say: SHOW TENANTS: who uses servers");
    cmp_ok($t->{acme}{maxwait} * 1e6 + $t->{acme}{maxwait_us}, '>', $t->{gamma}{maxwait} * 1e6 + $t->{gamma}{maxwait_us}, "$say: SHOW TENANTS: who waits longest");
    $hold->query('COMMIT');
    my $bad = 0;
    for my $who (qw(acme beta gamma)) { $bad += grep { $_->finish(timeout => 120)->{error} } @{ $c{$who} } }
    is($bad, 0, "$say: all are served");
    my @order = split /\n/, $pg->value("SELECT string_agg(tenant_id, E'\\n' ORDER BY id) FROM served WHERE what = '$workers'");
    is(scalar @order, $many + 15, "$say: each once");
    # A tenant has a turn on each worker, so acme may have one per worker for each of another's; servers that are handed over may add a few.
    my %acme_before;
    my $n = 0;
    for (@order) { if ($_ eq 'acme') { $n++ } else { push @{ $acme_before{$_} }, $n } }
    my $slack = 2 * $workers + 2;
    for my $who (qw(beta gamma)) {
        my @late = grep { $acme_before{$who}[$_] > ($_ + 1) * $workers + $slack } 0 .. $#{ $acme_before{$who} };
        is(scalar @late, 0, "$say: $who is served in its turn") or diag("acme's turns before each: @{ $acme_before{$who} }");
    }
    $_->close for $hold, map { @$_ } values %c;
    # Clients without a tenant: first come, first served.
    if ($workers == 1) {
        my $block = $p->connect('plain', 'app');
        my @q = map { $p->connect('plain', 'app') } 1 .. 12;
        $block->query('BEGIN');
        for my $i (0 .. $#q) { $q[$i]->send_query("INSERT INTO served (tenant_id, what) VALUES ('$i', 'plain')"); wait_for(sub { (grep { $_->{database} eq 'plain' } @{ $p->console('SHOW POOLS') })[0]{cl_waiting} == $i + 1 }, 10, 0.01) }
        $block->query('COMMIT');
        $_->finish(timeout => 30) for @q;
        is($pg->value("SELECT string_agg(tenant_id, ' ' ORDER BY id) FROM served WHERE what = 'plain'"), join(' ', 0 .. 11), 'without tenants: in the order of coming');
    }
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(defined $st && $st == 0, "$say: clean end");
    is(scalar $p->complaints, 0, "$say: clean log");
}
finish();
