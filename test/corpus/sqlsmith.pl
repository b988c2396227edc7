#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Random statements of sqlsmith over the sample schema, through the proxy in rewrite mode and straight to the oracle: the
# answers must be the same, or a refusal; a trigger on each tenant table cries out when another tenant's row is touched.
# sqlsmith only prints the statements: it reads a copy of the database whose catalog offers it the functions and operators
# that tenants may call. Environment: BH_SEED (1), BH_COUNT (1500), BH_SECONDS (120 at most), BH_VERBOSE, BH_SHOW.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 7200;
use Bulkhead::CorpusRun;

need_ours();
my $seed = $ENV{BH_SEED} // 1;
my $count = $ENV{BH_COUNT} // 1500;
my $until = time + ($ENV{BH_SECONDS} // 120);
my $run = Bulkhead::CorpusRun::main(mode => 'rewrite', target => 'proxy', dir => $FindBin::Bin, sets => [], pairs => 'acme:acmeeu',
    set => { tenant_guc => 'app.tenant_id', default_pool_size => 12 });
my ($pg, $corpus) = @$run{qw(pg corpus)};
my @order = @{ $corpus->{order} };

# ---- a catalog for sqlsmith ----

my $source = -e "$FindBin::Bin/../../src/tenant" ? "$FindBin::Bin/../.." : $ENV{top_srcdir};
my @allowed;
my $def = slurp("$source/src/tenant/builtin_functions.def");
push @allowed, $1 while $def =~ /FN_OK(?:_ARGS)?\("(\w+)"/g;
my $names = join ',', map { "'$_'" } @allowed;
my $own = join ',', map { "'$_'" } qw(quote_ident format unnest array_to_string format_type pg_type_is_visible regtypein regtypeout regclassout);
my $odd = "SELECT oid FROM pg_type WHERE typtype = 'p' OR typname ~ '^(reg|xid|cid|tid|pg_|aclitem|refcursor|xml|gtsvector|int2vector|oidvector|txid)' AND typnamespace = 11";
$pg->sql('CREATE DATABASE smith TEMPLATE base');
# What has its place in pg_proc for the server's own sake stays, as a function that sqlsmith leaves alone.
$pg->sql(<<"SQL", 'smith');
SET allow_system_table_mods = on;
UPDATE pg_proc SET proretset = true WHERE prokind = 'f' AND proname NOT IN ($own) AND oid NOT IN (SELECT oprcode FROM pg_operator)
    AND (proname NOT IN ($names) OR provolatile <> 'i' OR proname ~ 'xml|xpath|query_to|^json_|ts_headline|pg_get' OR prorettype IN ($odd) OR proargtypes::oid[] && ARRAY($odd));
UPDATE pg_proc SET prorettype = 'trigger'::regtype WHERE proname NOT IN ($own) AND (prokind = 'f' AND oid IN (SELECT oprcode FROM pg_operator) AND proname NOT IN ($names)
    OR prokind = 'a' AND (pronamespace <> 11 OR proname NOT IN ($names) OR proname ~ 'xml|^json|array_agg|string_agg' OR proargtypes::oid[] && ARRAY($odd)));
UPDATE pg_operator SET oprresult = 0 WHERE oprleft IN ($odd) OR oprright IN ($odd) OR oprresult IN ($odd);
SQL
# It does not quote names, and what is not declared would only be refused.
my %declared = map { $_ => 1 } map { (/"/ ? () : $_) } @{ $corpus->{policy}{shared_readonly} }, map { keys %{ $corpus->{policy}{$_} }, map { @{ $_->{partitions} // [] } } values %{ $corpus->{policy}{$_} } } qw(tenant_tables tenant_views);
for my $r (@{ $pg->sql("SELECT concat(n.nspname, '.', relname), format('%I.%I', n.nspname, relname), relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_|information_schema'", 'smith') }) {
    my ($name, $quoted, $kind) = @$r;
    # Out of its sight, not dropped: others may need it.
    $pg->sql("SET allow_system_table_mods = on; UPDATE pg_class SET relkind = 'm' WHERE oid = '$quoted'::regclass", 'smith') unless $declared{$name} && $name eq lc $name;
}

# ---- an alarm on each table ----

my $map = join ', ', map { my $t = $corpus->{tenant}{$_}; '(' . join(', ', map { Bulkhead::Corpus::_lit($t->{$_}) } qw(tenant_id tenant_uuid tenant_no)) . ')' } @order;
$pg->sql("CREATE SCHEMA alarm; CREATE TABLE alarm.who (tenant_id text, tenant_uuid text, tenant_no text); INSERT INTO alarm.who VALUES $map; GRANT USAGE ON SCHEMA alarm TO PUBLIC;"
    . q{CREATE FUNCTION alarm.look() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        DECLARE want text; got jsonb;
        BEGIN
            EXECUTE format('SELECT %I FROM alarm.who WHERE tenant_id = current_setting(''app.tenant_id'')', TG_ARGV[1]) INTO want;
            got := CASE TG_OP WHEN 'INSERT' THEN to_jsonb(NEW) ELSE to_jsonb(OLD) END;
            IF got->>TG_ARGV[0] IS DISTINCT FROM want OR TG_OP = 'UPDATE' AND to_jsonb(NEW)->>TG_ARGV[0] IS DISTINCT FROM want THEN
                RAISE EXCEPTION 'ALARM % of % for %', TG_OP, got, want;
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$;}, 'plain');
for my $rel (sort keys %{ $corpus->{policy}{tenant_tables} }) {
    my $p = $corpus->{policy}{tenant_tables}{$rel};
    $pg->sql("CREATE TRIGGER alarm BEFORE INSERT OR UPDATE OR DELETE ON $rel FOR EACH ROW EXECUTE FUNCTION alarm.look('$p->{column}', '$p->{claim}')", 'plain');
}

# ---- asking both ----

my (%proxy, %oracle);
my $extended;

sub connect_both {
    my ($key) = @_;
    $proxy{$key} //= $run->{proxy}->connect('plain', $key, timeout => 60);
    $oracle{$key} //= $pg->connect('oracle', user => "${key}_rls", password => "pw_${key}_rls", timeout => 60);
    return ($proxy{$key}, $oracle{$key});
}

# Numbers with many digits depend on the order of addition.
sub shape {
    my ($r) = @_;
    return "error $r->{error}{C}" if $r->{error};
    return join "\n--\n", map {
        my $res = $_;
        join "\n", join(',', map { "$_->{name}:$_->{type}" } @{ $res->{cols} // [] }),
            (sort map { join '|', map { !defined $_ ? 'NULL' : /^-?\d+\.\d{8,}\z/ ? sprintf('%.8g', $_) : $_ } @$_ } @{ $res->{rows} // [] }), $res->{tag} // ''
    } @{ $r->{results} };
}

my (%reason, %kind, %state, %odd);
my ($done, $same, $refused, $failed, $rows, $slow, $early, $limited) = (0) x 8;

sub report {
    my ($what, $key, $sql, $p, $o) = @_;
    $failed++;
    diag("$what, tenant $key, seed $seed, number $done" . ($extended ? ', extended' : '') . ":\n$sql\nproxy:  " . substr(shape($p), 0, 800) . ' '
        . ($p->{error} ? $p->{error}{M} : '') . "\noracle: " . substr(shape($o), 0, 800)) if $failed <= 10;
    return;
}

# The tenant's own rows, seen from inside the transaction.
my $look = join ' UNION ALL ', map { "(SELECT '$_', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $_ t)" } qw(documents chunks folders tickets invoices memory.nodes memory.settings shares);

sub one {
    my ($sql) = @_;
    my $key = $order[$done % @order];
    $extended = $done % 3 == 0;
    my $writes = $sql =~ /^\s*(?:insert|update|delete|merge|with)\b/i;
    my @both;
    for my $c (connect_both($key)) {
        $c->query("BEGIN; SET LOCAL statement_timeout = '2s'");
        my $r = $extended ? $c->ext($sql, []) : $c->query($sql);
        # A default may be the time of day.
        my $after = $writes && !$r->{error} && $sql !~ /\bdefault\b/ ? shape($c->query($look)) : '';
        $c->query('ROLLBACK');
        push @both, $r, $after;
    }
    my ($p, $p_after, $o, $o_after) = @both;
    $done++;
    my $bytes = join "\n", map { $_->[1] } @{ $p->{msgs} };
    for my $other (grep { $_ ne $key } @order) {
        report("leak: row of $other", $key, $sql, $p, $o) if index($bytes, "CANARY_${other}_") >= 0 && index($sql, "CANARY_${other}_") < 0;
    }
    my $m = $p->{error} ? $p->{error}{M} // '' : '';
    if ($m =~ /ALARM/) { report('leak: a foreign row was written', $key, $sql, $p, $o); return }
    if ($m =~ /^tenant isolation: .*\((\w+)\)$/) {
        $refused++;
        $reason{$1}++;
        $odd{"$1: " . ($p->{error}{D} // '')}++;
        return;
    }
    if (grep { $_->{error} && $_->{error}{C} eq '57014' } $p, $o) { $slow++; return }
    $state{ $o->{error}{C} }++ if $o->{error};
    $odd{"oracle $o->{error}{C} $o->{error}{M}"}++ if $o->{error};
    $kind{lc $1}++ if $sql =~ /^\s*(\w+)/;
    $rows++ if grep { @{ $_->{rows} // [] } } @{ $o->{results} };
    if (shape($p) eq shape($o) && $p_after eq $o_after) { $same++; return }
    # Which of several failing conditions is met first is the planner's choice, and so is whether one is met at all.
    if (($p->{error} || $o->{error}) && !grep { $_->{error} && $_->{error}{C} !~ /^2[12]/ } $p, $o) { $early++; return }
    # LIMIT without ORDER BY: which rows it takes is the plan's choice. Without it the answers must be the same.
    my $whole = $sql =~ s/\blimit \d{2,}//gr;
    if ($whole ne $sql && !$p->{error} && !$o->{error}) {
        my @again = map { my $c = $_; $c->query("BEGIN; SET LOCAL statement_timeout = '10s'"); my $r = $c->query($whole); $c->query('ROLLBACK'); $r } connect_both($key);
        if ((grep { $_->{error} && $_->{error}{C} eq '57014' } @again) || shape($again[0]) eq shape($again[1])) { $limited++; return }
    }
    report('wrong answer', $key, $sql, $p, $o);
    return;
}

# sqlsmith knows hardly any constant but NULL, which makes most conditions false: give it some.
my %constant = (
    (map { ($_ => [1, 0, 2, 7, -1, 100, 32767]) } qw(int2 int4 int8 numeric float4 float8)),
    (map { ($_ => ["''", "'a'", "'%o%'", "'draft'", "'memo'", "'acme'", "'1'", "'[a-z'"]) } qw(text varchar bpchar name)),
    (map { ($_ => ["'2025-06-01'", "'2024-12-31 23:59:59'", "'infinity'"]) } qw(date timestamp timestamptz)),
    bool => [qw(true false)], jsonb => [q('{"a": [1, {"b": null}]}'), q('[]'), q('"x"')], interval => ["'1 day'", "'-3 months'"], uuid => ["'a1111111-0000-4000-8000-00000000000a'"],
    bytea => [q('\\xdeadbeef')], tsquery => ["'a & b'"], tsvector => ["'a:1 b:2'"], int4range => ["'[1,5)'"], inet => ["'10.0.0.1/8'"], bit => ["B'101'"], varbit => ["B'1'"], point => ["'(1,2)'"],
);
my $next = $seed * 7919 + 1;

sub constant {
    my ($type) = @_;
    $next = ($next * 1103515245 + 12345) & 0x7FFFFFFF;
    my $c = $constant{ $type =~ s/"//gr };
    my $r = $next >> 8;
    return $c && $r % 5 ? "cast($c->[($r >> 4) % @$c] as $type)" : "cast(null as $type)";
}

my $round = 0;
while ($done < $count && time < $until && $failed <= 50) {
    my $n = $count - $done < 500 ? $count - $done : 500;
    my ($st, $out, $err) = run_cmd(argv => ['sqlsmith', '--target=host=' . $pg->host . ' port=' . $pg->port . ' dbname=smith user=postgres', '--dry-run', '--exclude-catalog',
        "--max-queries=$n", '--seed=' . ($seed * 100000 + $round++)], timeout => 120);
    my @sql = grep { /\S/ } split /;\n/, $out;
    ok(0, "sqlsmith gives statements: $err"), last if !@sql;
    for my $sql (@sql) {
        last if $done >= $count || time >= $until || $failed > 50;
        # The same sample and the same row each time.
        $sql =~ s/(tablesample \w+ \([\d.]+\))/$1 repeatable (1)/g;
        $sql =~ s/\blimit 1 offset/order by 1 limit 1 offset/g;
        $sql =~ s/cast\(null as ("?\w+"?)\)/constant($1)/ge;
        $sql =~ s/\(false\)/(true)/g;
        $sql =~ s/ is NULL\)/ is not NULL)/g if $done % 2;
        print "$sql;\n" if $ENV{BH_SHOW};
        one($sql);
    }
}
is($failed, 0, "statements of sqlsmith answer as the oracle does (seed $seed)");
cmp_ok($same, '>', $done * 0.5, "most are answered: $same of $done, $refused refused");
diag("seed $seed: $done statements, $same the same, $failed wrong, $refused refused" . join('', map { ", $_ $reason{$_}" } sort keys %reason)
    . "; $slow too slow, $early with another error of evaluation, $limited with other rows of a LIMIT; $rows with rows" . join('', map { ", $_ $kind{$_}" } sort keys %kind) . '; errors of the oracle:' . join('', map { " $_ $state{$_}" } sort keys %state));
if ($ENV{BH_VERBOSE}) { diag("$odd{$_}  $_") for sort { $odd{$b} <=> $odd{$a} } keys %odd }
$_->close for values %proxy, values %oracle;
finish();
