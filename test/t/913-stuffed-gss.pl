#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Nothing may come behind an SSLRequest or GSSENCRequest before our answer, whatever that answer is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 60;

need_ours();
my $p = proxy(databases => { '*' => 'host=127.0.0.1 port=1' });
my $body = pack('N', 0x30000) . "user\0postgres\0database\0x\0\0";
my $startup = pack('N', 4 + length $body) . $body;
for my $case ([SSLRequest => 80877103], [GSSENCRequest => 80877104]) {
    my $s = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 5);
    $s->send_raw(pack('NN', 8, $case->[1]) . $startup);
    ok($s->wait_eof(5), "$case->[0] with a startup packet behind it: the connection ends");
    like($s->{in}, qr/received unencrypted data/, 'and says why');
    $s->abort;
    $s = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 5);
    $s->send_raw(pack 'NN', 8, $case->[1]);
    is($s->read_bytes(1), 'N', "$case->[0] alone is answered");
    $s->abort;
}
finish();
