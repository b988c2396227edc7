/* SPDX-License-Identifier: ISC */
/*
 * The thread that probes servers: all of them at once, by non-blocking libpq and one poll, so that
 * one that hangs delays no other. Names of hosts are looked up aside. Results come to the control
 * loop as mails. A connection is opened for each probe, and kept only while the server is nearly
 * full: there a new one might not be let in.
 */
#ifndef MAIN_PROBED_H
#define MAIN_PROBED_H

#include "main/probe.h"
#include "session/engine.h"

struct probed;

enum probed_mail { MAIL_PROBE = 201 };

/* One result. Freed with probed_mail_free. */
struct mail_probe {
    struct mail mail;
    char *backend;          /* "host:port" */
    struct backend_row row; /* its dbs are the mail's */
    char text[600];         /* why it failed */
};

/* NULL: no memory, no descriptor or no thread. */
struct probed *probed_start(struct loop *control, struct log *log);
/* Ends the thread; what is under way is dropped. */
void probed_stop(struct probed *d);
/* Probes every server of the setup that there is a user for; one whose last probe is still under
 * way is left alone. Control thread only. */
void probed_run(struct probed *d, const struct setup *s);
void probed_mail_free(struct mail *m);

#endif
