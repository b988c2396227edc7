# SPDX-License-Identifier: ISC
# Functions and words that do not come in.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $unsafe  = qr/\b(strcpy|strncpy|stpcpy|strcat|strncat|v?sprintf|gets|atoi|atol|atoll|atof|strtok|
    alloca|tmpnam|mktemp|rand|srand|random|system|popen|signal(?!\s*\(\s*SIG\w+,\s*SIG_(?:IGN|DFL)\b)|setjmp|longjmp|gmtime|localtime|ctime|
    asctime|strerror_l|inet_ntoa|gethostbyname|usleep|sleep)\s*\(/x;
# Words are put together so that this file does not name them itself.
my @marks = map { join '', @$_ } ['TO', 'DO'], ['FIX', 'ME'], ['X', 'XX'], ['HA', 'CK'];
my $marks = join '|', @marks;
my $secrets = qr/\b(memcmp|strcmp)\s*\([^;]*(password|secret|proof|mac)\b/i;

my (@calls, @words, @typedefs, @secret, @once, $files);
for my $file (sources(qr/\.(c|h|def)$/, 'src', 'test')) {
    $files++;
    my $n = 0;
    my $code = bare(slurp($file));
    for (split /\n/, $code) {
        $n++;
        push @calls, "$file:$n: $1" if $file =~ /^src/ && /$unsafe/ && !/\bthread_/;
        push @typedefs, "$file:$n" if /\btypedef\s+(struct|union|enum)\b/;
        push @secret, "$file:$n" if $file =~ /^src/ && /$secrets/;
        push @once, "$file:$n" if /^\s*#\s*pragma\s+once/;
    }
    if ($file =~ m{^src/(.*)\.h$}) {
        my $guard = uc($1 =~ s{[/.-]}{_}gr) . '_H';
        push @once, "$file: guard $guard is missing"
            unless $code =~ /^#ifndef $guard\n#define $guard\n/m;
    }
}
for my $file (sources(qr/\.(c|h|def|am|ac|pl|pm|sh|md|ini|[15])$/, qw(src test contrib doc etc))) {
    my $n = 0;
    for (split /\n/, slurp($file)) {
        $n++;
        push @words, "$file:$n: $1" if /\b($marks)\b/;
    }
}
report('no unsafe, racy or blocking library function is called', @calls);
report('no marks of unfinished work', @words);
report('no typedef hides a struct, union or enum', @typedefs);
report('secrets are compared in constant time', @secret);
report('headers have guards named after folder and file', @once);
report('files were seen', $files ? () : 'none at all');
finish();
