/* SPDX-License-Identifier: ISC */
/* Log, clock, errors, histograms. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/repeat.h"
#include "base/stat.h"
#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct text read_file(const char *path, char *room, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(room, 1, size, f) : 0;
    if (f)
        fclose(f);
    return text_n(room, n);
}

/* The n-th line without its time and process id. */
static struct text line_tail(struct text all, int n)
{
    struct text line = { NULL, 0 };
    while (n-- >= 0 && text_split(&all, '\n', &line))
        ;
    const char *at = line.n ? memchr(line.p, ']', line.n) : NULL;
    return at ? text_n(at + 2, line.n - (size_t)(at + 2 - line.p)) : line;
}

static void test_lines(const char *dir)
{
    static char room[100000];
    char path[300], moved[310], text[3000];
    struct log l;
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(moved, sizeof(moved), "%s.1", path);
    log_init(&l, true, 0);
    ok(!log_open(&l, "/nonexistent/log") && errno == ENOENT, "a file that cannot be opened");
    ok(log_open(&l, path), "opened");
    errno = ENOENT;
    log_info(&l, "C-1: db/user: %s %m", "hello");
    is_int(errno, ENOENT, "errno is kept");
    log_warn(&l, "a\nb\tc\x7f\xc3\xa9");
    log_debug(&l, "not wanted");
    atomic_store(&l.verbose, 1);
    log_debug(&l, "wanted");
    log_noise(&l, "not wanted");
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    log_error(&l, "%s", text);
    struct text all = read_file(path, room, sizeof(room));
    is_text(line_tail(all, 0), "LOG C-1: db/user: hello No such file or directory", "a line");
    is_text(line_tail(all, 1), "WARNING a\\x0ab\\x09c\\x7f\xc3\xa9",
            "control characters are shown");
    is_text(line_tail(all, 2), "DEBUG wanted", "verbose");
    is_int(line_tail(all, 3).n, strlen("ERROR ") + sizeof(text) - 1, "a long line is whole");
    ok(all.n > 30 && all.p[10] == ' ' && all.p[19] == '.' && !memcmp(all.p + 23, " UTC [", 6),
       "the line begins with the time");
    ok(rename(path, moved) == 0 && log_open(&l, NULL), "reopened after a rename");
    log_fatal(&l, "new file");
    is_text(line_tail(read_file(path, room, sizeof(room)), 0), "FATAL new file", "in the new file");
    unlink(path);
    unlink(moved);
    log_close(&l);
    log_error(&l, "to nowhere");
}

static void test_json(const char *dir)
{
    static char room[100000];
    char path[300];
    struct log l;
    snprintf(path, sizeof(path), "%s/json", dir);
    log_init(&l, true, 0);
    log_set_format(&l, LOG_JSON);
    if (!log_open(&l, path))
        abort();
    const struct log_about a = { .head = TEXT("C-0x1: d/u@h:1"),
                                 .client = TEXT("C-0x1"),
                                 .client_id = 7,
                                 .database = TEXT("d\"b"),
                                 .user = TEXT("u\xff"),
                                 .host = TEXT("h:1"),
                                 .tenant = TEXT("t\n\xc3\xa9"),
                                 .reason = TEXT("r\\") };
    log_put(&l, LOG_LV_WARNING, &a, TEXT("a\"b\x01\xf0\x28"));
    log_info(&l, "plain %d", 1);
    struct log_about b = a;
    b.more = TEXT("\"took\":1.5");
    b.brief = TEXT("slow");
    log_put(&l, LOG_LV_LOG, &b, TEXT("slow: took 1.5"));
    log_set_format(&l, LOG_TEXT);
    log_put(&l, LOG_LV_LOG, &b, TEXT("slow: took 1.5"));
    struct text all = read_file(path, room, sizeof(room)), line = { NULL, 0 };
    static const char *const want[] = {
        "\",\"level\":\"WARNING\",\"pid\":0,\"client\":\"C-0x1\",\"client_id\":7,\"database\":"
        "\"d\\\"b\",\"user\":\"u\xef\xbf\xbd\",\"host\":\"h:1\",\"tenant\":\"t\\u000a\xc3\xa9\","
        "\"reason\":\"r\\\\\",\"message\":\"a\\\"b\\u0001\xef\xbf\xbd(\"}",
        "\",\"level\":\"LOG\",\"pid\":0,\"message\":\"plain 1\"}",
        "\",\"level\":\"LOG\",\"pid\":0,\"client\":\"C-0x1\",\"client_id\":7,\"database\":"
        "\"d\\\"b\",\"user\":\"u\xef\xbf\xbd\",\"host\":\"h:1\",\"tenant\":\"t\\u000a\xc3\xa9\","
        "\"reason\":\"r\\\\\",\"took\":1.5,\"message\":\"slow\"}",
    };
    char ours[1000], pid[40];
    int n_pid = snprintf(pid, sizeof(pid), "\"pid\":%ld,", (long)getpid());
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        text_split(&all, '\n', &line);
        ok(line.n > 34 && !memcmp(line.p, "{\"ts\":\"20", 9) && line.p[33] == 'Z',
           "time of line %zu", i);
        const char *at = memmem(line.p, line.n, pid, (size_t)n_pid);
        if (at) /* the number is ours */
            snprintf(ours, sizeof(ours), "%.*s\"pid\":0,%.*s", (int)(at - line.p - 34), line.p + 34,
                     (int)(line.p + line.n - at - n_pid), at + n_pid);
        is_text(at ? text_of(ours) : line, want[i], "the rest of it");
    }
    is_text(line_tail(all, 0), "LOG C-0x1: d/u@h:1 slow: took 1.5", "back to text");
    unlink(path);
    log_close(&l);
}

/* What stands in the file, without times. */
static void tails(const char *path, char *out, size_t size)
{
    static char room[400000];
    struct text all = read_file(path, room, sizeof(room)), one;
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; (one = line_tail(all, i)).n && used < size; i++) {
        bool last = one.p + one.n >= all.p + all.n - 1;
        used += (size_t)snprintf(out + used, size - used, "%.*s|", TEXT_ARG(one));
        if (last)
            break;
    }
}

static void test_fold(const char *dir)
{
    static char out[100000];
    char path[300];
    struct log l;
    uint64_t folded, kinds;
    snprintf(path, sizeof(path), "%s/fold", dir);
    log_init(&l, true, 0);
    if (!log_open(&l, path))
        abort();
    log_fold(&l, 2, 3600 * USEC_PER_SEC);
    for (int i = 0; i < 5; i++)
        log_often(&l, LOG_LV_WARNING, TEXT("a"), "kind %d", i);
    log_often(&l, LOG_LV_WARNING, TEXT("b"), "kind %d", 9);
    for (int i = 0; i < 3; i++)
        log_warn(&l, "never folded");
    log_second(&l);
    tails(path, out, sizeof(out));
    is_text(out,
            "WARNING kind 0|WARNING kind 1|WARNING kind 9|WARNING never folded|WARNING never "
            "folded|WARNING never folded|",
            "two of a kind and subject, before the period is over");
    log_fold_stats(&l, &folded, &kinds);
    ok(folded == 3 && kinds == 2, "three lines folded, two kinds");
    log_fold(&l, 0, 0);
    log_often(&l, LOG_LV_WARNING, TEXT("a"), "kind %d", 7);
    tails(path, out, sizeof(out));
    ok(strstr(out, "|WARNING last message repeated 3 times: kind 2|WARNING kind 7|") != NULL,
       "switched off: the count is said, then all are written (%s)", out);
    log_fold(&l, 1, 1);
    for (int i = 0; i < 2; i++) {
        log_often(&l, LOG_LV_ERROR, TEXT("c"), "short %d", i);
        usleep(1000);
    }
    tails(path, out, sizeof(out));
    ok(strstr(out, "|ERROR short 0|ERROR short 1|") != NULL, "a new period begins anew");
    unlink(path);
    log_close(&l);
}

/* However many kinds there are: every line is written or counted. */
static void test_fold_many(const char *dir)
{
    static char room[4000000];
    char path[300], subject[20];
    struct log l;
    long written = 0, counted = 0;
    snprintf(path, sizeof(path), "%s/many", dir);
    log_init(&l, true, 0);
    log_set_format(&l, LOG_JSON);
    if (!log_open(&l, path))
        abort();
    log_fold(&l, 1, 3600 * USEC_PER_SEC);
    for (int i = 0; i < 9000; i++) {
        snprintf(subject, sizeof(subject), "%d", i % 3000);
        log_often(&l, LOG_LV_WARNING, text_of(subject), "kind");
        log_often(&l, LOG_LV_WARNING, text_of(subject), "kind");
    }
    uint64_t folded, kinds;
    log_fold_stats(&l, &folded, &kinds);
    ok(folded >= 9000 && kinds <= REPEAT_ENTRIES, "the table is bounded");
    log_close(&l);
    struct text all = read_file(path, room, sizeof(room)), line;
    while (text_split(&all, '\n', &line)) {
        const char *at = memmem(line.p, line.n, "\"repeated\":", 11);
        counted += at ? strtol(at + 11, NULL, 10) : 0;
        written += line.n > 0 && !at;
    }
    is_int(written + counted, 18000, "no line is lost (%ld written)", written);
    unlink(path);
}

struct writer {
    struct log *l;
    int id;
    pthread_t thread;
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < 500; i++)
        log_info(w->l, "writer %d line %d abcdefghijklmnopqrstuvwxyz", w->id, i);
    return NULL;
}

static void test_threads(const char *dir)
{
    static char room[400000];
    char path[300];
    struct log l;
    struct writer w[4];
    snprintf(path, sizeof(path), "%s/threads", dir);
    log_init(&l, true, 0);
    if (!log_open(&l, path))
        abort();
    for (int i = 0; i < 4; i++) {
        w[i] = (struct writer){ .l = &l, .id = i };
        if (pthread_create(&w[i].thread, NULL, write_lines, &w[i]) != 0)
            abort();
    }
    for (int i = 0; i < 20; i++)
        log_open(&l, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(w[i].thread, NULL);
    struct text all = read_file(path, room, sizeof(room)), line;
    int lines = 0, whole = 0;
    while (text_split(&all, '\n', &line)) {
        lines += line.n > 0;
        whole += line.n > 60 && !memcmp(line.p + line.n - 5, "vwxyz", 5) && line.p[0] == '2';
    }
    ok(lines == 2000 && whole == 2000, "lines of four threads are whole (%d of %d)", whole, lines);
    unlink(path);
    log_close(&l);
}

static void test_clock(void)
{
    char out[64];
    usec_t a = clock_mono_us(), b = clock_mono_us();
    ok(a > 0 && b >= a, "monotonic");
    ok(clock_wall_us() > 1700000000ULL * USEC_PER_SEC, "wall clock is past 2023");
    is_int(clock_format(1000000000123456ULL, CLOCK_MILLIS, out, sizeof(out)), 27,
           "length with milliseconds");
    is_text(out, "2001-09-09 01:46:40.123 UTC", "with milliseconds");
    clock_format(1000000000123456ULL, CLOCK_SECONDS, out, sizeof(out));
    is_text(out, "2001-09-09 01:46:40 UTC", "without");
    clock_format(1000000000123456ULL, CLOCK_RFC3339, out, sizeof(out));
    is_text(out, "2001-09-09T01:46:40.123456Z", "RFC 3339");
    is_int(clock_format(0, CLOCK_SECONDS, out, 5), 4, "cut to the room given");
    is_text(out, "1970", "cut text");
}

static void test_err(void)
{
    struct err e;
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    ok(!err_set(&e, "no %s", "luck"), "err_set gives false");
    is_text(e.msg, "no luck", "message");
    is_text(e.sqlstate, "", "no state");
    ok(!err_set_state(&e, "42501", "%s", text), "err_set_state gives false");
    is_text(e.sqlstate, "42501", "state");
    is_int(strlen(e.msg), sizeof(e.msg) - 1, "a long message is cut");
    ok(!err_set(NULL, "nobody asks"), "NULL is allowed");
}

static void test_stat(void)
{
    struct stat_hist h = { 0 };
    stat_observe(&h, 0);
    stat_observe(&h, 500);
    stat_observe(&h, 501);
    stat_observe(&h, 10000000);
    stat_observe(&h, 10000001);
    is_int(stat_get(&h.count[0]), 2, "the upper edge belongs to its bucket");
    is_int(stat_get(&h.count[1]), 1, "above the edge: next bucket");
    is_int(stat_get(&h.count[STAT_BUCKETS - 1]), 1, "last edge");
    is_int(stat_get(&h.count[STAT_BUCKETS]), 1, "beyond all edges");
    is_int(stat_get(&h.sum_us), 20001002, "sum");
    bool rising = true;
    for (int i = 1; i < STAT_BUCKETS; i++)
        rising = rising && stat_edges_us[i] > stat_edges_us[i - 1];
    ok(rising && stat_edges_us[STAT_BUCKETS - 1] == 10 * USEC_PER_SEC, "edges rise to 10 s");
}

int main(void)
{
    char dir[] = "/tmp/bh-log-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    test_lines(dir);
    test_threads(dir);
    test_json(dir);
    test_fold(dir);
    test_fold_many(dir);
    rmdir(dir);
    test_clock();
    test_err();
    test_stat();
    return tap_done();
}
