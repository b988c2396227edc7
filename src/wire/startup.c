/* SPDX-License-Identifier: ISC */
/* The first packet of a connection, read and built; the `options` startup parameter. */
#include "wire/startup.h"

#define CODE_CANCEL 80877102u
#define CODE_SSL 80877103u
#define CODE_GSS 80877104u
#define CODE_V3 0x30000u

#define CANCEL_KEY_MIN 4u
#define CANCEL_KEY_MAX 256u

static enum startup_kind bad(struct startup *s, struct err *e, const char *what)
{
    err_set_state(e, "08P01", "%s", what);
    return s->kind = STARTUP_BAD;
}

/* Is the length one that a packet of this code can have? */
static bool length_fits(uint32_t code, uint32_t len)
{
    switch (code) {
    case CODE_SSL:
    case CODE_GSS:
        return len == 8;
    case CODE_CANCEL:
        return len >= 12 + CANCEL_KEY_MIN && len <= 12 + CANCEL_KEY_MAX;
    default:
        return len >= 9; /* at least the terminator of the list */
    }
}

/* name NUL value NUL ... NUL, and nothing behind. */
static enum startup_kind parse_params(struct rd *r, struct startup *s, struct err *e)
{
    for (;;) {
        struct text name = rd_cstr(r);
        if (r->bad)
            return bad(s, e, "invalid startup packet layout: expected terminator as last byte");
        if (!name.n)
            break;
        struct text value = rd_cstr(r);
        if (r->bad)
            return bad(s, e, "invalid startup packet layout: expected terminator as last byte");
        if (s->n_params == STARTUP_MAX_PARAMS)
            return bad(s, e, "too many startup parameters");
        s->params[s->n_params++] = (struct startup_param){ name, value };
    }
    if (!rd_done(r))
        return bad(s, e, "invalid startup packet layout: expected terminator as last byte");
    return s->kind = STARTUP_MESSAGE;
}

enum startup_kind startup_parse(const char *p, size_t n, struct startup *s, struct err *e)
{
    s->kind = STARTUP_MORE;
    s->len = 0;
    s->minor = 0;
    s->cancel_id = 0;
    s->cancel_key = text_n("", 0);
    s->n_params = 0;
    if (n < 4)
        return STARTUP_MORE;
    struct rd r = rd_init(p, n);
    uint32_t len = rd_u32(&r);
    if (len < 8 || len > STARTUP_MAX_LEN)
        return bad(s, e, "invalid packet length");
    if (n < 8)
        return STARTUP_MORE;
    uint32_t code = rd_u32(&r);
    bool special = code == CODE_SSL || code == CODE_GSS || code == CODE_CANCEL;
    if (!special && code >> 16 == 2) {
        bad(s, e, "old V2 protocol not supported");
        return s->kind = STARTUP_V2;
    }
    if (!special && code >> 16 != 3) {
        err_set_state(e, "0A000", "unsupported frontend protocol %u.%u", (unsigned)(code >> 16),
                      (unsigned)(code & 0xffff));
        return s->kind = STARTUP_BAD;
    }
    if (!length_fits(code, len))
        return bad(s, e, "invalid packet length");
    if (n < len)
        return STARTUP_MORE;
    s->len = len;
    r = rd_init(p + 8, len - 8);
    switch (code) {
    case CODE_SSL:
        return s->kind = STARTUP_SSL;
    case CODE_GSS:
        return s->kind = STARTUP_GSS;
    case CODE_CANCEL:
        s->cancel_id = rd_u32(&r);
        s->cancel_key = rd_bytes(&r, rd_left(&r));
        return s->kind = STARTUP_CANCEL;
    default:
        s->minor = (uint16_t)(code & 0xffff);
        return parse_params(&r, s, e);
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of *rest with its backslash escapes resolved; false at the end. */
static bool next_word(struct text *rest, struct arena *a, struct text *word)
{
    size_t i = 0;
    while (i < rest->n && is_space(rest->p[i]))
        i++;
    if (i == rest->n)
        return false;
    char *out = arena_alloc(a, rest->n - i + 1);
    size_t n = 0;
    while (i < rest->n && !is_space(rest->p[i])) {
        if (rest->p[i] == '\\' && ++i == rest->n)
            break;
        out[n++] = rest->p[i++];
    }
    out[n] = '\0';
    *word = text_n(out, n);
    *rest = text_n(rest->p + i, rest->n - i);
    return true;
}

/* name=value; dashes of the name become underscores, as the server does. */
static bool split_setting(struct text word, struct arena *a, struct text *name, struct text *value)
{
    const char *eq = word.n ? memchr(word.p, '=', word.n) : NULL;
    if (!eq || eq == word.p)
        return false;
    size_t n = (size_t)(eq - word.p);
    char *own = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        own[i] = word.p[i] == '-' ? '_' : word.p[i];
    own[n] = '\0';
    *name = text_n(own, n);
    *value = text_n(eq + 1, word.n - n - 1);
    return true;
}

bool startup_options(struct text options, struct arena *a,
                     bool (*set)(void *arg, struct text name, struct text value, struct err *e),
                     void *arg, struct err *e)
{
    struct text rest = options, word, name, value;
    while (next_word(&rest, a, &word)) {
        bool good = true;
        if (text_is(word, "-c"))
            good = next_word(&rest, a, &word);
        else if (text_starts(word, TEXT("-c")) || text_starts(word, TEXT("--")))
            word = text_n(word.p + 2, word.n - 2);
        else
            good = false;
        if (!good || !split_setting(word, a, &name, &value))
            return err_set_state(e, "08P01",
                                 "unsupported options startup parameter: only '-c config=val' "
                                 "and '--config=val' are allowed");
        if (!set(arg, name, value, e))
            return false;
    }
    return true;
}

void startup_build(struct buf *b, uint16_t minor, const struct startup_param *params, int n)
{
    size_t mark = msg_begin(b, 0);
    msg_u32(b, CODE_V3 | minor);
    for (int i = 0; i < n; i++) {
        if (!params[i].name.n)
            continue; /* it would end the list */
        msg_cstr(b, params[i].name);
        msg_cstr(b, params[i].value);
    }
    msg_u8(b, 0);
    msg_end(b, mark);
}

void startup_build_ssl(struct buf *b)
{
    msg_u32(b, 8);
    msg_u32(b, CODE_SSL);
}

void startup_build_cancel(struct buf *b, uint32_t id, struct text key)
{
    size_t mark = msg_begin(b, 0);
    msg_u32(b, CODE_CANCEL);
    msg_u32(b, id);
    msg_bytes(b, key.p, key.n);
    msg_end(b, mark);
}
