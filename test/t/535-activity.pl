#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW ACTIVITY: clients at work and waiting, with what they run, without literals; why they wait; many of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $secret = 'Sesame-5ecret';
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN; CREATE TABLE t (id int, tenant_id text NOT NULL); GRANT ALL ON t TO app');
my $p = proxy(pg => $pg, databases => {
        db => 'dbname=postgres user=app pool_size=4', one => 'dbname=postgres user=app pool_size=1', limited => 'dbname=postgres user=app pool_size=4 max_db_connections=1',
        mine => 'dbname=postgres user=app pool_size=4 tenant_mode=rewrite max_tenant_connections=1',
    },
    users => { plain => 'pool_mode=transaction', acme => 'pool_mode=transaction tenant=acme' }, auth => { plain => '', acme => '' },
    set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2, query_wait_timeout => 0 });
my $show = sub { return $p->console('SHOW ACTIVITY' . ($_[0] // '')) };
my $of = sub { my ($db, $state) = @_; return [grep { $_->{database} eq $db && (!$state || $_->{state} eq $state) } @{ $show->() }] };
my $wait = sub { my ($db, $state, $n, $reason) = @_; return wait_for(sub { (grep { !$reason || $_->{wait_reason} eq $reason } @{ $of->($db, $state) }) >= $n }, 15) };

# A cancel request that comes before its query has begun is lost.
my $runs = sub { wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") }, 10) };

my $idle = $p->connect('db', 'plain');
$idle->query('SELECT 1');
is(scalar @{ $show->() }, 0, 'idle clients are not shown');

# ---- active
my $c = $p->connect('db', 'plain', params => { application_name => "app\tname" });
$c->send_query("SELECT pg_sleep(60), '$secret' /* $secret */");
ok($wait->('db', 'active', 1), 'a client at work');
$runs->();
my $r = $of->('db')->[0];
is($r->{template}, 'SELECT pg_sleep(?), ?', 'what it runs');
is(join('|', @{ $r }{qw(user tenant wait_reason)}), 'plain||server', 'who, and for whom it waits');
is($r->{application_name}, 'app?name', 'control characters are shown as ?') if $r->{application_name};
is($r->{remote_pid}, $pg->value("SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"), "the server's process");
my ($s) = grep { $_->{id} == $r->{server} } @{ $p->console('SHOW SERVERS') };
is($s->{remote_pid}, $r->{remote_pid}, 'server: as in SHOW SERVERS');
my ($cl) = grep { $_->{id} == $r->{client} } @{ $p->console('SHOW CLIENTS') };
is($cl->{state}, 'active', 'client: as in SHOW CLIENTS');
my $before = $r->{query_us};
ok(wait_for(sub { ($of->('db')->[0] // {})->{query_us} > $before }, 5), 'its query grows older');
$runs->();
$c->cancel;
$c->finish;
is(scalar @{ $show->() }, 0, 'gone with its end');

# ---- idle in transaction, prepared statements
$c->query('BEGIN');
$c->query('SELECT 1');
$r = $of->('db')->[0];
is(join('|', @{ $r }{qw(state wait_reason query_us template)}), 'idle in transaction|client|0|', 'idle in a transaction');
cmp_ok($r->{xact_us}, '>', 0, 'with its age');
$c->parse('nap', 'SELECT pg_sleep($1::int)')->bind('', 'nap', [60])->execute('')->sync;
ok($wait->('db', 'active', 1), 'active again');
$r = $of->('db')->[0];
is($r->{template}, 'SELECT pg_sleep(?::int)', 'a prepared statement');
cmp_ok($r->{xact_us}, '>', $r->{query_us}, 'the transaction is older than the query');
$runs->();
$c->cancel;
$c->finish;
$c->query('ROLLBACK');

# ---- waiting
my ($first, $second) = map { $p->connect('one', 'plain') } 1, 2;
$first->query('BEGIN');
$second->send_query("SELECT 1 FROM t WHERE tenant_id = '$secret'");
ok($wait->('one', 'waiting', 1, 'pool'), 'a client that waits for the pool');
$r = $of->('one', 'waiting')->[0];
is($r->{template}, 'SELECT ? FROM t WHERE tenant_id = ?', 'what it waits to run');
is(join('|', map { $_ // '-' } @{ $r }{qw(server remote_pid query_us xact_us)}), '-|-|0|0', 'nothing runs');
cmp_ok($r->{wait_us}, '>', 0, 'its wait');
$p->console('PAUSE db', raw => 1);
my $paused = $p->connect('db', 'plain');
$paused->send_query('SELECT 1');
ok($wait->('db', 'waiting', 1, 'paused'), 'one whose database is paused');
$p->console('RESUME db', raw => 1);
$paused->finish;
my ($l1, $l2) = ($p->connect('limited', 'plain'), $p->connect('limited', 'plain'));
$l1->query('BEGIN');
$l2->send_query('SELECT 1');
ok($wait->('limited', 'waiting', 1, 'database_limit'), 'max_db_connections') or diag(join ', ', map { "$_->{state} $_->{wait_reason}" } @{ $of->('limited') });
$l1->query('COMMIT');
$l2->finish;
my ($t1, $t2) = ($p->connect('mine', 'acme'), $p->connect('mine', 'acme'));
$t1->query('BEGIN');
$t1->query('SELECT count(*) FROM t');
$t2->send_query('SELECT count(*) FROM t');
ok($wait->('mine', 'waiting', 1, 'tenant_limit'), 'max_tenant_connections') or diag(join ', ', map { "$_->{state} $_->{wait_reason}" } @{ $of->('mine') });
is(join('|', map { $_->{tenant} } @{ $of->('mine') }), 'acme|acme', 'the tenant');
is($of->('mine', 'waiting')->[0]{template}, 'SELECT count(*) FROM t', 'as the client wrote it');
$t1->query('COMMIT');
$t2->finish;

# ---- many
my @many = map { $p->connect('one', 'plain') } 1 .. 60;
$_->send_query("SELECT '$secret'") for @many;
ok($wait->('one', 'waiting', 61), 'many that wait');
is(scalar @{ $show->(' LIMIT 5') }, 5, 'LIMIT');
is(scalar(grep { $_->{database} ne 'one' } @{ $show->(" LIKE 'o_e'") }), 0, 'LIKE');
my @age = map { $_->{age_us} } @{ $show->() };
is("@age", join(' ', sort { $b <=> $a } @age), 'the oldest first');
unlike(join("\n", map { join '|', map { $_ // '' } values %$_ } @{ $show->() }), qr/\Q$secret\E|\t/, 'no literal, no control character');
$first->query('COMMIT');
$_->finish for $second, @many;
ok(wait_for(sub { !@{ $show->() } }, 10), 'nobody is left');
ok(scalar @{ $p->console('SHOW ACTIVITY', user => 'bhstats') } == 0, 'for stats_users');
finish();
