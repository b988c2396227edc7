#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Limits of client connections: whom they count, whom they let through, over one and four workers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql("CREATE ROLE $_ LOGIN") for qw(few many bhadmin bhstats);
for my $workers (1, 4) {
    my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres max_db_client_connections=3', two => 'dbname=postgres' },
        users => { few => 'max_user_client_connections=2' }, auth => { few => '', many => '', bhadmin => '', bhstats => '' },
        set => { worker_threads => $workers, max_client_conn => 12 });
    my $say = "$workers worker(s)";
    # Connections that are let in, of n; the others' reasons.
    my $try = sub {
        my ($db, $user, $n) = @_;
        my (@in, %why);
        for (1 .. $n) {
            my $c = $p->connect($db, $user, no_die => 1);
            if ($c->{error}) { $why{ $c->{error}{M} }++ }
            else { push @in, $c }
        }
        return (\@in, join '; ', sort keys %why);
    };
    my ($in, $why) = $try->('one', 'many', 5);
    is(scalar @$in, 3, "$say: max_db_client_connections is exact");
    like($why, qr/max_db_client_connections/, 'and named in the refusal');
    my ($ops) = $try->('one', 'bhadmin', 2);
    is(scalar @$ops, 2, 'admin_users are let through');
    my ($stats, $w) = $try->('one', 'bhstats', 1);
    is(scalar @$stats, 0, 'stats_users are not');
    like($w, qr/max_db_client_connections/, 'for the same reason');
    my ($row) = grep { $_->{name} eq 'one' } @{ $p->console('SHOW DATABASES') };
    is("$row->{current_client_connections} of $row->{max_client_connections}", '5 of 3', 'SHOW DATABASES');
    $_->close for @$in, @$ops;
    ($in, $why) = $try->('two', 'few', 4);
    is(scalar @$in, 2, 'max_user_client_connections is exact');
    like($why, qr/max_user_client_connections/, 'and named');
    my ($u) = grep { $_->{name} eq 'few' } @{ $p->console('SHOW USERS') };
    is("$u->{current_client_connections} of $u->{max_user_client_connections}", '2 of 2', 'SHOW USERS');
    $_->close for @$in;
    ok(wait_for(sub { my ($c) = $try->('two', 'few', 1); my $n = @$c; $_->close for @$c; $n }, 5), 'places come back');
    # The whole process: also administrators of databases, but not of the console.
    wait_for(sub { (grep { $_->{list} eq 'used_clients' } @{ $p->console('SHOW LISTS') })[0]{items} <= 1 }, 5);
    ($in, $why) = $try->('two', 'many', 14);
    is(scalar @$in, 12, 'max_client_conn is exact');
    like($why, qr/max_client_conn/, 'and named');
    ($ops) = $try->('two', 'bhadmin', 1);
    is(scalar @$ops, 0, 'it holds for administrators of databases too');
    is($p->console('SHOW STATE')->[0]{key}, 'active', 'the console is let through');
    is($p->console('SHOW STATE', user => 'bhstats')->[0]{key}, 'active', 'also for stats_users');
    $_->close for @$in;
}
finish();
