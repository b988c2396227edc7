#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Keys about what clients send and see at login: login_notify_message, ignore_startup_parameters, options, application_name_add_host,
# track_extra_parameters, disable_pqexec, client_login_timeout, max_packet_size; and the database's own parameters.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql($_) for 'CREATE ROLE alice LOGIN', 'CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE "C"';
my $p = proxy(pg => $pg, auth => { alice => '' }, databases => { test => 'dbname=postgres', '*' => '',
        own => "dbname=postgres client_encoding=LATIN1 datestyle='SQL, DMY' timezone='Asia/Tokyo' application_name=from_ini connect_query='SET work_mem = ''5MB'''",
        forced => 'dbname=postgres user=alice' },
    set => { login_notify_message => "Maintenance at 5, it's \"short\"", ignore_startup_parameters => 'extra_float_digits, options', application_name_add_host => 1,
        track_extra_parameters => 'IntervalStyle, search_path, lock_timeout', max_packet_size => 20000, worker_threads => 2 });
# login_notify_message.
my ($st, $out, $err) = psql($p->{host} && "host=127.0.0.1 port=$p->{port} user=postgres dbname=test", 'SELECT 1');
is("$st $out", '0 1', 'psql logs in');
like($err, qr/NOTICE:\s+Maintenance at 5, it's "short"/, 'and shows login_notify_message word for word');
$p->console("SET login_notify_message = ''");
(undef, undef, $err) = psql("host=127.0.0.1 port=$p->{port} user=postgres dbname=test", 'SELECT 1');
unlike($err, qr/NOTICE/, 'nothing when it is empty');
# ignore_startup_parameters, options.
my $c = $p->connect('test', undef, params => { extra_float_digits => '2' });
is($c->value('SELECT 1'), 1, 'an ignored parameter');
rejects($p, 'test', 'postgres', '08P01', qr/^unsupported startup parameter: statement_timeout$/, 'another one is refused by name', params => { statement_timeout => '5' });
is($p->connect('test', undef, params => { options => '-c geqo=off -X what' })->value('SHOW geqo'), 'on', 'options may be ignored as a whole');
$p->{set}{ignore_startup_parameters} = 'extra_float_digits';
$p->reload;
is($p->connect('test', undef, params => { options => '-c datestyle=German --timezone=Asia/Tokyo' })->value("SELECT current_setting('DateStyle') || current_setting('TimeZone')"), 'German, DMYAsia/Tokyo',
    'options set what is tracked');
is($p->connect('test', undef, params => { options => '-c application_name=a\\ b' })->value('SHOW application_name') =~ /^a b - /, 1, 'with backslashes');
rejects($p, 'test', 'postgres', '08P01', qr/^unsupported startup parameter in options: geqo$/, 'another one in options is refused by name', params => { options => '-c geqo=off' });
rejects($p, 'test', 'postgres', '08P01', qr/^unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed$/, 'and so is another form', params => { options => '-X' });
# application_name_add_host.
like($p->connect('test', undef, params => { application_name => 'my app' })->value('SHOW application_name'), qr/^my app - 127\.0\.0\.1:\d+$/, 'application_name_add_host');
like($p->connect('test')->value('SHOW application_name'), qr/^app - 127\.0\.0\.1:\d+$/, 'without a name of its own');
my $long = 'n' x 140;
like($p->connect('test', undef, params => { application_name => $long })->value('SHOW application_name'), qr/^n{20,63}/, 'a long name is the own one, never another client\'s');
$p->console('SET application_name_add_host = 0');
my @c = map { $p->connect('test', undef, params => { application_name => $_ }) } 'ALPHA', 'alpha';
is($c[$_ % 2]->value('SHOW application_name'), $_ % 2 ? 'alpha' : 'ALPHA', "letters' case counts, client " . $_ % 2) for 0 .. 3;
# track_extra_parameters: reported ones follow the client.
@c = map { $p->connect('test') } 1, 2;
$c[0]->query("SET IntervalStyle = 'sql_standard'");
is($c[1]->value('SHOW IntervalStyle'), 'postgres', 'IntervalStyle: the other client has its own');
is($c[0]->value('SHOW IntervalStyle'), 'sql_standard', 'and the first keeps it');
# the database's own parameters.
my $o = $p->connect('own');
is($o->value("SELECT current_setting('client_encoding') || '|' || current_setting('DateStyle') || '|' || current_setting('TimeZone') || '|' || current_setting('application_name') || '|' || current_setting('work_mem')"),
    'LATIN1|SQL, DMY|Asia/Tokyo|from_ini|5MB', 'client_encoding, datestyle, timezone, application_name and connect_query of the database');
my $o2 = $p->connect('own', undef, params => { client_encoding => 'UTF8', TimeZone => 'UTC' });
is($o2->value("SELECT current_setting('client_encoding') || current_setting('TimeZone') || current_setting('DateStyle')"), 'UTF8UTCSQL, DMY', "the client's own come before them");
is($p->connect('forced')->value('SELECT current_user'), 'alice', 'user= of the database');
is($p->connect('latin')->value('SHOW server_encoding'), 'LATIN1', 'the database * takes any name');
ok($p->wait_log(qr/registered new auto-database: db=latin/), 'which the log says');
my $n = () = $p->log_text =~ /registered new auto-database: db=latin/g;
$p->connect('latin')->value('SELECT 1');
is(scalar(() = $p->log_text =~ /registered new auto-database: db=latin/g), $n, 'once');
# max_packet_size.
$c = $p->connect('test');
is($c->value("SELECT length('" . 'x' x 19000 . "')"), 19000, 'a message below max_packet_size');
$c->send_query("SELECT '" . 'x' x 21000 . "'");
like(eval { $c->finish->{error}{M} } // 'closed', qr/invalid message length|closed|packet/, 'one above it ends the connection');
# client_login_timeout.
$p->console('SET client_login_timeout = 0.3');
my $s = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->{port}, timeout => 10);
$s->send_raw("\0\0");
ok($s->wait_eof(10), 'client_login_timeout');
ok($p->wait_log(qr/client_login_timeout/), 'with its text');
# disable_pqexec.
my $q = proxy(pg => $pg, set => { disable_pqexec => 1 });
$c = $q->connect('postgres');
$c->parse('', 'SELECT 5');
$c->bind('', '');
$c->execute('');
$c->sync;
is(row_values($c->finish), 5, 'disable_pqexec: the extended protocol works');
like(eval { $c->query('SELECT 1')->{error}{M} } // 'none', qr/^PQexec disallowed$/, 'a simple query is refused');
is(scalar(grep { $_->{key} eq 'disable_pqexec' } @{ $q->console('SHOW CONFIG') }), 1, 'the console can be used all the same');
finish();
