/* SPDX-License-Identifier: ISC */
/*
 * Test programs that print TAP. One thread reports; each program is its own process and file.
 *
 *     #include "tap.h"
 *     int main(void)
 *     {
 *         ok(1 + 1 == 2, "adds");
 *         is_int(1 + 1, 2, "adds %d", 1);     got, want, what
 *         is_text(TEXT("a"), "a", "same");    struct text or char * on both sides
 *         return tap_done();
 *     }
 */
#ifndef TEST_UNIT_TAP_H
#define TEST_UNIT_TAP_H

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct tap {
    int run, failed, planned;
};

static struct tap tap_state;

static inline void tap_what(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void tap_what(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}

/* Starts a result line; the description follows. Returns pass. */
static inline bool tap_result(bool pass)
{
    tap_state.run++;
    tap_state.failed += !pass;
    printf("%sok %d - ", pass ? "" : "not ", tap_state.run);
    return pass;
}

static inline void tap_where(const char *file, int line)
{
    printf("# failed at %s:%d\n", file, line);
    fflush(stdout);
}

static inline void tap_show(const char *what, struct text t)
{
    printf("# %s: ", what);
    if (!t.p)
        printf("NULL");
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c >= 0x20 && c != 0x7f)
            putchar(c);
        else
            printf("\\x%02x", c);
    }
    printf("\n");
    fflush(stdout);
}

static inline struct text tap_text(struct text t)
{
    return t;
}

static inline struct text tap_chars(const char *s)
{
    return text_of(s);
}

/* Tells the number of checks beforehand; otherwise tap_done() tells it. */
static inline void tap_plan(int n)
{
    tap_state.planned = n;
    printf("1..%d\n", n);
}

/* Ends the program's report; returns what main() returns. */
static inline int tap_done(void)
{
    if (!tap_state.planned)
        printf("1..%d\n", tap_state.run);
    fflush(stdout);
    return tap_state.failed || (tap_state.planned && tap_state.planned != tap_state.run);
}

#define TAP_SLICE(x)                                                                               \
    _Generic((x), struct text : tap_text, char * : tap_chars, const char * : tap_chars)(x)

/* Each takes a printf format and its arguments as the description, and returns whether it passed.
 */
#define ok(cond, ...)                                                                              \
    __extension__({                                                                                \
        bool tap_pass = tap_result(cond);                                                          \
        tap_what(__VA_ARGS__);                                                                     \
        if (!tap_pass)                                                                             \
            tap_where(__FILE__, __LINE__);                                                         \
        tap_pass;                                                                                  \
    })
#define is_int(got, want, ...)                                                                     \
    __extension__({                                                                                \
        long long tap_got = (long long)(got), tap_want = (long long)(want);                        \
        bool tap_same = ok(tap_got == tap_want, __VA_ARGS__);                                      \
        if (!tap_same)                                                                             \
            tap_what("#  got: %lld\n# want: %lld", tap_got, tap_want);                             \
        tap_same;                                                                                  \
    })
#define is_text(got, want, ...)                                                                    \
    __extension__({                                                                                \
        struct text tap_got = TAP_SLICE(got), tap_want = TAP_SLICE(want);                          \
        bool tap_same = ok(text_eq(tap_got, tap_want), __VA_ARGS__);                               \
        if (!tap_same) {                                                                           \
            tap_show(" got", tap_got);                                                             \
            tap_show("want", tap_want);                                                            \
        }                                                                                          \
        tap_same;                                                                                  \
    })
#define is_str(got, want, ...) is_text(got, want, __VA_ARGS__)
#define diag(...) (printf("# "), tap_what(__VA_ARGS__))

#endif
