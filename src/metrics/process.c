/* SPDX-License-Identifier: ISC */
/* Figures of our own process, most of them from /proc. */
#include "metrics/collect.h"

#include "watch/limits.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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

    *p = (struct process_figures){ .cpu_us = process_cpu_us(), .open_fds = open_fds() };
    p->memory_known = process_memory(&p->virt, &p->resident);
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
