#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# /api/status: its members and their types as doc/status-page.md says, values that are those of SHOW, names from outside, bounds; the page's
# files and their headers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Encode qw(decode);
use IO::Uncompress::Gunzip ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

need_ours();
my $json = JSON::PP->new->utf8;
my $evil = q{<img src=x onerror="alert(1)">'&amp;};
my $rtl = "\xd7\xa9\xd7\x9c \xe2\x80\xae\tend";
my $broken = "caf\xe9 \xf0\x28";
my $quoted = sub { '"' . ($_[0] =~ s/"/""/gr) . '"' };
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app; CREATE TABLE documents (id int, tenant_id text NOT NULL)');
my $many = 230;
my $p = proxy(pg => $pg, databases => {
        shop => 'dbname=postgres pool_size=4 catalog_user=postgres storage_capacity=1GB', (map { $quoted->($_) => 'dbname=postgres pool_size=2' } $evil, $rtl, $broken),
        app => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite', many => 'dbname=postgres pool_size=1', unlimited => 'dbname=postgres pool_size=0',
    },
    users => { acme => 'tenant=acme' }, auth => { acme => '', map { ("u$_" => '') } 1 .. $many },
    set => { worker_threads => $ENV{BH_WORKERS} // 2, tenant_columns => 'tenant_id', max_client_conn => 1000, query_wait_timeout => 3000, probe_interval => 4, alert_interval => 1, alert_clients_waiting_for => 0, max_db_connections => 12 });
my $r;
my $status = sub { $r = $p->http('/api/status'); return $json->decode($r->{body}) };
my $pool = sub { my ($s, $db) = @_; return (grep { $_->{database} eq $db } @{ $s->{pools}{list} })[0] };

# ---- before anybody came
my $s = $status->();
is($s->{schema}, 1, 'the schema');
is($s->{pools}{total}, 0, 'no pool yet');
is_deeply($s->{refusals}, { statements => [], clients => [] }, 'and no refusal');

# ---- values
my $c = $p->connect('shop');
$c->query('SELECT 1') for 1 .. 7;
my @held = map { my $x = $p->connect('shop'); $x->query('BEGIN'); $x } 1 .. 4;
my @waiting = map { my $x = $p->connect('shop'); $x->send_query('SELECT 1'); $x } 1 .. 3;
my @odd = map { my $x = $p->connect($_); $x->query('SELECT 1'); $x } $evil, $rtl, $broken, 'unlimited';
my @tenant = map { $p->connect('app', 'acme') } 1 .. 3;
$tenant[0]->query('BEGIN');
$tenant[1]->query('BEGIN');
$tenant[2]->send_query('SELECT * FROM documents');
$p->connect('app', 'acme')->close;
my $denied = $p->connect('app', 'acme');
$tenant[0]->query('SELECT * FROM nowhere');
eval { $p->connect('shop', 'nobody') };
ok(wait_for(sub { $status->()->{clients}{waiting} == 4 }, 20, 0.1), 'clients that wait');
ok(wait_for(sub { $status->()->{backends}{total} == 1 }, 20, 0.2), 'servers that were probed');
$s = $status->();
my $shop = $pool->($s, 'shop');
my $show = $p->pool('shop');
is_deeply([@$shop{qw(user mode size active waiting utilisation)}], ['postgres', 'transaction', 4, 4, 3, 1], 'a pool that is full');
is_deeply([map { 0 + $_ } @$show{qw(sv_active sv_idle sv_used cl_waiting pinned)}], [@$shop{qw(active idle used waiting pinned)}], 'as SHOW POOLS says');
is($shop->{clients}, $show->{cl_active} + $show->{cl_waiting}, 'its clients');
cmp_ok($shop->{max_wait_seconds}, '>', 0, 'somebody has waited');
is($s->{pools}{list}[0]{database}, 'shop', 'the pool under most pressure comes first');
is($pool->($s, 'unlimited')->{utilisation}, undef, 'no utilisation without a limit');
my ($db) = grep { $_->{name} eq 'shop' } @{ $s->{databases}{list} };
my ($stats) = grep { $_->{database} eq 'shop' } @{ $p->console('SHOW STATS') };
is_deeply([@$db{qw(queries transactions servers waiting servers_max)}], [$stats->{total_query_count}, $stats->{total_xact_count}, 4, 3, 12], 'a database, as SHOW STATS says');
is_deeply($s->{refusals}{statements}, [{ reason => 'unknown_relation', count => 1 }], 'refused statements by reason');
ok((grep { $_->{reason} eq 'auth' || $_->{reason} eq 'other' } @{ $s->{refusals}{clients} }), 'and clients') or diag(explain($s->{refusals}));
is_deeply([@{ $s->{tenants} }{qw(busy more)}], [1, JSON::PP::false], 'a tenant is busy');
my ($app) = grep { $_->{name} eq 'app' } @{ $s->{databases}{list} };
is_deeply([@$app{qw(guarded tenants tenants_waiting refused)}], [JSON::PP::true, 1, 1, 1], 'a database of tenants');
# What the watch saw.
ok(wait_for(sub { my $s = $status->(); grep { $_->{alert} eq 'ClientsWaiting' && $_->{database} eq 'shop' && $_->{state} eq 'firing' && $_->{value} == 3 } @{ $s->{alerts}{list} } }, 20, 0.2), 'an alert');
$s = $status->();
my ($alert) = grep { $_->{alert} eq 'ClientsWaiting' && $_->{database} eq 'shop' } @{ $s->{alerts}{list} };
is_deeply([@$alert{qw(user backend value threshold unit severity runbook)}], ['postgres', '', 3, 1, 'count', 'warning', 'doc/runbook.md#clientswaiting'], 'as it is');
# (between the two there may be another look)
ok(wait_for(sub { $status->()->{alerts}{firing} == grep { $_->{state} eq 'firing' } @{ $p->console('SHOW ALERTS') } }, 20, 0.1), 'as many as SHOW ALERTS has');
($db) = grep { $_->{name} eq 'shop' } @{ $s->{databases}{list} };
is($db->{latency}{query}{'15m'}{count}, $db->{queries}, 'queries with percentiles');
cmp_ok($s->{latency}{query}{'15m'}{count}, '>=', $db->{queries}, 'of all databases together');
is($s->{curves}{database}, undef, 'curves of all');
$r = $json->decode($p->http('/api/status?database=%3Cimg%20src')->{body});
is($r->{curves}{database}, '<img src', 'or of one');
is_deeply([map { ref $_ eq 'ARRAY' ? scalar @$_ : () } values %{ $r->{curves} }], [(0) x 10], 'that nobody knows');
is($s->{clients}{connections_max}, 1000, 'the limit of clients');
my $b = $s->{backends}{list}[0];
is_deeply([$b->{name}, $b->{up}, @{ $b->{values} }{qw(role connections_max storage_capacity_bytes)}], ['127.0.0.1:' . $pg->port, JSON::PP::true, 'primary', 100, 1 << 30], 'a server');
like($b->{values}{version}, qr/^\d+\.\d+$/, 'its version');
ok(wait_for(sub { my $v = $status->()->{backends}{list}[0]{values}; ($v->{database_bytes} // 0) > 1e6 && $v->{storage} > 0 && $v->{storage} < 1 }, 20, 0.3), 'sizes, and the share of what is there for them');
cmp_ok((grep { $_->{name} eq 'shop' } @{ $status->()->{databases}{list} })[0]{size_bytes} // 0, '>', 1e6, 'the size of a database');
is($s->{program}{pid}, $p->pid, 'the process');
is($s->{databases}{queries}, eval { my $n = 0; $n += $_->{queries} for @{ $s->{databases}{list} }; $n }, 'queries of all databases');
is($s->{program}{state}, 'running', 'which runs');
$p->console('DISABLE unlimited');
is((grep { $_->{name} eq 'unlimited' } @{ $status->()->{databases}{list} })[0]{state}, 'disabled', 'a disabled database');
$p->console('ENABLE unlimited');

# ---- names from outside
my %pools = map { $_->{database} => 1 } @{ $s->{pools}{list} };
ok($pools{$evil}, 'a name that looks like HTML');
ok($pools{ decode('UTF-8', $rtl) }, 'one that is written from right to left, with a control character');
ok($pools{"caf\x{fffd} \x{fffd}("}, 'bytes that are not UTF-8') or diag(explain([sort keys %pools]));

# ---- members and types
my %spec = (
    '' => { schema => 'n', now => 'n', program => 'o', process => 'o', configuration => 'o', clients => 'o', servers => 'n', pools => 'o', databases => 'o', backends => 'o', tenants => 'o', latency => 'o', curves => 'o', alerts => 'o',
        refusals => 'o', certificates => 'a', thresholds => 'o' },
    program => { version => 's', openssl => 's', libevent => 's', pid => 'n', workers => 'n', state => 's', started => 'n', uptime_seconds => 'n' },
    process => { cpu_seconds => 'n', cpu_limit_cores => 'n?', resident_bytes => 'n?', memory_limit_bytes => 'n?', open_fds => 'n?', max_fds => 'n?' },
    configuration => { reload_ok => 'b', reloaded => 'n', generation => 'n', slow_query_threshold_seconds => 'n' },
    clients => { map({ $_ => 'n' } qw(connections connections_max active idle waiting login max_wait_seconds)) },
    pools => { total => 'n', list => 'a' },
    'pools.list[]' => { database => 's', user => 's', guarded => 'b', mode => 's', utilisation => 'n?', map({ $_ => 'n' } qw(size reserve active idle used login pinned clients waiting max_wait_seconds)) },
    databases => { map({ $_ => 'n' } qw(total queries errors)), list => 'a' },
    'databases.list[]' => { name => 's', state => 's', guarded => 'b', map({ $_ => 'n' } qw(tenants tenants_waiting clients waiting servers servers_max oldest_query_seconds oldest_transaction_seconds queries transactions errors slow_queries refused)), latency => 'o?', size_bytes => 'n?' },
    curves => { database => 's?', map({ $_ => 'a' } qw(ends p50 p95 p99 wait_p95 queries_per_second waiting active errors refused)) },
    alerts => { known => 'n', firing => 'n', total => 'n', list => 'a' },
    'alerts.list[]' => { map({ $_ => 's' } qw(alert severity state database user backend unit description runbook)), value => 'n', threshold => 'n', since => 'n' },
    (map { my $at = $_; ("$at" => { query => 'o', wait => 'o' }, map { my $k = $_; ("$at.$k" => { map { $_ => 'o?' } qw(1m 5m 15m) }, map { ("$at.$k.$_" => { map { $_ => 'n' } qw(count p50 p95 p99) }) } qw(1m 5m 15m)) } qw(query wait)) } 'latency', 'databases.list[].latency'),
    backends => { total => 'n', list => 'a' },
    'backends.list[]' => { name => 's', up => 'b', probed => 'n', probe_seconds => 'n', values => 'o?' },
    'backends.list[].values' => { role => 's', version => 's?', map({ $_ => 'n?' } qw(connections_used connections_max connections_reserved utilisation oldest_transaction_seconds
        replication_lag_seconds vacuums database_bytes storage_capacity_bytes storage)) },
    tenants => { named => 'b', busy => 'n', more => 'b', list => 'a' },
    'tenants.list[]' => { database => 's', tenant => 's', waiting => 'n', active => 'n', max_wait_seconds => 'n' },
    refusals => { statements => 'a', clients => 'a' },
    'refusals.statements[]' => { reason => 's', count => 'n' },
    'refusals.clients[]' => { reason => 's', count => 'n' },
    'certificates[]' => { role => 's', file => 's', not_after => 'n', seconds_left => 'n' },
    thresholds => { map({ $_ => 'n?' } qw(pool_utilisation backend_connections_warning backend_connections_high backend_connections_critical query_p95_seconds)) },
);
my $type = sub {
    my ($v) = @_;
    return '?' unless defined $v;
    return 'o' if ref $v eq 'HASH';
    return 'a' if ref $v eq 'ARRAY';
    return 'b' if JSON::PP::is_bool($v);
    return JSON::PP->new->allow_nonref->encode($v) =~ /^"/ ? 's' : 'n';
};
my (@wrong, %met);
my $look;
$look = sub {
    my ($v, $at) = @_;
    if (ref $v eq 'ARRAY') { $look->($_, "$at\[]") for @$v; return }
    return unless ref $v eq 'HASH';
    my $spec = $spec{$at} or do { push @wrong, "$at is not described"; return };
    for my $k (sort keys %$v) {
        my $want = $spec->{$k} // '';
        push @wrong, "$at.$k is " . $type->($v->{$k}) unless $want ne '' && index($want, $type->($v->{$k})) >= 0;
        $met{"$at.$k"} = 1;
        $look->($v->{$k}, $at eq '' ? $k : "$at.$k");
    }
    push @wrong, map { "$at.$_ is missing" } grep { !exists $v->{$_} } keys %$spec;
};
$look->($s, '');
is_deeply(\@wrong, [], 'members and types');
my $doc = slurp(($ENV{top_srcdir} // "$FindBin::Bin/../..") . '/doc/status-page.md');
is_deeply([grep { $doc !~ /`\Q$_\E`/ } sort keys %{ { map { %$_ } values %spec } }], [], 'all are in doc/status-page.md');

# ---- bounds: a login makes its pool, and nothing is opened while everything is paused
$_->close for @waiting, @held;
$p->console('PAUSE many');
my @s = map { my $x = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10);
    my $u = pack('N', 196608) . "user\0u$_\0database\0many\0\0"; $x->send_raw(pack('N', 4 + length $u) . $u); $x } 1 .. $many;
ok(wait_for(sub { $status->()->{pools}{total} >= $many }, 30, 0.2), 'many pools');
$s = $status->();
is(scalar @{ $s->{pools}{list} }, 200, 'of which 200 are told');
cmp_ok($s->{pools}{total}, '>=', $many, 'and all are counted');
@wrong = ();
$look->($s, '');
is_deeply(\@wrong, [], 'of the same form');
$_->abort for @s;
$p->console('RESUME many');

# ---- HTTP
$r = $p->http('/api/status');
like($r->{head}, qr{^content-type: application/json\r?$}im, 'its type');
like($r->{head}, qr{^cache-control: no-store}im, 'is not kept');
$r = $p->http('/api/status', headers => ['Accept-Encoding: gzip']);
like($r->{head}, qr{^content-encoding: gzip}im, 'compressed for those who take it');
IO::Uncompress::Gunzip::gunzip(\$r->{body} => \my $plain);
is($json->decode($plain)->{schema}, 1, 'and whole');
$r = $p->http('/api/status', method => 'HEAD');
is($r->{code} . $r->{body}, '200', 'HEAD');
is($p->http('/api/status', method => $_)->{code}, 405, "no $_") for qw(POST PUT DELETE);
my %type = ('/' => 'text/html', '/status.css' => 'text/css', '/status.js' => 'text/javascript', '/status.svg' => 'image/svg\+xml');
my $root = ($ENV{top_srcdir} // "$FindBin::Bin/../..") . '/src/metrics/page';
for my $path (sort keys %type) {
    $r = $p->http($path);
    is($r->{code}, 200, $path);
    like($r->{head}, qr{^content-type: $type{$path}}im, "$path: its type");
    is($r->{body}, slurp($root . ($path eq '/' ? '/status.html' : $path)), "$path: its content");
    like($r->{head}, qr{^content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; [^\r\n]*frame-ancestors 'none'}im, "$path: its policy");
    unlike($r->{head}, qr{unsafe|https?:}i, "$path: which has no holes");
    like($r->{head}, qr{^x-content-type-options: nosniff}im, "$path: nosniff");
    like($r->{head}, qr{^referrer-policy: no-referrer}im, "$path: no referrer");
    my ($etag) = $r->{head} =~ /^etag: (\S+)/im;
    is($p->http($path, headers => ["If-None-Match: $etag"])->{code}, 304, "$path: not sent twice");
    is($p->http($path, headers => ['If-None-Match: "other"'])->{code}, 200, "$path: but when it is another");
    is($p->http($path, method => 'POST')->{code}, 405, "$path: read only");
}
unlike(slurp("$root/status.html"), qr{<script>|<style>|\bstyle=|\bon\w+=|https?://}i, 'nothing inline, nothing from elsewhere');
unlike(slurp("$root/status.js"), qr{innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function}, 'no text becomes HTML');

# ---- behind a login tenants are named
is($status->()->{tenants}{named}, JSON::PP::false, 'no tenant is named');
is_deeply($status->()->{tenants}{list}, [], 'at all');
$p->{set}{metrics_login} = 1;
$p->{auth}{bhadmin} = 'bhadmin';
$p->reload;
is($p->http($_)->{code}, 401, "$_ wants a login") for '/', '/status.js', '/api/status', '/metrics';
my $login = 'Authorization: Basic ' . encode_base64('bhadmin:bhadmin', '');
is($p->http('/', headers => [$login])->{code}, 200, 'the page behind a login');
$s = $json->decode($p->http('/api/status', headers => [$login])->{body});
is_deeply([map { [@$_{qw(database tenant waiting active)}] } @{ $s->{tenants}{list} }], [['app', 'acme', 1, 2]], 'a tenant, who waits and who works');
cmp_ok($s->{tenants}{list}[0]{max_wait_seconds}, '>', 0, 'and for how long');
@wrong = ();
$look->($s, '');
is_deeply(\@wrong, [], 'members and types');

# ---- a reload that fails
$p->{extra} = "\n[pgbouncer]\nno_such_key = 1\n";
$p->write;
$p->console('RELOAD', no_die => 1);
$s = $json->decode($p->http('/api/status', headers => [$login])->{body});
ok(!$s->{configuration}{reload_ok}, 'a reload that failed shows');
finish();
