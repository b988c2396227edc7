/* SPDX-License-Identifier: ISC */
/* The command line. */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include <stdbool.h>

enum options_action { OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_INIT, OPTIONS_EXIT };

struct options {
    enum options_action action;
    int exit_code;    /* for OPTIONS_EXIT */
    const char *file; /* configuration */
    const char *user; /* -u, NULL = none */
    bool daemon, quiet, reboot;
    int verbose;
    const char *init;    /* OPTIONS_INIT: the connection string */
    const char *columns; /* its --columns, or NULL */
};

/* Reads argv; --version, --help and mistakes print and give OPTIONS_EXIT. */
void options_read(struct options *o, int argc, char **argv);

#endif
