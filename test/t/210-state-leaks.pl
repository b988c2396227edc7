#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What one client changes in its session follows it, and the next client of the server sees nothing of it: kinds of
# state, eight times each, by both protocols, in transaction and statement pooling, with and without tenants.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN SUPERUSER; CREATE ROLE other; CREATE ROLE plain LOGIN;
CREATE SCHEMA "Ten"; CREATE SCHEMA "TEN"; CREATE SEQUENCE s; GRANT ALL ON SEQUENCE s TO plain;
CREATE TABLE docs (id int, tenant_id text); INSERT INTO docs VALUES (1, 'acme'), (2, 'beta');
GRANT ALL ON docs TO plain;
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE source = 'session' AND lower(name) NOT IN ('application_name', 'datestyle', 'timezone', 'intervalstyle', 'client_encoding', 'standard_conforming_strings') $$;
SQL
my %common = (pg => $pg, users => { acme => 'tenant=acme', beta => 'tenant=beta', root => 'tenant=*' },
    auth => { map { ($_ => '') } qw(acme beta root app plain) });
my $line = 'dbname=postgres pool_size=1';
my $p = proxy(%common, set => { pool_mode => 'transaction', tenant_columns => 'tenant_id', worker_threads => 1 },
    databases => { tx => "$line user=app", st => "$line user=app pool_mode=statement", two => 'dbname=postgres user=app pool_size=2', plain => "$line user=plain",
        ten => "$line user=plain tenant_mode=rewrite", pass => "$line user=app session_state=passthrough",
        cq => "$line user=app connect_query='SET work_mem = ''3MB'''" });

# kind => [statements that leave it, question, the client's own answer (undef: as a fresh session's)]
my @kinds = (
    ['SET', ["SET work_mem = '7MB'"], 'SHOW work_mem', '7MB'],
    ['set_config', ["SELECT set_config('app.who', 'It''s \\ \"me\"', false)"], "SELECT coalesce(current_setting('app.who', true), '')", "It's \\ \"me\""],
    ['set_config of a computed name', ["SELECT set_config(name, '11', false) FROM pg_settings WHERE name = 'extra_float_digits' AND false", "SELECT set_config('maintenance_' || 'work_mem', '9MB', false)"], 'SHOW maintenance_work_mem', '9MB'],
    ['search_path', ['SET search_path TO "Ten", "a, b", public'], 'SHOW search_path', '"Ten", "a, b", public'],
    ['search_path emptied as pg_dump does', ["SELECT pg_catalog.set_config('search_path', '', false)"], 'SHOW search_path', ''],
    ['SET ROLE', ['SET ROLE other'], 'SELECT current_user', 'other'],
    ['SET SESSION AUTHORIZATION', ['SET SESSION AUTHORIZATION other'], 'SELECT session_user', 'other'],
    ['read-only default', ['SET default_transaction_read_only = on'], 'SHOW transaction_read_only', 'on'],
    ['SESSION CHARACTERISTICS', ['SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY'], "SELECT current_setting('transaction_isolation') || current_setting('transaction_read_only')", 'serializableon'],
    ['statement_timeout', ["SET statement_timeout TO '61s'"], 'SHOW statement_timeout', '61s'],
    ['reported parameters', ["SET DateStyle = 'German'; SET TIME ZONE 'Asia/Tokyo'; SET application_name = 'ALPHA'"], "SELECT current_setting('datestyle') || current_setting('timezone') || current_setting('application_name')", 'German, DMYAsia/TokyoALPHA'],
    ['a long value', ["SET app.long = '" . 'x' x 5000 . "'"], "SELECT md5(coalesce(current_setting('app.long', true), ''))", undef],
    ['DO', [q{DO 'BEGIN SET temp_file_limit = 12345; END'}], 'SHOW temp_file_limit', '12345kB'],
    ['currval', [q{SELECT nextval('s')}], q{SELECT currval('s')}, undef],
    ['names that differ by case', ['SET "App.Kase" = \'a\'', "SET APP.KASE = 'B'"], "SELECT coalesce(current_setting('app.kase', true), '')", 'B'],
);
sub run {
    my ($c, $ext, $sql) = @_;
    my $r = $ext ? $c->ext($sql) : $c->query($sql);
    return $r->{error} ? "error $r->{error}{C}" : row_values($r);
}
for my $db (qw(tx st two)) {
    for my $ext (0, 1) {
        my ($leaks, $lost) = (0, 0);
        my $probe = $p->connect($db, 'app');
        my %fresh;
        for my $k (@kinds) {
            my ($name, $do, $ask, $own) = @$k;
            my @do = $ext ? map { split /; (?=SET)/ } @$do : @$do;
            $fresh{$name} = run($probe, $ext, $ask);
            my ($bad, $gone) = ('', '');
            for my $round (1 .. 8) {
                my ($a, $b) = map { $p->connect($db, 'app') } 1 .. 2;
                for my $sql (@do) {
                    my $r = run($a, $ext, $sql);
                    $bad .= " $sql: $r" if $r =~ /^error/;
                }
                my $mine = defined $own ? run($a, $ext, $ask) : undef;
                for my $c ($b, $probe) {
                    my $seen = run($c, $ext, $ask);
                    $bad .= " saw '$seen'" if $seen ne $fresh{$name};
                }
                $gone .= " '$mine'" if defined $own && $mine ne $own;
                my $again = defined $own ? run($a, $ext, $ask) : undef;
                $gone .= " later '$again'" if defined $own && $again ne $own;
                $_->close for $a, $b;
            }
            is($bad, '', "$db, " . ($ext ? 'extended' : 'simple') . ": $name does not leak");
            is($gone, '', '... and follows its client') if defined $own;
        }
        $probe->close;
    }
}

# ---- transactions decide ----
{
    my ($a, $b) = map { $p->connect('tx', 'app') } 1 .. 2;
    my $default = $b->value('SHOW work_mem');
    my $mine = sub { $b->value('SHOW work_mem') eq $default ? $a->value('SHOW work_mem') : 'a leak' };
    $a->query($_) for 'BEGIN', "SET work_mem = '7MB'", 'ROLLBACK';
    is($mine->(), $default, 'rolled back: undone');
    $a->query($_) for 'BEGIN', "SET work_mem = '7MB'", 'SAVEPOINT x', "SET work_mem = '8MB'", 'ROLLBACK TO x', 'COMMIT';
    is($mine->(), '7MB', 'rolled back to a savepoint: the value from before');
    $a->query($_) for 'BEGIN', "SET LOCAL work_mem = '9MB'", 'COMMIT';
    is($mine->(), '7MB', 'SET LOCAL ends with its transaction');
    $a->query("BEGIN; SET work_mem = '5MB'; SELECT 1/0; COMMIT");
    $a->query('ROLLBACK');
    is($mine->(), '7MB', 'an error in the middle of a text');
    $a->query("SET work_mem = '5MB'; SELECT 1/0");
    is($mine->(), '7MB', 'the implicit transaction of a text');
    $a->query("SET work_mem = '5MB'; COMMIT; SET work_mem = '6MB'; SELECT 1/0");
    is($mine->(), '5MB', 'the part that was committed');
    $a->query('SET work_mem = nonsense');
    is($mine->(), '5MB', 'a SET that is refused');
    $a->cork; for (["SET work_mem = '4MB'"], ["SET no_such_thing_at_all = 1"]) { $a->parse('', $_->[0]); $a->bind('', ''); $a->execute('') } $a->sync; $a->uncork; $a->finish;
    is($mine->(), '5MB', 'a batch that fails');
    $a->cork; $a->parse('', "SET work_mem = '4MB'"); $a->bind('', ''); $a->execute(''); $a->sync; $a->send_query('BEGIN; SET work_mem = 99; ROLLBACK'); $a->parse('', 'SHOW work_mem'); $a->bind('', ''); $a->execute(''); $a->sync; $a->uncork;
    $a->finish; $a->finish;
    is(row_values($a->finish), '4MB', 'a pipeline sees its own');
    is($mine->(), '4MB', 'and so does what follows');
    $a->query('RESET work_mem');
    is($mine->(), $default, 'RESET');
    $a->query("SET work_mem = '4MB'"); $a->query('BEGIN; RESET work_mem'); $a->query('ROLLBACK');
    is($mine->(), '4MB', 'RESET rolled back');
    $a->query('SET work_mem TO DEFAULT');
    is($mine->(), $default, 'SET TO DEFAULT');
    $a->query("SET work_mem = '4MB'");
    $b->query("SET maintenance_work_mem = '4MB'");
    is($a->query('RESET ALL')->{results}[0]{tag}, 'RESET', 'RESET ALL');
    is($mine->(), $default, '... takes back the client\'s own');
    is($b->value('SHOW maintenance_work_mem'), '4MB', '... and no other\'s');
    $a->query("SET work_mem = '4MB'"); $a->query('SET ROLE other');
    is($a->query('DISCARD ALL')->{results}[0]{tag}, 'DISCARD ALL', 'DISCARD ALL');
    is($mine->() . $a->value('SELECT current_user'), $default . 'app', '... likewise');
    is($b->value('SHOW maintenance_work_mem'), '4MB', '... and no other\'s');
    $a->ext('SELECT set_config($1, $2, false)', ['App.Param', 'v']);
    is($b->value("SELECT coalesce(current_setting('app.param', true), '')"), '', 'set_config of a parameter does not leak');
    is($a->value('SHOW app.param'), 'v', '... and follows');
    $a->query("SET log_min_messages = 'error'; SET SESSION AUTHORIZATION other; SET ROLE none; SET work_mem = '4MB'");
    $b->query('SELECT 1');
    is($a->value("SELECT current_user || current_setting('work_mem') || current_setting('log_min_messages')"), 'other4MBerror', 'what only a superuser may set, and then another user');
    is($b->value('SELECT current_user || session_user'), 'appapp', '... for this client only');
}

# ---- the cost of a clean transaction; a replay travels with the first message ----
{
    my ($a, $b) = map { $p->connect('plain', 'plain') } 1 .. 2;
    my $last = sub { $pg->value("SELECT string_agg(query, '|') FROM pg_stat_activity WHERE usename = 'plain' AND backend_type = 'client backend'") };
    $a->query("SET statement_timeout = '50s'");
    $b->query('SELECT 1 AS clean');
    is($last->(), 'SELECT 1 AS clean', 'nothing is sent behind a clean transaction');
    $a->query('SELECT 2 AS clean');
    is($last->(), 'SELECT 2 AS clean', '... nor behind one of a client that has settings');
    $a->query("BEGIN; SET LOCAL statement_timeout = '1min'; COMMIT");
    like($last->(), qr/^BEGIN; SET LOCAL/, '... nor behind SET LOCAL');
    $b->query('SET ROLE other');
    is($b->query('SELECT 1')->{error}, undef, 'a setting that may not be set changes nothing');
    is($a->value('SHOW statement_timeout'), '50s', '... for anybody');
    $b->query('SET log_min_messages = error');
    is($b->value('SELECT 1'), 1, 'nor does another');
}

# ---- tenants ----
{
    my ($a, $b) = ($p->connect('ten', 'acme'), $p->connect('ten', 'beta'));
    for my $ext (0, 1) {
        my $bad = '';
        for my $k (["SET statement_timeout = '61s'", 'SHOW statement_timeout', '61s'], ["SET DateStyle = 'German'", 'SHOW DateStyle', 'German, DMY'],
            ['SET extra_float_digits = 3', 'SHOW extra_float_digits', '3'], ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', 'SHOW default_transaction_read_only', 'on'],
            ["SET lock_timeout TO '5s'", 'SHOW lock_timeout', '5s']) {
            my ($set, $ask, $own) = @$k;
            my $fresh = run($b, $ext, $ask);
            for (1 .. 8) {
                my $t = $p->connect('ten', 'acme');
                my $r = run($t, $ext, $set);
                $bad .= " $set: $r" if $r =~ /^error/;
                my $seen = run($b, $ext, $ask);
                $bad .= " $ask: '$seen'" if $seen ne $fresh;
                my $mine = run($t, $ext, $ask);
                $bad .= " lost $ask: '$mine'" if $mine ne $own;
                $t->close;
            }
        }
        is($bad, '', 'tenants, ' . ($ext ? 'extended' : 'simple') . ': nothing leaks, everything follows');
    }
    is($a->value('SELECT count(*) FROM docs'), 1, 'rows of its own');
    $a->query("SET statement_timeout = '61s'");
    is($a->query('RESET ALL')->{error}, undef, 'RESET ALL of a tenant');
    is($a->value('SHOW statement_timeout'), '0', '... its own');
}

# ---- limits, passthrough, connect_query ----
{
    my ($a, $b) = map { $p->connect('tx', 'app') } 1 .. 2;
    $a->query("SET app.a$_ = '" . 'y' x 9000 . "'") for 1 .. 7;
    error_is($a->query("SET app.b = '" . 'y' x 9000 . "'"), '54000', qr/settings of this session/, 'too much of it is refused');
    is($a->value('SELECT length(current_setting(\'app.a7\'))'), 9000, 'what there was stays');
    is($b->value("SELECT coalesce(current_setting('app.b', true), '')"), '', 'and nothing of it is seen');
    ($a, $b) = map { $p->connect('pass', 'app') } 1 .. 2;
    $a->query("SET work_mem = '7MB'");
    is($b->value('SHOW work_mem'), '7MB', 'session_state=passthrough: as PgBouncer');
    $b->query('RESET work_mem');
    ($a, $b) = map { $p->connect('cq', 'app') } 1 .. 2;
    is($a->value('SHOW work_mem'), '3MB', 'connect_query');
    $a->query("SET work_mem = '8MB'");
    is($b->value('SHOW work_mem'), '3MB', '... holds for the next client');
    is($a->value('SHOW work_mem'), '8MB', '... while the first has its own');
}
finish();
