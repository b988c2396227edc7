#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The tenant corpus in reject mode against a real PostgreSQL with the row-level-security oracle.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::CorpusRun;

need_ours();
Bulkhead::CorpusRun::main(mode => 'reject', target => 'proxy', dir => $FindBin::Bin);
finish();
