#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# User over database over global; a forced user's settings for servers, the login user's for clients.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql("CREATE ROLE $_ LOGIN") for qw(plain special forced guest);
my $p = proxy(pg => $pg, auth => { map { $_ => '' } qw(plain special forced guest) }, databases => {
        global => 'dbname=postgres', db => 'dbname=postgres pool_mode=session pool_size=2 reserve_pool_size=1 query_wait_timeout=5',
        force => 'dbname=postgres user=forced pool_size=5 query_wait_timeout=9',
    },
    users => { special => 'pool_mode=statement pool_size=1 reserve_pool_size=0 query_wait_timeout=8',
        forced => 'pool_mode=session pool_size=1 reserve_pool_size=0 max_user_connections=3 query_timeout=4 query_wait_timeout=33 client_idle_timeout=0.3 max_user_client_connections=1',
        guest => 'pool_mode=statement pool_size=9 query_wait_timeout=6 max_user_client_connections=2 query_timeout=55' },
    set => { pool_mode => 'transaction', default_pool_size => 3, reserve_pool_size => 2, reserve_pool_timeout => 0.2, query_wait_timeout => 20, worker_threads => 1 });

# How many servers are opened when many want one: waits for as many as are expected, and whether there come more.
sub servers {
    my ($db, $user, $n, $want) = @_;
    my @c = map { $p->connect($db, $user) } 1 .. $n;
    my $most = 0;
    $_->send_query('SELECT pg_sleep(30)') for @c;
    my $look = sub { my $x = ($p->pool($db, $user) // {})->{sv_active} // 0; $most = $x if $x > $most; return $most };
    wait_for(sub { $look->() >= $want });
    wait_for(sub { $look->() > $want }, 1.2);
    $_->abort for @c;
    wait_for(sub { $p->pool($db, $user)->{cl_active} == 0 }, 10);
    return $most;
}
is(servers('global', 'plain', 8, 5), 5, 'global pool_size and reserve_pool_size');
is(servers('db', 'plain', 6, 3), 3, "the database's");
is(servers('db', 'special', 3, 1), 1, "the user's over the database's, the reserve too");

sub mode {
    my ($db, $user) = @_;
    my $c = $p->connect($db, $user);
    my $r = $c->query('SELECT 1');
    my $held = $p->pool($db, $db eq 'force' ? 'forced' : $user)->{sv_active};
    return 'session' if $held;
    return eval { !$c->query('BEGIN')->{error} && !$c->query('SELECT 1')->{error} } ? 'transaction' : 'statement';
}
is(mode('global', 'plain'), 'transaction', 'pool_mode: global');
is(mode('db', 'plain'), 'session', "pool_mode: the database's");
is(mode('db', 'special'), 'statement', "pool_mode: the user's over both");
is(mode('force', 'guest'), 'session', "pool_mode: a forced user's own, not that of the user who logged in");

# What a client is told that waits behind a running one, and how long it had waited.
sub waits {
    my ($db, $user) = @_;
    my $b = $p->connect($db, $user);
    $b->send_query('SELECT pg_sleep(30)');
    wait_for(sub { $p->pool($db, $user)->{sv_active} }, 5);
    my $t = time;
    my $c = $p->connect($db, $user);
    my $r = eval { $c->query('SELECT 1', timeout => 15) } // {};
    $b->abort;
    return (($r->{error} // {})->{M} // 'served', time - $t);
}
my ($m, $s) = waits('db', 'special');
like($m, qr/query_wait_timeout/, "query_wait_timeout: the user's over the database's");
cmp_ok($s, '>=', 7.5, 'it waited for as long as that says');
$p->console('SET query_timeout = 0');
# query_timeout is the forced user's.
my $g = $p->connect('force', 'guest');
like(($g->query('SELECT pg_sleep(20)')->{error} // {})->{M} // 'none', qr/query timeout/, "query_timeout: the forced user's");
# The wait for its one server is the login user's.
my $b = $p->connect('force', 'guest');
$b->query('SELECT 1');
my $c = $p->connect('force', 'guest');
like(($c->query('SELECT 1')->{error} // {})->{M} // 'served', qr/query_wait_timeout/, "query_wait_timeout: the login user's, for the forced user's one server");
$b->close;
# Client counts and client_idle are the login user's.
my @g = map { $p->connect('force', 'guest', no_die => 1) } 1 .. 3;
is(scalar(grep { !$_->{error} } @g), 2, "max_user_client_connections: the login user's");
like((grep { $_->{error} } @g)[0]{error}{M}, qr/max_user_client_connections/, 'and the refusal names the key');
ok(!$g[0]->readable(0.8), "client_idle_timeout: not the forced user's");
$_->close for grep { !$_->{error} } @g;
# Through RELOAD too.
$p->{users}{guest} = 'max_user_client_connections=1';
$p->reload;
@g = map { $p->connect('force', 'guest', no_die => 1) } 1 .. 2;
is(scalar(grep { !$_->{error} } @g), 1, 'a changed limit holds after RELOAD');
# Precedence in SHOW.
my ($d) = grep { $_->{name} eq 'db' } @{ $p->console('SHOW DATABASES') };
is("$d->{pool_size} $d->{reserve_pool_size} $d->{pool_mode}", '2 1 session', 'SHOW DATABASES shows the effective values');
finish();
