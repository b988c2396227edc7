#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The tenant corpus with tenant_mode=rls: the same policies as the oracle's, but for all tenants of one server role, by
# the one setting that the pooler binds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::CorpusRun;

need_ours();
Bulkhead::CorpusRun::main(mode => 'rls', target => 'proxy', dir => $FindBin::Bin, pairs => 'acme:acmeeu', sets => [qw(attack benign hunted)]);
finish();
