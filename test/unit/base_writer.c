/* SPDX-License-Identifier: ISC */
/* JSON strings of any bytes; the thread that writes lines: order, reopening, losses; deep calls. */
#include "tap.h"

#include "base/deep.h"
#include "base/json.h"
#include "base/writer.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static void json_is(struct text in, const char *want)
{
    struct buf b;
    buf_init(&b);
    json_text(&b, in);
    is_text(buf_text(&b), want, "JSON of %s", want);
    buf_release(&b);
}

#define JSON(in, want) json_is(TEXT(in), want)

static void strings(void)
{
    JSON("", "\"\"");
    JSON("a\"b\\c/", "\"a\\\"b\\\\c/\"");
    JSON("\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\"");
    JSON("a\0b", "\"a\\u0000b\"");
    JSON("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98\"");
    JSON("\xff", "\"\xef\xbf\xbd\"");
    JSON("\xc3", "\"\xef\xbf\xbd\"");
    JSON("\xc3(", "\"\xef\xbf\xbd(\"");
    JSON("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    JSON("\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    JSON("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    JSON("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    JSON("\xf0\x9f\x90\"", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\\"\"");
    struct buf b;
    buf_init(&b);
    buf_char(&b, '{');
    json_member(&b, "a", TEXT("1"));
    json_member(&b, "none", TEXT(""));
    json_member(&b, "b", TEXT("{"));
    json_member(&b, "c", TEXT("2"));
    is_text(buf_text(&b), "{\"a\":\"1\",\"b\":\"{\",\"c\":\"2\"", "members");
    buf_release(&b);
}

#define LINES 2000
#define THREADS 3

static void *put_lines(void *arg)
{
    char line[40];
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof(line), "line %d", i);
        writer_put(arg, line, (size_t)n);
    }
    return NULL;
}

static long count_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[100];
    long n = 0;
    while (f && fgets(line, sizeof(line), f))
        n += strncmp(line, "line ", 5) == 0 && line[strlen(line) - 1] == '\n';
    if (f)
        fclose(f);
    return n;
}

static void writing(const char *dir)
{
    char path[200], other[200];
    struct log log;
    pthread_t t[THREADS];

    log_init(&log, true, 0);
    snprintf(path, sizeof(path), "%s/lines", dir);
    snprintf(other, sizeof(other), "%s/other", dir);
    struct writer *w = writer_start(&log, "test");
    ok(w && !writer_is_open(w), "started without a file");
    ok(!writer_open(w, "/nowhere/file") && errno == ENOENT, "a file that cannot be opened");
    ok(writer_open(w, path) && writer_is_open(w), "opened");
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, put_lines, w);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    ok(writer_open(w, other), "opened another");
    writer_put(w, "line x", 6);
    ok(writer_open(w, "") && !writer_is_open(w), "closed");
    writer_stop(w);
    is_int(count_lines(path), THREADS * LINES, "all lines are in the first file");
    is_int(count_lines(other), 1, "and one in the other");
    unlink(path);
    unlink(other);
}

static void losing(void)
{
    struct log log;
    log_init(&log, true, 0);
    struct writer *w = writer_start(&log, "test");
    size_t size = 9 << 20;
    char *big = malloc(size);
    if (!w || !big)
        abort();
    memset(big, 'x', size);
    ok(writer_open(w, "/dev/full"), "a full disk");
    writer_put(w, "line", 4);
    for (int i = 0; i < 6000 && writer_stats(w).dropped == 0; i++)
        usleep(10000);
    is_int(writer_stats(w).dropped, 1, "a failed write is a loss");
    is_int(writer_stats(w).written, 0, "and not written");
    writer_put(w, big, size);
    writer_put(w, big, size);
    writer_put(w, big, size);
    for (int i = 0; i < 6000 && writer_stats(w).dropped < 3; i++)
        usleep(10000);
    ok(writer_stats(w).dropped >= 3, "what does not fit is dropped");
    writer_stop(w);
    free(big);
}

static void use_stack(void *arg)
{
    volatile char room[32 << 20];
    for (size_t i = 0; i < sizeof(room); i += 4096)
        room[i] = 1;
    *(bool *)arg = room[4096] == 1;
}

int main(void)
{
    char dir[] = "/tmp/bh-writer-XXXXXX";
    bool ran = false;

    if (!mkdtemp(dir))
        return 1;
    strings();
    writing(dir);
    losing();
    ok(deep_call(64 << 20, use_stack, &ran) && ran, "a call with a deep stack");
    rmdir(dir);
    return tap_done();
}
