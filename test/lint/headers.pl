# SPDX-License-Identifier: ISC
# Each header compiles alone, and so does each header after itself.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use File::Temp;

my $cc = $ENV{CC} // 'gcc';
my $flags = ($ENV{BH_CPPFLAGS} // '-D_GNU_SOURCE') . ' ' . '-I' . srcdir() . '/src';
my @headers = sources(qr/\.h$/, 'src');
my $dir = File::Temp->newdir();
my @bad;
for my $file (@headers) {
    (my $path = $file) =~ s{^src/}{};
    my $c = "$dir/alone.c";
    open my $f, '>', $c or die "$c: $!\n";
    print $f "#include \"$path\"\n#include \"$path\"\n";
    close $f;
    my $extra = $file =~ m{^src/tenant/tree_\w+\.h$} ? $ENV{BH_TREE_CPPFLAGS} // '' : '';
    my $out = `$cc -std=c17 -Wall -Wextra -Werror $flags $extra -fsyntax-only $c 2>&1`;
    push @bad, $file, map { "  $_" } (split /\n/, $out)[0 .. 3] if $?;
}
report('each header compiles alone', map { $_ // () } @bad);
report('headers were seen', @headers ? () : 'none at all');
finish();
