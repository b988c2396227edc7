/* SPDX-License-Identifier: ISC */
/* The command line, compatible with PgBouncer's. */
#include "main/options.h"

#include "main/version.h"

#include <getopt.h>
#include <stdio.h>

/* Options without a letter. */
enum { LONG_INIT = 256, LONG_COLUMNS };

static void usage(FILE *to)
{
    fputs(
        "pgbulkhead: PostgreSQL connection pooler that keeps tenants apart\n"
        "\n"
        "Usage: pgbulkhead [OPTION]... CONFIG_FILE\n"
        "       pgbulkhead explain --tenant=TENANT [OPTION]... [STATEMENT]\n"
        "       pgbulkhead top [OPTION]... HOST...\n"
        "\n"
        "  -t, --check           check the configuration and exit: 0 good, 1 bad\n"
        "  -d, --daemon          run in the background (needs pidfile and logfile or syslog)\n"
        "  -q, --quiet           do not log to stderr\n"
        "  -R, --reboot          take over the sockets of the process that runs with this configuration\n"
        "  -u, --user=USER       become this system user when started as root\n"
        "  -v, --verbose         more lines in the log; may be repeated\n"
        "      --init=DSN        write a first configuration from the catalog of that database and exit\n"
        "      --columns=LIST    for --init: the columns that tell tenants apart\n"
        "  -V, --version         show the version and exit\n"
        "  -h, --help            show this text and exit\n",
        to);
}

void options_read(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        { "check", no_argument, NULL, 't' },
        { "daemon", no_argument, NULL, 'd' },
        { "quiet", no_argument, NULL, 'q' },
        { "user", required_argument, NULL, 'u' },
        { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },
        { "reboot", no_argument, NULL, 'R' },
        { "init", required_argument, NULL, LONG_INIT },
        { "columns", required_argument, NULL, LONG_COLUMNS },
        { NULL, 0, NULL, 0 },
    };
    int ch;

    *o = (struct options){ .action = OPTIONS_RUN };
    while ((ch = getopt_long(argc, argv, "tdqu:vVhR", longs, NULL)) != -1) {
        switch (ch) {
        case 't':
            o->action = OPTIONS_CHECK;
            break;
        case 'd':
            o->daemon = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'v':
            o->verbose++;
            break;
        case 'V':
            puts(BULKHEAD_VERSION);
            o->action = OPTIONS_EXIT;
            return;
        case 'h':
            usage(stdout);
            o->action = OPTIONS_EXIT;
            return;
        case 'R':
            o->reboot = true;
            break;
        case LONG_INIT:
            o->init = optarg;
            break;
        case LONG_COLUMNS:
            o->columns = optarg;
            break;
        default:
            usage(stderr);
            o->action = OPTIONS_EXIT;
            o->exit_code = 1;
            return;
        }
    }
    if (o->init && optind == argc) {
        o->action = OPTIONS_INIT;
        return;
    }
    if (optind + 1 != argc || o->init || o->columns) {
        usage(stderr);
        o->action = OPTIONS_EXIT;
        o->exit_code = 1;
        return;
    }
    o->file = argv[optind];
}
