/* SPDX-License-Identifier: ISC */
/*
 * Templates. A verdict is reached by: limits and checks of the bytes, tokens, the parse tree, the
 * walk over it with insertions between tokens, the parse of the new text. What is claimed:
 *
 *   For two texts with the same template key and the same fixed constants, the parse trees are
 *   equal except for the values of free constants, which the walk never read. So the walk takes the
 *   same steps, and its insertions stand at the same tokens.
 *
 * 1. The key has each token in order: its kind, whether anything stands between it and the token
 *    before, and its bytes, save for two kinds of constants, of which it has the kind only: decimal
 *    integers up to 2147483647, and strings in single quotes that are in one piece (no E, U&, N, B,
 *    X in front, not continued on a further line) and hold no backslash. No token holds a zero
 *    byte, which ends each token in the key: two texts have the same key only if all that is equal.
 *    Other numbers, other strings, type modifiers in quotes and so on are in the key as they are.
 * 2. PostgreSQL's grammar is a table over kinds of tokens. The kind of these two constants does not
 *    depend on their bytes (a larger integer is of another kind, and so is another kind here), and
 *    they are never looked at by the scanner's own look-ahead. So the same rules are reduced. The
 *    actions of the grammar put a constant's value into an A_Const, or somewhere else: type
 *    modifiers, the precision of float and of current_time, UESCAPE, the options of other
 *    statements. Only a constant that is found again as an A_Const (by its position; behind a minus
 *    sign by that of the sign, as the grammar negates the value) with the value's kind can be free.
 * 3. Reading is noticed where it happens: tree.c's accessors mark the constant (struct literal),
 *    whoever calls them. A constant is free when nobody read it, the walker met it as an ordinary
 *    operand (walk_expr), and it stands where this file expects operands (ordinary below). All
 *    others are fixed: the entry has their bytes, and holds for texts with the same ones only.
 *    One thing is known of a constant without reading it: no backslash is in it (pattern.c).
 *    Trees that the verdict rests on in addition (the second pass of reject mode) are asked too.
 * 4. The limits, and the checks of bytes, run over every text before this is asked.
 * 5. Comments that the parser does not see are not in the key, but the gap is. Those that it does
 *    see (block comments behind a string) are in it as a token without its bytes, which neither
 *    parser nor server looks into. A text with a hint gets no template.
 * 6. Only statements SELECT, INSERT, UPDATE, DELETE and MERGE that stand alone, and that were not
 *    refused: refusals show positions.
 *
 * What is sent is put together from the new text's own bytes around the model's insertions, so a
 * free constant is never copied from one text into another.
 */
#include "tenant/template.h"

#include "base/check.h"

#include <stdlib.h>

enum { MARK_GAP = 0x40, MARK_PLAIN = 0x80 };

/* An edge of a token in the text. */
struct edge {
    uint32_t token; /* the number of tokens: of the text */
    bool end;       /* else start */
};

struct part {
    struct edge from, to; /* the client's bytes, when text.p is NULL */
    struct text text;
    int hole;
};

struct fixed {
    uint32_t token;
    struct text text;
};

struct template
{
    struct part *parts;
    int n_parts;
    struct fixed *fixed;
    int n_fixed;
};

/* A string in one piece: no quote within but doubled ones. */
static bool one_piece(const char *p, size_t n)
{
    const char *end = p + n - 1;
    for (p++; (p = memchr(p, '\'', (size_t)(end - p))) != NULL; p += 2)
        if (p + 1 >= end || p[1] != '\'')
            return false;
    return true;
}

/* May the token's bytes be left out of the key? */
static bool plain(struct text sql, const struct token *t)
{
    return t->kind == TOKEN_INT || (t->kind == TOKEN_STRING && one_piece(sql.p + t->off, t->len) &&
                                    !memchr(sql.p + t->off, '\\', t->len));
}

bool template_key(const struct guard_scan *s, struct text sql, struct buf *key)
{
    size_t at = 0;
    bool useful = false;
    buf_clear(key);
    if (sql.n > TEMPLATE_MAX_BYTES)
        return false;
    char *out = buf_reserve(key, sql.n + 2 * (size_t)s->n + 1);
    if (!out || s->n == 0 || guard_hint(sql))
        return false;
    char *p = out;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct token *t = &s->tok[i];
        unsigned char mark = (unsigned char)(t->kind + 1);
        bool bare = plain(sql, t);
        if (t->off > at) {
            mark |= MARK_GAP;
            useful |= t->off - at > 3; /* perhaps a comment */
        }
        at = t->off + t->len;
        if (bare || t->kind == TOKEN_COMMENT) {
            *p++ = (char)(mark | MARK_PLAIN);
            useful = true;
        } else {
            *p++ = (char)mark;
            *p = sql.p[t->off]; /* often all of it */
            if (t->len > 1)
                memcpy(p, sql.p + t->off, t->len);
            p += t->len;
        }
        *p++ = 0;
    }
    if (sql.n > at) {
        *p++ = MARK_GAP;
        useful |= sql.n - at > 3;
    }
    buf_commit(key, (size_t)(p - out));
    return useful;
}

/* ---- free or fixed ---- */

/* Index of the token that starts at the offset, or the number of tokens. */
static uint32_t token_at(const struct guard_scan *s, uint32_t off)
{
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->tok[mid].off < off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->tok[lo].off == off ? lo : s->n;
}

struct lesson {
    uint8_t *uses;
    const struct guard_scan *scan;
    struct text sql;
};

/* A second node for the same constant fixes it. */
static void note(const struct lesson *x, const struct node *n, bool ordinary)
{
    const struct guard_scan *s = x->scan;
    uint32_t k = n->loc >= 0 ? token_at(s, (uint32_t)n->loc) : s->n;
    if (k < s->n && token_is_char(x->sql, s->tok[k], '-'))
        k++; /* a negated number */
    if (k >= s->n || !plain(x->sql, &s->tok[k]))
        return;
    const struct node *val = NULL;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].role == R_val)
            val = n->fields[i].node;
    bool kind = node_is(val, s->tok[k].kind == TOKEN_INT ? N_Integer : N_String);
    if (kind && ordinary && n->lit && n->lit->visited && !n->lit->read &&
        x->uses[k] == TEMPLATE_UNSEEN)
        x->uses[k] = TEMPLATE_FREE;
    else
        x->uses[k] = TEMPLATE_FIXED;
}

/* A cast to a type whose input looks names up. */
static bool looks_up(const struct node *type)
{
    struct node *names = node_list(type, R_names);
    struct text name = node_str(list_at(names, list_len(names) - 1), R_sval);
    return name.n >= 3 && memcmp(name.p, "reg", 3) == 0;
}

/* Do operands like any other stand in that field? */
static bool operands(const struct node *n, enum node_role r)
{
    switch (n->kind) {
    case N_A_Expr:
        return r == R_lexpr || r == R_rexpr;
    case N_ResTarget:
        return r == R_val;
    case N_FuncCall:
    case N_BoolExpr:
    case N_CoalesceExpr:
    case N_MinMaxExpr:
    case N_RowExpr:
        return r == R_args;
    case N_CaseExpr:
        return r == R_arg || r == R_defresult;
    case N_CaseWhen:
        return r == R_expr || r == R_result;
    case N_A_ArrayExpr:
        return r == R_elements;
    case N_TypeCast:
        return r == R_arg && !looks_up(node_get(n, R_typeName));
    case N_NullTest:
    case N_BooleanTest:
    case N_CollateClause:
    case N_NamedArgExpr:
        return r == R_arg;
    case N_SubLink:
        return r == R_testexpr;
    case N_SelectStmt:
        return r == R_valuesLists || r == R_limitCount || r == R_limitOffset;
    case N_MergeWhenClause:
        return r == R_values;
    default:
        return false;
    }
}

static void learn(const struct lesson *x, const struct node *n, bool ordinary)
{
    if (!n)
        return;
    if (n->kind == N_A_Const) {
        note(x, n, ordinary);
        return;
    }
    for (uint32_t i = 0; i < n->n_fields; i++) {
        const struct field *f = &n->fields[i];
        if (f->type == F_NODE)
            learn(x, f->node, n->kind == N_List ? ordinary : operands(n, f->role));
    }
}

uint8_t *template_learn(const struct guard_scan *scan, struct text sql, const struct node *stmt,
                        const uint8_t *before, struct arena *a)
{
    struct lesson x = { arena_zalloc(a, (size_t)scan->n + 1), scan, sql };
    learn(&x, stmt, false);
    for (uint32_t i = 0; before && i < scan->n; i++)
        if (before[i] != TEMPLATE_FREE)
            x.uses[i] = TEMPLATE_FIXED;
    return x.uses;
}

/* ---- entries ---- */

static bool edge_at(const struct guard_scan *s, size_t off, size_t size, struct edge *e)
{
    if (off == 0 || off == size) {
        *e = (struct edge){ s->n, off != 0 };
        return true;
    }
    uint32_t lo = 0, hi = s->n; /* the first token that ends at or behind the offset */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->tok[mid].off + s->tok[mid].len < off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->n)
        return false;
    *e = (struct edge){ lo, s->tok[lo].off + s->tok[lo].len == off };
    return e->end || s->tok[lo].off == off;
}

static size_t offset_of(const struct guard_scan *s, size_t size, struct edge e)
{
    if (e.token >= s->n)
        return e.end ? size : 0;
    return s->tok[e.token].off + (e.end ? s->tok[e.token].len : 0);
}

static bool make_parts(struct template *t, struct arena *a, const struct verdict_full *model,
                       const struct guard_scan *scan, struct text blanked)
{
    t->parts = ARENA_ARRAY(a, struct part, model->n_pieces + 1);
    for (int i = 0; i < model->n_pieces; i++) {
        const struct verdict_piece *piece = &model->pieces[i];
        struct part *p = &t->parts[t->n_parts++];
        p->hole = piece->hole;
        if (piece->at < 0) {
            p->text = piece->text; /* in the model's memory */
            p->text.p = p->text.p ? p->text.p : "";
        } else if (!edge_at(scan, (size_t)piece->at, blanked.n, &p->from) ||
                   !edge_at(scan, (size_t)piece->at + piece->text.n, blanked.n, &p->to)) {
            return false;
        }
    }
    return true;
}

struct verdict_full *template_new(struct verdict_full *model, const uint8_t *uses,
                                  const struct guard_scan *scan, struct text blanked)
{
    struct verdict_full *v = verdict_new();
    if (!v)
        return NULL;
    struct template *t = v->template = ARENA_NEW(&v->arena, struct template);
    int n = 0;
    for (uint32_t i = 0; i < scan->n; i++)
        n += uses[i] != TEMPLATE_FREE && plain(blanked, &scan->tok[i]);
    t->fixed = ARENA_ARRAY(&v->arena, struct fixed, n);
    for (uint32_t i = 0; i < scan->n; i++)
        if (uses[i] != TEMPLATE_FREE && plain(blanked, &scan->tok[i]))
            t->fixed[t->n_fixed++] =
                (struct fixed){ i, arena_text(&v->arena, token_text(blanked, scan->tok[i])) };
    if (!make_parts(t, &v->arena, model, scan, blanked)) {
        verdict_free(v);
        return NULL;
    }
    v->cacheable = true;
    v->dependent = model->dependent;
    v->model = model;
    model->pub.refs++;
    return v;
}

bool template_fits(const struct verdict_full *entry, const void *text)
{
    const struct template_text *x = text;
    const struct template *t = entry->template;
    for (int i = 0; i < t->n_fixed; i++)
        if (!text_eq(t->fixed[i].text, token_text(x->sql, x->scan->tok[t->fixed[i].token])))
            return false;
    return true;
}

bool template_apply(const struct verdict_full *entry, const struct template_text *x,
                    struct verdict_full *copy)
{
    const struct template *t = entry->template;
    struct text sql = { x->scan->blank, x->sql.n };
    if (copy->cap_pieces < t->n_parts) {
        int cap = t->n_parts < 16 ? 16 : t->n_parts;
        struct verdict_piece *v = realloc(copy->pieces, sizeof(*v) * (size_t)cap);
        if (!v)
            return false;
        copy->pieces = v;
        copy->cap_pieces = cap;
    }
    bool commented = memcmp(sql.p, x->sql.p, sql.n) != 0;
    buf_clear(&copy->own);
    buf_text_append(&copy->own, sql);
    if (commented)
        buf_text_append(&copy->own, x->sql);
    if (copy->own.failed)
        return false;
    copy->sql = text_n(copy->own.p + (commented ? sql.n : 0), sql.n);
    copy->pub = entry->model->pub;
    copy->pub.refs = 1;
    copy->model = entry->model;
    copy->model->pub.refs++;
    copy->n_holes = entry->model->n_holes;
    copy->n_pieces = t->n_parts;
    for (int i = 0; i < t->n_parts; i++) {
        const struct part *p = &t->parts[i];
        struct text text = p->text;
        int at = -1;
        if (!text.p) {
            size_t from = offset_of(x->scan, sql.n, p->from), to = offset_of(x->scan, sql.n, p->to);
            CHECK(from <= to && to <= sql.n);
            text = text_n(copy->own.p + from, to - from);
            at = (int)from;
        }
        copy->pieces[i] = (struct verdict_piece){ text, p->hole, at };
    }
    return true;
}
