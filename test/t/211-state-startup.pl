#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Parameters that follow their client, compared exactly: values that differ by case, long ones, lists, parameters that the
# server does not report, servers of several versions; many clients over few servers and several workers; habits of drivers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN; CREATE SCHEMA "Ten"; CREATE SCHEMA "TEN"; CREATE TABLE "Ten".t (v text); CREATE TABLE "TEN".t (v text); CREATE SCHEMA "a, b"; CREATE TABLE "a, b".t (v text);
INSERT INTO "Ten".t VALUES (\'Ten\'); INSERT INTO "TEN".t VALUES (\'TEN\'); INSERT INTO "a, b".t VALUES (\'a, b\'); GRANT USAGE ON SCHEMA "Ten", "TEN", "a, b" TO app; GRANT SELECT ON "Ten".t, "TEN".t, "a, b".t TO app');

# ---- the startup packet: search_path is not reported before PostgreSQL 18 ----
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres user=app pool_size=1' }, auth => { app => '' },
    set => { pool_mode => 'transaction', track_extra_parameters => 'IntervalStyle, search_path, extra_float_digits', worker_threads => 1 });
my %path = (Ten => '"Ten"', TEN => '"TEN"', 'a, b' => '"a, b", public');
my %c = map { $_ => $p->connect('test', 'app', params => { search_path => $path{$_}, extra_float_digits => -1 + length $_ }) } keys %path;
my $none = $p->connect('test', 'app');
for my $round (1 .. 3) {
    for my $k (sort keys %c) {
        is($c{$k}->value('SELECT v FROM t'), $k, "round $round: search_path of the startup packet: $path{$k}");
        is($c{$k}->value('SHOW extra_float_digits'), -1 + length $k, '... with another parameter that is not reported');
    }
    is($none->value('SHOW search_path') . $none->value('SHOW extra_float_digits'), '"$user", public1', '... and a client without them');
}
$c{Ten}->query('SET search_path TO "TEN"');
is($c{'a, b'}->value('SELECT v FROM t'), 'a, b', 'changed by SET');
is($c{Ten}->value('SELECT v FROM t'), 'TEN', '... for its client');
my $evil = $p->connect('test', 'app', params => { search_path => q{"x'; SELECT pg_sleep(0); --", public} });
is($evil->value('SHOW search_path'), q{"x'; SELECT pg_sleep(0); --", public}, 'a value made to break out of its quotes');
my $bad = $p->connect('test', 'app', params => { search_path => q{x'; DROP} });
error_is($bad->query('SELECT 1'), '08P01', qr/invalid server parameter/, 'one that the server refuses ends its client');
is($none->value('SHOW search_path'), '"$user", public', '... and nobody else');

# ---- names, case, length ----
my %name = (a => 'ALPHA', b => 'Alpha', c => 'n' x 140, d => "it's \\ \"x\" \$1 ; --", e => '');
my %n = map { $_ => $p->connect('test', 'app') } keys %name;
$n{$_}->query("SET app.v = '" . ($name{$_} =~ s/'/''/gr) . "'") for sort keys %n;
for my $round (1 .. 2) { is($n{$_}->value('SHOW app.v'), $name{$_}, "round $round: value $_, exactly") for sort keys %n }

# ---- what drivers do ----
{
    my ($d, $o) = map { $p->connect('test', 'app') } 1 .. 2;
    for my $sql ('SET extra_float_digits = 3', "SET application_name = 'PostgreSQL JDBC Driver'") { $d->cork; $d->parse('', $sql); $d->bind('', ''); $d->execute('', 1); $d->sync; $d->uncork; is($d->finish->{error}, undef, "pgjdbc: $sql") }
    is($o->value('SHOW extra_float_digits'), '1', 'not seen by others');
    is($d->value('SHOW extra_float_digits') . $d->value('SHOW application_name'), '3PostgreSQL JDBC Driver', 'kept');
    is($d->query('SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;')->{error}, undef, 'asyncpg: the release of a connection');
    is($d->value('SHOW extra_float_digits'), '1', 'resets');
    my $r = $d->query('DISCARD ALL');
    is($r->{results}[0]{tag}, 'DISCARD ALL', 'Npgsql: DISCARD ALL');
    $d->query("SELECT pg_catalog.set_config('search_path', '', false)");
    is($d->query("SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'no_such_name'")->{error}, undef, 'pg_dump: set_config of what may not be there');
    is($d->value('SHOW search_path'), '', '... and its search_path');
    is($o->value('SHOW search_path'), '"$user", public', '... is its own');
    is($d->query("SET default_transaction_read_only TO 'on'")->{error}, undef, 'psycopg2: read-only sessions');
    is($o->value('SHOW transaction_read_only'), 'off', '... of one client');
    error_is($d->query('CREATE TABLE y (a int)'), '25006', qr/read-only/, '... hold there');
    my ($st, $out, $err) = psql("host=127.0.0.1 port=$p->{port} dbname=test user=app options='-c search_path=\"Ten\"'", "SELECT v FROM t;\nSET search_path = \"TEN\";\nSELECT v FROM t;\n");
    is($out, "Ten\nTEN", 'psql with options');
    ($st, $out, $err) = run_cmd(argv => ['/usr/bin/pg_dump', '-h', '127.0.0.1', '-p', $p->{port}, '-U', 'app', '-t', '"Ten".t', '-d', 'test'], timeout => 60);
    my $newer = $o->value("SELECT current_setting('server_version_num')::int >= 160000"); # than Debian's pg_dump
    ok($newer eq 't' || ($st == 0 && $out =~ /^Ten$/m), 'pg_dump over a pool') || diag($err);
    is($o->value('SHOW search_path'), '"$user", public', '... leaves nothing behind');
}

# ---- RESET ALL goes back to the startup packet, as without a pooler ----
for my $how ('RESET ALL', 'DISCARD ALL') {
    my ($d, $o) = ($p->connect('test', 'app', params => { application_name => 'first', search_path => '"Ten"' }), $p->connect('test', 'app'));
    is($d->query($_)->{error}, undef, $_) for "SET application_name = 'second'", 'SET search_path = "TEN"', "SET work_mem = '5MB'", $how;
    is($d->value('SHOW application_name') . $d->value('SELECT v FROM t') . ($d->value('SHOW work_mem') eq '5MB' ? 'kept' : ''), 'firstTen', "$how: what the startup packet said");
    is($d->{params}{application_name}, 'first', '... and the client is told');
    is($o->value('SHOW application_name') . $o->value('SHOW search_path'), '"$user", public', '... no other client');
    $d->query($_) for 'SET search_path = "TEN"', 'BEGIN', 'RESET ALL', 'ROLLBACK';
    is($d->value('SELECT v FROM t'), 'TEN', 'RESET ALL rolled back');
    $d->query('RESET ALL; SET search_path = "TEN"');
    is($d->value('SELECT v FROM t') . $d->value('SHOW application_name'), 'TENfirst', 'set behind RESET ALL');
    for my $again ("RESET ALL; SET application_name = 'third'", "BEGIN; SET application_name = 'lost'; RESET ALL; SELECT set_config('application_name', 'third', false); COMMIT",
        "RESET ALL; DO \$\$ BEGIN SET application_name = 'third'; END \$\$", "RESET ALL; SET application_name = 'lost'; RESET ALL; SET Application_Name = 'third'") {
        is($d->query($again)->{error}, undef, $again);
        is($d->value('SHOW application_name') . $d->value('SELECT v FROM t'), 'thirdTen', '... what was set behind it holds, of those that servers report too');
        is($d->{params}{application_name}, 'third', '... as the client was told');
        is($o->value('SHOW application_name'), '', '... for it alone');
    }
    $d->query($_) for 'BEGIN', 'RESET ALL', "SET application_name = 'undone'", 'ROLLBACK';
    is($d->value('SHOW application_name'), 'third', 'set behind RESET ALL, and rolled back');
    $d->query("SET application_name = 'fourth'; RESET ALL");
    is($d->value('SHOW application_name'), 'first', 'set before RESET ALL');
}

# ---- many clients, few servers, several workers ----
{
    my $q = proxy(pg => $pg, databases => { test => 'dbname=postgres user=app pool_size=3' }, auth => { app => '' },
        set => { pool_mode => 'transaction', worker_threads => $ENV{BH_WORKERS} // 4 });
    my @said = parallel(6, sub {
        my ($i) = @_;
        my @mine = map { $q->connect('test', 'app') } 1 .. 3;
        $mine[$_]->query("SET app.me = 'c$i-$_'; SET work_mem = '" . (1000 + 10 * $i + $_) . "kB'") for 0 .. 2;
        my $wrong = 0;
        for my $round (1 .. 40) {
            for my $k (0 .. 2) {
                my $v = $mine[$k]->value("SELECT current_setting('app.me') || ' ' || current_setting('work_mem')");
                $wrong++ if $v ne "c$i-$k " . (1000 + 10 * $i + $k) . 'kB';
            }
            my $k = $round % 3;
            $mine[$k]->query("BEGIN; SET app.me = 'lost'; ROLLBACK") if $round % 5 == 0;
            $mine[$k]->query("SET app.other_$i = '$round'; RESET app.other_$i") if $round % 7 == 0;
        }
        return $wrong;
    }, 120);
    is(join(' ', @said), '0 0 0 0 0 0', 'eighteen clients, three servers: each has its own');
}
finish();
