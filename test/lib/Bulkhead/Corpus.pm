# SPDX-License-Identifier: ISC
# The tenant corpus: case files, the databases they run in, running a case and judging its answers.
# The oracle is the same database under forced row-level security, reached directly.
package Bulkhead::Corpus;
use strict;
use warnings;
use Bulkhead::Util qw(slurp spew work_dir);
use Bulkhead::Wire;
use Encode qw(decode encode);
use JSON::PP;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->allow_nonref;

# States in which a refusal may come.
my %refusal = map { $_ => 1 } qw(42501 0A000 08P01 28000);

# ---- case files ----

# read_cases(file) gives [{id, class, flag => {...}, steps => [{conn, kind, arg, text}]}].
sub read_cases {
    my ($file) = @_;
    my @cases;
    my ($case, $step);
    my $text = slurp($file);
    die "$file: empty or missing\n" unless length $text;
    for my $line (split /\n/, $text) {
        if ($line =~ /^=== (\S+) (\S+)(.*)$/) {
            $case = { id => $1, class => $2, flag => {}, steps => [] };
            for my $w (split ' ', $3) { $case->{flag}{$1} = $2 // 1 if $w =~ /^([^=]+)(?:=(.*))?$/ }
            push @cases, $case;
            undef $step;
        } elsif ($line =~ /^--- (\S+) (\S+)\s*(.*)$/) {
            push @{ $case->{steps} }, $step = { conn => $1, kind => $2, arg => $3, text => '' };
        } elsif ($line =~ /^##/ || !$case) { next }
        else {
            push @{ $case->{steps} }, $step = { conn => 'c1', kind => 'sql', arg => '', text => '' } unless $step;
            $step->{text} .= "$line\n";
        }
    }
    for my $c (@cases) { chomp $_->{text} for @{ $c->{steps} } }
    return \@cases;
}

# refused.list: {mode => {id => reason}}.
sub read_refused {
    my ($file) = @_;
    my %r = (rewrite => {}, reject => {}, rls => {});
    for (split /\n/, slurp($file)) {
        next if /^\s*(#|$)/;
        /^(?:(\w+):)?(\S+)\s+(\S.*)$/ or die "$file: not understood: $_\n";
        $r{ $1 // 'rewrite' }{$2} = $3;
    }
    return \%r;
}

# ---- the world ----

# new(pg => cluster, dir => folder of the sample files, proxy => Bulkhead::Proxy or undef)
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    my $tenants = $json->decode(slurp("$o{dir}/tenants.json"));
    my $k = 0;
    for my $t (@$tenants) { $t->{k} = ++$k; $self->{tenant}{ $t->{key} } = $t }
    $self->{order} = [map { $_->{key} } @$tenants];
    $self->{policy} = $json->decode(slurp("$o{dir}/policy.json"));
    return $self;
}

sub set_up {
    my ($self) = @_;
    my ($pg, $dir) = @$self{qw(pg dir)};
    $pg->load('postgres', "$dir/roles.sql");
    $pg->sql("CREATE ROLE rls_backend LOGIN PASSWORD 'pw_rls_backend'; GRANT rls_app TO rls_backend") if $self->{rls};
    $pg->sql('CREATE DATABASE base');
    $pg->load('base', "$dir/schema.sql", "$dir/data.sql");
    $self->_keep_rows('base');
    for (qw(plain oracle)) { $self->_make($_); $self->take_print($_) }
    return $self;
}

# Rows of a query of the superuser's, over a connection that is kept. A database that is made anew closes it: then a new one.
sub ask {
    my ($self, $sql, $db) = @_;
    for my $try (0, 1) {
        my $c = $self->{kept}{$db} //= $self->{pg}->connect($db, timeout => 60);
        my $r = eval { $c->query($sql) };
        if ($r && !$r->{eof} && !($r->{error} && $r->{error}{C} =~ /^57P/)) {
            die "SQL failed: $r->{error}{M}\n" if $r->{error};
            return @{ $r->{results} } ? $r->{results}[-1]{rows} // [] : [];
        }
        delete $self->{kept}{$db};
        die "SQL failed: the connection broke\n" if $try;
    }
    return;
}

# Remembers the database's present state as its first one.
sub take_print {
    my ($self, $db) = @_;
    $self->{base_print}{$db} = $self->fingerprint($db);
    return $self->{mark}{$db} = $self->_mark($db);
}

# Something that changes with every lasting change in the cluster, and is cheap: nearly every change takes a transaction number.
sub _mark {
    my ($self, $db) = @_;
    return $self->ask("SELECT concat_ws(' ', (SELECT oid FROM pg_database WHERE datname = current_database()), pg_snapshot_xmax(pg_current_snapshot()), (SELECT md5(string_agg(concat(sequencename, last_value), ',' ORDER BY sequencename)) FROM pg_sequences),
        (SELECT count(*) FROM pg_replication_slots))", $db)->[0][0];
}

# The fingerprint now; where nothing can have changed since the last look at the unchanged database, that one.
sub present_print {
    my ($self, $db) = @_;
    my $mark = $self->_mark($db);
    return $self->{base_print}{$db} if ($self->{mark}{$db} // '') eq $mark;
    my $now = $self->fingerprint($db);
    $self->{mark}{$db} = $mark if $self->same_print($now, $self->{base_print}{$db});
    return $now;
}

# (Re)creates a database: plain, oracle, or world_<key>, where the rows of all tenants but that one are gone.
sub _make {
    my ($self, $name) = @_;
    my $pg = $self->{pg};
    delete $self->{kept}{$name};
    $pg->sql("DROP DATABASE IF EXISTS $name WITH (FORCE)");
    $pg->sql("CREATE DATABASE $name TEMPLATE base");
    if ($name eq 'oracle') { $pg->load($name, "$self->{dir}/oracle.sql") }
    if ($name =~ /^world_(\w+)/) {
        my $t = $self->{tenant}{$1};
        my $sql = "SET session_replication_role = replica;\n";
        for my $rel (sort keys %{ $self->{policy}{tenant_tables} }) {
            my $p = $self->{policy}{tenant_tables}{$rel};
            $sql .= "DELETE FROM $rel WHERE \"$p->{column}\"::text IS DISTINCT FROM " . _lit($t->{ $p->{claim} }) . ";\n";
        }
        $sql .= "SELECT lo_unlink(7699 + n) FROM generate_series(1, 6) AS n WHERE n <> $t->{k};\n";
        $sql .= "REFRESH MATERIALIZED VIEW public.mv_doc_stats; REFRESH MATERIALIZED VIEW public.mv_all_titles;\n";
        $pg->sql("$sql; ANALYZE", $name);
        $self->_keep_rows($name) unless $self->{copies}{$name};
    }
    $self->_guard($name) if $self->{rls} && $name ne 'oracle';
    return;
}

# The oracle's policies without those on the login, and with one setting for all three values: for tenant_mode=rls.
sub _guard {
    my ($self, $name) = @_;
    my $sql = slurp("$self->{dir}/oracle.sql");
    $sql =~ s/^DROP MATERIALIZED VIEW.*//ms;
    $sql =~ s/^CREATE POLICY by_login .*\n//mg;
    $sql =~ s/current_setting\('app\.tenant_uuid'\)::uuid/rls.guc_uuid()/g;
    $sql =~ s/current_setting\('app\.tenant_no'\)::int/rls.guc_no()/g;
    my $of = sub { "CREATE FUNCTION rls.guc_$_[0]() RETURNS $_[1] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
        AS \$\$ SELECT tenant_$_[0] FROM rls.role_map WHERE tenant_id = current_setting('app.tenant_id') \$\$;\n" };
    my $functions = $of->('uuid', 'uuid') . $of->('no', 'int');
    $sql =~ s/^(?=GRANT USAGE ON SCHEMA rls)/$functions/m;
    my $file = work_dir() . '/rls.sql';
    spew($file, $sql);
    $self->{pg}->load($name, $file);
    return;
}

# The rows of all tables and the state of all sequences, so that a changed database is put back without dropping it.
# (pg_dump would have to be of the server's version.)
sub _keep_rows {
    my ($self, $db) = @_;
    my $c = $self->{pg}->connect($db, timeout => 60);
    my $ask = sub {
        my $r = $c->query($_[0]);
        die "$r->{error}{M}\n" if $r->{error};
        return $r->{results}[0];
    };
    my (@copies, @sets);
    my $tables = $ask->(<<'SQL')->{rows};
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '' AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'r' AND c.oid >= 16384 AND n.nspname !~ '^pg_' AND c.relpersistence <> 't' GROUP BY 1 ORDER BY 1
SQL
    for my $t (@$tables) {
        my $rows = $ask->("COPY $t->[0] ($t->[1]) TO STDOUT")->{copy} // [];
        push @copies, ["COPY $t->[0] ($t->[1]) FROM stdin;", join '', @$rows];
    }
    die "too few tables\n" unless @copies > 20;
    for my $q (@{ $ask->("SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) FROM pg_sequences")->{rows} }) {
        my ($last, $called) = @{ $ask->("SELECT last_value, is_called FROM $q->[0]")->{rows}[0] };
        push @sets, "SELECT pg_catalog.setval('" . ($q->[0] =~ s/'/''/gr) . "', $last, '$called');";
    }
    $c->close;
    $self->{copies}{$db} = \@copies;
    $self->{setvals}{$db} = \@sets;
    return;
}

# Puts a database back to its first state; true if only rows had changed.
sub restore {
    my ($self, $name) = @_;
    my $pg = $self->{pg};
    my ($copies, $sets) = map { $self->{$_}{$name} // $self->{$_}{base} } qw(copies setvals);
    my $ok = eval {
        my $c = $pg->connect($name, timeout => 30);
        my $run = sub {
            my $r = $c->query(@_);
            die "$r->{error}{M}\n" if $r->{error};
        };
        $run->("SET lock_timeout = '5s'; SET session_replication_role = replica; BEGIN");
        $run->('TRUNCATE ' . join ', ', map { $_->[0] =~ /^COPY (.+?) \(/ ? $1 : die } @$copies);
        for my $cp (@$copies) { $run->($cp->[0], copy => [$cp->[1]]) }
        $run->($_) for @$sets;
        $run->('COMMIT');
        $run->('REFRESH MATERIALIZED VIEW public.mv_doc_stats; REFRESH MATERIALIZED VIEW public.mv_all_titles') if $name ne 'oracle';
        $c->close;
        1;
    };
    warn "restore $name: $@" if !$ok && $ENV{BH_VERBOSE};
    return 1 if $ok && $self->same_print($self->fingerprint($name), $self->{base_print}{$name});
    $self->_make($name);
    eval { $self->{proxy}->console('RECONNECT') } if $self->{proxy} && $name ne 'oracle';
    sleep 0.2 if $self->{proxy};
    return 0;
}

sub _lit { my ($v) = @_; return "'" . ("$v" =~ s/'/''/gr) . "'" }

# The columns by which relations belong to tenants: {relation => [column, claim]}; partitions and children are read
# through their own names.
sub fingerprint {
    my ($self, $db) = @_;
    my @q;
    my $tables = $self->{policy}{tenant_tables};
    for my $rel (sort keys %$tables) {
        push @q, "SELECT " . _lit($rel) . ", coalesce(\"$tables->{$rel}{column}\"::text, ''), "
            . "md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM ONLY $rel t GROUP BY 2"
            unless $tables->{$rel}{partitions};
        push @q, "SELECT " . _lit($_) . ", coalesce(\"$tables->{$rel}{column}\"::text, ''), "
            . "md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM ONLY $_ t GROUP BY 2"
            for @{ $tables->{$rel}{partitions} // [] };
    }
    for my $rel (qw(public.doc_types public.settings public.plan_catalog)) {
        push @q, "SELECT '$rel', '', md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM $rel t";
    }
    push @q, "SELECT 'large objects', '', md5(string_agg(loid || data::text, ',' ORDER BY loid, pageno)) FROM pg_largeobject";
    my @cat = (
        "SELECT concat(oid::text, relname, relkind, relnamespace, coalesce(relacl::text, ''), relrowsecurity, relforcerowsecurity, relhastriggers) FROM pg_class WHERE relnamespace NOT IN (11, 99) AND relpersistence <> 't' AND relname !~ '^pg_' AND relnamespace::regnamespace::text <> 'rls'",
        "SELECT concat(oid::text, proname, prosrc, coalesce(proacl::text, '')) FROM pg_proc WHERE oid > 16383 AND pronamespace::regnamespace::text <> 'rls'",
        "SELECT concat(oid::text, nspname, coalesce(nspacl::text, '')) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'rls'",
        "SELECT concat(oid::text, typname) FROM pg_type WHERE oid > 16383 AND typname !~ '^_?pg_' AND typnamespace::regnamespace::text !~ '^(pg_|rls\$)'",
        "SELECT concat(polname, polrelid) FROM pg_policy",
        "SELECT concat(tgname, tgrelid, tgenabled) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT concat(rolname, rolsuper, rolcanlogin, rolbypassrls, coalesce(rolpassword, '')) FROM pg_authid",
        "SELECT concat(setdatabase, ':', setrole, setconfig::text) FROM pg_db_role_setting WHERE setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        "SELECT concat(roleid, ':', member) FROM pg_auth_members",
        "SELECT gid FROM pg_prepared_xacts", "SELECT slot_name::text FROM pg_replication_slots",
    );
    push @q, "SELECT 'catalog', '', md5(string_agg(x, E'\\n' ORDER BY x)) FROM (" . join(' UNION ALL ', map { "($_)" } @cat) . ') AS s(x)';
    push @q, "SELECT 'sequence ' || schemaname || '.' || sequencename, '', coalesce(last_value, 0)::text FROM pg_sequences";
    my $rows = $self->ask(join("\nUNION ALL\n", @q), $db);
    return { map { ("$_->[0]\0" . decode('UTF-8', $_->[1]) => $_->[2]) } @$rows };
}

sub same_print { my ($self, $a, $b) = @_; return !$self->changes($a, $b) }

# [[relation, owner], ...] that differ.
sub changes {
    my ($self, $a, $b) = @_;
    my %all = (%$a, %$b);
    return map { [split /\0/, $_, 2] } grep { ($a->{$_} // '') ne ($b->{$_} // '') } sort keys %all;
}

# Changes that tenant `key` must not be able to make.
sub foreign_changes {
    my ($self, $key, $now, $base) = @_;
    my $t = $self->{tenant}{$key};
    my %own = map { $t->{$_} => 1 } qw(tenant_id tenant_uuid tenant_no);
    my @c = grep { $_->[0] !~ /^sequence/ || $now->{"$_->[0]\0"} < $base->{"$_->[0]\0"} } $self->changes($now, $base);
    return grep { !(length $_->[1] && $own{ $_->[1] }) } @c;
}

# ---- running ----

# Values of ${...} for a pair of tenants towards a target.
sub variables {
    my ($self, $self_key, $other_key, $target) = @_;
    my %v = (backend_port => $self->{pg}->port, dbname => $target->{dbname});
    for my $w ([self => $self_key], [other => $other_key]) {
        my ($n, $key) = @$w;
        my $t = $self->{tenant}{$key};
        my $id = $t->{tenant_id};
        my $esc = $id;
        $esc =~ s/([\\'])/\\$1/g;
        $esc =~ s/([^\x00-\x7f])/sprintf '\\U%08X', ord $1/ge;
        %v = (%v, $n => $id, "${n}_lit" => _lit($id), "${n}_esc" => "E'$esc'", "${n}_no" => $t->{tenant_no},
            "${n}_uuid" => $t->{tenant_uuid}, "${n}_k" => $t->{k}, "${n}_key" => $key,
            "${n}_login" => $target->{login}->($key), "${n}_password" => 'pw_' . $target->{login}->($key));
    }
    return \%v;
}

# Text with ${...} filled in, as bytes in UTF-8.
sub _fill {
    my ($v, $text) = @_;
    $text = decode('UTF-8', $text) unless utf8::is_utf8($text);
    $text =~ s/\$\{(\w+)\}/exists $v->{$1} ? $v->{$1} : die "unknown variable $1\n"/ge;
    return encode('UTF-8', $text);
}

sub _deep {
    my ($v, $x) = @_;
    return [map { _deep($v, $_) } @$x] if ref $x eq 'ARRAY';
    return { map { $_ => _deep($v, $x->{$_}) } keys %$x } if ref $x eq 'HASH';
    return ref $x || !defined $x ? $x : _fill($v, $x);
}

# Runs all steps towards a target {host, port, dbname, login => code(key), [cluster]}. Gives a list of answers
# {conn, kind, msgs, hang, eof, login_error, sent}.
sub run {
    my ($self, $case, $target, $self_key, $other_key) = @_;
    my $v = $self->variables($self_key, $other_key, $target);
    my (%conn, @answers);
    my $open = sub {
        my ($name, $arg) = @_;
        my $key = $name =~ /^c/ ? $self_key : $other_key;
        my $login = $arg->{user} // $target->{login}->($key);
        my %extra = map { $_ => $arg->{$_} } grep { defined $arg->{$_} } qw(options params);
        my $c = eval {
            Bulkhead::Wire->login(host => $target->{host}, port => $target->{port}, dbname => $target->{dbname}, user => $login,
                password => $arg->{password} // "pw_$login", no_die => 1, timeout => $self->{timeout} // 10, %extra);
        };
        return $conn{$name} = $c if $c;
        return $conn{$name} = { error => { C => '08006', M => "$@" } };
    };
    for my $s (@{ $case->{steps} }) {
        my $a = { conn => $s->{conn}, kind => $s->{kind}, msgs => [], sent => '' };
        push @answers, $a;
        my $arg = length $s->{arg} ? _deep($v, $json->decode($s->{arg})) : {};
        if ($s->{kind} eq 'open') {
            $conn{ $s->{conn} }->close if $conn{ $s->{conn} } && ref $conn{ $s->{conn} } ne 'HASH';
            my $c = $open->($s->{conn}, $arg);
            $a->{login_error} = $c->{error} if $c->{error};
            next;
        }
        my $c = $conn{ $s->{conn} } // $open->($s->{conn}, {});
        if ($c->{error} && !$c->{ready}) { $a->{login_error} = $c->{error}; next }
        $c->{ready} = 1;
        if ($s->{kind} eq 'close') { $c->close; delete $conn{ $s->{conn} }; next }
        my $ok = eval { $self->_step($c, $s, $arg, $a, $v, \%conn); 1 };
        if (!$ok) {
            my $why = $@;
            if ($why =~ /^timeout/) { $a->{hang} = 1; $c->abort; delete $conn{ $s->{conn} } }
            else { die "case $case->{id}: $why" unless $why =~ /bad frame/; $a->{bad} = $why }
        }
        $a->{eof} = 1 if $c->{eof};
        if ($c->{eof} || $c->{send_error}) { $c->{error} //= { C => '08006', M => 'connection closed' }; $c->{ready} = 0 }
    }
    for my $c (values %conn) { $c->close if ref $c ne 'HASH' }
    return \@answers;
}

sub _step {
    my ($self, $c, $s, $arg, $a, $v, $conns) = @_;
    my $kind = $s->{kind};
    if ($kind eq 'sql') {
        my $sql = $a->{sent} = _fill($v, $s->{text});
        $c->send_query($sql);
        return $self->_collect($c, $a, 1);
    }
    if ($kind eq 'copy') {
        my ($sql, $data) = split /\n\\data\n/, _fill($v, $s->{text}), 2;
        $a->{sent} = "$sql\n$data";
        $a->{copy} = $data;
        $c->send_query($sql);
        return $self->_collect($c, $a, 1);
    }
    if ($kind eq 'ext') {
        my $sql = $a->{sent} = _fill($v, $s->{text});
        my $p = ref $arg eq 'ARRAY' ? $arg : [];
        $a->{sent} .= join ',', map { $_ // '' } @$p;
        $c->cork;
        $c->parse('', $sql);
        $c->bind('', '', $p);
        $c->describe('P', '');
        $c->execute('', 0);
        $c->sync;
        $c->uncork;
        return $self->_collect($c, $a, 1);
    }
    if ($kind eq 'proto') { return $self->_proto($c, $s, $arg, $a, $v) }
    if ($kind eq 'read') {
        my $until = time + ($arg->{ms} // 100) / 1000;
        while ((my $left = $until - time) > 0) {
            last unless $c->readable($left);
            my $m = $c->read_msg(5) or last;
            push @{ $a->{msgs} }, $m;
        }
        return;
    }
    if ($kind eq 'cancel') {
        my $of = $conns->{ $arg->{of} } or return;
        for my $dp (@{ $arg->{pids} }) {
            for my $key (@{ $arg->{keys} }) {
                $c->cancel(body => pack 'NN', (($of->{pid_key} // 0) + $dp) & 0xFFFFFFFF, $key);
            }
        }
        return;
    }
    die "step kind $kind not known\n";
}

# Reads until so many ReadyForQuery came. COPY FROM STDIN is answered with the step's data.
sub _collect {
    my ($self, $c, $a, $ready) = @_;
    while ($ready > 0) {
        my $m = $c->read_msg or last;
        push @{ $a->{msgs} }, $m;
        if ($m->[0] eq 'G') {
            if (defined $a->{copy}) {
                my $d = $a->{copy};
                $d .= "\n" unless $d =~ /\n\z/;
                $c->copy_data($d);
                $c->copy_done;
            } else { $c->copy_fail('no data') }
        }
        $ready-- if $m->[0] eq 'Z';
    }
    return;
}

sub _proto {
    my ($self, $c, $s, $arg, $a, $v) = @_;
    my $ready = 0;
    $c->cork;
    for my $line (split /\n/, $s->{text}) {
        next unless $line =~ /\S/;
        my ($what, $j) = $line =~ /^\s*(\w+)\s*(.*)$/;
        my $raw = length $j ? $json->decode($j) : {};
        my $latin = delete $raw->{latin1};
        my $o = _deep($v, $raw);
        $o->{sql} = encode('ISO-8859-1', $latin) if defined $latin;
        $a->{sent} .= join ' ', $what, map { ref $o->{$_} ? join ',', map { ref $_ ? '' : $_ // '' } (ref $o->{$_} eq 'ARRAY' ? @{ $o->{$_} } : ()) : $o->{$_} // '' } sort keys %$o;
        if ($what eq 'Parse') { $c->parse($o->{name} // '', $o->{sql}, @{ $o->{types} // [] }) }
        elsif ($what eq 'Bind') { $c->bind($o->{portal}, $o->{stmt}, $o->{params}, $o->{formats}, $o->{results}) }
        elsif ($what eq 'Describe') { $c->describe($o->{what} // 'P', $o->{name}) }
        elsif ($what eq 'Execute') { $c->execute($o->{portal}, $o->{max}) }
        elsif ($what eq 'Close') { $c->close_name($o->{what} // 'S', $o->{name}) }
        elsif ($what eq 'Sync') { $c->sync; $ready++ }
        elsif ($what eq 'Flush') { $c->flush }
        elsif ($what eq 'Query') { $c->send_msg('Q', (defined $latin ? $o->{sql} : $o->{sql}) . "\0"); $ready++ }
        elsif ($what eq 'CopyData') { $c->copy_data($o->{data} // pack 'H*', ($o->{hex} // '') =~ s/\s//gr) }
        elsif ($what eq 'CopyDone') { $c->copy_done }
        elsif ($what eq 'FunctionCall') {
            my $oid = $o->{oid} // $self->{pg}->value("SELECT '$o->{func}'::regprocedure::oid", 'base');
            my @args = @{ $o->{args} // [] };
            $c->send_msg('F', pack('N n n', $oid, 0, scalar @args) . join('', map { pack('N', length $_) . $_ } @args) . pack('n', 0));
            $ready++;
        } elsif ($what eq 'Frame') {
            my $body = pack 'H*', ($o->{hex} // '') =~ s/\s//gr;
            $c->send_msg($o->{t}, $body);
        } else { die "message $what not known\n" }
    }
    $c->uncork;
    return if $arg->{noread};
    return $self->_collect($c, $a, $ready);
}

# ---- judging ----

# An answer as comparable text: rows sorted unless ordered, names and types of columns, tags, states.
sub shape {
    my ($case, $a, %o) = @_;
    return [{ err => 'login ' . $a->{login_error}{C} }] if $a->{login_error};
    my @items;
    my ($cols, @rows) = ('');
    my $done = sub {
        my ($tag) = @_;
        my @r = $case->{flag}{ordered} ? @rows : sort @rows;
        push @items, { text => $case->{flag}{cmp} && $case->{flag}{cmp} eq 'status' ? $tag : join "\n", $cols, @r, $tag };
        ($cols, @rows) = ('');
    };
    for my $m (@{ $a->{msgs} }) {
        my ($t, $b) = @$m;
        if ($t eq 'T') { $cols = join ',', map { "$_->{name}:$_->{type}:$_->{format}" } @{ Bulkhead::Wire::decode_row_description($b) } }
        elsif ($t eq 'D') { push @rows, join '|', map { defined $_ ? "<$_>" : 'NULL' } @{ Bulkhead::Wire::decode_row($b) } }
        elsif ($t eq 'd') { push @rows, "copy $b" }
        elsif ($t eq 'V') { push @rows, 'function ' . unpack 'H*', $b }
        elsif ($t eq 'C') { $done->($b =~ s/\0//gr) }
        elsif ($t eq 's') { $done->('suspended') }
        elsif ($t eq 'I') { $done->('empty') }
        elsif ($t eq 'E') {
            my $f = Bulkhead::Wire::decode_fields($b);
            my $text = join ' ', map { $f->{$_} // '' } qw(M D);
            push @items, { err => $f->{C}, rows => join("\n", sort @rows), ($o{texts} ? (msg => $text) : ()) };
            ($cols, @rows) = ('');
        } elsif ($t eq 'N' && $o{texts}) { my $f = Bulkhead::Wire::decode_fields($b); push @items, { text => "notice $f->{M}" } }
        elsif ($t eq 'A') { push @items, { text => 'notification ' . substr $b, 4 } }
    }
    push @items, { text => join "\n", $cols, sort @rows } if @rows;
    push @items, { err => 'hang' } if $a->{hang};
    push @items, { err => 'bad frame' } if $a->{bad};
    return \@items;
}

sub _item { my ($i) = @_; return !$i ? '(nothing)' : defined $i->{err} ? "error $i->{err}" . (length($i->{rows} // '') ? " after rows" : '') . ($i->{msg} ? " $i->{msg}" : '') : $i->{text} }

# Compares answers of the connections that match $who: 'same', 'refused' (equal up to a refusal), or a text that says
# what differs.
sub compare {
    my ($case, $got, $want, $who, %o) = @_;
    my @g = grep { $_->{conn} =~ $who } @$got;
    my @w = grep { $_->{conn} =~ $who } @$want;
    for my $i (0 .. $#g) {
        my ($a, $b) = (shape($case, $g[$i], %o), shape($case, $w[$i], %o));
        my $n = @$a > @$b ? @$a : @$b;
        for my $j (0 .. $n - 1) {
            my ($x, $y) = ($a->[$j], $b->[$j]);
            next if $x && $y && _item($x) eq _item($y);
            return 'refused' if $x && defined $x->{err} && $refusal{ $x->{err} =~ s/^login //r } && !length($x->{rows} // '');
            return sprintf "step %d, %d: got %s, wanted %s", $i + 1, $j + 1, _short(_item($x)), _short(_item($y));
        }
        if ($g[$i]{eof} && !$w[$i]{eof} && !$o{eof_ok}) {
            my $e = @$a ? $a->[-1] : undef;
            return 'refused' if $e && defined $e->{err} && $refusal{ $e->{err} };
            return sprintf 'step %d: connection closed', $i + 1;
        }
    }
    return 'same';
}

sub _short { my ($t) = @_; $t =~ s/\n/ | /g; return length $t > 160 ? substr($t, 0, 160) . '...' : $t }

# Canaries of other tenants in what the attacker's connections got, other than in what they sent.
sub canaries {
    my ($self, $answers, $self_key) = @_;
    my %seen;
    for my $a (grep { $_->{conn} =~ /^c/ } @$answers) {
        my $got = join "\n", map { $_->[1] } @{ $a->{msgs} };
        $got .= join ' ', values %{ $a->{login_error} } if $a->{login_error};
        my $sent = join "\n", map { $_->{sent} } grep { $_->{conn} =~ /^c/ } @$answers;
        for my $key (@{ $self->{order} }) {
            next if $key eq $self_key;
            for my $w ("CANARY_${key}_", unpack('H*', "CANARY_${key}_"), join("\0", split //, "CANARY_${key}_"), scalar reverse("CANARY_${key}_")) {
                $seen{$key} = 1 if index($got, $w) >= 0 && index($sent, $w) < 0;
            }
        }
    }
    return sort keys %seen;
}

# Every error state the attacker's connections got.
sub states {
    my ($answers) = @_;
    my @s;
    for my $a (grep { $_->{conn} =~ /^c/ } @$answers) {
        push @s, $a->{login_error}{C} if $a->{login_error};
        push @s, map { Bulkhead::Wire::decode_fields($_->[1])->{C} } grep { $_->[0] eq 'E' } @{ $a->{msgs} };
        push @s, 'closed' if $a->{eof};
    }
    return @s;
}

# Proxy's tables for the ini, from policy.json: (rules, functions, operators) as lists of lines.
sub ini_rules {
    my ($self) = @_;
    my $p = $self->{policy};
    my $claim = sub { my ($c) = @_; return $c->{claim} eq 'tenant_id' ? ' claim=tenant' : " claim=$c->{claim}" };
    my (@rules, @f, @o);
    for my $set (qw(tenant_tables tenant_views)) {
        for my $rel (sort keys %{ $p->{$set} }) {
            my $c = $p->{$set}{$rel};
            my $col = $c->{column} =~ /^[a-z_][a-z0-9_]*$/ ? $c->{column} : "\"$c->{column}\"";
            push @rules, "$rel = $col" . $claim->($c);
        }
    }
    push @rules, map { "$_ = shared" } @{ $p->{shared_readonly} };
    push @rules, map { "$_ = deny" } @{ $p->{forbidden} };
    push @f, map { "$_ = allow" } @{ $p->{pure_functions} };
    push @o, map { s/\(.*//r . ' = allow' } @{ $p->{pure_operators} };
    return ([map { encode('UTF-8', $_) } @rules], \@f, \@o);
}

# [users] lines: what each tenant's login is.
sub ini_users {
    my ($self) = @_;
    my %u;
    for my $t (values %{ $self->{tenant} }) {
        my $q = sub { my ($x) = @_; return "'" . ($x =~ s/'/''/gr) . "'" };
        $u{ $t->{key} } = encode('UTF-8', 'tenant=' . $q->($t->{tenant_id}) . " claim.tenant_uuid=$t->{tenant_uuid} claim.tenant_no=$t->{tenant_no}");
    }
    return \%u;
}

1;
