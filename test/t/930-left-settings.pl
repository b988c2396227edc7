#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Settings by which a tenant could stop the next client of its server while the pooler makes the server that client's:
# time limits that our own statements meet, and transactions that wait for those of others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE rooms (id int PRIMARY KEY, tenant_id text NOT NULL, name text);
INSERT INTO rooms VALUES (1, 'acme', 'a'), (2, 'beta', 'b');
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { map { ($_ => '') } qw(acme beta) },
    set => { tenant_columns => 'tenant_id', worker_threads => 1, server_check_delay => 0, track_extra_parameters => 'IntervalStyle, statement_timeout' });
my $watch = $pg->connect('postgres');

# What the last statements of the pool's servers were, once one of them is as wanted and all are idle.
sub last_query {
    my ($want) = @_;
    my $seen = '';
    Bulkhead::Util::wait_for(sub {
        $seen = $watch->value("SELECT string_agg(state || ': ' || query, '; ') FROM pg_stat_activity WHERE usename = 'app'") // '';
        return $seen =~ $want && $seen !~ /active:/;
    }, 20);
    return $seen;
}

for ([statement_timeout => '99', 1], [statement_timeout => "'0.05s'", 1], [statement_timeout => "'90000us'", 1],
    [statement_timeout => "'5s'", 0], [statement_timeout => '0', 0], [statement_timeout => '2500', 0],
    [default_transaction_deferrable => 'on', 1], [idle_session_timeout => "'1h'", 1], [lock_timeout => '1', 0]) {
    my ($name, $value, $want) = @$_;
    my $acme = $p->connect('db', 'acme');
    is($acme->query("SET $name = $value")->{error}, undef, "a tenant may set $name to $value");
    my $last = last_query($want ? qr/DISCARD ALL/ : qr/current_setting\('$name'/);
    $want ? like($last, qr/DISCARD ALL/, 'its server is cleaned') : unlike($last, qr/DISCARD/, 'its server stays as it is');
    is($acme->value("SHOW $name") eq '0' ? 'off' : 'on', $value eq '0' ? 'off' : 'on', 'the tenant keeps the setting');
    is($p->connect('db', 'beta')->value('SELECT name FROM rooms'), 'b', 'the next one is served');
    $acme->close;
}

# As a startup option, too.
my $short = $p->connect('db', 'acme', params => { options => '-c statement_timeout=80' });
is($short->value('SHOW statement_timeout'), '80ms', 'a startup option counts');
like(last_query(qr/DISCARD ALL/), qr/DISCARD ALL/, 'its server is cleaned');
$short->close;

# A deferrable transaction waits for serializable ones: nobody else may find itself in one.
my ($first, $second, $beta) = ((map { $p->connect('db', 'acme') } 1, 2), $p->connect('db', 'beta'));
$first->query('BEGIN ISOLATION LEVEL SERIALIZABLE');
$second->query("SET default_transaction_$_") for 'isolation = serializable', 'read_only = on', 'deferrable = on';
like(last_query(qr/DISCARD ALL/), qr/idle: DISCARD ALL/, 'their server is cleaned');
is($first->query("UPDATE rooms SET name = name")->{error}, undef, 'a serializable transaction has begun to write');
is($beta->value('SELECT name FROM rooms'), 'b', 'another tenant does not wait for it');
is($first->query('COMMIT')->{error}, undef, 'which goes on');
finish();
