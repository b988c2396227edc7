#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The judge: every case of every file in both modes, as written in one of them and over the extended protocol in the other
# (BH_PROTO=written,ext: in both, and all of hostile.cases in both modes), against the oracle. The last line sums it up. Refused benign statements are listed in refused.list with their reasons, and stay below 2 %.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 3600;
use Bulkhead::CorpusRun;

need_ours();
my $run = Bulkhead::CorpusRun::main(modes => [qw(rewrite reject)], protos => 'alternate', rotate => 1, target => 'proxy', dir => $FindBin::Bin);
my ($line, $leaks, $mismatches, $benign) = Bulkhead::CorpusRun::summary($run);
my $t = $run->{tally}{rewrite};
is($leaks, 0, 'no leak');
is($mismatches, 0, 'no benign statement is answered wrongly');
cmp_ok($t->{refused} // 0, '<', 0.02 * $t->{benign}, 'less than 2 % of the benign statements are refused in rewrite mode') or diag("$t->{refused} of $t->{benign}");
if (!$ENV{BH_CASE}) {
    my %own = map { $_->{id} => 1 } map { @{ Bulkhead::Corpus::read_cases($_) } } grep { !m{/(?:attack|benign|pred)\.cases$} } glob "$FindBin::Bin/*.cases";
    cmp_ok(scalar keys %own, '>=', 600, 'at least 600 cases of our own');
}
finish();
print "$line\n";
