# SPDX-License-Identifier: ISC
# A raw client of PostgreSQL's protocol 3: sends whatever a test wants and reads messages one by one, every wait bounded.
# Chapter 55 of PostgreSQL's manual describes the messages.
package Bulkhead::Wire;
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256 hmac_sha256);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Open2;
use MIME::Base64 qw(encode_base64 decode_base64);
use Bulkhead::Util qw(now patience);

# ---- connecting ----

# new(host, port, timeout, tls => {ca => FILE, key, cert, direct => bool, args => []}): a socket, nothing sent yet.
sub new {
    my ($class, %o) = @_;
    my $self = bless { host => '127.0.0.1', timeout => 60, %o, in => '', notices => [], notifications => [],
        params => {} }, $class;
    $self->{timeout} = patience($self->{timeout} // 60);
    if (my $tls = $o{tls}) {
        my @argv = ('/usr/bin/openssl', 's_client', '-quiet', ($tls->{direct} ? ('-alpn', 'postgresql') : ('-starttls', 'postgres')), '-connect', "$self->{host}:$o{port}",
            $tls->{ca} ? ('-CAfile', $tls->{ca}, '-verify_return_error') : (),
            $tls->{key} ? ('-key', $tls->{key}, '-cert', $tls->{cert}) : (), @{ $tls->{args} // [] });
        open my $save, '>&', \*STDERR;
        open STDERR, '>', '/dev/null';
        $self->{pid} = open2($self->{rd}, $self->{wr}, @argv);
        open STDERR, '>&', $save;
    } else {
        my $s = $self->{host} =~ m{^/}
            ? IO::Socket::UNIX->new(Peer => "$self->{host}/.s.PGSQL.$o{port}")
            : IO::Socket::INET->new(PeerHost => $self->{host}, PeerPort => $o{port}, Timeout => $self->{timeout});
        $s or die "connect $self->{host}:$o{port}: $!\n";
        $s->setsockopt(6, 1, 1) if $self->{host} !~ m{^/};
        $self->{rd} = $self->{wr} = $s;
    }
    binmode $self->{$_}, ':raw' for qw(rd wr);
    $self->{wr}->autoflush(1);
    return $self;
}

# login(..., user, dbname, password, params => {}): up to ReadyForQuery. Dies with the server's error;
# with no_die => 1 the object has {error} instead.
sub login {
    my ($class, %o) = @_;
    my $self = $class->new(%o);
    $self->startup(%o);
    my $ok = eval { $self->authenticate(%o); 1 };
    return $self if $ok || $o{no_die} && $self->{error};
    my $why = $@ || 'login failed';
    $self->close;
    die $why;
}

sub startup {
    my ($self, %o) = @_;
    my @p;
    push @p, user => $o{user} if defined $o{user};
    push @p, database => $o{dbname} if defined $o{dbname};
    push @p, options => $o{options} if defined $o{options};
    my $params = $o{params} // {};
    push @p, map { ($_ => $params->{$_}) } sort keys %$params;
    my $body = pack('N', $o{protocol} // 196608) . join('', map { _bytes($_) . "\0" } @p) . "\0";
    return $self->send_raw(pack('N', 4 + length $body) . $body);
}

sub _bytes {
    my ($t) = @_;
    utf8::encode($t) if utf8::is_utf8($t);
    return $t;
}

sub authenticate {
    my ($self, %o) = @_;
    my $scram;
    while (1) {
        my $m = $self->read_msg;
        if (!$m) { $self->{error} = { M => 'connection closed during login', C => '' }; die "connection closed during login\n" }
        my ($t, $b) = @$m;
        if ($t eq 'E') {
            $self->{error} = decode_fields($b);
            die "login failed: $self->{error}{C} $self->{error}{M}\n";
        } elsif ($t eq 'R') {
            my $code = unpack 'N', $b;
            push @{ $self->{auth} }, $code;
            my $pw = _bytes($o{password} // '');
            if ($code == 0) { }
            elsif ($code == 3) { $self->send_msg('p', "$pw\0") }
            elsif ($code == 5) {
                my $salt = substr $b, 4, 4;
                $self->send_msg('p', 'md5' . md5_hex(md5_hex($pw . _bytes($o{user})) . $salt) . "\0");
            } elsif ($code == 10) {
                my @mechs = split /\0/, substr $b, 4;
                $self->{mechanisms} = \@mechs;
                my $nonce = $o{nonce} // encode_base64(join('', map { chr int rand 256 } 1 .. 18), '');
                $scram = { bare => "n=,r=$nonce" };
                my $first = "n,,$scram->{bare}";
                $self->send_msg('p', "SCRAM-SHA-256\0" . pack('N', length $first) . $first);
            } elsif ($code == 11) {
                my $server = substr $b, 4;
                my %f = map { /^(.)=(.*)$/s } split /,/, $server;
                my $salted = _pbkdf2($pw, decode_base64($f{s}), $f{i});
                my $final = "c=biws,r=$f{r}";
                my $msg = "$scram->{bare},$server,$final";
                my $ckey = hmac_sha256('Client Key', $salted);
                my $proof = $ckey ^ hmac_sha256($msg, sha256($ckey));
                $scram->{server} = encode_base64(hmac_sha256($msg, hmac_sha256('Server Key', $salted)), '');
                $self->send_msg('p', "$final,p=" . encode_base64($proof, ''));
            } elsif ($code == 12) {
                my ($v) = substr($b, 4) =~ /v=([^,]*)/;
                die "wrong server signature\n" if ($v // '') ne $scram->{server};
                $self->{scram_ok} = 1;
            } else { die "authentication request $code not known\n" }
        } elsif ($t eq 'K') {
            $self->{cancel_body} = $b;
            @$self{qw(pid_key secret)} = unpack 'NN', $b;
        } elsif ($t eq 'v') {
            my ($minor, $cnt) = unpack 'NN', $b;
            $self->{negotiated} = { minor => $minor, names => [split /\0/, substr $b, 8] };
        } elsif ($t eq 'Z') {
            $self->{status} = $b;
            return $self;
        } elsif ($t !~ /^[NS]$/) { die "message '$t' during login\n" }
    }
}

my %derived; # the corpus logs in with few passwords, thousands of times

sub _pbkdf2 {
    my ($pw, $salt, $rounds) = @_;
    return $derived{"$rounds $salt $pw"} //= _derive($pw, $salt, $rounds);
}

sub _derive {
    my ($pw, $salt, $rounds) = @_;
    my $u = hmac_sha256($salt . pack('N', 1), $pw);
    my $r = $u;
    for (2 .. $rounds) { $u = hmac_sha256($u, $pw); $r ^= $u }
    return $r;
}

# The CancelRequest of this connection, on one of its own.
sub cancel {
    my ($self, %o) = @_;
    my $c = ref($self)->new(host => $o{host} // $self->{host}, port => $o{port} // $self->{port}, timeout => 5,
        ($o{tls} // ($ENV{BH_TLS} ? $self->{tls} : undef)) ? (tls => $o{tls} // $self->{tls}) : ());
    my $key = $o{body} // $self->{cancel_body};
    my $b = pack('N', 80877102) . $key;
    $c->send_raw(pack('N', 4 + length $b) . $b);
    $c->wait_eof(10);
    $c->close;
    return;
}

# ---- sending ----

sub send_raw {
    my ($self, $bytes) = @_;
    my $off = 0;
    my $until = now() + $self->{timeout};
    local $SIG{PIPE} = 'IGNORE';
    my $sel = IO::Select->new($self->{wr});
    while ($off < length $bytes) {
        die "timeout while sending\n" unless $sel->can_write($until - now() > 0 ? $until - now() : 0);
        my $n = syswrite $self->{wr}, $bytes, length($bytes) - $off > 65536 ? 65536 : length($bytes) - $off, $off;
        if (!defined $n) { $self->{send_error} = "$!"; return $self }
        $off += $n;
    }
    return $self;
}

# Messages between cork and uncork go out in one write.
sub cork { $_[0]{corked} = ''; return $_[0] }

sub uncork {
    my ($self) = @_;
    my $b = delete $self->{corked};
    return $self->send_raw($b // '');
}

sub send_msg {
    my ($self, $type, $body) = @_;
    my $m = $type . pack('N', 4 + length $body) . $body;
    if (defined $self->{corked}) { $self->{corked} .= $m; return $self }
    return $self->send_raw($m);
}

sub send_query { $_[0]->send_msg('Q', _bytes($_[1]) . "\0") }
sub sync { $_[0]->send_msg('S', '') }
sub flush { $_[0]->send_msg('H', '') }

sub parse {
    my ($self, $name, $sql, @types) = @_;
    return $self->send_msg('P', _bytes($name) . "\0" . _bytes($sql) . "\0" . pack('nN*', scalar @types, @types));
}

# bind(portal, statement, [values], [parameter formats], [result formats]); undef is NULL.
sub bind {
    my ($self, $portal, $stmt, $values, $formats, $results) = @_;
    my @v = map { _value($_) } @{ $values // [] };
    return $self->send_msg('B', _bytes($portal // '') . "\0" . _bytes($stmt // '') . "\0"
            . pack('n*', scalar @{ $formats // [] }, @{ $formats // [] }) . pack('n', scalar @v)
            . join('', map { defined $_ ? pack('N', length $_) . $_ : pack('N', 0xFFFFFFFF) } @v)
            . pack('n*', scalar @{ $results // [] }, @{ $results // [] }));
}

# A value of a case file: text, or {int4}, {int8}, {int2}, {hex}, {uuid} in binary.
sub _value {
    my ($v) = @_;
    return undef unless defined $v;
    if (ref $v eq 'HASH') {
        my ($k) = keys %$v;
        my $x = $v->{$k};
        return pack 'n', $x & 0xFFFF if $k eq 'int2';
        return pack 'N', $x & 0xFFFFFFFF if $k eq 'int4';
        return pack 'q>', $x if $k eq 'int8';
        return pack 'H*', $x =~ s/[-\s]//gr if $k eq 'hex' || $k eq 'uuid';
        die "value kind $k\n";
    }
    return _bytes("$v");
}

sub describe { $_[0]->send_msg('D', $_[1] . _bytes($_[2] // '') . "\0") }
sub close_name { $_[0]->send_msg('C', $_[1] . _bytes($_[2] // '') . "\0") }
sub execute { $_[0]->send_msg('E', _bytes($_[1] // '') . "\0" . pack('N', $_[2] // 0)) }
sub copy_data { $_[0]->send_msg('d', $_[1]) }
sub copy_done { $_[0]->send_msg('c', '') }
sub copy_fail { $_[0]->send_msg('f', "$_[1]\0") }
sub terminate { $_[0]->send_msg('X', '') }

# ---- reading ----

# Waits for at least n bytes; 0 at the end of the stream, dies after the time-out.
sub _fill {
    my ($self, $n, $timeout) = @_;
    my $until = now() + patience($timeout // $self->{timeout});
    my $sel = IO::Select->new($self->{rd});
    while (length $self->{in} < $n) {
        return 0 if $self->{eof};
        my $left = $until - now();
        die "timeout waiting for the other side\n" unless $sel->can_read($left > 0 ? $left : 0);
        my $got = sysread $self->{rd}, $self->{in}, 65536, length $self->{in};
        if (!$got) { $self->{eof} = 1; return 0 }
    }
    return 1;
}

sub read_bytes {
    my ($self, $n, $timeout) = @_;
    $self->_fill($n, $timeout) or return undef;
    return substr $self->{in}, 0, $n, '';
}

# [type, body], undef at the end of the stream. Notices, notifications and parameters are also noted on the side.
sub read_msg {
    my ($self, $timeout) = @_;
    $self->_fill(5, $timeout) or return undef;
    my ($t, $len) = unpack 'a N', $self->{in};
    die sprintf("bad frame: type %02x length %u\n", ord $t, $len) if $len < 4 || $len > 1 << 30;
    $self->_fill(1 + $len, $timeout) or return undef;
    my $m = substr $self->{in}, 0, 1 + $len, '';
    my $b = substr $m, 5;
    if ($t eq 'S') { my ($k, $v) = split /\0/, $b; $self->{params}{$k} = $v; push @{ $self->{param_log} }, $k }
    elsif ($t eq 'N') { push @{ $self->{notices} }, decode_fields($b) }
    elsif ($t eq 'A') { my ($p) = unpack 'N', $b; push @{ $self->{notifications} }, [$p, (split /\0/, substr($b, 4), -1)[0, 1]] }
    elsif ($t eq 'Z') { $self->{status} = $b }
    return [$t, $b];
}

# Messages up to and with the wanted type, or the end.
sub read_until {
    my ($self, $type, $timeout) = @_;
    my @m;
    while (my $m = $self->read_msg($timeout)) {
        push @m, $m;
        last if $m->[0] =~ /^[$type]$/;
    }
    return \@m;
}

# True when a message can be read within so many seconds.
sub readable {
    my ($self, $seconds) = @_;
    return 1 if length $self->{in};
    return IO::Select->new($self->{rd})->can_read($seconds) ? 1 : 0;
}

# All bytes until the other side closes, or false after the time-out.
sub wait_eof {
    my ($self, $timeout) = @_;
    my $until = now() + patience($timeout // $self->{timeout});
    while (!$self->{eof}) {
        my $left = $until - now();
        return 0 if $left <= 0;
        eval { $self->_fill(length($self->{in}) + 1, $left); 1 } or return 0;
    }
    return 1;
}

# A letter per message, as in "1 2 T D D C Z".
sub types { join '', map { $_->[0] } @{ $_[1] } }

sub decode_fields {
    my ($b) = @_;
    my %f;
    for my $p (split /\0/, $b) { $f{ substr $p, 0, 1 } = substr $p, 1 if length $p }
    return \%f;
}

sub decode_row_description {
    my ($b) = @_;
    my $n = unpack 'n', $b;
    my $off = 2;
    my @c;
    for (1 .. $n) {
        my $end = index $b, "\0", $off;
        my $name = substr $b, $off, $end - $off;
        my ($rel, $att, $type, $len, $mod, $fmt) = unpack 'N n N n N n', substr $b, $end + 1, 18;
        push @c, { name => $name, rel => $rel, att => $att, type => $type, format => $fmt };
        $off = $end + 19;
    }
    return \@c;
}

sub decode_row {
    my ($b) = @_;
    my $n = unpack 'n', $b;
    my $off = 2;
    my @v;
    for (1 .. $n) {
        my $len = unpack 'l>', substr $b, $off, 4;
        $off += 4;
        if ($len < 0) { push @v, undef; next }
        push @v, substr $b, $off, $len;
        $off += $len;
    }
    return \@v;
}

# Messages into {results => [{cols, rows, tag}], error, errors, status, copy => bytes}.
sub digest {
    my ($msgs) = @_;
    my %r = (results => [], errors => [], status => '', notices => []);
    my $cur;
    for my $m (@$msgs) {
        my ($t, $b) = @$m;
        if ($t eq 'T') { $cur = { cols => decode_row_description($b), rows => [] } }
        elsif ($t eq 'D') { push @{ ($cur //= { rows => [] })->{rows} }, decode_row($b) }
        elsif ($t eq 'C') { ($cur //= { rows => [] })->{tag} = $b =~ s/\0$//r; push @{ $r{results} }, $cur; undef $cur }
        elsif ($t eq 's') { ($cur //= { rows => [] })->{tag} = 'suspended'; push @{ $r{results} }, $cur; undef $cur }
        elsif ($t eq 'I') { push @{ $r{results} }, { rows => [], tag => '' }; undef $cur }
        elsif ($t eq 'd') { push @{ ($cur //= { rows => [] })->{copy} }, $b }
        elsif ($t eq 'E') { my $e = decode_fields($b); push @{ $r{errors} }, $e; $r{error} //= $e; undef $cur }
        elsif ($t eq 'N') { push @{ $r{notices} }, decode_fields($b) }
        elsif ($t eq 'Z') { $r{status} = $b }
    }
    return \%r;
}

# One simple Query, up to ReadyForQuery. COPY FROM STDIN is fed from $o{copy} (a list of blocks) or failed.
sub query {
    my ($self, $sql, %o) = @_;
    $self->send_query($sql);
    my @all;
    while (1) {
        my $m = $self->read_until('ZGE', $o{timeout});
        push @all, @$m;
        last if !@$m;
        my $t = $m->[-1][0];
        last if $t eq 'Z';
        if ($t eq 'G') {
            if ($o{copy}) { $self->copy_data($_) for @{ $o{copy} }; $self->copy_done }
            else { $self->copy_fail('no data given') }
        }
        last if $self->{eof};
    }
    my $r = digest(\@all);
    $r->{msgs} = \@all;
    $r->{eof} = 1 if $self->{eof} && $r->{status} eq '';
    return $r;
}

# Parse, Bind, Describe, Execute, Sync in one write.
sub ext {
    my ($self, $sql, $params, %o) = @_;
    $self->cork;
    $self->parse($o{name} // '', $sql, @{ $o{types} // [] });
    $self->bind('', $o{name} // '', $params, $o{formats}, $o{results});
    $self->describe('P', '');
    $self->execute('', $o{max} // 0);
    $self->sync;
    $self->uncork;
    return $self->finish(%o);
}

# Reads up to ReadyForQuery and digests.
sub finish {
    my ($self, %o) = @_;
    my $m = $self->read_until('Z', $o{timeout});
    my $r = digest($m);
    $r->{msgs} = $m;
    $r->{eof} = 1 if $self->{eof} && $r->{status} eq '';
    return $r;
}

# The single value, dies on an error.
sub value {
    my ($self, $sql) = @_;
    my $r = $self->query($sql);
    die "query failed: $r->{error}{C} $r->{error}{M}\n" if $r->{error};
    die "connection closed\n" if $r->{eof};
    @{ $r->{results} } or die "no result\n";
    my $row = $r->{results}[-1]{rows}[0];
    return $row ? $row->[0] : undef;
}

sub close {
    my ($self) = @_;
    return if $self->{closed}++ || !$self->{wr};
    eval { local $SIG{PIPE} = 'IGNORE'; $self->{timeout} = 1; $self->terminate unless $self->{eof}; 1 };
    CORE::close $self->{wr};
    CORE::close $self->{rd} if $self->{rd} != $self->{wr};
    if ($self->{pid}) { kill 'TERM', $self->{pid}; waitpid $self->{pid}, 0 }
    return;
}

# Leaves without a word, as a crashed client does.
sub abort {
    my ($self) = @_;
    return if $self->{closed}++ || !$self->{wr};
    $self->{wr}->setsockopt(SOL_SOCKET(), SO_LINGER(), pack 'ii', 1, 0) if $self->{wr}->can('setsockopt');
    CORE::close $self->{wr};
    CORE::close $self->{rd} if $self->{rd} != $self->{wr};
    if ($self->{pid}) { kill 'KILL', $self->{pid}; waitpid $self->{pid}, 0 }
    return;
}

use Socket qw(SOL_SOCKET SO_LINGER);

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->close unless $self->{closed};
}

1;
