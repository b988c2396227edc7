#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# TCP options as the kernel has them, on both sides; listening addresses, backlog, defer_accept. The sockets are looked at by taking a
# copy of the proxy's descriptors (pidfd_getfd), or through /proc where that is not allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Socket qw(:all);

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, set => { listen_addr => '127.0.0.1, 127.0.0.5', listen_backlog => 77, tcp_defer_accept => 7, tcp_keepalive => 1, tcp_keepcnt => 3, tcp_keepidle => 555,
        tcp_keepintvl => 44, tcp_user_timeout => 66000, tcp_socket_buffer => 30000, server_check_query => '', worker_threads => 1 });
my $c = $p->connect('postgres');
is($c->value('SELECT 1'), 1, 'a client');
is(Bulkhead::Wire->login(host => '127.0.0.5', port => $p->{port}, user => 'postgres', dbname => 'postgres')->value('SELECT 2'), 2, 'a second address of listen_addr');

# Options of all TCP sockets of the proxy that match: kind is listen, client or server. Asked by a child that is the proxy's user.
use constant { PIDFD_OPEN => 434, PIDFD_GETFD => 438, TCP_KEEPIDLE_ => 4, TCP_KEEPINTVL_ => 5, TCP_KEEPCNT_ => 6, TCP_DEFER_ACCEPT_ => 9, TCP_USER_TIMEOUT_ => 18 };

sub options {
    my ($proxy, $server_port) = @_;
    my @r;
    my $pidfd = syscall(PIDFD_OPEN, $proxy->pid + 0, 0);
    die "pidfd_open: $!\n" if $pidfd < 0;
    for my $fd (sort { $a <=> $b } map { m{/(\d+)$} } glob('/proc/' . $proxy->pid . '/fd/*')) {
        my $copy = syscall(PIDFD_GETFD, $pidfd, $fd + 0, 0);
        die "pidfd_getfd: $!\n" if $copy < 0;
        open my $s, '+<&=', $copy or next;
        my $name = getsockname $s or next;
        next unless sockaddr_family($name) == AF_INET;
        my ($port) = sockaddr_in($name);
        my $peer = getpeername $s;
        my ($pport) = $peer ? sockaddr_in($peer) : 0;
        my $get = sub { unpack 'i', getsockopt($s, $_[0], $_[1]) // "\0\0\0\0" };
        push @r, { kind => !$peer ? 'listen' : $port == $proxy->{port} ? 'client' : $pport == $server_port ? 'server' : 'other', port => $port,
            alive => $get->(SOL_SOCKET, SO_KEEPALIVE), idle => $get->(IPPROTO_TCP, TCP_KEEPIDLE_), intvl => $get->(IPPROTO_TCP, TCP_KEEPINTVL_),
            cnt => $get->(IPPROTO_TCP, TCP_KEEPCNT_), user => $get->(IPPROTO_TCP, TCP_USER_TIMEOUT_), buf => $get->(SOL_SOCKET, SO_RCVBUF),
            sndbuf => $get->(SOL_SOCKET, SO_SNDBUF), defer => $get->(IPPROTO_TCP, TCP_DEFER_ACCEPT_), nodelay => $get->(IPPROTO_TCP, TCP_NODELAY),
            reuse => $get->(SOL_SOCKET, SO_REUSEPORT), backlog => unpack('x28 L', getsockopt($s, IPPROTO_TCP, TCP_INFO) // '') // 0 };
    }
    POSIX::close($pidfd);
    return @r;
}

# As the proxy's own user in a child, where root may not.
sub look {
    my ($proxy) = @_;
    my ($text) = parallel(1, sub {
        my @o = eval { options($proxy, $pg->port) };
        if (!@o) { my $why = $@; Bulkhead::Util::as_user(); @o = eval { options($proxy, $pg->port) }; return "none: $why $@" unless @o }
        return join "\n", map { my $o = $_; join ' ', map { "$_=$o->{$_}" } sort keys %$o } @o;
    });
    return map { +{ /(\w+)=(\S+)/g } } split /\n/, $text =~ /^none/ ? do { diag($text); '' } : $text;
}
my @o = look($p);
my ($cl) = grep { ($_->{kind} // '') eq 'client' } @o;
my ($sv) = grep { ($_->{kind} // '') eq 'server' } @o;
my ($li) = grep { ($_->{kind} // '') eq 'listen' && $_->{port} == $p->{port} } @o;
for (['client', $cl], ['server', $sv]) {
    my ($what, $s) = @$_;
    ok($s, "a $what socket is found") or next;
    is("$s->{alive} $s->{idle} $s->{intvl} $s->{cnt}", '1 555 44 3', "$what: tcp_keepalive, tcp_keepidle, tcp_keepintvl, tcp_keepcnt");
    is($s->{user}, 66000, "$what: tcp_user_timeout");
    is("$s->{buf} $s->{sndbuf}", '60000 60000', "$what: tcp_socket_buffer (the kernel doubles it)");
    is($s->{nodelay}, 1, "$what: no delay");
}
ok($li, 'the listening socket is found');
cmp_ok($li->{defer}, '>=', 7, 'tcp_defer_accept');
is($li->{backlog}, 77, 'listen_backlog');
is($li->{reuse}, 0, 'so_reuseport is off');
# By SET: for new connections.
$p->console('SET tcp_keepidle = 666');
$p->console('SET tcp_user_timeout = 0');
my $d = $p->connect('postgres');
$d->query('BEGIN');
$c->query('SELECT 1'); # a second server
ok((grep { ($_->{kind} // '') eq 'client' && $_->{idle} == 666 && $_->{user} == 0 } look($p)), 'SET: for new connections');
ok((grep { ($_->{kind} // '') eq 'client' && $_->{idle} == 555 } look($p)), 'the old ones keep theirs');
my $q = proxy(pg => $pg, set => { tcp_keepalive => 0, tcp_defer_accept => 0, so_reuseport => 1, listen_addr => '*' });
my $e = $q->connect('postgres');
$e->value('SELECT 1');
@o = look($q);
is((grep { ($_->{kind} // '') eq 'client' } @o)[0]{alive}, 0, 'tcp_keepalive = 0');
($li) = grep { ($_->{kind} // '') eq 'listen' && $_->{port} == $q->{port} } @o;
is("$li->{defer} $li->{reuse}", '0 1', 'tcp_defer_accept = 0, so_reuseport = 1');
is(Bulkhead::Wire->login(host => '127.0.0.6', port => $q->{port}, user => 'postgres', dbname => 'postgres')->value('SELECT 2'), 2, 'listen_addr = *');
my $r = proxy(pg => $pg, start => 0);
$r->{port} = $q->{port};
$r->{set} = { so_reuseport => 1, listen_addr => '127.0.0.1' };
$r->write;
ok($r->start(may_fail => 1), 'another process shares the port with so_reuseport');
my $b = proxy(pg => $pg, start => 0);
$b->{port} = $p->{port};
$b->write;
$b->{expect_exit} = 1;
my ($st, $out, $err) = run_cmd(argv => [Bulkhead::Proxy::binary(), $b->{ini}], user => 1, timeout => 20);
is($st, 1, 'without it the second one ends with 1');
like($out . $err, qr/cannot listen on 127\.0\.0\.1\/\d+: Address already in use/, 'and says why');
finish();
