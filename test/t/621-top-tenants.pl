#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# metrics_top_tenants: series of the tenants that do most; exact, monotonic, never more than that many; with 5,000 tenants the answer stays as small.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 290;
use List::Util qw(sum0 shuffle);

need_ours();
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; CREATE TABLE t (tenant_id text NOT NULL, x int); GRANT ALL ON t TO app');
my $n = 5000;
my $k = 5;
my @key = (default_pool_size => 4, metrics_top_tenants => $k, worker_threads => $ENV{BH_WORKERS} // 2, tenant_columns => 'tenant_id', tenant_identity => 'map,startup', log_connections => 0, log_disconnections => 0, log_pooler_errors => 0);
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite' }, auth => { app => '', many => '' },
    users => { many => 'tenants=' . join(',', '_other', map { "t$_" } 1 .. $n) . ' tenant_switch=1' }, set => {@key});
my @names = qw(queries seconds bytes denials);
# Value by tenant of each of the four.
my $look = sub {
    my %v = map { $_ => {} } @names;
    for (split /\n/, $p->http('/metrics')->{body}) { $v{$1}{$2} = $3 if /^pgbulkhead_tenant_top_(\w+)_total\{tenant="([^"]*)"\} (\S+)$/ }
    return \%v;
};
my $as = sub { my ($tenant, @sql) = @_; my $c = $p->connect('db', 'many'); $c->query("SET pgbulkhead.tenant = '$tenant'"); $c->query($_) for @sql; return $c };
my (%last, $bad);
my $monotonic = sub {
    my ($now) = @_;
    for my $m (@names) {
        for my $t (keys %{ $now->{$m} }) { $bad //= "$m of $t fell from $last{$m}{$t} to $now->{$m}{$t}" if exists $last{$m}{$t} && $now->{$m}{$t} < $last{$m}{$t} }
        $last{$m} = { %{ $now->{$m} } };
        my $count = grep { $_ ne '_other' } keys %{ $now->{$m} };
        $bad //= "$m: $count tenants" if $count > $k;
    }
    return $now;
};

# A few busy ones.
my %c = map { ("t$_" => $as->("t$_")) } 1 .. 8;
my $round = sub { my (%times) = @_; for my $t (sort keys %times) { $c{$t}->query('SELECT x FROM t') for 1 .. $times{$t} } };
$round->(t1 => 40, t2 => 30, t3 => 20, t4 => 10, t5 => 5, t6 => 1, t7 => 1);
my $first = $monotonic->($look->());
is(join(',', keys %{ $first->{queries} }), '_other', 'at first there are only the others');
is($first->{queries}{_other}, 107, 'which have done everything');
my $v = $monotonic->($look->());
is(join(',', sort keys %{ $v->{queries} }), '_other,t1,t2,t3,t4,t5', 'then those that did most');
is(sum0(values %{ $v->{queries} }), 107, 'and nothing is lost');
is($v->{queries}{t1}, 0, 'what was before is not theirs');
$round->(t1 => 7, t5 => 3, t8 => 4);
$v = $monotonic->($look->());
is_deeply({ map { $_ => $v->{queries}{$_} } qw(t1 t2 t5 _other) }, { t1 => 7, t2 => 0, t5 => 3, _other => 111 }, 'what comes then is theirs, exactly');
cmp_ok($v->{bytes}{t1} // 0, '>', 300, 'bytes, too');
cmp_ok($v->{seconds}{t1} // 0, '>', 0, 'and time');
# Refused statements have an order of their own.
$c{t7}->query('DROP TABLE t') for 1 .. 12;
$monotonic->($look->()) for 1, 2;
$c{t7}->query('DROP TABLE t') for 1 .. 3;
$v = $monotonic->($look->());
is($v->{denials}{t7}, 3, 'refusals of one that does little else');
ok(!exists $v->{queries}{t7} || keys %{ $v->{queries} } == $k + 1, 'by another measure it need not be shown');
# Another one is busy now.
$round->(t6 => 400);
$monotonic->($look->()) for 1, 2;
$round->(t6 => 9);
$v = $monotonic->($look->());
is($v->{queries}{t6}, 9, 'one that does much comes in');
is(scalar(keys %{ $v->{queries} }), $k + 1, 'another has left');
is(sum0(values %{ $v->{queries} }) + 0, 107 + 14 + 409 + 0 - (3 * !exists $v->{queries}{t5}), 'the sum is that of all but what the one that left had shown');

# Thousands.
my $series = sub { scalar grep { /^pgbulkhead_/ } split /\n/, $p->http('/metrics')->{body} };
my $before = $series->();
my $s = $p->connect('db', 'many');
my @who = (shuffle(map { "t$_" } 1 .. $n), '_other');
while (my @part = splice @who, 0, 100) {
    $s->cork;
    for (@part) { $s->send_query("SET pgbulkhead.tenant = '$_'"); $s->send_query('SELECT x FROM t') }
    $s->uncork;
    my @r = map { $s->finish(timeout => 30) } 1 .. 2 * @part;
    my ($wrong) = grep { $_->{error} } @r;
    $bad //= $wrong->{error}{M} if $wrong;
    $monotonic->($look->()) if @who % 1000 == 1;
}
$v = $monotonic->($look->());
is($bad, undef, 'nothing fell, and never too many');
my @tenants = @{ $p->console('SHOW TENANTS', timeout => 60) };
cmp_ok(scalar @tenants, '>=', $n, scalar(@tenants) . ' tenants are known');
cmp_ok($series->(), '<=', $before + 4, "$n tenants are no more series than eight: " . $series->());
ok(exists $v->{queries}{t6}, 'the busy one is still there');
ok($p->metric('pgbulkhead_tenant_active', 'database="db"') >= 8, 'how many have clients');

# The limit is a key.
$p->{set}{metrics_top_tenants} = 2;
$p->reload;
ok(wait_for(sub { keys %{ $look->()->{queries} } == 3 }, 10), 'fewer after RELOAD');
$p->{set}{metrics_top_tenants} = 0;
$p->reload;
ok(wait_for(sub { keys %{ $look->()->{queries} } == 0 }, 10), 'none when it is off');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $p->http('/metrics')->{body}, timeout => 30);
is($st, 0, 'promtool check metrics is clean') or diag("$out$err");

# Tenants that wait.
my @busy = map { my $x = $as->("t$_"); $x->send_query('BEGIN'); $x } 1 .. 7;
ok(wait_for(sub { ($p->metric('pgbulkhead_tenant_pool_waiting', 'database="db"') // 0) == 3 }, 20), 'three of seven tenants wait for one of four servers') or diag($p->metric('pgbulkhead_tenant_pool_waiting', 'database="db"'));
$_->abort for @busy;
ok(wait_for(sub { $p->metric('pgbulkhead_tenant_pool_waiting', 'database="db"') == 0 }, 20), 'none any more');
finish();
