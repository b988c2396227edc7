#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# COPY in both directions and formats, failed and abandoned copies, batches around them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
$pg->sql('CREATE TABLE t (id int, note text)');
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 2 });
my $c = $p->connect('test');
my $r = $c->query('COPY t FROM STDIN', copy => ["1\tone\n2\t", "two\n3\tthree\n"]);
is($r->{results}[0]{tag}, 'COPY 3', 'text in');
is(row_values($c->query('SELECT id, note FROM t ORDER BY id')), '1|one;2|two;3|three', 'the rows are there');
$r = $c->query('COPY t TO STDOUT');
is(join('', @{ $r->{results}[0]{copy} }), "1\tone\n2\ttwo\n3\tthree\n", 'text out');
$r = $c->query('COPY t TO STDOUT (FORMAT binary)');
my $bin = join '', @{ $r->{results}[0]{copy} };
is(substr($bin, 0, 11), "PGCOPY\n\377\r\n\0", 'binary out');
$c->query('TRUNCATE t');
$r = $c->query('COPY t FROM STDIN (FORMAT binary)', copy => [map { substr $bin, $_ * 7, 7 } 0 .. length($bin) / 7]);
is($r->{results}[0]{tag}, 'COPY 3', 'binary in, in small pieces');
$r = $c->query('COPY t FROM STDIN');
error_is($r, '57014', qr/COPY from stdin failed: no data given/, 'CopyFail is passed on');
is($r->{status}, 'I', 'and ends it');
$r = $c->query('COPY t FROM STDIN', copy => ["x\ty\n", "5\tz\n"]);
error_is($r, '22P02', qr/invalid input syntax for type integer/, 'bad data');
is($c->value('SELECT count(*) FROM t'), 3, 'the connection goes on in step');
# Bad data with much still in flight and a query behind it.
$c->send_query('COPY t FROM STDIN');
$c->read_until('GE');
$c->cork;
$c->copy_data("bad\trow\n") for 1 .. 3000;
$c->copy_done;
$c->send_query('SELECT 77');
$c->uncork;
error_is($c->finish, '22P02', qr/integer/, 'an error with data in flight');
is(row_values($c->finish), 77, 'the query behind it gets its own answer');
# Through the extended protocol.
$c->cork; $c->parse('', 'COPY t FROM STDIN'); $c->bind('', ''); $c->execute(''); $c->uncork;
$c->flush;
$c->read_until('GE');
$c->cork; $c->copy_data("9\tnine\n"); $c->copy_done; $c->sync; $c->uncork;
is(Bulkhead::Wire->types($c->finish->{msgs}), 'CZ', 'COPY through Execute');
is($c->value('SELECT note FROM t WHERE id = 9'), 'nine', 'has its row');
# Data before the proxy has said anything.
$c->cork; $c->send_query('COPY t FROM STDIN'); $c->copy_data("10\tten\n"); $c->copy_done; $c->uncork;
is(Bulkhead::Wire->types($c->finish->{msgs}), 'GCZ', 'COPY sent in one piece');
# Much data, both ways.
my $block = join '', map { "$_\t" . ('w' x 100) . "\n" } 1 .. 500;
$r = $c->query('COPY t FROM STDIN', copy => [($block) x 100], timeout => 60);
is($r->{results}[0]{tag}, 'COPY 50000', '50000 rows in');
$r = $c->query('COPY (SELECT * FROM t WHERE length(note) = 100) TO STDOUT', timeout => 60);
my $bytes = 0;
$bytes += length for @{ $r->{results}[0]{copy} };
is($bytes, 100 * length $block, 'and out, to the byte');
# Clients that leave inside a copy.
for my $i (1 .. 4) {
    my $d = $p->connect('test');
    $d->send_query($i % 2 ? 'COPY t FROM STDIN' : 'COPY t TO STDOUT');
    $d->read_msg;
    $d->copy_data("1\tlost\n") if $i % 2;
    $d->abort;
}
is($p->connect('test')->value("SELECT count(*) FROM t WHERE note = 'lost'"), 0, 'abandoned copies leave nothing');
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 6), '1,2,3,4,5,6', 'and servers are in step');
# libpq's own: psql \copy.
my $file = spew(work_dir() . '/in.tsv', "100\tpsql\n101\tpsql\n");
my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . ' user=postgres dbname=test', "\\copy t from '$file'\n\\copy (select id from t where note = 'psql' order by id) to stdout\n");
is($out, "100\n101", 'psql \copy both ways') or diag($err);
finish();
