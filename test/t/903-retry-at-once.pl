#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# server_login_retry=0 with a server that refuses at once: no busy loop.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { down => 'host=/nonexistent port=5432 dbname=postgres', up => 'dbname=postgres' },
    set => { worker_threads => 1, server_login_retry => 0 });
my $c = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 5);
$c->startup(user => 'postgres', dbname => 'down');
my $m = eval { $c->read_msg(5) };
is($m ? $m->[0] : "nothing: $@", 'E', 'the client is told that the server cannot be reached');
is(eval { $p->connect('up', undef, timeout => 5)->value('SELECT 1') } // "none: $@", 1, 'others are served');
finish();
