/* SPDX-License-Identifier: ISC */
/* Lines of the auth_file. No message shows what stands there. */
#include "conf/userlist.h"

#include "base/random.h"

#include <stdlib.h>

/* Takes "..." off *r into out (of r->n bytes at least); returns its length, or -1. */
static ptrdiff_t take_quoted(struct text *r, char *out)
{
    ptrdiff_t n = 0;

    if (!r->n || r->p[0] != '"')
        return -1;
    for (size_t i = 1; i < r->n; i++) {
        if (r->p[i] == '"') {
            if (i + 1 == r->n || r->p[i + 1] != '"') {
                r->p += i + 1;
                r->n -= i + 1;
                return n;
            }
            i++;
        }
        out[n++] = r->p[i];
    }
    return -1;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct userlist {
    struct secret **secrets;
    struct trouble *t;
    void (*take)(void *arg, struct text user, struct text secret);
    void *arg;
};

static void take_line(struct userlist *u, struct text line, char *scratch, struct place at)
{
    const struct text none = { NULL, 0 };
    struct text rest = line;
    char *name = scratch, *secret;
    ptrdiff_t n_name = take_quoted(&rest, name), n_secret = -1;

    secret = name + (n_name > 0 ? n_name : 0);
    if (n_name >= 0 && rest.n && is_space(rest.p[0])) {
        while (rest.n && is_space(rest.p[0])) {
            rest.p++;
            rest.n--;
        }
        n_secret = take_quoted(&rest, secret);
    }
    if (n_name < 0 || n_secret < 0)
        trouble_problem(u->t, at, none, "expected \"user\" \"secret\", both in double quotes");
    else if (rest.n && !is_space(rest.p[0]))
        trouble_problem(u->t, at, none, "a space is missing after the secret");
    else if (n_name == 0)
        trouble_problem(u->t, at, none, "the user name is empty");
    else if (n_name > USER_NAME_MAX)
        trouble_problem(u->t, at, none, "the user name is longer than %d bytes", USER_NAME_MAX);
    else if (n_secret > USER_SECRET_MAX)
        trouble_problem(u->t, at, none, "the secret is longer than %d bytes", USER_SECRET_MAX);
    else if (memchr(scratch, '\0', (size_t)(n_name + n_secret)))
        trouble_problem(u->t, at, none, "a zero byte is not allowed");
    else
        u->take(u->arg, text_n(name, (size_t)n_name),
                secret_text(u->secrets, text_n(secret, (size_t)n_secret)));
}

void userlist_parse(struct text body, const char *name, struct secret **secrets, struct trouble *t,
                    void (*take)(void *arg, struct text user, struct text secret), void *arg)
{
    struct userlist u = { secrets, t, take, arg };
    struct place at = { name, 0 };
    size_t size = body.n + 1;
    char *scratch = malloc(size);
    struct text line;

    if (!scratch)
        check_no_memory(size);
    if (text_starts(body, TEXT("\xEF\xBB\xBF"))) {
        body.p += 3;
        body.n -= 3;
    }
    while (text_split(&body, '\n', &line)) {
        at.line++;
        line = text_trim(line);
        if (line.n && line.p[0] != ';')
            take_line(&u, line, scratch, at);
    }
    wipe(scratch, size);
    free(scratch);
}
