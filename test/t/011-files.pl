#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The files' syntax as PgBouncer's users know it: includes, sections, comments, quotes, duplicates, lengths, odd names.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $name63 = 'd' x 63;
my $user127 = 'u' x 127;
$pg->sql($_) for 'CREATE DATABASE "odd name"', 'CREATE DATABASE "quo""ted"', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN',
    "CREATE ROLE \"sp ace\" LOGIN PASSWORD 'pass word'";
my $p = proxy(pg => $pg, start => 0, databases => { test => 'dbname=postgres' }, auth => { alice => '', bob => '', $user127 => '', 'sp ace' => 'pass word', 'quo"te' => '' });
my $dir = $p->{dir};
my $dsn = $p->server_dsn;
# %include is relative to the working directory, which for the test's proxies is the work directory.
my $rel = work_dir() . '/inc';
mkdir $rel;
chmod 0755, $rel;
spew("$rel/one.ini", "[databases]\none = $dsn dbname=postgres\n%include inc/two.ini\n");
spew("$rel/two.ini", "  two = $dsn dbname=postgres ; behind the last pair\n[users]\nalice = pool_mode=statement\n");
spew("$rel/three.ini", "default_pool_size = 6\n");
$p->{extra} = <<"INI";

%include inc/one.ini
[databases]
# comment
; comment
  indented = $dsn dbname=postgres
"odd name" = $dsn
"quo""ted" = $dsn dbname='quo"ted'
q = $dsn dbname='odd name' connect_query='SELECT set_config(''x.y'', ''it''''s'', false)'
dup = $dsn dbname=nowhere pool_mode=session
dup = $dsn dbname=postgres
$name63 = $dsn dbname=postgres
[pgbouncer]
default_pool_size = 5
%include inc/three.ini
INI
$p->write;
$p->start;
is($p->connect($_)->value('SELECT current_database()'), 'postgres', "database $_ of an included file") for qw(one two);
is($p->connect('indented')->value('SELECT 1'), 1, 'an indented line');
is($p->connect('odd name')->value('SELECT current_database()'), 'odd name', 'a name in double quotes');
is($p->connect('quo"ted')->value('SELECT current_database()'), 'quo"ted', 'with a doubled one inside');
is($p->connect('q')->value(q(SELECT current_setting('x.y') || current_database())), "it's" . 'odd name', 'quotes in values, doubled ones inside');
is($p->connect('dup')->value('SELECT current_database()'), 'postgres', 'the later duplicate wins');
my ($dup) = grep { $_->{name} eq 'dup' } @{ $p->console('SHOW DATABASES') };
is($dup->{pool_mode}, undef, 'as a whole');
is($p->connect($name63)->value('SELECT 1'), 1, 'a name of 63 bytes');
rejects($p, 'x' x 64, 'postgres', undef, qr/too long|no such database/, 'one of 64 is refused');
my %c = map { $_->{key} => $_->{value} } @{ $p->console('SHOW CONFIG') };
is($c{default_pool_size}, 6, 'a nested include in a section, and a later duplicate');
my ($alice) = grep { $_->{name} eq 'alice' } @{ $p->console('SHOW USERS') };
is($alice->{pool_mode}, 'statement', 'a section that an included file opens');
is($p->connect('test', 'sp ace', password => 'pass word')->value('SELECT current_user'), 'sp ace', 'a user with a space, from auth_file');
like(eval { my $x = $p->connect('test', $user127, no_die => 1); ($x->{error} // $x->query('SELECT 1')->{error})->{M} } // $@, qr/role "u+" does not exist/,
    'a user name of 127 bytes comes through to the server');
rejects($p, 'test', 'u' x 128, undef, qr/too long|no such user|failed/, 'one of 128 is refused');
# auth_file: comments, the rest of the line, doubled quotes.
spew("$dir/users.txt", qq(; comment\n"alice" "secret" and more "words"\n"qu""ote" "x""y"\n"bhadmin" "bhadmin"\n\n));
$p->console('RELOAD', raw => 1);
my %u = map { $_->{name} => 1 } @{ $p->console('SHOW USERS') };
ok($u{alice} && $u{'qu"ote'}, 'auth_file: comments, doubled quotes, rest of the line');
finish();
