#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Every kind of mistake in an ini is refused with file, line, key and reason; nothing is silently ignored.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $bin = Bulkhead::Proxy::binary();
my $dir = work_dir();
spew("$dir/users.txt", qq("alice" "secret"\n"bob" "md5900150983cd24fb0d6963f7d28e17f72"\n));
my $n = 0;

sub check {
    my ($ini) = @_;
    my $file = "$dir/c" . ++$n . '.ini';
    spew($file, $ini);
    my ($st, $out, $err) = run_cmd(argv => [$bin, '-t', $file], timeout => 20, user => 1);
    return ($st, $out . $err);
}
my $base = "[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_file = $dir/users.txt\n";

# [name, text after the base (3 lines), regex of the message]
my @bad = (
    ['unknown key', "lisen_port = 6432\n", qr/:4: lisen_port: .*did you mean .?listen_port/],
    ['unknown key without a neighbour', "zzzzqqqq = 1\n", qr/:4: zzzzqqqq: /],
    ['number', "listen_port = many\n", qr/:4: listen_port: .*many/],
    ['number out of range', "listen_port = 70000\n", qr/:4: listen_port: /],
    ['negative number', "max_client_conn = -1\n", qr/:4: max_client_conn: /],
    ['number with a tail', "default_pool_size = 20x\n", qr/:4: default_pool_size: /],
    ['empty number', "default_pool_size =\n", qr/:4: default_pool_size: /],
    ['boolean', "log_connections = perhaps\n", qr/:4: log_connections: /],
    ['time', "server_lifetime = soon\n", qr/:4: server_lifetime: /],
    ['enum', "pool_mode = transactional\n", qr/:4: pool_mode: .*transaction/],
    ['auth_type', "auth_type = scram\n", qr/:4: auth_type: .*scram-sha-256/],
    ['tenant_mode', "tenant_mode = rewritten\n", qr/:4: tenant_mode: .*rewrite/],
    ['sslmode', "client_tls_sslmode = required\n", qr/:4: client_tls_sslmode: .*require/],
    ['certificate missing in the setting', "client_tls_sslmode = require\n", qr/client_tls_(?:key|cert)_file/],
    ['certificate file absent', "client_tls_sslmode = require\nclient_tls_key_file = $dir/no.key\nclient_tls_cert_file = $dir/no.crt\n", qr/no\.(?:key|crt)/],
    ['line without a value', "just words\n", qr/:4: /],
    ['unknown section', "[databaze]\na = b\n", qr/:4: .*databaze.*did you mean .?databases/],
    ['unfinished section', "[databases\na = b\n", qr/:4: /],
    ['missing include', "%include $dir/nowhere.ini\n", qr/nowhere\.ini/],
    ['include of itself', "%include $dir/loop.ini\n", qr/loop\.ini/],
    ['unknown database key', "[databases]\nx = hots=127.0.0.1\n", qr/:5: .*hots.*did you mean .?host/],
    ['database port', "[databases]\nx = host=127.0.0.1 port=abc\n", qr/:5: .*port/],
    ['database pool size', "[databases]\nx = host=127.0.0.1 pool_size=lots\n", qr/:5: .*pool_size/],
    ['open quote', "[databases]\nx = host='127.0.0.1\n", qr/:5: /],
    ['reserved name', "[databases]\npgbouncer = host=127.0.0.1\n", qr/:5: .*pgbouncer/],
    ['long database name', "[databases]\n" . 'x' x 64 . " = host=127.0.0.1\n", qr/:5: /],
    ['unknown user key', "[users]\nalice = pool_mod=session\n", qr/:5: .*pool_mod.*did you mean .?pool_mode/],
    ['user number', "[users]\nalice = max_user_connections=x\n", qr/:5: .*max_user_connections/],
    ['peer without host', "[peers]\n1 = port=6432\n", qr/:5: .*host/],
    ['peer id', "[peers]\n0 = host=127.0.0.1\n", qr/:5: /],
    ['rule value', "[tenant_rules]\npublic.documents =\n", qr/:5: .*public\.documents/],
    ['rule name', "[tenant_rules]\npublic.\"open = tenant_id\n", qr/:5: /],
    ['rule option', "[tenant_rules]\npublic.documents = tenant_id claims=x\n", qr/:5: .*claim/],
    ['function value', "[tenant_functions]\npublic.f(text) = maybe\n", qr/:5: /],
    ['operator value', "[tenant_operators]\npublic.<-> = perhaps\n", qr/:5: /],
    ['auth_file missing', "auth_file = $dir/nobody.txt\n", qr/nobody\.txt/],
);
spew("$dir/loop.ini", "%include $dir/loop.ini\n");
for my $t (@bad) {
    my ($st, $text) = check($base . $t->[1]);
    is($st, 1, "$t->[0]: refused") or diag($text);
    like($text, $t->[2], "$t->[0]: said clearly");
    like($text, qr/^\S+\.ini:\d+: /m, "$t->[0]: with file and line") unless $t->[0] =~ /certificate|auth_file/;
}

# Two mistakes, two lines.
my ($st, $text) = check("${base}one_bad = 1\ntwo_bad = 2\n");
like($text, qr/:4: one_bad.*:5: two_bad/s, 'all problems are told at once');
# In an included file the included file is named.
spew("$dir/inner.ini", "\nlisten_prot = 1\n");
($st, $text) = check("$base%include $dir/inner.ini\n");
like($text, qr/inner\.ini:2: listen_prot/, 'a mistake in an included file names that file');

# What must be accepted.
my @good = (
    ['comments and blank lines', "; x\n# y\n\n  default_pool_size = 7\n"],
    ['a later duplicate', "default_pool_size = 7\ndefault_pool_size = 8\n"],
    ['quoted database name', "[databases]\n\"odd name\" = host=127.0.0.1 dbname='a b'\n"],
    ['quotes in values', "[databases]\nx = host=127.0.0.1 password='it''s'\n"],
    ['sections again', "[databases]\na = host=127.0.0.1\n[pgbouncer]\nmax_client_conn = 5\n[databases]\nb = host=127.0.0.1\n"],
    ['decimal times', "server_lifetime = 1.5\n"],
    ['tenants', "tenant_mode = rewrite\ntenant_columns = tenant_id,org_id\n[users]\nalice = tenant='o''brien' claim.tenant_no=12\n[tenant_rules]\n"
            . "public.documents = tenant_id\nmemory.* = user_id claim=tenant\npublic.\"Order Items\" = \"TenantId\"\npublic.t = shared\npublic.v = deny\n"
            . "[tenant_functions]\npublic.norm_title(text) = allow\n[tenant_operators]\npublic.<-> = allow\n"],
);
for my $t (@good) {
    ($st, $text) = check($base . $t->[1]);
    is($st, 0, "$t->[0]: accepted") or diag($text);
}
# The sample that is shipped.
my $sample = "$FindBin::Bin/../../etc/pgbulkhead.ini";
spew("$dir/userlist.txt", qq("alice" "secret"\n));
my $ini = slurp($sample) =~ s/^(\s*auth_file\s*=).*/$1 $dir\/userlist.txt/mr;
($st, $text) = check($ini);
is($st, 0, 'the shipped sample is accepted') or diag($text);
finish();
