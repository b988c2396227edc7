#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Hostile or broken messages after the login: an error or the end for that client, nothing for the others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 3, (ours() ? (max_packet_size => 10_000_000) : ()) });
my $other = $p->connect('test');
is($other->value('SELECT 1'), 1, 'a bystander');
my %bad = (
    'unknown type' => 'y' . pack('N', 4), 'type zero' => "\0" . pack('N', 4), 'length below 4' => 'Q' . pack('N', 3) . 'xxx', 'length zero' => 'Q' . pack('N', 0),
    'length 2^31' => 'Q' . pack('N', 0x80000000), 'length -1' => 'P' . pack('N', 0xffffffff), 'a server message' => 'T' . pack('Nn', 6, 0), 'authentication' => 'R' . pack('NN', 8, 0),
    'query without NUL' => 'Q' . pack('N', 12) . 'SELECT 1', 'query with two NULs' => 'Q' . pack('N', 14) . "SELECT\0 1\0",
    'empty Bind' => 'B' . pack('N', 4), 'Bind cut' => 'B' . pack('N', 8) . "\0\0\0\1", 'Bind with 65535 formats' => 'B' . pack('N', 8) . "\0\0\xff\xff",
    'Bind value beyond' => 'B' . pack('N', 4 + 12) . "\0\0" . pack('nnN', 0, 1, 0x7fffffff) . "\0\0",
    'Parse without NUL' => 'P' . pack('N', 8) . 'abcd', 'Parse types beyond' => 'P' . pack('N', 4 + 4) . "\0\0" . pack('n', 30000),
    'Describe of x' => 'D' . pack('N', 6) . "x\0", 'Execute cut' => 'E' . pack('N', 5) . "\0", 'Close cut' => 'C' . pack('N', 4),
    'CopyData alone' => 'd' . pack('N', 8) . 'data', 'CopyDone alone' => 'c' . pack('N', 4), 'password again' => 'p' . pack('N', 6) . "x\0", 'Sync with a body' => 'S' . pack('N', 8) . 'xxxx',
);
for my $name (sort keys %bad) {
    next if !ours() && $name =~ /Bind|Parse/;
    my $c = $p->connect('test');
    $c->send_raw($bad{$name});
    # Whatever follows must not be taken for an answer to somebody else.
    $c->send_raw('S' . pack 'N', 4) if $name !~ /2\^31|-1|beyond|length/;
    my $got = '';
    my $fine = eval {
        while (1) {
            my $m = $c->read_msg(6) or last;
            $got .= $m->[0];
            last if $m->[0] eq 'Z';
        }
        1;
    };
    ok($fine, "$name: answered or ended ($got)") or diag($@);
    $c->abort;
}
is($other->value('SELECT 2'), 2, 'the bystander did not notice');
is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 6), '1,2,3,4,5,6', 'servers are in step');
SKIP: {
    skip 'PgBouncer', 3 unless ours();
    my $c = $p->connect('test');
    $c->send_raw('Q' . pack('N', 20_000_000) . 'SELECT');
    my $m = eval { $c->read_msg(6) };
    ok(!$m || $m->[0] eq 'E', 'a message beyond max_packet_size is refused at its head');
    my $before = proc_rss_kb($p->pid);
    my @hold = map { my $d = $p->connect('test'); $d->send_raw('Q' . pack('N', 9_000_000) . 'x'); $d } 1 .. 20;
    sleep 0.3;
    cmp_ok(proc_rss_kb($p->pid) - $before, '<', 40_000, 'announcing much takes no memory') unless $ENV{BH_SANITIZE};
    ok(1) if $ENV{BH_SANITIZE};
    $_->abort for @hold;
    is($other->value('SELECT 3'), 3, 'all is well');
}
finish();
