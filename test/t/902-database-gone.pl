#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A database that is removed, or moved, while a server of it logs in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $pg = pg();
my $port = free_port();
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or die "listen: $!";
for my $how (qw(removed moved)) {
    my $p = proxy(pg => $pg, databases => { slow => "host=127.0.0.1 port=$port dbname=postgres", other => 'dbname=postgres' },
        set => { worker_threads => 1, server_tls_sslmode => 'prefer', server_connect_timeout => 20 });
    my $c = Bulkhead::Wire->new(host => $p->host, port => $p->port, timeout => 10);
    $c->startup(user => 'postgres', dbname => 'slow');
    my $server = $listen->accept;
    sysread $server, my $request, 8;
    is(unpack('x4N', $request), 80877103, "$how: the proxy asks for TLS");
    if ($how eq 'removed') { delete $p->{databases}{slow} } else { $p->{databases}{slow} = 'dbname=postgres' }
    $p->reload;
    sleep 0.3;
    syswrite $server, 'N';
    my $m = eval { $c->read_msg(10) };
    my $got = $m ? $m->[0] eq 'E' ? Bulkhead::Wire::decode_fields($m->[1])->{M} : $m->[0] : "nothing: $@";
    like($got, $how eq 'removed' ? qr/removed|disabled|no such database/ : qr/^R$/, "$how: the client is told");
    sleep 0.3;
    ok($p->alive, "$how: the proxy lives") and is($p->connect('other')->value('SELECT 1'), 1, "$how: other databases work");
    $c->abort;
}
finish();
