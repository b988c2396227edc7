#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# pgbulkhead top: on a terminal of 80x24 and after a change of its size, views, order, a pause that is confirmed, a proxy that goes
# away and comes back, names with control characters, several consoles, as text, and at a PgBouncer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;
use IPC::Open2;

need_ours();
my $pg = pg();
my $bin = Bulkhead::Proxy::binary();
my $hostile = "e\e[7m";
$pg->sql(qq(CREATE ROLE "$hostile" LOGIN));
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=2', two => 'dbname=postgres pool_size=7', 'q"uote' =~ s/"/""/r =~ s/^|$/"/gr => 'dbname=postgres' },
    set => { worker_threads => 1, stats_period => 1, query_wait_timeout => 3000 }, auth => { $hostile => '' });
my $two = proxy(pg => $pg, databases => { far => 'dbname=postgres' }, set => { worker_threads => 1 });
my @env = (PGPASSWORD => 'bhadmin', LC_ALL => 'C.UTF-8', HOME => work_dir());

# One look as text: status, output, errors.
sub once {
    my (@args) = @_;
    return run_cmd(argv => [$bin, 'top', '-b', @args], env => {@env}, timeout => 60);
}

# A program on a terminal; a script's lines give its answers.
my ($in, $out, $child);
sub terminal {
    my ($cols, $rows, @args) = @_;
    local %ENV = (%ENV, @env);
    $child = open2($out, $in, '/usr/bin/python3', "$FindBin::Bin/../lib/terminal.py", $cols, $rows, $bin, 'top', '-d', '0.3', @args);
    $in->autoflush(1);
    return;
}
sub tell_it { my ($line) = @_; print $in "$line\n"; my $l = <$out> // 'gone'; chomp $l; my $more = ''; if ($l =~ /^not ok expect/) { for (1 .. 24) { $more .= <$out> // '' } } return wantarray ? ($l, $more) : $l }
sub sees { my ($line, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; my ($l, $more) = tell_it($line); return like($l, qr/^ok /, $name) || diag($more) }
sub over { close $in; close $out; waitpid $child, 0; return }

my @c = map { $p->connect('one') } 1 .. 3;
$_->query('BEGIN') for @c[0, 1];
$c[2]->send_query('SELECT 1');
my $other = $p->connect('two', $hostile);
$other->query('SELECT 1');
my $quote = $p->connect('q"uote');
$quote->query('SELECT 1');
ok(wait_for(sub { ($p->pool('one') // { cl_waiting => 0 })->{cl_waiting} == 1 }, 20, 0.1), 'somebody waits');

# As text.
my $at = '127.0.0.1:' . $p->port;
my ($st, $text, $err) = once('-U', 'bhadmin', $at);
is($st, 0, 'as text: status') or diag($err);
like($text, qr/^pgbulkhead top  pools by wait/, 'the title');
like($text, qr/^\Q$at\E\s+clients \d+, waiting 1; servers 2, idle 2; /m, 'the sums of the console');
like($text, qr/^one +postgres +1 +\S+ +2 +2 +0 +0 +2\b/m, 'a pool: waiting, longest wait, clients, servers, size');
like($text, qr/^q"uote/m, 'a quoted name');
like($text, qr/^two +e\\x1B\[7m +/m, 'a control character is shown as its number');
unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f]/, 'and none is printed');
is(scalar(grep { length > 80 } split /\n/, $text), 0, 'no line is wider than 80 columns');
like((once('-U', 'bhadmin', '-s', 'database', $at))[1], qr/^one .*^q"uote .*^two /ms, 'in another order');
like((once('-U', 'bhadmin', '-v', 'waiting', $at))[1], qr/^database .*\none [^\n]*\n\z/m, 'those that wait only');
for (qw(traffic latency tenants denials queries activity alerts)) {
    ($st, $text, $err) = once('-U', 'bhstats', '-v', $_, "host=127.0.0.1 port=" . $p->port . " password=bhstats");
    is($st, 0, "view $_");
    unlike($text, qr/does not have|no console answers/, "its table is there");
}
like((once('-U', 'bhadmin', '-v', 'activity', $at))[1], qr/^one .*idle in ~/m, 'what goes on');
# The mark of the order is its own column's: it touches no other title.
my %titles = (
    pools => [qw(database user wait maxwait act sv_act idle login size pau pin used mode)], traffic => [qw(database xact/s query/s query xact wait in/s out/s queries)],
    latency => ['database', 'what', 'count 1m', 'p50', 'p95', 'p99', 'p95 5m', 'p95 15m'], tenants => [qw(tenant clients active wait maxwait refused passed rewritten audited)],
    denials => [qw(database count reason tenant template)], queries => [qw(database calls total mean p95 max err template)],
    activity => ['database', 'user', 'tenant', 'state', 'age', 'wait for', 'template'], alerts => [qw(alert severity state value limit database user backend)],
);
for my $view (sort keys %titles) {
    local @env[6, 7] = (COLUMNS => 120);
    my @touch = grep { my $t = $_; (once('-U', 'bhadmin', '-v', $view, '-s', $t, $at))[1] !~ /^(?:.* )?\Q$t\E[v^](?: |$)/m } @{ $titles{$view} };
    is("@touch", '', "$view: the mark stands behind each title, with a blank behind it");
}
($st, $text, $err) = once('-U', 'bhadmin', $at, '127.0.0.1:' . $two->port);
like($text, qr/^console .*^\Q127.0.0.1:\E\S+ +one /ms, 'two consoles: rows name theirs');
($st, $text, $err) = once('-U', 'nobody', $at, '127.0.0.1:1');
is($st, 1, 'consoles that do not answer: status 1');
like($text, qr/^\Q$at\E +away: .*^127\.0\.0\.1:1 +away: .*no console answers/ms, 'and why');
is((once('-v', 'nothing', $at))[0], 2, 'a wrong view: status 2');
is((once('-d', 'x', $at))[0], 2, 'a wrong delay');
is((run_cmd(argv => [$bin, 'top', $at], env => { @env, TERM => 'no-such-terminal' }, timeout => 20))[0], 2, 'a terminal that is not known');

# On a terminal.
terminal(80, 24, '-U', 'bhadmin', $at);
sees('expect servers 2, idle', 'the console is shown');
sees('expect q"uote', 'its pools');
sees('expect e\x1B[7m', 'a hostile name is shown as text');
sees('expect 1-9 view', 'the keys are on the last line');
is(tell_it('styles one  '), 'ok reverse', 'the first row is chosen: the one with a waiting client');
is(tell_it('raw e\x1b[7m'), 'ok absent', 'no control character of a name reaches the terminal');
tell_it('send <');
sees('expect pools by user', 'order by another column');
tell_it('send <');
sees('expect pools by database', 'and another');
tell_it('send <');
sees('expect pools by pau', 'those that do not fit are passed over');
tell_it('send >');
sees('expect pools by database', 'and back');
my $inverted = tell_it('line sv_act') =~ /^ok databasev / ? '^' : 'v';
tell_it('send i');
ok(wait_for(sub { tell_it('line sv_act') =~ /^ok database\Q$inverted\E / }, 20, 0.1), 'inverted');
tell_it('send 3');
sees('expect query/s', 'traffic');
tell_it('send 4');
sees('expect p95 15m', 'latency');
tell_it('send 8');
sees('expect wait for', 'activity');
sees('expect waiting', 'with the one that waits');
tell_it('send 9');
sees('expect BackendDown', 'alerts');
tell_it('send h');
sees('expect pause the database', 'help');
tell_it('send \s');
sees('expect! pause the database', 'any key ends it');
tell_it('size 120 30');
tell_it('send 1');
sees('expect pool', 'a larger terminal');
tell_it('size 40 10');
sees('expect database', 'a small one');
tell_it('size 80 24');
sees('expect 1-9 view', 'and back');

# Pause and resume.
sub paused { my ($db) = @_; my ($r) = grep { $_->{name} eq $db } @{ $p->console('SHOW DATABASES') }; return $r->{paused} }
tell_it('send q');
is(tell_it('end'), 'ok ended 0', 'q ends it');
over();
terminal(80, 24, '-U', 'bhadmin', '-s', 'database', $at);
sees('expect one ', 'the pools, by database');
tell_it('send p');
sees("expect PAUSE database one at $at?", 'asks first');
tell_it('send n');
sees('expect 1-9 view', 'no is no');
is(paused('one'), 0, 'nothing is paused');
tell_it('send \e[B') for 1 .. 2; # pgbouncer is the console itself
tell_it('send p');
sees('expect PAUSE database q"uote', 'two rows below');
tell_it('send y');
sees('expect PAUSE "q""uote": done', 'the outcome is shown');
is(paused('q"uote'), 1, 'and it is paused');
is(paused('one') . paused('two'), '00', 'no other');
sees('expect yes', 'which shows');
tell_it('send r');
sees('expect RESUME database q"uote', 'resume asks too');
tell_it('send y');
sees('expect RESUME "q""uote": done', 'and is done');
is(paused('q"uote'), 0, 'it is resumed');

# Away and back.
$_->close for @c, $other, $quote;
$p->stop;
sees('expect away: ', 'a proxy that goes away');
sees('expect no console answers', 'leaves no rows');
$p->start;
sees('expect servers 0, idle 0', 'and comes back');
tell_it('send q');
is(tell_it('end'), 'ok ended 0', 'q ends it');
over();

# However it ends, the terminal is left as it was.
for my $sig (qw(SIGTERM SIGINT SIGHUP SIGQUIT SIGABRT)) {
    terminal(80, 24, '-U', 'bhadmin', $at);
    sees('expect servers 0, idle 0', "before $sig");
    is(tell_it('echo'), 'ok quiet', 'what is typed is not shown');
    tell_it("signal $sig");
    like(tell_it('end'), qr{^ok ended }, '... it ends');
    is(tell_it('echo'), 'ok echo', '... and what is typed is shown again');
    over();
}
# Nor does it go on without one.
terminal(80, 3000, '-U', 'bhadmin', $at);
sees('expect servers 0, idle 0', 'a terminal of more lines than there are');
tell_it('send q');
is(tell_it('end'), 'ok ended 0', 'q ends it');
over();
{
    local %ENV = (%ENV, @env);
    my ($st) = run_cmd(argv => ['/usr/bin/script', '-qec', "TERM=linux $bin top -U bhadmin $at < /dev/null", '/dev/null'], timeout => 30);
    is($st, 0, 'nobody at the keys: it ends');
}

# Nobody to pause for who may only look.
terminal(80, 24, 'postgresql://bhstats:bhstats@127.0.0.1:' . $p->port);
my $again = $p->connect('one');
$again->query('SELECT 1');
sees('expect one ', 'as stats_users');
tell_it('send p');
sees('expect PAUSE database one', 'asked');
tell_it('send y');
sees('expect PAUSE "one": ', 'refused by the console');
is(paused('one'), 0, 'not paused');
is(tell_it('raw bhstats:bhstats'), 'ok absent', 'no password is shown');
tell_it('send q');
tell_it('end');
over();
$again->close;

# PgBouncer: tables that it does not have are missing views.
my $work = work_dir();
my $bouncer = free_port();
spew("$work/pgb.ini", "[databases]\none = host=127.0.0.1 port=" . $pg->port . " dbname=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $bouncer\nunix_socket_dir =\npool_mode = transaction\nauth_type = trust\nauth_file = $work/pgb.txt\nadmin_users = boss\n");
spew("$work/pgb.txt", qq("boss" ""\n"postgres" ""\n));
chmod 0644, "$work/pgb.ini", "$work/pgb.txt";
my $pid = spawn(argv => ['/usr/sbin/pgbouncer', "$work/pgb.ini"], user => 1, log => "$work/pgb.log");
ok(wait_for(sub { eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $bouncer, timeout => 2)->abort; 1 } }, 20), 'a PgBouncer');
my $b = Bulkhead::Wire->login(host => '127.0.0.1', port => $bouncer, user => 'postgres', dbname => 'one');
$b->query('SELECT 1');
($st, $text, $err) = once('-U', 'boss', "127.0.0.1:$bouncer");
is($st, 0, 'its console is read') or diag($err);
like($text, qr/^one +postgres +0 +/m, 'its pools');
like((once('-U', 'boss', '-v', 'traffic', "127.0.0.1:$bouncer"))[1], qr/^one /m, 'its traffic');
like((once('-U', 'boss', '-v', 'tenants', "127.0.0.1:$bouncer"))[1], qr/does not have this table/, 'it has no tenants');
terminal(80, 24, '-U', 'boss', '-s', 'database', "127.0.0.1:$bouncer");
sees('expect one ', 'on a terminal');
tell_it('send p');
sees('expect PAUSE database one', 'asks');
tell_it('send y');
sees('expect PAUSE "one": done', 'pauses there too');
tell_it('send q');
is(tell_it('end'), 'ok ended 0', 'ends');
over();
$b->abort;
stop_child($pid, 'INT', 20);
finish();
