/* SPDX-License-Identifier: ISC */
/* The files of the status page. */
#include "metrics/page.h"

#include "metrics/page_data.inc"

/* Scripts and styles are files of ours, nothing is written into the document as HTML (trusted types
 * make the browser refuse that), and no other page can frame this one. */
const char page_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

#define FILE_OF(path, type, name)                                                                  \
    {                                                                                              \
        path, type, page_##name##_etag,                                                            \
        {                                                                                          \
            (const char *)page_##name, sizeof(page_##name)                                         \
        }                                                                                          \
    }

static const struct page_file files[] = {
    FILE_OF("/", "text/html; charset=utf-8", status_html),
    FILE_OF("/status.css", "text/css; charset=utf-8", status_css),
    FILE_OF("/status.js", "text/javascript; charset=utf-8", status_js),
    FILE_OF("/status.svg", "image/svg+xml", status_svg),
};

const struct page_file *page_next(size_t *pos)
{
    return *pos < sizeof(files) / sizeof(files[0]) ? &files[(*pos)++] : NULL;
}
