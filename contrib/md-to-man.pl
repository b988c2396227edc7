#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Makes the manual page doc/pgbulkhead.5 (mdoc) from doc/pgbulkhead.5.md, so that every key is written down once.
#
#   contrib/md-to-man.pl           writes doc/pgbulkhead.5
#   contrib/md-to-man.pl --check   says whether it is up to date and holds every key of src/conf/keys.def (exit 0 or 1)
use strict;
use warnings;
use FindBin;

my $top = "$FindBin::Bin/..";
my ($from, $to, $keys) = ("$top/doc/pgbulkhead.5.md", "$top/doc/pgbulkhead.5", "$top/src/conf/keys.def");

sub slurp {
    my ($file) = @_;
    open my $fh, '<:raw:encoding(UTF-8)', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

# Text as roff: no control characters at the start of a line, `code` in bold.
sub roff {
    my ($t) = @_;
    $t =~ s/\\/\\e/g;
    $t =~ s/\[([^\]]+)\]\([^)]*\)/$1/g;
    $t =~ s/\*\*([^*]+)\*\*/$1/g;
    $t =~ s/(?<![\w*])\*([a-z][^*`]*)\*(?!\w)/\\fI$1\\fR/g;
    $t =~ s/`([^`]*)`/\\fB$1\\fR/g;
    $t =~ s/-/\\-/g;
    $t =~ s/([^\x00-\x7f])/sprintf '\\[u%04X]', ord $1/ge;
    $t =~ s/^([.'])/\\&$1/mg;
    return $t;
}

# Argument of a macro: quoted, so that no word of it is taken for a macro.
sub quoted {
    my ($t) = @_;
    $t = roff($t);
    $t =~ s/"/\\(dq/g;
    return "\"$t\"";
}

my (@out, @para, $list, $item, $code, $fresh);

sub end_list {
    push @out, '.El' if $list;
    ($list, $item) = (undef, undef);
    return;
}

sub end_para {
    return unless @para;
    push @out, '.Pp' unless $fresh;
    push @out, map { roff($_) } join ' ', @para;
    @para = ();
    $fresh = 0;
    return;
}

# A row of a table: the first cell names it, the last one explains; what lies between is told in a line of its own.
sub row {
    my ($head, @cells) = @_;
    my ($name, @rest) = @cells;
    my $text = pop @rest;
    push @out, '.It ' . quoted($name =~ s/`//gr);
    my $told = @rest && $head->[1] eq 'default';
    push @out, roff($told && $text !~ /[.;]$/ ? "$text." : $text);
    return unless $told;
    my ($default, $changeable) = @rest;
    push @out, roff("Default: $default." . ($changeable eq 'no' ? ' Needs a restart to change.' : ''));
    return;
}

my $head;
sub line {
    my ($l) = @_;
    if ($l =~ /^```/) {
        end_para();
        end_list();
        push @out, $code ? '.Ed' : '.Bd -literal -offset indent';
        $code = !$code;
        $fresh = 0;
    } elsif ($code) {
        push @out, ($l =~ s/\\/\\e/gr =~ s/-/\\-/gr =~ s/([^\x00-\x7f])/sprintf '\\[u%04X]', ord $1/ger =~ s/^([.'])/\\&$1/r);
    } elsif ($l =~ /^\|[\s:|-]+\|$/) {
        return;
    } elsif ($l =~ /^\|\s*(.*?)\s*\|$/) {
        my @cells = split /\s*(?<!\\)\|\s*/, $1, -1;
        end_para();
        if (!$list || $list ne 'table') {
            end_list();
            push @out, '.Bl -tag -width Ds';
            ($list, $head) = ('table', \@cells);
            return;
        }
        row($head, @cells);
    } elsif ($l =~ /^(#+) (.*)$/) {
        end_para();
        end_list();
        my ($level, $title) = (length $1, $2);
        push @out, ($level == 1 ? '.Sh ' : '.Ss ') . quoted($title) =~ s/^"([A-Z]+)"$/$1/r;
        $fresh = 1;
    } elsif ($l =~ /^- (.*)$/) {
        end_para();
        if (!$list || $list ne 'items') {
            end_list();
            push @out, '.Bl -bullet';
            $list = 'items';
        }
        push @out, '.It', roff($1);
    } elsif ($l =~ /^\s+(\S.*)$/ && $list && $list eq 'items') {
        push @out, roff($1);
    } elsif ($l =~ /^\s*$/) {
        end_para();
        end_list();
    } else {
        end_list();
        push @para, $l;
    }
    return;
}

my $md = slurp($from);
my @lines = split /\n/, $md;
my ($name, $what) = $md =~ /^# NAME\n\n(.*?): (.*)$/m or die "$from: no section NAME\n";
@lines = grep { !/^% / } @lines;
while (@lines) {
    my $l = shift @lines;
    if ($l eq '# NAME') {
        shift @lines while @lines && $lines[0] !~ /^#/;
        push @out, '.Sh NAME', '.Nm ' . quoted($name), '.Nd ' . roff($what);
        next;
    }
    if ($l eq '# SEE ALSO') {
        end_para();
        end_list();
        push @out, '.Sh SEE ALSO', '.Xr pgbulkhead 1';
        last;
    }
    line($l);
}
end_para();
end_list();
my $page = join "\n", '.\" SPDX-License-Identifier: ISC', '.\" Made by contrib/md-to-man.pl from pgbulkhead.5.md.', '.Dd November 21, 2026',
    '.Dt PGBULKHEAD 5', '.Os', @out, '';

if (($ARGV[0] // '') eq '--check') {
    my $bad = 0;
    my $old = -f $to ? slurp($to) : '';
    if ($old ne $page) { print "doc/pgbulkhead.5 is older than doc/pgbulkhead.5.md: run contrib/md-to-man.pl\n"; $bad = 1 }
    my $def = slurp($keys);
    while ($def =~ /^(?:KEY_\w+|DB_KEY|USER_KEY|PEER_KEY|TENANT_KEY)\((\w+),/mg) {
        my $key = $1;
        next if $page =~ /^\.It "\Q$key\E"$/m;
        print "$key is not in doc/pgbulkhead.5\n";
        $bad = 1;
    }
    exit $bad;
}
open my $fh, '>:raw', $to or die "$to: $!\n";
print {$fh} $page;
close $fh or die "$to: $!\n";
