#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What the metrics say about the build and the configuration: versions, the commit, a hash that finds drift.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $auth = work_dir() . '/auth';
spew($auth, qq("bhadmin" "bhadmin"\n"bhstats" "x"\n"postgres" ""\n"tom" ""\n));
chmod 0644, $auth;
my %o = (pg => $pg, databases => { test => 'dbname=postgres user=postgres password=one pool_size=2', other => 'dbname=template1' }, users => { tom => 'tenant=acme' },
    rules => ['public.documents = tenant_id'], set => { default_pool_size => 20, auth_file => $auth });
my $p = proxy(%o);
sub body { return $_[0]->http('/metrics')->{body} }
sub hash { my ($h) = body($_[0]) =~ /^pgbulkhead_config_info\{hash="([0-9a-f]{16})"\} 1$/m; return $h // 'none' }
ok(wait_for(sub { $p->http('/readyz')->{code} == 200 }, 10), 'ready');
my ($build) = body($p) =~ /^pgbulkhead_build_info\{(.*)\} 1$/m;
like($build // '', qr/\bcommit="(?:[0-9a-f]{7,40}|unknown)"/, 'the commit');
like($build // '', qr/\blibpg_query="\d+\.\d+"/, 'the grammar');
like($build // '', qr/\bversion="\d+\.\d+\.\d+"/, 'the version');
my $first = hash($p);
isnt($first, 'none', 'a hash of the configuration');
is(hash($p), $first, '... that stays');

my $twin = proxy(%o, set => { %{ $o{set} }, logfile => '', peer_id => 0 }, extra => "; a comment\n");
wait_for(sub { $twin->http('/readyz')->{code} == 200 }, 10);
isnt($twin->port, $p->port, 'a replica with ports of its own');
is(hash($twin), $first, '... has the same hash');
sub changed {
    my ($what, $change, $same) = @_;
    my $was = hash($p);
    $change->();
    $p->reload;
    my $is = hash($p);
    isnt($is, 'none', "$what: a hash");
    return $same ? is($is, $was, '... and the same') : isnt($is, $was, '... and another');
}
changed('a setting', sub { $p->{set}{default_pool_size} = 21 });
changed('back again', sub { $p->{set}{default_pool_size} = 20 });
is(hash($p), $first, '... is the first one');
changed('a comment', sub { $p->{extra} = "; nothing\n" }, 1);
changed('a secret', sub { $p->{databases}{test} =~ s/one/two/ }, 1);
changed('a database', sub { $p->{databases}{test} =~ s/pool_size=2/pool_size=3/ });
changed('a user', sub { $p->{users}{tom} = 'tenant=other' });
changed('a rule', sub { $p->{rules} = ['public.documents = owner'] });
my $before = hash($p);
$p->console("SET default_pool_size = 33", raw => 1);
isnt(hash($p), $before, 'SET shows too');
finish();
