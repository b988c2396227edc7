#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Each statement of the corpus with other constants and comments: what is found by template is what judging says.
# The statements are judged by test/corpus/judge; nothing is sent to a server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 900;
use Bulkhead::Corpus;
use Bulkhead::Util qw(run_cmd spew work_dir);
use File::Copy ();

need_ours();
my $build = $ENV{top_builddir} // '.';
my $tool = work_dir() . '/judge';
File::Copy::copy("$build/test/corpus/judge", $tool) or die "make test/corpus/judge first: $!\n";
chmod 0755, $tool;

my $pg = pg(conf => { shared_preload_libraries => 'pg_stat_statements' });
my $dir = "$FindBin::Bin/../corpus";
my $corpus = Bulkhead::Corpus->new(pg => $pg, dir => $dir, timeout => 10);
$corpus->set_up;
my ($rules, $functions, $operators) = $corpus->ini_rules;
my $proxy = proxy(pg => $pg, databases => { plain => 'dbname=plain tenant_mode=rewrite catalog_user=postgres' }, users => $corpus->ini_users, auth => { acme => '' },
    rules => $rules, functions => $functions, operators => $operators);

my @statements;
for my $set (qw(attack benign pred hunted)) {
    for my $case (@{ Bulkhead::Corpus::read_cases("$dir/$set.cases") }) {
        for my $step (grep { $_->{text} =~ /\S/ && $_->{kind} ne 'bytes' } @{ $case->{steps} }) {
            my $text = $step->{text} =~ s/\$\{\w*lit\w*\}/'acme'/gr;
            $text =~ s/\$\{\w+\}/acme/g;
            push @statements, [$case->{id}, $text] unless $text =~ /\0/;
        }
    }
}
spew(work_dir() . '/statements', join '', map { "$_->[1]\0" } @statements);
for my $mode (qw(rewrite reject)) {
    for my $protocol (qw(simple extended)) {
        my $base = $proxy->{ini};
        my @argv = ($tool, $base, 'plain', 'acme', '127.0.0.1', $pg->port, 'postgres', $mode, $protocol, 'vary');
        my ($st, $out, $err) = run_cmd(argv => ['sh', '-c', 'exec "$@" < ' . work_dir() . '/statements', 'sh', @argv], timeout => 600);
        is($st, 0, "$mode, $protocol: judged") or diag($err);
        my @answers = split /\0/, $out;
        is(scalar @answers, scalar @statements, "$mode, $protocol: an answer for each statement");
        my ($hits, @differ) = (0);
        for my $i (0 .. $#answers) {
            if ($answers[$i] =~ /^SAME (\d+)/) { $hits += $1 }
            else { push @differ, "$statements[$i][0]: $answers[$i]" }
        }
        is(scalar @differ, 0, "$mode, $protocol: same verdicts and texts");
        diag($_) for @differ[0 .. ($#differ < 9 ? $#differ : 9)];
        ok($hits > @statements, "$mode, $protocol: $hits of " . 40 * @statements . ' were found by template');
    }
}
finish();
