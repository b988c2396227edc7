#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# verify-full over a list of hosts: each host's certificate is checked for that host's own name, and one that fails is passed over
# without a password having been sent to it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $ca = Bulkhead::TLS->new;
# Its certificate is for localhost and 127.0.0.1, but it listens on another address too.
my $pg = pg(tls => $ca, conf => { listen_addresses => '127.0.0.1,127.0.0.31', log_connections => 'on' }, hba => ['host all postgres 127.0.0.1/32 trust', 'hostssl all all all password']);
$pg->sql("CREATE ROLE alice LOGIN PASSWORD 'secret'");
my $to = 'port=' . $pg->port . ' dbname=postgres user=alice password=secret load_balance_hosts=disable';
my $p = proxy(databases => { list => "host=127.0.0.31,localhost $to", one => "host=127.0.0.31 $to", turns => "host=localhost,127.0.0.31 $to" =~ s/ load_balance_hosts=disable//r },
    set => { server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca, server_login_retry => 1, pool_mode => 'session', worker_threads => 1 });
my $q = "SELECT host(inet_server_addr()) || ' ' || (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())";
is($p->connect('list')->value($q), '127.0.0.1 true', 'the host whose certificate has its name serves');
ok($p->wait_log(qr/127\.0\.0\.31\S* trying the next host because: TLS handshake failed: .*mismatch/i), 'the other one is passed over');
unlike(slurp($pg->{log}), qr/host=127\.0\.0\.31.*authenticated|password authentication failed/, 'before any password');
my $e = eval { my $c = $p->connect('one', undef, no_die => 1); $c->{error} // $c->query('SELECT 1')->{error} };
like($e->{M} // $@, qr/TLS handshake failed: .*mismatch/i, 'alone it is refused');
my @c = map { $p->connect('turns') } 1 .. 4;
is(join(' ', map { $_->value('SELECT inet_server_addr()') } @c), join(' ', ('127.0.0.1') x 4), 'turn by turn: always one that is verified');
finish();
