#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Reported parameters follow their client in transaction pooling, over servers that others have changed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { default_pool_size => 1 });
my %want = (a => ['German, DMY', 'Asia/Tokyo', 'client a'], b => ['SQL, MDY', 'America/New_York', 'client b'], c => ['ISO, MDY', 'UTC', ours() ? '' : 'c']);
my $show = sub { my ($c) = @_; return join '/', map { $c->value("SHOW $_") } qw(DateStyle TimeZone application_name) };
my %c;
$c{a} = $p->connect('test', undef, params => { DateStyle => 'German', TimeZone => 'Asia/Tokyo', application_name => 'client a' });
$c{b} = $p->connect('test', undef, params => { datestyle => 'SQL, MDY', timezone => 'America/New_York', application_name => 'client b' });
$c{c} = $p->connect('test', undef, params => { datestyle => 'ISO, MDY', timezone => 'UTC', application_name => $want{c}[2] });
for my $round (1 .. 3) { is($show->($c{$_}), join('/', @{ $want{$_} }), "round $round: values of client $_") for qw(a b c) }
# Changed by SET, seen through ParameterStatus.
my $r = $c{a}->query("SET DateStyle = 'ISO, DMY'");
is($c{a}{params}{DateStyle}, 'ISO, DMY', 'SET is reported to its client');
is($c{b}->value('SHOW DateStyle'), 'SQL, MDY', 'and not to others');
is($c{a}->value('SHOW DateStyle'), 'ISO, DMY', 'it follows its client');
is(scalar(grep { $_->[0] eq 'S' } @{ $c{b}->query('SELECT 1')->{msgs} }), 0, 'replies of the synchronisation stay inside');
$c{b}->query("BEGIN; SET LOCAL TimeZone = 'Europe/Berlin'");
is($c{b}->value('SHOW TimeZone'), 'Europe/Berlin', 'SET LOCAL');
$c{b}->query('ROLLBACK');
is($c{b}->value('SHOW TimeZone'), 'America/New_York', 'is undone by ROLLBACK');
is($c{c}->value('SHOW TimeZone'), 'UTC', 'for nobody else');
# Encodings.
my $l = $p->connect('test', undef, params => { client_encoding => 'LATIN1' });
is($l->value("SELECT chr(235)"), "\xeb", 'a client in LATIN1');
is($c{a}->value("SELECT chr(235)"), "\xc3\xab", 'next to one in UTF-8');
is($l->value("SELECT chr(235)"), "\xeb", 'and back');
SKIP: {
    skip 'PgBouncer 1.18', 8 unless ours();
    # Values that differ by case only, long values, values that need quotes.
    my $u = $p->connect('test', undef, params => { application_name => 'ALPHA' });
    my $v = $p->connect('test', undef, params => { application_name => 'Alpha' });
    is($u->value('SHOW application_name') . $v->value('SHOW application_name'), 'ALPHAAlpha', 'case counts');
    my $odd = "it's a \"name\" \\ with; -- things";
    my $w = $p->connect('test', undef, params => { application_name => $odd });
    is($w->value('SHOW application_name'), $odd, 'quotes and backslashes');
    is($u->value('SHOW application_name'), 'ALPHA', 'and the others keep theirs');
    my $x = $p->connect('test', undef, params => { application_name => 'n' x 140 });
    is($x->value('SHOW application_name'), 'n' x 63, 'a long name is the server\'s business');
    is($v->value('SHOW application_name'), 'Alpha', 'and nobody inherits it');
    is($x->value('SHOW application_name'), 'n' x 63, 'still');
    my $is = $p->connect('test', undef, params => { IntervalStyle => 'iso_8601' });
    is($is->value("SELECT interval '1 day'"), 'P1D', 'IntervalStyle is tracked');
    is($u->value("SELECT interval '1 day'"), '1 day', 'per client');
}
# A pipeline sent at once by a client whose values the server does not have yet.
for my $k (qw(a b c a b c)) {
    my $c = $c{$k};
    $c->cork; $c->parse('', 'SELECT $1::int'); $c->bind('', '', [7]); $c->execute(''); $c->parse('', 'SHOW TimeZone'); $c->bind('', ''); $c->execute(''); $c->sync; $c->uncork;
    my $f = $c->finish;
    is(join('/', map { $_->{rows}[0][0] } @{ $f->{results} }), "7/$want{$k}[1]", "pipeline of client $k");
}
finish();
