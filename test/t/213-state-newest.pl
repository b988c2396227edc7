#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The same as 211 with PostgreSQL 18, which reports search_path.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead::Newest;

my $file = "$FindBin::Bin/211-state-startup.pl";
do $file or die $@ || "$file: $!";
