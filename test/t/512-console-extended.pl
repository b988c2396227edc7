#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The console's extended protocol, message by message, and by psycopg 3, psycopg2, asyncpg and pgjdbc; SHOW ... LIKE.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { ignore_startup_parameters => 'extra_float_digits' });
my $held = $p->connect('test');
$held->query('SELECT 1');
my $c = $p->connect('pgbouncer', 'bhadmin');
my $types = sub { join '', map { $_->[0] } @{ $_[0]{msgs} } };

my $r = $c->ext('SHOW POOLS', []);
is($types->($r), '12TDDCZ', 'Parse, Bind, Describe, Execute, Sync');
is($r->{results}[0]{tag}, 'SHOW', 'the tag');
is($r->{results}[0]{rows}[0][0], 'test', 'rows');
# A named statement, described, run twice.
$c->cork;
$c->parse('s1', 'show databases like \'te%\'');
$c->describe('S', 's1');
$c->sync;
$c->uncork;
$r = $c->finish;
is($types->($r), '1tTZ', 'a named statement is described');
is($r->{msgs}[1][1], "\0\0", 'it has no parameters');
for my $round (1, 2) {
    $c->cork;
    $c->bind('', 's1', []);
    $c->execute('');
    $c->sync;
    $c->uncork;
    $r = $c->finish;
    is($types->($r), '2DCZ', "round $round: no RowDescription from Execute");
}
# What workers are asked for.
$r = $c->ext("SHOW CLIENTS LIKE 'te_t'", []);
is(join(',', map { $_->[2] } @{ $r->{results}[0]{rows} }), 'test', 'SHOW CLIENTS LIKE by database');
$r = $c->ext("SHOW SERVERS LIKE 'nobody'", []);
is($types->($r), '12TCZ', 'nothing matches');
is(scalar @{ $p->console("SHOW CONFIG LIKE 'tcp\\_keep%'") }, 4, 'LIKE with a simple Query');
is($c->query("SHOW HELP LIKE 'x'")->{error} // 'ok', 'ok', 'SHOW HELP has no rows to filter');
error_is($c->query('SHOW POOLS LIKE'), '08P01', qr/invalid command/, 'LIKE wants a pattern');
error_is($c->query("SHOW POOLS NEAR 'x'"), '08P01', qr/invalid command/, 'and nothing else is understood');
# Binary results, as many formats as columns or one for all.
$r = $c->ext('SHOW LISTS', [], results => [1]);
is($r->{results}[0]{cols}[1]{format}, 1, 'binary is said');
is(unpack('N', $r->{results}[0]{rows}[0][1]), 2, 'and sent');
$r = $c->ext('SHOW LISTS', [], results => [0, 1]);
is("$r->{results}[0]{cols}[0]{format} $r->{results}[0]{cols}[1]{format}", '0 1', 'a format for each column');
# Rows that nobody fetches are kept up to a bound.
for my $i (1 .. 12) {
    $c->parse("long$i", 'SHOW CONFIG' . ' ' x 1_000_000);
    $c->sync;
    $r = $c->finish;
    is($types->($r), '1Z', "long text $i is kept");
}
$c->cork;
$c->parse('', 'SHOW CONFIG');
for (1 .. 900) { $c->bind("keep$_", ''); $c->execute("keep$_", 1) }
$c->sync;
$c->uncork;
$r = $c->finish;
my ($full) = grep { $_->[0] eq 'E' } @{ $r->{msgs} };
like($full ? $full->[1] : 'no error', qr/54000.*(?:too many rows are kept|too many prepared)/s, 'portals that are not read');
is($c->query('SHOW VERSION')->{error} // 'fine', 'fine', 'and are gone with Sync');
$c->close_name("S", "long$_") for 1 .. 12;
$c->sync;
$c->finish;
# Portals in parts.
$c->cork;
$c->parse('', 'SHOW LISTS');
$c->bind('p', '', []);
$c->execute('p', 4);
$c->execute('p', 5);
$c->execute('p', 0);
$c->execute('p', 0);
$c->sync;
$c->uncork;
$r = $c->finish;
is($types->($r), '12DDDDsDDDDDsDDDDDDCEZ', 'a portal in parts');
is($r->{error}{C}, '55000', 'and not once more');
$c->cork;
$c->bind('p', '', []);
$c->describe('P', 'p');
$c->sync;
$c->execute('p');
$c->sync;
$c->uncork;
is($types->($c->finish), '2TZ', 'the portal ended with Sync');
error_is($c->finish, '34000', qr/portal "p" does not exist/, 'it is gone');
# Commands: described without being run.
$c->cork;
$c->parse('pause', 'PAUSE test');
$c->describe('S', 'pause');
$c->parse('del', "DELETE TENANT 'acme'");
$c->describe('S', 'del');
$c->sync;
$c->uncork;
$r = $c->finish;
is($types->($r), '1tn1tTZ', 'commands are described');
is($p->console("SHOW DATABASES LIKE 'test'")->[0]{paused}, 0, 'and not run by that');
$r = $c->ext('PAUSE test', []);
is($types->($r), '12nCZ', 'PAUSE, which waits');
is($r->{results}[0]{tag}, 'PAUSE', 'has run');
is($c->ext('RESUME test', [])->{results}[0]{tag}, 'RESUME', 'RESUME');
$r = $c->ext("SET query_wait_timeout = '77'", []);
is($r->{results}[0]{tag}, 'SET query_wait_timeout=77', 'SET');
$r = $c->ext('SHOW HELP', []);
is($types->($r), '12nNCZ', 'SHOW HELP: a notice, once');
is($types->($c->ext('', [])), '12nIZ', 'nothing at all');
is($c->ext('SHOW timezone', [])->{results}[0]{rows}[0][0], 'GMT', 'a fixed value');
# Errors: ERROR, everything up to Sync is skipped, the connection stays.
for my $t (['SHOW NONSENSE', '08P01', qr/invalid command 'SHOW NONSENSE', use SHOW HELP;/, 'unknown'], ['SHOW POOLS; RELOAD', '08P01', qr/one command at a time/, 'two'],
    ['PAUSE nowhere', '08P01', qr/no such database: nowhere/, 'one that fails'], ['SHOW FDS', '08P01', qr/SHOW FDS is not supported/, 'SHOW FDS']) {
    my $e = $c->ext($t->[0], []);
    error_is($e, $t->[1], $t->[2], "a command: $t->[3]");
    is($e->{error}{S} . $e->{status}, 'ERRORI', 'the connection stays');
}
error_is($c->ext('SHOW POOLS', ['x']), '08P01', qr/supplies 1 parameters/, 'there are no parameters');
$c->cork;
$c->parse('s1', 'SHOW STATE');
$c->sync;
$c->bind('', 'nobody', []);
$c->execute('');
$c->sync;
$c->describe('S', 'nobody');
$c->sync;
$c->close_name('S', 's1');
$c->close_name('S', 's1');
$c->parse('s1', 'SHOW STATE');
$c->flush;
$c->sync;
$c->uncork;
error_is($c->finish, '42P05', qr/prepared statement "s1" already exists/, 'a name that is taken');
error_is($c->finish, '26000', qr/prepared statement "nobody" does not exist/, 'Bind of an unknown one');
error_is($c->finish, '26000', qr/"nobody" does not exist/, 'Describe of an unknown one');
is($types->($c->finish), '331Z', 'Close');
$c->send_msg('B', 'x');
$c->sync;
error_is($c->finish, '08P01', qr/malformed Bind message/, 'a message that is none');
my $many = $p->connect('pgbouncer', 'bhadmin');
$many->cork;
$many->parse("n$_", 'SHOW STATE') for 1 .. 1001;
$many->sync;
$many->uncork;
error_is($many->finish, '54000', qr/too many prepared statements/, 'there is an end to names');
my $stats = $p->connect('pgbouncer', 'bhstats');
is($stats->ext('SHOW POOLS', [])->{results}[0]{tag}, 'SHOW', 'stats users: SHOW');
error_is($stats->ext('RELOAD', []), '08P01', qr/admin access needed/, 'stats users: no commands');
# Rights are looked at when a command runs: nothing was done by its description.
my ($row) = grep { $_->{user} eq 'bhadmin' && $_->{prepared_statements} } @{ $p->console("SHOW CLIENTS LIKE 'pgbouncer'") };
ok($row, 'SHOW CLIENTS: prepared_statements of an administrator');

# Real drivers.
my @env = (BH_HOST => '127.0.0.1', BH_PORT => $p->port, BH_USER => 'bhadmin', BH_DB => 'pgbouncer', BH_PASSWORD => 'bhadmin');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/console_drivers.py"], env => {@env}, timeout => 60);
is($st, 0, 'psycopg 3, psycopg2 and asyncpg run to their end') or diag("$out\n$err");
for (split /\n/, $out) { ok($1 eq 'ok', $2) if /^(ok|not ok) (.*)/ }
my $url = 'jdbc:postgresql://127.0.0.1:' . $p->port . '/pgbouncer';
($st, $out, $err) = run_cmd(argv => ['java', '-cp', '/usr/share/java/postgresql.jar', "$FindBin::Bin/clients/ConsoleJdbc.java", $url], timeout => 120);
is($st, 0, 'pgjdbc runs to its end') or diag("$out\n$err");
for (split /\n/, $out) { ok($1 eq 'ok', "pgjdbc: $2") if /^(ok|not ok) (.*)/ }
finish();
