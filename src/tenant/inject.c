/* SPDX-License-Identifier: ISC */
/* Snippets, edits and the places for them among the tokens. */
#include "tenant/inject.h"

#include <stdlib.h>

/* ---- snippets ---- */

void snippet_init(struct snippet *s, struct arena *a)
{
    *s = (struct snippet){ .arena = a };
}

static inline void snippet_put(struct snippet *s, struct verdict_piece p)
{
    ARENA_ROOM(s->arena, s->v, s->n, s->cap, 8);
    s->v[s->n++] = p;
}

void snippet_text(struct snippet *s, struct text t)
{
    if (t.n)
        snippet_put(s, (struct verdict_piece){ t, -1, -1 });
}

void snippet_add(struct snippet *s, const char *z)
{
    snippet_text(s, text_of(z));
}

/* At most 2 * name.n + 2 bytes; gives the place behind them. */
static char *put_ident(char *q, struct text name)
{
    *q++ = '"';
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"')
            *q++ = '"';
        *q++ = name.p[i];
    }
    *q++ = '"';
    return q;
}

void snippet_ident(struct snippet *s, struct text name)
{
    char *q = arena_alloc(s->arena, name.n * 2 + 2);
    snippet_text(s, text_n(q, (size_t)(put_ident(q, name) - q)));
}

void snippet_param(struct snippet *s, int n)
{
    enum { SIZE = 12 };
    char *end = (char *)arena_alloc(s->arena, SIZE) + SIZE, *p = end;
    for (; n > 0; n /= 10)
        *--p = (char)('0' + n % 10);
    *--p = '$';
    snippet_text(s, text_n(p, (size_t)(end - p)));
}

void snippet_hole(struct snippet *s, int hole)
{
    snippet_put(s, (struct verdict_piece){ { NULL, 0 }, hole, -1 });
}

void snippet_append(struct snippet *s, const struct snippet *more)
{
    for (int i = 0; i < more->n; i++)
        snippet_put(s, more->v[i]);
}

void snippet_column(struct snippet *s, struct text schema, struct text qualifier,
                    struct text column)
{
    size_t most = 2 * (schema.n + qualifier.n + column.n) + 8;
    char *q = arena_alloc(s->arena, most), *end = q;
    if (schema.n) {
        end = put_ident(end, schema);
        *end++ = '.';
    }
    end = put_ident(end, qualifier);
    *end++ = '.';
    end = put_ident(end, column);
    snippet_text(s, text_n(q, (size_t)(end - q)));
}

/* ---- tokens ---- */

/* Punctuation that is an operator. */
static bool is_sign(char c)
{
    switch (c) {
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case '<':
    case '>':
    case '=':
        return true;
    default:
        return false;
    }
}

void inject_init(struct inject *j, struct arena *a, struct text sql, const struct token *t, int n)
{
    *j = (struct inject){ .arena = a, .sql = sql };
    j->tok = arena_alloc(a, sizeof(*j->tok) * ((size_t)n + 1));
    int *open = arena_alloc(a, sizeof(*open) * ((size_t)n + 1));
    int depth = 0;
    for (int i = 0; i < n; i++) {
        if (token_is_comment(t[i])) {
            j->has_hint |= t[i].len > 2 && sql.p[t[i].off + 2] == '+';
            continue;
        }
        int k = j->n_tok++;
        struct inject_token *x = &j->tok[k];
        struct text s = token_text(sql, t[i]);
        *x = (struct inject_token){ .off = t[i].off, .end = t[i].off + t[i].len, .match = -1 };
        x->ch = t[i].kind == TOKEN_SELF ? s.p[0] : 0;
        x->is_op = t[i].kind == TOKEN_OP || is_sign(x->ch);
        x->is_uident = t[i].kind == TOKEN_UIDENT;
        /* Behind a dot or AS any key word is a name. */
        if (t[i].kind == TOKEN_IDENT &&
            (k == 0 || (j->tok[k - 1].ch != '.' && j->tok[k - 1].kw != KW_AS)))
            x->kw = lexer_keyword(sql, t[i]);
        if (x->ch == '(' || x->ch == '[') {
            open[depth++] = k;
        } else if ((x->ch == ')' || x->ch == ']') && depth > 0) {
            x->match = open[--depth];
            j->tok[x->match].match = k;
        }
        if (t[i].kind == TOKEN_PARAM) {
            int64_t v;
            if (!text_to_int64(text_n(s.p + 1, s.n - 1), &v) || v > 65535)
                v = 65536;
            if (v > j->max_param)
                j->max_param = (int)v;
        }
    }
}

int inject_at(const struct inject *j, int off)
{
    int lo = 0, hi = j->n_tok;
    if (off < 0)
        return -1;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (j->tok[mid].off < (uint32_t)off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < j->n_tok && j->tok[lo].off == (uint32_t)off ? lo : -1;
}

static enum lexer_keyword kw_at(const struct inject *j, int k)
{
    return k >= 0 && k < j->n_tok ? j->tok[k].kw : KW_NONE;
}

static char ch_at(const struct inject *j, int k)
{
    return k >= 0 && k < j->n_tok ? j->tok[k].ch : 0;
}

/* Next token at the same depth: a bracket counts as one token up to its partner. -1: not balanced.
 */
static int step(const struct inject *j, int k)
{
    if (ch_at(j, k) == '(' || ch_at(j, k) == '[')
        return j->tok[k].match < 0 ? -1 : j->tok[k].match + 1;
    return k + 1;
}

static bool closes(const struct inject *j, int k)
{
    char c = ch_at(j, k);
    return k >= j->n_tok || c == ')' || c == ']' || c == ';';
}

/* Does a clause behind WHERE start here (or the query end)? */
static bool ends_query_part(const struct inject *j, int k)
{
    if (closes(j, k))
        return true;
    switch (kw_at(j, k)) {
    case KW_GROUP:
        return kw_at(j, k - 1) != KW_WITHIN;
    case KW_HAVING:
    case KW_WINDOW:
    case KW_UNION:
    case KW_INTERSECT:
    case KW_EXCEPT:
    case KW_ORDER:
    case KW_LIMIT:
    case KW_OFFSET:
    case KW_FETCH:
    case KW_FOR:
    case KW_RETURNING:
    case KW_INTO:
        return true;
    case KW_ON:
        return kw_at(j, k + 1) == KW_CONFLICT &&
               (ch_at(j, k + 2) == '(' || kw_at(j, k + 2) == KW_ON || kw_at(j, k + 2) == KW_DO);
    default:
        return false;
    }
}

/* From the token behind FROM (or the like): WHERE if there is one, and the last token of the part.
 */
static bool find_where(const struct inject *j, int k, bool (*ends)(const struct inject *, int),
                       struct inject_place *p)
{
    p->keyword = -1;
    p->last = k - 1;
    while (!ends(j, k)) {
        if (kw_at(j, k) == KW_WHERE) {
            if (p->keyword >= 0)
                return false;
            p->keyword = k;
        }
        int next = step(j, k);
        if (next < 0)
            return false;
        p->last = next - 1;
        k = next;
    }
    return p->keyword < 0 || p->last > p->keyword;
}

bool inject_relation(const struct inject *j, int anchor, bool only, int *first, int *last)
{
    *first = *last = anchor;
    while (ch_at(j, *last + 1) == '.')
        *last += 2;
    if (*last >= j->n_tok || j->tok[anchor].is_uident || j->tok[*last].is_uident)
        return false;
    if (ch_at(j, *last + 1) == '*')
        (*last)++;
    if (!only)
        return true;
    if (kw_at(j, anchor - 1) == KW_ONLY) {
        *first = anchor - 1;
        return true;
    }
    if (ch_at(j, anchor - 1) == '(' && kw_at(j, anchor - 2) == KW_ONLY &&
        ch_at(j, *last + 1) == ')') {
        *first = anchor - 2;
        (*last)++;
        return true;
    }
    return false;
}

int inject_sample_last(const struct inject *j, int last)
{
    int k = last + 1, end = last + 4; /* AS alias */
    while (k < end && kw_at(j, k) != KW_TABLESAMPLE)
        k++;
    if (kw_at(j, k) != KW_TABLESAMPLE || ch_at(j, k + 2) != '(' || j->tok[k + 2].match < 0)
        return -1;
    k = j->tok[k + 2].match;
    if (kw_at(j, k + 1) == KW_REPEATABLE && ch_at(j, k + 2) == '(')
        k = j->tok[k + 2].match;
    return k;
}

int inject_table_keyword(const struct inject *j, int anchor)
{
    if (kw_at(j, anchor - 1) == KW_TABLE)
        return anchor - 1;
    if (kw_at(j, anchor - 1) == KW_ONLY && kw_at(j, anchor - 2) == KW_TABLE)
        return anchor - 2;
    if (ch_at(j, anchor - 1) == '(' && kw_at(j, anchor - 2) == KW_ONLY &&
        kw_at(j, anchor - 3) == KW_TABLE)
        return anchor - 3;
    return -1;
}

bool inject_select_where(const struct inject *j, int anchor, struct inject_place *p)
{
    for (int k = anchor - 1; k >= 0; k--) {
        char c = ch_at(j, k);
        if (c == ')' || c == ']') {
            k = j->tok[k].match;
            if (k < 0)
                return false;
            continue;
        }
        if (c == ';' || kw_at(j, k) == KW_SELECT)
            return false;
        bool from = kw_at(j, k) == KW_FROM && kw_at(j, k - 1) != KW_DISTINCT;
        if (from || kw_at(j, k) == KW_TABLE)
            return find_where(j, k + 1, ends_query_part, p);
    }
    return false;
}

static bool ends_dml(const struct inject *j, int k)
{
    return closes(j, k) || kw_at(j, k) == KW_RETURNING;
}

bool inject_dml_where(const struct inject *j, int anchor, struct inject_place *p)
{
    if (ch_at(j, anchor - 1) == '(' && kw_at(j, anchor - 2) == KW_ONLY)
        return find_where(j, anchor - 1, ends_dml, p);
    return find_where(j, anchor, ends_dml, p);
}

static bool joins(const struct inject *j, int k)
{
    switch (kw_at(j, k)) {
    case KW_JOIN:
        return true;
    case KW_LEFT:
    case KW_RIGHT:
    case KW_FULL:
    case KW_INNER:
    case KW_CROSS:
    case KW_NATURAL: /* else a function of that name */
        switch (kw_at(j, k + 1)) {
        case KW_JOIN:
        case KW_OUTER:
        case KW_LEFT:
        case KW_RIGHT:
        case KW_FULL:
        case KW_INNER:
            return true;
        default:
            return false;
        }
    default:
        return false;
    }
}

/* WHEN [NOT] MATCHED of MERGE */
static bool is_when(const struct inject *j, int k)
{
    return kw_at(j, k) == KW_WHEN && (kw_at(j, k + 1) == KW_MATCHED ||
                                      (kw_at(j, k + 1) == KW_NOT && kw_at(j, k + 2) == KW_MATCHED));
}

static bool ends_on(const struct inject *j, int k)
{
    if (is_when(j, k))
        return true;
    return ends_query_part(j, k) || joins(j, k) || ch_at(j, k) == ',' || kw_at(j, k) == KW_WHERE ||
           kw_at(j, k) == KW_ON || kw_at(j, k) == KW_USING;
}

bool inject_on(const struct inject *j, int first, struct inject_place *p)
{
    int k = first - 1;
    while (k >= 0 && kw_at(j, k) != KW_ON) {
        if (ch_at(j, k) != '(' && kw_at(j, k) != KW_NOT && !j->tok[k].is_op)
            return false;
        k--;
    }
    if (k < 0)
        return false;
    p->keyword = k++;
    while (!ends_on(j, k)) {
        int next = step(j, k);
        if (next < 0)
            return false;
        k = next;
    }
    p->last = k - 1;
    return p->last > p->keyword;
}

void inject_condition(struct inject *j, const struct inject_place *p, const struct snippet *cond,
                      enum inject_rank close)
{
    struct snippet s;
    snippet_init(&s, j->arena);
    if (p->keyword < 0) {
        snippet_add(&s, " WHERE ");
        snippet_append(&s, cond);
        snippet_add(&s, " ");
        inject_put(j, j->tok[p->last].end, 0, close, &s);
        return;
    }
    snippet_add(&s, " ");
    snippet_append(&s, cond);
    snippet_add(&s, " AND (");
    inject_put(j, j->tok[p->keyword].end, 0, close, &s);
    snippet_init(&s, j->arena);
    snippet_add(&s, ")");
    inject_put(j, j->tok[p->last].end, 0, close, &s);
}

/* ---- INSERT ---- */

/* From the target's last token *k over the columns and OVERRIDING to what gives the rows. */
static bool insert_head(const struct inject *j, bool has_cols, struct inject_insert *s, int *k)
{
    s->target_last = (*k)++;
    if (has_cols) {
        if (ch_at(j, *k) != '(' || j->tok[*k].match < 0)
            return false;
        s->cols_close = j->tok[*k].match;
        *k = s->cols_close + 1;
    }
    if (kw_at(j, *k) == KW_OVERRIDING)
        *k += 3;
    return true;
}

bool inject_insert_shape(const struct inject *j, int anchor, bool has_cols, struct inject_insert *s)
{
    int first, k;
    *s = (struct inject_insert){ .cols_close = -1, .query = -1, .defaults = -1 };
    if (!inject_relation(j, anchor, false, &first, &k))
        return false;
    if (kw_at(j, k + 1) == KW_AS)
        k += 2;
    if (k >= j->n_tok || j->tok[k].is_uident)
        return false;
    if (!insert_head(j, has_cols, s, &k))
        return false;
    if (kw_at(j, k) == KW_DEFAULT) {
        s->defaults = k;
        return kw_at(j, k + 1) == KW_VALUES;
    }
    s->query = k;
    for (s->end = k; !closes(j, s->end) && kw_at(j, s->end) != KW_RETURNING &&
                     !(kw_at(j, s->end) == KW_ON && ends_query_part(j, s->end));) {
        s->end = step(j, s->end);
        if (s->end < 0)
            return false;
    }
    return s->end > s->query;
}

static bool starts_leaf(enum lexer_keyword k)
{
    return k == KW_SELECT || k == KW_VALUES || k == KW_TABLE;
}

/* Behind WITH: the first token of the query itself. */
static int skip_with(const struct inject *j, int k, int end)
{
    while (k >= 0 && k < end) {
        if (starts_leaf(kw_at(j, k)))
            return k;
        if (ch_at(j, k) == '(' && ch_at(j, k - 1) == ')')
            return k;
        k = step(j, k);
    }
    return -1;
}

int inject_arms(const struct inject *j, int first, int end, int *arms, int max)
{
    int n = 0, k = first;
    if (kw_at(j, k) == KW_WITH)
        k = skip_with(j, k + 1, end);
    while (k >= 0 && k < end) {
        if (ch_at(j, k) == '(') {
            if (j->tok[k].match < 0)
                return -1;
            int below = inject_arms(j, k + 1, j->tok[k].match, arms ? arms + n : NULL, max - n);
            if (below < 0)
                return -1;
            n += below;
            k = j->tok[k].match + 1;
        } else if (starts_leaf(kw_at(j, k))) {
            if (n >= max)
                return -1;
            arms[n++] = k++;
        } else {
            return -1;
        }
        enum lexer_keyword op = KW_NONE;
        while (k >= 0 && k < end && op == KW_NONE) {
            enum lexer_keyword w = kw_at(j, k);
            if (w == KW_UNION || w == KW_INTERSECT || w == KW_EXCEPT)
                op = w;
            k = op == KW_NONE ? step(j, k) : k + 1;
        }
        if (op != KW_NONE && (kw_at(j, k) == KW_ALL || kw_at(j, k) == KW_DISTINCT))
            k++;
    }
    return k < 0 ? -1 : n;
}

int inject_targets_last(const struct inject *j, int select)
{
    int k = select + 1, last = select;
    if (kw_at(j, select) != KW_SELECT)
        return -1;
    while (!ends_query_part(j, k) && kw_at(j, k) != KW_WHERE &&
           !(kw_at(j, k) == KW_FROM && kw_at(j, k - 1) != KW_DISTINCT)) {
        int next = step(j, k);
        if (next < 0)
            return -1;
        last = next - 1;
        k = next;
    }
    return last == select ? -1 : last;
}

int inject_rows(const struct inject *j, int values, int *rows, int max)
{
    int n = 0, k = values + 1;
    if (kw_at(j, values) != KW_VALUES)
        return -1;
    while (ch_at(j, k) == '(' && j->tok[k].match >= 0) {
        if (n >= max)
            return -1;
        rows[n++] = j->tok[k].match;
        k = j->tok[k].match + 1;
        if (ch_at(j, k) != ',')
            break;
        k++;
    }
    return n;
}

bool inject_conflict_where(const struct inject *j, int from, struct inject_place *p)
{
    int k = from;
    while (k >= 0 && !closes(j, k) && kw_at(j, k) != KW_DO)
        k = step(j, k);
    if (k < 0 || kw_at(j, k) != KW_DO)
        return false;
    return find_where(j, k + 1, ends_dml, p);
}

bool inject_merge_insert(const struct inject *j, int from, int number, bool has_cols,
                         struct inject_insert *s, int *values)
{
    int k = from;
    *s = (struct inject_insert){ .cols_close = -1, .query = -1, .defaults = -1 };
    *values = -1;
    for (; k >= 0 && !closes(j, k); k = step(j, k))
        if (is_when(j, k) && number-- == 0)
            break;
    while (k >= 0 && !closes(j, k) && kw_at(j, k) != KW_INSERT)
        k = step(j, k);
    if (k < 0 || kw_at(j, k) != KW_INSERT)
        return false;
    if (!insert_head(j, has_cols, s, &k))
        return false;
    if (kw_at(j, k) == KW_DEFAULT) {
        s->defaults = k;
        return kw_at(j, k + 1) == KW_VALUES;
    }
    *values = k + 1;
    return kw_at(j, k) == KW_VALUES && ch_at(j, k + 1) == '(' && j->tok[k + 1].match >= 0;
}

/* ---- edits ---- */

void inject_put(struct inject *j, uint32_t off, uint32_t cut, enum inject_rank rank,
                const struct snippet *s)
{
    ARENA_ROOM(j->arena, j->edits, j->n_edits, j->cap, 16);
    j->edits[j->n_edits] = (struct edit){ off, cut, rank, j->n_edits, *s };
    j->n_edits++;
}

static int edit_order(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    if (x->off != y->off)
        return x->off < y->off ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A stretch of the client's own text. */
static void snippet_source(const struct inject *j, struct snippet *out, uint32_t from, uint32_t to)
{
    if (to > from)
        snippet_put(out,
                    (struct verdict_piece){ text_n(j->sql.p + from, to - from), -1, (int)from });
}

void inject_result(struct inject *j, struct snippet *out)
{
    uint32_t at = 0;
    if (j->n_edits)
        qsort(j->edits, (size_t)j->n_edits, sizeof(*j->edits), edit_order);
    for (int i = 0; i < j->n_edits; i++) {
        const struct edit *e = &j->edits[i];
        if (e->off > at)
            snippet_source(j, out, at, e->off);
        if (e->off >= at)
            at = e->off;
        snippet_append(out, &e->text);
        at += e->cut;
    }
    snippet_source(j, out, at, (uint32_t)j->sql.n);
}
