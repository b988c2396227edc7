# SPDX-License-Identifier: ISC
# A certificate authority for one test, by the openssl program.
package Bulkhead::TLS;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir run_cmd spew);

my $n = 0;

sub new {
    my ($class, %o) = @_;
    my $dir = work_dir() . '/tls' . ++$n;
    mkdir $dir;
    chmod 0755, $dir;
    my $self = bless { dir => $dir, name => $o{name} // "Test CA $n", serial => 0 }, $class;
    _openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30), '-subj',
        "/CN=$self->{name}", '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem",
        '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
    chmod 0644, "$dir/ca.pem";
    return $self;
}

# The one of all clusters and proxies with BH_TLS=1.
my $common;
sub common { return $common //= $_[0]->new(name => 'Common CA') }

sub _openssl {
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/openssl', @_], timeout => 60);
    die "openssl @_: $err\n" if $st;
    return $out;
}

sub ca { "$_[0]{dir}/ca.pem" }
sub dir { $_[0]{dir} }

# (key file, certificate file) for a common name; san => 'DNS:localhost,IP:127.0.0.1', days => 30, file => base name,
# subject => '/OU=a/CN=b';
# client => 1 leaves the key to the caller's user, as libpq demands.
# Calling it again with the same file replaces both.
sub cert {
    my ($self, $cn, %o) = @_;
    my $base = "$self->{dir}/" . ($o{file} // $cn =~ s/[^A-Za-z0-9_-]/_/gr);
    my $ext = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n";
    $ext .= "subjectAltName=$o{san}\n" if $o{san};
    spew("$base.ext", $ext);
    _openssl(qw(req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -utf8), '-subj', $o{subject} // "/CN=$cn",
        '-keyout', "$base.new", '-out', "$base.csr");
    _openssl('x509', '-req', '-in', "$base.csr", '-CA', "$self->{dir}/ca.pem", '-CAkey', "$self->{dir}/ca.key",
        '-set_serial', 1000 + ++$self->{serial}, '-days', $o{days} // 30, '-extfile', "$base.ext",
        '-out', "$base.crt");
    chmod 0600, "$base.new";
    if ($> == 0 && !$o{client}) {
        my @u = getpwnam('postgres');
        chown $u[2], $u[3], "$base.new";
    }
    rename "$base.new", "$base.key";
    chmod 0644, "$base.crt";
    return ("$base.key", "$base.crt");
}

1;
