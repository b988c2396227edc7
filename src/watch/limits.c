/* SPDX-License-Identifier: ISC */
/* How much memory and processor time the process uses, and may use. */
#include "watch/limits.h"

#include "base/text.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define MICRO 1000000

/* The first bytes of a file, NUL-terminated; "" when it cannot be read. */
static void slurp(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;

    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* A file of the group and of each one above it, up to the root; each text goes to take. */
static void climb(const char *mount, const char *group, const char *file,
                  void (*take)(const char *text, uint64_t *least), uint64_t *least)
{
    char path[4096], text[100];
    size_t n = strlen(group);

    for (;;) {
        while (n > 0 && group[n - 1] == '/')
            n--;
        int len = snprintf(path, sizeof(path), "%s%.*s/%s", mount, (int)n, group, file);
        if (len > 0 && (size_t)len < sizeof(path)) {
            slurp(path, text, sizeof(text));
            take(text, least);
        }
        if (n == 0)
            return;
        while (n > 0 && group[n - 1] != '/')
            n--;
    }
}

static void lower(uint64_t *least, uint64_t v)
{
    if (v > 0 && v < *least)
        *least = v;
}

/* "max" or a number; version 1 writes a very large one for none. */
static void take_memory(const char *text, uint64_t *least)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);

    if (end != text)
        lower(least, v);
}

/* Version 2: "max 100000" or "quota period". In millionths of a core. */
static void take_cpu(const char *text, uint64_t *least)
{
    char *end;
    unsigned long long quota = strtoull(text, &end, 10), period = strtoull(end, NULL, 10);

    if (end != text && period > 0)
        lower(least, quota * MICRO / period);
}

/* Version 1: the quota alone, -1 = none, of the usual period. */
static void take_cpu_v1(const char *text, uint64_t *least)
{
    long long quota = strtoll(text, NULL, 10);

    if (quota > 0)
        lower(least, (uint64_t)quota * MICRO / 100000);
}

/* The path of our group in a line of /proc/self/cgroup, "5:cpu,cpuacct:/path"; NULL: the line is
 * another controller's. The line is changed. */
static const char *group_of(char *line, const char *controller)
{
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

    if (!path)
        return NULL;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    struct text rest = text_of(names + 1), one;
    if (!*controller)
        return rest.n == 0 ? path : NULL;
    while (rest.n && text_split(&rest, ',', &one))
        if (text_is(one, controller))
            return path;
    return NULL;
}

static void of_groups(uint64_t *memory, uint64_t *cpu)
{
    static const struct {
        const char *controller, *mount, *file;
        bool is_cpu;
        void (*take)(const char *text, uint64_t *least);
    } looks[] = {
        { "", "/sys/fs/cgroup", "memory.max", false, take_memory },
        { "", "/sys/fs/cgroup", "cpu.max", true, take_cpu },
        { "memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", false, take_memory },
        { "cpu", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", true, take_cpu_v1 },
    };
    char *line = NULL;
    size_t cap = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");

    while (f && getline(&line, &cap, f) > 0)
        for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
            char *copy = strdup(line);
            const char *group = copy ? group_of(copy, looks[i].controller) : NULL;
            if (group)
                climb(looks[i].mount, group, looks[i].file, looks[i].take,
                      looks[i].is_cpu ? cpu : memory);
            free(copy);
        }
    free(line);
    if (f)
        fclose(f);
}

void limits_read(struct limits *out)
{
    uint64_t memory = UINT64_MAX, cpu = UINT64_MAX;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    of_groups(&memory, &cpu);
    if (pages > 0 && page > 0)
        lower(&memory, (uint64_t)pages * (uint64_t)page);
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        lower(&cpu, (uint64_t)CPU_COUNT(&set) * MICRO);
    else if (online > 0)
        lower(&cpu, (uint64_t)online * MICRO);
    out->memory = memory == UINT64_MAX ? 0 : memory;
    out->microcores = cpu == UINT64_MAX ? 0 : cpu;
}

/* ---- in use ---- */

uint64_t process_cpu_us(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * MICRO +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

bool process_memory(uint64_t *virt, uint64_t *resident)
{
    char text[100], *end;

    slurp("/proc/self/statm", text, sizeof(text));
    long page = sysconf(_SC_PAGESIZE);
    unsigned long long all = strtoull(text, &end, 10), there = strtoull(end, NULL, 10);
    if (end == text || page <= 0)
        return false;
    *virt = all * (uint64_t)page;
    *resident = there * (uint64_t)page;
    return true;
}
