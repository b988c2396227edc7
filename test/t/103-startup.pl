#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The first packets: SSLRequest and GSSENCRequest, versions, parameters, options, and packets that are wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres', postgres => 'dbname=postgres' },
    set => { ignore_startup_parameters => 'extra_float_digits,my_own', client_login_timeout => 60 });
my $open = sub { Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10) };
my $c = $open->();
$c->send_raw(pack 'NN', 8, 80877103);
is($c->read_bytes(1), 'N', 'SSLRequest without TLS: N');
$c->send_raw(pack 'NN', 8, 80877104);
is($c->read_bytes(1), 'N', 'GSSENCRequest: N');
$c->startup(user => 'postgres', dbname => 'test');
$c->authenticate(user => 'postgres');
is($c->value('SELECT 1'), 1, 'then the usual start on the same connection');
$c = $open->();
$c->startup(user => 'postgres');
$c->authenticate;
is($c->value('SELECT current_database()'), 'postgres', 'no database: the name of the user');
ok(defined $c->{params}{server_version}, 'the server\'s version is announced');
ok(defined $c->{params}{$_}, "parameter $_") for qw(client_encoding DateStyle TimeZone standard_conforming_strings server_encoding integer_datetimes);
ok(length $c->{cancel_body}, 'a cancel key');
rejects($p, 'test', undef, undef, qr/unsupported startup parameter: search_path_x/, 'an unknown parameter', params => { search_path_x => '1' });
ok($p->connect('test', undef, params => { extra_float_digits => 2, my_own => 'x' }), 'ignored parameters');
rejects($p, 'test', undef, undef, qr/unsupported startup parameter in options: work_mem/, 'an option that is not tracked', options => '-c work_mem=1MB') if ours();
rejects($p, 'test', undef, undef, qr/only '-c config=val' and '--config=val' are allowed/, 'other options', options => '-x y') if ours();
SKIP: {
    skip 'PgBouncer 1.18', 10 unless ours();
    my $d = $p->connect('test', undef, options => '-c DateStyle=German --TimeZone=Asia/Tokyo -c application_name=with\\ space');
    is($d->value('SHOW DateStyle'), 'German, DMY', 'options: -c');
    is($d->value('SHOW TimeZone'), 'Asia/Tokyo', 'options: --');
    is($d->value('SHOW application_name'), 'with space', 'options: escapes');
    $c = $open->();
    $c->startup(user => 'postgres', dbname => 'test', protocol => 196608 + 2, params => { '_pq_.unknown' => 'x' });
    $c->authenticate;
    is($c->{negotiated}{minor}, 196610, 'an unknown _pq_ parameter: NegotiateProtocolVersion, which names it');
    is("@{ $c->{negotiated}{names} }", '_pq_.unknown', 'and the parameter it does not know');
    is($c->value('SELECT 3'), 3, 'works');
    $c = $open->();
    $c->startup(user => 'postgres', dbname => 'test', protocol => 131072);
    ok($c->wait_eof(5), 'protocol 2 is refused');
    like($c->{in}, qr/^EFATAL:  old V2 protocol not supported\n\0\z/, 'in the words of its time');
    $c = $open->();
    $c->startup(dbname => 'test');
    my $m = $c->read_msg;
    is($m && $m->[0], 'E', 'no user: an error');
    ok($c->wait_eof(5), 'and the end');
}
# A start in pieces.
$c = $open->();
my $body = pack('N', 196608) . join('', map { "$_\0" } user => 'postgres', database => 'test', client_encoding => 'UTF8') . "\0";
if (ours()) {
    for my $b (split //, pack('N', 4 + length $body) . $body) { $c->send_raw($b); sleep 0.002 }
    $c->authenticate;
    is($c->value('SELECT 4'), 4, 'a start dripped byte by byte');
    $c = $open->();
    my $q = "SELECT 5\0";
    $c->send_raw(pack('N', 4 + length $body) . $body . 'Q' . pack('N', 4 + length $q) . $q);
    $c->authenticate;
    is(row_values($c->finish), 5, 'a query right behind the start packet');
}
# Nonsense.
my %bad = (
    'HTTP' => "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 'zero length' => pack('N', 0) . 'x' x 20, 'length 3' => pack('N', 3) . 'x' x 20,
    'huge length' => pack('NN', 0x7fffffff, 196608), 'negative length' => pack('NN', 0xffffffff, 196608),
    'no terminator' => pack('NN', 8 + 9, 196608) . "user\0post", 'odd parameters' => pack('NN', 8 + 6, 196608) . "user\0\0",
    'unknown version' => pack('NN', 8, 12345678), 'empty names' => pack('NN', 8 + 3, 196608) . "\0\0\0",
    'a message first' => 'Q' . pack('N', 9) . "SEL\0\0", 'TLS hello in clear' => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'r' x 40,
);
for my $name (sort keys %bad) {
    my $d = $open->();
    $d->send_raw($bad{$name});
    ok($d->wait_eof(8), "$name: the connection is ended");
}
# Silence.
$p->console('SET client_login_timeout = 1');
$c = $open->();
ok($c->wait_eof(10), 'a client that says nothing is dropped after client_login_timeout');
# A long user name: refused or not known, but no crash.
my $long = eval { $p->connect('test', 'u' x 5000, no_die => 1) };
is($p->connect('test')->value('SELECT 6'), 6, 'the proxy still works');
finish();
