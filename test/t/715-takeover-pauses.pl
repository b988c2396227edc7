#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# -R with databases that are paused or disabled: they are so in the new process, RESUME and ENABLE reach the clients that the old one
# still has, and so do PAUSE and DISABLE; over several processes, and when a takeover fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;
use IO::Socket::UNIX;
use Socket;

need_ours();
my $pg = pg();
my $dir = work_dir();
my %many = map { ("many_$_" . 'x' x 40 => 'dbname=postgres') } 1 .. 300;
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres', two => 'dbname=postgres', off => 'dbname=postgres', gone => 'dbname=postgres', '*' => 'dbname=postgres', %many },
    set => { unix_socket_dir => $dir, pidfile => "$dir/pid", worker_threads => $ENV{BH_WORKERS} // 2, query_wait_timeout => 60 });
$p->{expect_exit} = 1;
my $bin = Bulkhead::Proxy::binary();
my @procs = ($p->pid);
my $sock = "$dir/.s.PGBULKHEAD." . $p->port;
my $successor = sub {
    my $pid = spawn(argv => [$bin, '-R', $p->{ini}], user => 1, log => $p->{log});
    push @procs, $pid;
    return wait_for(sub { -s "$dir/pid" && slurp("$dir/pid") =~ /^$pid$/m }, 30);
};
my $flags = sub { my ($db) = @_; my ($r) = grep { $_->{name} eq $db } @{ $p->console('SHOW DATABASES') }; return $r ? "$r->{paused}$r->{disabled}" : 'none' };
my $waits = sub { my ($c) = @_; return !$c->readable(0.4) };
# An older process hears of it a little later: asks until the answer has to wait.
my $held = sub { my ($c, $sql) = @_; return wait_for(sub { $c->send_query($sql); return 1 if $waits->($c); $c->finish; return 0 }, 20) };

# Clients of the first process: they stay there.
my ($one, $two) = ($p->connect('one'), $p->connect('two'));
is($one->value('SELECT 1') . $two->value('SELECT 2'), '12', 'two clients');
$p->console($_) for 'PAUSE one', 'DISABLE off', 'PAUSE gone', 'DISABLE auto', map { "DISABLE $_" } sort keys %many;
is($flags->('one') . $flags->('two') . $flags->('off'), '100001', 'one is paused, another disabled');

# A successor that asks and goes away changes nothing, and reads what it is told.
my $s = IO::Socket::UNIX->new(Type => SOCK_SEQPACKET, Peer => $sock) or die "$sock: $!\n";
$s->send($_) for 'STATE', 'TAKEOVER 1';
my ($told, $text) = ('');
while (defined $s->recv($text, 65536) && length $text && $text !~ /^SOCKETS/) { $told .= substr $text, 5 if $text =~ /^FLAGS/ }
like($told, qr/^0\0/, 'what it is told: no PAUSE of all');
is(join(' ', grep { !/many/ } sort split /\0/, substr $told, 2), '1gone 1one 2auto 2off', '... and the databases');
is(scalar(grep { /^2many/ } split /\0/, $told), 300, '... however many');
close $s;
ok($p->wait_log(qr/did not take over, going on/), 'it goes away');
# As an older version asks.
$s = IO::Socket::UNIX->new(Type => SOCK_SEQPACKET, Peer => $sock) or die "$sock: $!\n";
$s->send('TAKEOVER 1');
$s->recv($text, 65536);
like($text, qr/^SOCKETS/, 'one that does not ask for it is not told');
close $s;

delete $p->{databases}{gone};
spew($p->{ini}, slurp($p->{ini}) =~ s/^gone\b.*\n//mr);
ok($successor->(), 'a takeover');
is($flags->('one') . $flags->('two') . $flags->('off') . $flags->('auto'), '10000101', 'all as it was');
is(scalar(grep { $_->{name} =~ /many/ && $_->{disabled} } @{ $p->console('SHOW DATABASES') }), 300, '... of the others, too');
rejects($p, 'off', 'postgres', undef, qr/is disabled/, 'what was disabled refuses clients');
$one->send_query("SELECT 'old'");
ok($waits->($one), 'a client of the old process waits');
is($two->value('SELECT 3'), 3, 'another does not');
$p->console('PAUSE two');
ok($held->($two, "SELECT 'two'"), 'a PAUSE reaches the old process');
$p->console('RESUME one');
is(row_values($one->finish), 'old', 'so does RESUME');
is($p->connect('one')->value('SELECT 4'), 4, 'new clients are served as well');
$p->console('ENABLE off');
is($p->connect('off')->value('SELECT 5'), 5, 'ENABLE');

# One more process: the first one is told by way of the second.
ok($successor->(), 'another takeover');
is($flags->('one') . $flags->('two') . $flags->('off') . $flags->('auto'), '00100001', 'all as it was');
ok($waits->($two), 'the first one\'s client still waits');
$p->console('RESUME two');
is(row_values($two->finish), 'two', 'until RESUME at the third');
$p->console('PAUSE');
ok($held->($one, 'SELECT 6'), 'PAUSE of all');
ok($successor->(), 'a takeover');
my ($state) = grep { $_->{key} eq 'paused' } @{ $p->console('SHOW STATE') };
is($state->{value}, 'yes', '... is handed over');
ok($waits->($one), '... and still holds');
kill 'USR2', $procs[-1];
is(row_values($one->finish), '6', 'SIGUSR2 ends it');
is($p->connect('one')->value('SELECT 7'), 7, '... everywhere');
# PAUSE that still waits when its console is left behind, and is canceled there.
my $admin = $p->connect('pgbouncer', 'bhadmin');
my $late = $p->connect('one');
$late->query('BEGIN');
$admin->send_query('PAUSE one');
ok($waits->($admin), 'a PAUSE that waits');
ok($successor->(), 'a takeover meanwhile');
is($flags->('one'), '10', '... pauses there, too');
$admin->cancel;
error_is($admin->finish, '57014', qr/canceling/, 'Ctrl-C at the console of the old one');
ok(wait_for(sub { $flags->('one') eq '00' }, 20), '... resumes at both');
is($p->connect('one')->value('SELECT 8'), 8, 'new clients are served');
is($late->value('SELECT 9') . $one->value('SELECT 10'), '910', '... and those of old ones');
$_->close for $admin, $late;
$_->close for $one, $two;
ok(wait_for(sub { !grep { !defined reap($_) } @procs[0 .. $#procs - 1] }, 30), 'the old processes end when their clients have left');
kill 'QUIT', $procs[-1];
ok(wait_for(sub { defined reap($procs[-1]) }, 10), 'ended');
is(scalar $p->complaints, 0, 'with a clean log') or diag(join "\n", $p->complaints);
finish();
