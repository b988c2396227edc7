#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A server that cannot be had: its own error with its SQLSTATE at once for server_login_retry; one that starts up (57P03) fails nobody;
# a restart behind the pooler.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Socket::INET;

need_ours();
my $pg = pg(conf => { max_connections => 12, superuser_reserved_connections => 3 });
$pg->sql('CREATE ROLE alice LOGIN');
# A server of the test's own that answers each login with one error; the log counts the logins.
my $count = work_dir() . '/logins';
spew($count, '');
my $mode = work_dir() . '/mode';
spew($mode, '57P03 the database system is starting up');
my $listen = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
my $port = $listen->sockport;
my $server = fork // die;
if (!$server) {
    alarm 900;
    while (my $s = $listen->accept) {
        my ($state, $text) = slurp($mode) =~ /^(\w+) (.*)/;
        sysread $s, my $startup, 4096;
        if (unpack('x4 N', $startup) == 80877103) { syswrite $s, 'N'; sysread $s, $startup, 4096 }
        open my $f, '>>', $count; print $f "x\n"; close $f;
        if ($state eq 'forward') { # to the real server, once
            my $to = IO::Socket::INET->new(PeerAddr => $pg->host, PeerPort => $pg->port) or die;
            syswrite $to, $startup;
            if (!fork) {
                alarm 600;
                if (my $kid = fork) { while (sysread $to, my $b, 65536) { syswrite $s, $b } shutdown $s, 1; kill 'KILL', $kid }
                else { while (sysread $s, my $b, 65536) { syswrite $to, $b } shutdown $to, 1 }
                POSIX::_exit(0);
            }
            next;
        }
        my $fields = "SFATAL\0VFATAL\0C$state\0M$text\0\0";
        syswrite $s, 'E' . pack('N', 4 + length $fields) . $fields;
        close $s;
    }
    POSIX::_exit(0);
}
$SIG{CHLD} = 'DEFAULT';
sub logins { return scalar(() = slurp($count) =~ /x/g) }

my $p = proxy(pg => $pg, auth => { alice => '', nobody_there => '' }, databases => { test => 'dbname=postgres', missing => 'dbname=not_there', fake => "host=127.0.0.1 port=$port dbname=postgres" },
    set => { server_login_retry => 100, worker_threads => 1, query_wait_timeout => 30 });
sub error { my ($db, $user) = @_; my $c = eval { $p->connect($db, $user // 'alice', no_die => 1) } or return { M => $@ }; return $c->{error} // $c->query('SELECT 1')->{error} // {} }

# The server's own error and SQLSTATE, and for those who come later at once, without another login.
my $e = error('missing');
is("$e->{S} $e->{C} $e->{M}", 'FATAL 3D000 database "not_there" does not exist', "the server's own error, word for word, with its SQLSTATE");
my $n = () = $p->log_text =~ /missing\/alice\S* new connection to server/g;
$e = error('missing') for 1 .. 3;
is("$e->{C} $e->{M}", '3D000 database "not_there" does not exist', 'told again');
is(scalar(() = $p->log_text =~ /missing\/alice\S* new connection to server/g), $n, 'without another login for server_login_retry');
ok($p->wait_log(qr/server login failed: FATAL database "not_there" does not exist/), 'the log has it');
$e = error('test', 'nobody_there');
is("$e->{C} $e->{M}", '28000 role "nobody_there" does not exist', 'a role that does not exist');
is($p->connect('test', 'alice')->value('SELECT 1'), 1, 'other pools work');
# Too many connections.
my @full = grep { $_ } map { eval { $pg->connect('postgres') } } 1 .. 20;
$p->console('RECONNECT test');
$e = error('test');
is($e->{C}, '53300', 'a full server: 53300') or diag($e->{M});
$_->close for @full;
$p->console('SET server_login_retry = 0.1');
ok(wait_for(sub { eval { $p->connect('test', 'alice')->value('SELECT 1') } }, 10), 'and service again when it is not');
# A changed entry ends the back-off.
$p->console('SET server_login_retry = 100');
error('missing');
$p->{databases}{missing} = 'dbname=postgres';
$p->{set}{server_login_retry} = 100;
$p->reload;
is($p->connect('missing', 'alice')->value('SELECT 2'), 2, 'a corrected entry is tried at once after RELOAD');
# 57P03: nobody fails, the login is tried again, in spite of server_login_retry.
my $c = fork // die;
my $done = work_dir() . '/done';
if (!$c) {
    my $x = eval { $p->connect('fake', 'alice', timeout => 120)->value('SELECT 41 + 1') } // $@;
    spew($done, $x);
    POSIX::_exit(0);
}
ok(wait_for(sub { logins() >= 3 }, 15), '57P03: the login is tried again and again');
ok(!-s $done, 'while the client waits');
spew($mode, 'forward x');
ok(wait_for(sub { -s $done }, 15), 'and as soon as the server is up');
is(slurp($done), 42, 'it is served');
waitpid $c, 0;
# The same server with another error fails at once.
spew($mode, '53300 sorry, too many clients already');
$p->console('KILL fake');
$p->console('RESUME fake');
$e = error('fake');
is("$e->{C} $e->{M}", '53300 sorry, too many clients already', 'any other error fails at once');
kill 'KILL', $server;
waitpid $server, 0;
close $listen;
# A restart of the real one: clients that were idle go on, one that was in a transaction is told.
$p->console('SET server_login_retry = 0.2');
my $idle = $p->connect('test', 'alice');
is($idle->value('SELECT 1'), 1, 'before the restart');
my $busy = $p->connect('test', 'alice');
$busy->query('BEGIN');
$pg->restart('fast');
like(eval { $busy->query('SELECT 1')->{error}{M} } // 'closed', qr/terminating connection|server conn crashed|closed/, 'who was in a transaction is told');
ok(wait_for(sub { eval { $idle->{closed} ? 0 : $idle->value('SELECT 3') == 3 } || eval { $p->connect('test', 'alice')->value('SELECT 3') == 3 } }, 15), 'service is back');
is($p->connect('test', 'alice')->value('SELECT 4'), 4, 'for everybody');
# server_connect_timeout: a server that accepts and says nothing.
my $mute = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die;
$p->{databases}{mute} = 'host=127.0.0.1 port=' . $mute->sockport . ' dbname=postgres';
$p->{databases}{mutelist} = 'host=127.0.0.1,127.0.0.1 port=' . $mute->sockport . ' dbname=postgres';
$p->{set}{server_connect_timeout} = 0.4;
$p->reload;
$e = error('mute');
is($e->{M}, 'connect timeout', 'server_connect_timeout');
error('mutelist');
ok($p->wait_log(qr/mutelist\S* trying the next host because: connect timeout/), 'in a list of hosts: on to the next one');
finish();
