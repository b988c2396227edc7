#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Databases made from "*": registered with their first client, shown, and forgotten after autodb_idle_timeout; pool_idle_timeout for the
# pools of others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql("CREATE DATABASE $_") for qw(one two);
my $p = proxy(pg => $pg, databases => { fixed => 'dbname=postgres', '*' => 'pool_size=3' },
    set => { autodb_idle_timeout => 0.5, server_idle_timeout => 0.2, worker_threads => 2 });
sub dbs { return join ' ', sort grep { /^(?:fixed|one|two)$/ } map { $_->{name} } @{ $p->console('SHOW DATABASES') } }
is(dbs(), 'fixed', 'only what the file has');
my $c = $p->connect('one');
is($c->value('SELECT current_database()'), 'one', 'any name');
ok($p->wait_log(qr/registered new auto-database: db=one$/m), 'the log registers it');
is(dbs(), 'fixed one', 'SHOW DATABASES has it');
my ($row) = grep { $_->{name} eq 'one' } @{ $p->console('SHOW DATABASES') };
is($row->{pool_size}, 3, 'with the values of "*"');
is($p->connect('two')->value('SELECT current_database()'), 'two', 'another one');
ok(wait_for(sub { dbs() eq 'fixed one' }, 15), 'forgotten after autodb_idle_timeout');
ok($p->wait_log(qr/dropping database 'two' as it does not exist anymore or inactive auto-database/), 'the log says so');
is($c->value('SELECT 1'), 1, 'not one that has a client');
ok(!$p->pool('two'), 'its pool has gone too');
is($p->connect('two')->value('SELECT 2'), 2, 'it comes back with the next client');
is(scalar(() = $p->log_text =~ /registered new auto-database: db=two$/mg), 2, 'registered again');
$p->connect('fixed')->value('SELECT 1');
unlike($p->log_text, qr/fixed\/postgres: cleaning up idle pool/, 'autodb_idle_timeout is not for databases of the file');
# pool_idle_timeout is for all.
$p->console('SET pool_idle_timeout = 0.3');
ok($p->wait_log(qr/fixed\/postgres: cleaning up idle pool/, 15), 'pool_idle_timeout is');
is(dbs() =~ /fixed/, 1, 'whose entry stays');
is($p->connect('fixed')->value('SELECT 3'), 3, 'and serves again');
# "*" removed by RELOAD: no new ones, and those that are there end.
delete $p->{databases}{'*'};
$p->reload;
rejects($p, 'two', 'postgres', undef, qr/no such database: two/, 'without "*" a name that is not listed is refused');
finish();
