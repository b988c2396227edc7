# SPDX-License-Identifier: ISC
# `use Bulkhead;` gives a test file Test::More, the helpers below, a time limit and the checks at its end.
package Bulkhead;
use strict;
use warnings;
use Bulkhead::Postgres;
use Bulkhead::Proxy;
use Bulkhead::TLS;
use Bulkhead::Util qw(work_dir free_port spawn reap stop_child run_cmd wait_for slurp spew proc_cpu_us proc_rss_kb);
use Bulkhead::Wire;
use Test::More ();
use Time::HiRes ();

my (@proxies, $limit);

sub import {
    my ($class, %o) = @_;
    strict->import;
    warnings->import;
    my $to = caller;
    no strict 'refs';
    for my $name (@Test::More::EXPORT) { *{"${to}::$name"} = \&{"Test::More::$name"} if $name =~ /^\w+$/ }
    *{"${to}::$_"} = \&{"Bulkhead::$_"}
        for qw(pg proxy ours need_ours psql pgbench finish row_values error_is rejects parallel meet work_dir free_port spawn reap stop_child
        run_cmd wait_for slurp spew proc_cpu_us proc_rss_kb);
    *{"${to}::sleep"} = \&Time::HiRes::sleep;
    *{"${to}::time"} = \&Time::HiRes::time;
    binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
    $limit = 3 * ($o{limit} // 180); # for what hangs; three times what a busy machine was seen to need
    $limit *= 3 if $ENV{BH_SLOW};
    my $main = $$;
    $SIG{ALRM} = sub { print STDERR "# $0: time limit of $limit s\n"; exit 99 };
    alarm $limit;
    return;
}

# A cluster; a proxy in front of it.
sub pg { return Bulkhead::Postgres->new(@_) }

sub proxy {
    my $p = Bulkhead::Proxy->new(@_);
    push @proxies, $p;
    return $p;
}

sub ours { return Bulkhead::Proxy::ours() }

# For files about what PgBouncer does not have.
sub need_ours {
    Test::More::plan(skip_all => 'BH_PROXY is not pgbulkhead') unless ours();
    return;
}

# psql over TCP: (exit status, stdout without the last newline, stderr).
sub psql {
    my ($conninfo, $sql, %o) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/psql', '-X', '-A', '-t', '-q', '-w', @{ $o{args} // [] }, '-d', $conninfo],
        stdin => $sql, timeout => $o{timeout} // 60, env => { ($ENV{BH_TLS} ? (PGSSLMODE => 'require') : ()), PGCONNECT_TIMEOUT => 60, LC_ALL => 'C.UTF-8', HOME => work_dir(), %{ $o{env} // {} } });
    $out =~ s/\n\z//;
    return ($st, $out, $err);
}

# pgbench: (exit status, output of both kinds).
sub pgbench {
    my ($conninfo, @args) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/pgbench', @args, $conninfo], timeout => 400,
        env => { ($ENV{BH_TLS} ? (PGSSLMODE => 'require') : ()), HOME => work_dir() });
    return ($st, "$out$err");
}

# All rows of the last result, columns by "|", rows by ";".
sub row_values {
    my ($r) = @_;
    my $last = $r->{results}[-1] or return '';
    return join ';', map { join '|', map { $_ // 'NULL' } @$_ } @{ $last->{rows} };
}

# The result is an error of this SQLSTATE with this text.
sub error_is {
    my ($r, $state, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = $r->{error} // {};
    my $ok = ($e->{C} // '') eq $state && ($e->{M} // '') =~ $like;
    return Test::More::ok($ok, $name) || Test::More::diag("got " . ($e->{C} // 'no error') . ': ' . ($e->{M} // ''));
}

# The login is refused with this SQLSTATE and text.
sub rejects {
    my ($p, $db, $user, $state, $like, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $c = eval { $p->connect($db, $user, no_die => 1, %o) };
    my $e = $c ? $c->{error} // { C => 'none', M => 'login was accepted' } : { C => 'none', M => "$@" };
    my $ok = (!defined $state || $e->{C} eq $state) && $e->{M} =~ $like;
    return Test::More::ok($ok, $name) || Test::More::diag("got $e->{C}: $e->{M}");
}

# Within parallel: waits until n of its processes have come to the point of this name.
sub meet {
    my ($name, $n) = @_;
    my $base = work_dir() . "/meet-$name-";
    spew("$base$$", '');
    return wait_for(sub { (() = glob "$base*") >= $n }, 170);
}

# Runs the code n times at once in processes of its own; gives a list of what each printed; bounded.
sub parallel {
    my ($n, $code, $timeout) = @_;
    my @jobs;
    for my $i (0 .. $n - 1) {
        my $file = work_dir() . "/par-$$-$i-" . int(Time::HiRes::time() * 1000) . '-' . int rand 1e6;
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            alarm(($timeout // 0) > 180 ? $timeout : 180);
            $SIG{ALRM} = 'DEFAULT';
            my $t = eval { $code->($i) };
            $t = "died: $@" if $@;
            open my $f, '>:raw', $file;
            print $f $t // '';
            close $f;
            POSIX::_exit(0);
        }
        push @jobs, [$pid, $file];
    }
    my @r;
    for my $j (@jobs) {
        waitpid $j->[0], 0;
        push @r, $? ? "killed by time-out ($?)" : slurp($j->[1]);
        unlink $j->[1];
    }
    return @r;
}

# The last line of each file: stops the proxies, demands a clean end and a log without reports.
sub finish {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $p (@proxies) {
        my $was = $p->{pid};
        my $up = !$was || $p->alive;
        my $st = $p->stop;
        next if $p->{expect_exit};
        $up = 1, $st = 0 if $p->{expect_exit}; # the file has looked at that itself
        $st = 0 if !ours() && defined $st && $st == 256; # PgBouncer's exit status after SIGTERM
        Test::More::ok($up && defined $st && $st == 0, "proxy $p->{n} ends cleanly")
            || Test::More::diag(!$up ? 'it had ended before' : defined $st ? "wait status $st" : 'it had to be killed');
        my @c = $p->complaints;
        $p->{show} = 1 if @c;
        Test::More::is(scalar @c, 0, "no report in the log of proxy $p->{n}") || Test::More::diag(join "\n", @c[0 .. ($#c > 9 ? 9 : $#c)]);
    }
    _show_logs() unless Test::More->builder->is_passing;
    @proxies = ();
    alarm 0;
    return Test::More::done_testing();
}

sub _show_logs {
    my @show = grep { $_->{show} } @proxies;
    for my $p (@show ? @show : @proxies > 2 ? @proxies[-2, -1] : @proxies) {
        my @l = split /\n/, $p->log_text;
        my @c = grep { $l[$_] =~ /Sanitizer|runtime error:|CHECK/ } 0 .. $#l;
        @l = @c ? @l[$c[0] .. ($c[0] + 60 > $#l ? $#l : $c[0] + 60)] : @l > 40 ? @l[-40 .. -1] : @l;
        Test::More::diag("---- end of the log of proxy $p->{n}");
        Test::More::diag(join "\n", @l);
    }
    return;
}

END {
    local $?;
    _show_logs() if @proxies;
}

1;
