# SPDX-License-Identifier: ISC
# No writable globals and no function-local statics: nothing of ours lies in .data, .bss, common or
# thread-local storage. What the compiler's instruments add is not ours.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $nm = $ENV{NM} // 'nm';
my @archives = grep { -f } map { builddir() . "/$_" } qw(libbulkhead.a libbulkhead_tree.a);
my @objects = (@archives, grep { -f } builddir() . '/src/main/main.o');
my $instrument = qr/^(_*(asan|ubsan|tsan|sanitizer|odr_asan|gcov|llvm|sancov|profc|profd|profn|covrec|
    start___|stop___|__prof)|\.L|_GLOBAL_|\.str|___asan|__unnamed|\.src)|__?ubsan|_kcov|^__gcov|^__sanc|
    ^\.LASAN|^\.Lubsan/x;

my (@writable, %seen);
my $n = 0;
for my $object (@objects) {
    my $member = $object;
    for (`$nm --format=sysv '$object' 2>&1`) {
        $member = $1, next if /^Symbols from (\S+):/;
        my @f = map { s/^\s+|\s+$//gr } split /\|/;
        next unless @f >= 7;
        my ($name, $class, $type, $section) = ($f[0], $f[2], $f[3], $f[6]);
        $n++;
        next unless $class =~ /^[bBdDCgGsS]$/ || $type eq 'TLS';
        next if $section =~ /^\.data\.rel\.ro/ || $type eq 'SECTION' || $type eq 'FILE';
        next if $name =~ $instrument || $section =~ /^(asan_globals|__sanc|__llvm|\.data\.asan)/;
        next if $class eq 'd' && $name =~ /^\*?\.?L/;
        # UBSan describes each source position in unnamed writable data.
        push @writable, "$member: $name ($class, $section)";
    }
}
report('no writable globals or statics', @writable);
report('symbols were seen', $n > 100 ? () : "only $n");
finish();
