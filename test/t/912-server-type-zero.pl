#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A server that sends what no server sends: its connection ends, and nothing of it reaches a client.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 60;
use IO::Socket::INET;

need_ours();
my $msg = sub { $_[0] . pack('N', 4 + length $_[1]) . $_[1] };
my $ready = $msg->('Z', 'I');
my $row = $msg->('T', pack('n', 1) . "a\0" . pack('NnNnNn', 0, 0, 25, 0xffff, 0xffffffff, 0)) . $msg->('D', pack('nN', 1, 1) . '1') . $msg->('C', "SELECT 1\0");
my %answer = (nul => "\0" . pack('N', 4), behind => "$row$ready\0" . pack('N', 4), status => $row . $msg->('Z', 'x'), good => "$row$ready");
my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20, ReuseAddr => 1) or die;
my $kid = fork // die;
if (!$kid) {
    alarm 900;
    local $SIG{CHLD} = 'IGNORE';
    while (my $s = $l->accept) {
        next if fork;
        my $take = sub { my ($n, $b) = ($_[0], ''); while (length $b < $n) { sysread($s, $b, $n - length $b, length $b) or POSIX::_exit(0) } $b };
        $take->(unpack('N', $take->(4)) - 4);
        syswrite $s, $msg->('R', pack 'N', 0) . $msg->('S', "server_version\0" . "15.1\0") . $msg->('K', pack 'NN', 1, 2) . $ready;
        while (1) {
            my $type = $take->(1);
            my $body = $take->(unpack('N', $take->(4)) - 4);
            POSIX::_exit(0) if $type eq 'X';
            my ($word) = $body =~ /(\w+)/;
            syswrite $s, $answer{$word} // $answer{good};
        }
    }
    POSIX::_exit(0);
}
my $p = proxy(databases => { '*' => 'host=127.0.0.1 port=' . $l->sockport }, set => { server_tls_sslmode => 'disable', worker_threads => 1 });
for my $case ('nul', 'status') {
    my $c = $p->connect("db_$case");
    $c->send_query($case);
    my $r = eval { $c->finish(timeout => 5) };
    ok($r && ($r->{error} || $r->{eof}), "$case: refused at once") or diag($@ || 'taken');
    like($r->{error}{M} // '', qr/unexpected/, "$case: and says why");
    $c->abort;
}
my $c = $p->connect('db_behind');
$c->send_query('behind');
eval { $c->finish(timeout => 5) };
ok($p->wait_log(qr/unexpected message '.*' (?:behind|from)/, 5), 'behind an answer: the server is closed');
$c->abort;
$c = $p->connect('db_good');
is(row_values($c->query('good')), 1, 'a good one is served');
$c->close;
$p->stop;
kill 'KILL', $kid;
waitpid $kid, 0;
finish();
