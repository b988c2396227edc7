/* SPDX-License-Identifier: ISC */
/* Problems and warnings of one load, gathered so that all are shown together. */
#ifndef CONF_TROUBLE_H
#define CONF_TROUBLE_H

#include "base/buf.h"

/* A line of a file; file NULL = not from a file (a default, an override). */
struct place {
    const char *file;
    int line; /* from 1; 0 = the file as a whole */
};

struct trouble {
    struct buf problems; /* lines "file:line: key: what is wrong", each ended by a newline */
    int n_problems;
    struct buf warnings;   /* the same form */
    const char *main_file; /* named where a place has no file */
};

/* Adds a line; key may be empty. Control characters become '?', so that a line stays a line. */
void trouble_problem(struct trouble *t, struct place at, struct text key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void trouble_warn(struct trouble *t, struct place at, struct text key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
