#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# COPY and mixed pipelines: a server is not kept by a client that owes nothing, and no answer is lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
$pg->sql('CREATE TABLE t (n int)');
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1' },
    set => { worker_threads => 1, query_wait_timeout => 4 });
my ($a, $b) = map { $p->connect('one') } 1 .. 2;
sub served { my ($say) = @_; is(eval { $b->value('SELECT 7') } // "not served: $@", 7, $say) or $b = eval { $p->connect('one') } }

# The server ends a COPY with an error while a long CopyData message is on its way.
$a->send_query('COPY t FROM STDIN');
$a->read_until('G');
$a->send_raw('d' . pack('N', 8) . "bad\n" . 'd' . pack('N', 4 + 300_000) . "1\n" x 50_000);
my $m = $a->read_until('Z', 10);
is(Bulkhead::Wire->types($m), 'EZ', 'COPY fails in the middle of a message');
$a->send_raw("1\n" x 100_000);
$a->copy_fail('sorry');
sleep 0.2;
served('the server is free for others after the rest of the message');
is($a->value('SELECT 3'), 3, 'and the client goes on');

# Extended messages ended by a Query instead of a Sync.
$a->cork; $a->parse('', 'SELECT 1'); $a->send_query('SELECT 2'); $a->uncork;
is(row_values($a->finish), 2, 'Parse, Query');
served('Query ends the batch');

# A Query and an extended COPY in one pipeline.
$a->cork;
$a->send_query('SELECT 1');
$a->parse('', 'COPY t FROM STDIN'); $a->bind('', '', []); $a->execute('');
$a->copy_data("5\n"); $a->copy_done; $a->sync;
$a->uncork;
is(Bulkhead::Wire->types($a->read_until('Z')), 'TDCZ', 'the Query is answered');
is(eval { Bulkhead::Wire->types($a->read_until('Z', 5)) } // $@, '12GCZ', 'and so is the COPY behind it');
$a = $p->connect('one') if $a->{eof};
served('the server is free');

# COPY by Execute with more behind CopyDone before the Sync.
$a->cork;
$a->parse('', 'COPY t FROM STDIN'); $a->bind('', '', []); $a->execute('');
$a->uncork;
$a->flush;
$a->read_until('G');
$a->cork;
$a->copy_data("6\n"); $a->copy_done;
$a->parse('', 'SELECT 8'); $a->bind('', '', []); $a->execute(''); $a->sync;
$a->uncork;
is(eval { Bulkhead::Wire->types($a->read_until('Z', 5)) } // $@, 'C12DCZ', 'messages behind CopyDone');
$a = $p->connect('one') if $a->{eof};
served('the server is free');
finish();
