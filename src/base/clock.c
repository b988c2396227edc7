/* SPDX-License-Identifier: ISC */
/* Reading and showing the time. */
#include "base/clock.h"

#include "base/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static usec_t read_clock(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    CHECK(rc == 0);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

usec_t clock_mono_us(void)
{
    usec_t t = read_clock(CLOCK_MONOTONIC);
    return t ? t : 1;
}

usec_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

size_t clock_format(usec_t wall_us, enum clock_style style, char *out, size_t size)
{
    CHECK(size > 0);
    time_t sec = (time_t)(wall_us / USEC_PER_SEC);
    unsigned us = (unsigned)(wall_us % USEC_PER_SEC);
    bool rfc = style == CLOCK_RFC3339;
    struct tm tm;
    char day[64];
    int n;

    if (!gmtime_r(&sec, &tm) ||
        !strftime(day, sizeof(day), rfc ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm))
        day[0] = '\0';
    if (rfc)
        n = snprintf(out, size, "%s.%06uZ", day, us);
    else if (style == CLOCK_MILLIS)
        n = snprintf(out, size, "%s.%03u UTC", day, us / 1000);
    else
        n = snprintf(out, size, "%s UTC", day);
    CHECK(n >= 0);
    return (size_t)n < size ? (size_t)n : size - 1;
}
