#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Limits are exact, with one worker and with several: clients, pools, reserve, databases, users.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

my $pg = pg(conf => { max_connections => 60 });
$pg->sql("CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE TABLE gate (n int); GRANT SELECT ON gate TO PUBLIC");
my $servers = sub { my ($w) = @_; $pg->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'watch' AND pid <> pg_backend_pid() AND $w") };

for my $workers (ours() ? (1, 2, 4) : (1)) {
    my $p = proxy(pg => $pg, databases => {
            small => 'dbname=postgres pool_size=3', big => 'dbname=postgres pool_size=20 max_db_connections=5', res => 'dbname=postgres pool_size=1 reserve_pool=2',
            any => 'dbname=postgres pool_size=20',
        }, users => { alice => 'max_user_connections=4' }, auth => { alice => '', bob => '' },
        set => { worker_threads => $workers, max_client_conn => 40, query_wait_timeout => 100, reserve_pool_timeout => 1 });
    my $say = "$workers worker" . ($workers > 1 ? 's' : '');

    # Many clients at once, each of which holds its server until a gate opens: the peak is the limit, never more, and reached.
    my $peak = sub {
        my ($want, $where, @c) = @_;
        my $gate = $pg->connect('postgres', params => { application_name => 'watch' });
        $gate->query('BEGIN; LOCK TABLE gate');
        $_->send_query('SELECT count(*) FROM gate') for @c;
        my $max = 0;
        my $look = sub { my $k = $servers->("state = 'active' AND query LIKE '%FROM gate' AND $where"); $max = $k if $k > $max; return $max };
        wait_for(sub { $look->() >= $want }, 60);
        wait_for(sub { $look->() > $want }, 0.6);
        $gate->query('COMMIT');
        $gate->close;
        my $bad = grep { $_->finish->{error} } @c;
        $_->close for @c;
        return ($max, $bad);
    };
    my ($max, $bad) = $peak->(3, "usename = 'bob'", map { $p->connect('small', 'bob') } 1 .. 12);
    is($max, 3, "$say: pool_size 3 is reached and kept");
    is($bad, 0, "$say: and all 12 clients were served");
    $p->console('RECONNECT');
    ($max, $bad) = $peak->(4, "usename = 'alice'", map { $p->connect('any', 'alice') } 1 .. 10);
    is($max, 4, "$say: max_user_connections 4");
    is($bad, 0, "$say: all 10 served");
    # Two pools of one database share max_db_connections.
    ($max, $bad) = $peak->(5, 'true', (map { $p->connect('big', 'bob') } 1 .. 6), (map { $p->connect('big', 'postgres') } 1 .. 6));
    is($max, 5, "$say: max_db_connections 5 over two users is kept, and used");
    is($bad, 0, "$say: all 12 served in the end");
    # Reserve.
    my @c = map { $p->connect('res', 'bob') } 1 .. 3;
    $c[0]->query('BEGIN');
    my $t = time;
    $c[1]->send_query('SELECT 1');
    ok(!$c[1]->readable(0.6), "$say: the reserve is not for the first second");
    is(eval { row_values($c[1]->finish(timeout => 6)) } // $@, 1, "$say: then it is");
    $_->close for @c;
    # max_client_conn.
    my $nobody = sub { wait_for(sub { (grep { $_->{list} eq 'used_clients' && $_->{items} <= 1 } @{ $p->console('SHOW LISTS') }) }) };
    ok($nobody->(), "$say: all have left");
    my (@held, $refused);
    for (1 .. 60) {
        my $c = eval { $p->connect('any', 'bob', no_die => 1) };
        if (!$c || $c->{error}) { $refused = $c ? $c->{error}{M} : $@; last }
        push @held, $c;
    }
    is(scalar @held, 40, "$say: max_client_conn 40 is exact");
    like($refused, qr/max_client_conn/, "$say: and named in the refusal");
    is(scalar(@{ $p->console('SHOW VERSION') }), 1, "$say: the console still answers");
    (shift @held)->close;
    ok(wait_for(sub { my $c = eval { $p->connect('any', 'bob', no_die => 1) }; $c && !$c->{error} }, 5), "$say: one leaves, one comes in");
    # Many processes fighting over connections at once: the limit holds to the one.
    $_->close for @held;
    ok($nobody->(), "$say: all have left again");
    my @got = parallel(8, sub {
        my @mine;
        for (1 .. 8) { my $c = eval { $p->connect('any', 'bob', no_die => 1) }; push @mine, $c if $c && !$c->{error} }
        meet("limit$workers", 8);
        return scalar @mine;
    });
    my $sum = 0;
    $sum += $_ for grep { /^\d+$/ } @got;
    is($sum, 40, "$say: 64 clients at once, 40 accepted");
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(!ours() || defined $st && $st == 0, "$say: clean end");
    is(scalar $p->complaints, 0, "$say: clean log");
}
finish();
