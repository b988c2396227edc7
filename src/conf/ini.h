/* SPDX-License-Identifier: ISC */
/*
 * The lines of an ini file and of those it includes: sections, keys, values. What they mean is not
 * decided here.
 *
 * A line is `[section]`, `key = value`, `%include FILE`, a comment beginning with ; or #, or empty.
 * White space around all parts is dropped. In a key, "..." may hold any character; the separator is
 * the first = outside such quotes, in [tenant_operators] the last one.
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include "base/arena.h"
#include "base/check.h"
#include "conf/file.h"
#include "conf/trouble.h"

enum ini_section {
    INI_NONE, /* before the first section, or an unknown one (already reported) */
    INI_POOLER,
    INI_DATABASES,
    INI_USERS,
    INI_PEERS,
    INI_TENANTS,
    INI_RULES,
    INI_FUNCTIONS,
    INI_OPERATORS
};

struct ini_line {
    enum ini_section section;
    struct text key, value; /* key as written, quotes included */
    struct place at;
};

struct ini {
    struct arena arena;
    struct ini_line *lines; /* in the order read */
    int n, cap;
    struct file_text *files; /* what the slices point into */
    int n_files;
    bool may_read; /* false: no other file is read (fuzzing) */
    /* while parsing */
    enum ini_section section;
    bool in_unknown;
    int depth;
};

void ini_init(struct ini *ini);
/* Wipes what was read. */
void ini_release(struct ini *ini);

/* Reads a file with its includes; problems are reported to t. */
void ini_load(struct ini *ini, const char *path, struct trouble *t);
/* Parses text that stays in memory as long as ini; name: for places, must live as long too. */
void ini_parse(struct ini *ini, struct text body, const char *name, struct trouble *t);

/* An entry's name without its quotes ("" inside stands for one); false when the quotes are wrong.
 */
bool ini_unquote(struct text key, struct arena *a, struct text *out) MUST_CHECK;

const char *ini_section_name(enum ini_section s);

#endif
