/* SPDX-License-Identifier: ISC */
/* For the conf tests: a throwaway directory, files in it, and loading what was written. */
#ifndef TEST_UNIT_CONF_H
#define TEST_UNIT_CONF_H

#include "conf/setup.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Makes a directory and goes there, so that file names in messages are short. */
static inline void conf_enter(char dir[64])
{
    snprintf(dir, 64, "/tmp/conf-test-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0) {
        perror(dir);
        exit(1);
    }
}

static inline void conf_write(const char *name, struct text body)
{
    FILE *f = fopen(name, "w");
    if (!f || fwrite(body.p, 1, body.n, f) != body.n || fclose(f) != 0) {
        perror(name);
        exit(1);
    }
}

/* Loads the text as t.ini. The problems are left in *problems (NUL-terminated). */
static inline struct setup *conf_load(const char *body, struct buf *problems)
{
    struct setup *s;

    conf_write("t.ini", text_of(body));
    buf_init(problems);
    s = setup_load("t.ini", 1, NULL, 0, problems);
    buf_char(problems, '\0');
    return s;
}

static inline void conf_leave(const char *dir, const char *const *files, int n)
{
    for (int i = 0; i < n; i++)
        unlink(files[i]);
    if (chdir("/") < 0 || rmdir(dir) < 0)
        perror(dir);
}

#endif
