#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A relay to a server: ordinary connections pass, cancel requests are held until the file exists.
# Arguments: port to listen on, the server's port, the file.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($port, $to, $file) = @ARGV;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 20, ReuseAddr => 1) or die "listen: $!\n";
my $sel = IO::Select->new($listen);
my (%peer, @held);
while (1) {
    for my $s ($sel->can_read(0.1)) {
        if ($s == $listen) {
            my $c = $listen->accept or next;
            sysread $c, my $first, 16;
            if (length($first // '') == 16 && unpack('N', substr $first, 4) == 80877102) { push @held, [$c, $first]; next }
            my $t = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to) or next;
            syswrite $t, $first;
            @peer{ $c, $t } = ($t, $c);
            $sel->add($c, $t);
            next;
        }
        my $n = sysread $s, my $bytes, 65536;
        my $o = $peer{$s};
        if ($n) { syswrite $o, $bytes; next }
        $sel->remove($s, $o);
        delete @peer{ $s, $o };
        close $_ for $s, $o;
    }
    next unless @held && -e $file;
    for (splice @held) {
        my ($c, $first) = @$_;
        my $t = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to) or next;
        syswrite $t, $first;
        sysread $t, my $end, 1;
        close $_ for $t, $c;
    }
}
