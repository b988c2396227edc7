# SPDX-License-Identifier: ISC
# What the lint tests share: where the tree is, its files, and a C text without comments and strings.
package Lint;
use strict;
use warnings;
use Exporter 'import';
use File::Find;
our @EXPORT = qw(srcdir builddir sources slurp bare functions report skip finish);

sub srcdir   { return $ENV{top_srcdir}   // '.' }
sub builddir { return $ENV{top_builddir} // srcdir() }

# Paths relative to the tree, below the folders, that match; sorted.
sub sources {
    my ($match, @folders) = @_;
    my (@found, $top);
    $top = srcdir();
    my @there = grep { -d } map { "$top/$_" } @folders;
    return () unless @there;
    find({
        no_chdir => 1,
        wanted   => sub {
            return unless -f && /$match/;
            push @found, substr($_, length($top) + 1);
        },
    }, @there);
    return sort @found;
}

sub slurp {
    my ($path) = @_;
    $path = srcdir() . "/$path" unless $path =~ m{^/};
    open my $f, '<', $path or die "$path: $!\n";
    local $/;
    my $text = <$f>;
    return $text // '';
}

# The C text with comments, strings and character constants blanked; line breaks stay.
sub bare {
    my ($c) = @_;
    $c =~ s{(/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')}{
        my $t = $1;
        $t =~ m{^/} ? ($t =~ s/[^\n]/ /gr) : substr($t, 0, 1) . (substr($t, 1, -1) =~ s/[^\n]/ /gr)
            . substr($t, -1);
    }gsex;
    return $c;
}

# Function definitions of a C text: [name, first line, last line]. A body begins with a brace in the
# first column and ends with one, as the style wants it.
sub functions {
    my ($c) = @_;
    my ($line, $start, $name, @found) = (0);
    my $head = '';
    my $head_line = 1;
    for (split /\n/, bare($c)) {
        $line++;
        if (defined $start) {
            if (/^\}/) {
                push @found, [$name, $start, $line];
                undef $start;
                $head = '';
            }
        } elsif (/^\{/ && $head =~ /(\w+)\s*\([^;{}]*\)[^;{}=]*$/s) {
            ($name, $start) = ($1, $head_line);
        } elsif (/^#/ || /^\s*$/ || /[;}]\s*$/) {
            $head = '';
        } else {
            $head_line = $line if $head eq '';
            $head .= "$_\n";
        }
    }
    return @found;
}

my ($run, $failed) = (0, 0);

# One TAP result: passes when the list of complaints is empty.
sub report {
    my ($what, @complaints) = @_;
    $run++;
    $failed++ if @complaints;
    print @complaints ? 'not ok' : 'ok', " $run - $what\n";
    my $n = 0;
    for (@complaints) {
        print "# $_\n";
        if (++$n == 40 && @complaints > 40) {
            print '# and ', @complaints - 40, " more\n";
            last;
        }
    }
    return;
}

# One TAP result that says why the check does not apply.
sub skip {
    my ($what, $why) = @_;
    $run++;
    print "ok $run - $what # SKIP $why\n";
    return;
}

sub finish {
    print "1..$run\n";
    exit($failed ? 1 : 0);
}

1;
