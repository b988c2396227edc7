#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Settings under names and by calls that are hard to read; a client's settings that the server refuses: none of its
# statements runs with what the client before it had set.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 200;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN SUPERUSER; CREATE ROLE plain LOGIN; CREATE ROLE gone; CREATE ROLE other;
CREATE TABLE docs (id int, tenant_id text); INSERT INTO docs VALUES (1, 'acme'), (2, 'beta'); GRANT ALL ON docs TO plain;
CREATE SCHEMA a; CREATE SEQUENCE s; CREATE TABLE a.t (i int); CREATE TABLE public.t (i int); GRANT ALL ON SCHEMA a TO other;
SQL
my $p = proxy(pg => $pg, auth => { map { ($_ => '') } qw(app acme beta plain) }, users => { acme => 'tenant=acme', beta => 'tenant=beta' },
    databases => { tx => 'dbname=postgres pool_size=1 user=app', ten => 'dbname=postgres pool_size=1 user=plain tenant_mode=rewrite' },
    set => { pool_mode => 'transaction', tenant_columns => 'tenant_id', worker_threads => 1 });
my $long = 'x' x 70;
my $cut = substr $long, 0, 63;
my @kinds = (
    ['SET session.x', q{SET session.x = 'left'}, 'session.x', 1],
    ['SET SESSION session.x', q{SET SESSION session.y = 'left'}, 'session.y', 1],
    ['SET local.x', q{SET local.x = 'left'}, 'local.x', 1],
    ['SET transaction.x', q{SET transaction.x = 'left'}, 'transaction.x', 1],
    ['SET constraints.x', q{SET constraints.x = 'left'}, 'constraints.x', 1],
    ['a name that the server cuts', "SET app.$long = 'left'", "app.$cut", 1],
    ['... in quotes', "SET \"app\".\"$long\" = 'left'", "app.$cut", 1],
    ['a name that is longer than an identifier', "SELECT set_config('app.$long', 'left', false)", "app.$long", 1],
    ['... by its prefix only', "SELECT set_config('app.$cut', 'left', false)", "app.$cut", 1],
    ['a function by U&', q{SELECT U&"set_config"('app.u', 'left', false)}, 'app.u', 0],
    ['... with its own escapes', q{SELECT U&"s!0065t_config" UESCAPE '!' ('app.v', 'left', false)}, 'app.v', 0],
);
for my $ext (0, 1) {
    for my $k (@kinds) {
        my ($name, $sql, $setting, $follows) = @$k;
        my ($a, $b) = map { $p->connect('tx', 'app') } 1 .. 2;
        my $ask = "SELECT coalesce(current_setting('$setting', true), '')";
        is(($ext ? $a->ext($sql) : $a->query($sql))->{error}, undef, ($ext ? 'extended: ' : 'simple: ') . $name);
        is($b->value($ask), '', '... is not seen by the next client');
        is($a->value($ask), 'left', '... follows its client') if $follows;
        is($b->value($ask), '', '... and is taken back behind it');
        $_->close for $a, $b;
    }
}
{
    my ($a, $b) = map { $p->connect('tx', 'app') } 1 .. 2;
    $a->query('SET search_path = pg_temp, public');
    $a->query("CREATE TABLE by_path AS SELECT 'left'");
    error_is($b->query('SELECT * FROM by_path'), '42P01', qr/does not exist/, 'what is temporary by the search_path is not seen by others');
    $a->close;
    for my $ext (0, 1) {
        my ($a, $c) = map { $p->connect('tx', 'app') } 1 .. 2;
        $pg->sql('CREATE ROLE gone') if $ext;
        $c->query('SET ROLE gone');
        $a->query('SET ROLE other; SET search_path = a');
        $pg->sql('DROP ROLE gone');
        my $r = $ext ? $c->ext('INSERT INTO t VALUES (1)') : $c->query('INSERT INTO t VALUES (1)');
        error_is($r, '08P01', qr/invalid server parameter/, 'a role that is gone ends its client');
        is($pg->value('SELECT (SELECT count(*) FROM a.t) + (SELECT count(*) FROM public.t)'), 0, '... none of whose statements ran as another');
        is($b->value('SELECT current_user'), 'app', '... and the next client is itself');
        is($a->value('SELECT current_user'), 'other', '... as is the one before');
        $a->close;
    }
    # statements behind a Sync that was sent in the same write do not run either
    $pg->sql('CREATE ROLE gone');
    my ($d, $c) = map { $p->connect('tx', 'app') } 1 .. 2;
    $c->query('SET ROLE gone');
    $d->query('SET search_path = a');
    $pg->sql('DROP ROLE gone');
    $c->cork;
    for (1 .. 3) { $c->parse('', 'INSERT INTO t VALUES (2)'); $c->bind('', ''); $c->execute(''); $c->sync }
    $c->send_query('INSERT INTO t VALUES (3)');
    $c->uncork;
    error_is($c->finish, '08P01', qr/invalid server parameter/, 'in a pipeline');
    is($pg->value('SELECT (SELECT count(*) FROM a.t) + (SELECT count(*) FROM public.t)'), 0, '... nothing of it ran');
}
# a client that leaves while its server is asked for its settings
for my $ext (0, 1) {
    my %seen;
    for my $round (1 .. 20) {
        my ($a, $b) = map { $p->connect('tx', 'app') } 1 .. 2;
        $a->query('SET search_path = a');
        $a->query("BEGIN; RESET work_mem; SELECT pg_advisory_lock(1); SELECT nextval('public.s'); CREATE TEMP TABLE tmp (i int); DECLARE cur CURSOR WITH HOLD FOR SELECT 'left'");
        $ext ? $a->ext('COMMIT') : $a->query('COMMIT');
        $a->close;
        $seen{lock} += $b->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()});
        $seen{table} += $b->value(q{SELECT count(*) FROM pg_class WHERE relname = 'tmp' AND pg_table_is_visible(oid)});
        $seen{cursor} += $b->value('SELECT count(*) FROM pg_cursors WHERE is_holdable');
        $seen{path} += $b->value('SHOW search_path') eq 'a';
        $seen{sequence} += !$b->query("SELECT currval('s')")->{error};
        $b->close;
    }
    is(join(' ', map { "$_ $seen{$_}" } sort keys %seen), 'cursor 0 lock 0 path 0 sequence 0 table 0', ($ext ? 'extended' : 'simple') . ': what a client leaves that leaves at once');
}
# ... among tenants: its rows
{
    my ($read, $made) = (0, 0);
    for my $round (1 .. 20) {
        my ($a, $b) = map { $p->connect('ten', $_) } qw(acme beta);
        $a->query($_) for 'BEGIN', "SET statement_timeout = '61s'";
        $made += !$a->query('DECLARE cur CURSOR WITH HOLD FOR SELECT * FROM docs')->{error};
        $a->query('COMMIT');
        $a->close;
        $read += !$b->query('FETCH ALL FROM cur')->{error};
        $read += $b->value('SHOW statement_timeout') ne '0';
        $b->close;
    }
    is($made, 20, 'a tenant holds a cursor');
    is($read, 0, '... that another tenant does not read');
}
finish();
