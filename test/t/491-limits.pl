#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The limits before the parser: at a limit a statement is the server's business, one beyond it is refused as `limit`, in both
# protocols. Other kinds of depth are refused or answered, and never end the proxy.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $bytes = 1536 * 1024;
my $pg = pg(conf => { max_stack_depth => '2MB' });
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE t (id int PRIMARY KEY, tenant_id text NOT NULL, v int);
INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, g FROM generate_series(1, 10) g;
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite' }, users => { acme => 'tenant=acme' }, auth => { acme => '' },
    set => { tenant_columns => 'tenant_id', tenant_max_statement => $bytes, worker_threads => $ENV{BH_WORKERS} // 1 });
my $pid = $p->pid;
my $c = $p->connect('db', 'acme');

# Refusals counted as `limit`.
sub limits {
    my $n = 0;
    $n += $_->{count} for grep { $_->{reason} eq 'limit' } @{ $p->console('SHOW DENIALS') };
    return $n;
}

sub sent {
    my ($sql, $how) = @_;
    $c = $p->connect('db', 'acme') if $c->{eof};
    return $how eq 'simple' ? $c->query($sql, timeout => 60) : $c->ext($sql, [], timeout => 60);
}

sub said { my ($r) = @_; return $r->{eof} ? 'closed' : $r->{error} ? "$r->{error}{C} $r->{error}{M}" . ($r->{error}{D} ? " ($r->{error}{D})" : '') : 'answered' }

# A statement at the limit and one beyond it.
sub edge {
    my ($name, $make, $limit, %o) = @_;
    for my $how (@{ $o{how} // [qw(simple extended)] }) {
        my $r = sent($make->($limit), $how);
        ok(!$r->{eof} && !($r->{error} && $r->{error}{C} =~ /^(?:54000|0A000|42501)$/), "$name, $how: $limit pass") or diag(said($r));
        my $before = limits();
        $r = sent($make->($limit + 1), $how);
        ok($r->{error} && $r->{error}{C} =~ /^(?:54000|0A000)$/, "$name, $how: " . ($limit + 1) . ' are refused') or diag(said($r));
        is(limits() - $before, 1, "$name, $how: as limit") or diag(said($r));
        $r = sent('SELECT count(*) FROM t', $how);
        is(row_values($r), 5, "$name, $how: the connection goes on") or diag(said($r));
    }
    return;
}

edge('bytes', sub { my ($n) = @_; my $s = "SELECT count(*) FROM t WHERE '' = '"; return $s . 'x' x ($n - length($s) - 1) . "'" }, $bytes);
edge("tokens", sub { my ($n) = @_; return "SELECT " . "- " x ($n - 2) . "1" }, 200000);
edge('comments', sub { my ($n) = @_; return 'SELECT ' . '/**/ ' x ($n - 2) . '1' }, 200000);
edge('comment depth', sub { my ($n) = @_; return 'SELECT ' . '/* ' x $n . '*/ ' x $n . ' 1' }, 16);
edge('comment depth in a string', sub { my ($n) = @_; return "SELECT '" . '/* ' x 30 . "'" . ('/*' x $n) . ('*/' x $n) }, 16);
edge('parentheses', sub { my ($n) = @_; return 'SELECT ' . '(' x $n . '1' . ')' x $n }, 500);
edge('brackets', sub { my ($n) = @_; return 'SELECT count(*) FROM t WHERE id IN ' . '(' x $n . '1' . ')' x $n }, 500);
edge('statements', sub { my ($n) = @_; return 'SELECT 1;' x $n }, 100, how => ['simple']);
edge('empty statements', sub { my ($n) = @_; return ';;' x 300 . 'SELECT 1; ;' x $n }, 100, how => ['simple']);

# Operator bytes: the lexer counts a run over comments too, two bytes for each.
for my $how (qw(simple extended)) {
    for my $w ([63, 0], [64, 1]) {
        my ($n, $over) = @$w;
        my $before = limits();
        my $r = sent('SELECT 1 ' . '~' x $n . ' 1', $how);
        is(limits() - $before, $over, "operator run, $how: $n bytes " . ($over ? 'are refused as limit' : 'are not beyond it')) or diag(said($r));
        ok($r->{error} && !$r->{eof}, "operator run, $how: $n bytes are an error") or diag(said($r));
        $before = limits();
        $r = sent('SELECT 1 ' . ('+' . '/**/') x ($over ? 22 : 21) . ' 1', $how);
        is(limits() - $before, $over, "operator run with comments, $how: " . ($over ? 'refused as limit' : 'not beyond it')) or diag(said($r));
        ok(!$r->{eof} && ($over ? $r->{error} : row_values($r) == 0 || !$r->{error}), "operator run with comments, $how: the connection lives") or diag(said($r));
    }
}

# Parameters: numbers up to 65535; in rewrite mode the tenant's value needs one more.
for my $w (['SELECT $65535::int IS NULL', 0], ['SELECT $65536::int IS NULL', 1], ['SELECT $0::int', 1], ['SELECT $99999999999999999999::int', 1]) {
    my ($sql, $over) = @$w;
    my $before = limits();
    $c->cork; $c->parse('', $sql); $c->sync; $c->uncork;
    my $r = $c->finish;
    is(limits() - $before, $over, "$sql: " . ($over ? 'refused as limit' : 'not beyond the limit')) or diag(said($r));
    ok($over ? $r->{error} : !$r->{eof}, "$sql: the connection lives") or diag(said($r));
}
{
    $c->cork; $c->parse('', 'SELECT count(*) FROM t WHERE v = $65535'); $c->sync; $c->uncork;
    my $r = $c->finish;
    ok(!$r->{eof}, 'no number left for the tenant: the connection lives') or diag(said($r));
    like($r->{error}{C} // 'answered', qr/^(?:0A000|42P18|answered)$/, 'no number left for the tenant: refused, or done without one') or diag(said($r));
}

# Depth of other kinds: an answer, the server's own error, or a refusal.
my %deep = (
    case => sub { my ($n) = @_; return 'SELECT ' . 'CASE WHEN true THEN ' x $n . '1' . ' END' x $n },
    casewhen => sub { my ($n) = @_; return 'SELECT ' . 'CASE WHEN ' x $n . 'true' . ' THEN true END' x $n },
    arrays => sub { my ($n) = @_; return 'SELECT ' . 'ARRAY[' x $n . '1' . ']' x $n },
    subscripts => sub { my ($n) = @_; return "SELECT ('{1}'::int[])" . '[1]' x $n },
    joins => sub { my ($n) = @_; return 'SELECT count(*) FROM t t0' . join('', map { " JOIN t t$_ ON true" } 1 .. $n) . ' WHERE false' },
    joinsright => sub { my ($n) = @_; return 'SELECT count(*) FROM ' . join('', map { "t t$_ JOIN " } 1 .. $n) . 't t0' . ' ON true' x $n . ' WHERE false' },
    parenjoins => sub { my ($n) = @_; return 'SELECT count(*) FROM ' . '(' x $n . 't t0' . join('', map { " CROSS JOIN t t$_)" } 1 .. $n) . ' WHERE false' },
    subselects => sub { my ($n) = @_; return 'SELECT ' . '(SELECT ' x $n . 'count(*) FROM t' . ')' x $n },
    fromsubselects => sub { my ($n) = @_; return 'SELECT * FROM ' . '(SELECT * FROM ' x $n . 't' . ') x' x $n },
    with => sub { my ($n) = @_; return join('', map { "WITH w$_ AS (" } 1 .. $n) . 'SELECT id FROM t' . join('', map { ") SELECT * FROM w$_" } reverse 1 .. $n) },
    casts => sub { my ($n) = @_; return 'SELECT 1' . '::int' x $n },
    unaryminus => sub { my ($n) = @_; return 'SELECT ' . '- ' x $n . '1' },
    unarynames => sub { my ($n) = @_; return 'SELECT ' . '- ' x $n . 'v FROM t' },
    nots => sub { my ($n) = @_; return 'SELECT ' . 'NOT ' x $n . 'true' },
    unions => sub { my ($n) = @_; return 'SELECT v FROM t' . ' UNION ALL SELECT 1' x $n },
    unionsright => sub { my ($n) = @_; return 'SELECT 1 UNION ALL (' x $n . 'SELECT 1' . ')' x $n },
    plus => sub { my ($n) = @_; return 'SELECT 1' . ' + 1' x $n },
    plusdepth => sub { my ($n) = @_; return 'SELECT ' . '1 + (' x $n . '1' . ')' x $n },
    ands => sub { my ($n) = @_; return 'SELECT count(*) FROM t WHERE true' . ' AND v > 0' x $n },
    andors => sub { my ($n) = @_; return 'SELECT count(*) FROM t WHERE true' . ' AND v > 0 OR v < 9' x $n },
    calls => sub { my ($n) = @_; return 'SELECT ' . 'abs(' x $n . '1' . ')' x $n },
    rows => sub { my ($n) = @_; return 'SELECT ' . 'ROW(' x $n . '1' . ')' x $n },
    arrow => sub { my ($n) = @_; return "SELECT '{}'::jsonb" . " -> 'a'" x $n },
    collates => sub { my ($n) = @_; return "SELECT 'a'" . ' COLLATE "C"' x $n },
    isnull => sub { my ($n) = @_; return 'SELECT 1' . ' IS NULL' x $n },
    atzone => sub { my ($n) = @_; return 'SELECT now()' . " AT TIME ZONE 'UTC'" x $n },
    columns => sub { my ($n) = @_; return 'SELECT ' . join ', ', ('v') x $n },
    names => sub { my ($n) = @_; return 'SELECT t' . '.t' x $n },
    indirections => sub { my ($n) = @_; return 'SELECT (t)' . '.v' x $n . ' FROM t' },
    typenames => sub { my ($n) = @_; return 'SELECT NULL::int' . '[]' x $n },
    values => sub { my ($n) = @_; return 'VALUES ' . join ', ', ('(1)') x $n },
    setclauses => sub { my ($n) = @_; return 'UPDATE t SET v = v WHERE ' . 'EXISTS (SELECT 1 FROM t x WHERE ' x $n . 'false' . ')' x $n },
    explain => sub { my ($n) = @_; return 'EXPLAIN ' x $n . 'SELECT 1' },
    prepare => sub { my ($n) = @_; return join('', map { "PREPARE p$_ AS " } 1 .. $n) . 'SELECT 1' },
);
for my $kind (sort keys %deep) {
    for my $n (50, 499, 20000) {
        my $how = $n == 499 ? 'extended' : 'simple';
        my $sql = $deep{$kind}->($n);
        next if $n == 499 && $kind =~ /join/; # planning them takes the server long
        my $r = sent($n == 20000 && $sql =~ /^SELECT/ ? "$sql LIMIT 0" : $sql, $how);
        ok(!$r->{eof}, "$kind, $n deep, $how: the proxy says something") or diag(said($r));
    }
    is(sent('SELECT count(*) FROM t', 'simple')->{results}[0]{rows}[0][0], 5, "$kind: and lives");
}
ok($p->alive && $p->pid == $pid, "it is the same process");
is($p->connect('db', 'acme')->value('SELECT count(*) FROM t'), 5, 'and takes new clients');
finish();
