/* SPDX-License-Identifier: ISC */
/* What a client of the metrics service asks for: Accept and Accept-Encoding (RFC 9110). */
#ifndef METRICS_NEGOTIATE_H
#define METRICS_NEGOTIATE_H

#include "base/text.h"

/* Does the value of Accept ask for OpenMetrics 1.0.0 by name, with no smaller q than for the text
 * format? Wildcards do not ask for it. Untrusted; what cannot be read counts as not said; empty:
 * nothing was sent. */
bool negotiate_openmetrics(struct text accept);
/* Does the value of Accept-Encoding take gzip, and not plain text rather than that? */
bool negotiate_gzip(struct text accept_encoding);
/* Is the tag (with its quotes) in the value of If-None-Match, or is that "*"? Weak comparison. */
bool negotiate_etag(struct text if_none_match, struct text tag);

#endif
