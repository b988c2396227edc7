/* SPDX-License-Identifier: ISC */
/* Templates of statements by the lexer. */
#include "tenant/redact.h"

#include "tenant/fold.h"
#include "tenant/guard.h"

enum shown { SHOW_TEXT, SHOW_MARK, SHOW_NOTHING };

/* What people need to recognise a statement that was not understood. */
static bool is_word(struct text sql, struct token t)
{
    static const char *const words[] = {
        "select", "insert", "update",  "delete",  "merge",     "into",   "from",   "where",
        "values", "set",    "join",    "left",    "right",     "inner",  "outer",  "on",
        "and",    "or",     "not",     "order",   "group",     "by",     "limit",  "with",
        "as",     "copy",   "explain", "begin",   "commit",    "create", "alter",  "drop",
        "show",   "reset",  "prepare", "execute", "union",     "having", "using",  "table",
        "call",   "do",     "grant",   "revoke",  "returning", "stdin",  "stdout", "to",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (text_is_i(token_text(sql, t), words[i]))
            return true;
    return false;
}

/* Where a value may stand without quotes: SET name = value, also in ALTER and CREATE. */
enum values { STATEMENT_BEGINS, STATEMENT_OTHER, MAY_SET, SET_NAME, SET_VALUE };

static bool is_name(struct token t)
{
    return t.kind == TOKEN_IDENT || t.kind == TOKEN_QIDENT;
}

/* Where the token leads; SET_VALUE holds up to the statement's end. */
static enum values values_after(enum values now, struct text sql, struct token t)
{
    struct text word = token_text(sql, t);

    if (t.kind == TOKEN_COMMENT || t.kind == TOKEN_LINE_COMMENT)
        return now;
    if (token_is_char(sql, t, ';') && t.depth == 0)
        return STATEMENT_BEGINS;
    switch (now) {
    case STATEMENT_BEGINS:
        if (t.kind != TOKEN_IDENT)
            return STATEMENT_OTHER;
        return text_is_i(word, "set")                                  ? SET_NAME
               : text_is_i(word, "alter") || text_is_i(word, "create") ? MAY_SET
                                                                       : STATEMENT_OTHER;
    case MAY_SET:
        return t.kind == TOKEN_IDENT && text_is_i(word, "set") ? SET_NAME : now;
    case SET_NAME:
        if (token_is_char(sql, t, '='))
            return SET_VALUE;
        return t.kind == TOKEN_IDENT && (text_is_i(word, "to") || text_is_i(word, "zone"))
                   ? SET_VALUE
                   : now;
    default:
        return now;
    }
}

static enum shown shown(struct text sql, struct token t, bool strict)
{
    switch (t.kind) {
    case TOKEN_IDENT:
        return strict && !is_word(sql, t) ? SHOW_MARK : SHOW_TEXT;
    case TOKEN_QIDENT:
        return strict ? SHOW_MARK : SHOW_TEXT;
    case TOKEN_OP:
    case TOKEN_SELF:
    case TOKEN_TYPECAST:
    case TOKEN_COLON_EQUALS:
    case TOKEN_DOTDOT:
    case TOKEN_EQUALS_GREATER:
        return SHOW_TEXT;
    case TOKEN_COMMENT:
    case TOKEN_LINE_COMMENT:
        return SHOW_NOTHING;
    default:
        return SHOW_MARK;
    }
}

/* A list of marks is one mark: "?, ?, ?" becomes "?, ...". true: the mark is dealt with. */
static bool join_list(struct buf *out, size_t start)
{
    struct text made = text_n(buf_data(out) + start, buf_len(out) - start);
    size_t n = made.n;
    if (n && made.p[n - 1] == ' ')
        n--;
    if (n < 2 || made.p[n - 1] != ',')
        return false;
    n--;
    bool one = made.p[n - 1] == '?';
    if (!one && (n < 4 || memcmp(made.p + n - 4, " ...", 4) != 0))
        return false;
    out->n -= made.n - n;
    if (one)
        buf_text_append(out, TEXT(", ..."));
    return true;
}

static void put_token(struct buf *out, size_t start, struct text sql, struct token t, enum shown s)
{
    if (s == SHOW_MARK) {
        if (!join_list(out, start))
            buf_char(out, '?');
        return;
    }
    for (uint32_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)sql.p[t.off + i];
        buf_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

/* A row like the one before it says nothing new: "(?, ...), (?, ...)" is "(?, ...)". */
static bool is_repeat(struct text made, size_t *keep)
{
    static const char two[] = ", ";
    if (made.n < 2 || made.p[made.n - 1] != ')')
        return false;
    size_t open = made.n;
    for (int depth = 0; open > 0; open--) {
        char c = made.p[open - 1];
        depth += c == ')' ? 1 : c == '(' ? -1 : 0;
        if (depth == 0)
            break;
    }
    if (open == 0)
        return false;
    open--;
    struct text row = text_n(made.p + open, made.n - open);
    if (open < row.n + 2)
        return false;
    for (size_t i = 0; i < row.n; i++)
        if (!strchr("?, ().", row.p[i]))
            return false;
    size_t before = open;
    while (before > 0 && strchr(two, made.p[before - 1]))
        before--;
    if (before == open || before < row.n || !text_eq(text_n(made.p + before - row.n, row.n), row))
        return false;
    *keep = before;
    return true;
}

/* The text up to where it cannot be read as UTF-8. */
static struct text readable(struct text sql, bool *cut)
{
    size_t bad;
    *cut = !guard_utf8(sql, &bad);
    return *cut ? text_n(sql.p, bad) : sql;
}

/* A broken quote makes names of what was meant as literals. Such a text cannot be tokenised to its
 * end, or has strings that touch words. */
static bool is_broken(struct text sql, bool *cut)
{
    struct lexer x;
    struct token t, last = { .kind = TOKEN_COMMENT };
    bool touches = false;

    lexer_init(&x, sql, NULL);
    while (lexer_next(&x, &t)) {
        bool word = t.kind == TOKEN_IDENT || t.kind == TOKEN_INT || t.kind == TOKEN_FLOAT,
             last_word =
                 last.kind == TOKEN_IDENT || last.kind == TOKEN_INT || last.kind == TOKEN_FLOAT;
        if (t.off == last.off + last.len &&
            ((t.kind == TOKEN_STRING && last_word) || (last.kind == TOKEN_STRING && word)))
            touches = true;
        if (t.kind == TOKEN_OTHER && sql.p[t.off] == '\\') /* of a string, for another reader */
            touches = true;
        last = t;
    }
    *cut |= x.trouble != LEXER_FINE;
    return touches || x.trouble != LEXER_FINE;
}

bool redact_is_broken(struct text sql)
{
    bool cut = false;

    return is_broken(sql, &cut);
}

void redact(struct text sql, bool strict, struct buf *out)
{
    struct lexer x;
    struct token t;
    bool cut;
    size_t start = buf_len(out);
    uint32_t end = 0;
    enum values at = STATEMENT_BEGINS;
    struct fold list = { 0 };

    sql = readable(sql, &cut);
    strict |= is_broken(sql, &cut);
    lexer_init(&x, sql, NULL);
    while (!out->failed && lexer_next(&x, &t)) {
        enum shown s = at == SET_VALUE && is_name(t) ? SHOW_MARK : shown(sql, t, strict);
        at = values_after(at, sql, t);
        size_t made = buf_len(out) - start;
        if (s == SHOW_NOTHING)
            continue;
        /* a mark may become ", ..." */
        if (made + (s == SHOW_TEXT ? t.len : sizeof(", ...") - 1) + 1 +
                (list.close ? FOLD_GROWTH : 0) >
            REDACT_MAX) {
            cut = true;
            break;
        }
        if (!fold_before(&list, sql, t, out) && made && t.off > end)
            buf_char(out, ' ');
        put_token(out, start, sql, t, s);
        if (!strict)
            fold_after(&list, sql, t, out);
        end = t.off + t.len;
        if (token_is_char(sql, t, ')') && t.depth == 0) {
            size_t keep;
            if (is_repeat(text_n(buf_data(out) + start, buf_len(out) - start), &keep))
                out->n -= buf_len(out) - start - keep;
        }
    }
    if (cut)
        buf_text_append(out, buf_len(out) > start ? TEXT(" ...") : TEXT("..."));
}
