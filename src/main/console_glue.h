/* SPDX-License-Identifier: ISC */
/* What the control thread needs of console and metrics. */
#ifndef MAIN_CONSOLE_GLUE_H
#define MAIN_CONSOLE_GLUE_H

#include "main/catalogd.h"
#include "main/control.h"
#include "main/probed.h"

#define MAIL_CONSOLE 203
#define MAIL_CONSOLE_CANCEL 204

/* An administrator's connection, detached from its worker. */
struct mail_console {
    struct mail mail;
    struct conn *conn;
    bool admin;
    char user[128], app[128];
    size_t n_early;
    char early[];
};

/* A cancel request's key, for the console to look at. */
struct mail_console_cancel {
    struct mail mail;
    size_t n;
    char key[CANCEL_KEY_LONG];
};

void services_adopt(struct control *c, struct mail_console *m);
void services_cancel(struct control *c, const struct mail_console_cancel *m);
void services_probe(struct control *c, struct mail_probe *m);
/* Closes free servers, or lets clients go on, after registry.paused was set. */
void services_pause(struct control *c, bool pause);
/* Ends SUSPEND, if there is one. */
void services_go_on(struct control *c);

#endif
