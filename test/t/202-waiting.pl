#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Waiting clients: order, query_wait_timeout, and that nobody is forgotten when servers change hands between workers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 200;

my $pg = pg();
for my $workers (ours() ? (1, 2) : (1)) {
    my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1', two => 'dbname=postgres pool_size=2' },
        set => { worker_threads => $workers, query_wait_timeout => 100, max_client_conn => 200 });
    my $say = "$workers worker" . ($workers > 1 ? 's' : '');
    my $holder = $p->connect('one');
    $holder->query('BEGIN');
    my @w = map { $p->connect('one') } 1 .. 5;
    my $waiting = sub { my ($n) = @_; wait_for(sub { $p->pool('one')->{cl_waiting} == $n }) };
    for my $i (0 .. $#w) { $w[$i]->send_query('SELECT clock_timestamp()'); $waiting->($i + 1) }
    my $pool = $p->pool('one');
    is($pool->{cl_waiting}, 5, "$say: five wait") ;
    is($pool->{sv_active}, 1, "$say: for one server");
    $holder->query('COMMIT');
    my @at = map { row_values($_->finish) } @w;
    my $sorted = join(',', sort @at) eq join(',', @at);
    # Order among workers is by their oldest waiter; one worker gives the exact order of arrival.
    ok($sorted || $workers > 1, "$say: served in order of arrival");
    is(scalar(grep { length } @at), 5, "$say: all served");
    # Time-out.
    $holder->query('BEGIN');
    $p->console('SET query_wait_timeout = 2');
    my $t = time;
    my $c = $p->connect('one');
    my $r = $c->query('SELECT 1');
    my $took = time - $t;
    error_is($r, $r->{error} ? $r->{error}{C} : '', qr/query_wait_timeout/, "$say: query_wait_timeout is said");
    cmp_ok($took, '>=', 1.5, "$say: not too early");
    cmp_ok($took, '<', 40, "$say: not too late ($took s)");
    $p->console('SET query_wait_timeout = 100');
    # Waiting clients that leave are forgotten.
    my @gone = map { my $g = $p->connect('one'); $g->send_query('SELECT 1'); $g } 1 .. 5;
    $waiting->(5);
    $_->abort for @gone;
    $waiting->(0);
    my $last = $p->connect('one');
    $last->send_query('SELECT 9');
    $waiting->(1);
    $holder->query('COMMIT');
    is(row_values($last->finish), 9, "$say: after waiters left the next is served");
    # Many clients on two servers: nobody starves.
    my @r = parallel(10, sub {
        my ($i) = @_;
        my @c = map { $p->connect('two') } 1 .. 4;
        my $bad = 0;
        for my $k (1 .. 60) {
            $_->send_query("SELECT $i * 1000 + $k") for @c;
            for (@c) { $bad++ unless row_values($_->finish(timeout => 20)) eq $i * 1000 + $k }
        }
        return $bad;
    }, 60);
    is("@r", '0 0 0 0 0 0 0 0 0 0', "$say: 40 clients on two servers, 2400 answers, each the right one");
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(!ours() || defined $st && $st == 0, "$say: clean end");
    is(scalar $p->complaints, 0, "$say: clean log");
}
finish();
