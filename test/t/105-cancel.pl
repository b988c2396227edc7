#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Cancel requests: the right query ends, others do not, wrong keys do nothing, waiting clients can cancel.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', one => 'dbname=postgres pool_size=1' }, set => { default_pool_size => 4 });
my $running = sub { wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") >= $_[0] }, 5) };
my @c = map { $p->connect('test') } 1 .. 3;
isnt($c[0]{cancel_body}, $c[1]{cancel_body}, 'keys differ');
$_->send_query("SELECT pg_sleep(100), 'x'") for @c[0, 1];
wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == 2 }, 5);
my $t = time;
$c[0]->cancel;
error_is($c[0]->finish, '57014', qr/canceling statement due to user request/, 'the query is cancelled');
cmp_ok(time - $t, '<', 60, 'at once');
ok(!$c[1]->readable(0.5), 'the other one runs on');
$c[1]->cancel;
error_is($c[1]->finish, '57014', qr/canceling/, 'until it is cancelled itself');
is($c[0]->value('SELECT 1'), 1, 'the connection goes on');
# Wrong keys.
$c[0]->send_query("SELECT pg_sleep(1.2), 'still'");
for my $i (1 .. 5) { $c[0]->cancel(body => pack 'NN', $c[0]{pid_key} & 0xFFFFFFFF, ($c[0]{secret} + $i) & 0xFFFFFFFF) }
my $r = $c[0]->finish;
ok(!$r->{error}, 'a wrong secret cancels nothing');
# Cancel with nothing running.
$c[2]->cancel;
is($c[2]->value('SELECT 5'), 5, 'cancelling an idle client does nothing');
# Late cancels never hit the next client of the server.
my $hits = 0;
for my $i (1 .. 40) {
    my ($a, $b) = map { $p->connect('one') } 1, 2;
    $a->query('SELECT 1');
    $b->send_query('SELECT pg_sleep(0.02), 2');
    $a->cancel;
    $hits++ if $b->finish->{error};
    $_->close for $a, $b;
}
is($hits, 0, 'a cancel that comes late hits nobody else');
# Hammering: cancels race with short queries of others.
my @res = parallel(4, sub {
    my ($i) = @_;
    my $c = $p->connect('test');
    my ($wrong, $n) = (0, 0);
    for my $k (1 .. 60) {
        $c->send_query("SELECT pg_sleep(0.003), '$i-$k'");
        $c->cancel if $k % 3 == 0 && $i % 2;
        my $r = $c->finish;
        if ($r->{error}) { $wrong++ unless $r->{error}{C} eq '57014' && $i % 2 }
        else { $n++; $wrong++ unless $r->{results}[0]{rows}[0][1] eq "$i-$k" }
    }
    return $wrong ? "wrong $wrong" : 'fine';
});
is("@res", 'fine fine fine fine', 'cancels under load: no wrong answer, no foreign cancel');
SKIP: {
    skip 'PgBouncer', 2 unless ours();
    my $a = $p->connect('one');
    my $b = $p->connect('one');
    $a->query('BEGIN');
    $b->send_query('SELECT 1');
    ok(!$b->readable(0.5), 'a client waits for a server');
    $b->cancel;
    ok($b->readable(60), 'a waiting client can be cancelled');
    $a->query('ROLLBACK');
}
is($p->connect('one')->value('SELECT 6'), 6, 'the pool is in order');
finish();
