#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Proves the corpus runner itself: the oracle directly has no leak, and a pooler without tenant rules
# (PgBouncer, session mode) leaks in most attacks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
BEGIN { $ENV{BH_PROXY} = '/usr/sbin/pgbouncer' }
use Bulkhead limit => 600;
use Bulkhead::CorpusRun;

my %common = (dir => $FindBin::Bin, mode => 'rewrite', count_only => 1);
my $oracle = Bulkhead::CorpusRun::main(%common, target => 'oracle', rotate => 1, sets => [qw(attack hunted)]);
is(join(' ', sort keys %{ $oracle->{bad} // {} }), '', 'the oracle itself shows no leak');
for my $id (sort keys %{ $oracle->{bad} // {} }) { diag("$id: @{ $oracle->{bad}{$id} }") }
$oracle->{pg}->stop('immediate');

my $open = Bulkhead::CorpusRun::main(%common, target => 'proxy', pairs => 'acme:acmeeu', sets => ['attack']);
my $missed = join ' ', grep { !$open->{bad}{$_} } map { $_->{id} } @{ Bulkhead::Corpus::read_cases("$FindBin::Bin/attack.cases") };
cmp_ok($open->{leaks}, '>=', $open->{count} * 0.7, "most attacks leak without rules ($open->{leaks} of $open->{count})");
diag("no leak seen in: $missed") if $ENV{BH_VERBOSE};
if ($ENV{BH_VERBOSE}) { diag("$_: @{ $open->{bad}{$_} }") for sort keys %{ $open->{bad} } }
finish();
