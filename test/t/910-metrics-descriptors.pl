#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Connections to the metrics port take all descriptors: no storm of log lines, no busy loop, and it recovers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 120;

need_ours();
my $p = proxy(databases => { '*' => 'host=127.0.0.1 port=1' }, set => { worker_threads => 1 }, start => 0);
my $bin = Bulkhead::Proxy::binary();
my $small = work_dir() . '/small';
spew($small, "#!/bin/sh\nulimit -n 64\nexec $bin \"\$@\"\n");
chmod 0755, $small;
{
    no warnings 'redefine';
    local *Bulkhead::Proxy::binary = sub { $small };
    $p->start;
}
is($p->http('/healthz')->{code}, 200, 'the port answers');
my @hold = map { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 5) } 1 .. 80;
sleep 1.2;
my ($lines, $cpu) = (($p->log_text =~ tr/\n//), proc_cpu_us($p->pid));
sleep 1.5;
cmp_ok(($p->log_text =~ tr/\n//) - $lines, '<', 100, 'no storm of log lines while no descriptor is left');
cmp_ok(proc_cpu_us($p->pid) - $cpu, '<', 400_000, 'and no busy loop');
$_->abort for @hold;
is(eval { $p->http('/healthz')->{code} } // $@, 200, 'it answers again when they are gone');
finish();
