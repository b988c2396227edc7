#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# log_format = json: every line one valid object with what is known, in file and on stderr; RELOAD and SET switch; text stays PgBouncer's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use JSON::PP;

need_ours();
my $json = JSON::PP->new->utf8;
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL);
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite', plain => 'dbname=postgres', 'bad' => 'dbname=postgres port=1 host=127.0.0.1' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, start => 0,
    set => { log_format => 'json', tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2, server_login_retry => 1 });
my $file = "$p->{dir}/file.log";
$p->{set}{logfile} = $file;
$p->write;
$p->start;
# All objects of the file; diag for each line that is none.
my $bad = 0;
my $objects = sub {
    my ($f) = @_;
    return map { my $l = $_; my $h = eval { $json->decode($l) }; if (ref $h ne 'HASH') { $bad++; diag("bad line: $l") } $h // () } split /\n/, -e ($f // $file) ? slurp($f // $file) =~ s/[^\n]*\z//r : ''; # whole lines
};
my $find = sub {
    my (%want) = @_;
    my @l;
    wait_for(sub {
        @l = grep { my $h = $_; !grep { !defined $h->{$_} || $h->{$_} !~ $want{$_} } keys %want } $objects->();
        scalar @l;
    }, 15, 0.1);
    return $l[-1] // {};
};
my $c = $p->connect('db', 'acme');
my $l = $find->(message => qr/^login attempt: db=db user=acme/);
like($l->{ts}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'ts is RFC 3339 with microseconds');
is(join('|', @$l{qw(level database user)}), 'LOG|db|acme', 'level, database, user');
is($l->{pid}, $p->pid, 'pid');
like($l->{client}, qr/^C-0x[0-9a-f]+$/, 'client');
like($l->{host}, qr/^127\.0\.0\.1:\d+$/, 'host');
my $id = $l->{client_id};
is($id, (map { $_->{id} } grep { $_->{user} eq 'acme' } @{ $p->console('SHOW CLIENTS') })[0], 'client_id is the id of SHOW CLIENTS');
$c->query('SELECT * FROM nowhere');
$l = $find->(message => qr/refused: unknown_relation/);
is(join('|', @$l{qw(level tenant reason database user client_id)}), "WARNING|acme|unknown_relation|db|acme|$id", 'a refusal: tenant and reason');
$c->query('SELECT * FROM documents');
$l = $find->(server => qr/^S-0x/, message => qr/^new connection to server/);
is(join('|', $l->{database}, $l->{user}, $l->{host}), 'db|app|127.0.0.1:' . $pg->port, 'a server: its pool and address');
$c->terminate;
$l = $find->(message => qr/^closing because: client close request \(age=\d+s\)$/);
is($l->{reason}, 'client close request', 'the reason of a closing');
# Bytes that are neither UTF-8 nor printable.
my $hostile = "n\"o\\w\x01\x1b[31m\xff\xc3\xa4";
eval { $p->connect($hostile, "u\"\xfe\n") };
$l = $find->(message => qr/^pooler error: "trust" authentication failed/);
like($l->{database}, qr/^n"o\\w\x01\x1b\[31m\x{fffd}\x{e4}$/, 'hostile names arrive as they should');
is($l->{level}, 'WARNING', 'its level');
eval { $p->connect('bad', 'acme')->query('SELECT 1') };
ok($find->(message => qr/^closing because: .*connect failed/, server => qr/^S-/)->{reason}, 'a server that cannot be reached');
is($bad, 0, 'every line of the file is one JSON object');
is(scalar(grep { !/^\{.*\}$/ } grep { length } split /\n/, $p->log_text), 0, 'stderr: the same') or diag($p->log_text);
is(scalar(grep { ($_->{message} // '') eq '' || ($_->{pid} // 0) != $p->pid } $objects->($p->{log})), 0, 'and valid');
# SET and RELOAD switch; nothing of the other form behind it.
$p->console("SET log_format = 'text'");
$p->connect('plain', 'postgres')->query('SELECT 1');
ok(wait_for(sub { slurp($file) =~ /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] LOG C-0x[0-9a-f]+: plain\/postgres\@127\.0\.0\.1:\d+ login attempt: db=plain user=postgres tls=no$/m }, 10, 0.1), 'SET switches to PgBouncer\'s text');
my $size = -s $file;
$p->reload;
$p->connect('plain', 'postgres')->query('SELECT 1');
ok(wait_for(sub { substr(slurp($file), $size) =~ /^\{"ts".*login attempt: db=plain/m }, 10, 0.1), 'RELOAD switches back');
$p->{set}{log_format} = 'xml';
$p->write;
ok($p->console('RELOAD', no_die => 1, raw => 1)->{error}, 'a format that does not exist');
$l = $find->(message => qr/log_format/);
is($l->{level}, 'ERROR', 'is an error, in the format in force');
finish();
