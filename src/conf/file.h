/* SPDX-License-Identifier: ISC */
/* Whole files in memory that is wiped when it is given back: configuration files hold passwords. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include "base/check.h"
#include "base/text.h"

struct file_text {
    char *p; /* malloc */
    size_t n, cap;
};

/* Reads it all. false with errno (EFBIG: more than 256 MiB); nothing is held then. */
bool file_read(const char *path, struct file_text *out) MUST_CHECK;
void file_wipe(struct file_text *f);

#endif
