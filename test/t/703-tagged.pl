#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Tagged queries: many clients of every style at once, under kills, reloads and vanishing clients; each answer must be its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;

my $pg = pg();
$pg->sql('CREATE TABLE tags (t text)');
my $seconds = $ENV{BH_TAGGED_SECONDS} // 5;
for my $workers (ours() ? (1, 2) : (1)) {
    my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 4, worker_threads => $workers, server_login_retry => 1, query_wait_timeout => 60, max_client_conn => 200,
            (ours() ? (max_prepared_statements => 20) : ()) });
    my $until = time + $seconds;
    my $chaos = fork // die;
    if (!$chaos) {
        srand 7;
        while (time < $until - 0.5) {
            my $k = int rand 4;
            if ($k == 0) { kill 'HUP', $p->pid }
            elsif ($k == 1) { eval { $pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1") } }
            elsif ($k == 2) { my $x = eval { $p->connect('test') }; if ($x) { $x->query('BEGIN'); $x->send_query("SELECT repeat('x', 100000)"); $x->abort } }
            else { eval { $p->console('RECONNECT') } }
            sleep 0.12;
        }
        POSIX::_exit(0);
    }
    my @res = parallel(8, sub {
        my ($i) = @_;
        srand $i;
        my ($n, $err, $wrong, $x, %prep) = (0, 0, 0);
        my $expect = sub { my ($tag, $r) = @_; if (!$r || $r->{eof}) { die "lost\n" } if ($r->{error}) { $err++; return $r->{error}{C} eq '57P01' ? die "lost\n" : 0 } my $got = join ',', map { map { $_->[0] } @{ $_->{rows} } } @{ $r->{results} }; $wrong++ if $got ne $tag; return 1 };
        while (time < $until) {
            $x //= eval { %prep = (); $p->connect('test', undef, timeout => 20) };
            if (!$x) { $err++; sleep 0.05; next }
            my $ok = eval {
                my $tag = "$i-" . ++$n;
                my $style = $n % 7;
                if ($style == 0) { $expect->($tag, $x->query("SELECT '$tag'")) }
                elsif ($style == 1) { $expect->($tag, $x->ext('SELECT $1::text', [$tag])) }
                elsif ($style == 2) {
                    $x->cork; $x->send_query("SELECT '$tag-$_'") for 1 .. 5; $x->uncork;
                    $expect->("$tag-$_", $x->finish) for 1 .. 5;
                } elsif ($style == 3) {
                    $x->cork;
                    for (1 .. 4) { $x->parse('', 'SELECT $1::text'); $x->bind('', '', ["$tag-$_"]); $x->execute('') }
                    $x->sync;
                    $x->uncork;
                    $expect->(join(',', map { "$tag-$_" } 1 .. 4), $x->finish);
                } elsif ($style == 4) {
                    $x->query('BEGIN');
                    $expect->($tag, $x->query("SELECT '$tag'"));
                    $x->query(rand() < 0.5 ? 'COMMIT' : 'ROLLBACK');
                } elsif ($style == 5 && ours()) {
                    my $name = 's' . int rand 30;
                    $x->cork;
                    $x->parse($name, "SELECT '$name-' || \$1::text") unless $prep{$name}++;
                    $x->bind('', $name, [$tag]); $x->execute(''); $x->sync;
                    $x->uncork;
                    $expect->("$name-$tag", $x->finish);
                } else {
                    my $r = $x->query("COPY (SELECT '$tag') TO STDOUT");
                    die "lost\n" if $r->{eof} || $r->{error} && $r->{error}{C} =~ /^(57P|08)/;
                    if ($r->{error}) { $err++ } elsif (join('', @{ $r->{results}[0]{copy} }) ne "$tag\n") { $wrong++ }
                }
                1;
            };
            if (!$ok) { my $why = $@; $err++; $wrong++ if $why =~ /frame|timeout/; return "broken: $why" if $why !~ /lost|closed|no result|frame/; $x->abort; undef $x }
        }
        return "$n $err $wrong";
    }, $seconds + 60);
    waitpid $chaos, 0;
    my ($n, $err, $wrong, $odd) = (0, 0, 0, '');
    for (@res) { if (/^(\d+) (\d+) (\d+)$/) { $n += $1; $err += $2; $wrong += $3 } else { $odd .= "$_ " } }
    is($odd, '', "$workers workers: no client hung");
    is($wrong, 0, "$workers workers: $n rounds under chaos, no wrong answer ($err errors)");
    cmp_ok($n, '>', 20, "$workers workers: work was done");
    is(join(',', map { $p->connect('test')->value("SELECT $_") } 1 .. 8), '1,2,3,4,5,6,7,8', "$workers workers: all in step afterwards");
    # Without chaos: no error at all.
    @res = parallel(6, sub {
        my ($i) = @_;
        my $x = $p->connect('test');
        my $bad = 0;
        for my $k (1 .. 150) {
            $x->cork; $x->send_query("SELECT '$i-$k-$_'") for 1 .. 3; $x->parse('', 'SELECT $1::text'); $x->bind('', '', ["$i-$k-e"]); $x->execute(''); $x->sync; $x->uncork;
            for my $w (1 .. 3, 'e') { $bad++ unless row_values($x->finish) eq "$i-$k-$w" }
        }
        return $bad;
    });
    is("@res", '0 0 0 0 0 0', "$workers workers: 3600 answers without chaos, no error");
    my $st = $p->stop;
    $p->{expect_exit} = 1;
    ok(!ours() || defined $st && $st == 0, "$workers workers: clean end") or diag($st // 'killed');
    is(scalar $p->complaints, 0, "$workers workers: clean log") or diag(join "\n", $p->complaints);
}
finish();
