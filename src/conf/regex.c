/* SPDX-License-Identifier: ISC */
/* Regular expressions over regcomp(3), with a check of what is in them first. */
#include "conf/regex.h"

#include <regex.h>
#include <stdlib.h>

#define PATTERN_MAX 500
#define SUBJECT_MAX 1000
#define REPEAT_MAX 1000 /* product of all {n,m}: memory grows with it */

struct regex {
    struct regex *next;
    regex_t re;
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* {n}, {n,} or {n,m}: the larger number. */
static long bound_of(const char *p)
{
    char *end;
    long a = strtol(p + 1, &end, 10), b = *end == ',' ? strtol(end + 1, NULL, 10) : 0;

    return a > b ? a : b;
}

/* A bracket expression from its [ on; gives its ], NULL: e. */
static const char *skip_bracket(const char *p, struct err *e)
{
    const char *first = p[1] == '^' ? p + 2 : p + 1;

    for (p = first; *p && (*p != ']' || p == first); p++) {
        if (*p == '\\')
            err_set(e, "a backslash in brackets is not supported in patterns");
        else if (*p == '[' && (p[1] == '.' || p[1] == '='))
            err_set(e, "[. and [= are not supported in patterns");
        else if (*p == '[' && p[1] == ':' && strstr(p + 2, ":]"))
            p = strstr(p + 2, ":]") + 1;
        if (e->msg[0])
            return NULL;
    }
    if (*p)
        return p;
    err_set(e, "a bracket is not closed in a pattern");
    return NULL;
}

/* Is there nothing in it that PostgreSQL reads otherwise? */
static bool common(const char *p, struct err *e)
{
    long repeat = 1;

    if (strncmp(p, "***", 3) == 0)
        return err_set(e, "a pattern that begins with *** is not supported");
    for (const char *at = p; *at; at++) {
        if (*at == '[' && !(at = skip_bracket(at, e)))
            return false;
        if (*at == '\\' && (!at[1] || is_alnum(at[1]) || (unsigned char)at[1] >= 0x80))
            return err_set(e, "a backslash before a letter, a digit or nothing is not supported in "
                              "patterns");
        if (*at == '\\') {
            at++;
            continue;
        }
        if (*at == '(' && at[1] == '?')
            return err_set(e, "(? is not supported in patterns");
        if ((*at == '*' || *at == '+' || *at == '?' || *at == '}') && at[1] &&
            strchr("?*+{", at[1]))
            return err_set(e, "two quantifiers in a row are not supported in patterns");
        if (*at == '{') {
            long n = bound_of(at);
            repeat = n > REPEAT_MAX || n < 0 ? REPEAT_MAX + 1 : repeat * (n > 1 ? n : 1);
            if (repeat > REPEAT_MAX)
                return err_set(e, "too many repetitions in a pattern");
        }
    }
    return true;
}

bool regex_compile(struct text pattern, struct arena *a, struct regex **chain,
                   const struct regex **out, struct err *e)
{
    char why[200];

    if (pattern.n > PATTERN_MAX)
        return err_set(e, "a pattern is longer than %d bytes", PATTERN_MAX);
    if (!pattern.n)
        return err_set(e, "an empty pattern");
    const char *text = arena_text(a, pattern).p;
    if (!common(text, e))
        return false;
    struct regex *r = ARENA_NEW(a, struct regex);
    int rc = regcomp(&r->re, text, REG_EXTENDED);
    if (rc != 0) {
        regerror(rc, &r->re, why, sizeof(why));
        return err_set(e, "the pattern \"%s\" is wrong: %s", text, why);
    }
    r->next = *chain;
    *chain = r;
    *out = r;
    return true;
}

int regex_groups(const struct regex *r)
{
    return (int)r->re.re_nsub;
}

bool regex_matches(const struct regex *r, const char *subject, struct text *group, bool *failed)
{
    regmatch_t m[2];
    int rc = strlen(subject) > SUBJECT_MAX ? REG_ESPACE : regexec(&r->re, subject, 2, m, 0);

    if (failed)
        *failed = rc != 0 && rc != REG_NOMATCH;
    if (rc != 0)
        return false;
    if (group)
        *group = r->re.re_nsub < 1 || m[1].rm_so < 0
                     ? text_n(NULL, 0)
                     : text_n(subject + m[1].rm_so, (size_t)(m[1].rm_eo - m[1].rm_so));
    return true;
}

void regex_free_all(struct regex **chain)
{
    for (struct regex *r = *chain; r; r = r->next) /* their memory is the arena's */
        regfree(&r->re);
    *chain = NULL;
}
