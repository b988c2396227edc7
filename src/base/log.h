/* SPDX-License-Identifier: ISC */
/*
 * The log: stderr (unless quiet), a file reopened on request, syslog. One struct log for the
 * process, made by main and handed down; log_write may be called by any thread (a line is one
 * write(2), no lock). Line: `2026-11-20 15:19:41.777 UTC [PID] LEVEL who: text`.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level {
    LOG_LV_FATAL,
    LOG_LV_ERROR,
    LOG_LV_WARNING,
    LOG_LV_LOG,
    LOG_LV_DEBUG,
    LOG_LV_NOISE
};

struct log {
    _Atomic int fd;      /* log file, -1 when none */
    _Atomic int verbose; /* 0 up to LOG, 1 DEBUG, 2 and more NOISE */
    _Atomic int syslog;  /* 1: also to syslog */
    bool quiet;          /* nothing on stderr */
    char ident[64];      /* name in syslog */
    char path[4096];     /* log file; set before threads start or by log_open in main */
};

void log_init(struct log *l, bool quiet, int verbose);
/* Opens (or reopens, path NULL) the file; the old one stays on failure. false with errno. */
bool log_open(struct log *l, const char *path);
/* Starts syslog with ident and facility name ("daemon", "local0".."local7", "user", "authpriv");
 * on=false stops. */
void log_syslog(struct log *l, bool on, const char *ident, const char *facility);
void log_close(struct log *l);

/* Would a line of that level be written? */
static inline bool log_wants(const struct log *l, enum log_level lv)
{
    return (int)lv <= LOG_LV_LOG + l->verbose;
}

/* One line; control characters in the text become \xHH. Never pass secrets or literals of
 * statements. */
void log_write(struct log *l, enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_fatal(l, ...) log_write((l), LOG_LV_FATAL, __VA_ARGS__)
#define log_error(l, ...) log_write((l), LOG_LV_ERROR, __VA_ARGS__)
#define log_warn(l, ...) log_write((l), LOG_LV_WARNING, __VA_ARGS__)
#define log_info(l, ...) log_write((l), LOG_LV_LOG, __VA_ARGS__)
#define log_debug(l, ...)                                                                          \
    do {                                                                                           \
        if (log_wants((l), LOG_LV_DEBUG))                                                          \
            log_write((l), LOG_LV_DEBUG, __VA_ARGS__);                                             \
    } while (0)
#define log_noise(l, ...)                                                                          \
    do {                                                                                           \
        if (log_wants((l), LOG_LV_NOISE))                                                          \
            log_write((l), LOG_LV_NOISE, __VA_ARGS__);                                             \
    } while (0)

#endif
