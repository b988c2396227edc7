#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# max_tenant_connections and max_tenant_client_connections: exact over users, pools and workers; their places, texts, and what SET, RELOAD and switching do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg(conf => { max_connections => 80 });
$pg->sql("CREATE ROLE $_ LOGIN; GRANT ALL ON SCHEMA public TO $_") for qw(app acme1 acme2 beta many);
$pg->sql('CREATE TABLE t (tenant_id text NOT NULL, x int); GRANT ALL ON t TO PUBLIC');

for my $workers (1, 4) {
    my $p = proxy(pg => $pg, databases => {
            db => 'dbname=postgres catalog_user=app pool_size=8 tenant_mode=rewrite max_tenant_connections=3', one => 'dbname=postgres user=app pool_size=8 tenant_mode=rewrite max_tenant_client_connections=5',
            free => 'dbname=postgres user=app pool_size=6 tenant_mode=off',
        },
        users => { acme1 => 'tenant=acme', acme2 => 'tenant=acme', beta => 'tenant=beta', many => 'tenants=acme,beta,gamma tenant_switch=1' }, auth => { map { ($_ => '') } qw(acme1 acme2 beta many app) },
        set => { worker_threads => $workers, max_client_conn => 300, query_wait_timeout => 60, tenant_columns => 'tenant_id', tenant_identity => 'map,startup' },
        extra => "\n[tenants]\ngamma = tenant_no=7 max_tenant_connections=1 max_tenant_client_connections=2\n");
    my $say = "$workers worker" . ($workers > 1 ? 's' : '');
    my $tenant = sub { my ($n) = @_; return (grep { $_->{tenant} eq $n } @{ $p->console('SHOW TENANTS') })[0] };

    # Servers: 12 clients of one tenant by two users (two pools) want a transaction each.
    my @c = map { $p->connect('db', $_ % 2 ? 'acme1' : 'acme2') } 1 .. 12;
    $_->send_query('BEGIN') for @c;
    ok(wait_for(sub { my $t = $tenant->('acme'); $t->{sv_active} == 3 && $t->{cl_waiting} == 9 }, 20, 0.05), "$say: three of twelve have a server") or diag(explain $tenant->('acme'));
    my $other = $p->connect('db', 'beta');
    is(eval { row_values($other->query('SELECT 5', timeout => 15)) } // $@, 5, "$say: another tenant is served meanwhile");
    my ($peak, $served, %in) = (0, 0);
    my $until = time + 170;
    while ($served < 12 && time < $until) {
        for my $i (grep { !$in{$_} } 0 .. 11) { if ($c[$i]->readable(0.02)) { my $r = $c[$i]->finish; $in{$i} = 1; is($r->{error}{M}, undef, "$say: BEGIN $i") if $r->{error} } }
        my $now = $tenant->('acme')->{sv_active};
        $peak = $now if $now > $peak;
        my ($first) = grep { $in{$_} && $in{$_} == 1 } sort { $a <=> $b } keys %in;
        next if !defined $first;
        $c[$first]->query('COMMIT');
        $in{$first} = 2;
        $served++;
    }
    is($served, 12, "$say: all twelve have had their transaction");
    is($peak, 3, "$say: never more than three at once");
    ok(wait_for(sub { $tenant->('acme')->{sv_active} == 0 }), "$say: none is left over");
    # Many at once.
    for my $round (1 .. 5) { $_->send_query('SELECT 1') for @c; $_->finish(timeout => 30) for @c }
    ok(wait_for(sub { $tenant->('acme')->{sv_active} == 0 }, 5), "$say: places are given back");
    # One that goes away while it waits, one that goes away with a server.
    $_->query('BEGIN') for @c[0 .. 2];
    $c[$_]->send_query('BEGIN') for 3 .. 5;
    ok(wait_for(sub { $tenant->('acme')->{cl_waiting} == 3 }, 10), "$say: three wait again");
    $c[3]->abort; $c[0]->abort;
    ok(wait_for(sub { $c[4]->readable(0.05) || $c[5]->readable(0.05) }, 20), "$say: the place of one that died is given on");
    my $now;
    wait_for(sub { $now = join('|', @{ $tenant->('acme') }{qw(sv_active cl_waiting)}); $now eq '3|1' });
    is($now, '3|1', "$say: and no other");
    $_->query('ROLLBACK') for @c[1, 2];
    for (@c[4, 5]) { $_->finish(timeout => 20); $_->query('ROLLBACK') }
    # The limit can be raised while they wait.
    $_->query('BEGIN') for @c[6 .. 8];
    $c[9]->send_query('BEGIN');
    ok(wait_for(sub { $tenant->('acme')->{cl_waiting} == 1 }, 10), "$say: one waits");
    $p->{databases}{db} =~ s/connections=3/connections=4/;
    $p->write;
    $p->console('RELOAD');
    is(eval { $c[9]->finish(timeout => 20)->{error} }, undef, "$say: RELOAD raises the limit");
    $_->query('ROLLBACK') for @c[6 .. 9];
    $_->close for @c[1, 2, 4 .. 11], $other;

    # Clients.
    my @k = map { $p->connect('one', $_ % 2 ? 'acme1' : 'acme2') } 1 .. 5;
    my $r = $p->connect('one', 'acme1', no_die => 1);
    error_is($r, '53300', qr/^client connections exceeded \(max_tenant_client_connections\)$/, "$say: the sixth client");
    is($r->{error}{D}, 'Tenant "acme" has as many connections to database "one" as it may.', "$say: DETAIL");
    like($r->{error}{H}, qr/^Close connections .* or raise max_tenant_client_connections in \[tenants\]/, "$say: HINT");
    ok($p->connect('one', 'beta'), "$say: another tenant may");
    ok($p->connect('db', 'acme1'), "$say: another database may");
    (shift @k)->close;
    ok(wait_for(sub { my $n = eval { $p->connect('one', 'acme2', no_die => 1) }; $n && !$n->{error} && push @k, $n }, 10), "$say: one leaves, one comes");
    # By processes at once: exact to the one.
    $_->close for @k;
    ok(wait_for(sub { $tenant->('acme')->{clients} == 0 }, 10), "$say: all have left");
    my @got = parallel(6, sub { my @m; for (1 .. 4) { my $n = eval { $p->connect('one', 'acme1', no_die => 1) }; push @m, $n if $n && !$n->{error} } meet("tenant$workers", 6); return scalar @m });
    my $sum = 0;
    $sum += $_ for grep { /^\d+$/ } @got;
    is($sum, 5, "$say: 24 at once, five accepted") or diag("@got");
    # A tenant's own line, and who becomes it by SET.
    my @g = map { my $n = $p->connect('one', 'many'); $n->query("SET pgbulkhead.tenant = 'gamma'"); $n } 1 .. 2;
    my $x = $p->connect('one', 'many');
    error_is($x->query("SET pgbulkhead.tenant = 'gamma'"), '53300', qr/max_tenant_client_connections/, "$say: SET into a full tenant");
    is(row_values($x->query('SHOW pgbulkhead.tenant')), '', "$say: which changed nothing");
    is($x->query("SET pgbulkhead.tenant = 'beta'")->{error}, undef, "$say: SET into another one");
    is(join('|', @{ $tenant->('gamma') }{qw(clients max_connections max_client_connections)}), '2|1|2', "$say: SHOW TENANTS: a tenant's own limits");
    $g[0]->query("SET pgbulkhead.tenant = 'beta'");
    is($x->query("SET pgbulkhead.tenant = 'gamma'")->{error}, undef, "$say: after one has left");
    $x->query('BEGIN');
    $g[1]->send_query('SELECT 1');
    ok(wait_for(sub { $tenant->('gamma')->{cl_waiting} == 1 }, 10), "$say: a limit of one server");
    $x->query('COMMIT');
    is(row_values($g[1]->finish(timeout => 20)), 1, "$say: goes round");
    # Without tenants nothing of that counts.
    my @f = map { $p->connect('free', 'app') } 1 .. 8;
    $_->query('SELECT 1') for @f;
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(defined $st && $st == 0, "$say: clean end");
    is(scalar $p->complaints, 0, "$say: clean log");
}
finish();
