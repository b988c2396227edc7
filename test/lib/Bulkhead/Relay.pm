# SPDX-License-Identifier: ISC
# What stands between the proxy and a server in tests: it passes connections on, and writes down or keeps some.
package Bulkhead::Relay;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir free_port spawn wait_for spew);
use Bulkhead::Wire;
use IO::Select;
use IO::Socket::INET;
use POSIX ();

# A relay to a port of 127.0.0.1 that writes a line for the first packet of each connection: LENGTH CODE FIRST-BYTE.
# { port, pid (to be stopped by the caller), log }.
sub recorder {
    my ($to) = @_;
    my $port = free_port();
    my $log = work_dir() . "/relay$port";
    my $file = "$log.py";
    spew($file, <<'PY');
import socket, struct, sys, threading
port, to, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def copy(a, b):
    try:
        while True:
            d = a.recv(65536)
            if not d:
                break
            b.sendall(d)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(c):
    first = c.recv(65536)
    if len(first) >= 8:
        with open(log, 'a') as f:
            f.write('%d %d %d\n' % (struct.unpack('>II', first[:8]) + (first[0],)))
    s = socket.create_connection(('127.0.0.1', to))
    s.sendall(first)
    threading.Thread(target=copy, args=(c, s), daemon=True).start()
    copy(s, c)
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(('127.0.0.1', port))
l.listen(50)
while True:
    c, _ = l.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
PY
    my $pid = spawn(argv => ['/usr/bin/python3', $file, $port, $to, $log], log => "$log.err");
    wait_for(sub { eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $port, timeout => 2)->abort; 1 } }, 10);
    spew($log, '');
    chmod 0666, $log;
    return { port => $port, pid => $pid, log => $log };
}

# Passes connections on to the cluster, but keeps those that begin with a CancelRequest and does not answer them.
# { port, pid }: the caller kills it and waits for it.
sub cancel_keeper {
    my ($pg) = @_;
    my $front = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
    my $port = $front->sockport;
    my $kid = fork // die "fork: $!";
    if ($kid) {
        close $front;
        return { port => $port, pid => $kid };
    }
    close STDOUT;
    close STDERR;
    alarm 900;
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

1;
