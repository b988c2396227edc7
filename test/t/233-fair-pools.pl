#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Pools that share max_db_connections or max_user_connections: a pool whose clients wait gets servers although another one keeps its own busy without end,
# with one worker and with several; the limit holds meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg(conf => { max_connections => 60 });
$pg->sql("CREATE ROLE $_ LOGIN") for qw(a b c d);

for my $workers (1, 4) {
    my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres pool_size=4 max_db_connections=2', x => 'dbname=postgres pool_size=4', y => 'dbname=postgres pool_size=4' },
        users => { d => 'max_user_connections=1' }, auth => { map { ($_ => '') } qw(a b c d) }, set => { worker_threads => $workers, query_wait_timeout => 160 });
    my $say = "$workers worker" . ($workers > 1 ? 's' : '');

    # Eight clients of one user never pause, far more than there are servers.
    $pg->sql('DROP SEQUENCE IF EXISTS turns; CREATE SEQUENCE turns; GRANT ALL ON turns TO a');
    spew(work_dir() . '/busy.sql', "SELECT nextval('turns'), pg_sleep(0.02);\n");
    my $busy = spawn(argv => ['/usr/bin/pgbench', '-n', '-c', 8, '-T', 900, '-f', work_dir() . '/busy.sql', "host=127.0.0.1 port=" . $p->port . " user=a dbname=db"], log => work_dir() . '/busy.log');
    ok(wait_for(sub { $pg->value('SELECT last_value FROM turns') > 20 }, 30), "$say: one pool is busy");
    my @late;
    for my $user (qw(b c)) {
        # at its login a client waits for a server as well
        my $pid = fork // die "fork: $!\n";
        if (!$pid) { my $ok = eval { my $c = $p->connect('db', $user, timeout => 160); $c->query('SELECT 1') for 1 .. 5; 1 }; POSIX::_exit($ok ? 0 : 1) }
        push @late, $pid;
    }
    my %st;
    my $until = time + 170;
    while (keys %st < 2 && time < $until) { for (@late) { $st{$_} = $? if !exists $st{$_} && waitpid($_, 1) == $_ } sleep 0.02 }
    is(join(' ', map { $st{$_} // 'still waiting' } @late), '0 0', "$say: clients of other pools are served");
    my $done = $pg->value('SELECT last_value FROM turns');
    ok(wait_for(sub { $pg->value('SELECT last_value FROM turns') > $done + 10 }, 30), "$say: while one pool is always busy");
    for (@late) { kill 'KILL', $_ if !exists $st{$_} }
    my $sum = 0;
    $sum += $_->{sv_active} + $_->{sv_idle} + $_->{sv_login} + $_->{sv_tested} for grep { $_->{database} eq 'db' } @{ $p->console('SHOW POOLS') };
    cmp_ok($sum, '<=', 2, "$say: max_db_connections holds");
    stop_child($busy, 'TERM', 10);
    ok($p->wait_log(qr/closing because: evicted/), "$say: servers were evicted");
    # A user's limit, over two databases: the server goes where it is asked for.
    my ($x, $y) = map { $p->connect($_, 'd') } qw(x y);
    is(join(' ', map { row_values($_->query('SELECT 6')) } $x, $y, $x, $y), '6 6 6 6', "$say: max_user_connections 1, by turns");
    $x->query('BEGIN');
    $y->send_query('SELECT 7');
    ok(!$y->readable(0.5), "$say: a server in use is not taken away");
    $x->query('COMMIT');
    is(eval { row_values($y->finish(timeout => 20)) } // $@, 7, "$say: it is when it is free");
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(defined $st && $st == 0, "$say: clean end");
    is(scalar $p->complaints, 0, "$say: clean log");
}
finish();
