#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A first packet that comes byte by byte, with TLS offered.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
my $tls = Bulkhead::TLS->new;
my ($key, $cert) = $tls->cert('proxy', san => 'DNS:localhost,IP:127.0.0.1');
my $p = proxy(pg => $pg, set => { client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert });
for my $cut (1 .. 7) {
    my $s = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 5);
    my $m = pack 'NN', 8, 80877103;
    $s->send_raw(substr $m, 0, $cut);
    sleep 0.05;
    $s->send_raw(substr $m, $cut);
    is(eval { $s->read_bytes(1, 5) } // "none: $@", 'S', "SSLRequest in two parts, cut at $cut: answered");
    $s->abort;
    ok($p->alive, 'the proxy lives') or last;
}
# Plaintext behind the request, in another packet, is refused.
my $s = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 5);
$s->send_raw(pack('NN', 8, 80877103) . 'more');
ok($s->wait_eof(5), 'bytes behind the request end the connection');
$s->abort;
finish();
