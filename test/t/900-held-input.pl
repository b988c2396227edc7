#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Input of clients that must wait: reading stops at a limit, and starts again when they are served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1', none => 'host=127.0.0.1 port=1 dbname=postgres' },
    set => { worker_threads => 1, server_login_retry => 30, query_wait_timeout => 60 });

# A long query that arrives while the server is another's.
my $holder = $p->connect('one');
$holder->query('BEGIN');
my $c = $p->connect('one');
my $long = 'x' x 400_000;
$c->send_query("SELECT length('$long')");
sleep 0.5;
$holder->query('COMMIT');
my $r = eval { $c->finish(timeout => 8) };
is($r ? row_values($r) : "no answer: $@", 400_000, 'a query of 400 kB that waited is answered');
$_->close for $holder, $c;

# A client that is let in later (no server answers yet) cannot fill memory meanwhile.
my $s = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 3);
my $late = free_port();
$p->{databases}{late} = "host=127.0.0.1 port=$late dbname=postgres";
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => $late, ReuseAddr => 1) or die "listen: $!";
$p->reload;
$s->startup(user => 'postgres', dbname => 'late');
sleep 0.5;
my $before = proc_rss_kb($p->pid);
my $sent = 0;
eval { for (1 .. 400) { $s->send_raw('Q' . pack('N', 200_004) . 'x' x 199_999 . "\0"); $sent += 200_000 } };
my $grown = proc_rss_kb($p->pid) - $before;
cmp_ok($grown, '<', 20_000, "memory grew by $grown kB while a client waited for its login and sent $sent bytes");
$s->abort;
finish();
