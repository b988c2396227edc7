#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# PostgreSQL 14 to 18: the catalog is read, tenants are kept apart, the barrier holds and uses indexes, syntax that is newer
# than the parser's is refused with its reason, what is new is closed, the reviewed lists fit. The whole corpus over these
# versions is the stage `versions` of test/run.sh.
# BH_VERSIONS="14 18" picks some.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 600;

need_ours();
if (my $major = $ENV{BH_VERSION}) { one($major) } else { all() }

# Each version in a process of its own: where the server is found is settled once per process.
sub all {
    my @majors = split ' ', $ENV{BH_VERSIONS} // '14 15 16 17 18';
    my ($st, $out, $err) = run_cmd(argv => ['sh', "$FindBin::Bin/../lib/servers.sh", grep { $_ != 15 } @majors], timeout => 300);
    is($st, 0, 'the servers are there') or diag($err);
    my %bin = $out =~ /^(\d+) (\S+)$/mg;
    for my $m (@majors) {
        my @env = (BH_VERSION => $m, $m == 15 ? () : (BH_PG_BIN => $bin{$m} // 'missing', BH_TEMPLATE => work_dir() . "/template$m"));
        if ($m != 15) { mkdir work_dir() . "/template$m"; chmod 0700, work_dir() . "/template$m"; my @u = getpwnam 'postgres'; chown $u[2], $u[3], work_dir() . "/template$m" if $> == 0 }
        my ($s, $o, $e) = run_cmd(argv => [$^X, "-I$FindBin::Bin/../lib", "$FindBin::Bin/$FindBin::Script"], env => { %ENV, @env }, timeout => 280);
        is($s, 0, "PostgreSQL $m: runs to its end") or diag(substr $e, -2000);
        for my $l (split /\n/, $o) { ok($1 eq 'ok', "PostgreSQL $m: $2") if $l =~ /^(ok|not ok) \d+ - (.*)/ }
        ok((() = $o =~ /^ok/mg) >= 60, "PostgreSQL $m: did its work");
    }
    finish();
    return;
}

sub one {
    my ($major) = @_;
    my $pg = pg();
    like($pg->value('SHOW server_version'), qr/^$major\./, 'is the version');
    $pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL, title text, pat text DEFAULT 'x', meta jsonb DEFAULT '{"a": 1}');
CREATE TABLE notes (tenant_id text NOT NULL, id int, doc int, body text, PRIMARY KEY (tenant_id, id));
INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g, CASE WHEN g % 2 = 0 THEN 'x' ELSE '(' END FROM generate_series(1, 2000) g;
INSERT INTO notes SELECT CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, g, g, 'note' FROM generate_series(1, 20000) g;
RESET ROLE; ANALYZE docs; ANALYZE notes;
SQL
    $pg->sql("CREATE TABLE gen (id int, tenant_id text, d int, v bool GENERATED ALWAYS AS ('x' ~ substr(tenant_id || '(', 1 + 4 * d, 4)) VIRTUAL);
        CREATE TABLE gen_t (id int, t text, tenant_id text GENERATED ALWAYS AS (lower(t)) VIRTUAL); INSERT INTO gen SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, g % 2 FROM generate_series(1, 20) g;
        GRANT ALL ON gen, gen_t TO app") if $major >= 18;
    my $p = proxy(pg => $pg, databases => { rewrite => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite', reject => 'dbname=postgres user=app pool_size=3 tenant_mode=reject' },
        users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { acme => '', beta => '' }, set => { tenant_columns => 'tenant_id', worker_threads => 1 });
    my $c = $p->connect('rewrite', 'acme');
    basics($p, $c);
    barrier($pg, $c, $p->connect('reject', 'acme'), $major);
    syntax($c, $major);
    closed($pg, $c, $major);
    reviewed($pg, $major);
    psql_commands($p, $major);
    finish();
    return;
}

sub basics {
    my ($p, $c) = @_;
    my $b = $p->connect('rewrite', 'beta');
    is($c->value('SELECT count(*) FROM docs'), 1000, 'own rows');
    is($b->value('SELECT count(*) FROM docs'), 1000, 'of the other tenant');
    is($c->value('SELECT count(*) FROM docs d LEFT JOIN notes n ON n.doc = d.id'), 1000, 'an outer join');
    is(row_values($c->ext('SELECT min(tenant_id), count(*) FROM notes WHERE id > $1', [10000])), 'acme|5000', 'with a parameter');
    is($c->query("UPDATE docs SET title = 'mine' WHERE true")->{results}[0]{tag}, 'UPDATE 1000', 'UPDATE');
    is($c->query("DELETE FROM docs WHERE id IN (1, 2)")->{results}[0]{tag}, 'DELETE 1', 'DELETE');
    is($c->query("INSERT INTO docs (id, title) VALUES (100000, 'x') RETURNING tenant_id")->{results}[0]{rows}[0][0], 'acme', 'INSERT');
    error_is($c->query("INSERT INTO docs (id, tenant_id) VALUES (100001, 'beta')"), '42501', qr/./, 'not for others');
    is($c->query("INSERT INTO notes (id, body) VALUES (2, 'y') ON CONFLICT (tenant_id, id) DO UPDATE SET body = 'z' RETURNING body")->{results}[0]{rows}[0][0], 'z', 'ON CONFLICT');
    is($b->value("SELECT count(*) FROM docs WHERE title = 'mine'"), 0, 'the other tenant has its own still');
    my $r = $p->connect('reject', 'acme');
    error_is($r->query('SELECT count(*) FROM docs'), '42501', qr/missing_predicate/, 'reject mode: proof is asked for');
    is($r->value("SELECT count(*) FROM docs WHERE tenant_id = 'acme'"), 1000, 'and taken');
    return;
}

sub barrier {
    my ($pg, $c, $r, $major) = @_;
    is($c->value("SELECT count(*) FROM docs WHERE 'x' ~ pat"), 1000, 'what costs as little as the condition sees own rows only');
    is($r->value("SELECT count(*) FROM docs WHERE 'x' ~ pat AND tenant_id = 'acme'"), 1000, 'in reject mode too');
    is($c->value("SELECT count(*) FROM docs WHERE jsonb_path_exists(meta, 'strict \$.a')"), 1000, 'a path in strict form');
    is(row_values($c->ext("SELECT count(*) FROM docs WHERE 'x' ~ pat AND id > \$1", [0])), 1000, 'with parameters');
    # What the condition looks like in the server, custom and generic.
    my $cond = "COALESCE(n.tenant_id OPERATOR(pg_catalog.=) ANY (ARRAY['acme'::text]), false) AND n.tenant_id OPERATOR(pg_catalog.=) 'acme'::text";
    my $plan = join "\n", map { $_->[0] } @{ $pg->sql("EXPLAIN SELECT * FROM notes n WHERE $cond AND (n.id = 4208)") };
    like($plan, qr/Index (?:Only )?Scan using notes_pkey.*Index Cond: .*tenant_id.*id = 4208/s, 'the index is used');
    my ($rows) = join("\n", map { $_->[0] } @{ $pg->sql("EXPLAIN SELECT * FROM notes n WHERE $cond") }) =~ /rows=(\d+)/;
    ok($rows > 4000 && $rows < 20000, "the estimate is good ($rows of 10000)");
    my $filter = join "\n", map { $_->[0] } @{ $pg->sql("EXPLAIN (COSTS OFF) SELECT * FROM docs n WHERE $cond AND ('x' ~ n.pat)") };
    like($filter, qr/Filter: \(COALESCE\(.*?false\) AND .*pat/, 'the barrier is tested first');
    return if $major < 18;
    is($c->value('SELECT count(*) FROM gen WHERE v'), 0, 'a virtual column is computed on own rows only');
    is($r->value("SELECT count(*) FROM gen WHERE v AND tenant_id = 'acme'"), 0, 'in reject mode too');
    error_is($c->query('SELECT count(*) FROM gen_t'), '42501', qr/relation/, 'none can be the tenant column');
    return;
}

sub syntax {
    my ($c, $major) = @_;
    for my $t (
        [16, "SELECT 1 WHERE '{}' IS JSON"], [16, 'SELECT * FROM (SELECT id FROM docs)'], [16, 'SELECT 0x1F'], [16, 'SELECT 1_000'], [16, 'SELECT JSON_ARRAY(1 NULL ON NULL)'],
        [17, "SELECT * FROM JSON_TABLE('[1]', '\$[*]' COLUMNS (a int PATH '\$')) t"], [17, "SELECT JSON_VALUE('{}', '\$.a' RETURNING int)"],
        [17, 'MERGE INTO docs d USING notes n ON n.doc = d.id WHEN MATCHED THEN DELETE RETURNING d.*'], [17, 'MERGE INTO docs d USING notes n ON n.doc = d.id WHEN NOT MATCHED BY SOURCE THEN DELETE'],
        [18, "UPDATE docs SET title = 'x' RETURNING WITH (OLD AS o) o.title"], [18, "UPDATE docs SET title = 'x' RETURNING old.title"],
    ) {
        my ($since, $sql) = @$t;
        my $r = $c->query($sql);
        my $e = $r->{error} // { C => 'none', M => '' };
        if ($major >= $since) {
            ok($e->{C} eq '0A000' && $e->{M} =~ /newer_syntax/ && $e->{D} =~ /PostgreSQL $since/, "newer syntax: $sql") or diag("$e->{C} $e->{M} " . ($e->{D} // ''));
        } else {
            ok($e->{C} =~ /^42/, "unknown to both: $sql") or diag("$e->{C} $e->{M}");
        }
    }
    my $e = $c->query('SELEC 1')->{error};
    is($e->{C}, '42601', 'a syntax error is one');
    ok($major > 15 ? $e->{H} =~ /PostgreSQL 15's, the server is PostgreSQL $major/ : !defined $e->{H}, 'with a word on versions where they differ');
    error_is($c->query('SELECT system_user'), $major >= 16 ? '0A000' : '42703', qr/./, 'system_user');
    if ($major < 15) { error_is($c->query('MERGE INTO docs d USING notes n ON n.doc = d.id WHEN MATCHED THEN DELETE'), '42601', qr/MERGE/, 'what the server does not know is its own error') }
    return;
}

# Views, functions and settings with something to tell.
sub closed {
    my ($pg, $c, $major) = @_;
    my @open = qw(pg_class pg_attribute pg_type pg_proc pg_namespace pg_index pg_constraint pg_settings);
    for my $v (@open) { ok(!$c->query("SELECT count(*) FROM $v")->{error}, "$v is open") }
    my $views = $pg->sql("SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND relname ~ '^pg_(stat|shmem|lock|aios|hba|ident|file|prepared|cursor|backend|replication|authid|shadow|largeobject|user_mapping|wait|config|dist|subscription|statistic\$|statistic_ext_data)' AND relname <> 'pg_statistic_ext'");
    my @bad = grep { ($c->query("SELECT 1 FROM $_->[0]")->{error}{M} // '') !~ /denied_relation/ } @$views;
    ok(@$views > 40, 'there are views of what happens on the server: ' . @$views);
    is(join(' ', map { $_->[0] } @bad), '', 'all of them are closed');
    my $functions = $pg->sql("SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(pg_stat_get|pg_stat_reset|pg_read|pg_ls_|lo_|pg_log|pg_get_(wal|backend|shmem|aios|multixact|loaded)|pg_(switch|promote|rotate|reload|cancel|terminate|restore_|clear_|sync_|export|import|create|drop|copy|replication|logical|advisory|try_advisory|sleep|notify|backup|start|stop))' AND proname NOT IN ('pg_advisory_unlock_all', 'pg_log')");
    @bad = grep { my $m = $c->query("SELECT $_->[0]()")->{error}{M} // ''; $m !~ /isolation/ } @$functions;
    ok(@$functions > 150, 'there are functions that do or tell: ' . @$functions);
    is(join(' ', map { $_->[0] } @bad), '', 'all of them are closed');
    for my $s (qw(restrict_nonsystem_relation_kind event_triggers allow_alter_system createrole_self_grant row_security role session_replication_role huge_pages_status log_statement io_method)) {
        my $e = $c->query("SET $s = 'on'")->{error};
        ok($e && $e->{C} eq '42501' && $e->{M} =~ /isolation/, "SET $s is refused");
    }
    return;
}

# The lists of src/tenant against this server.
sub reviewed {
    my ($pg, $major) = @_;
    my %listed;
    my $def = slurp("$FindBin::Bin/../../src/tenant/builtin_functions.def");
    while ($def =~ /FN_(OK|OK_ARGS|SETTING|NULL)\("(\w+)"(?:, (\d+))?/g) { $listed{$2} = [$1, $3] }
    my $all = $pg->sql("SELECT p.proname, p.oid::regprocedure, p.provolatile, l.lanname, p.procost, p.pronargs, p.proisstrict, p.prosecdef
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384");
    my (@cheap, @loud, @lazy, %seen);
    # Volatile ones that were looked at: clocks, random values, the session's own state.
    my %calm = map { $_ => 1 } qw(array_sample array_shuffle clock_timestamp gen_random_uuid pg_advisory_unlock_all pg_is_in_recovery pg_partition_ancestors pg_partition_tree random random_normal timeofday
        timezone uuidv4 uuidv7);
    for my $f (@$all) {
        my ($name, $sig, $vol, $lang, $cost, $n, $strict, $definer) = @$f;
        my $l = $listed{$name} or next;
        next if $l->[0] eq 'OK_ARGS' && $l->[1] != $n;
        $seen{$name} = 1;
        push @cheap, $sig if $cost < 1 || $definer eq 't';
        push @loud, $sig if $vol eq 'v' && !$calm{$name} && $l->[0] ne 'NULL' || $lang !~ /^(?:internal|sql)$/;
        push @lazy, $sig if $l->[0] eq 'NULL' && $strict ne 't';
    }
    is("@cheap", '', 'no allowed function is cheaper than the barrier or runs as another role');
    is("@loud", '', 'no allowed function is volatile but those that were reviewed');
    is("@lazy", '', 'functions that are called with NULL are strict');
    my %known = map { $_ => 1 } slurp("$FindBin::Bin/../../src/tenant/builtin_operators.def") =~ /OP\("([^"]+)"\)/g;
    my @ops = grep { !$known{ $_->[0] } } @{ $pg->sql("SELECT DISTINCT oprname FROM pg_operator WHERE oid < 16384") };
    is(join(' ', map { $_->[0] } @ops), '', 'each operator is on the list');
    my %hidden = slurp("$FindBin::Bin/../../src/tenant/system_relations.def") =~ /PGC\("(\w+)", "([^"]*)"\)/g;
    my @tell = grep { my ($r, $col) = @$_; defined $hidden{$r} && !grep { $_ eq $col } split ' ', $hidden{$r} } @{ $pg->sql(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0
        AND a.attname ~ '(tuples|pages|allvisible|allfrozen|frozenxid|minmxid|passw|missingval|partbound|last_value|polqual|withcheck|setconfig|prosrc|sqlbody|probin|fdwoptions|srvoptions|ftoptions|umoptions|prqual|rowfilter|ev_action|ev_qual)'") };
    is(join(' ', map { "$_->[0].$_->[1]" } @tell), '', 'columns that tell are hidden');
    return;
}

sub psql_commands {
    my ($p, $major) = @_;
    my $dsn = 'host=127.0.0.1 port=' . $p->port . ' user=acme dbname=rewrite';
    for my $cmd ('\d docs', '\d+ docs', '\dt+', '\du', '\df', '\dp', '\dn+', '\dT+', '\dx', '\db', $major < 17 ? '\l+' : ()) {
        my ($st, $out, $err) = psql($dsn, "$cmd\n", args => ['-v', 'ON_ERROR_STOP=1']);
        # psql is version 15's: of a newer server its \\l asks for a column that is gone.
        ok($st == 0 && $err !~ /isolation/, "psql $cmd") or diag("$out\n$err");
    }
    return;
}
