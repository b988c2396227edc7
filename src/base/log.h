/* SPDX-License-Identifier: ISC */
/*
 * The log: stderr (unless quiet), a file reopened on request, syslog. One struct log for the
 * process, made by main and handed down; log_write may be called by any thread (a line is one
 * write(2), no lock). Line: `2026-11-20 15:19:41.777 UTC [PID] LEVEL who: text`, or one JSON
 * object.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/text.h"

#include <stdatomic.h>

enum log_level {
    LOG_LV_FATAL,
    LOG_LV_ERROR,
    LOG_LV_WARNING,
    LOG_LV_LOG,
    LOG_LV_DEBUG,
    LOG_LV_NOISE
};

enum log_format { LOG_TEXT, LOG_JSON };

struct repeat;

struct log {
    _Atomic int fd;      /* log file, -1 when none */
    _Atomic int verbose; /* 0 up to LOG, 1 DEBUG, 2 and more NOISE */
    _Atomic int syslog;  /* 1: also to syslog */
    _Atomic int format;  /* enum log_format */
    bool quiet;          /* nothing on stderr */
    /* folding of repeated lines (log_fold) */
    _Atomic(struct repeat *) repeat; /* NULL: never switched on */
    _Atomic int64_t repeat_limit;    /* 0 = off */
    _Atomic uint64_t repeat_period;  /* microseconds */
    char ident[64];                  /* name in syslog */
    char path[4096];                 /* log file; set before threads start or by log_open in main */
};

void log_init(struct log *l, bool quiet, int verbose);
/* Opens (or reopens, path NULL) the file; the old one stays on failure. false with errno. */
bool log_open(struct log *l, const char *path);
/* Starts syslog with ident and facility name ("daemon", "local0".."local7", "user", "authpriv");
 * on=false stops. */
void log_syslog(struct log *l, bool on, const char *ident, const char *facility);
void log_close(struct log *l);

/* Text, or one JSON object per line. What is folded is said first, in the old form. Control thread.
 */
void log_set_format(struct log *l, enum log_format f);
/* Lines that say what they are about are written `limit` times per period (microseconds), kind by
 * kind and subject by subject; more are counted and said in one line. limit 0: all are written.
 * Control thread. */
void log_fold(struct log *l, int64_t limit, uint64_t period);
/* Says what was folded and whose period is over; about once a second, control thread. */
void log_second(struct log *l);
/* Lines that were folded so far, and kinds of lines that are counted now. Any thread but not while
 * log_close runs. */
void log_fold_stats(const struct log *l, uint64_t *folded, uint64_t *kinds);

/* Would a line of that level be written? */
static inline bool log_wants(const struct log *l, enum log_level lv)
{
    return (int)lv <= LOG_LV_LOG + l->verbose;
}

/* One line; control characters in the text become \xHH. Never pass secrets or literals of
 * statements. */
void log_write(struct log *l, enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What a line is about. The text form shows `head` and the message, JSON the members that are not
 * empty. All borrowed; nothing in it may be a secret or a literal. */
struct log_about {
    struct text head;   /* "C-0x...: db/user@host:port" */
    struct text client; /* "C-0x...", as in SHOW CLIENTS */
    uint64_t client_id; /* 0 = none */
    struct text server; /* "S-0x..." */
    struct text database, user, tenant;
    struct text host;    /* of the client, or of the server; with its port */
    struct text reason;  /* why it was refused or closed */
    struct text more;    /* further members as written: `"a":1,"b":"c"`; only with `brief` */
    struct text brief;   /* the message in JSON when `more` says the rest; empty = the message */
    struct text subject; /* who floods the log: lines are counted for each */
    const char *kind;    /* lines of one kind have the same; NULL: the line is never folded */
};
/* One line about something; the message as of log_write. */
void log_put(struct log *l, enum log_level lv, const struct log_about *a, struct text message);
/* log_write for a line that may come often: folded by its format, by subject. */
void log_often(struct log *l, enum log_level lv, struct text subject, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

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
