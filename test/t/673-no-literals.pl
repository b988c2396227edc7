#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# No literal, value, row or secret in any output, whatever clients and servers do: log in both forms and on the highest level, audit log,
# every SHOW, /metrics, status page, slow queries. Two marks, a word and a number, stand for all of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my ($word, $number) = ('Xyzzy5ecretPlugh', '918273645546372');
my $mark = qr/xyzzy|5ecret|plugh|918273|645546372/i;
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN CREATEROLE; GRANT ALL ON SCHEMA public TO app; CREATE ROLE locked LOGIN PASSWORD 'other'; SET ROLE app;
CREATE TABLE documents (id bigint PRIMARY KEY, tenant_id text NOT NULL, title text UNIQUE, CHECK (title <> 'checked'));
CREATE TABLE kinds (code text PRIMARY KEY);
INSERT INTO documents VALUES (1, 'acme', 'a');
SQL
my $p = proxy(pg => $pg, start => 0,
    databases => { open => 'dbname=postgres user=app', pass => 'dbname=postgres user=app session_state=passthrough', ses => 'dbname=postgres user=app pool_mode=session', db => 'dbname=postgres user=app tenant_mode=rewrite',
        strict => 'dbname=postgres user=app tenant_mode=reject', watch => 'dbname=postgres user=app tenant_mode=audit',
        connect => "dbname=postgres user=app connect_query='SELECT 1/0, ''$word'''", wrong => "dbname=postgres user=nobody_there password=$word" },
    users => { acme => 'tenant=acme', ops => 'tenant=*' }, auth => { map { ($_ => $word) } qw(acme ops any) }, rules => ['public.kinds = shared'],
    set => { auth_type => 'md5', tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2, verbose => 3, tenant_audit => 'all', slow_query_threshold => '0.000001', log_repeat_limit => 0,
        track_extra_parameters => 'search_path, work_mem' });
my ($audit, $file) = map { "$p->{dir}/$_" } qw(audit.json file.log);
@{ $p->{set} }{qw(tenant_audit_log logfile)} = ($audit, $file);
$p->write;
$p->start;
# Statements for anybody; what fails is as good as what works.
my @sql = (
    "SELECT '$word', $number, -$number, ${number}.5, E'\\x41$word', U&'$word', B'1', \$\$$word\$\$, \$a\$$word\$a\$ -- $word", "SELECT 1 /* $word */ AS a",
    "SELECT '$word' FROM", "SELECT '$word", "SELECT \"a\" $word' FROM documents WHERE title = '$word", "SELECT '$word'::int", "SELECT ${number}::smallint", "SELECT '$word'::jsonb", "SELECT ''$word''", "SELECT \$q\$ $word",
    "INSERT INTO documents VALUES ($number, 'acme', '$word')", "INSERT INTO documents VALUES ($number, '$word', '$word')", "INSERT INTO documents (id, title) VALUES ($number, '$word')",
    "UPDATE documents SET title = '$word', tenant_id = '$word' WHERE id = $number", "DELETE FROM documents WHERE title LIKE '%$word%'", "SELECT * FROM documents WHERE tenant_id = '$word'",
    "SELECT * FROM documents WHERE id IN ($number, $number) LIMIT $number", "SELECT * FROM nowhere WHERE a = '$word'", "SELECT pg_read_file('$word')", "SELECT set_config('work_mem', '$word', false)",
    "COPY documents FROM STDIN", "COPY documents FROM '$word'", "COPY (SELECT '$word') TO STDOUT", "ALTER ROLE app PASSWORD '$word'", "CREATE ROLE other PASSWORD '$word' VALID UNTIL '$word'",
    "SET work_mem = '$word'", "SET work_mem = $number", "SET TimeZone = '$word'", "SET search_path = '$word', public", "SET application_name = 'fine'", "SET pgbulkhead.token = '$word'", "SET ROLE '$word'",
    "SET app.x TO $word", "SET app.x = \"$word\", $word", "SET TIME ZONE $word", "ALTER ROLE app SET app.x TO $word", "SELECT 1; SET LOCAL app.x = $word; SELECT 2",
    "PREPARE s AS SELECT '$word'", "EXECUTE s", "EXECUTE s('$word', $number)", "DEALLOCATE s", "BEGIN; DECLARE c CURSOR FOR SELECT '$word'; FETCH c; COMMIT", "ROLLBACK",
    "DO \$\$ BEGIN RAISE EXCEPTION 'no %', '$word' USING DETAIL = '$word', HINT = '$word'; END \$\$", "DO \$\$ BEGIN RAISE WARNING '%', '$word'; END \$\$", "NOTIFY ch, '$word'", "LISTEN ch",
    "EXPLAIN SELECT '$word'", "CALL nothing('$word')", "SELECT 1; SELECT '$word'; SELECT $number", "WITH a AS (SELECT '$word') SELECT * FROM a", "VALUES ('$word'), ('$word')", "SELECT $word'$word'",
    "SELECT \xff'$word'", "SELECT '$word\0", "SELECT '" . ("$word " x 40000) . "'", "SELECT '$word' /*traceparent='$word'*/", "SELECT '$word' /*traceparent='00-$number-$number-01'*/",
);
my $hostile = sub {
    my ($db, $user) = @_;
    my $c;
    my $again = sub { $c = eval { $p->connect($db, $user, params => { application_name => 'fine' }) } unless $c && !$c->{eof}; return $c };
    for my $s (@sql) {
        $again->() or last;
        eval { $c->query($s, copy => ["$number\tacme\t$word\n", "$word\n"], timeout => 20); 1 } or undef $c;
        $again->() or last;
        next if length $s > 10000 || $s =~ /FROM STDIN/;
        eval { $c->ext($s, [], timeout => 20); 1 } or undef $c;
    }
    $again->() or return;
    eval { $c->ext('SELECT $1::text, $2::int', [$word, $_]) for $word, $number };
    $again->() or return;
    eval { $c->ext('SELECT * FROM documents WHERE id = $1 AND tenant_id = $2', [$number, $word]); $c->ext('INSERT INTO documents VALUES ($1, $2, $3)', [$number, $word, $word]) };
    $again->() or return;
    # A server that goes away while such a statement runs.
    eval { $c->send_query("SELECT pg_sleep(60), '$word' AS away"); 1 } or return;
    wait_for(sub { $pg->value(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%AS away' AND pid <> pg_backend_pid()}) > 0 || $c->readable(0) }, 10, 0.1);
    eval { $c->finish(timeout => 10) };
    return;
};
my $logins = sub {
    # Wrong passwords, values of startup parameters, passwords of our own towards servers.
    eval { $p->connect('open', 'acme', password => $_) } for $word . 'x', "x$number", "SCRAM-SHA-256\$4096:$word";
    eval { $p->connect('open', 'any', password => $word, params => { %$_ })->query('SELECT 1') }
        for { options => "-c work_mem=$word" }, { options => "-c work_mem=$number" }, { TimeZone => $word }, { DateStyle => $word }, { client_encoding => $word }, { search_path => $word }, { work_mem => $word }, { unknown_parameter => $word };
    eval { $p->connect($_, 'any', password => $word)->query('SELECT 1') } for qw(connect wrong);
    eval { $p->connect('db', 'acme', password => $word, params => { 'pgbulkhead.tenant' => 'other', options => "-c app.x=$word" })->query('SELECT 1') };
};
my $console = sub {
    eval { $p->console($_, no_die => 1, raw => 1) }
        for "SELECT '$word'", "SET auth_query = '$word", "SHOW CLIENTS LIKE '$word'", "SHOW '$word'", "KILL '$word' $number", "EXPLAIN TENANT 'acme' SELECT '$word', $number FROM documents", "ALTER ROLE x PASSWORD '$word'", "SET nothing = '$word'";
};
# Everything that can be asked, with its name.
my @shows = qw(CONFIG DATABASES POOLS CLIENTS SERVERS USERS VERSION PEERS PEER_POOLS SOCKETS ACTIVE_SOCKETS LISTS MEM STATE DNS_HOSTS DNS_ZONES STATS STATS_TOTALS STATS_AVERAGES TOTALS PINS QUERIES ACTIVITY TENANTS TENANT_RULES LATENCY ALERTS DENIALS AUDIT);
my $outputs = sub {
    my %o = ('stderr' => scalar $p->log_text, 'log file' => scalar slurp($file), 'audit log' => -e $audit ? scalar slurp($audit) : '');
    for my $s (@shows) {
        my $r = eval { $p->console("SHOW $s") } // next;
        $o{"SHOW $s"} = join "\n", map { my $h = $_; join ' ', map { $_ // '' } values %$h } @$r;
    }
    $o{$_} = $p->http($_)->{body} for '/metrics', '/', '/api/status';
    $o{OpenMetrics} = $p->http('/metrics', headers => ['Accept: application/openmetrics-text; version=1.0.0'])->{body};
    return \%o;
};
for my $format (qw(text json)) {
    $p->console("SET log_format = '$format'");
    $logins->();
    $hostile->('open', 'any');
    $hostile->('ses', 'any') if $format eq 'text';
    $hostile->('pass', 'any') if $format eq 'json';
    $hostile->($_, 'acme') for qw(db strict watch);
    $hostile->('db', 'ops');
    $console->();
    # What runs and waits while it is looked at.
    my $busy = $p->connect('open', 'any', password => $word);
    $busy->send_query("SELECT pg_sleep(3), '$word', $number");
    wait_for(sub { grep { ($_->{template} // '') =~ /pg_sleep/ } @{ $p->console('SHOW ACTIVITY') } }, 10, 0.1);
    my $o = $outputs->();
    for my $k (sort keys %$o) {
        next if $k eq 'SHOW CONFIG' || !length $o->{$k};
        my @bad = grep { /$mark/ } split /\n/, $o->{$k};
        is(scalar @bad, 0, "$format: $k") or diag(join "\n", map { length > 400 ? substr($_, 0, 400) : $_ } @bad[0 .. ($#bad > 4 ? 4 : $#bad)]);
    }
    cmp_ok(scalar(() = $o->{'log file'} =~ /\n/g), '>', 200, "$format: the log has lines");
    cmp_ok(scalar(() = $o->{'audit log'} =~ /\n/g), '>', 100, "$format: the audit log too");
    cmp_ok(scalar(() = $o->{'SHOW QUERIES'} =~ /\?/g), '>', 20, "$format: SHOW QUERIES has templates");
    $busy->abort;
}
like(scalar slurp($file), qr/slow query: took/, 'slow queries were logged');
like(scalar slurp($file), qr/refused: /, 'and refusals');
finish();
