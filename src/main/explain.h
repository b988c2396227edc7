/* SPDX-License-Identifier: ISC */
/* The command line's `pgbulkhead explain`: what would become of a tenant's statements. */
#ifndef MAIN_EXPLAIN_H
#define MAIN_EXPLAIN_H

/* argv[0] is "explain". Returns the exit status: 0 all passed or rewritten, 1 some are refused, 2
 * trouble. */
int explain_main(int argc, char **argv);

#endif
