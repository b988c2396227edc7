#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Servers that cannot be reached, databases and users that do not exist: clear errors, and the proxy goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg(auth => 'scram-sha-256');
$pg->sql("CREATE ROLE alice LOGIN PASSWORD 'right'");
my $dead = free_port();
my $p = proxy(pg => $pg, databases => {
        test => 'dbname=postgres', dead => "host=127.0.0.1 port=$dead", missing => 'dbname=not_there',
        badpw => 'dbname=postgres user=alice password=wrong', nouser => 'dbname=postgres user=nobody password=x',
        dns => 'host=no-such-host.invalid port=5432',
    }, auth => { alice => 'right' }, set => { auth_type => 'md5', query_wait_timeout => 5, server_connect_timeout => 3, server_login_retry => 1,
        dns_nxdomain_ttl => 1 });
is($p->connect('test', 'alice')->value('SELECT 7'), 7, 'the good database works');
rejects($p, 'absent', 'alice', undef, qr/no such database|absent/, 'an unknown database');
rejects($p, 'test', 'alice', undef, qr/password authentication failed|SASL/, 'a wrong password', password => 'nope');
rejects($p, 'test', 'mallory', undef, qr/password authentication failed|no such user|SASL/, 'an unknown user', password => 'x');

sub first_error {
    my ($db) = @_;
    my $c = eval { $p->connect($db, 'alice', no_die => 1, timeout => 15) } or return { M => "$@", C => 'dead' };
    return $c->{error} if $c->{error};
    return $c->query('SELECT 1')->{error} // { M => 'answered', C => '' };
}
my $t = time;
like(first_error('dead')->{M}, qr/connect|query_wait_timeout|server/i, 'an unreachable server: told');
cmp_ok(time - $t, '<', 30, 'and within a bound');
like(first_error('missing')->{M}, qr/database "not_there" does not exist/, 'the server\'s own text for a missing database');
like(first_error('badpw')->{M}, qr/password authentication failed for user "alice"|login fail/, 'the server\'s own text for a bad password');
like(first_error('nouser')->{M}, qr/password authentication failed for user "nobody"|login fail|role "nobody"/, 'and for an unknown role');
$t = time;
like(first_error('dns')->{M}, qr/DNS|resolve|host|query_wait_timeout|server/i, 'a name that does not resolve: told');
cmp_ok(time - $t, '<', 30, 'in time');
is($p->connect('test', 'alice')->value('SELECT 8'), 8, 'all the while the good database works');
finish();
