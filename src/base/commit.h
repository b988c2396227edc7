/* SPDX-License-Identifier: ISC */
/* What was built; the texts are in base/commit.c, which configure writes. */
#ifndef BASE_COMMIT_H
#define BASE_COMMIT_H

/* The beginning of the commit's hash; "unknown" when built from neither a git tree nor a
 * release. */
extern const char program_commit[];
/* The PostgreSQL whose grammar libpg_query has, such as "15.1". */
extern const char program_grammar[];

#endif
