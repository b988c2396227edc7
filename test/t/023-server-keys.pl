#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Keys about servers between their uses: server_round_robin, server_reset_query(_always), server_check_query and _delay,
# server_fast_close, server_lifetime, min_pool_size, sbuf_loopcnt, password=, dbname=.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg(auth => 'scram-sha-256', conf => { log_statement => 'all', log_line_prefix => '[%p] %d ' });
$pg->sql("CREATE ROLE alice LOGIN PASSWORD 'secret'");
my $dsn = 'dbname=postgres user=alice password=secret';
my $p = proxy(pg => $pg, auth => { alice => 'secret' }, databases => { test => $dsn, sess => "$dsn pool_mode=session", warm => "$dsn min_pool_size=3 pool_size=5", two => "$dsn pool_size=2",
        life => "$dsn server_lifetime=0" },
    set => { server_reset_query => 'DISCARD ALL', server_check_query => '', worker_threads => 1, default_pool_size => 4, session_state => 'passthrough', min_pool_size => 0 });
my $backend = 'SELECT pg_backend_pid()';

sub pids { # of the servers that n transactions one after the other get
    my ($db, $n) = @_;
    my $c = $p->connect($db);
    return map { $c->value($backend) } 1 .. $n;
}

# Two servers in the pool.
sub fill {
    my ($db) = @_;
    my @c = map { $p->connect($db) } 1, 2;
    $_->query('BEGIN') for @c;
    $_->query('COMMIT') for @c;
    return;
}
fill('two');
my %seen = map { $_ => 1 } pids('two', 6);
is(scalar(keys %seen), 1, 'server_round_robin = 0: the server used last is used again');
$p->console('SET server_round_robin = 1');
%seen = map { $_ => 1 } pids('two', 6);
is(scalar(keys %seen), 2, 'server_round_robin = 1: they take turns');
# server_reset_query: on release, in session mode only.
my $c = $p->connect('sess');
$c->query("SET geqo = off");
$c->close;
ok(wait_for(sub { slurp($pg->{log}) =~ /statement: DISCARD ALL/ }, 10), 'server_reset_query on release in session mode');
is($p->connect('sess')->value('SHOW geqo'), 'on', 'and the next client finds nothing');
ok(wait_for(sub { (() = slurp($pg->{log}) =~ /DISCARD ALL/g) == 2 }, 10), 'which is cleaned up after too');
my $n = () = slurp($pg->{log}) =~ /DISCARD ALL/g;
$c = $p->connect('test');
$c->query('SELECT 1') for 1 .. 3;
is(scalar(() = slurp($pg->{log}) =~ /DISCARD ALL/g), $n, 'not in transaction mode');
$p->console("SET server_reset_query = 'RESET ALL'");
$p->console('SET server_reset_query_always = 1');
$c->query('SELECT 1') for 1 .. 3;
ok(wait_for(sub { (() = slurp($pg->{log}) =~ /statement: RESET ALL/g) >= 3 }, 10), 'server_reset_query_always: in every mode');
$p->console('SET server_reset_query_always = 0');
# server_check_query, server_check_delay.
$p->console("SET server_check_query = 'select 4711'");
$p->console('SET server_check_delay = 1000');
$n = () = slurp($pg->{log}) =~ /select 4711/g;
$c->query('SELECT 1');
is(scalar(() = slurp($pg->{log}) =~ /select 4711/g), $n, 'server_check_delay: not before it is over');
$p->console('SET server_check_delay = 0.2');
sleep 0.4;
is($c->value('SELECT 5'), 5, 'a server that was idle for longer');
is(scalar(() = slurp($pg->{log}) =~ /select 4711/g), $n + 1, 'is checked with server_check_query first');
$p->console('SET server_check_query = <empty>');
sleep 0.4;
is($c->value('SELECT 6'), 6, '<empty>: an empty query');
$p->console("SET server_check_query = ''");
my $before = $c->value($backend);
$p->console('SET server_check_delay = 0.1');
$p->console("SET server_check_query = 'select nothing here'");
sleep 0.3;
$c->send_query($backend);
ok(wait_for(sub { $p->log_text =~ /closing because: test query failed/ }, 10), 'a server that fails the check is closed');
$p->console("SET server_check_query = ''");
isnt(row_values($c->finish), $before, 'and the client gets another one');
# server_lifetime = 0: after one use.
%seen = map { $_ => 1 } pids('life', 4);
is(scalar(keys %seen), 4, 'server_lifetime = 0 (of the database): each use has a server of its own');
# Those of one age are closed one after the other: lifetime / pool_size apart.
my $q = proxy(pg => $pg, databases => { age => "$dsn server_lifetime=1 pool_size=2" }, set => { worker_threads => 1, server_check_query => '' });
my @a = map { $q->connect('age') } 1, 2;
$_->query('BEGIN') for @a;
$_->query('COMMIT') for @a;
ok(wait_for(sub { (() = $q->log_text =~ /closing because: server lifetime over/g) == 2 }, 10), 'server_lifetime: all of that age are closed');
my @at = map { /:(\d\d\.\d{3}) UTC.*lifetime over/ ? $1 : () } split /\n/, $q->log_text;
my $apart = $at[1] - $at[0];
$apart += 60 if $apart < 0;
cmp_ok($apart, '>=', 0.4, 'not at once');
# min_pool_size: with a forced user from the start, without clients.
ok(wait_for(sub { ($p->pool('warm') // { sv_idle => 0 })->{sv_idle} == 3 }, 10), 'min_pool_size with user=: kept warm without clients');
my @warm = map { $_->{remote_pid} } grep { $_->{database} eq 'warm' } @{ $p->console('SHOW SERVERS') };
$pg->sql("SELECT pg_terminate_backend($_)") for @warm;
ok(wait_for(sub { my @now = map { $_->{remote_pid} } grep { $_->{database} eq 'warm' && $_->{state} eq 'idle' } @{ $p->console('SHOW SERVERS') };
    @now == 3 && !grep { my $x = $_; grep { $x == $_ } @now } @warm }, 10), 'and opened again');
# server_fast_close: a client in session mode loses its server between transactions when the entry changes.
my $s = $p->connect('sess');
$s->query('SELECT 1');
my $intx = $p->connect('sess');
$intx->query('BEGIN');
$p->{databases}{sess} = "$dsn pool_mode=session application_name=changed";
$p->reload;
is($s->value('SELECT 7'), 7, 'server_fast_close = 0: a session keeps its server when the entry changes');
$p->{set}{server_fast_close} = 1;
$p->{databases}{sess} = "$dsn pool_mode=session application_name=changed2";
$p->reload;
like(eval { $s->query('SELECT 8')->{error}{M} } // 'closed', qr/database configuration changed|closed/, 'server_fast_close = 1: it is closed');
is(eval { $intx->value('SELECT 9') }, 9, 'but not inside a transaction');
# sbuf_loopcnt: 1 and 0 (all there is) work, and nobody starves.
for my $loop (1, 0) {
    $p->console("SET sbuf_loopcnt = $loop");
    my @r = parallel(3, sub { my $x = $p->connect('test'); return length $x->value("SELECT repeat('x', 3000000)") });
    is("@r", '3000000 3000000 3000000', "sbuf_loopcnt = $loop");
}
finish();
