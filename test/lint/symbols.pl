# SPDX-License-Identifier: ISC
# No external symbol of ours has the name of one that a linked library exports: the program's own would
# silently take its place inside that library.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $nm = $ENV{NM} // 'nm';
my $program = builddir() . '/pgbulkhead';
my @archives = grep { -f } map { builddir() . "/$_" } qw(libbulkhead.a libbulkhead_tree.a);

my %ours;
for my $archive (@archives) {
    for (`$nm -g --defined-only '$archive' 2>&1`) {
        $ours{$1} = 1 if /^[0-9a-f]+ [A-Z] (\S+)$/;
    }
}
delete $ours{$_} for grep { /^(__(asan|ubsan|tsan|sanitizer|odr_asan|gcov|llvm|start|stop|sanc)|_GLOBAL_)/ }
    keys %ours;

# What the program is linked with, directly or not, and each -lNAME of the link line.
my $cc = $ENV{CC} // 'gcc';
my (%libraries, @lost);
for (`ldd '$program' 2>&1`) {
    $libraries{$1} = $2 if /^\s*(\S+)\s+=>\s+(\/\S+)/;
}
for my $name (($ENV{BH_LIBS} // '-lpq -lssl -lcrypto -levent_core -lpg_query -lprotobuf-c') =~ /-l(\S+)/g) {
    chomp(my $path = `$cc -print-file-name=lib$name.so`);
    if ($path =~ m{^/}) {
        $libraries{"lib$name.so"} = $path;
    } else {
        push @lost, "lib$name.so";
    }
}
my @clashes;
my $exported = 0;
for my $name (sort keys %libraries) {
    next if $name =~ /^lib(asan|ubsan|tsan|gcov)/;
    for (`$nm -D --defined-only '$libraries{$name}' 2>&1`) {
        next unless /^[0-9a-f]+ [A-Z] ([^\s@]+)/;
        $exported++;
        push @clashes, "$1 is in $name too" if $ours{$1};
    }
}
report('no symbol clashes with a linked library', @clashes);
report('the libraries of the link line were found', @lost);
report('our symbols were seen', keys %ours > 20 ? () : 'only ' . keys %ours);
report('symbols of the libraries were seen', $exported > 1000 ? () : "only $exported");
finish();
