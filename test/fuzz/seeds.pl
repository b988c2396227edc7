# SPDX-License-Identifier: ISC
# seeds.pl DIRECTORY: writes a folder of seeds for the fuzz targets that take SQL, one file per statement of
# test/corpus, with the names that stand for values filled in.
use strict;
use warnings;
use File::Path qw(make_path);
use FindBin;

my $to = shift // die "usage: seeds.pl DIRECTORY\n";
my %sql;
for my $file (glob "$FindBin::Bin/../corpus/*.cases") {
    open my $f, '<', $file or die "$file: $!\n";
    local $/;
    for my $case (split /^===.*\n/m, <$f>) {
        for my $text (split /^---.*\n/m, $case) {
            $text =~ s/^#.*\n//mg;
            $text =~ s/\$\{\w*lit\w*\}/'acme'/g;
            $text =~ s/\$\{\w+\}/acme/g;
            $text =~ s/\s+\z//;
            $sql{$text} = 1 if $text =~ /\w/ && length $text < 4096;
        }
    }
}
die "no statements in test/corpus\n" unless %sql;
for my $target (qw(tenant_judge tenant_tree tenant_lexer tenant_redact)) {
    make_path("$to/$target");
    my $n = 0;
    for my $text (sort keys %sql) {
        my $name = sprintf '%s/%s/%05d', $to, $target, ++$n;
        open my $f, '>', $name or die "$name: $!\n";
        print $f $text;
        close $f or die "$name: $!\n";
    }
}
print scalar(keys %sql), " statements\n";
