# SPDX-License-Identifier: ISC
# A throwaway PostgreSQL: own directory, own port, trust or passwords, TLS if asked for.
package Bulkhead::Postgres;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir free_port spawn reap stop_child run_cmd wait_for slurp spew pg_bin on_exit);
use Bulkhead::Wire;

my $n_clusters = 0;
my @running;

# new(conf => {key => value}, hba => [lines], tls => Bulkhead::TLS, auth => 'trust' | 'scram-sha-256' | 'md5' | 'password')
sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, port => free_port(), dir => work_dir() . '/pg' . ++$n_clusters, host => '127.0.0.1' }, $class;
    $self->{log} = "$self->{dir}.log";
    $self->{user} = 'postgres';
    $self->_make;
    $self->start unless $o{no_start};
    return $self;
}

sub port { $_[0]{port} }
sub host { $_[0]{host} }
sub dir { $_[0]{dir} }

# initdb once per run: the copy is many times faster.
sub _template {
    my $dir = ($ENV{BH_TEMPLATE} // work_dir() . '/template');
    return $dir if -e "$dir/done";
    my ($st, $out, $err) = run_cmd(argv => [pg_bin() . '/initdb', '-D', $dir, '-U', 'postgres', '-A', 'trust',
        '-N', '-E', 'UTF8', '--locale=C.UTF-8'], user => 1, timeout => 400);
    die "initdb: $err$out\n" if $st;
    spew("$dir/done", '');
    return $dir;
}

sub _make {
    my ($self) = @_;
    my $template = _template();
    my ($st, undef, $err) = run_cmd(argv => ['cp', '-a', $template, $self->{dir}], user => 1);
    die "cp: $err\n" if $st;
    unlink "$self->{dir}/done";
    my %conf = (
        listen_addresses => '127.0.0.1', port => $self->{port}, unix_socket_directories => work_dir(),
        fsync => 'off', synchronous_commit => 'off', full_page_writes => 'off', shared_buffers => '32MB',
        max_connections => 100, log_min_messages => 'warning', log_line_prefix => '%m [%p] %u@%d ', timezone => 'UTC',
        lc_messages => 'C', max_wal_size => '256MB', autovacuum => 'off', jit => 'off',
        dynamic_shared_memory_type => 'mmap', # /dev/shm is small in some containers
        %{ $self->{conf} // {} },
    );
    require Bulkhead::TLS if $ENV{BH_TLS};
    if (my $tls = $self->{tls} // ($ENV{BH_TLS} ? Bulkhead::TLS->common : undef)) {
        my ($key, $cert) = $tls->cert('postgres-server', san => 'DNS:localhost,IP:127.0.0.1');
        $conf{ssl} = 'on';
        $conf{ssl_key_file} = $key;
        $conf{ssl_cert_file} = $cert;
        $conf{ssl_ca_file} = $tls->ca;
    }
    open my $f, '>>', "$self->{dir}/postgresql.conf" or die "$self->{dir}: $!\n";
    print $f map { "$_ = '" . ($conf{$_} =~ s/'/''/gr) . "'\n" } sort keys %conf;
    close $f;
    my $auth = $self->{auth} // 'trust';
    my @hba = @{ $self->{hba} // ["host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 $auth",
        "host replication all 127.0.0.1/32 $auth"] };
    spew("$self->{dir}/pg_hba.conf", join '', map { "$_\n" } 'local all all trust', @hba);
    return;
}

sub start {
    my ($self) = @_;
    $self->{pid} = spawn(argv => [pg_bin() . '/postgres', '-D', $self->{dir}], user => 1, log => $self->{log},
        group => 1);
    my $ok = wait_for(sub {
        return -1 if defined(my $st = reap($self->{pid}));
        my @l = split /\n/, slurp("$self->{dir}/postmaster.pid");
        return @l >= 8 && $l[7] =~ /ready/;
    }, 180);
    die "PostgreSQL did not start:\n" . slurp($self->{log}) unless $ok && $ok ne -1;
    push @running, $self;
    return $self;
}

# mode: fast (default), immediate, smart
sub stop {
    my ($self, $mode) = @_;
    return unless $self->{pid};
    my $sig = { fast => 'INT', immediate => 'QUIT', smart => 'TERM' }->{ $mode // 'fast' };
    stop_child($self->{pid}, $sig, 30);
    delete $self->{pid};
    @running = grep { $_ != $self } @running;
    return;
}

sub restart { my ($self, $mode) = @_; $self->stop($mode); return $self->start }

# Returns when new connections have the files as they are now.
sub reload {
    my ($self) = @_;
    my $loaded = sub { eval { $self->value('SELECT pg_conf_load_time()') } // '' };
    my $was = $loaded->();
    kill 'HUP', $self->{pid};
    return wait_for(sub { my $now = $loaded->(); $now ne '' && $now ne $was });
}

# Waits until so many queries run (1) whose text is LIKE this one. A cancel request that comes before its query has begun is lost.
sub runs {
    my ($self, $like, $n) = @_;
    return wait_for(sub { $self->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '$like' AND state = 'active' AND pid <> pg_backend_pid()") >= ($n // 1) });
}

# A raw connection as the superuser (or as given).
sub connect {
    my ($self, $db, %o) = @_;
    return Bulkhead::Wire->login(host => $self->{host}, port => $self->{port}, user => 'postgres',
        dbname => $db // 'postgres', %o);
}

# Runs SQL as the superuser; dies on errors; gives the rows of the last result.
sub sql {
    my ($self, $sql, $db, %o) = @_;
    my $c = $self->connect($db, timeout => 60, %o);
    my $r = $c->query($sql);
    $c->close;
    die "SQL failed: $r->{error}{M}\n" if $r->{error};
    my $last = $r->{results}[-1] or return [];
    return $last->{rows} // [];
}

# The single value of a query.
sub value {
    my ($self, $sql, $db) = @_;
    my $rows = $self->sql($sql, $db);
    return @$rows ? $rows->[0][0] : undef;
}

# A file through psql; dies on the first error.
sub load {
    my ($self, $db, @files) = @_;
    my ($st, $out, $err) = run_cmd(argv => [_psql(), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $self->{host}, '-p',
        $self->{port}, '-U', 'postgres', '-d', $db, map { ('-f', $_) } @files], timeout => 400);
    die "psql: $err\n" if $st;
    return;
}

sub _psql { -x '/usr/bin/psql' ? '/usr/bin/psql' : 'psql' }

# Ends one backend the hard way.
sub kill_backend {
    my ($self, $pid) = @_;
    return $self->sql("SELECT pg_terminate_backend($pid)");
}

sub dsn {
    my ($self, $db) = @_;
    return "host=$self->{host} port=$self->{port} user=postgres dbname=" . ($db // 'postgres');
}

on_exit(sub { my @r = reverse @running; $_->stop("immediate") for @r });

1;
