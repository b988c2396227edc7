#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A client's prepared statements have a ceiling, and Close makes room again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres pool_size=1' });
my $c = $p->connect('db');
my $error;
for my $batch (0 .. 10) {
    $c->cork;
    $c->parse("s$_", 'SELECT 1') for $batch * 1000 .. $batch * 1000 + 999;
    $c->sync;
    $c->uncork;
    $error = $c->finish->{error} and last;
}
is($error->{C}, '54000', 'the ten thousand and first is refused');
is($c->value('SELECT 7'), 7, 'the connection goes on');
$c->cork; $c->close_name('S', 's5'); $c->parse('again', 'SELECT 8'); $c->bind('', 'again'); $c->execute(''); $c->sync; $c->uncork;
is(row_values($c->finish), 8, 'Close makes room');
done_testing();
