/* SPDX-License-Identifier: ISC */
/*
 * Parameters that the server reports and that follow the client from server to server:
 * client_encoding, DateStyle, TimeZone, standard_conforming_strings, application_name and those of
 * track_extra_parameters.
 */
#ifndef SESSION_VARS_H
#define SESSION_VARS_H

#include "base/buf.h"
#include "conf/setup.h"

#define VARS_STANDARD 5
#define VAR_CLIENT_ENCODING 0
#define VAR_CONFORMING 3 /* standard_conforming_strings */
#define VAR_APPLICATION_NAME 4 /* the place of that name */
#define VARS_MAX 32

/* The names tracked by this process (boot key), shared by all threads, immutable. */
struct var_names {
    int n;
    char *name[VARS_MAX];
};
void var_names_init(struct var_names *v, const struct setup *s);
void var_names_release(struct var_names *v);
/* Index of a name (ASCII case does not matter), -1 when not tracked. */
int var_index(const struct var_names *v, struct text name);

/* Values; NULL = not known. Owned. */
struct vars {
    char *value[VARS_MAX]; /* vars_set makes them: zeros up to a whole word behind each */
};
/* Same value already: nothing; false: out of memory. */
bool vars_set(struct vars *v, int i, struct text value);
bool vars_copy(struct vars *to, const struct vars *from, const struct var_names *n);
void vars_release(struct vars *v, const struct var_names *n);
/* Appends "SET name='value';..." for every value of `want` that differs from `have` to out; *mask
 * gets the bits. Returns how many. Values are quoted exactly; a value that the server does not
 * report is left alone. */
int vars_diff(const struct vars *want, const struct vars *have, const struct var_names *n,
              struct buf *out, uint32_t *mask);

/* May a server of tenants report this value? client_encoding and standard_conforming_strings decide
 * how it reads a statement, and are pinned in the startup packet. */
bool vars_safe(struct text name, struct text value);

/* What a client gets after login: parameters in the order the server reported them. Refcounted,
 * thread-safe. */
struct welcome {
    _Atomic int refs;
    size_t len;       /* bytes of ParameterStatus messages */
    struct vars vars; /* tracked ones */
    char bytes[];
};

#endif
