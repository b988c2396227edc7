/* SPDX-License-Identifier: ISC */
/* Verdicts: making them, the text to send, the check at Bind, and the error shown for a refusal. */
#include "tenant/verdict.h"

#include "tenant/pattern.h"
#include "tenant/redact.h"
#include "tenant/value.h"

#include <stdlib.h>

struct refusal_info {
    const char *name, *state, *text;
};

#undef REFUSAL
static const struct refusal_info refusals[REFUSAL_COUNT] = {
#define REFUSAL(name, state, text) { #name, state, text },
#include "tenant/refusal.def"
};

const char *refusal_name(enum refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? refusals[r].name : "unknown";
}

const char *refusal_state(enum refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? refusals[r].state : "42501";
}

const char *refusal_text(enum refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? refusals[r].text : "unknown";
}

/* What people read when nothing better was said: the reason's text with its code. */
static struct text refusal_message(struct arena *a, enum refusal r)
{
    return arena_printf(a, "tenant isolation: %s (%s)", refusals[r].text, refusals[r].name);
}

struct verdict_full *verdict_new(void)
{
    struct verdict_full *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    arena_init(&v->arena, 1024);
    v->pub.refs = 1;
    v->pub.action = VERDICT_REFUSE;
    v->pub.reason = REFUSAL_internal_mismatch;
    list_init(&v->by_age);
    return v;
}

void verdict_free(struct verdict_full *v)
{
    if (v->model && --v->model->pub.refs == 0)
        verdict_free(v->model);
    if (v->cap_pieces)
        free(v->pieces);
    buf_release(&v->own);
    arena_release(&v->arena);
    free(v);
}

void verdict_refuse(struct verdict_full *v, enum refusal r, struct text message, struct text detail,
                    struct text hint, int position)
{
    v->pub.action = VERDICT_REFUSE;
    v->pub.reason = r;
    v->pub.message = message.n ? arena_text(&v->arena, message) : refusal_message(&v->arena, r);
    v->pub.detail = detail.n ? arena_text(&v->arena, detail) : (struct text){ NULL, 0 };
    v->pub.hint = hint.n ? arena_text(&v->arena, hint) : (struct text){ NULL, 0 };
    v->pub.position = position;
    v->n_pieces = 0;
    v->n_holes = 0;
    v->pub.n_added = 0;
    v->pub.n_checks = 0;
    v->pub.n_patterns = 0;
    v->pub.copy = NULL;
}

struct text verdict_template(struct verdict *v, struct text sql)
{
    /* Texts with the same verdict by template have the same one without literals, too. */
    struct verdict_full *f = verdict_full(v)->model ? verdict_full(v)->model : verdict_full(v);
    struct buf b;

    if (f->redacted.p)
        return f->redacted;
    bool unread = v->action == VERDICT_REFUSE &&
                  (v->reason == REFUSAL_unparsable || v->reason == REFUSAL_encoding ||
                   v->reason == REFUSAL_limit);
    buf_init(&b);
    redact(sql, unread, &b);
    if (!b.failed)
        f->redacted = arena_text(&f->arena, buf_text(&b));
    buf_release(&b);
    return f->redacted;
}

static const struct claim *claim_find(const struct identity *id, struct text name)
{
    for (int i = 0; i < id->n_claims; i++)
        if (text_eq(id->claims[i].name, name))
            return &id->claims[i];
    return NULL;
}

bool verdict_text(const struct verdict *v, const struct identity *id, struct buf *out)
{
    CHECK(v->action == VERDICT_REWRITE);
    const struct verdict_full *f = (const struct verdict_full *)(const void *)v;
    for (int i = 0; i < f->n_pieces; i++) {
        buf_text_append(out, f->pieces[i].text);
        if (f->pieces[i].hole < 0)
            continue;
        /* A verdict is only used for an identity with the same claim names. */
        const struct claim *c = claim_find(id, v->added[f->pieces[i].hole].claim);
        CHECK(c != NULL);
        wire_quote_literal(out, c->value);
    }
    return !out->failed;
}

/* Bytes of the first `chars` characters of UTF-8, at most all. */
static size_t char_bytes(struct text t, int chars)
{
    size_t n = 0;
    while (n < t.n && chars > 0) {
        n++;
        while (n < t.n && ((unsigned char)t.p[n] & 0xc0) == 0x80)
            n++;
        chars--;
    }
    return n;
}

static int count_chars(struct text t)
{
    int chars = 0;
    for (size_t i = 0; i < t.n; i++)
        chars += ((unsigned char)t.p[i] & 0xc0) != 0x80;
    return chars;
}

/* Characters of a claim's value as it stands in the text. */
static int hole_chars(const struct verdict *v, const struct identity *id, int hole)
{
    const struct claim *c = claim_find(id, v->added[hole].claim);
    struct buf b;
    if (!c)
        return -1;
    buf_init(&b);
    wire_quote_literal(&b, c->value);
    int chars = b.failed ? -1 : count_chars(buf_text(&b));
    buf_release(&b);
    return chars;
}

int verdict_position(const struct verdict *v, const struct identity *id, int position)
{
    const struct verdict_full *f = (const struct verdict_full *)(const void *)v;
    int left = position - 1; /* characters in front of it */
    if (v->action != VERDICT_REWRITE)
        return position;
    for (int i = 0; i < f->n_pieces && left >= 0; i++) {
        const struct verdict_piece *p = &f->pieces[i];
        int chars = count_chars(p->text);
        bool last = i == f->n_pieces - 1 && p->hole < 0;
        if (left < chars || (last && left == chars)) {
            if (p->at < 0 || !f->sql.p)
                return 0;
            size_t off = (size_t)p->at + char_bytes(p->text, left);
            return off <= f->sql.n ? count_chars(text_n(f->sql.p, off)) + 1 : 0;
        }
        left -= chars;
        chars = p->hole >= 0 ? hole_chars(v, id, p->hole) : 0;
        if (chars < 0 || left < chars)
            return 0;
        left -= chars;
    }
    return 0;
}

static bool bind_refuse(struct tenant_refusal *r, enum refusal reason, const char *detail,
                        const char *hint)
{
    *r = (struct tenant_refusal){
        .reason = reason,
        .message = text_of(refusals[reason].text),
        .detail = text_of(detail),
        .hint = text_of(hint),
    };
    return false;
}

static bool bind_check(const struct verdict_check *k, const struct identity *id,
                       const struct wire_bind *b, const uint32_t *types, int n_types,
                       struct tenant_refusal *r)
{
    const struct claim *c = claim_find(id, k->claim);
    if (!c || !value_fits(k->type, c->value))
        return bind_refuse(r, REFUSAL_no_claim,
                           "A parameter is compared with a claim that the tenant does not have.",
                           "Give the user this claim in [users].");
    uint32_t declared = k->param <= n_types ? types[k->param - 1] : 0;
    bool open = declared == 0 || declared == VALUE_UNKNOWN;
    if (k->array && !open)
        declared = value_array_element(declared);
    if ((k->array && !open && !declared) || !value_param_ok(k->type, declared) ||
        !value_param_keeps(declared, c->value))
        return bind_refuse(r, REFUSAL_bind_type,
                           "The parameter's declared type is not the tenant column's.",
                           "Declare the parameter as the column's type, or leave its type open.");
    int format;
    struct text value;
    bool is_null;
    if (!wire_bind_param(b, k->param - 1, &format, &value, &is_null))
        return bind_refuse(r, REFUSAL_bind_value,
                           "Bind lacks a parameter that the statement compares with the tenant.",
                           "");
    bool same = false;
    if (!is_null && k->array)
        same = format == 1 ? value_same_array_binary(k->type, c->value, value)
                           : format == 0 && value_same_array(k->type, c->value, value);
    else if (!is_null)
        same = (format == 1 ? value_same_binary(k->type, declared, c->value, value)
                            : format == 0 && value_same(k->type, c->value, value));
    if (!same)
        return bind_refuse(r, REFUSAL_bind_value,
                           "A parameter for the tenant column does not hold the tenant's value.",
                           "Bind the tenant's own value in its canonical form.");
    return true;
}

static bool pattern_check(const struct verdict_pattern *p, const struct wire_bind *b,
                          struct tenant_refusal *r)
{
    int format;
    struct text value;
    bool is_null;
    return (wire_bind_param(b, p->param - 1, &format, &value, &is_null) &&
            (is_null || pattern_value_ok(p, format, value))) ||
           bind_refuse(r, REFUSAL_pattern,
                       "PostgreSQL may test it on other tenants' values, where this parameter "
                       "could be an error.",
                       "No backslash (escape character) may stand at the end of a pattern, no "
                       "variable or time in a jsonpath.");
}

bool verdict_bind(const struct verdict *v, const struct identity *id, const struct wire_bind *b,
                  const uint32_t *types, int n_types, struct wire_added added[VERDICT_MAX_ADDED],
                  struct tenant_refusal *r)
{
    if (v->n_params != b->n_params && (v->n_added || v->n_checks || v->n_patterns)) {
        /* More values than parameters would land in our own slots. */
        return bind_refuse(r, REFUSAL_bind_value,
                           "Bind does not give one value for each parameter of the statement.", "");
    }
    for (int i = 0; i < v->n_added; i++) {
        const struct claim *c = claim_find(id, v->added[i].claim);
        if (!c || !value_fits(v->added[i].type, c->value))
            return bind_refuse(
                r, REFUSAL_no_claim,
                "The statement reads a relation whose claim the tenant does not have.",
                "Give the user this claim in [users].");
        added[i] = (struct wire_added){ .value = c->value };
    }
    for (int i = 0; i < v->n_checks; i++)
        if (!bind_check(&v->checks[i], id, b, types, n_types, r))
            return false;
    for (int i = 0; i < v->n_patterns; i++)
        if (!pattern_check(&v->patterns[i], b, r))
            return false;
    return true;
}

void verdict_error(const struct verdict *v, struct buf *out)
{
    wire_error_build(out, 'E',
                     &(struct wire_error){
                         .severity = "ERROR",
                         .sqlstate = refusal_state(v->reason),
                         .message = v->message,
                         .detail = v->detail,
                         .hint = v->hint,
                         .position = v->position,
                     });
}

void refusal_error(const struct tenant_refusal *r, struct buf *out)
{
    wire_error_build(out, 'E',
                     &(struct wire_error){
                         .severity = "ERROR",
                         .sqlstate = refusal_state(r->reason),
                         .message = r->message,
                         .detail = r->detail,
                         .hint = r->hint,
                     });
}
