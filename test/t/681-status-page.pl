#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The status page in Debian's Chromium, under load and with hostile names: values as SHOW has them, no script from a name, no error, nothing
# refused by its own policy, nothing asked elsewhere, readable at 360 pixels, and what it says when the proxy is gone. Pictures of it are
# kept in BH_ARTIFACTS (test/artifacts).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 600;
use Bulkhead::Browser;
use Encode qw(decode);
use JSON::PP ();

need_ours();
my $json = JSON::PP->new->utf8;
my $shots = $ENV{BH_ARTIFACTS} // work_dir() . '/artifacts';
mkdir $shots;
unlink glob "$shots/status-*.png";
my $evil = q{<img src=x onerror=window.bad=1>};
my $quotes = q{a"b'c&amp;<b>};
my $rtl = "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xae evil";
my $long = 'n' x 63;
my $script = '<script>window.bad=2</script>';
my $quoted = sub { '"' . ($_[0] =~ s/"/""/gr) . '"' };
my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN; CREATE ROLE ' . $quoted->($evil) . ' LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app; CREATE TABLE documents (id int, tenant_id text NOT NULL)');
my $p = proxy(pg => $pg, databases => {
        shop => 'dbname=postgres pool_size=4 catalog_user=postgres', calm => 'dbname=postgres pool_size=10', full => 'dbname=postgres pool_size=2',
        (map { $quoted->($_) => 'dbname=postgres pool_size=2' } $evil, $quotes, $rtl, $long), app => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite',
    },
    users => { acme => 'tenant=acme', hostile => "tenant='$script'" }, auth => { map { ($_ => '') } 'acme', 'hostile', $evil },
    set => { worker_threads => $ENV{BH_WORKERS} // 2, tenant_columns => 'tenant_id', probe_interval => 4, query_wait_timeout => 3000, max_client_conn => 300 });

# A load that goes on, and states that stay.
my @calm = map { my $c = $p->connect('calm'); $c->query('BEGIN'); $c } 1 .. 3;
my @full = map { my $c = $p->connect('full'); $c->query('BEGIN'); $c } 1 .. 2;
my @waiting = map { my $c = $p->connect('full'); $c->send_query('SELECT 1'); $c } 1 .. 5;
my @odd = map { my $c = $p->connect($_); $c->query('SELECT 1'); $c } $evil, $quotes, $rtl, $long;
push @odd, $p->connect('shop', $evil);
$odd[-1]->query('BEGIN');
my @tenants = map { my $c = $p->connect('app', $_); $c->query('BEGIN'); $c } 'acme', 'hostile';
my $refused = $p->connect('app', 'hostile');
$refused->query('SELECT * FROM nowhere') for 1 .. 2;
spew(work_dir() . '/load.sql', "SELECT pg_sleep(random() * 0.01);\n");
chmod 0644, work_dir() . '/load.sql';
my $load = spawn(argv => ['/usr/bin/pgbench', '-n', '-f', work_dir() . '/load.sql', '-c', 8, '-T', 3000, '-h', '127.0.0.1', '-p', $p->port, '-U', 'postgres', 'shop'], log => work_dir() . '/pgbench.log');

my $browser = Bulkhead::Browser->new;
my $url = 'http://127.0.0.1:' . $p->metrics_port . '/';
my $r = $browser->open(url => $url, width => 1280, height => 900);
is($r->{status}, 200, 'the page');
my $rows = sub { # of a table: cells' texts
    my ($id) = @_;
    return $browser->value("[...document.querySelectorAll('#$id tbody tr')].map(r => [...r.children].map(c => c.textContent.trim()))");
};
my $row = sub { my ($id, $first) = @_; return (grep { $_->[0] eq $first } @{ $rows->($id) })[0] };
ok($browser->wait(q{document.querySelector('#pools tbody tr') && /\d/.test(document.querySelector('#backends').textContent)}), 'shows what it was told');
# From the second answer on there are rates.
ok($browser->wait(q{[...document.querySelectorAll('#databases tbody tr')].some(r => r.children[0].textContent === 'shop' && Number(r.children[3].textContent) > 0)}, 90),
    'queries per second, of a database under load');

# ---- values as in SHOW
for my $db (qw(calm full)) {
    my $show = $p->pool($db);
    my ($size) = map { $_->{pool_size} } grep { $_->{name} eq $db } @{ $p->console('SHOW DATABASES') };
    my $have = $row->('pools', "$db as postgres") // [];
    my $percent = int($show->{sv_active} / $size * 100 + 0.5) . ' %';
    is_deeply([@$have[1 .. 5]], [$percent, "$show->{sv_active} of $size", $show->{sv_idle} + $show->{sv_used}, $show->{cl_active} + $show->{cl_waiting}, $show->{cl_waiting}],
        "pool $db as SHOW POOLS has it");
}
my @wait = map { $_->[5] } @{ $rows->('pools') };
is("@wait", join(' ', sort { $b <=> $a } @wait), 'pools with most waiting clients come first');
cmp_ok($wait[0], '>=', 5, 'and there are some');
my $bar = sub { $browser->value("(b => b && [b.getAttribute('aria-valuenow'), b.className, b.querySelector('b').style.width, [...b.querySelectorAll('s')].map(s => s.style.left).join()])"
        . "([...document.querySelectorAll('#pools [role=meter]')].find(m => m.getAttribute('aria-label').startsWith('$_[0] as')))") };
is_deeply($bar->('calm'), ['30', 'bar', '30%', '70%'], 'a bar below its threshold, and the mark');
is_deeply($bar->('full'), ['100', 'bar bad', '100%', '70%'], 'a bar beyond');
my $server = $rows->('backends')->[0];
like($server->[0], qr/^127\.0\.0\.1:@{[ $pg->port ]} \d+\.\d+$/, 'the database server and its version');
is($server->[1], 'primary', 'its role');
is((grep { $_->[0] eq 'unknown_relation' } @{ $rows->('refusals') })[0][2], '2', 'refused statements');
# (a console of this test may be on its way at that moment)
my $clients = @calm + @full + @waiting + @odd + @tenants + 1 + 8;
ok($browser->wait("[...document.querySelectorAll('#figures > div')].find(d => d.querySelector('dt').textContent === 'Clients').querySelector('.v').textContent === '$clients of 300'", 30), 'clients');
is((grep { $_->{name} eq 'app' } @{ $json->decode($p->http('/api/status')->{body})->{databases}{list} })[0]{refused}, 2, 'as the JSON has it');

# ---- hostile names
my %first = map { $_->[0] => 1 } @{ $rows->('pools') };
ok($first{"$evil as postgres"}, 'a name that looks like HTML is text');
ok($first{"shop as $evil"}, 'a user of that name too');
ok($first{"$quotes as postgres"}, 'quotes and entities');
ok($first{"$long as postgres"}, 'a long name is whole');
ok($first{ decode('UTF-8', $rtl) =~ s/\x{202e}/\x{27e8}202E\x{27e9}/r . ' as postgres' }, 'what turns the direction around is shown by its number') or diag(explain([sort keys %first]));
is($browser->value('String(window.bad) + document.querySelectorAll("main img, main b img, main script").length'), 'undefined0', 'no name was taken for HTML');
like($browser->value(q{(() => { try { document.createElement('div').innerHTML = '<i>x</i>'; return 'taken' } catch (e) { return e.name } })()}), qr/TypeError/, 'the browser would refuse it');

# ---- filter, keyboard
$browser->value(q{(() => { const f = document.getElementById('filter'); f.focus(); f.value = 'CALM'; f.dispatchEvent(new Event('input')) })()});
is_deeply([map { $_->[0] } @{ $rows->('pools') }], ['calm as postgres'], 'the filter');
$browser->value(q{(() => { const f = document.getElementById('filter'); f.value = ''; f.dispatchEvent(new Event('input')); document.activeElement.blur(); })()});
$browser->value(q{document.querySelector('.skip').focus()});
$browser->press('Tab');
is($browser->value('document.activeElement.id'), 'refresh', 'Tab reaches the button');
$browser->press('Tab');
is($browser->value('document.activeElement.id'), 'filter', 'and the filter');
# But for what is provoked here.
my $wanted = sub { [grep { !/TrustedHTML|trusted-types/i } @{ $browser->report->{ $_[0] } }] };
is_deeply($wanted->('errors'), [], 'no error on the console');
is_deeply($wanted->('violations'), [], 'its policy refused nothing else');

# ---- dark, phone
my $tell = 'document.documentElement.scrollWidth <= innerWidth';
$browser->shot("$shots/status-light.png");
for my $view ([dark => 1280, 1], [phone => 360, 0], ['phone-dark' => 360, 1], [narrow => 320, 0]) {
    my ($name, $width, $dark) = @$view;
    $browser->open(url => $url, width => $width, height => 740, dark => $dark ? JSON::PP::true : JSON::PP::false, still => JSON::PP::true);
    ok($browser->wait(q{document.querySelector('#pools tbody tr')}), "$name: shown");
    ok($browser->value($tell), "$name: nothing sticks out");
    my $ground = $browser->value('getComputedStyle(document.body).backgroundColor');
    my ($red) = $ground =~ /(\d+)/;
    ok($dark ? $red < 60 : $red > 200, "$name: $ground");
    # Contrast of the quietest texts to what is behind them, after WCAG 2.
    my $contrast = $browser->value(<<'JS');
(() => { const lum = c => { const v = c.match(/[\d.]+/g).slice(0, 3).map(x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
const back = e => { while (e) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; e = e.parentElement; } return 'rgb(255, 255, 255)'; };
let worst = 99, which = '';
for (const e of document.querySelectorAll('h1, h2, th, td, dt, dd, .user, .tag, .pc, .n, .none, caption, footer p, .verdict, #where, #fresh, a')) {
    if (!e.textContent.trim() || e.matches('.skip')) continue;
    const a = lum(getComputedStyle(e).color), b = lum(back(e)), k = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (k < worst) { worst = k; which = e.tagName + '.' + e.className; } }
return [worst, which]; })()
JS
    cmp_ok($contrast->[0], '>=', 4.5, "$name: every text has contrast ($contrast->[1])");
    $browser->shot("$shots/status-$name.png");
}
is($browser->value(q{document.querySelector('#pools table').getAttribute('role') + document.querySelectorAll('#pools tbody [role=rowheader]').length}),
    'table' . scalar(@{ $rows->('pools') }), 'rows that became blocks are still a table');

# ---- curves and alerts, of an hour that this test cannot wait for
my $told = $json->decode($p->http('/api/status')->{body});
my $now = int $told->{now};
my @i = 0 .. 59;
my $late = sub { my ($i) = @_; return $i > 40 && $i < 47 ? 6 : 1 };
$told->{curves} = {
    database => undef, ends => [map { $now - 3600 + 60 * ($_ + 1) } @i], p50 => [map { 0.004 + 0.001 * sin($_ / 5) } @i], p95 => [map { 0.09 * $late->($_) + 0.02 * sin($_ / 3) } @i],
    p99 => [map { $_ == 20 || $_ == 22 ? undef : 0.15 * $late->($_) + 0.04 * sin($_ / 2) } @i], wait_p95 => [map { 0.001 } @i], queries_per_second => [map { 800 + 300 * sin($_ / 9) } @i],
    waiting => [map { $late->($_) > 1 ? 12 : 0 } @i], active => [map { 4 + $_ % 5 } @i], errors => [map { 0 } @i], refused => [map { 0 } @i],
};
$told->{latency} = { query => { map { $_ => { count => 1000, p50 => 0.004, p95 => 0.62, p99 => 1.2 } } qw(1m 5m 15m) }, wait => { map { $_ => undef } qw(1m 5m 15m) } };
$_->{latency} = $told->{latency} for grep { $_->{name} eq 'shop' } @{ $told->{databases}{list} };
my %of = (user => '', backend => '', since => $now - 150, runbook => 'doc/runbook.md#x', description => 'What is the matter', state => 'firing');
$told->{alerts} = { known => 22, firing => 2, total => 150, list => [
    { %of, alert => 'BackendConnectionsCritical', severity => 'critical', database => '', backend => 'db1:5432', value => 93.4, threshold => 90, unit => 'percent' },
    { %of, alert => 'PoolUtilisation', severity => 'warning', database => $evil, user => 'a&b', value => 100, threshold => 70, unit => 'percent' },
    { %of, alert => 'QueryP95High', severity => 'warning', database => 'shop', value => 0.62, threshold => 0.5, unit => 'seconds', state => 'pending' },
] };
$told->{tenants} = { busy => 2, more => JSON::PP::true, named => JSON::PP::true, list => [map { { database => 'app', tenant => $_, waiting => 3, active => 1, max_wait_seconds => 2.5 } } $script, decode('UTF-8', $rtl), 'x' x 300] };
$told->{certificates} = [{ role => 'client', file => '/etc/tls/' . $evil, not_after => $now + 5 * 86400, seconds_left => 5 * 86400 }];
for my $view ([hour => 1280, 0], ['hour-dark' => 1280, 1], ['hour-phone' => 360, 0]) {
    my ($name, $width, $dark) = @$view;
    $browser->open(url => $url, width => $width, height => 800, dark => $dark ? JSON::PP::true : JSON::PP::false, answers => { '/api/status' => JSON::PP->new->encode($told) });
    ok($browser->wait(q{document.querySelectorAll('#curves svg').length === 3}), "$name: three charts");
    ok($browser->value($tell), "$name: nothing sticks out");
    $browser->shot("$shots/status-$name.png");
}
like($browser->value(q{document.querySelector('#curves svg').getAttribute('aria-label')}), qr/^Query time, last 60 minutes: p50 now 3\.3 ms, at most .*; p95 now .*, at most 5[4-6]\d ms; p99/, 'a chart in words');
is($browser->value(q{document.querySelectorAll('#curves svg .limit').length}), 1, 'the threshold is a line');
# A gap: the curve is in two parts.
is($browser->value(q{document.querySelectorAll('#curves svg')[0].querySelector('.c3').getAttribute('d').split('M').length - 1}), 2, 'a minute without queries is a gap');
is($browser->value(q{[...document.querySelectorAll('#curves svg .dot')].map(d => d.getAttribute('class') + d.getAttribute('d').split('M').length + getComputedStyle(d).strokeWidth + getComputedStyle(d).strokeLinecap).join()}),
    'curve dot c32' . '6pxround', 'a minute with some between two without is a dot one can see');
$browser->value(q{document.querySelector('#curves svg').focus()});
$browser->press('ArrowLeft') for 1 .. 2;
like($browser->value(q{document.querySelector('#curves .read').textContent}), qr/^\d\d:\d\d  p50 .*  p95 .*  p99 /, 'arrow keys read the values');
is($browser->value(q{document.getElementById('verdict').textContent}), '2 alerts, 1 critical', 'the verdict');
my $alerts = $browser->value(q{[...document.querySelectorAll('#alerts li')].map(l => l.firstChild.textContent)});
is_deeply($alerts, ['critical BackendConnectionsCritical db1:5432', "warning PoolUtilisation $evil as a&b", 'pending QueryP95High shop'], 'alerts with their subjects');
like($browser->value(q{document.querySelector('#alerts li .more').textContent}), qr/^What is the matter: 93\.4 %, threshold 90 %\. For 2 min\. See doc\/runbook\.md#x$/, 'and what is the matter');
is($browser->value(q{document.querySelector('#alerts > p').textContent}), '147 more are not shown.', 'how many are left out');
is($rows->('tenants')->[0][0], "$script in app", 'a hostile tenant');
is($rows->('tenants')->[1][0], decode('UTF-8', $rtl) =~ s/\x{202e}/\x{27e8}202E\x{27e9}/r . ' in app', 'one that turns the direction around');
is($browser->value(q{document.querySelector('#tenants tr:nth-child(3) bdi').title.length}), 300, 'a very long one is shortened, whole in the title');
is($browser->value(q{document.querySelector('#certificates td.bad').textContent}), '5 days', 'a certificate that ends soon');
is($browser->value('String(window.bad) + document.querySelectorAll("main img, main script").length'), 'undefined0', 'still no name was taken for HTML');

# ---- behind a login
$p->{set}{metrics_login} = 1;
$p->reload;
is($browser->open(url => $url, width => 1280, height => 900, login => { username => 'bhstats', password => 'bhstats' })->{status}, 200, 'with one there is');
ok($browser->wait(q{document.querySelectorAll('#tenants tbody tr').length === 2}), 'with what is behind it');
is_deeply([sort map { $_->[0] } @{ $rows->('tenants') }], ["$script in app", 'acme in app'], 'tenants and their names');
delete $p->{set}{metrics_login};
$p->reload;

# ---- nothing but from here
my $report = $browser->report;
is_deeply([grep { index($_, $url) != 0 } @{ $report->{requests} }], [], 'nothing was asked elsewhere');
is_deeply($wanted->('errors'), [], 'no error in any view');
is_deeply($wanted->('violations'), [], 'nothing refused in any view');

# ---- the proxy goes away
$browser->open(url => $url, width => 1280, height => 900);
ok($browser->wait(q{document.querySelectorAll('#pools tbody tr').length > 5}), 'a page once more');
stop_child($load, 'TERM', 10);
$p->{expect_exit} = 1;
is($p->stop, 0, 'the proxy ends');
$browser->value('document.getElementById("refresh").click()');
ok($browser->wait(q{!document.getElementById('stale').hidden}, 60), 'the page tells that there is no answer');
like($browser->value(q{document.getElementById('stale').textContent}), qr/^No answer for \d+ s: it cannot be reached\. What is shown is old\.$/, 'and since when');
like($browser->value(q{document.getElementById('verdict').textContent}), qr/^No answer$/, 'in its head too');
ok($browser->value(q{document.querySelectorAll('#pools tbody tr').length > 5}), 'what it knew is still there');
$browser->shot("$shots/status-gone.png");
$p->start;
$browser->value('document.getElementById("refresh").click()');
ok($browser->wait(q{document.getElementById('stale').hidden}, 60), 'and takes it back when it is there again');
$browser->end;
is(scalar(grep { -s } glob "$shots/status-*.png"), 9, 'nine pictures');
delete $p->{expect_exit};
finish();
