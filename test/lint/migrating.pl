# SPDX-License-Identifier: ISC
# doc/migrating/config.md has a row for every key of src/conf/keys.def, under its section, and the tests that the pages of doc/migrating
# name are there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my %section = (KEY => 'pgbouncer', DB_KEY => 'databases', USER_KEY => 'users', PEER_KEY => 'peers');
my (%rows, $in);
for (split /\n/, slurp('doc/migrating/config.md')) {
    $in = $1 if /^## \[(\w+)\]/;
    $in = undef if /^## [^\[]/;
    next unless defined $in && /^\|([^|]*)\|(.*)\|$/;
    my ($first, $test) = ($1, $2);
    next unless $test =~ m{test/};
    $rows{$in}{$_} = 1 for $first =~ /`(\w+)`/g;
}
my (@missing, %known);
for (split /\n/, slurp('src/conf/keys.def')) {
    my ($kind, $name) = /^((?:DB_|USER_|PEER_)?KEY)(?:_\w+)?\((\w+),/ or next;
    $known{ $section{$kind} }{$name} = 1;
    push @missing, "[$section{$kind}] $name" unless $rows{ $section{$kind} }{$name};
}
report('doc/migrating/config.md has a row with a test for each of ' . (map { keys %$_ } values %known) . ' keys', @missing);
my @unknown = map { my $s = $_; map { "[$s] $_" } grep { !$known{$s}{$_} } sort keys %{ $rows{$s} } } sort keys %rows;
report('and none for a key that does not exist', @unknown);
my (@gone, %named);
for my $page (sources(qr/\.md$/, 'doc/migrating')) {
    for (slurp($page) =~ m{(test/[\w/.-]+\.(?:pl|sh|c))}g) {
        $named{$_} = 1;
        push @gone, "$page: $_" unless -e srcdir() . "/$_";
    }
}
report('doc/migrating names ' . keys(%named) . ' tests, all there', @gone);
finish();
