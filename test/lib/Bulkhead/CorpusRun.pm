# SPDX-License-Identifier: ISC
# Runs the corpus as TAP: one test per case, tenant, mode and protocol, 0 leaks demanded.
# Environment: BH_CASE=regex picks cases, BH_PAIRS=self:other,... picks tenants ("all": each against its neighbour),
# BH_PROTO=written,ext or alternate picks protocols (ext: cases of one simple statement are sent by Parse, Bind and Execute besides).
package Bulkhead::CorpusRun;
use strict;
use warnings;
use Bulkhead limit => 3600;
use Bulkhead::Corpus;

# main(mode => rewrite|reject|..., target => proxy|oracle|open, dir => folder of the cases, [modes => several], [protos => ...])
sub main {
    my (%o) = @_;
    my $pg = pg(auth => 'scram-sha-256', conf => { wal_level => 'logical', max_prepared_transactions => 10,
        shared_preload_libraries => 'pg_stat_statements', max_connections => 100 });
    my $corpus = Bulkhead::Corpus->new(pg => $pg, dir => $o{dir}, timeout => 10, rls => ($o{mode} // '') eq 'rls');
    $corpus->set_up;
    my @pairs = map { [split /:/] } split /,/, $ENV{BH_PAIRS} // $o{pairs} // 'acme:acmeeu,obrien:acme,bslash:zoe';
    if (($ENV{BH_PAIRS} // '') eq 'all' || $o{rotate} && !$ENV{BH_PAIRS}) {
        my @k = @{ $corpus->{order} };
        @pairs = map { [$k[$_], $k[$_ - 1]] } 0 .. $#k;
    }
    my $run = { %o, corpus => $corpus, pg => $pg, pairs => \@pairs, leaks => 0, count => 0, tally => {},
        refused => Bulkhead::Corpus::read_refused("$o{dir}/refused.list") };
    if ($o{target} ne 'oracle') {
        for my $world (map { "world_$_->[0]" } @pairs) {
            $corpus->_make($world);
            $corpus->take_print($world);
        }
    }
    for my $mode (@{ $o{modes} // [$o{mode}] }) {
        $run->{mode} = $mode;
        if ($o{target} ne 'oracle') {
            $run->{proxy}->stop if $run->{proxy};
            _proxy($run);
        }
        for my $proto (split /,/, $ENV{BH_PROTO} // $o{protos} // 'written') {
            $run->{proto} = $proto;
            _cases($run);
        }
    }
    return $run;
}

sub _cases {
    my ($run) = @_;
    my $re = $ENV{BH_CASE} ? qr/$ENV{BH_CASE}/ : qr/./;
    my $turn = $run->{turn}++ // 0;
    my @sets = $run->{sets} ? @{ $run->{sets} } : sort map { m{([^/]+)\.cases$} } glob "$run->{dir}/*.cases";
    my @pairs = @{ $run->{pairs} };
    for my $k (0 .. ($run->{rotate} ? 0 : $#pairs)) {
        my $n = $turn; # with rotate each case has another pair in each mode and protocol
        for my $set (@sets) {
            for my $case (@{ Bulkhead::Corpus::read_cases("$run->{dir}/$set.cases") }) {
                my $pair = $pairs[$run->{rotate} ? $n % @pairs : $k];
                $n++;
                next unless $case->{id} =~ $re || $case->{class} =~ $re;
                # The largest file: half of its cases, each in one of the modes.
                next if $set eq 'hostile' && $run->{modes} && !$ENV{BH_PROTO} && ($n - $turn) % 4 != 2 * $turn;
                local $run->{proto} = $run->{proto};
                # alternate: a case goes as written in one mode and extended in the next one.
                $run->{proto} = $n % 2 ? 'ext' : 'written' if $run->{proto} eq 'alternate';
                if ($run->{proto} eq 'ext' && !_as_extended($case)) {
                    next unless ($run->{protos} // '') eq 'alternate' && !$ENV{BH_PROTO};
                    $run->{proto} = 'written';
                }
                _case($run, _kind($set, $case), $case, @$pair);
            }
        }
    }
    return;
}

# attack.cases, benign.cases and pred.cases are of one kind; in other files hostile cases have ids that begin with HA.
sub _kind {
    my ($set, $case) = @_;
    return $set if $set =~ /^(?:attack|benign|pred)$/;
    return $case->{id} =~ /^HA/ ? 'attack' : 'benign';
}

# One simple statement without parameters becomes Parse, Bind, Describe, Execute. false: the case is of another form.
sub _as_extended {
    my ($case) = @_;
    my $steps = $case->{steps};
    return 0 if $case->{flag}{noext} || @$steps != 1 || $steps->[0]{kind} ne 'sql' || $steps->[0]{arg};
    return 0 if $steps->[0]{text} =~ /;\s*\S|^\s*(?:COPY|BEGIN|START|COMMIT|ROLLBACK)\b/i;
    $steps->[0]{kind} = 'ext';
    return 1;
}

# The line that says it all; (leaks, mismatches, benign, refused benign, hostile).
sub summary {
    my (@runs) = @_;
    my %t;
    for my $r (@runs) {
        for my $mode (keys %{ $r->{tally} }) { $t{$_} += $r->{tally}{$mode}{$_} for keys %{ $r->{tally}{$mode} } }
    }
    my @n = map { $t{$_} // 0 } qw(leak mismatch benign refused hostile);
    return (sprintf('isolation: %d leaks, %d mismatches of %d benign, %d refused or harmless of %d hostile', @n[0, 1, 2], $n[4] - ($t{hostile_leak} // 0), $n[4]), @n);
}

sub _proxy {
    my ($run) = @_;
    my ($corpus, $pg) = @$run{qw(corpus pg)};
    my ($rules, $functions, $operators) = $corpus->ini_rules;
    my $mode = "tenant_mode=$run->{mode}";
    $mode = '' unless ours();
    my $as = 'user=shared_backend password=pw_shared_backend';
    $as = 'user=rls_backend password=pw_rls_backend tenant_guc=app.tenant_id' if $run->{mode} eq 'rls';
    my $cat = ours() ? 'catalog_user=postgres catalog_password=x' : '';
    my $guc = $run->{mode} eq 'rls' ? ' tenant_guc=app.tenant_id' : '';
    my %db = (plain => "dbname=plain $as $cat $mode", plain_super => "dbname=plain user=postgres password=x $cat $mode$guc");
    for my $p (@{ $run->{pairs} }) {
        $db{"world_$p->[0]"} = "dbname=world_$p->[0] $as $cat $mode";
        $db{"world_$p->[0]_super"} = "dbname=world_$p->[0] user=postgres password=x $cat $mode$guc";
    }
    my %auth = map { ($_ => "pw_$_") } @{ $corpus->{order} };
    $run->{proxy} = $corpus->{proxy} = proxy(pg => $pg, databases => \%db, auth => \%auth,
        (ours() ? (users => $corpus->ini_users) : ()), rules => $rules, functions => $functions, operators => $operators,
        set => { auth_type => 'md5', (ours() ? (tenant_explain => 'plan') : ()), pool_mode => ours() ? 'transaction' : 'session', default_pool_size => 6, max_client_conn => 100,
            server_check_delay => 0, query_wait_timeout => 8, log_connections => 0, log_disconnections => 0,
            worker_threads => $ENV{BH_WORKERS} // 1, %{ $run->{set} // {} } });
    return;
}

sub _target {
    my ($run, $db) = @_;
    if ($db eq 'oracle') {
        return { host => $run->{pg}->host, port => $run->{pg}->port, dbname => 'oracle', login => sub { "$_[0]_rls" } };
    }
    return { host => '127.0.0.1', port => $run->{proxy}->port, dbname => $db, login => sub { $_[0] } };
}

# Oracle's answers, kept: cases without side effects are asked once.
sub _oracle {
    my ($run, $case, $self, $other) = @_;
    my $a = $run->{corpus}->run($case, _target($run, 'oracle'), $self, $other);
    return $a;
}

sub _case {
    my ($run, $set, $case, $self, $other) = @_;
    my $corpus = $run->{corpus};
    my $f = $case->{flag};
    my $label = "$run->{mode}" . ($run->{proto} eq 'ext' ? ' extended' : '') . " $self $case->{id} $case->{class}";
    my $tally = $run->{tally}{ $run->{mode} } //= {};
    my %mark = map { $_ => 1 } split /,/, $f->{mark} // '';
    my $suffix = $mark{super} ? '_super' : '';
    my ($answers, $want, @problems);
    my $done = eval {
        $answers = $corpus->run($case, _target($run, $run->{target} eq 'oracle' ? 'oracle' : "plain$suffix"), $self, $other);
        my $db = $run->{target} eq 'oracle' ? 'oracle' : 'plain';
        # Let transactions of clients that left end on the server before the tables are looked at.
        _settle($run, $db);
        my $now = $corpus->present_print($db);
        my @foreign = $corpus->foreign_changes($self, $now, $corpus->{base_print}{$db});
        @foreign = () if $run->{target} eq 'oracle' && $mark{rlstoo};
        push @problems, 'leak: changed ' . join ', ', map { "$_->[0] of '$_->[1]'" } @foreign if @foreign;
        my @canaries = $corpus->canaries($answers, $self);
        @canaries = () if $run->{target} eq 'oracle' && $mark{rlstoo};
        push @problems, "leak: saw canaries of @canaries" if @canaries;
        for my $a (@$answers) { push @problems, "hang at $a->{kind} of $a->{conn}" if $a->{hang} && !$f->{hangok} }
        my $moved = !$corpus->same_print($now, $corpus->{base_print}{$db});
        $want = _oracle($run, $case, $self, $other) if $run->{target} ne 'oracle';
        if ($run->{target} ne 'oracle' && $set ne 'attack' && $f->{write} && !$f->{neutral_tables}) {
            _same_tables($run, $case, $self, $now, $answers, $want, \@problems);
        }
        if ($set eq 'attack') { push @problems, _judge_attack($run, $case, $self, $other, $answers, $want) }
        else {
            push @problems, _judge_good($run, $set, $case, $answers, $want);
            $tally->{refused}++ if $set ne 'pred' && !$f->{err} && $run->{target} ne 'oracle' && Bulkhead::Corpus::compare($case, $answers, $want, qr/./) eq 'refused';
        }
        _clean_up($run);
        $corpus->restore($db) if $moved;
        if ($run->{target} ne 'oracle' && ($f->{write} || $set eq 'attack')) {
            $corpus->restore('oracle') unless $corpus->same_print($corpus->present_print('oracle'), $corpus->{base_print}{oracle});
        }
        1;
    };
    push @problems, "test broke: $@" unless $done;
    _clean_up($run);
    $run->{count}++;
    my $leaks = grep { /^leak/ } @problems;
    $tally->{ $set eq 'attack' ? 'hostile' : 'benign' }++;
    $tally->{leak}++ if $leaks;
    $tally->{hostile_leak}++ if $leaks && $set eq 'attack';
    $tally->{mismatch}++ if grep { /^(?:wrong answer|table |hang|must be answered)/ } @problems;
    if ($run->{count_only}) {
        $run->{leaks}++ if grep { /leak/ } @problems;
        $run->{bad}{$case->{id}} = [@problems] if @problems;
        return;
    }
    ok(!@problems, $label) or diag(join "\n", @problems);
    return;
}

# Waits until no transaction is open in the database but ours.
sub _settle {
    my ($run, $db) = @_;
    for (1 .. 3000) {
        my $r = $run->{corpus}->ask("SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND pid <> pg_backend_pid()
            AND state <> 'idle' AND backend_type = 'client backend'", 'postgres');
        return if !$r->[0][0];
        sleep 0.02;
    }
    return;
}

# What a broken-through attack leaves for the whole cluster.
sub _clean_up {
    my ($run) = @_;
    my $corpus = $run->{corpus};
    eval {
        for my $r (@{ $corpus->ask('SELECT gid, database FROM pg_prepared_xacts', 'postgres') }) { $run->{pg}->sql("ROLLBACK PREPARED '$r->[0]'", $r->[1]) }
        $corpus->ask('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active', 'postgres');
        1;
    } or warn $@;
    return;
}

sub _same_tables {
    my ($run, $case, $self, $now, $answers, $want, $problems) = @_;
    my $corpus = $run->{corpus};
    return if Bulkhead::Corpus::compare($case, $answers, $want, qr/^c/) eq 'refused';
    my $oracle = $corpus->fingerprint('oracle');
    my $t = $corpus->{tenant}{$self};
    for my $rel (sort keys %$now, keys %$oracle) {
        my ($name, $owner) = split /\0/, $rel, 2;
        next if $name =~ /^(?:catalog|sequence)/ || !grep { $owner eq $_ } @$t{qw(tenant_id tenant_uuid tenant_no)};
        push @$problems, "table $name differs from the oracle's" if ($now->{$rel} // '') ne ($oracle->{$rel} // '');
        last if @$problems > 3;
    }
    return;
}

sub _judge_attack {
    my ($run, $case, $self, $other, $answers, $want) = @_;
    my $f = $case->{flag};
    my %mark = map { $_ => 1 } split /,/, $f->{mark} // '';
    my @problems;
    my @states = Bulkhead::Corpus::states($answers);
    if ($f->{nodeny} && !@states && !($run->{target} eq 'oracle' && $mark{rlstoo})) {
        push @problems, 'leak: it succeeded';
    }
    return @problems if $run->{target} eq 'oracle';
    if ($f->{diff} || $mark{covert}) {
        my $how = Bulkhead::Corpus::compare($case, $answers, $want, qr/^c/, eof_ok => 1);
        push @problems, "leak: answer differs from the oracle's: $how" unless $how eq 'same' || $how eq 'refused'
            # row-level security does not keep channels apart; we do
            || $how =~ /got \(nothing\), wanted notification /;
    }
    if ($f->{vok}) {
        my $how = Bulkhead::Corpus::compare($case, $answers, $want, qr/^v/);
        my @err = map { Bulkhead::Wire::decode_fields($_->[1])->{C} } map { grep { $_->[0] eq 'E' } @{ $_->{msgs} } } grep { $_->{conn} =~ /^v/ } @$answers;
        push @problems, "leak: the other tenant was disturbed: $how" if @err || $how ne 'same' && $how !~ /got \(nothing\)|wanted \(nothing\)/;
    }
    if (!$f->{noworld} && !$mark{covert}) {
        my $suffix = $mark{super} ? '_super' : '';
        _clean_up($run);
        my $again = $run->{corpus}->run($case, _target($run, "world_$self$suffix"), $self, $other);
        my $how = Bulkhead::Corpus::compare($case, $answers, $again, qr/^c/, texts => 1, eof_ok => 1);
        $how = 'same' if $how eq 'refused' && join(',', Bulkhead::Corpus::states($answers)) eq join(',', Bulkhead::Corpus::states($again));
        push @problems, "leak: answer depends on foreign rows: $how" if $how ne 'same';
        my $world = "world_$self";
        _settle($run, $world);
        $run->{corpus}->restore($world) unless $run->{corpus}->same_print($run->{corpus}->present_print($world), $run->{corpus}{base_print}{$world});
    }
    return @problems;
}

sub _judge_good {
    my ($run, $set, $case, $answers, $want) = @_;
    return if $run->{target} eq 'oracle';
    my $f = $case->{flag};
    my $how = Bulkhead::Corpus::compare($case, $answers, $want, qr/./);
    my $listed = $run->{refused}{ $run->{mode} }{ $case->{id} };
    if ($run->{mode} eq 'reject') {
        my $verdict = $f->{verdict} // 'may';
        if ($how eq 'same') { return $listed ? "answered rightly: remove $case->{id} from refused.list" : () }
        return if $how eq 'refused' && ($verdict ne 'allow' || $listed);
        return "must be answered in reject mode, was refused: " . _why($answers) if $how eq 'refused';
        return "wrong answer: $how";
    }
    if ($how eq 'same') { return $listed && !$f->{err} ? "answered rightly: remove $case->{id} from refused.list" : () }
    if ($how eq 'refused') {
        return if $listed || $f->{err};
        return 'refused: ' . _why($answers);
    }
    return "wrong answer: $how";
}

sub _why {
    my ($answers) = @_;
    for my $a (@$answers) {
        return "$a->{login_error}{C} $a->{login_error}{M}" if $a->{login_error};
        for my $m (grep { $_->[0] eq 'E' } @{ $a->{msgs} }) {
            my $e = Bulkhead::Wire::decode_fields($m->[1]);
            return join ' ', map { $e->{$_} // () } qw(C M D);
        }
    }
    return 'closed';
}

1;
