#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# LISTEN in transaction and statement pooling: one connection listens for all, nobody keeps a server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1', st => 'dbname=postgres pool_size=1 pool_mode=statement',
        tight => 'dbname=postgres pool_size=1 max_db_connections=1', pass => 'dbname=postgres pool_size=1 session_state=passthrough' },
    set => { worker_threads => $ENV{BH_WORKERS} // 4, query_wait_timeout => 60 });
my $told = sub { # what the client has been told, after reading whatever comes up to the wanted number
    my ($c, $n) = @_;
    $c->{notifications} //= [];
    while (@{ $c->{notifications} } < $n) { $c->read_msg(20) or last }
    my @got = splice @{ $c->{notifications} };
    return join ' ', map { "$_->[1]=$_->[2]" } @got;
};
my $waits = sub { my ($c) = @_; return !$c->readable(0.3) };

# Five listeners, one server.
my @c = map { $p->connect('one') } 1 .. 5;
is($_->query('LISTEN news')->{results}[0]{tag}, 'LISTEN', 'LISTEN is answered') for @c;
my $w = $p->connect('one');
is($w->query("NOTIFY news, 'hello'")->{results}[0]{tag}, 'NOTIFY', 'a NOTIFY on the one server');
is($told->($_, 1), 'news=hello', 'told') for @c;
is($w->value('SELECT count(*) FROM pg_listening_channels()'), 0, 'no pooled server listens');
ok(wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'postgres' AND pid <> pg_backend_pid()") == 2 }), 'a server and the listening connection, no more');
my ($l) = grep { $_->{state} eq 'listener' } @{ $p->console('SHOW SERVERS') };
ok($l, 'SHOW SERVERS shows it');
$w->query("NOTIFY news");
for my $c (@c) { $told->($c, 1) }
my $pid = $pg->value("SELECT pid FROM pg_stat_activity WHERE query LIKE 'NOTIFY%'");
$w->query("SELECT pg_notify('news', 'again')");
$c[0]->read_msg(20);
is($c[0]{notifications}[0][0], $w->value('SELECT pg_backend_pid()'), 'the number is that of the backend that notified');
$told->($_, 1) for @c;

# Not inside a transaction, at its end.
$c[0]->query('BEGIN');
$pg->sql("NOTIFY news, 'inside'");
$told->($_, 1) for @c[1 .. 4];
$p->console('SHOW CLIENTS'); # has been to every worker: what was on its way to $c[0]'s is there
ok($waits->($c[0]), 'not told while its transaction is open');
my $r = $c[0]->query('SELECT 1');
unlike(Bulkhead::Wire->types($r->{msgs}), qr/A/, 'nor with an answer within it');
$r = $c[0]->query('COMMIT');
is(Bulkhead::Wire->types($r->{msgs}), 'CAZ', 'told before it is ready again');
splice @{ $c[0]{notifications} };

# Transactions.
$c[0]->query('BEGIN; LISTEN undone; ROLLBACK');
$c[0]->query('BEGIN'); $c[0]->query('LISTEN undone'); $c[0]->query('ROLLBACK');
$c[1]->query('BEGIN'); $c[1]->query('LISTEN undone'); $c[1]->query('SELECT 1/0'); $c[1]->query('COMMIT');
$c[2]->query('BEGIN'); $c[2]->query('SAVEPOINT a'); $c[2]->query('LISTEN undone'); $c[2]->query('ROLLBACK TO a'); $c[2]->query('LISTEN kept'); $c[2]->query('COMMIT');
$c[3]->query('LISTEN undone; SELECT 1/0');
$c[4]->query('BEGIN'); $c[4]->query('LISTEN undone');
$pg->sql('NOTIFY undone; NOTIFY kept');
is($told->($c[2], 1), 'kept=', 'kept what was not rolled back');
ok($waits->($_), 'a LISTEN that was rolled back listens to nothing') for @c[0, 1, 3];
ok($waits->($c[4]), 'nor does one before its commit');
$c[4]->query('COMMIT');
$pg->sql("NOTIFY undone, 'x'");
is($told->($c[4], 1), 'undone=x', 'behind its commit it does');
$c[4]->query('BEGIN'); $c[4]->query('UNLISTEN undone'); $c[4]->query('ROLLBACK');
$pg->sql("NOTIFY undone, 'y'");
is($told->($c[4], 1), 'undone=y', 'an UNLISTEN that was rolled back');
$c[4]->query('UNLISTEN undone');
$pg->sql("NOTIFY undone, 'z'; NOTIFY news, 'mark'");
is($told->($c[4], 1), 'news=mark', 'UNLISTEN');
$c[4]->query('UNLISTEN *');
$pg->sql("NOTIFY news, 'mark2'");
ok($waits->($c[4]), 'UNLISTEN *');
is($told->($c[3], 2), 'news=mark news=mark2', 'the others go on listening');
splice @{ $_->{notifications} } for @c;

# UNLISTEN among savepoints, errors and rollbacks: what PostgreSQL keeps of it. Compared with a session of PostgreSQL's own.
{
    my @cases = (
        ['BEGIN', 'UNLISTEN a', 'ROLLBACK'], ['BEGIN', 'UNLISTEN a', 'SELECT 1/0', 'COMMIT'], ['UNLISTEN a; SELECT 1/0'],
        ['BEGIN', 'UNLISTEN a', 'SAVEPOINT s', 'SELECT 1/0', 'ROLLBACK TO s', 'COMMIT'],
        ['BEGIN', 'SAVEPOINT s', 'UNLISTEN a', 'ROLLBACK TO s', 'UNLISTEN b', 'COMMIT'],
        ['BEGIN', 'SAVEPOINT s', 'UNLISTEN a', 'SAVEPOINT t', 'UNLISTEN b', 'ROLLBACK TO t', 'RELEASE s', 'COMMIT'],
        ['BEGIN', 'SAVEPOINT s', 'UNLISTEN a', 'RELEASE s', 'SAVEPOINT s', 'LISTEN d', 'SELECT 1/0', 'ROLLBACK TO s', 'COMMIT'],
        ['BEGIN', 'SAVEPOINT s', 'UNLISTEN *', 'ROLLBACK TO s', 'UNLISTEN a', 'COMMIT'],
        ['BEGIN', 'UNLISTEN *', 'SAVEPOINT s', 'LISTEN b', 'ROLLBACK TO s', 'LISTEN c', 'COMMIT'],
        ['BEGIN', 'UNLISTEN a', 'UNLISTEN *', 'LISTEN a', 'SAVEPOINT s', 'UNLISTEN a', 'ROLLBACK TO s', 'COMMIT'],
        ['BEGIN', 'UNLISTEN a; UNLISTEN b', 'SAVEPOINT s', 'UNLISTEN c; SELECT 1/0', 'ROLLBACK TO s', 'COMMIT'],
        ['BEGIN', 'SAVEPOINT s', 'UNLISTEN a', 'ROLLBACK TO s', 'COMMIT AND CHAIN', 'UNLISTEN b', 'ROLLBACK'],
        ['BEGIN', 'UNLISTEN a', 'COMMIT AND CHAIN', 'UNLISTEN b', 'ROLLBACK'],
        ['BEGIN', 'LISTEN d', 'SAVEPOINT s', 'UNLISTEN d', 'ROLLBACK TO s', 'COMMIT'],
        ['BEGIN', 'LISTEN d', 'UNLISTEN d', 'UNLISTEN a', 'SAVEPOINT s', 'ROLLBACK TO s', 'COMMIT'],
    );
    my $direct = sub { return Bulkhead::Wire->login(host => '127.0.0.1', port => $pg->port, user => 'postgres', dbname => 'postgres') };
    my $run = sub {
        my ($x, $how, $k) = @_;
        $x->{notifications} //= [];
        $x->query("LISTEN $_") for qw(a b c);
        if ($how ne 'pipeline') { $how eq 'simple' ? $x->query($_) : $x->ext($_, []) for @$k; return }
        my @ends = grep { $_ == $#$k || $k->[$_] =~ /SELECT|ROLLBACK/ } 0 .. $#$k; # an error is the last of its batch
        $x->cork;
        for my $i (0 .. $#$k) { $x->parse('', $k->[$i]); $x->bind('', ''); $x->execute(''); $x->sync if grep { $_ == $i } @ends }
        $x->uncork;
        $x->finish for @ends;
    };
    for my $how (qw(simple extended pipeline)) {
        for my $k (@cases) {
            next if $how ne 'simple' && grep { /;/ } @$k;
            my ($own, $x) = ($direct->(), $p->connect('one'));
            $run->($_, $how, $k) for $own, $x;
            my $want = $own->value("SELECT coalesce(string_agg(c, ' ' ORDER BY c), '') FROM pg_listening_channels() c");
            $x->query('LISTEN mark');
            splice @{ $x->{notifications} };
            $pg->sql('NOTIFY a; NOTIFY b; NOTIFY c; NOTIFY d; NOTIFY mark');
            my @heard;
            until (grep { $_ eq 'mark' } @heard) { @{ $x->{notifications} } or $x->read_msg(20) or last; push @heard, map { $_->[1] } splice @{ $x->{notifications} } }
            is(join(' ', grep { $_ ne 'mark' } @heard), $want, "$how: @{[join ' | ', @$k]}: listens to what is left in PostgreSQL ($want)");
            $_->close for $own, $x;
        }
    }
    is($p->connect('one')->value("SELECT count(*) FROM pg_listening_channels()"), 0, 'the server listens to nothing behind all that');
}

# Names as the server knows them, the extended protocol, pipelines.
my $d = $p->connect('one');
is($d->ext('LISTEN "Mixed ""Case"', [])->{results}[0]{tag}, 'LISTEN', 'extended protocol');
$d->query('LISTEN ' . 'n' x 80);
$pg->sql('NOTIFY "Mixed ""Case", \'q\'; NOTIFY ' . 'n' x 63 . ", 'long'");
is($told->($d, 2), 'Mixed "Case=q ' . 'n' x 63 . '=long', 'names: quoted, and cut as the server cuts them');
$d->query('UNLISTEN ' . 'n' x 70);
$d->cork; $d->parse('', 'LISTEN p1'); $d->bind('', ''); $d->execute(''); $d->sync; $d->parse('', 'LISTEN p2'); $d->bind('', ''); $d->execute(''); $d->sync; $d->send_query("NOTIFY p1, 'own'"); $d->send_query("SELECT 'last'"); $d->uncork;
is($d->finish->{results}[0]{tag}, 'LISTEN', 'a pipeline: first');
is($d->finish->{results}[0]{tag}, 'LISTEN', 'second');
is(Bulkhead::Wire->types($d->finish->{msgs}), 'CAZ', 'a client is told of its own NOTIFY before it is ready again');
is(row_values($d->finish), 'last', 'last');
splice @{ $d->{notifications} };
$r = $d->query("BEGIN; LISTEN fresh; NOTIFY fresh, 'self'; COMMIT");
is(Bulkhead::Wire->types($r->{msgs}), 'CCCCAZ', 'LISTEN and NOTIFY in one transaction: told once, in its place');
splice @{ $d->{notifications} };
$pg->sql("NOTIFY fresh, 'once'");
is($told->($d, 1), 'fresh=once', 'and goes on');
$d->query('DISCARD ALL');
$pg->sql("NOTIFY fresh; NOTIFY p1");
ok($waits->($d), 'DISCARD ALL ends it');

# A client that goes away, and new ones.
$c[$_]->close for 0 .. 4;
$d->close;
my $e = $p->connect('one');
$e->query('LISTEN news');
$pg->sql("NOTIFY news, 'new'");
is($told->($e, 1), 'news=new', 'a later client');

# Statement mode.
my $s = $p->connect('st');
is($s->query('LISTEN s')->{results}[0]{tag}, 'LISTEN', 'statement mode');
$pg->sql("NOTIFY s, '1'");
is($told->($s, 1), 's=1', 'told');

# Nothing left for a connection that listens.
my $t = $p->connect('tight');
$r = $t->query('LISTEN x');
error_is($r, '53300', qr/no server connection is left for listening/, 'max_db_connections is not exceeded');
is($p->connect('tight')->value('SELECT 1'), 1, 'its server is fine');

# passthrough: as PgBouncer, the server listens.
my $q = $p->connect('pass');
$q->query('LISTEN leaky');
is($q->value('SELECT count(*) FROM pg_listening_channels()'), 1, 'session_state=passthrough leaves LISTEN to the server');

# The listening connection is lost: who listened is told by being closed, as on a connection of its own.
my $quiet = $p->connect('one');
$pg->sql("SELECT pg_terminate_backend($l->{remote_pid})");
ok($e->wait_eof(20), 'who listened is closed');
ok($p->wait_log(qr/the connection that listens for this client was lost/), 'and the log says why');
is($quiet->value('SELECT 1'), 1, 'others go on');
$quiet->query('LISTEN news');
$pg->sql("NOTIFY news, 'back'");
is($told->($quiet, 1), 'news=back', 'a new connection listens');
$pg->restart;
ok($quiet->wait_eof(20), 'a restart of the server');
my $again = $p->connect('one');
$again->query('LISTEN news');
$pg->sql("NOTIFY news, 'up'");
is($told->($again, 1), 'news=up', 'and after it');

# Many notifications while one does not read: it alone is closed.
my $slow = $p->connect('one');
$slow->query('LISTEN flood');
my $ok = $p->connect('one');
$ok->query('BEGIN');
$pg->sql("SELECT count(pg_notify('flood', repeat('x', 7000) || i)) FROM generate_series($_ * 400, $_ * 400 + 399) i") for 1 .. 10;
is($ok->value('SELECT 1'), 1, 'a transaction of another client goes on meanwhile');
$ok->query('COMMIT');
ok($p->wait_log(qr/too many notifications are unread/, 20), 'a client that does not read is closed');
is($ok->value('SELECT 2'), 2, 'the others are not');
finish();
