# SPDX-License-Identifier: ISC
# What every test needs: a directory, free ports, child processes that end with the test, bounded waiting.
package Bulkhead::Util;
use strict;
use warnings;
use Exporter 'import';
use Fcntl qw(:flock);
use File::Path qw(remove_tree);
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(work_dir free_port spawn reap stop_child run_cmd wait_for slurp spew as_user
    now patience pg_bin proc_cpu_us proc_rss_kb on_exit);

my ($dir, %children, @at_exit);
my $main_pid = $$;
my @user = $> == 0 ? getpwnam("postgres") : ();
die "no user postgres; install postgresql\n" if $> == 0 && !@user;

# Seconds that no change of the clock touches.
sub now { return clock_gettime(CLOCK_MONOTONIC) }

# A bound on waiting is there for what hangs: what works may take many times longer on a machine that does much else. Bounds of
# three seconds and less are taken for windows in which nothing is to happen, and stay.
sub patience { my ($s) = @_; return $s > 3 && $s < 60 ? 60 : $s }

# What the caller's environment may hold and no test expects: another language or zone in what programs write, connections that
# libpq takes from it, a proxy for what is on this machine.
delete @ENV{ grep { /^PG[A-Z]+$/ } keys %ENV };
@ENV{qw(LC_ALL TZ)} = ('C.UTF-8', 'UTC');
$ENV{$_} = join ',', '127.0.0.1', 'localhost', grep { defined && length } $ENV{$_} for qw(no_proxy NO_PROXY);

# The directory of this test process; readable by the user postgres, gone when the test ends.
sub work_dir {
    return $dir if defined $dir;
    my $base = $ENV{BH_TMPDIR} // '/tmp';
    $dir = File::Temp::tempdir('bh-XXXXXXXX', DIR => $base);
    chmod 0755, $dir;
    chown $user[2], $user[3], $dir if @user;
    return $dir;
}

sub on_exit { push @at_exit, $_[0]; return }

# A TCP port that nobody listens on, and that no other running test was given.
my @port_locks;
sub free_port {
    my $lock_dir = ($ENV{BH_TMPDIR} // '/tmp') . "/bh-ports-$>";
    my $why = '';
    for my $try (1 .. 2000) {
        my $port = 20000 + int rand 12000;
        mkdir $lock_dir; # another test, the last one, may just have removed it
        open my $lock, '>', "$lock_dir/$port" or do { $why = "$lock_dir: $!"; next };
        flock $lock, LOCK_EX | LOCK_NB or next;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
            Listen => 1, ReuseAddr => 1) or do { $why = "$!"; next };
        close $s;
        push @port_locks, [$lock, "$lock_dir/$port"];
        return $port;
    }
    die "no free port: $why\n";
}

# In a child: become the user who may run a database server.
sub as_user {
    return unless @user && $> == 0;
    POSIX::setgid($user[3]);
    $) = "$user[3] $user[3]";
    POSIX::setuid($user[2]);
    $> == $user[2] or die "cannot become postgres\n";
    $ENV{HOME} = work_dir();
    return;
}

# Starts a program: spawn(argv => [...], log => FILE, user => bool, env => {}, in => FILE) gives its pid.
sub spawn {
    my (%o) = @_;
    my $pid = fork;
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        setpgrp(0, 0) if $o{group};
        open STDIN, '<', $o{in} // '/dev/null';
        open STDOUT, '>>', $o{out} // $o{log} // '/dev/null';
        open STDERR, '>>', $o{log} // '/dev/null';
        for my $fd (3 .. 63) { POSIX::close($fd) }
        %ENV = (%ENV, %{ $o{env} }) if $o{env};
        as_user() if $o{user};
        chdir($o{dir} // work_dir());
        no warnings 'exec';
        exec { $o{argv}[0] } @{ $o{argv} };
        print STDERR "exec $o{argv}[0]: $!\n";
        POSIX::_exit(127);
    }
    $children{$pid} = 1;
    return $pid;
}

# The child's wait status, or undef while it runs. timeout in seconds.
sub reap {
    my ($pid, $timeout) = @_;
    my $until = now() + patience($timeout // 0);
    while (1) {
        my $r = waitpid $pid, WNOHANG;
        if ($r == $pid) { delete $children{$pid}; return $? }
        return -1 if $r < 0;
        return undef if now() >= $until;
        sleep 0.01;
    }
}

# Sends a signal, waits, and kills what does not go. Gives the wait status, or undef when it had to be killed.
sub stop_child {
    my ($pid, $signal, $timeout) = @_;
    kill $signal, $pid;
    my $st = reap($pid, $timeout // 10);
    return $st if defined $st;
    kill 'KILL', $pid;
    reap($pid, 10);
    return undef;
}

# Runs a program to its end: run_cmd(argv => [...], stdin => text, timeout => s, env => {}, user => bool)
# gives (exit status, stdout, stderr); status 124 after the time-out (at least five minutes), 128+n after a signal.
my $n_cmd = 0;
sub run_cmd {
    my (%o) = @_;
    my $base = work_dir() . '/cmd' . ++$n_cmd . "-$$";
    spew("$base.in", $o{stdin} // '');
    chmod 0644, "$base.in";
    my $pid = spawn(%o, in => "$base.in", out => "$base.out", log => "$base.err");
    my $st = reap($pid, ($o{timeout} // 0) > 300 ? $o{timeout} : 300);
    if (!defined $st) {
        kill 'KILL', $pid;
        reap($pid, 5);
        $st = 124 << 8;
    }
    my @r = (($st & 127) ? 128 + ($st & 127) : $st >> 8, slurp("$base.out"), slurp("$base.err"));
    unlink "$base.in", "$base.out", "$base.err";
    return @r;
}

# True as soon as the code gives true; false after so many seconds (see patience).
sub wait_for {
    my ($code, $timeout, $step) = @_;
    my $until = now() + patience($timeout // 60);
    while (1) {
        my $r = $code->();
        return $r if $r;
        return 0 if now() >= $until;
        sleep($step // 0.02);
    }
}

sub slurp {
    my ($file) = @_;
    open my $f, '<:raw', $file or return '';
    local $/;
    my $t = <$f>;
    return $t // '';
}

sub spew {
    my ($file, $text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    open my $f, '>:raw', $file or die "$file: $!\n";
    print $f $text;
    close $f or die "$file: $!\n";
    chown $user[2], $user[3], $file if @user;
    return $file;
}

# Where PostgreSQL's server programs are.
my $pg_bin;
sub pg_bin {
    return $pg_bin if $pg_bin;
    for my $d (grep { defined } $ENV{BH_PG_BIN}, reverse(sort glob '/usr/lib/postgresql/*/bin'),
        split /:/, $ENV{PATH}) {
        return $pg_bin = $d if -x "$d/initdb" && -x "$d/postgres";
    }
    die "PostgreSQL's initdb and postgres not found; install postgresql\n";
}

# CPU time a process has used so far, user and system, in microseconds.
sub proc_cpu_us {
    my ($pid) = @_;
    my $ns = 0;
    for my $f (glob "/proc/$pid/task/*/schedstat") { $ns += (split ' ', slurp($f))[0] // 0 }
    return int($ns / 1000);
}

sub proc_rss_kb {
    my ($pid) = @_;
    return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0;
}

# Ended from outside, children end too.
$SIG{$_} = sub { exit 143 } for qw(TERM INT HUP);

END {
    if ($$ == $main_pid) {
        my $code = $?;
        for my $f (reverse @at_exit) { eval { $f->(); 1 } or warn $@ }
        for my $pid (keys %children) { kill 'KILL', $pid; waitpid $pid, 0 }
        unlink map { $_->[1] } @port_locks;
        rmdir(($ENV{BH_TMPDIR} // "/tmp") . "/bh-ports-$>");
        remove_tree($dir, { safe => 0 }) if defined $dir && !$ENV{BH_KEEP};
        $? = $code;
    }
}

1;
