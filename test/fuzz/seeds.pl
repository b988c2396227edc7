# SPDX-License-Identifier: ISC
# seeds.pl DIRECTORY: writes a folder of seeds for the fuzz targets that take SQL, one file per statement of
# test/corpus, with the names that stand for values filled in; and for tenant_copy, one per format, header and column.
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
# Eight bytes that choose the options (copy_plan_of in test/unit/copy_reader.h), then rows.
make_path("$to/tenant_copy");
my $n = 0;
for my $format (0 .. 2) {
    for my $header (0 .. 2) {
        for my $fields (0 .. 19) {
            my ($cols, $field) = (1 + $fields % 4, int($fields / 4) % (2 + $fields % 4) - 1);
            my @row = map { $_ == $field ? 'acme' : "x$_" } 0 .. $cols - 1;
            my $data = join '', map { join($format ? ',' : "\t", @$_) . "\n" } \@row, \@row;
            $data .= join(',', map { qq("$_") } @row) . qq(\n"a""\n",\\.\n) if $format == 1;
            $data .= "\\N\t\\x61\\143me\t\\\n\n\\.\n" if $format == 0;
            $data = "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0) . (pack('n', $cols) . pack '(N/a)*', @row) x 2 . pack('n', 0xffff) if $format == 2;
            open my $f, '>:raw', sprintf '%s/tenant_copy/%03d', $to, ++$n or die "$to: $!\n";
            print $f pack('C8', $format, $header, 2, $format ? 1 : 0, 0, $format, $fields, 1), $data;
            close $f or die "$to: $!\n";
        }
    }
}
# tenant_bind: which statement, then the body of a Bind with values of different kinds and formats.
make_path("$to/tenant_bind");
my ($k, @uuid) = (0, 'a1111111-0000-4000-8000-00000000000a');
my @values = ('acme', "o'b\\x", '11', ' +0011 ', pack('N', 11), pack('NN', 0, 11), pack('n', 11), @uuid, pack('H*', $uuid[0] =~ tr/-//dr), undef, '');
for my $stmt (0 .. 9) {
    for my $n (1 .. 3) {
        for my $formats ([], [0], [1], [(1) x $n], [map { $_ % 2 } 1 .. $n]) {
            my @v = map { $values[$k++ % @values] } 1 .. $n;
            open my $f, '>:raw', sprintf('%s/tenant_bind/%05d', $to, $k) or die "$to: $!\n";
            print $f chr($stmt), "p\0s\0", pack('n*', scalar @$formats, @$formats), pack('n', $n), (map { defined $_ ? pack('N/a*', $_) : pack('N', 0xFFFFFFFF) } @v), pack('n', 0);
            close $f;
        }
    }
}
print scalar(keys %sql), " statements\n";
# conf_hba: how long the maps are (in eights), maps, rules.
make_path("$to/conf_hba");
my @maps = ("m root alice\n", "m /^(.*)\@x\$ \\1\n", "m \"a b\" all\n", "m /^a{1,3}[^b]\$ /^c\n");
my @rules = ("local all all peer map=m\n", "host db,\"o dd\" alice,/^a 127.0.0.1/32 md5\n", "hostssl sameuser all ::/0 cert map=m\n", "hostnossl replication,all all 10.0.0.0 255.0.0.0 reject\n",
    "host all all samenet scram-sha-256 # end\n", "hostssl all all all plain clientcert=verify-full \\\n map=m\n", "host all all all ldap ldapurl=\"ldap://h:1/dc=x?uid?sub?(uid=\$username)\"\n",
    "host all all samehost pam pamservice=x\n", "ldapserver=\"h1 h2:3\" ldapprefix=\"uid=\" ldaptls=1\n");
my $h = 0;
for my $m (@maps, '') {
    for my $r (@rules, join('', @rules[0 .. 7])) {
        my $map = $m . "\n" x (-length($m) % 8);
        open my $f, '>:raw', sprintf '%s/conf_hba/%03d', $to, ++$h or die "$to: $!\n";
        print $f pack('C', length($map) / 8), $map, $r;
        close $f or die "$to: $!\n";
    }
}
