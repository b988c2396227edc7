#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Values of the startup packet that the server refuses: the client's first message does not run, in whatever protocol and pooling mode.
# Values that it accepts, and roles that are gone meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 180;

need_ours();
my $pg = pg();
$pg->sql($_) for 'CREATE ROLE app LOGIN', 'CREATE ROLE other', 'GRANT other TO app', 'CREATE TABLE t (n serial, v text)', 'GRANT ALL ON t TO app, other', 'GRANT ALL ON t_n_seq TO app, other';
my $to = 'host=127.0.0.1 dbname=postgres port=' . $pg->port;
my $p = proxy(databases => { tra => $to, ses => "$to pool_mode=session", sta => "$to pool_mode=statement", pass => "$to session_state=passthrough" }, auth => { app => '' },
    set => { track_extra_parameters => 'search_path, work_mem', worker_threads => 1, default_pool_size => 1 });
my %first = (
    Query => sub { $_[0]->send_query($_[1]) },
    'several in one write' => sub { $_[0]->cork; $_[0]->send_query($_[1]) for 1 .. 3; $_[0]->uncork },
    'Parse to Sync' => sub { $_[0]->cork; $_[0]->parse('', $_[1]); $_[0]->bind('', ''); $_[0]->execute(''); $_[0]->sync; $_[0]->uncork },
    'named, one by one' => sub { my $c = $_[0]; $c->parse('s', $_[1]); $c->bind('', 's'); $c->execute(''); $c->sync },
    'a long Query' => sub { $_[0]->send_query("/* " . 'x' x 400000 . " */ $_[1]") },
    'BEGIN' => sub { $_[0]->send_query("BEGIN; $_[1]; COMMIT") },
);
my %bad = (tz => { TimeZone => 'nonsense' }, ds => { DateStyle => 'bad, worse' }, mem => { work_mem => 'much' }, one => { TimeZone => 'Europe/Madrid', DateStyle => 'bad' });
for my $db (qw(tra ses sta pass)) {
    for my $b (sort keys %bad) {
        next if $b eq 'mem' && $db =~ /pass|ses/; # not reported by servers: follows its client with session_state=virtual
        for my $f (sort keys %first) {
            next if $db eq 'sta' && $f eq 'BEGIN';
            my $c = $p->connect($db, 'app', no_die => 1, params => $bad{$b});
            if ($c->{error}) { fail("$db $b $f: login: $c->{error}{M}"); next }
            eval { $first{$f}->($c, "INSERT INTO t (v) VALUES ('$db $b $f')") };
            my $r = Bulkhead::Wire::digest(eval { $c->read_until('Z') } // []);
            if ($f eq 'a long Query' && !$r->{error}) { # the answer is lost when the socket closes under what is still being sent
                ok(!@{ $r->{results} } && $c->wait_eof(5), "$db, $b, $f: closed");
                next;
            }
            error_is($r, '08P01', qr/invalid server parameter/, "$db, $b, $f: closed");
            $c->close;
        }
    }
}
is($pg->value('SELECT count(*) FROM t'), 0, 'nothing ran');
# What the server accepts: first messages in all forms, once each.
my ($n, %sent) = (0);
for my $db (qw(tra ses sta pass)) {
    for my $f (sort keys %first) {
        next if $db eq 'sta' && $f eq 'BEGIN';
        my $c = $p->connect($db, 'app', params => { TimeZone => 'Asia/Tokyo', DateStyle => 'German' });
        my $rows = $f =~ /several/ ? 3 : 1;
        $n += $rows;
        $first{$f}->($c, "INSERT INTO t (v) VALUES ('$db $f')");
        my @r = map { Bulkhead::Wire::digest($c->read_until('Z')) } 1 .. $rows;
        ok(!(grep { $_->{error} || !@{ $_->{results} } } @r), "$db, $f: runs");
        is($c->value('SHOW TimeZone') . $c->value('SHOW DateStyle'), 'Asia/TokyoGerman, DMY', '... under its values');
        $c->close;
    }
}
is($pg->value('SELECT count(*) FROM t'), $n, 'each once');
# A role that a client has taken and that is gone when it comes to another server: it does not fall back to its login's rights.
my ($c, $d) = map { $p->connect('tra', 'app') } 1, 2;
$c->query('SET ROLE other');
is($c->value('SELECT current_user'), 'other', 'a role');
is($d->value('SELECT current_user'), 'app', 'is not another client\'s');
is($c->value('SELECT current_user'), 'other', 'and stays with its own');
$pg->sql('REVOKE other FROM app');
$d->value('SELECT 1');
my $r = $c->query("INSERT INTO t (v) VALUES ('as app')");
error_is($r, '08P01', qr/invalid server parameter/, 'it may not any more: its client is closed');
is($pg->value("SELECT count(*) FROM t WHERE v = 'as app'"), 0, 'and its message did not run');
is($d->value('SELECT 2'), 2, 'others go on');
# A cancel while the values are on their way, and a client that leaves then.
for (1 .. 20) {
    my $x = $p->connect('tra', 'app', params => $_ <= 12 ? { TimeZone => "Etc/GMT+$_" } : { DateStyle => $_ % 2 ? 'SQL' : 'Postgres' });
    $x->send_query('SELECT 1');
    $x->cancel(host => $p->host, port => $p->port) if $_ % 3;
    $x->abort;
}
is($d->value('SELECT 3'), 3, 'hasty clients: others go on');
# Values that one server took and a later one refuses: a database of another encoding takes the place of the first.
{
    $pg->sql($_) for "CREATE DATABASE enc TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    my $in = sub { my ($db, $sql) = @_; my $x = Bulkhead::Wire->login(host => '127.0.0.1', port => $pg->port, user => 'postgres', dbname => $db); my $v = $x->query($sql); $x->close; return row_values($v) };
    $in->($_, 'CREATE TABLE t (v text); GRANT ALL ON t TO app') for qw(enc latin);
    my $q = proxy(databases => { enc => "host=127.0.0.1 dbname=enc port=" . $pg->port, ses => "host=127.0.0.1 dbname=enc pool_mode=session port=" . $pg->port }, auth => { app => '' }, set => { worker_threads => 1, default_pool_size => 1 });
    my (%c, %said);
    $c{$_} = $q->connect('enc', 'app', params => { client_encoding => 'BIG5' }) for sort keys %first;
    my $set = $q->connect('enc', 'app');
    $set->query("SET client_encoding = 'BIG5'");
    my $utf = $q->connect('enc', 'app', params => { client_encoding => 'UTF8' });
    for my $round (1, 2) { is($c{$_}->value('SHOW client_encoding') . $utf->value('SHOW client_encoding'), 'BIG5UTF8', "round $round: $_: what the server takes") for sort keys %first }
    $set->value('SELECT 1');
    $utf->value('SELECT 1');
    $q->console('PAUSE');
    $pg->sql($_) for 'ALTER DATABASE enc RENAME TO was_enc', 'ALTER DATABASE latin RENAME TO enc';
    $q->console('RESUME');
    for my $f (sort keys %first, 'SET') {
        is($utf->value('SHOW server_encoding'), 'LATIN1', 'the other server');
        my $x = $f eq 'SET' ? $set : $c{$f};
        eval { $first{ $f eq 'SET' ? 'Query' : $f }->($x, "INSERT INTO t VALUES ('$f')") };
        my $r = Bulkhead::Wire::digest(eval { $x->read_until('Z') } // []);
        if ($f eq 'a long Query' && !$r->{error}) { ok(!@{ $r->{results} }, "$f: closed") } else { error_is($r, '08P01', qr/invalid server parameter/, "$f: what a later server refuses closes the client") }
    }
    is($in->('enc', 'SELECT count(*) FROM t'), 0, 'nothing ran');
    is($utf->value('SELECT 4'), 4, 'others go on');
}
finish();
