#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Host lists: turn by turn or staying, going on to the next host at once, target_session_attrs over a primary and its streaming
# standby, and a fail-over that the pool follows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pri = pg(conf => { wal_level => 'replica', max_wal_senders => 4, hot_standby => 'on' });
$pri->sql($_) for 'CREATE TABLE t (n int)', 'INSERT INTO t VALUES (1)';
my $std = pg(no_start => 1);
run_cmd(argv => ['rm', '-rf', $std->dir], user => 1);
my ($st, $out, $err) = run_cmd(argv => [Bulkhead::Util::pg_bin() . '/pg_basebackup', '-h', $pri->host, '-p', $pri->port, '-U', 'postgres', '-D', $std->dir,
        '-R', '-X', 'stream', '-c', 'fast'], user => 1, timeout => 60);
is($st, 0, 'a standby is made') or diag("$out$err");
# Both listen on one port, at different addresses: a host list has one port.
my $port = free_port();
for ([$pri, '127.0.0.2'], [$std, '127.0.0.3']) {
    my ($pg, $addr) = @$_;
    open my $f, '>>', $pg->dir . '/postgresql.conf' or die;
    print $f "port = $port\nlisten_addresses = '$addr'\n";
    close $f;
    spew($pg->dir . '/pg_hba.conf', "host all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\nlocal all all trust\n");
    $pg->{port} = $port;
    $pg->{host} = $addr;
}
$pri->restart;
open my $f, '>>', $std->dir . '/postgresql.conf' or die;
print $f "primary_conninfo = 'host=127.0.0.2 port=$port user=postgres'\nunix_socket_directories = ''\n";
close $f;
open $f, '>>', $std->dir . '/postgresql.auto.conf' or die;
print $f "primary_conninfo = 'host=127.0.0.2 port=$port user=postgres'\n";
close $f;
$std->start;
is($std->value('SELECT pg_is_in_recovery()'), 't', 'it is one');

my $both = "host=127.0.0.3,127.0.0.2 port=$port dbname=postgres";
my $dead = free_port();
my $p = proxy(databases => {
        any => $both, stay => "$both load_balance_hosts=disable",
        rw => "$both target_session_attrs=read-write", ro => "$both target_session_attrs=read-only",
        pri => "$both target_session_attrs=primary", std => "$both target_session_attrs=standby",
        pref => "host=127.0.0.2,127.0.0.3 port=$port dbname=postgres target_session_attrs=prefer-standby",
        onlystd => "host=127.0.0.3 port=$port dbname=postgres target_session_attrs=read-write",
        onlypri => "host=127.0.0.2 port=$port dbname=postgres target_session_attrs=prefer-standby",
        gone => "host='127.0.0.9, 127.0.0.8 ,127.0.0.2' port=$port dbname=postgres load_balance_hosts=disable",
        none => "host=127.0.0.8,127.0.0.9 port=$dead dbname=postgres",
    }, set => { pool_mode => 'session', server_login_retry => 1, worker_threads => 1, server_check_query => '', query_wait_timeout => 20 });
my $recovery = 'SELECT pg_is_in_recovery()';

sub roles {
    my ($db, $n) = @_;
    my @c = map { $p->connect($db) } 1 .. $n;
    return join '', map { $_->value($recovery) } @c;
}
my $r = roles('any', 4);
is($r =~ tr/t//, 2, "round-robin: the hosts take turns ($r)");
is(roles('stay', 3), 'ttt', 'load_balance_hosts=disable: it stays with a host');
is(roles('rw', 3), 'fff', 'read-write');
is(roles('pri', 2), 'ff', 'primary');
is(roles('ro', 3), 'ttt', 'read-only');
is(roles('std', 2), 'tt', 'standby');
is(roles('pref', 2), 'tt', 'prefer-standby: the standby');
is(roles('onlypri', 1), 'f', 'prefer-standby: the primary when there is no standby');
is(roles('gone', 2), 'ff', 'hosts that are not there: on to the next one at once, and staying there');
ok($p->wait_log(qr/trying the next host because: connect failed: Connection refused/), 'the log says so');
my $e = eval { my $c = $p->connect('onlystd', undef, no_die => 1); $c->{error} // $c->query('SELECT 1')->{error} };
like($e->{M} // $@, qr/127\.0\.0\.3: session is read-only/, 'a standby alone is refused for read-write');
$e = eval { my $c = $p->connect('none', undef, no_die => 1); $c->{error} // $c->query('SELECT 1')->{error} };
like($e->{M} // $@, qr/connect failed: Connection refused/, 'no host answers: told');
# A primary that is read-only by default.
$pri->sql("ALTER DATABASE postgres SET default_transaction_read_only = on");
$p->console('RECONNECT ro');
ok(roles('ro', 2) =~ /f/, 'read-only: a primary with default_transaction_read_only will do too');
$p->console('RECONNECT rw');
$e = eval { my $c = $p->connect('rw', undef, no_die => 1); $c->{error} // $c->query('SELECT 1')->{error} };
like($e->{M} // $@, qr/session is read-only/, 'and for read-write it is refused');
is(roles('pri', 1), 'f', 'but not for primary');
my $su = $pri->connect('template1');
$su->query('ALTER DATABASE postgres RESET default_transaction_read_only');
ok(wait_for(sub { eval { $p->connect('rw')->value($recovery) eq 'f' } }, 10), 'until it is reset');

# Fail-over: the primary goes, the standby is promoted, the pools follow.
my $w = $p->connect('rw');
is($w->value("INSERT INTO t VALUES (2) RETURNING n"), 2, 'a write');
my $std_client = $p->connect('std');
is($std_client->value($recovery), 't', 'a client of the standby');
ok(wait_for(sub { $std->value('SELECT count(*) FROM t') == 2 }, 20), 'it has arrived at the standby');
$pri->stop('immediate');
$std->sql('SELECT pg_promote()');
is($std->value($recovery), 'f', 'the standby is promoted');
ok(wait_for(sub { eval { my $c = $p->connect('rw'); $c->value('INSERT INTO t VALUES (3) RETURNING n') == 3 } }, 15), 'read-write follows to the new primary');
ok(wait_for(sub { eval { $p->connect('pri')->value($recovery) eq 'f' } }, 15), 'primary too');
# The pool of standbys leaves it, once it says what it is now.
$std_client->query('SELECT 1');
$std_client->close;
ok($p->wait_log(qr/std\/postgres\@127\.0\.0\.3\S* closing because: obsolete connection/), 'the promoted server is no standby any more: it leaves that pool');
# The old primary comes back as a standby of the new one: nothing is written there.
spew($pri->dir . '/standby.signal', '');
run_cmd(argv => ['chown', 'postgres:', $pri->dir . '/standby.signal']) if $> == 0;
open $f, '>>', $pri->dir . '/postgresql.conf' or die;
print $f "primary_conninfo = 'host=127.0.0.3 port=$port user=postgres'\nunix_socket_directories = ''\n";
close $f;
$pri->start;
is($pri->value($recovery), 't', 'the old primary is a standby now');
is(roles('rw', 3), 'fff', 'read-write stays with the new primary');
is($p->connect('rw')->value('SELECT inet_server_addr()'), '127.0.0.3', 'which is the other host');
ok(wait_for(sub { eval { $p->connect('std')->value('SELECT inet_server_addr()') eq '127.0.0.2' } }, 15), 'and standby serves from the old one');
finish();
