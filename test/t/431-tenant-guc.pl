#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# tenant_guc: bound in front of the client's first statement without a round trip, out of every client's reach, in all
# modes; a statement never runs without it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Select;
use IO::Socket::INET;
use POSIX ();

need_ours();
my $pg = pg(conf => { max_prepared_transactions => 5 });
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; CREATE ROLE preset LOGIN; GRANT ALL ON SCHEMA public TO app, preset;
ALTER ROLE app SET app.tenant_id = 'beta'; ALTER DATABASE postgres SET app.tenant_id = 'gamma';
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text DEFAULT current_setting('app.tenant_id'));
INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END FROM generate_series(1, 10) g;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON docs USING (tenant_id = current_setting('app.tenant_id', true));
GRANT ALL ON docs TO app;
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('app.tenant_id', true) $$;
CREATE FUNCTION sneak() RETURNS text LANGUAGE sql SET app.tenant_id = 'beta' AS $$ SELECT 'in' $$;
CREATE FUNCTION quiet_sneak() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant_id', 'beta', true); RETURN 'in'; END $$;
SQL
my @users = (users => { acme => 'tenant=acme', beta => 'tenant=beta', quote => "tenant='o''br\\\\i\"en'" }, auth => { map { ($_ => '') } qw(acme beta quote) });
my $as = 'dbname=postgres user=app catalog_user=postgres pool_size=1';
my $p = proxy(pg => $pg, databases => { (map { ($_ => "$as tenant_mode=$_") } qw(rls rewrite reject)), reset => "$as tenant_mode=rls pool_mode=session" },
    @users, functions => ['public.who() = allow', 'public.sneak() = allow'], set => { tenant_columns => 'tenant_id', tenant_guc => 'app.tenant_id', worker_threads => 1 });
my @ways = ("SET app.tenant_id = 'beta'", "SET LOCAL app.tenant_id = 'beta'", "SET SESSION app.tenant_id TO beta", 'SET "app.tenant_id" = \'beta\'', 'SET "app"."tenant_id" = \'beta\'', "SET APP.Tenant_ID = 'beta'",
    "SET app.tenant_id TO DEFAULT", 'RESET app.tenant_id', 'RESET "app"."tenant_id"', "SET app.tenant_id FROM CURRENT", "SELECT set_config('app.tenant_id', 'beta', false)", "SELECT set_config('APP.TENANT_ID', 'beta', true)",
    "SELECT pg_catalog.set_config('app.' || 'tenant_id', 'beta', false)", "UPDATE pg_settings SET setting = 'beta' WHERE name = 'app.tenant_id'", "UPDATE pg_catalog.pg_settings SET setting = 'beta'",
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; SET app.tenant_id = 1', "DO \$\$ BEGIN PERFORM set_config('app.tenant_id', 'beta', false); END \$\$", 'SELECT quiet_sneak()', "ALTER ROLE app SET app.tenant_id = 'beta'",
    "ALTER DATABASE postgres SET app.tenant_id = 'beta'", "ALTER FUNCTION who() SET app.tenant_id = 'beta'", 'SET ROLE preset', "SET SESSION AUTHORIZATION preset", 'SET row_security = off', 'SET LOCAL row_security TO off', "PREPARE TRANSACTION 'x'");
for my $mode (qw(rls rewrite reject)) {
    my ($acme, $beta) = map { $p->connect($mode, $_) } qw(acme beta);
    for my $round (1 .. 2) {
        is($acme->value('SELECT who()'), 'acme', "$mode, round $round: bound");
        is(row_values($beta->ext('SELECT who()', [])), 'beta', "$mode, round $round: and for the next tenant of the server, extended");
    }
    for my $sql (@ways) {
        for my $how (qw(query ext)) {
            next if $how eq 'ext' && $sql =~ /;.*=/;
            my $e = ($how eq 'query' ? $acme->query($sql) : $acme->ext($sql, []))->{error} // {};
            like($e->{C} // 'passed', qr/^(?:42501|0A000|42601)$/, "$mode, $how: $sql");
        }
        is($acme->value('SELECT who()'), 'acme', "$mode: still bound");
    }
    # A function with a SET clause that the operator allowed: back when it ends.
    is($acme->value('SELECT sneak()'), 'in', "$mode: a function with a SET clause");
    is($acme->value('SELECT who()'), 'acme', "$mode: restored behind it");
    # Resets, failures, rollbacks: whatever the outcome, the tenant stays.
    for my $sql ('RESET ALL', 'DISCARD ALL', 'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED') {
        $acme->query($sql);
        is($acme->value('SELECT who()'), 'acme', "$mode: after $sql");
        $acme->ext($sql, []);
        is($acme->value('SELECT who()'), 'acme', "$mode: after $sql, extended");
        next if $sql eq 'DISCARD ALL';
        for my $end (qw(COMMIT ROLLBACK)) {
            $acme->query('BEGIN'); $acme->query('SAVEPOINT s'); $acme->query($sql);
            is($acme->value('SELECT who()'), 'acme', "$mode: after $sql in a transaction");
            $acme->query('ROLLBACK TO s');
            is($acme->value('SELECT who()'), 'acme', "$mode: after its savepoint");
            $acme->query($sql); $acme->query($end);
            is($acme->value('SELECT who()'), 'acme', "$mode: after $sql and $end");
        }
        # In one pipeline with what follows.
        $acme->cork; $acme->send_query($sql); $acme->send_query('SELECT who()'); $acme->uncork; $acme->finish;
        is(row_values($acme->finish), 'acme', "$mode: $sql and the next Query in one write");
    }
    # The first statement on a server fails: outside, inside of a transaction, in a batch, a list.
    for my $first (sub { $acme->query('SELECT 1/0') }, sub { $acme->query('BEGIN'); $acme->query('SELECT 1/0'); $acme->query('ROLLBACK') }, sub { $acme->ext('SELECT 1/0', []) },
        sub { $acme->query('SELECT 1; SELECT 1/0') }, sub { $acme->cork; $acme->parse('', 'BEGIN'); $acme->bind('', ''); $acme->execute(''); $acme->parse('', 'SELECT 1/0'); $acme->bind('', ''); $acme->execute(''); $acme->sync; $acme->uncork; $acme->finish; $acme->query('ROLLBACK') }) {
        $beta->value('SELECT who()'); # the server was another tenant's
        $first->();
        is($acme->value('SELECT who()'), 'acme', "$mode: after a first statement that failed");
        is($beta->value('SELECT who()'), 'beta', "$mode: and the other tenant");
    }
    $acme->query('BEGIN'); $acme->query('ROLLBACK');
    is($acme->value('SELECT who()'), 'acme', "$mode: after a rollback");
    # What is answered without the server, as the first thing behind a binding.
    for my $k (1, 2) {
        for my $w ([$acme, 'acme'], [$beta, 'beta']) {
            is($w->[0]->query("PREPARE twice$k AS SELECT 1")->{results}[0]{tag}, 'PREPARE', "$mode: PREPARE, $w->[1]");
            is($w->[0]->value('SELECT who()'), $w->[1], "$mode: and bound");
            is($w->[0]->query("DEALLOCATE twice$k")->{results}[0]{tag}, 'DEALLOCATE', "$mode: DEALLOCATE");
        }
    }
    # Prepared statements of one tenant's client do not carry it to another.
    for my $c ($acme, $beta) { $c->cork; $c->parse('w', 'SELECT who()'); $c->sync; $c->uncork; $c->finish }
    for (1 .. 3) { for my $w ([$acme, 'acme'], [$beta, 'beta']) { $w->[0]->cork; $w->[0]->bind('', 'w'); $w->[0]->execute(''); $w->[0]->sync; $w->[0]->uncork; is(row_values($w->[0]->finish), $w->[1], "$mode: prepared, $w->[1]") } }
}
is($p->connect('rls', 'quote')->value('SELECT who()'), q(o'br\\\\i"en), 'quotes and backslashes');
my $s = $p->connect('reset', 'acme');
$s->query('DISCARD ALL'); $s->query('RESET ALL');
is($s->value('SELECT who()'), 'acme', 'session pooling');
$s->close;
is($p->connect('reset', 'beta')->value('SELECT who()'), 'beta', 'the server reset and bound to the next');
# Startup.
for my $o (['options', '-c app.tenant_id=beta'], ['options', '--app.tenant-id=beta'], ['options', '-capp.tenant_id=beta'], ['app.tenant_id', 'beta'], ['role', 'preset'], ['options', '-c row_security=off']) {
    my $c = $p->connect('rls', 'acme', params => { $o->[0] => $o->[1] }, no_die => 1);
    my $who = $c->{error} ? 'refused' : $c->value('SELECT who()');
    like($who, qr/^(?:refused|acme)$/, "startup $o->[0]=$o->[1]: no effect");
}
# The server restarts.
my $c = $p->connect('rls', 'acme');
$c->value('SELECT who()');
$pg->restart;
ok(wait_for(sub { my $n = eval { $p->connect('rls', 'acme', no_die => 1) }; $n && !$n->{error} && (eval { $n->value('SELECT who()') } // '') eq 'acme' }, 20, 0.5), 'after a restart of the server');
# Without a round trip: a relay holds everything back until the client's own statement has come, too.
sub relay {
    my ($marker, $spoil) = @_;
    my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "listen: $!";
    my $pid = fork // die "fork: $!";
    return ($l->sockport, $pid) if $pid;
    alarm 900;
    my (%peer, %held, %logged);
    my $sel = IO::Select->new($l);
    while (my @r = $sel->can_read) {
        for my $h (@r) {
            if ($h == $l) {
                my $a = $l->accept or next;
                my $b = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $pg->port) or next;
                $peer{$a} = $b; $peer{$b} = $a; $held{$a} = '';
                $sel->add($a, $b);
                next;
            }
            my $n = sysread $h, my $d, 65536;
            if (!$n) { $sel->remove($h, $peer{$h}); close $peer{$h}; close $h; next }
            if (defined $held{$h}) {
                $held{$h} .= $d;
                if ($spoil) { $spoil->($held{$h}); syswrite $peer{$h}, $held{$h}; $held{$h} = ''; next }
                # Logins, resets and checks pass; from the binding on all waits for the marker.
                next if $held{$h} =~ /tenant_id|set_config/ && $held{$h} !~ /\Q$marker\E/;
                syswrite $peer{$h}, $held{$h};
                $held{$h} = '';
            } else {
                syswrite $peer{$h}, $d;
            }
        }
    }
    POSIX::_exit(0);
}
{
    my ($port, $pid) = relay('is it there');
    my $q = proxy(pg => $pg, databases => { db => "host=127.0.0.1 port=$port $as tenant_mode=rls" }, @users, rules => ['public.docs = tenant_id set="work_mem=7MB" set_when=always'], functions => ['public.who() = allow'],
        set => { tenant_columns => 'tenant_id', tenant_guc => 'app.tenant_id', worker_threads => 1, server_check_delay => 600, probe_interval => 0 });
    my @c = map { $q->connect('db', $_) } qw(acme beta);
    for my $k (0 .. 3) {
        my $sql = "SELECT who() || ' is it there', count(*) FROM docs";
        my $want = (qw(acme beta))[$k % 2] . ' is it there|5';
        is(row_values($k < 2 ? $c[$k % 2]->query($sql) : $c[$k % 2]->ext($sql, [])), $want, "the binding comes in one write with the statement, $k");
    }
    $q->stop;
    kill 'KILL', $pid; waitpid $pid, 0;
}
# A reset that the server skips, and one whose binding behind it fails: a relay spoils that one.
{
    my $b = $p->connect('rls', 'acme');
    $b->value('SELECT who()');
    $b->cork; $b->parse('', 'SELECT 1/0'); $b->bind('', ''); $b->execute(''); $b->send_query('RESET ALL'); $b->sync; $b->send_query('SELECT who()'); $b->uncork;
    is($b->finish->{error}{C}, '22012', 'a batch that fails in front of RESET ALL');
    is(row_values($b->finish), 'acme', 'the next statement is answered, and bound');
    # DISCARD ALL is committed at once, the renewal behind it is not: a batch that fails ends the connection.
    for my $rest (sub { $_[0]->bind('', 'no such'); $_[0]->sync }, sub { $_[0]->parse('', 'SELECT 1/0'); $_[0]->bind('', ''); $_[0]->execute(''); $_[0]->sync }, sub { $_[0]->send_query('SELECT 1/0') }, sub { $_[0]->send_query('SET role preset') }) {
        my $d = $p->connect('rls', 'acme');
        $d->value('SELECT who()');
        $d->cork; $d->parse('', 'DISCARD ALL'); $d->bind('', ''); $d->execute(''); $rest->($d); $d->send_query('INSERT INTO docs (id) VALUES (990)'); $d->uncork;
        my $r = eval { $d->finish } // {};
        ok($r->{error}, 'an error behind DISCARD ALL in its batch');
        ok(!eval { $d->finish->{results}[0] }, 'what is sent behind it is not answered');
        is($p->connect('rls', 'acme')->value('SELECT who()'), 'acme', 'and nobody is served unbound');
        is($pg->value('SELECT count(*) FROM docs WHERE id = 990'), 0, 'nor does it run');
    }
    $b->cork; $b->parse('', 'DISCARD ALL'); $b->bind('', ''); $b->execute(''); $b->sync; $b->send_query('SELECT who()'); $b->uncork;
    $b->finish;
    is(row_values($b->finish), 'acme', 'DISCARD ALL and the next Query in one write');
    my ($port, $pid) = relay('no marker', sub { $_[0] =~ s/SELECT pg_catalog\.set_config/SELECT pg_catalog.set_confih/ });
    my $q = proxy(pg => $pg, databases => { db => "host=127.0.0.1 port=$port $as tenant_mode=rls" }, @users, functions => ['public.who() = allow'],
        set => { tenant_columns => 'tenant_id', tenant_guc => 'app.tenant_id', worker_threads => 1, server_check_delay => 600, probe_interval => 0 });
    for my $how (qw(query ext)) {
        my $c = $q->connect('db', 'acme');
        my $r = eval { $how eq 'query' ? $c->query('DISCARD ALL') : $c->ext('DISCARD ALL', []) };
        my $who = eval { $c->value('SELECT who()') } // 'closed';
        is($who, 'closed', "$how: a reset behind which the tenant could not be bound ends the connection");
        is($q->connect('db', 'acme')->value('SELECT who()'), 'acme', "$how: and its server");
    }
    $q->stop;
    kill 'KILL', $pid; waitpid $pid, 0;
}
# A server that refuses the binding runs nothing of the client's.
{
    my $q = proxy(pg => $pg, databases => { db => "$as tenant_mode=rls" }, @users, set => { tenant_columns => 'tenant_id', tenant_guc => 'plpgsql.tenant', worker_threads => 1 });
    $pg->sql("ALTER ROLE app SET session_preload_libraries = 'plpgsql'");
    for my $how (qw(query ext)) {
        my $b = $q->connect('db', 'acme');
        my $r = eval { $how eq 'query' ? $b->query('INSERT INTO docs VALUES (900)') : $b->ext('INSERT INTO docs VALUES (901)', []) };
        is($r ? $r->{error}{C} // 'passed' : 'closed', '08P01', "$how: the client is told");
    }
    # A Sync ends the server's skipping: what comes behind the first one waits for the binding's answer.
    for my $how (qw(query ext)) {
        my $b = $q->connect('db', 'acme');
        $b->cork;
        if ($how eq 'query') { $b->send_query('INSERT INTO docs VALUES (902)') }
        else { $b->parse('', 'INSERT INTO docs VALUES (902)'); $b->bind('', ''); $b->execute('') }
        $b->sync;
        $b->send_query('ROLLBACK');
        $b->parse('', 'INSERT INTO docs VALUES (903)'); $b->bind('', ''); $b->execute(''); $b->sync;
        $b->send_query('INSERT INTO docs VALUES (904)');
        $b->uncork;
        my $r = eval { $b->finish };
        is($r ? $r->{error}{C} // 'passed' : 'closed', '08P01', "$how, batches in one write: the client is told");
        wait_for(sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == 0 });
    }
    is($pg->value('SELECT string_agg(id::text, $$ $$) FROM docs WHERE id >= 900') // '', '', 'and its statements did not run');
    $pg->sql('ALTER ROLE app RESET session_preload_libraries');
}
finish();
