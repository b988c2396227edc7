#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Statements that the proxy prepares by itself, in batches that fail: what was skipped is known to be absent, and nobody runs
# another client's unnamed statement.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;
use POSIX ();

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1' },
    set => { worker_threads => 1, max_prepared_statements => 3 });
my ($victim, $attacker) = map { $p->connect('one') } 1 .. 2;
sub run { my ($c, @do) = @_; $c->cork; for my $d (@do) { my ($m, @a) = @$d; $c->$m(@a) } $c->uncork; return $c }
sub types { my ($c) = @_; return eval { Bulkhead::Wire->types($c->read_until('Z', 5)) } // "$@" }

# Unnamed: the attacker's is made, then the victim's takes its place on the server.
my @bind = ([bind => '', '', []], [execute => '']);
run($attacker, [parse => '', "SELECT 'mine'"], ['sync']);
$attacker->finish;
run($victim, [parse => '', "SELECT 'secret'"], ['sync']);
$victim->finish;
# One batch that fails before the Bind; the next one, on the same server, binds the unnamed statement.
$attacker->query('BEGIN');
run($attacker, [execute => 'nosuch'], @bind, ['sync'], [send_query => 'ROLLBACK']);
is(types($attacker), 'EZ', 'the batch fails');
is(types($attacker), 'CZ', 'rolled back');
run($attacker, [parse => '', "SELECT 'mine'"], ['sync']);
$attacker->finish;
run($victim, [parse => '', "SELECT 'secret'"], ['sync']);
$victim->finish;
run($attacker, [parse => 'd', "SELECT 'named'"], ['sync']);
$attacker->finish;
# both batches in one write: the second is on its way before the error of the first is known
run($attacker, [execute => 'nosuch'], @bind, ['sync'], @bind, ['sync']);
is(types($attacker), 'EZ', 'first batch fails');
my $r = $attacker->finish;
is(row_values($r), 'mine', 'second batch runs the client\'s own statement') or diag explain $r->{error};
# and with an error known in between, within a session on the same server
run($victim, [parse => '', "SELECT 'secret'"], ['sync']);
$victim->finish;
run($attacker, ['parse', '', "SELECT 'mine'"], ['sync']);
$attacker->finish;
run($victim, [parse => '', "SELECT 'secret'"], ['sync']);
$victim->finish;
run($attacker, [execute => 'nosuch'], @bind, ['sync']);
is(types($attacker), 'EZ', 'a batch fails');
run($attacker, @bind, ['sync']);
$r = $attacker->finish;
is(row_values($r), 'mine', 'the next batch still runs the client\'s own statement') or diag explain $r->{error};

# Named: skipped in the first batch, used in the second of the same write.
my $c = $p->connect('one');
for my $i (1 .. 6) { run($c, [parse => "s$i", "SELECT $i"], ['sync']); $c->finish }
for my $round (1 .. 3) {
    for my $i (1 .. 6) {
        run($c, [execute => 'nosuch'], [bind => '', "s$i", []], [execute => ''], ['sync'],
            [bind => '', "s$i", []], [execute => ''], ['sync']);
        is(types($c), 'EZ', "round $round, s$i: first batch fails");
        $r = $c->finish;
        is(row_values($r), $i, "round $round, s$i: second batch is answered") or diag explain $r->{error};
    }
}
# Evicted in a batch that fails: later it is prepared again without a clash.
for my $round (1 .. 2) {
    for my $i (1 .. 6) {
        my $k = $i % 6 + 1;
        run($c, [execute => 'nosuch'], (map { [bind => '', "s$_", []] } 1 .. 6), ['sync']);
        types($c);
        run($c, [bind => '', "s$k", []], [execute => ''], ['sync']);
        $r = $c->finish;
        is(row_values($r), $k, "after skipped evictions, round $round: s$k") or diag explain $r->{error};
    }
}
# DEALLOCATE by the server's name from another client of the pool.
my $name = $victim->value("SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 1' LIMIT 1");
like($name, qr/^PGBULKHEAD_/, 'the statement is there');
is($victim->query("DEALLOCATE \"$name\"")->{results}[0]{tag}, 'DEALLOCATE', 'somebody drops it');
run($c, [bind => '', 's1', []], [execute => ''], ['sync']);
$r = $c->finish;
is(row_values($r), 1, 'its owner does not notice') or diag explain $r->{error};
# A skipped unnamed Parse leaves the one before.
run($c, [parse => '', 'SELECT 41'], ['sync']);
$c->finish;
run($c, [execute => 'nosuch'], [parse => '', 'SELECT 42'], ['sync']);
is(types($c), 'EZ', 'Parse was skipped');
run($c, @bind, ['sync']);
is(row_values($c->finish), 41, 'the unnamed statement is the old one');

# Answers of our own do not pile up behind a slow query.
my $slow = $p->connect('one');
my $before = proc_rss_kb($p->pid);
run($slow, [parse => '', 'SELECT pg_sleep(3)'], @bind, ['sync']);
sleep 0.3;
my $closes = ('C' . pack('N', 7) . "Sx\0") x 50_000;
$slow->{timeout} = 1;
eval { $slow->send_raw($closes) for 1 .. 40 };
my $grown = proc_rss_kb($p->pid) - $before;
cmp_ok($grown, '<', 30_000, "memory grew by $grown kB behind two million Close messages");
$slow->abort;
# ... and a long pipeline without Sync still ends.
my $long = $p->connect('one');
my $n = 20_000;
$long->{timeout} = 30;
my $pid = fork // die;
if (!$pid) { $long->send_raw(('C' . pack('N', 7) . "Sx\0") x $n . ('D' . pack('N', 6) . "S\0") x 0 . 'S' . pack('N', 4)); POSIX::_exit(0) }
my $m = eval { $long->read_until('Z', 20) } // [];
waitpid $pid, 0;
is(scalar @$m, $n + 1, 'twenty thousand Close messages and a Sync are all answered');
run($long, [parse => 'q', 'SELECT 1'], ['sync']);
$long->finish;
$pid = fork // die;
my $one = 'B' . pack('N', 4 + 1 + 2 + 2 + 2 + 2) . "\0q\0" . pack('nnn', 0, 0, 0);
if (!$pid) { $long->send_raw(($one . ('C' . pack('N', 7) . "Sx\0") x 100) x 200 . 'S' . pack('N', 4)); POSIX::_exit(0) }
$m = eval { $long->read_until('Z', 20) } // [];
waitpid $pid, 0;
is(scalar @$m, 200 * 101 + 1, 'and so are Binds among them');
finish();
