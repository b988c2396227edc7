#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# RELOAD and SIGHUP: new databases, users, limits and modes, a broken file kept out, nobody dropped.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
$pg->sql($_) for 'CREATE ROLE alice LOGIN', 'CREATE DATABASE second';
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=1' }, set => { query_wait_timeout => 100 });
my $c = $p->connect('test');
is($c->value('SELECT 1'), 1, 'before');
# A new database and a new user.
$p->{databases}{extra} = 'dbname=second';
$p->{auth}{alice} = '';
$p->write;
kill 'HUP', $p->pid;
ok(wait_for(sub { my $x = eval { $p->connect('extra', 'alice', no_die => 1) }; $x && !$x->{error} && $x->value('SELECT current_database()') eq 'second' }, 5), 'SIGHUP: a new database and a new user');
is($c->value('SELECT 2'), 2, 'the client stays');
# A larger pool serves those that wait.
$c->query('BEGIN');
my $w = $p->connect('test');
$w->send_query('SELECT 3');
ok(!$w->readable(0.3), 'a client waits');
$p->{databases}{test} = 'dbname=postgres pool_size=2';
$p->reload;
is(eval { row_values($w->finish(timeout => 10)) } // $@, 3, 'a larger pool_size serves it');
$c->query('COMMIT');
# Another target: open transactions end where they are, then the new one is used.
$c->query('BEGIN');
$p->{databases}{test} = 'dbname=second pool_size=2';
$p->reload;
is($c->value('SELECT current_database()'), 'postgres', 'an open transaction keeps its server');
$c->query('COMMIT');
ok(wait_for(sub { eval { $c->value('SELECT current_database()') eq 'second' } || eval { my $n = $p->connect('test'); $n->value('SELECT current_database()') eq 'second' } }, 5), 'then the new target is used');
# A broken file.
my $good = slurp($p->{ini});
my $d = $p->connect('extra', 'alice');
spew($p->{ini}, $good . "\nno_such_key = 1\n");
my $r = $p->console('RELOAD', raw => 1, no_die => 1);
error_is($r, 'F0000', qr/RELOAD failed, see logs for additional details/, 'a broken file: F0000') if ours();
kill 'HUP', $p->pid;
sleep 0.5;
is($d->value('SELECT 5'), 5, 'clients stay');
is($p->connect('extra', 'alice')->value('SELECT 6'), 6, 'the old configuration is in force');
ok($p->wait_log(qr/no_such_key/), 'the log says why') ;
spew($p->{ini}, $good);
ok(!$p->console('RELOAD', raw => 1)->{error}, 'a good file again');
# A database that is removed.
delete $p->{databases}{extra};
$p->reload;
ok(wait_for(sub { my $x = eval { $p->connect('extra', 'alice', no_die => 1) }; !$x || $x->{error} }, 5), 'a removed database takes no new clients');
# 60 SIGHUPs under load.
my $load = fork // die;
if (!$load) {
    for (1 .. 60) { kill 'HUP', $p->pid; sleep 0.02 }
    POSIX::_exit(0);
}
my @res = parallel(3, sub {
    my ($i) = @_;
    my $x = $p->connect('test');
    my ($bad, $slow) = (0, 0);
    for my $k (1 .. 300) {
        my $t = time;
        $bad++ unless row_values($x->query("SELECT '$i-$k'")) eq "$i-$k";
        $slow++ if time - $t > 1;
    }
    return "$bad wrong, " . ($slow > 5 ? "$slow slow" : 'few slow'); # a machine that does much else may stop for a moment, too; 60 pauses are more
});
waitpid $load, 0;
is(join('; ', @res), join('; ', ('0 wrong, few slow') x 3), '60 SIGHUPs under load: no error, no pause');
ok(wait_for(sub { slurp($p->{log}) }, 1), 'the log is there');
finish();
