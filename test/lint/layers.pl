# SPDX-License-Identifier: ISC
# A folder of src/ includes only itself and the folders to its left; pool and tenant do not know each
# other; PostgreSQL's and libpg_query's headers are seen by src/tenant/tree*.c only.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my @order = qw(base conf wire net auth pool tenant session watch console metrics top main);
my %rank;
@rank{@order} = 0 .. $#order;
$rank{metrics} = $rank{console};    # side by side: neither includes the other
my %strangers = map { $_ => 1 } 'pool tenant', 'tenant pool', 'console metrics', 'metrics console',
    map { "top $_" } grep { !/^(?:base|top)$/ } @order; # a client of consoles

my (@upward, @unknown, @server, @io, $includes);
for my $file (sources(qr/\.(c|h|def)$/, 'src')) {
    my ($folder) = $file =~ m{^src/(\w+)/} or do { push @unknown, "$file: not in a layer"; next };
    push @unknown, "$file: folder '$folder' is not a layer" unless exists $rank{$folder};
    my $n = 0;
    for my $line (split /\n/, slurp($file)) {
        $n++;
        next unless $line =~ /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
        my ($kind, $path) = ($1, $2);
        if ($kind eq '<') {
            push @server, "$file:$n: <$path>"
                if $path =~ m{^(pg_query|postgres|nodes/|parser/|utils/|catalog/|access/)}
                && $file !~ m{^src/tenant/tree\w*\.c$};
            push @io, "$file:$n: <$path>"
                if $folder =~ /^(wire|tenant)$/ && $path =~ m{^(event|sys/socket|sys/epoll|libpq-fe|poll)};
            next;
        }
        $includes++;
        my ($to) = $path =~ m{^(\w+)/};
        if (!defined $to || !exists $rank{$to}) {
            push @unknown, "$file:$n: \"$path\" is not given as \"folder/file\""
                unless $file =~ m{^src/tenant/tree\w*\.c$} && $path =~ /^(postgres|pg_query)/;
        } elsif ($rank{$to} > $rank{$folder} || $strangers{"$folder $to"}) {
            push @upward, "$file:$n: $folder may not include \"$path\"";
        }
    }
}
report('files are in known layers, includes name folder and file', @unknown);
report('no layer includes a layer above it', @upward);
report('only src/tenant/tree*.c sees the parser and the server headers', @server);
report('wire and tenant do no input or output', @io);
report('includes were seen', $includes ? () : 'none at all');
finish();
