# SPDX-License-Identifier: ISC
# Writes the files of the status page as C arrays, for src/metrics/page.c:
#   perl embed.pl FILE... > page_data.inc
# gives one array page_NAME[] and one text page_NAME_etag[] for each, dots in the name as underscores.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

print "/* Made by src/metrics/page/embed.pl. */\n";
for my $path (@ARGV) {
    my ($name) = $path =~ m{([^/]+)\z};
    $name =~ tr/./_/;
    open my $f, '<:raw', $path or die "$path: $!\n";
    my $bytes = do { local $/; <$f> };
    die "$path is empty\n" unless length $bytes;
    my @n = unpack 'C*', $bytes;
    print "static const char page_${name}_etag[] = \"\\\"", substr(sha256_hex($bytes), 0, 20), "\\\"\";\n";
    print "static const unsigned char page_${name}[] = {\n";
    print join(',', splice @n, 0, 24), ",\n" while @n;
    print "};\n";
}
