#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Behaviour that users of PgBouncer rely on and no other file tests: logins answered without a server, a late CopyDone, what holds a server
# back from the next client while a cancel request is under way, and how many of those one server gets.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;
use Bulkhead::Relay;

need_ours();
my $pg = pg();
$pg->sql('CREATE TABLE t (n int)');
my $front = Bulkhead::Relay::cancel_keeper($pg);
my $p = proxy(databases => { db => 'host=127.0.0.1 dbname=postgres port=' . $pg->port, postgres => 'host=127.0.0.1 port=' . $pg->port,
        slow => 'dbname=postgres host=127.0.0.1 port=' . $front->{port} . ' pool_size=1' },
    set => { cancel_wait_timeout => 60, server_tls_sslmode => 'disable', worker_threads => 1, query_wait_timeout => 100 });

# ---- the database is the user's name; options ----
my $c = Bulkhead::Wire->login(host => $p->host, port => $p->port, user => 'postgres');
is($c->value('SELECT current_database()'), 'postgres', 'no database in the startup packet: that of the user\'s name');
$c->close;

# ---- COPY ----
$c = $p->connect('db');
$c->send_query('COPY t FROM STDIN');
$c->read_until('G');
$c->copy_data("no number\n");
my $r = $c->finish;
error_is($r, '22P02', qr/invalid input syntax/, 'COPY fails in the middle');
ok(wait_for(sub { $p->pool('db')->{sv_idle} == 1 }, 10), 'its server is let go');
my $d = $p->connect('db');
$d->send_query('SELECT pg_sleep(0.3), 1');
$c->copy_data("1\n");
$c->copy_done;
is(row_values($c->query('SELECT 5')), 5, 'data and CopyDone that come late are dropped');
is(row_values($d->finish), '|1', 'and reach no other client\'s server');
is($pg->value('SELECT count(*) FROM t'), 0, 'no row');
$_->close for $c, $d;

# ---- cancel requests ----
$c = $p->connect('slow');
my $pid = $c->value('SELECT pg_backend_pid()');
$c->send_query('SELECT pg_sleep(2)');
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(2)' AND state = 'active'") == 1 }, 10), 'a query runs');
my @asking = map { Bulkhead::Wire->new(host => $p->host, port => $p->port)->send_raw(pack('NN', 16, 80877102) . $c->{cancel_body}) } 1 .. 12; # kept open
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} > 0 }, 5), 'cancels are under way');
cmp_ok($p->pool('slow')->{sv_active_cancel}, '<=', 2, 'but few for one server, however many are asked for');
ok(!$c->finish->{error}, 'the query ends before they arrive');
ok(wait_for(sub { $p->pool('slow')->{sv_being_canceled} == 1 }, 6), 'its server is held back: being_canceled');
$p->console('SET cancel_wait_timeout = 1');
$d = $p->connect('slow');
isnt($d->value('SELECT pg_backend_pid()'), $pid, 'the next client does not get a server that may yet be hit');
$_->close for $c, $d;

# ---- logins ----
$c = $p->connect('db');
$c->value('SELECT 1');
$pg->stop('immediate');
$d = $p->connect('db', undef, no_die => 1);
ok(!$d->{error} && $d->{params}{server_version}, 'a login is answered while the server is down');
error_is($d->query('SELECT 1'), $_->[0], $_->[1], 'its first statement is not') for ['08006', qr/connect failed|crashed/];
kill 'KILL', $front->{pid};
waitpid $front->{pid}, 0;
finish();
