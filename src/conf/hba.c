/* SPDX-License-Identifier: ISC */
/* Lines of auth_hba_file. */
#include "conf/hba.h"
#include "conf/file.h"
#include "conf/hba_tokens.h"

#include "base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define DEPTH_MAX 10     /* of files named by @ */
#define NAMES_MAX 100000 /* of one field */

struct names {
    struct hba_name *list;
    int n, cap;
};

/* One line under way. */
struct line {
    struct hba_load *l;
    const char *file;
    bool databases; /* else users */
    struct names names;
};

static void push(struct line *x, struct hba_name name)
{
    struct names *v = &x->names;

    ARENA_ROOM(x->l->a, v->list, v->n, v->cap, 4);
    v->list[v->n++] = name;
}

static bool take_names(struct line *x, const struct hba_field *f, int depth, struct err *e);

/* Beside the file that names it. */
static const char *path_beside(struct arena *a, const char *file, struct text name)
{
    const char *slash = strrchr(file, '/');

    if (name.p[0] == '/' || !slash)
        return arena_text(a, name).p;
    return arena_printf(a, "%.*s/%.*s", (int)(slash - file), file, TEXT_ARG(name)).p;
}

/* @file: the words of all its lines. */
static bool take_file(struct line *x, struct text name, int depth, struct err *e)
{
    struct hba_field *fields;
    struct hba_reader r;
    struct file_text file;
    struct arena scratch;
    enum hba_read got;
    int n;

    if (depth == DEPTH_MAX)
        return err_set(e, "files name one another more than %d times", DEPTH_MAX);
    if (!x->l->may_read)
        return err_set(e, "no file is read here");
    const char *path = path_beside(x->l->a, x->file, name), *outer = x->file;
    if (!file_read(path, &file))
        return err_set(e, "cannot read \"%s\": %s", path, strerror(errno));
    char *room = malloc(file.n + 1);
    if (!room)
        check_no_memory(file.n + 1);
    arena_init(&scratch, 0);
    hba_reader_init(&r, text_n(file.p, file.n), room, &scratch);
    x->file = path;
    while (!e->msg[0] && (got = hba_next(&r, &fields, &n, e)) == HBA_LINE)
        for (int i = 0; i < n && take_names(x, &fields[i], depth + 1, e); i++)
            ;
    x->file = outer;
    arena_release(&scratch);
    free(room);
    file_wipe(&file);
    return !e->msg[0];
}

static bool take_name(struct line *x, const struct hba_token *t, int depth, struct err *e)
{
    struct hba_name name = { .kind = HBA_NAME_IS };
    struct text w = t->t;

    if (!w.n)
        return err_set(e, "an empty name");
    if (x->names.n >= NAMES_MAX)
        return err_set(e, "more than %d names", NAMES_MAX);
    if (!t->quoted && w.p[0] == '@' && w.n > 1)
        return take_file(x, text_n(w.p + 1, w.n - 1), depth, e);
    if (!t->quoted && w.p[0] == '+')
        return err_set(e, "\"%.*s\": who is a member of a role is not known here; name the users",
                       TEXT_ARG(w));
    if (!t->quoted && x->databases && (text_is(w, "samerole") || text_is(w, "samegroup")))
        return err_set(e, "%.*s: who is a member of a role is not known here; name the users",
                       TEXT_ARG(w));
    if (!t->quoted && text_is(w, "all")) {
        name.kind = HBA_NAME_ALL;
    } else if (!t->quoted && x->databases && text_is(w, "sameuser")) {
        name.kind = HBA_NAME_SAMEUSER;
    } else if (!t->quoted && x->databases && text_is(w, "replication")) {
        name.kind = HBA_NAME_REPLICATION;
    } else if (!t->quoted && w.p[0] == '/') {
        name.kind = HBA_NAME_PATTERN;
        if (!regex_compile(text_n(w.p + 1, w.n - 1), x->l->a, x->l->patterns, &name.pattern, e))
            return false;
    } else {
        name.name = arena_text(x->l->a, w);
    }
    push(x, name);
    return true;
}

static bool take_names(struct line *x, const struct hba_field *f, int depth, struct err *e)
{
    for (int i = 0; i < f->n; i++)
        if (!take_name(x, &f->tokens[i], depth, e))
            return false;
    return true;
}

static bool names_of(struct line *x, const struct hba_field *f, bool databases,
                     const struct hba_name **out, int *n, struct err *e)
{
    x->databases = databases;
    x->names = (struct names){ .n = 0 };
    if (!take_names(x, f, 0, e))
        return false;
    *out = x->names.list;
    *n = x->names.n;
    return *n || err_set(e, "no name in %s", databases ? "the databases" : "the users");
}

/* ---- addresses ---- */

static bool read_ip(struct text t, int *family, unsigned char out[16])
{
    char text[64];

    if (t.n >= sizeof(text))
        return false;
    memcpy(text, t.p, t.n);
    text[t.n] = '\0';
    *family = memchr(text, ':', t.n) ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, out) == 1;
}

static bool take_mask(struct hba_rule *r, struct text word, struct err *e)
{
    int family;

    if (!read_ip(word, &family, r->mask) || family != r->family)
        return err_set(e, "\"%.*s\" is no mask for the address", TEXT_ARG(word));
    return true;
}

static bool prefix_mask(struct hba_rule *r, struct text digits, struct err *e)
{
    int64_t bits;
    int max = r->family == AF_INET ? 32 : 128;

    if (!digits.n || digits.n > 3 || digits.p[0] == '+' || digits.p[0] == '-' ||
        !text_to_int64(digits, &bits) || bits > max)
        return err_set(e, "\"%.*s\" is no length of a mask", TEXT_ARG(digits));
    for (int i = 0; i < max; i++)
        if (i < bits)
            r->mask[i / 8] |= (unsigned char)(0x80 >> (i % 8));
    return true;
}

/* The address, and how many fields it took. 0: e. */
static int take_address(struct hba_rule *r, const struct hba_field *f, int left, struct err *e)
{
    const struct hba_token *t = &f[0].tokens[0];
    struct text rest = t->t, ip;

    if (f[0].n != 1)
        return err_set(e, "a list of addresses is not possible: one line for each");
    if (!t->quoted && text_is(t->t, "all")) {
        r->address = HBA_ANY_ADDRESS;
        return 1;
    }
    if (!t->quoted && (text_is(t->t, "samehost") || text_is(t->t, "samenet"))) {
        r->address = text_is(t->t, "samehost") ? HBA_SAMEHOST : HBA_SAMENET;
        return 1;
    }
    r->address = HBA_NETWORK;
    text_split(&rest, '/', &ip);
    if (!read_ip(ip, &r->family, r->net))
        return err_set(e, "\"%.*s\" is no IP address (names of hosts are not supported)",
                       TEXT_ARG(t->t));
    if (rest.p)
        return prefix_mask(r, rest, e) ? 1 : 0;
    if (left < 2 || f[1].n != 1 || !take_mask(r, f[1].tokens[0].t, e))
        return e->msg[0] ? 0 : err_set(e, "a mask is missing behind the address");
    return 2;
}

/* ---- methods and their options ---- */

static const struct {
    const char *name;
    enum hba_method method;
} methods[] = {
    { "reject", HBA_REJECT }, { "trust", HBA_TRUST },         { "plain", HBA_PLAIN },
    { "md5", HBA_MD5 },       { "password", HBA_PLAIN },      { "cert", HBA_CERT },
    { "peer", HBA_PEER },     { "scram-sha-256", HBA_SCRAM }, { "pam", HBA_PAM },
    { "ldap", HBA_LDAP },     { "ident", HBA_PEER },
};

static bool take_method(struct hba_rule *r, const struct hba_field *f, struct err *e)
{
    struct text w = f->tokens[0].t;
    bool found = false;

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]) && f->n == 1; i++)
        if (text_is(w, methods[i].name)) {
            r->method = methods[i].method;
            found = true;
        }
    if (!found)
        return err_set(e, "the method \"%.*s\" is not supported", TEXT_ARG(w));
    if (r->method == HBA_PEER && r->type != HBA_LOCAL)
        return err_set(e, "%.*s works on Unix sockets (local) only", TEXT_ARG(w));
    if (r->method == HBA_CERT && r->type != HBA_HOSTSSL && r->type != HBA_HOST)
        return err_set(e, "cert works with TLS (hostssl) only");
#ifndef HAVE_PAM
    if (r->method == HBA_PAM)
        return err_set(e, "pam: this program was built without it");
#endif
#ifndef HAVE_LDAP
    if (r->method == HBA_LDAP)
        return err_set(e, "ldap: this program was built without it");
#endif
    return true;
}

static bool take_clientcert(struct hba_rule *r, struct text value, struct err *e)
{
    if (r->type != HBA_HOSTSSL)
        return err_set(e, "clientcert needs hostssl");
    if (text_is(value, "verify-full"))
        r->clientcert = HBA_CERT_FULL;
    else if (text_is(value, "verify-ca") && r->method != HBA_CERT)
        r->clientcert = HBA_CERT_CA;
    else
        return err_set(e, "clientcert=%.*s is not possible here", TEXT_ARG(value));
    return true;
}

static bool take_option(struct hba_load *l, struct hba_rule *r, struct ldap_given *g,
                        const struct hba_field *f, struct err *e)
{
    struct text value = f->tokens[0].t, name = value;
    bool known = false;

    if (f->n != 1)
        return err_set(e, "a value with a comma needs double quotes");
    text_split(&value, '=', &name);
    if (!value.p)
        return err_set(e, "\"%.*s\": expected name=value", TEXT_ARG(name));
    if (text_is(name, "map") && (r->method == HBA_PEER || r->method == HBA_CERT)) {
        r->map = arena_text(l->a, value);
        return value.n || err_set(e, "map= names none");
    }
    if (text_is(name, "clientcert"))
        return take_clientcert(r, value, e);
    if (text_is(name, "clientname") && text_is(value, "CN"))
        return true;
    if (text_is(name, "pamservice") && r->method == HBA_PAM) {
        r->pam_service = arena_text(l->a, value).p;
        return (value.n && !memchr(value.p, '/', value.n)) ||
               err_set(e, "pamservice is not the name of a service");
    }
    if (r->method == HBA_LDAP && !ldap_option(g, name, value, l, &known, e))
        return false;
    return known || err_set(e, "the option \"%.*s\" is not supported here", TEXT_ARG(name));
}

static bool take_options(struct hba_load *l, struct hba_rule *r, const struct hba_field *f, int n,
                         struct err *e)
{
    struct ldap_given g;

    ldap_given_init(&g);
    for (int i = 0; i < n; i++)
        if (!take_option(l, r, &g, &f[i], e))
            return false;
    if (g.any)
        r->ldap = ldap_finish(&g, l, e);
    return !e->msg[0];
}

/* ---- lines ---- */

static bool take_type(struct hba_rule *r, const struct hba_field *f, struct err *e)
{
    static const struct {
        const char *name;
        enum hba_type type;
    } types[] = {
        { "local", HBA_LOCAL },         { "host", HBA_HOST },          { "hostssl", HBA_HOSTSSL },
        { "hostnossl", HBA_HOSTNOSSL }, { "hostgssenc", HBA_HOSTGSS }, { "hostnogssenc", HBA_HOST },
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && f->n == 1; i++)
        if (text_is(f->tokens[0].t, types[i].name)) {
            r->type = types[i].type;
            return true;
        }
    return err_set(e, "\"%.*s\" is none of local, host, hostssl, hostnossl",
                   TEXT_ARG(f->tokens[0].t));
}

static bool take_line(struct line *x, const struct hba_field *f, int n, struct hba_rule *r,
                      struct err *e)
{
    int at = 3;

    if (!take_type(r, &f[0], e))
        return false;
    if (n < 3)
        return err_set(e, "expected: type, databases, users%s, method",
                       r->type == HBA_LOCAL ? "" : ", address");
    if (!names_of(x, &f[1], true, &r->databases, &r->n_databases, e) ||
        !names_of(x, &f[2], false, &r->users, &r->n_users, e))
        return false;
    if (r->type != HBA_LOCAL) {
        int used = n > 3 ? take_address(r, &f[3], n - 3, e) : 0;
        if (!used)
            return e->msg[0] ? false : err_set(e, "the address is missing");
        at += used;
    }
    if (n <= at)
        return err_set(e, "the method is missing");
    return take_method(r, &f[at], e) && take_options(x->l, r, f + at + 1, n - at - 1, e);
}

void hba_parse(struct hba_load *l, struct text body, const char *name, struct hba *out)
{
    struct line x = { .l = l, .file = name };
    struct hba_field *fields;
    struct hba_reader r;
    struct hba_rule *rules;
    struct arena scratch;
    char *room = malloc(body.n + 1);
    enum hba_read got;
    int lines = 1, n;

    if (!room)
        check_no_memory(body.n + 1);
    for (size_t i = 0; i < body.n; i++)
        lines += body.p[i] == '\n';
    rules = ARENA_ARRAY(l->a, struct hba_rule, lines);
    arena_init(&scratch, 0);
    hba_reader_init(&r, body, room, &scratch);
    for (;;) {
        struct err e = { 0 };
        struct hba_rule *rule = &rules[out->n_rules];
        arena_clear(&scratch);
        got = hba_next(&r, &fields, &n, &e);
        if (got == HBA_END)
            break;
        if (got == HBA_LINE && take_line(&x, fields, n, rule, &e)) {
            rule->file = name;
            rule->line = r.line;
            out->n_rules++;
            continue;
        }
        *rule = (struct hba_rule){ .line = 0 };
        trouble_problem(l->t, (struct place){ name, r.line }, text_n(NULL, 0), "%s", e.msg);
    }
    out->rules = rules;
    arena_release(&scratch);
    wipe(room, body.n + 1);
    free(room);
}
