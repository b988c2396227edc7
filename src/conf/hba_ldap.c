/* SPDX-License-Identifier: ISC */
/* Options of the method ldap, one by one or as a URL (RFC 4516), named as PostgreSQL names them. */
#include "conf/hba.h"
#include "conf/hba_tokens.h"
#include "conf/keys.h"

#include "base/random.h"

#include <stdlib.h>

void ldap_given_init(struct ldap_given *g)
{
    *g = (struct ldap_given){ .c = { .uris = "",
                                     .prefix = "",
                                     .suffix = "",
                                     .basedn = "",
                                     .binddn = "",
                                     .bindpasswd = "",
                                     .attribute = "",
                                     .filter = "",
                                     .scope = 2 },
                              .server = "",
                              .scheme = "" };
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %XX taken apart, in the arena. NULL: e. */
static const char *decoded(struct text t, struct arena *a, struct err *e)
{
    char *out = arena_alloc(a, t.n + 1), *to = out;

    for (size_t i = 0; i < t.n; i++) {
        int hi = t.p[i] == '%' && i + 2 < t.n ? hex(t.p[i + 1]) : -1;
        int lo = hi >= 0 ? hex(t.p[i + 2]) : -1;
        if (t.p[i] == '%' && (lo < 0 || !(hi || lo))) {
            err_set(e, "ldapurl: %% is not followed by two hexadecimal digits");
            return NULL;
        }
        *to++ = t.p[i] == '%' ? (char)(hi * 16 + lo) : t.p[i];
        i += t.p[i] == '%' ? 2 : 0;
    }
    *to = '\0';
    return out;
}

static bool set_scope(struct ldap_given *g, struct text word, struct err *e)
{
    static const char *const names[] = { "base", "one", "sub" };

    for (int i = 0; i < 3; i++)
        if (text_is_i(word, names[i])) {
            g->c.scope = i;
            return true;
        }
    return err_set(e, "ldapurl: the scope is none of base, one, sub");
}

static bool set_port(struct ldap_given *g, struct text value, struct err *e)
{
    if (text_to_int64(value, &g->port) && g->port > 0 && g->port < 65536)
        return true;
    return err_set(e, "ldapport: not a port number");
}

/* ldap[s]://host[:port]/base?attribute?scope?filter */
static bool set_url(struct ldap_given *g, struct text url, struct arena *a, struct err *e)
{
    struct text place, part;
    bool ldaps = url.n >= 8 && text_is_i(text_n(url.p, 8), "ldaps://");
    size_t head = ldaps ? 8 : 7;

    if (!ldaps && !(url.n >= 7 && text_is_i(text_n(url.p, 7), "ldap://")))
        return err_set(e, "ldapurl: it begins neither with ldap:// nor with ldaps://");
    g->scheme = ldaps ? "ldaps" : "ldap";
    url = text_n(url.p + head, url.n - head);
    text_split(&url, '/', &place);
    const char *colon = memrchr(place.p, ':', place.n);
    if (colon && !memchr(colon, ']', (size_t)(place.p + place.n - colon))) {
        if (!set_port(g, text_n(colon + 1, (size_t)(place.p + place.n - colon) - 1), e))
            return false;
        place.n = (size_t)(colon - place.p);
    }
    if (!(g->server = decoded(place, a, e)))
        return false;
    for (int i = 0; i < 4 && text_split(&url, '?', &part); i++) {
        const char *value = i == 1 && memchr(part.p, ',', part.n) ? NULL : decoded(part, a, e);
        if (!value)
            return e->msg[0] ? false : err_set(e, "ldapurl: more than one attribute");
        if (i == 0)
            g->c.basedn = value;
        else if (i == 1)
            g->c.attribute = value;
        else if (i == 2 && *value && !set_scope(g, text_of(value), e))
            return false;
        else if (i == 3)
            g->c.filter = value;
    }
    return !url.p || err_set(e, "ldapurl: extensions are not supported");
}

bool ldap_option(struct ldap_given *g, struct text name, struct text value, struct hba_load *l,
                 bool *known, struct err *e)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = {
        { "ldapserver", &g->server },   { "ldapprefix", &g->c.prefix },
        { "ldapsuffix", &g->c.suffix }, { "ldapbasedn", &g->c.basedn },
        { "ldapbinddn", &g->c.binddn }, { "ldapsearchattribute", &g->c.attribute },
        { "ldapscheme", &g->scheme },   { "ldapsearchfilter", &g->c.filter },
    };

    *known = text_starts(name, TEXT("ldap"));
    g->any = g->any || *known;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (text_is(name, texts[i].name)) {
            *texts[i].to = arena_text(l->a, value).p;
            return true;
        }
    if (text_is(name, "ldapbindpasswd"))
        g->c.bindpasswd = secret_text(l->secrets, value).p;
    else if (text_is(name, "ldapport"))
        return set_port(g, value, e);
    else if (text_is(name, "ldapurl"))
        return set_url(g, value, l->a, e);
    else if (text_is(name, "ldaptls") && (text_is(value, "0") || text_is(value, "1")))
        g->c.starttls = value.p[0] == '1';
    else if (text_is(name, "ldaptls"))
        return err_set(e, "ldaptls is neither 0 nor 1");
    else
        *known = false;
    return true;
}

/* A part of a URI: no byte that would end it, or begin another one. */
static bool host_ok(struct text h)
{
    for (size_t i = 0; i < h.n; i++) {
        unsigned char c = (unsigned char)h.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr(".-_:[]", c);
        if (!fine || !c)
            return false;
    }
    return h.n > 0;
}

static bool make_uris(struct ldap_given *g, struct arena *a, struct err *e)
{
    struct text rest = text_of(g->server), host;
    const char *scheme = *g->scheme ? g->scheme : "ldap";
    int64_t port = g->port ? g->port : strcmp(scheme, "ldaps") == 0 ? 636 : 389;
    struct buf b;

    buf_init(&b);
    while (text_split(&rest, ' ', &host)) {
        if (!host.n)
            continue;
        if (!host_ok(host)) {
            buf_release(&b);
            return err_set(e, "ldapserver: \"%.*s\" is no host", TEXT_ARG(host));
        }
        buf_printf(&b, "%s%s://%.*s", buf_len(&b) ? " " : "", scheme, TEXT_ARG(host));
        const char *colon = memrchr(host.p, ':', host.n);
        if (!colon || memchr(colon, ']', (size_t)(host.p + host.n - colon)))
            buf_printf(&b, ":%d", (int)port);
    }
    g->c.uris = arena_text(a, buf_text(&b)).p;
    buf_release(&b);
    return *g->c.uris || err_set(e, "ldap needs ldapserver or ldapurl");
}

const struct ldap_conf *ldap_finish(struct ldap_given *g, struct hba_load *l, struct err *e)
{
    struct ldap_conf *c = &g->c;
    bool simple = *c->prefix || *c->suffix;
    bool search = *c->basedn || *c->binddn || *c->bindpasswd || *c->attribute || *c->filter;

    if (*g->scheme && strcmp(g->scheme, "ldap") != 0 && strcmp(g->scheme, "ldaps") != 0)
        err_set(e, "ldapscheme is neither ldap nor ldaps");
    else if (strcmp(g->scheme, "ldaps") == 0 && c->starttls)
        err_set(e, "ldaptls=1 and ldaps at once");
    else if (simple && search)
        err_set(e, "ldapprefix and ldapsuffix do not go with the options of a search");
    else if (!simple && !*c->basedn)
        err_set(e, "ldap needs ldapprefix, ldapsuffix or ldapbasedn");
    else if (*c->attribute && *c->filter)
        err_set(e, "ldapsearchattribute and ldapsearchfilter at once");
    else if (*c->filter && !strstr(c->filter, "$username"))
        err_set(e, "ldapsearchfilter does not contain $username: everybody would be found");
    else if (!*c->bindpasswd != !*c->binddn)
        err_set(e, "ldapbinddn and ldapbindpasswd go together");
    if (!e->msg[0] && make_uris(g, l->a, e)) {
        struct ldap_conf *out = ARENA_NEW(l->a, struct ldap_conf);
        *out = *c;
        return out;
    }
    return NULL;
}

const struct ldap_conf *ldap_options(struct text options, struct hba_load *l, struct err *e)
{
    struct hba_field *fields;
    struct hba_reader r;
    struct ldap_given g;
    struct arena scratch;
    char *room = malloc(options.n + 1);
    enum hba_read got = HBA_END;
    int n = 0;

    if (!room)
        check_no_memory(options.n + 1);
    arena_init(&scratch, 0);
    ldap_given_init(&g);
    hba_reader_init(&r, options, room, &scratch);
    while (!e->msg[0] && (got = hba_next(&r, &fields, &n, e)) == HBA_LINE)
        for (int i = 0; i < n && !e->msg[0]; i++) {
            struct text name = fields[i].tokens[0].t, value = name;
            bool known = text_split(&value, '=', &name) && value.p && fields[i].n == 1;
            if (known && ldap_option(&g, name, value, l, &known, e) && !known)
                err_set(e, "\"%.*s\" is no option of ldap", TEXT_ARG(name));
            else if (!known && !e->msg[0])
                err_set(e, "expected name=value, in double quotes where there is a comma");
        }
    const struct ldap_conf *out = e->msg[0] ? NULL : ldap_finish(&g, l, e);
    wipe(room, options.n + 1);
    free(room);
    arena_release(&scratch);
    return out;
}
