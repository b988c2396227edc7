#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Texts that users, monitors and parsers of logs search for: each is provoked, and found in the client's error or in the
# log. Those of authentication, TLS and hand-over have tests of their own (doc/migrating/texts.md).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;
use IO::Socket::INET;

need_ours();
my $pg = pg();
$pg->sql("CREATE ROLE u LOGIN PASSWORD 'pw'; CREATE ROLE v LOGIN PASSWORD 'pw'; CREATE ROLE gone LOGIN PASSWORD 'other'");
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my $where = 'port=' . $pg->port;
my ($relay_port, $go) = (free_port(), work_dir() . '/never');
my $relay = spawn(argv => [$^X, "$FindBin::Bin/clients/stall_cancels.pl", $relay_port, $pg->port, $go], log => work_dir() . '/relay.log');
wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $relay_port) }, 10) or die "no relay\n";
my %db = (test => 'dbname=postgres', missing => 'dbname=nosuchdb', dead => 'host=127.0.0.1 port=1 dbname=x', unknown => 'host=no.such.invalid dbname=x', mute => 'host=127.0.0.1 port=' . $mute->sockport . ' dbname=x',
    small => 'dbname=postgres pool_size=1 reserve_pool_size=1', limited => 'dbname=postgres max_db_connections=1', few => 'dbname=postgres max_db_client_connections=1', off => 'dbname=postgres',
    moving => 'dbname=postgres', slow => "host=127.0.0.1 port=$relay_port dbname=postgres", stmt => 'dbname=postgres pool_mode=statement', tiny => 'dbname=postgres pool_size=1');
my $p = proxy(pg => $pg, auth => { u => 'pw', v => 'pw', gone => 'pw' }, databases => { %db, '*' => 'dbname=postgres' }, users => { v => 'max_user_client_connections=1', u => '' },
    set => { auth_type => 'scram-sha-256', server_login_retry => 1, server_connect_timeout => 60, query_wait_timeout => 60, query_wait_notify => 1, reserve_pool_timeout => 0,
        login_notify_message => 'Welcome to the pool', cancel_wait_timeout => 1, max_client_conn => 40, dns_nxdomain_ttl => 1 });
my $try = sub {
    my ($d, $user, %o) = @_;
    my $c = eval { $p->connect($d, $user // 'u', no_die => 1, %o) };
    return $c ? $c->{error} ? "$c->{error}{S} $c->{error}{M}" : $c : "died: $@";
};
# What the client is told, and what the log says of it.
my $refused = sub {
    my ($name, $want, @how) = @_;
    my $got = $try->(@how);
    is(ref $got ? 'logged in' : $got =~ s/^FATAL //r, $want, "client: $name") if !ref $want;
    like(ref $got ? 'logged in' : $got, $want, "client: $name") if ref $want;
    my $re = ref $want ? qr/.*$want/ : qr/\Q$want\E/;
    ok($p->wait_log(qr/closing because: $re.* \(age=\d+s\)/, 5), "log: closing because: $name");
};
my $logged = sub { my ($re, $name) = @_; ok($p->wait_log($re, 15), "log: " . ($name // "$re")) };

# ---- logins ----
my $c = $p->connect('test', 'u');
is($c->{notices}[0]{M}, 'Welcome to the pool', 'login_notify_message, word for word');
$c->query('SELECT 1');
my $line = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG/;
$logged->(qr{^$line C-0x[0-9a-f]+: test/u\@127\.0\.0\.1:\d+ login attempt: db=test user=u tls=no$}m, 'the login line');
$logged->(qr{^$line S-0x[0-9a-f]+: test/u\@127\.0\.0\.1:\d+ new connection to server \(from 127\.0\.0\.1:\d+\)$}m, 'new connection to server');
$logged->(qr{C-0x[0-9a-f]+: \(nodb\)/\(nouser\)\@127\.0\.0\.1:\d+ closing because: }, '(nodb)/(nouser)') if eval { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port)->close; 1 };
$refused->('password', 'SASL authentication failed', 'test', 'u', password => 'wrong');
$refused->('unknown user', 'SASL authentication failed', 'test', 'nobody', password => 'x');
$logged->(qr/no such user: nobody/);
$p->connect('autodb', 'u')->query('SELECT 1');
$logged->(qr/registered new auto-database/);
$refused->('unsupported startup parameter', 'unsupported startup parameter: foo', 'test', 'u', params => { foo => 1 });
$refused->('... in options', 'unsupported startup parameter in options: foo', 'test', 'u', options => '-c foo=1');
$refused->('options of another kind', "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed", 'test', 'u', options => '-z');
$p->console('DISABLE off', raw => 1);
$refused->('a disabled database', 'database "off" is disabled', 'off');
$refused->('no right to the console', 'not allowed', 'pgbouncer', 'u');

# ---- servers that cannot be had ----
$refused->('the server\'s own words', 'database "nosuchdb" does not exist', 'missing');
$logged->(qr/WARNING S-\S+ missing\/u\@\S+ server login failed: FATAL database "nosuchdb" does not exist/);
$logged->(qr/S-\S+ missing\/u\@\S+ closing because: login failed \(age/);
$refused->('and at once, the next time', 'database "nosuchdb" does not exist', 'missing');
$refused->('nobody listens', qr/connect failed: Connection refused/, 'dead');
$refused->('no such host', qr/server DNS lookup failed: no\.such\.invalid/, 'unknown');
$p->console('SET server_connect_timeout = 1', raw => 1);
$refused->('a server that says nothing', qr/connect timeout/, 'mute');
$p->console('SET server_connect_timeout = 60', raw => 1);
sleep 1.2; # server_login_retry
{
    my $pid = fork // die;
    if (!$pid) { while (my $s = $mute->accept) { sysread $s, my $x, 8; close $s } POSIX::_exit(0) }
    $refused->('a server that hangs up', qr/server conn crashed\?/, 'mute');
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# ---- limits ----
my $f1 = $p->connect('few', 'u');
$refused->('max_db_client_connections', qr/max_db_client_connections/, 'few');
my $v1 = $p->connect('test', 'v');
$refused->('max_user_client_connections', qr/max_user_client_connections/, 'test', 'v');
$p->console('SET max_client_conn = 1', raw => 1);
$refused->('max_client_conn', qr/max_client_conn/, 'test');
$p->console('SET max_client_conn = 40', raw => 1);
my $s1 = $p->connect('small', 'u');
$s1->query('BEGIN');
my $s2 = $p->connect('small', 'u');
$s2->query('BEGIN');
$logged->(qr/taking connection from reserve_pool/);
my $s3 = $p->connect('small', 'u');
$p->console('SET query_wait_timeout = 3', raw => 1);
my $r = $s3->query('SELECT 1', timeout => 10);
is($r->{notices}[0]{M}, 'No server connection available in postgres backend, client being queued', 'a notice after query_wait_notify');
is("$r->{error}{S} $r->{error}{M}", 'FATAL query_wait_timeout', 'client: query_wait_timeout');
$logged->(qr/closing because: query_wait_timeout/);
$p->console('SET query_wait_timeout = 60', raw => 1);
$_->query('COMMIT') for $s1, $s2;
my $e1 = $p->connect('limited', 'u');
$e1->query('SELECT 1');
$_->close for $f1, $v1, $s1, $s2, $s3;

# ---- time limits ----
my $killed = sub {
    my ($key, $text, $do) = @_;
    my $x = $p->connect('test', 'u');
    $p->console("SET $key = 2", raw => 1);
    my $e = $do->($x);
    $p->console("SET $key = 0", raw => 1);
    is($e, $text, "client: $key");
    $logged->(qr/closing because: $text \(age=\d+s\)/, "closing because: $text");
};
my $wait_error = sub { my ($x) = @_; my $m = $x->read_until('E', 10); return @$m && $m->[-1][0] eq 'E' ? Bulkhead::Wire::decode_fields($m->[-1][1])->{M} : 'nothing' };
$killed->('query_timeout', 'query timeout', sub { my ($x) = @_; $x->query('SELECT pg_sleep(30)', timeout => 15)->{error}{M} });
$killed->('idle_transaction_timeout', 'idle transaction timeout', sub { my ($x) = @_; $x->query('BEGIN'); $wait_error->($x) });
$killed->('transaction_timeout', 'transaction timeout', sub { my ($x) = @_; $x->query('BEGIN'); $x->send_query('SELECT pg_sleep(30)'); $wait_error->($x) });
$killed->('client_idle_timeout', 'client_idle_timeout', sub { my ($x) = @_; $wait_error->($x) });

# ---- what becomes of servers ----
my $m = $p->connect('moving', 'u');
$m->query('BEGIN');
$p->console('RECONNECT moving', raw => 1);
$m->query('COMMIT');
$logged->(qr/S-\S+ moving\/u\@\S+ closing because: obsolete connection/, 'closing because: obsolete connection');
$m->query('SELECT 1');
$p->{databases}{moving} = 'dbname=template1';
$p->reload;
$logged->(qr/S-\S+ moving\/u\@\S+ closing because: database configuration changed/, 'closing because: database configuration changed');
is($m->value('SELECT current_database()'), 'template1', 'the client goes on with the new one');
$p->{databases}{moving} = 'dbname=postgres';
$p->reload;
my ($u, $g) = map { $p->connect('limited', $_) } 'u', 'v';
$u->query('SELECT 1');
$g->query('SELECT 1');
$logged->(qr/S-\S+ limited\/[uv]\@\S+ closing because: evicted/, 'closing because: evicted');
$_->close for $u, $g, $m;
my $b = $p->connect('test', 'u');
$b->send_query('SELECT pg_sleep(30)');
wait_for(sub { grep { $_->{sv_active} } @{ $p->console("SHOW POOLS LIKE 'test'") } }, 10);
$b->abort;
$logged->(qr/closing because: client disconnected with query in progress/);
my $st = $p->connect('stmt', 'u');
$st->send_query('BEGIN');
is($wait_error->($st), 'transaction blocks not allowed in statement pooling mode', 'client: a transaction in statement mode');
my $x = $p->connect('slow', 'u');
$x->send_query('SELECT pg_sleep(60)');
wait_for(sub { grep { $_->{sv_active} } @{ $p->console("SHOW POOLS LIKE 'slow'") } }, 10);
my $ask = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port);
$ask->send_raw(pack('NN', 8 + length $x->{cancel_body}, 80877102) . $x->{cancel_body});
ok($ask->wait_eof(10), 'a cancel request that gets stuck ends');
$logged->(qr/closing because: cancel_wait_timeout/);
my $k = $p->connect('test', 'u');
$p->console('KILL test', raw => 1);
is($wait_error->($k), 'database removed', 'client: KILL');
$p->console('RESUME test', raw => 1);
$p->console("SET $_ = 1", raw => 1) for qw(pool_idle_timeout server_idle_timeout);
$logged->(qr/cleaning up idle pool/);
# Prepared statements: PostgreSQL's own errors instead of a closed connection.
my $ps = $p->connect('test', 'u');
$ps->parse('n', 'SELECT 1');
$ps->parse('n', 'SELECT 2');
$ps->sync;
error_is($ps->finish, '42P05', qr/prepared statement "n" already exists/, 'client: a name that is taken, and the connection stays');
$ps->bind('', 'nobody', []);
$ps->sync;
error_is($ps->finish, '26000', qr/prepared statement "nobody" does not exist/, 'client: an unknown one');
is($ps->value('SELECT 5'), 5, 'it is still there');

# ---- the end ----
$p->console('SHUTDOWN WAIT_FOR_CLIENTS', raw => 1, no_die => 1);
is($ps->value('SELECT 6'), 6, 'those that are there go on');
kill 'QUIT', $p->pid;
is($wait_error->($ps), 'server shutting down', 'client: server shutting down');
$logged->(qr/closing because: server shutting down/);
ok(wait_for(sub { !$p->alive }, 10), 'ended');
$p->{expect_exit} = 1;
stop_child($relay, 'TERM', 5);

# ---- other methods of authentication; a list of databases ----
$p = proxy(pg => $pg, auth => { u => 'pw' }, databases => { test => 'dbname=postgres auth_user=u auth_dbname=aside', aside => 'dbname=postgres' }, set => { auth_type => 'md5' });
$refused->('a database that is not listed', 'no such database: nowhere', 'nowhere', 'u', password => 'pw');
$refused->('another password', 'password authentication failed', 'test', 'u', password => 'wrong');
$p->console('DISABLE aside', raw => 1);
$refused->('a look-up in a disabled database', 'authentication database "aside" is disabled', 'test', 'stranger', password => 'x');
$p = proxy(pg => $pg, auth => { u => '' }, databases => { test => 'dbname=postgres' });
$refused->('a user that nobody knows', '"trust" authentication failed', 'test', 'nobody');

# ---- the command line and the file ----
my $check = sub { my ($set) = @_; my $q = proxy(pg => $pg, set => $set, start => 0); my ($s, $o, $e) = run_cmd(argv => [Bulkhead::Proxy::binary(), '-t', $q->{ini}]); $q->{expect_exit} = 1; return "$s $o$e" };
my ($other) = Bulkhead::TLS->new->cert('other', file => 'o', client => 1);
my ($key, $cert) = Bulkhead::TLS->new->cert('localhost', file => 's', client => 1);
like($check->({ client_tls_sslmode => 'require', client_tls_key_file => $other, client_tls_cert_file => $cert }), qr/TLS setup failed: .*mismatch/, 'a key of another certificate');
like($check->({ client_tls_sslmode => 'require', client_tls_key_file => '/nonexistent.key', client_tls_cert_file => $cert }), qr/client_tls_key_file: .*No such file or directory/, 'a file that is missing: the key, and the system\'s text');
like($check->({ client_tls_sslmode => 'require', client_tls_key_file => $key, client_tls_cert_file => $cert, client_tls13_ciphers => 'NONSENSE' }), qr/failed to set the TLSv1\.3 cipher suites/, 'cipher suites that are none');
like($check->({ auth_dbname => 'pgbouncer' }), qr/cannot use the reserved "pgbouncer" database as an auth_dbname/, 'the console as auth_dbname');
finish();
