# SPDX-License-Identifier: ISC
# The lints themselves: each must complain about a small tree that breaks its rules, in the very check that
# is meant, and be content with one that keeps them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use File::Path qw(make_path);
use File::Temp;

my $cc = $ENV{CC} // 'gcc';

# Runs a lint over a tree made of name => text; returns the names of the checks that failed.
sub failed_checks {
    my ($lint, %files) = @_;
    my $dir = File::Temp->newdir();
    my @objects;
    for my $name (sort keys %files) {
        my ($folder) = $name =~ m{^(.*)/};
        make_path("$dir/$folder");
        open my $f, '>', "$dir/$name" or die "$name: $!\n";
        print $f $files{$name};
        close $f;
        next unless $name =~ /\.c$/ && $lint =~ /^(globals|symbols)$/;
        (my $object = "$dir/$name") =~ s/\.c$/.o/;
        system("$cc -O0 -c -o '$object' '$dir/$name'") == 0 or die "cannot compile $name\n";
        push @objects, "'$object'";
    }
    system("ar cr '$dir/libbulkhead.a' @objects") if @objects;
    local $ENV{top_srcdir} = "$dir";
    local $ENV{top_builddir} = "$dir";
    local $ENV{BH_CPPFLAGS} = '-D_GNU_SOURCE';
    my @out = `'$^X' -I'$FindBin::Bin' '$FindBin::Bin/$lint.pl' 2>&1`;
    return map { /^not ok \d+ - (.*)/ ? $1 : () } @out;
}

my $spdx = "/* SPDX-License-Identifier: ISC */\n/* A file. */\n";
my $good = "${spdx}int wire_x(void);\n\nint wire_x(void)\n{\n    return 1;\n}\n";
my $guard = "${spdx}#ifndef WIRE_X_H\n#define WIRE_X_H\nint wire_x(void);\n#endif\n";
my $long = "${spdx}int f(void)\n{\n" . "    ;\n" x 150 . "    return 1;\n}\n";

my @cases = (
    ['layers',  'no layer includes', 'src/wire/x.c' => "$spdx#include \"net/y.h\"\n"],
    ['layers',  'no layer includes', 'src/pool/x.h' => "$spdx#include \"tenant/y.h\"\n"],
    ['layers',  'files are in known', 'src/other/x.c' => $good],
    ['layers',  'files are in known', 'src/wire/x.c' => "$spdx#include \"y.h\"\n"],
    ['layers',  'only src/tenant/tree', 'src/tenant/walk.c' => "$spdx#include <pg_query.h>\n"],
    ['layers',  'wire and tenant do no', 'src/wire/x.c' => "$spdx#include <sys/socket.h>\n"],
    ['lengths', 'files are shorter', 'src/wire/x.c' => $good . "\n" x 1000],
    ['lengths', 'functions are shorter', 'src/wire/x.c' => $long],
    ['lengths', 'lines fit', 'src/wire/x.c' => $good . '/' . '*' x 100 . "/\n"],
    ['lengths', 'lines fit', 'src/wire/x.c' => $good . 'int ' . 'x' x 100 . " = '\"';\n"],
    ['lengths', 'lines fit', 'src/wire/x.c' => $good . 'char s[] = "' . 'x' x 130 . "\";\n"],
    ['lengths', 'no tabs', 'src/wire/x.c' => "$good\t\n"],
    ['lengths', 'each file has its licence', 'src/wire/x.c' => "int x;\n"],
    ['lengths', 'goto has one', 'src/wire/x.c' =>
        "${spdx}int f(int i)\n{\n    if (i)\n        goto a;\n    goto b;\na:\n    i++;\nb:\n    return i;\n}\n"],
    ['banned',  'no unsafe', 'src/wire/x.c' => "${spdx}int f(char *s)\n{\n    return atoi(s);\n}\n"],
    ['banned',  'no marks', 'src/wire/x.c' => "$good/* " . 'TO' . "DO: more */\n"],
    ['banned',  'no typedef', 'src/wire/x.h' => "$guard\ntypedef struct x { int a; } x;\n"],
    ['banned',  'secrets are', 'src/wire/x.c' => "${spdx}int f(char *s)\n{\n    return memcmp(s, password, 3);\n}\n"],
    ['banned',  'headers have guards', 'src/wire/y.h' => $guard],
    ['headers', 'each header compiles', 'src/wire/x.h' => "${spdx}size_t f(void);\n"],
    ['symbols', 'no symbol clashes', 'src/wire/x.c' => "int PQexec(void);\nint PQexec(void)\n{\n    return 1;\n}\n"],
    ['globals', 'no writable', 'src/wire/x.c' => "int counter;\n"],
    ['globals', 'no writable', 'src/wire/x.c' => "static int counter = 1;\nint f(void)\n{\n    return counter++;\n}\n"],
    ['globals', 'no writable', 'src/wire/x.c' => "int f(void)\n{\n    static int calls;\n    return calls++;\n}\n"],
    ['globals', 'no writable', 'src/wire/x.c' => "_Thread_local int mine = 2;\n"],
    ['globals', 'no writable', 'src/wire/x.c' => "const char *name = \"x\";\n"],
    ['docs',    'doc/ names all', 'src/conf/keys.def' => "KEY_INT(max_things, 1, 0, 2, 0, \"help\")\n",
        'doc/a.md' => "`max_things_else` is another\n"],
    ['docs',    'doc/ names all', 'src/metrics/x.c' => "const char *n = \"pgbulkhead_things\";\n",
        'doc/a.md' => "nothing\n"],
);
for my $case (@cases) {
    my ($lint, $check, %files) = @$case;
    my @failed = failed_checks($lint, %files);
    my ($name) = sort keys %files;
    report("$lint complains: $check ($name)",
        (grep { index($_, $check) == 0 } @failed) ? () : "failed were: @{[join '; ', @failed]}");
}

# And no complaint where there is none to make; the checks "... were seen" may fail in so small a tree.
my %tidy = (
    'src/wire/x.c' => "$spdx#include \"wire/x.h\"\n\nstatic const char *const names[] = { \"atoi(\", \"'\" };\n"
        . "static const char sql[] = \"" . 'x' x 100 . "\";\n\n"
        . "int wire_x(void)\n{\n    return names[0][0];\n}\n",
    'src/wire/x.h' => $guard,
    'src/conf/keys.def' => "${spdx}KEY_INT(max_things, 1, 0, 2, 0, \"help (more)\")\n",
    'doc/a.md' => "`max_things`\n",
);
for my $lint (qw(layers lengths banned headers docs)) {
    report("$lint is content with a tidy tree", grep { !/were seen/ } failed_checks($lint, %tidy));
}

# Programs linked without what the hardening lint wants, and one that has it all.
my $hard = '-O2 -fPIE -pie -fstack-protector-all -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,relro -Wl,-z,now';
my @soft = (
    ['position-independent', '-fno-pie -no-pie'],
    ['RELRO segment', '-Wl,-z,norelro'],
    ['everything is bound', '-Wl,-z,lazy'],
    ['the stack cannot', '-Wl,-z,execstack'],
    ['no library path', '-Wl,-rpath,/nowhere'],
    ['stack protector', '-fno-stack-protector'],
    ['no symbol of ours', '-rdynamic'],
    ['fortified', '-U_FORTIFY_SOURCE'],
    [undef, ''],
);
for my $case (@soft) {
    my ($check, $flags) = @$case;
    my $dir = File::Temp->newdir();
    open my $f, '>', "$dir/x.c" or die "$dir/x.c: $!\n";
    print $f "#include <stdio.h>\nint wire_x(const char *s);\nint wire_x(const char *s)\n{\n    char b[30];\n"
        . "    return snprintf(b, (unsigned)s[0], \"%s\", s) + b[1];\n}\n"
        . "int main(int n, char **v)\n{\n    return wire_x(v[n - 1]);\n}\n";
    close $f;
    my $plain = $cc =~ s/\s-fsanitize\S*//gr;
    system("$plain $hard $flags -c -o $dir/x.o $dir/x.c && $plain $hard $flags -o $dir/pgbulkhead $dir/x.o"
        . " && ar cr $dir/libbulkhead.a $dir/x.o") == 0 or die "cannot link with $flags\n";
    local ($ENV{top_srcdir}, $ENV{top_builddir}, $ENV{BH_CFLAGS}) = ("$dir", "$dir", '-O2');
    my @failed = map { /^not ok \d+ - (.*)/ ? $1 : () }
        `'$^X' -I'$FindBin::Bin' '$FindBin::Bin/hardening.pl' 2>&1`;
    my $right = $check ? @failed && index($failed[0], $check) == 0 : !@failed;
    report($check ? "hardening complains: $check" : 'hardening is content with a hardened program',
        $right ? () : "failed were: @{[join '; ', @failed]}");
}
{
    local $ENV{READELF} = '/nowhere/readelf';
    report('hardening fails without readelf', `'$^X' -I'$FindBin::Bin' '$FindBin::Bin/hardening.pl' 2>&1` =~ /^not ok 1 /
        ? () : 'it does not');
}
report('globals is content with constants', grep { !/were seen/ } failed_checks('globals', 'src/wire/x.c' =>
    "static const int t[] = { 1, 2 };\nstatic const char *const n[] = { \"a\" };\n"
    . "int f(int i)\n{\n    return t[i] + n[0][0];\n}\n"));
finish();
