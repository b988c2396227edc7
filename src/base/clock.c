/* SPDX-License-Identifier: ISC */
/* Reading and showing the time. */
#include "base/clock.h"

#include "base/check.h"

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

size_t clock_format(usec_t wall_us, int millis, char *out, size_t size)
{
    CHECK(size > 0);
    time_t sec = (time_t)(wall_us / USEC_PER_SEC);
    unsigned ms = (unsigned)(wall_us % USEC_PER_SEC / USEC_PER_MSEC);
    struct tm tm;
    char day[64];
    if (!gmtime_r(&sec, &tm) || !strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm))
        day[0] = '\0';
    int n =
        millis ? snprintf(out, size, "%s.%03u UTC", day, ms) : snprintf(out, size, "%s UTC", day);
    CHECK(n >= 0);
    return (size_t)n < size ? (size_t)n : size - 1;
}
