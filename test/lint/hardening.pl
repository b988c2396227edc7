# SPDX-License-Identifier: ISC
# The built program has the hardening that configure asks for: position-independent, everything relocated and made
# read-only before main(), no executable stack, no page both writable and executable, stack protector, fortified
# library calls, and no symbol of ours visible to libraries. Read from the program itself, not from its flags.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $readelf = $ENV{READELF} // 'readelf';
my $nm = $ENV{NM} // 'nm';
my $program = builddir() . '/pgbulkhead';
my $flags = $ENV{BH_CFLAGS} // '-O2';
my $sanitized = $flags =~ /-fsanitize=|--coverage/;
my ($level) = reverse $flags =~ /(?:^|\s)-O(\S*)/g;
my $optimised = defined $level && $level ne '0';

# Lines that readelf prints; none when it cannot be run or cannot read the program.
sub elf {
    my ($options) = @_;
    my @lines = `LC_ALL=C '$readelf' $options '$program' 2>&1`;
    return $? ? () : @lines;
}

my @header = elf('-hW');
my @segments = elf('-lW');
my @dynamic = elf('-dW');
my @symbols = elf('--dyn-syms -W');
report("$readelf reads $program", @header && @segments && @dynamic && @symbols ? () : 'no');

sub has {
    my ($pattern, @lines) = @_;
    return scalar grep { /$pattern/ } @lines;
}

report('position-independent executable',
    has(qr/^\s*Type:\s+DYN\b/, @header) && has(qr/\(FLAGS_1\).*\bPIE\b/, @dynamic) ? () : 'it is not');
report('RELRO segment', has(qr/^\s*GNU_RELRO\b/, @segments) ? () : 'none');
report('everything is bound at start',
    has(qr/\(FLAGS_1\).*\bNOW\b|\(FLAGS\).*BIND_NOW|\(BIND_NOW\)/, @dynamic) ? () : 'lazily');
report('the stack cannot be executed',
    has(qr/^\s*GNU_STACK\s.*\sRW\s/, @segments) ? () : 'no such GNU_STACK segment');
report('no segment is writable and executable', grep { /^\s*LOAD\s.*\sRWE\s/ } @segments);
report('no relocations in the text', grep { /\(TEXTREL\)|\(FLAGS\).*TEXTREL/ } @dynamic);
report('no library path is built in', grep { /\((RPATH|RUNPATH)\)/ } @dynamic);

my (%imported, %visible);
for (@symbols) {
    my @f = split;
    next unless @f >= 8 && $f[0] =~ /^\d+:$/;
    my $name = $f[7] =~ s/@.*//r;
    $f[6] eq 'UND' ? $imported{$name} = 1 : ($visible{$name} = 1);
}
report('stack protector', $imported{__stack_chk_fail} || $visible{__stack_chk_fail} ? () : 'none');

my %ours;
for my $archive (grep { -f } map { builddir() . "/$_" } qw(libbulkhead.a libbulkhead_tree.a)) {
    for (`'$nm' -g --defined-only '$archive' 2>&1`) {
        $ours{$1} = 1 if /^[0-9a-f]+ [A-Z] (\S+)$/ && $1 !~ /^(__|_GLOBAL_)/;
    }
}
report('no symbol of ours is visible to libraries', grep { $ours{$_} } sort keys %visible);

if ($sanitized || !$optimised) {
    skip('fortified library calls', $sanitized ? 'an instrumented build has none' : 'built without optimisation');
} else {
    my @fortified = grep { /^__\w+_chk$/ && $_ ne '__stack_chk_fail' } keys %imported;
    report('fortified library calls', @fortified ? () : 'none');
}
finish();
