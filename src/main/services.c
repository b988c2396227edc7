/* SPDX-License-Identifier: ISC */
/* The control thread's services: console and metrics. */
#include "main/console_glue.h"

void services_adopt(struct control *c, struct mail_console *m)
{
    (void)c;
    conn_close(m->conn);
}

void services_probe(struct control *c, struct mail_probe *m)
{
    (void)c;
    (void)m;
}

static void close_idle(struct engine *e, void *arg)
{
    (void)arg;
    engine_close_idle(e, TEXT(""));
}

static void go_on(struct engine *e, void *arg)
{
    (void)arg;
    engine_resume(e, TEXT(""));
}

void services_pause(struct control *c, bool pause)
{
    hub_call(&c->hub, pause ? close_idle : go_on, NULL, NULL);
}

bool services_start(struct control *c, struct err *e)
{
    (void)c;
    (void)e;
    return true;
}

void services_stop(struct control *c)
{
    (void)c;
}

void services_second(struct control *c)
{
    (void)c;
}
