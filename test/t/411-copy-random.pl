#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Random data, nearly right, copied by a tenant through the proxy and by the owner directly: nothing foreign is stored,
# what the proxy stores is what the owner's copy stores, and what is the tenant's own is let through.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $rounds = $ENV{BH_COPY_ROUNDS} // 600;
srand($ENV{BH_SEED} // 20261121);
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE t (a text, tenant_id text, b text); CREATE TABLE w (LIKE t);
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite' }, users => { acme => 'tenant=acme' }, auth => { acme => '' },
    rules => ['public.w = deny'], set => { tenant_columns => 'tenant_id', worker_threads => 1 });
my $c = $p->connect('db', 'acme');
my $o = $pg->connect('postgres');
sub pick { return $_[rand @_] }
sub data {
    my ($format, $cols) = @_;
    my $end = pick("\n", "\n", "\r\n", "\r");
    my $d = '';
    for (0 .. rand 5) {
        my @f = map { $_ eq 'tenant_id' ? pick(('acme') x 12, 'beta', '\x61cme', '"acme"', 'acm\145') : join '', map { pick('x', 'y', '\\\\', '\\N', '"q"', 'é') } 0 .. rand 2 } @$cols;
        if ($format eq 'binary') { $d .= pack('n', scalar @f) . pack '(N/a)*', @f; next }
        if ($format eq 'csv') { for (@f) { $_ = '"' . (s/"/""/gr) . (rand() < 0.1 ? $end : '') . '"' if rand() < 0.3 && !/^"/ } }
        $d .= join($format eq 'csv' ? ',' : "\t", @f) . $end;
    }
    $d = "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0) . $d . (rand() < 0.7 ? pack 'n', 0xffff : '') if $format eq 'binary';
    $d .= pick("\\.$end", '\\.', "x\\.$end", '') if rand() < 0.2 && $format ne 'binary';
    $d .= "beta\tbeta\tbeta$end" if rand() < 0.1;
    substr($d, rand length $d, 1) = pick('\\', "\n", "\r", '"', ',', "\t", "'", 'x', '.', chr 0, chr 255) for 1 .. pick(0, 0, 0, 1, 2);
    return $d;
}
my (%n, @bad);
my @all = ('a', 'tenant_id', 'b');
for my $round (1 .. $rounds) {
    my $format = pick(qw(text csv binary));
    my $cols = pick([qw(a tenant_id b)], [qw(tenant_id a)], [qw(b a tenant_id)], [qw(a b)], ['a'], ['tenant_id']);
    my $fills = !grep { $_ eq 'tenant_id' } @$cols;
    my $opt = "FORMAT $format";
    $opt .= pick('', '', ", NULL 'x'", ", NULL 'acme'", ', HEADER') if $format ne 'binary';
    $opt .= pick('', '', ", ESCAPE '\\'", ", QUOTE ''''", ', FORCE_NULL (' . pick(@$cols) . ')') if $format eq 'csv';
    my $data = data($format, $cols);
    my $list = join ', ', @$cols;
    $o->query('DELETE FROM t; DELETE FROM w');
    my $size = 1 + int rand 6;
    my $r = $c->query("COPY t ($list) FROM STDIN ($opt)", copy => [map { substr $data, $_ * $size, $size } 0 .. (length($data) - 1) / $size]);
    my $w = $o->query("COPY w ($list) FROM STDIN ($opt)", copy => [$data]);
    $o->query("UPDATE w SET tenant_id = 'acme'") if $fills;
    my ($got, $want) = map { row_values($o->query("SELECT a, tenant_id, b FROM $_ ORDER BY 1, 2, 3")) } qw(t w);
    my ($foreign, $others) = map { $o->value("SELECT count(*) FROM $_ WHERE tenant_id IS DISTINCT FROM 'acme'") } qw(t w);
    my $what = "COPY t ($list) FROM STDIN ($opt): " . ($data =~ s/([^ -~])/sprintf '\\%03o', ord $1/ger);
    push @bad, "foreign rows: $what" if $foreign;
    push @bad, "stored otherwise ($got, $want): $what" if !$r->{error} && ($w->{error} || $got ne $want);
    # Stricter than the server on purpose: a NULL string that is the value, a backslash at the very end, an end marker behind data.
    push @bad, "refused ($r->{error}{M}): $what"
        if $r->{error} && !$w->{error} && !$others && $opt !~ /NULL 'acme'/ && $data !~ /\\\z|[^\r\n]\\\./;
    push @bad, "not in step: $what" if $r->{status} ne 'I';
    $n{ $r->{error} ? $w->{error} ? 'error' : 'refused' : 'stored' }++;
    last if @bad > 4;
}
is(scalar @bad, 0, "$rounds random copies, none wrong") or diag(join "\n", @bad);
cmp_ok($n{$_} // 0, '>', $rounds / 20, "enough of them: $_") for qw(stored refused error);
diag(join ', ', map { "$_ $n{$_}" } sort keys %n);
finish();
