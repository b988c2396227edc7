/* SPDX-License-Identifier: ISC */
/*
 * The status page: a few files that are part of the program (src/metrics/page/). It loads nothing
 * from anywhere else and shows what /api/status says.
 */
#ifndef METRICS_PAGE_H
#define METRICS_PAGE_H

#include "base/text.h"

struct page_file {
    const char *path; /* "/", "/status.css" */
    const char *type; /* Content-Type */
    const char *etag; /* with its quotes; another one whenever the content is another */
    struct text body;
};

/* Content-Security-Policy of the page. */
extern const char page_policy[];

/* The files, one after the other; NULL behind the last one. They live as long as the program. */
const struct page_file *page_next(size_t *pos);

#endif
