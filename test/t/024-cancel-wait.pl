#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# cancel_wait_timeout: a cancel request that the server's side accepts and does not answer is given up, and its server is not used again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Relay;

need_ours();
my $pg = pg();
my $front = Bulkhead::Relay::cancel_keeper($pg);
my $p = proxy(databases => { slow => 'dbname=postgres host=127.0.0.1 port=' . $front->{port} . ' pool_size=1' },
    set => { cancel_wait_timeout => 100, server_tls_sslmode => 'disable', worker_threads => 1 });
my $q = $p->connect('slow');
my $pid = $q->value('SELECT pg_backend_pid()');
$q->send_query('SELECT pg_sleep(7)');
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(7)' AND state = 'active'") == 1 }, 10), 'a query runs');
my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->{port}, timeout => 10);
$c->send_raw(pack('N', 8 + length $q->{cancel_body}) . pack('N', 80877102) . $q->{cancel_body});
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} > 0 }, 5), 'its cancel is under way');
$p->console('SET cancel_wait_timeout = 0.5');
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} == 0 }, 10), 'cancel_wait_timeout gives it up');
ok(!$q->finish->{error}, 'the query was not hit');
isnt($q->value('SELECT pg_backend_pid()'), $pid, 'and the server, which may still be hit, is not used again');
kill 'KILL', $front->{pid};
waitpid $front->{pid}, 0;
finish();
