# SPDX-License-Identifier: ISC
# Debian's Prometheus on a port of its own: scrapes every second, loads copies of rules, answers queries.
package Bulkhead::Prometheus;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir free_port spawn reap stop_child wait_for slurp spew on_exit);
use HTTP::Tiny;
use JSON::PP ();

my ($n, @running) = (0);

# new(targets => { job => ["host:port", ...] }, rules => { file name => text }, external_labels => { name => value },
#     scrape => more lines of each scrape_config, or { job => lines })
sub new {
    my ($class, %o) = @_;
    my $dir = work_dir() . '/prometheus' . ++$n;
    mkdir $_ for $dir, "$dir/data";
    if ($> == 0) { my @u = getpwnam 'postgres'; chown $u[2], $u[3], $dir, "$dir/data" }
    my $self = bless { dir => $dir, port => free_port(), log => "$dir/log" }, $class;
    my $yml = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n";
    if (my $l = $o{external_labels}) { $yml .= "  external_labels:\n" . join '', map { "    $_: '$l->{$_}'\n" } sort keys %$l }
    $yml .= 'rule_files: [' . join(', ', sort keys %{ $o{rules} // {} }) . "]\nscrape_configs:\n";
    for my $job (sort keys %{ $o{targets} }) {
        $yml .= "  - job_name: $job\n" . join('', map { "    $_\n" } split /\n/, (ref $o{scrape} ? $o{scrape}{$job} : $o{scrape}) // '')
            . "    static_configs:\n      - targets: [" . join(', ', map { "'$_'" } @{ $o{targets}{$job} }) . "]\n";
    }
    spew("$dir/prometheus.yml", $yml);
    spew("$dir/$_", $o{rules}{$_}) for keys %{ $o{rules} // {} };
    $self->{pid} = spawn(argv => ['/usr/bin/prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data", "--web.listen-address=127.0.0.1:$self->{port}"],
        user => 1, log => $self->{log}, dir => $dir);
    push @running, $self;
    my $up = wait_for(sub {
        return -1 if defined reap($self->{pid});
        return HTTP::Tiny->new(timeout => 2)->get("http://127.0.0.1:$self->{port}/-/ready")->{success};
    }, 180, 0.1);
    die "Prometheus did not start:\n" . slurp($self->{log}) if !$up || $up eq -1;
    return $self;
}

# The field data of an answer of the HTTP API; dies on an error with its text.
sub api {
    my ($self, $path, %args) = @_;
    my $h = HTTP::Tiny->new(timeout => 60);
    my $r = $h->get("http://127.0.0.1:$self->{port}/api/v1/$path" . (%args ? '?' . $h->www_form_urlencode(\%args) : ''));
    my $j = eval { JSON::PP::decode_json($r->{content}) } or die "Prometheus: $r->{status} $r->{content}\n";
    die "Prometheus: $j->{error}\n" if $j->{status} ne 'success';
    return $j->{data};
}

# The samples of an instant query: hashes with labels (metric) and value.
sub query {
    my ($self, $expr) = @_;
    my $d = $self->api('query', query => $expr);
    return [{ metric => {}, value => $d->{result}[1] }] if $d->{resultType} eq 'scalar';
    return [map { { metric => $_->{metric}, value => $_->{value}[1] } } @{ $d->{result} }];
}

# Alerts of a name that fire now.
sub firing {
    my ($self, $name) = @_;
    return grep { $_->{labels}{alertname} eq $name && $_->{state} eq 'firing' } @{ $self->api('alerts')->{alerts} };
}

# All rules of all groups.
sub rules { return map { @{ $_->{rules} } } @{ $_[0]->api('rules')->{groups} } }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    stop_child($pid, 'TERM', 20);
    return;
}

on_exit(sub { $_->stop for splice @running });

1;
