/* SPDX-License-Identifier: ISC */
/* Figures of our own process, from /proc and getrusage. */
#include "metrics/collect.h"

#include "watch/limits.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t cpu_us(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* /proc/self/statm: total and resident pages. */
static bool memory(uint64_t *virt, uint64_t *resident)
{
    long page = sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return false;
    unsigned long long a, b;
    bool ok = fscanf(f, "%llu %llu", &a, &b) == 2 && page > 0;
    fclose(f);
    if (ok) {
        *virt = a * (uint64_t)page;
        *resident = b * (uint64_t)page;
    }
    return ok;
}

/* Newer kernels (6.2) say how many there are; else they are counted. */
static int64_t open_fds(void)
{
    struct stat st;

    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return st.st_size;
    DIR *d = opendir("/proc/self/fd");
    int64_t n = 0;
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* ".", "..", and this directory */
}

void process_read(struct process_figures *p)
{
    struct rlimit rl;

    *p = (struct process_figures){ .cpu_us = cpu_us(), .open_fds = open_fds() };
    p->memory_known = memory(&p->virt, &p->resident);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
        p->max_fds = (int64_t)rl.rlim_cur;
}

void collect_process(const struct collect *c, struct expo *x)
{
    struct process_figures p;

    process_read(&p);
    collect_family(x, METRIC_process_cpu_seconds_total);
    expo_usec(x, p.cpu_us);
    if (p.memory_known) {
        collect_family(x, METRIC_process_resident_memory_bytes);
        expo_uint(x, p.resident);
        collect_family(x, METRIC_process_virtual_memory_bytes);
        expo_uint(x, p.virt);
    }
    if (p.open_fds >= 0) {
        collect_family(x, METRIC_process_open_fds);
        expo_int(x, p.open_fds);
    }
    if (p.max_fds) {
        collect_family(x, METRIC_process_max_fds);
        expo_int(x, p.max_fds);
    }
    collect_family(x, METRIC_process_start_time_seconds);
    expo_usec(x, c->hub->started_at);
}

void collect_limits(struct expo *x)
{
    struct limits l;

    limits_read(&l);
    if (l.memory) {
        collect_family(x, METRIC_memory_limit_bytes);
        expo_uint(x, l.memory);
    }
    if (l.microcores) {
        collect_family(x, METRIC_cpu_limit_cores);
        expo_usec(x, l.microcores);
    }
}
