# SPDX-License-Identifier: ISC
# Debian's Chromium, driven by playwright-core (test/lib/playwright.sh, test/lib/browser.js): opens pages, evaluates JavaScript
# in them, takes pictures, and remembers errors, requests and what a Content-Security-Policy refused.
package Bulkhead::Browser;
use strict;
use warnings;
use Bulkhead::Util qw(now run_cmd wait_for work_dir on_exit reap);
use File::Basename qw(dirname);
use IO::Select;
use IPC::Open3;
use JSON::PP ();

my $lib = dirname(__FILE__) . '/..';
my @running;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub new {
    my ($class) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['sh', "$lib/playwright.sh"], timeout => 600);
    die "no playwright-core: $err\n" if $st;
    chomp $out;
    my $self = bless { in => '' }, $class;
    open my $log, '>>', work_dir() . '/browser.log' or die "browser.log: $!\n";
    local $ENV{HOME} = work_dir();
    $self->{pid} = open3(my $to, my $from, '>&' . fileno $log, 'node', "$lib/browser.js", $out);
    @$self{qw(to from)} = ($to, $from);
    push @running, $self;
    $self->{version} = $self->_answer(120);
    return $self;
}

sub _answer {
    my ($self, $timeout) = @_;
    my $until = now() + $timeout;
    my $wait = IO::Select->new($self->{from});
    while ($self->{in} !~ /\n/) {
        my $left = $until - now();
        die "the browser does not answer\n" if $left <= 0 || !$wait->can_read($left);
        sysread $self->{from}, $self->{in}, 65536, length $self->{in} or die "the browser has ended\n";
    }
    $self->{in} =~ s/\A([^\n]*)\n//;
    my $r = $json->decode($1);
    die "browser: $r->{error}\n" if defined $r->{error};
    return $r->{ok};
}

sub _do {
    my ($self, %command) = @_;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{to}, $json->encode(\%command) . "\n";
    return $self->_answer(90);
}

# open(url => ..., width, height, dark, still, login => {username, password}, answers => {path => JSON}): the page that the others are about.
sub open { my ($self, %o) = @_; return $self->_do(do => 'open', %o) }

# The value of a JavaScript expression in the page.
sub value { my ($self, $js) = @_; return $self->_do(do => 'eval', js => $js) }

# Waits until the expression is true.
sub wait { my ($self, $js, $timeout) = @_; return wait_for(sub { $self->value($js) }, $timeout // 60, 0.2) }

sub press { my ($self, $key) = @_; return $self->_do(do => 'press', key => $key) }

# A picture of the whole page; full => 0: of what the window shows.
sub shot { my ($self, $file, %o) = @_; return $self->_do(do => 'shot', file => $file, full => $o{full} // 1 ? JSON::PP::true : JSON::PP::false) }

# {errors, requests, violations} of all pages.
sub report { $_[0]->_do(do => 'report') }

sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    @running = grep { $_ != $self } @running;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{to}, qq({"do":"end"}\n);
    close $self->{to};
    return if defined reap($pid, 10);
    kill 'TERM', $pid; # takes the browser with it
    return if defined reap($pid, 5);
    kill 'KILL', $pid;
    reap($pid, 5);
    return;
}

on_exit(sub { $_->end for my @r = @running });

1;
