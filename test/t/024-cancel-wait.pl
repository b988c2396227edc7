#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# cancel_wait_timeout: a cancel request that the server's side accepts and does not answer is given up, and its server is not used again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Select;
use IO::Socket::INET;

need_ours();
my $pg = pg();
# In front of the server: connections are passed on, but those that begin with a CancelRequest are kept and not answered.
my $front = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
my $kid = fork // die;
if (!$kid) {
    close STDOUT;
    close STDERR;
    alarm 100;
    my ($sel, %to, @kept) = (IO::Select->new($front));
    while (my @ready = $sel->can_read) {
        for my $s (@ready) {
            if ($s == $front) { $sel->add(scalar $front->accept); next }
            my $n = sysread $s, my $d, 65536;
            if (!$to{$s} && $n && $n == 16 && unpack('x4 N', $d) == 80877102) { push @kept, $s; $sel->remove($s); next }
            if ($n && !$to{$s}) {
                my $b = IO::Socket::INET->new(PeerAddr => $pg->host, PeerPort => $pg->port) or last;
                ($to{$s}, $to{$b}) = ($b, $s);
                $sel->add($b);
            }
            if ($n) { syswrite $to{$s}, $d; next }
            my $o = delete $to{$s};
            $sel->remove($s, $o // ());
            close $_ for grep { defined } $s, $o;
            delete $to{$o} if $o;
        }
    }
    POSIX::_exit(0);
}
my $p = proxy(databases => { slow => 'dbname=postgres host=127.0.0.1 port=' . $front->sockport . ' pool_size=1' },
    set => { cancel_wait_timeout => 1, server_tls_sslmode => 'disable', worker_threads => 1 });
close $front;
my $q = $p->connect('slow');
my $pid = $q->value('SELECT pg_backend_pid()');
$q->send_query('SELECT pg_sleep(2)');
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(2)' AND state = 'active'") == 1 }, 10), 'a query runs');
my $c = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->{port}, timeout => 10);
$c->send_raw(pack('N', 8 + length $q->{cancel_body}) . pack('N', 80877102) . $q->{cancel_body});
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} > 0 }, 5), 'its cancel is under way');
ok(wait_for(sub { $p->pool('slow')->{sv_active_cancel} == 0 }, 10), 'cancel_wait_timeout gives it up');
ok(!$q->finish->{error}, 'the query was not hit');
isnt($q->value('SELECT pg_backend_pid()'), $pid, 'and the server, which may still be hit, is not used again');
kill 'KILL', $kid;
waitpid $kid, 0;
finish();
