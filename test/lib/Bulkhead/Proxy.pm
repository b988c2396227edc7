# SPDX-License-Identifier: ISC
# The proxy under test: ini and auth_file in the test's directory, own port, clean exit and clean log checked at the end.
# BH_PROXY names another binary (PgBouncer's, to prove the tests themselves).
package Bulkhead::Proxy;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir free_port spawn reap stop_child run_cmd wait_for slurp spew on_exit);
use Bulkhead::Wire;
use File::Copy ();
use Time::HiRes qw(sleep);

my ($n_proxies, @running, $binary, $kind) = (0);

# BH_TLS=1: TLS on both sides, for tests that are not about TLS themselves.
sub _with_tls {
    my ($self) = @_;
    return unless $ENV{BH_TLS} && ours() && $self->{pg} && !grep { /_tls_/ } keys %{ $self->{set} // {} };
    require Bulkhead::TLS;
    my $ca = Bulkhead::TLS->common;
    my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => "proxy$self->{n}");
    $self->{set} = { %{ $self->{set} // {} }, client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert,
        server_tls_sslmode => 'verify-ca', server_tls_ca_file => $ca->ca };
    $self->{tls_client} = { ca => $ca->ca };
    return;
}

# The binary, copied to where the user postgres may run it.
sub binary {
    return $binary if $binary;
    my $build = $ENV{top_builddir} // '.';
    my ($src) = grep { defined && -x } $ENV{BH_PROXY}, "$build/pgbulkhead", "$build/src/pgbulkhead",
        'pgbulkhead', 'src/pgbulkhead';
    die "no proxy binary: build first, or set BH_PROXY\n" unless $src;
    $binary = work_dir() . '/' . ($src =~ s{.*/}{}r);
    File::Copy::copy($src, $binary) or die "copy $src: $!\n";
    chmod 0755, $binary;
    my ($st, $out, $err) = run_cmd(argv => [$binary, '--version'], timeout => 20);
    $kind = "$out$err" =~ /pgbulkhead/i ? 'pgbulkhead' : 'pgbouncer';
    return $binary;
}

# True when the binary is ours, false for PgBouncer.
sub ours { binary(); return $kind eq 'pgbulkhead' }

# new(pg => Bulkhead::Postgres, databases => {name => "k=v ..."}, users => {name => "k=v"}, auth => {user => secret},
#     set => {key => value}, rules => [lines], functions => [lines], operators => [lines], extra => text, start => 0|1)
# Without databases there is "*" towards pg.
sub new {
    my ($class, %o) = @_;
    my $n = ++$n_proxies;
    my $dir = work_dir() . "/proxy$n";
    mkdir $dir;
    chmod 0755, $dir;
    if ($> == 0) { my @u = getpwnam 'postgres'; chown $u[2], $u[3], $dir }
    my $self = bless { host => '127.0.0.1', %o, n => $n, dir => $dir, port => free_port() }, $class;
    binary();
    $self->{ini} = "$dir/proxy.ini";
    $self->{log} = "$dir/log";
    $self->_with_tls;
    $self->write;
    $self->start if $o{start} // 1;
    return $self;
}

sub port { $_[0]{port} }
sub host { $_[0]{host} }
sub pid { $_[0]{pid} }
sub metrics_port { $_[0]{metrics_port} }

# Every test's database line towards its cluster.
sub server_dsn {
    my ($self) = @_;
    my $pg = $self->{pg} or return '';
    return 'host=' . ($self->{server_host} // $pg->host) . ' port=' . $pg->port;
}

sub ini_text {
    my ($self) = @_;
    my %db = %{ $self->{databases} // { '*' => '' } };
    my $dsn = $self->server_dsn;
    my $ini = "[databases]\n";
    for (sort keys %db) { $ini .= "$_ = " . ($db{$_} =~ /\b(?:host|port)=/ ? '' : "$dsn ") . "$db{$_}\n" }
    if (my $u = $self->{users}) { $ini .= "\n[users]\n" . join '', map { "$_ = $u->{$_}\n" } sort keys %$u }
    my %set = (
        listen_addr => '127.0.0.1', listen_port => $self->{port}, unix_socket_dir => '', auth_type => 'trust',
        auth_file => "$self->{dir}/users.txt", admin_users => 'bhadmin', stats_users => 'bhstats', pool_mode => 'transaction',
        log_connections => 1, log_disconnections => 1, server_login_retry => 1,
        ($ENV{BH_PKT_BUF} ? (pkt_buf => $ENV{BH_PKT_BUF}) : ()),
        (ours() && $ENV{BH_WORKERS} ? (worker_threads => $ENV{BH_WORKERS}) : ()),
        (ours() ? (metrics_listen_addr => '127.0.0.1', metrics_port => ($self->{metrics_port} //= free_port())) : ()),
        %{ $self->{set} // {} },
    );
    $ini .= "\n[pgbouncer]\n";
    for (sort keys %set) {
        next if !defined $set{$_};
        next if !ours() && /^(?:worker_threads|tenant_\w+|metrics_\w+)$/;
        $ini .= "$_ = $set{$_}\n";
    }
    for my $s ([rules => 'tenant_rules'], [functions => 'tenant_functions'], [operators => 'tenant_operators']) {
        my $l = $self->{ $s->[0] } or next;
        $ini .= "\n[$s->[1]]\n" . join '', map { "$_\n" } @$l if ours();
    }
    return $ini . ($self->{extra} // '');
}

sub write {
    my ($self) = @_;
    my %auth = (bhadmin => 'bhadmin', bhstats => 'bhstats', postgres => '', %{ $self->{auth} // {} });
    spew("$self->{dir}/users.txt", join '', map { '"' . s/"/""/gr . '" "' . ($auth{$_} =~ s/"/""/gr) . "\"\n" } sort keys %auth);
    spew($self->{ini}, $self->ini_text);
    chmod 0644, $self->{ini}, "$self->{dir}/users.txt";
    return;
}

sub start {
    my ($self, %o) = @_;
    $self->{pid} = spawn(argv => [binary(), @{ $self->{args} // [] }, $self->{ini}], user => !$self->{as_root}, log => $self->{log}, env => $self->{env} // {});
    my $ok = wait_for(sub {
        return -1 if defined($self->{status} = reap($self->{pid}));
        return eval { my $c = Bulkhead::Wire->new(host => $self->{host}, port => $self->{port}, timeout => 2); $c->abort; 1 };
    }, 30);
    if (!$ok || $ok eq -1) {
        stop_child($self->{pid}, 'KILL', 5) if !$ok;
        delete $self->{pid};
        die "the proxy did not start:\n" . $self->log_text unless $o{may_fail};
        return 0;
    }
    # The port answers before the Unix socket has its rights and does.
    my $dir = $self->{set}{unix_socket_dir} // '';
    wait_for(sub { eval { Bulkhead::Wire->new(host => $dir, port => $self->{port})->abort; 1 } }, 20) if $dir =~ m{^/};
    push @running, $self;
    return $self;
}

# Waits until the proxy has noticed that these servers are gone, as after pg_terminate_backend of all of a user's.
sub lost_servers {
    my ($self, @pids) = @_;
    my %lost = map { $_ => 1 } @pids;
    return wait_for(sub { !grep { $lost{ $_->{remote_pid} } } @{ $self->console('SHOW SERVERS') } });
}

sub log_text { slurp($_[0]{log}) }

# Waits until the log holds the pattern.
sub wait_log {
    my ($self, $re, $timeout) = @_;
    return wait_for(sub { $self->log_text =~ $re }, $timeout);
}

sub alive { my ($self) = @_; return $self->{pid} && !defined reap($self->{pid}) }

# A client connection; dies on a refused login unless no_die => 1.
sub connect {
    my ($self, $db, $user, %o) = @_;
    $o{password} = $self->{auth}{$user} if defined $user && !defined $o{password} && $self->{auth};
    return Bulkhead::Wire->login(host => $self->{host}, port => $self->{port}, ($ENV{BH_TLS} && $self->{tls_client} ? (tls => $self->{tls_client}) : ()),
        user => $user // 'postgres', dbname => $db // 'postgres', %o);
}

# The admin console: rows as hashes, or a result for commands.
sub console {
    my ($self, $sql, %o) = @_;
    my $c = Bulkhead::Wire->login(host => $self->{host}, port => $self->{port}, user => $o{user} // 'bhadmin',
        password => $o{user} // 'bhadmin', dbname => $o{dbname} // 'pgbouncer', timeout => $o{timeout} // 60,
        ($self->{tls_client} ? (tls => $self->{tls_client}, host => 'localhost') : ()));
    my $r = $c->query($sql);
    $c->close;
    die "console: $r->{error}{M}\n" if $r->{error} && !$o{no_die};
    return $r if $o{raw} || $r->{error};
    my $res = $r->{results}[-1];
    return [] unless $res && $res->{cols};
    my @names = map { $_->{name} } @{ $res->{cols} };
    return [map { my $row = $_; +{ map { $names[$_] => $row->[$_] } 0 .. $#names } } @{ $res->{rows} }];
}

# The SHOW POOLS row of a database (and user).
sub pool {
    my ($self, $db, $user) = @_;
    my ($row) = grep { $_->{database} eq $db && (!defined $user || $_->{user} eq $user) } @{ $self->console('SHOW POOLS') };
    return $row;
}

sub reload {
    my ($self) = @_;
    $self->write;
    return $self->console('RELOAD', raw => 1);
}

sub http {
    my ($self, $path, %o) = @_;
    # The port opens a moment after that of the clients.
    my $s = wait_for(sub { eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $self->{metrics_port}, timeout => 10) } }, $self->{pid} && kill(0, $self->{pid}) ? 30 : 5)
        || Bulkhead::Wire->new(host => '127.0.0.1', port => $self->{metrics_port}, timeout => 10);
    my $verb = $o{method} // 'GET';
    $s->send_raw("$verb $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @{ $o{headers} // [] }) . "\r\n");
    $s->wait_eof(10);
    my ($head, $body) = split /\r\n\r\n/, $s->{in}, 2;
    my ($code) = ($head // '') =~ m{^HTTP/1\.\d (\d+)};
    $s->abort;
    if (($head // '') =~ /^transfer-encoding:\s*chunked/im) {
        my ($raw, $out) = ($body, '');
        while ($raw =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//) {
            my $n = hex $1 or last;
            $out .= substr $raw, 0, $n, '';
            $raw =~ s/^\r\n//;
        }
        $body = $out;
    }
    return { code => $code // 0, head => $head // '', body => $body // '' };
}

# One sample of /metrics by name and a part of its labels, or undef.
sub metric {
    my ($self, $name, $labels) = @_;
    my $sum;
    for my $l (split /\n/, $self->http('/metrics')->{body}) {
        next unless $l =~ /^\Q$name\E(?:\{(.*)\})? (\S+)$/;
        my ($have, $v) = ($1 // '', $2);
        next if grep { index(",$have", ",$_") < 0 } split /,(?=\w+=)/, $labels // '';
        $sum = ($sum // 0) + $v;
    }
    return $sum;
}

# Ends the process; gives its wait status (0 is clean), undef when it had to be killed.
sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return $self->{status};
    @running = grep { $_ != $self } @running;
    $self->{status} = stop_child($pid, $signal // (ours() ? 'QUIT' : 'TERM'), 20);
    return $self->{status};
}

# Reports of sanitizers and broken checks in the log, one line each.
sub complaints {
    my ($self) = @_;
    my $t = $self->log_text;
    return grep { /ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|CHECK failed|check failed|SUMMARY: \w+Sanitizer|\w+Sanitizer: failed/ }
        split /\n/, $t;
}



on_exit(sub { for my $p (my @r = @running) { $p->stop } });

1;
