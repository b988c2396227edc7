/* SPDX-License-Identifier: ISC */
/* `pgbulkhead top`: the consoles of poolers on a terminal. */
#ifndef TOP_TOP_H
#define TOP_TOP_H

/* argv[0] is "top". Gives the exit status: 0; with -b 1 when a console did not answer; 2 for a
 * wrong command line or a terminal that cannot be used. */
int top_main(int argc, char **argv);

#endif
