#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What the engine takes for strings, names, numbers, operators and comments is what the server takes for them: random
# soups of tokens, sent to a server that has only the tenant's rows, and through the proxy to one that has others' too.
# Allowed are the same answer, the same class of error, and a refusal. BH_SEED and BH_SOUPS give others and more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 600;

need_ours();
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN');
my $table = 'SET ROLE app; CREATE TABLE t (a int PRIMARY KEY, b text, "q ""x" text, tenant_id text)';
for my $db (qw(own shared)) {
    $pg->sql("CREATE DATABASE $db OWNER app");
    $pg->sql("$table; INSERT INTO t VALUES (1, 'one', 'x', 'acme'), (2, E'it''s \\\\ --', NULL, 'acme')", $db);
}
$pg->sql("INSERT INTO t VALUES (3, 'FOREIGN', 'FOREIGN', 'beta'), (4, '--', 'FOREIGN', 'beta')", 'shared');
my $p = proxy(pg => $pg, databases => { shared => 'dbname=shared user=app pool_size=2 tenant_mode=rewrite' }, users => { acme => 'tenant=acme' }, auth => { acme => '' },
    set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 1 });

# Random numbers of our own, so that every perl makes the same soups.
my $seed = $ENV{BH_SEED} // 20490;
my $state = $seed;
sub below { my ($n) = @_; $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $n }
sub pick { return $_[below(scalar @_)] }

my @letters = ("'", "''", '"', '\\', '\\\\', "\\'", '$', '$$', '$a$', '-', '--', '/', '/*', '*/', ';', 'a', 'b', 'E', 'U&', ' ', "\n", "\r", "\t", '%', "\xc3\xa9", "\xe6\xa0\xaa", '(', ')', ',',
    '0', '1', '\\0061', '\\+000062', '!0061', '\\n', '\\x41', '\\101', '\\u0061', '::', '||', 'OR true');

sub chars { my ($n) = @_; return join '', map { pick(@letters) } 1 .. below($n) }

# What may stand between two tokens: always something.
sub gap {
    return pick(' ', "\n", "\t", "\f ", "\r\n", ' /**/ ', "/* ' */", '/* " $$ */', '/* /* a */ -- */', "-- it's\n", "--\r", "/* \n */ ", "--/*\n", '  ', ' ', ' ');
}

# What continues a string, and what looks as if it did.
sub continuation {
    return pick("\n", " \n ", "\r", "-- x\n", " --'\n", "\n--\n", "-- a\n-- b\n", ' ', '/**/', "/*\n*/", "\n/**/", "\t\n\t");
}

sub quoted {
    my ($quote) = @_;
    my $s = chars(7);
    $s =~ s/$quote/$quote$quote/g if below(25); # sometimes not: then the rest is read as something else, by both alike
    return $quote . $s . $quote;
}

sub string {
    my $k = below(12);
    return quoted("'") . (below(3) ? '' : continuation() . quoted("'")) if $k < 3;
    if ($k < 6) {
        my $s = chars(7);
        $s =~ s/(?<!\\)'/pick("''", "\\'", "''", "\\'", "''", "\\'", "'")/ge;
        return pick('E', 'e') . "'$s'" . (below(4) ? '' : continuation() . quoted("'"));
    }
    if ($k < 8) {
        my $s = join '', map { below(12) ? pick('a', '\\0061', '\\+000062', '\\\\', "''", '0', ' ', '\\D83D\\DE00') : pick('!0061', '!!', '\\', '\\d800') } 1 .. below(5);
        return pick('U&', 'u&') . "'$s'" . (below(3) ? '' : gap() . pick('UESCAPE', 'uescape') . gap() . pick("'!'", "'\\'", "'''", "'+'", "'a'", "E'!'", "'!!'"));
    }
    if ($k < 11) {
        my $tag = below(6) ? pick('', 'a', 'Tag_1', "\xc3\xa9", 'a1') : pick('1a', 'a$b');
        return "\$$tag\$" . chars(6) . "\$$tag\$";
    }
    return pick("B'101'", "b''", "X'1fF'", "N'n'", "n'it''s'", "B'1'\n'0'", "X'1'--\n'f'", pick("x'g'", "B'2'"));
}

sub number { return below(4) ? pick("0", "1", "007", "1.", ".5", "1.5e3", "1e10", "1E-2", "1.e1", "2147483647", "2147483648", "9223372036854775808", "1.5") : pick("1e", "1..2", "1x", "12abc", "1.5x", "\$1", "0b1", "1e+") }

sub name {
    my $k = below(6);
    return pick('a', 'B', 'b', 't.a', 'T.b', 'tenant_id', 't.tenant_id') if $k < 3;
    return '"q ""x"' if $k == 3;
    return pick('U&"\\0061"', 'U&"!0062" UESCAPE \'!\'', 'u&"a"', '"a"', '"A"', 'U&"\\"', '""', "\"a\n\"") if $k == 4;
    return quoted('"');
}

sub operator {
    return pick('||', '+', '-', '*', '/', '<', '=', '<>', '!=', '<=', '%', '^', '::text ||') if below(4);
    return join '', map { pick('+', '-', '*', '/', '<', '>', '=', '~', '!', '@', '#', '%', '^', '&', '|', '`', '?', '/**/', "--\n", '/* + */') } 1 .. 1 + below(4);
}

sub operand {
    my $k = below(12);
    return $k < 8 ? string() : $k < 9 ? number() : $k < 11 ? name() : '(' . expression(1) . ')';
}

sub expression {
    my ($depth) = @_;
    my $s = (below(12) ? '' : pick('-', '- ', '+', '@', '~', '-+')) . operand();
    return $s if below(4) || $depth > 2;
    return $s . (below(2) ? gap() : '') . operator() . (below(2) ? gap() : '') . operand();
}

sub label { return below(4) ? '' : gap() . pick('AS' . gap(), '') . pick('x', '"y z"', 'U&"\\0061\\0062"', quoted('"')) }

# Most show in the answer what was read; the rest is anything.
sub soup {
    my $k = below(20);
    if ($k < 14) {
        my $s = 'SELECT' . gap() . join(pick(',', gap() . ',' . gap()), map { expression(0) . label() } 1 .. 1 + below(3)) . gap() . 'FROM' . gap() . 't';
        $s .= gap() . 'WHERE' . gap() . pick('b', 'a::text', 'tenant_id', string()) . pick('<>', gap() . '=' . gap(), ' < ', gap() . '<>') . string() if below(3) == 0;
        return $s . gap() . 'ORDER' . gap() . 'BY' . gap() . 't.a' . pick('', '', ';', gap(), ' -- end', ' /* end */');
    }
    return 'SELECT' . gap() . expression(0) . label() . pick('', ';', ';;', '--', "; SELECT " . expression(0)) if $k < 17;
    return pick('SELECT ', 'SELECT b FROM t WHERE ', '') . join '', map { pick(\&string, \&number, \&name, \&operator, \&gap, \&gap, sub { chars(3) }, sub { pick('SELECT', 'FROM t', 'WHERE', 'OR', 'AND', 'b', ',', ';', '(', ')') })->() } 1 .. 1 + below(7);
}

sub shown {
    my ($r) = @_;
    return 'closed' if $r->{eof};
    my @s = map { my $x = $_; join "\n", join(',', map { "$_->{name}:$_->{type}" } @{ $x->{cols} // [] }), (map { join '|', map { defined $_ ? "<$_>" : 'NULL' } @$_ } @{ $x->{rows} }), $x->{tag} } @{ $r->{results} };
    return join "\n;\n", @s;
}

my ($direct, $through) = ($pg->connect('own', user => 'app'), $p->connect('shared', 'acme'));
my %count = map { $_ => 0 } qw(same error refused comment different);
my $n = $ENV{BH_SOUPS} // 2000;
my $foreign = 0;
for my $i (1 .. $n) {
    my $sql = soup();
    my $ext = $sql !~ /\$1/ && below(4) == 0;
    my ($want, $got) = map { $ext ? $_->ext($sql, []) : $_->query($sql) } $direct, $through;
    $foreign++ if join("\n", shown($got), map { join " ", map { $_ // "" } @$_{qw(M D H)} } @{ $got->{errors} }) =~ /FOREIGN/;
    my ($w, $g) = map { $_->{error} ? $_->{error}{C} : '' } $want, $got;
    # Ours are these states; 42601 and 22021 are refusals only where the server fails as well.
    my $refused = $g =~ /^(?:42501|0A000|08P01)$/ || $w && $g =~ /^(?:42601|22021)$/;
    my ($says, $said) = map { ($_->{error}{M} // '') =~ s{argument of \KAND}{WHERE}r } $want, $got; # the tenant's condition is added by AND
    my $alike = $w && $w eq $g && ($w eq '42601' || $says eq $said);
    my $how = $got->{eof} ? 'different' : !$w && !$g && shown($want) eq shown($got) ? 'same' : $alike ? 'error' : $refused ? 'refused' : 'different';
    # The parser does not take a comment before UESCAPE; the text is refused.
    $how = 'comment' if $how eq 'different' && !$got->{eof} && $g eq '42601' && $sql =~ m{'\s*/\*.*uescape}is;
    $count{$how}++;
    if ($how eq 'different') {
        diag("soup $i of seed $seed" . ($ext ? ', extended' : '') . ': ' . join '', map { /[\x20-\x7e]/ ? $_ : sprintf '\\x%02x', ord } split //, $sql);
        diag("server: $w " . ($want->{error}{M} // shown($want)));
        diag("proxy:  $g " . ($got->{error}{M} // shown($got)));
        last if $count{different} >= 8;
    }
    if ($got->{eof}) { $through = $p->connect('shared', 'acme') }
}
is($count{different}, 0, "none of $n soups is read otherwise");
is($foreign, 0, 'no row of another tenant shows');
cmp_ok($count{same}, '>', $n / 10, "many are answered: $count{same}");
cmp_ok($count{comment}, '<', $n / 100, 'few are refused for a comment before UESCAPE');
cmp_ok($count{error}, '>', $n / 20, "many fail alike: $count{error}");
diag(join ', ', map { "$_ $count{$_}" } sort keys %count) if $ENV{BH_VERBOSE};
finish();
