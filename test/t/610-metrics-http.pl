#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The metrics service as HTTP: formats and encodings by what curl asks for, HEAD, promtool, clients that mean no good.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use IO::Uncompress::Gunzip ();

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=2', '"other \\ one"' => 'dbname=postgres' });
$p->connect('test')->query('SELECT 1');
my $url = 'http://127.0.0.1:' . $p->metrics_port;
wait_for(sub { $p->http('/healthz')->{code} == 200 }, 10);

# (status, head, body) by curl; the body as it came.
sub curl {
    my ($path, @args) = @_;
    my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/curl', '-sS', '-i', '--raw', '-m', 100, @args, "$url$path"], timeout => 120);
    my ($head, $body) = split /\r\n\r\n/, $out, 2;
    my ($code) = ($head // '') =~ m{^HTTP/1\.\d (\d+)};
    diag("curl @args: $err") if $st;
    return ($code // 0, $head // '', $body // '');
}
sub promtool { return run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $_[0], timeout => 30) }

my $text = qr{^content-type: text/plain; version=0\.0\.4; charset=utf-8\r?$}im;
my $open = qr{^content-type: application/openmetrics-text; version=1\.0\.0; charset=utf-8\r?$}im;
my $prometheus = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
for ([$text, 'Accept:'], [$text, 'Accept: */*'], [$text, 'Accept: text/html'], [$text, 'Accept: application/*'],
    [$text, 'Accept: text/plain;version=0.0.4;q=1,*/*;q=0.1'], [$text, 'Accept: application/openmetrics-text;q=0'],
    [$text, 'Accept: application/openmetrics-text;version=0.0.1'], [$text, 'Accept: application/openmetrics-text;q=0.4, text/plain;q=0.5'],
    [$open, "Accept: $prometheus"], [$open, 'Accept: application/openmetrics-text'], [$open, 'ACCEPT: Application/OpenMetrics-Text; version=1.0.0'])
{
    my ($type, $accept) = @$_;
    my ($code, $head, $body) = curl('/metrics', '-H', $accept);
    is($code, 200, $accept);
    like($head, $type, '... its type');
    like($head, qr/^vary: .*\baccept\b/im, '... which depends on what was asked for');
    if ($type eq $open) {
        like($body, qr/\n# EOF\n\z/, '... its end');
        like($body, qr/^# TYPE pgbulkhead_queries counter\npgbulkhead_queries_total\{/m, '... counters without and with _total');
        unlike($body, qr/^# TYPE \S+_total counter/m, '... only so');
        like($body, qr/le="5\.0"/, '... edges as the standard writes them');
        my (%family, @twice);
        $family{$1}++ and push @twice, $1 while $body =~ /^# TYPE (\S+)/mg;
        is("@twice", '', '... no family twice');
    }
    else {
        unlike($body, qr/# EOF/, '... no end');
        like($body, qr/le="5"/, '... edges');
        my ($st, $out, $err) = promtool($body);
        is($st, 0, '... promtool check metrics is clean') or diag("$out$err");
    }
}
# Two headers are one list.
my ($code, $head, $body) = curl('/metrics', '-H', 'Accept: text/plain;q=0.5', '-H', 'Accept: application/openmetrics-text');
like($head, $open, 'two Accept headers');

# The same series in both; what begins to exist between two looks (a server's first probe) is in both a moment later.
my %seen;
wait_for(sub {
    for my $accept ('*/*', $prometheus) {
        my (undef, undef, $b) = curl('/metrics', '-H', "Accept: $accept");
        $b =~ s/le="(\d+)\.0"/le="$1"/g;
        $seen{$accept} = join "\n", sort map { s/ [^ ]+\z//r } grep { !/^#/ } split /\n/, $b;
    }
    return $seen{$prometheus} eq $seen{'*/*'};
}, 20, 0.2);
is($seen{$prometheus}, $seen{'*/*'}, 'both formats hold the same series');

# gzip
for (['gzip', 1], ['deflate, gzip;q=0.5', 1], ['*', 1], ['gzip;q=0', 0], ['br', 0], ['identity, gzip;q=0.1', 0]) {
    my ($accept, $zipped) = @$_;
    ($code, $head, $body) = curl('/metrics', '-H', "Accept-Encoding: $accept");
    is($code, 200, "Accept-Encoding: $accept");
    is($head =~ /^content-encoding: gzip\r?$/im ? 1 : 0, $zipped, '... ' . ($zipped ? 'compressed' : 'plain'));
    is($head =~ /^content-length: (\d+)/im ? $1 : -1, length $body, '... its length is right');
    my $plain = $body;
    ok(!$zipped || IO::Uncompress::Gunzip::gunzip(\$body => \$plain), '... unpacks');
    like($plain, qr/^pgbulkhead_start_time_seconds \d/m, '... and reads');
    cmp_ok(length $body, '<', length($plain) / 4, '... and is much smaller') if $zipped;
}
($code, $head, $body) = curl('/healthz', '-H', 'Accept-Encoding: gzip');
unlike($head, qr/^content-encoding/im, 'short answers are not compressed');

# HEAD: the same head, no body.
for my $h ([], ['-H', 'Accept-Encoding: gzip'], ['-H', "Accept: $prometheus"], ['-H', "Accept: $prometheus", '-H', 'Accept-Encoding: gzip']) {
    my (undef, $get) = curl('/metrics', @$h);
    ($code, $head, $body) = curl('/metrics', '-I', @$h);
    is($code, 200, "HEAD @$h");
    is($body, '', '... no body');
    cmp_ok($head =~ /^content-length: (\d+)/im ? $1 : 0, '>', 500, '... but its length');
    my @want = map { lc s/\r//r } $get =~ /^((?:content-(?:type|encoding)|vary):.*)$/img;
    my @have = map { lc s/\r//r } $head =~ /^((?:content-(?:type|encoding)|vary):.*)$/img;
    is("@have", "@want", '... type and encoding as with GET');
}
for ([GET => '/healthz', 200], [HEAD => '/readyz', 200], [GET => '/', 404], [GET => '/metricsx', 404], [GET => '/metrics/', 404],
    [POST => '/metrics', 405], [PUT => '/healthz', 405], [OPTIONS => '/metrics', 405])
{
    my ($verb, $path, $want) = @$_;
    next if $path eq '/'; # the status page's
    ($code, $head) = curl($path, $verb eq 'HEAD' ? '-I' : ('-X', $verb));
    is($code, $want, "$verb $path");
    like($head, qr/^allow: GET, HEAD\r?$/im, '... says what is allowed') if $want == 405;
    like($head, qr/^x-content-type-options: nosniff\r?$/im, '... no guessing of types');
    like($head, qr/^content-security-policy: default-src 'none'/im, '... nothing may be loaded');
}
is((curl('/metrics?x=1'))[0], 200, 'a query string is ignored');
is((curl('/metrics', '-H', "X: $_"))[0], 200, 'odd header') for "\xff\xfe", 'a' x 8000;

# The budget holds in each format.
$p->{set}{metrics_max_series} = 150;
$p->reload;
for my $accept ('*/*', $prometheus) {
    (undef, undef, $body) = curl('/metrics', '-H', "Accept: $accept");
    my $n = () = $body =~ /^[a-z]/mg;
    cmp_ok($n, '<=', 150, "no more than metrics_max_series with $accept");
    like($body, qr/^pgbulkhead_metrics_series_dropped_total [1-9]/m, '... and what is left out is counted');
}
$p->{set}{metrics_max_series} = 50000;
$p->reload;

# ---- who means no good ----
sub raw {
    my ($what) = @_;
    my $s = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port, timeout => 20);
    eval { $s->send_raw($what); 1 };
    return $s;
}
sub answers { my ($s) = @_; $s->wait_eof(20); return join ' ', $s->{in} =~ m{^HTTP/1\.\d (\d+)}mg }
my $get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
my $last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
is(answers(raw($get x 4 . $last)), '200 200 200 200 200', 'pipelined requests are answered one by one');
is(answers(raw("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" x 3 . $last)), '200 200 200 200', 'also those that ask the workers');
like(answers(raw("GET /healthz HTTP/1.1\r\nX: " . 'a' x 20000 . "\r\n\r\n")), qr/^4\d\d\z|^\z/, 'headers without end');
like(answers(raw("GET /" . 'a' x 20000 . " HTTP/1.1\r\n\r\n")), qr/^4\d\d\z|^\z/, 'a path without end');
like(answers(raw("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n")), qr/^(?:4\d\d)?\z/, 'a body without end');
like(answers(raw("GET /healthz HTTP/9.9\r\nConnection: close\r\n\r\n")), qr/^(?:[45]\d\d)?\z|^$/, 'another version');
like(answers(raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\0" x 60 . "\r\n\r\n")), qr/^(?:4\d\d)?\z/, 'TLS to a plain port');
like(answers(raw("G\0T /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")), qr/^(?:[45]\d\d)?\z/, 'a zero byte');
like(answers(raw("GET http://127.0.0.1/healthz HTTP/1.1\r\nConnection: close\r\n\r\n")), qr/^200\z/, 'a whole URI');
like(answers(raw("GET /%6detrics HTTP/1.1\r\nConnection: close\r\n\r\n")), qr/^404\z/, 'paths are not decoded');
# Gone before the answer, many times.
for (1 .. 40) { raw("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" x 5)->abort }
ok(wait_for(sub { (curl('/metrics'))[0] == 200 }, 60, 0.1), 'and served when that is over'); # one scrape in place of many that are under way: 503
# Those that take more than their share of a connection do not keep others out for ever; see also 910.
my @idle = map { raw('GET /metr') } 1 .. 20;
is((curl('/metrics'))[0], 200, 'served beside twenty that dawdle');
$_->abort for @idle;
# More than there is room for, each with a byte now and then: they go when others wait.
@idle = map { raw('GET /metr') } 1 .. 130;
my $patient = raw($last);
my $until = time + 100;
while (!length $patient->{in} && time < $until) {
    $patient->readable(0.5) and eval { $patient->_fill(1, 5) };
    eval { $_->send_raw('i'); 1 } for @idle;
}
like($patient->{in}, qr{^HTTP/1\.1 200 }, 'and when they take all the room, others get it before long');
$_->abort for @idle;
ok($p->alive, 'nobody died of it');
is($p->connect('test')->value('SELECT 3'), 3, 'clients do not notice');
finish();
