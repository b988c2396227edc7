/* SPDX-License-Identifier: ISC */
/* PostgreSQL's scanner by hand: one pass, no look-back, each byte looked at a bounded number of
 * times. */
#include "tenant/lexer.h"

enum {
    SPACE = 1,    /* space tab newline return form feed */
    ID_START = 2, /* letter, underscore, any byte above 127 */
    DIGIT = 4,
    OPERATOR = 8,
    SELF = 16,       /* punctuation that is a token of its own */
    KEEPS_SIGN = 32, /* an operator with one of these may end in + or - */
    NEWLINE = 64
};

#define HIGH16                                                                                     \
    ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,      \
        ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START

/* clang-format off */
static const uint8_t classes[256] = {
    ['\t'] = SPACE, ['\n'] = SPACE | NEWLINE, ['\f'] = SPACE, ['\r'] = SPACE | NEWLINE,
    [' '] = SPACE,
    ['A'] = ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ['a'] = ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START, ID_START,
    ['_'] = ID_START,
    ['0'] = DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT,
    ['~'] = OPERATOR | KEEPS_SIGN, ['!'] = OPERATOR | KEEPS_SIGN, ['@'] = OPERATOR | KEEPS_SIGN,
    ['#'] = OPERATOR | KEEPS_SIGN, ['&'] = OPERATOR | KEEPS_SIGN, ['|'] = OPERATOR | KEEPS_SIGN,
    ['`'] = OPERATOR | KEEPS_SIGN, ['?'] = OPERATOR | KEEPS_SIGN,
    ['%'] = OPERATOR | KEEPS_SIGN | SELF, ['^'] = OPERATOR | KEEPS_SIGN | SELF,
    ['+'] = OPERATOR | SELF, ['-'] = OPERATOR | SELF, ['*'] = OPERATOR | SELF,
    ['/'] = OPERATOR | SELF, ['<'] = OPERATOR | SELF, ['>'] = OPERATOR | SELF,
    ['='] = OPERATOR | SELF,
    [','] = SELF, ['('] = SELF, [')'] = SELF, ['['] = SELF, [']'] = SELF, ['.'] = SELF,
    [';'] = SELF, [':'] = SELF,
    [128] = HIGH16, HIGH16, HIGH16, HIGH16, HIGH16, HIGH16, HIGH16, HIGH16,
};
/* clang-format on */

const struct lexer_limits lexer_default_limits = {
    .tokens = 200000, .operator_run = 63, .comment_nesting = 16, .depth = 500
};

static uint8_t class_of(unsigned char c)
{
    return classes[c];
}

/* The byte at an offset; 0 behind the end. */
static unsigned char at(const struct lexer *x, size_t i)
{
    return i < x->sql.n ? (unsigned char)x->sql.p[i] : 0;
}

static bool has_class(const struct lexer *x, size_t i, uint8_t c)
{
    return i < x->sql.n && (class_of((unsigned char)x->sql.p[i]) & c);
}

static bool trouble(struct lexer *x, enum lexer_trouble t, size_t off)
{
    x->trouble = t;
    x->trouble_off = (uint32_t)off;
    return false;
}

void lexer_init(struct lexer *x, struct text sql, const struct lexer_limits *limits)
{
    *x = (struct lexer){ .sql = sql, .limits = limits ? limits : &lexer_default_limits };
}

static size_t skip(const struct lexer *x, size_t i, uint8_t c)
{
    while (has_class(x, i, c))
        i++;
    return i;
}

/* Offset of the end of the line, or of the text. */
static size_t line_end(const struct lexer *x, size_t i)
{
    while (i < x->sql.n && !(class_of((unsigned char)x->sql.p[i]) & NEWLINE))
        i++;
    return i;
}

static void blank(struct lexer *x, size_t from, size_t to)
{
    if (!x->blank)
        return;
    for (size_t i = from; i < to; i++)
        if (!(class_of((unsigned char)x->blank[i]) & NEWLINE))
            x->blank[i] = ' ';
}

/* Behind a closing quote: does the string continue behind a line end (white space and -- comments
 * around it)? Gives the offset behind the next opening quote, 0 when it does not. */
static size_t continuation(struct lexer *x, size_t i)
{
    bool newline = false;
    for (size_t j = i;;) {
        if (has_class(x, j, SPACE)) {
            newline = newline || has_class(x, j, NEWLINE);
            j++;
        } else if (at(x, j) == '-' && at(x, j + 1) == '-') {
            j = line_end(x, j);
            if (j == x->sql.n)
                return 0;
        } else {
            return newline && at(x, j) == '\'' ? j + 1 : 0;
        }
    }
}

/* Overwrites the comments of a gap that continuation() crossed. */
static void blank_gap(struct lexer *x, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (x->sql.p[i] == '-') {
            size_t end = line_end(x, i);
            blank(x, i, end);
            i = end;
        }
    }
}

/* The offset behind the next quote, 0 when there is none: without and with backslash escapes. */
static size_t plain_end(const struct lexer *x, size_t i)
{
    const char *q = i < x->sql.n ? memchr(x->sql.p + i, '\'', x->sql.n - i) : NULL;
    return q ? (size_t)(q - x->sql.p) + 1 : 0;
}

static size_t escaped_end(const struct lexer *x, size_t i)
{
    for (; i < x->sql.n && x->sql.p[i] != '\''; i++)
        if (x->sql.p[i] == '\\')
            i++;
    return i < x->sql.n ? i + 1 : 0;
}

/* i is behind the opening quote; gives the offset behind the closing one, 0 when there is none. A
 * doubled quote is part of the string, but ends a bit string. */
static size_t quoted(struct lexer *x, size_t i, enum token_kind kind)
{
    bool doubles = kind != TOKEN_BIT && kind != TOKEN_HEX;
    for (;;) {
        i = kind == TOKEN_ESTRING ? escaped_end(x, i) : plain_end(x, i);
        if (!i)
            return 0;
        if (doubles && at(x, i) == '\'') {
            i++;
            continue;
        }
        size_t more = continuation(x, i);
        if (!more)
            return i;
        blank_gap(x, i, more - 1);
        i = more;
    }
}

/* "..." from behind its opening quote; 0 when it does not end. */
static size_t quoted_ident(const struct lexer *x, size_t i)
{
    for (;;) {
        const char *q = i < x->sql.n ? memchr(x->sql.p + i, '"', x->sql.n - i) : NULL;
        if (!q)
            return 0;
        i = (size_t)(q - x->sql.p) + 1;
        if (at(x, i) != '"')
            return i;
        i++;
    }
}

static bool give(struct lexer *x, struct token *t, enum token_kind kind, size_t end)
{
    t->len = (uint32_t)(end - t->off);
    t->kind = kind;
    t->depth = x->depth;
    x->pos = end;
    x->after_string = kind >= TOKEN_STRING && kind <= TOKEN_HEX && kind != TOKEN_DOLLAR;
    return true;
}

static bool lex_string(struct lexer *x, struct token *t, enum token_kind kind, size_t prefix)
{
    size_t end = quoted(x, t->off + prefix + 1, kind);
    return end ? give(x, t, kind, end) : trouble(x, LEXER_UNTERMINATED, t->off);
}

static bool lex_quoted_ident(struct lexer *x, struct token *t, enum token_kind kind, size_t prefix)
{
    size_t open = t->off + prefix, end = quoted_ident(x, open + 1);
    if (!end)
        return trouble(x, LEXER_UNTERMINATED, t->off);
    if (end == open + 2)
        return trouble(x, LEXER_EMPTY_IDENT, t->off);
    return give(x, t, kind, end);
}

static bool lex_word(struct lexer *x, struct token *t)
{
    size_t i = t->off;
    unsigned char next = at(x, i + 1);
    if (next == '\'') {
        switch (at(x, i)) {
        case 'e':
        case 'E':
            return lex_string(x, t, TOKEN_ESTRING, 1);
        case 'b':
        case 'B':
            return lex_string(x, t, TOKEN_BIT, 1);
        case 'x':
        case 'X':
            return lex_string(x, t, TOKEN_HEX, 1);
        case 'n':
        case 'N':
            return lex_string(x, t, TOKEN_NSTRING, 1);
        default:
            break;
        }
    }
    if (next == '&' && (at(x, i) == 'u' || at(x, i) == 'U')) {
        if (at(x, i + 2) == '\'')
            return lex_string(x, t, TOKEN_USTRING, 2);
        if (at(x, i + 2) == '"')
            return lex_quoted_ident(x, t, TOKEN_UIDENT, 2);
    }
    for (i++; has_class(x, i, ID_START | DIGIT) || at(x, i) == '$';)
        i++;
    return give(x, t, TOKEN_IDENT, i);
}

/* At most 2147483647? The scanner gives larger ones another kind. */
static bool small_int(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n && v <= INT32_MAX; i++)
        v = v * 10 + (uint64_t)(p[i] - '0');
    return v <= INT32_MAX;
}

static bool lex_number(struct lexer *x, struct token *t)
{
    size_t i = skip(x, t->off, DIGIT);
    bool whole = true;
    if (at(x, i) == '.' && !(at(x, i + 1) == '.' && i > t->off)) { /* 1..2 is 1 .. 2 */
        i = skip(x, i + 1, DIGIT);
        whole = false;
    }
    if (at(x, i) == 'e' || at(x, i) == 'E') {
        size_t exponent = i + 1;
        if (at(x, exponent) == '+' || at(x, exponent) == '-')
            exponent++;
        if (!has_class(x, exponent, DIGIT))
            return trouble(x, LEXER_JUNK, t->off);
        i = skip(x, exponent, DIGIT);
        whole = false;
    }
    if (has_class(x, i, ID_START))
        return trouble(x, LEXER_JUNK, t->off);
    bool is_int = whole && small_int(x->sql.p + t->off, i - t->off);
    return give(x, t, is_int ? TOKEN_INT : TOKEN_FLOAT, i);
}

/* $1, $$...$$, $tag$...$tag$ or a stray $. */
static bool lex_dollar(struct lexer *x, struct token *t)
{
    size_t i = t->off + 1;
    if (has_class(x, i, DIGIT)) {
        i = skip(x, i, DIGIT);
        if (has_class(x, i, ID_START))
            return trouble(x, LEXER_JUNK, t->off);
        return give(x, t, TOKEN_PARAM, i);
    }
    if (has_class(x, i, ID_START))
        i = skip(x, i, ID_START | DIGIT);
    if (at(x, i) != '$')
        return give(x, t, TOKEN_OTHER, t->off + 1);
    size_t tag = i + 1 - t->off;
    const char *end = memmem(x->sql.p + i + 1, x->sql.n - i - 1, x->sql.p + t->off, tag);
    if (!end)
        return trouble(x, LEXER_UNTERMINATED, t->off);
    return give(x, t, TOKEN_DOLLAR, (size_t)(end - x->sql.p) + tag);
}

/* Operator bytes and comment starts that follow each other without anything else are counted: the
 * parser's scanner looks at such a run again for each token in it. */
static bool count_run(struct lexer *x, size_t from, uint32_t n)
{
    x->run += n;
    return x->run <= x->limits->operator_run || trouble(x, LEXER_OPERATOR_RUN, from);
}

static bool lex_comment(struct lexer *x, struct token *t)
{
    uint32_t level = 0;
    size_t i = t->off;
    bool kept = x->after_string;
    if (x->run_end != i)
        x->run = 0;
    do {
        if (i + 1 >= x->sql.n)
            return trouble(x, LEXER_UNTERMINATED, t->off);
        if (x->sql.p[i] == '/' && x->sql.p[i + 1] == '*') {
            if (++level > x->limits->comment_nesting)
                return trouble(x, LEXER_NESTING, t->off);
            if (!count_run(x, t->off, 2))
                return false;
            i += 2;
        } else if (x->sql.p[i] == '*' && x->sql.p[i + 1] == '/') {
            level--;
            i += 2;
        } else {
            if (!has_class(x, i, OPERATOR))
                x->run = 0;
            i++;
        }
    } while (level > 0);
    x->run_end = i;
    give(x, t, TOKEN_COMMENT, i);
    x->after_string = kept;
    if (!kept)
        blank(x, t->off, i);
    return true;
}

static bool lex_line_comment(struct lexer *x, struct token *t)
{
    bool kept = x->after_string;
    size_t end = line_end(x, t->off);
    blank(x, t->off, end);
    give(x, t, TOKEN_LINE_COMMENT, end);
    x->after_string = kept;
    return true;
}

/* Number of bytes of the operator at the offset, by the rules of the manual's chapter "Operators".
 */
static size_t operator_length(const struct lexer *x, size_t from, size_t end)
{
    size_t n = 1;
    bool keeps = has_class(x, from, KEEPS_SIGN);
    for (; from + n < end; n++) {
        unsigned char a = at(x, from + n), b = at(x, from + n + 1);
        if ((a == '/' && b == '*') || (a == '-' && b == '-'))
            break;
        keeps = keeps || has_class(x, from + n, KEEPS_SIGN);
    }
    while (n > 1 && !keeps && (at(x, from + n - 1) == '+' || at(x, from + n - 1) == '-'))
        n--;
    return n;
}

static bool lex_operator(struct lexer *x, struct token *t)
{
    size_t from = t->off, end = from;
    /* looking further than the limit only makes a text pass or fail alike */
    while (end - from <= (size_t)x->limits->operator_run + 1 && has_class(x, end, OPERATOR))
        end++;
    size_t n = operator_length(x, from, end);
    if (x->run_end != from)
        x->run = 0;
    x->run_end = from + n;
    if (!count_run(x, from, (uint32_t)n))
        return false;
    if (n >= 64)
        return trouble(x, LEXER_LONG_OPERATOR, from);
    if (n == 1 && has_class(x, from, SELF))
        return give(x, t, TOKEN_SELF, from + 1);
    if (n == 2 && at(x, from) == '=' && at(x, from + 1) == '>')
        return give(x, t, TOKEN_EQUALS_GREATER, from + 2);
    return give(x, t, TOKEN_OP, from + n);
}

static bool lex_punctuation(struct lexer *x, struct token *t, unsigned char c)
{
    size_t end = t->off + 1;
    unsigned char next = at(x, end);
    switch (c) {
    case '.':
        if (has_class(x, end, DIGIT))
            return lex_number(x, t);
        if (next == '.')
            return give(x, t, TOKEN_DOTDOT, end + 1);
        break;
    case ':':
        if (next == ':')
            return give(x, t, TOKEN_TYPECAST, end + 1);
        if (next == '=')
            return give(x, t, TOKEN_COLON_EQUALS, end + 1);
        break;
    case '(':
    case '[':
        give(x, t, TOKEN_SELF, end);
        return ++x->depth <= x->limits->depth || trouble(x, LEXER_DEPTH, t->off);
    case ')':
    case ']':
        x->depth -= x->depth > 0;
        break;
    default:
        break;
    }
    return give(x, t, TOKEN_SELF, end);
}

bool lexer_next(struct lexer *x, struct token *t)
{
    if (x->trouble)
        return false;
    size_t i = skip(x, x->pos, SPACE);
    x->pos = i;
    if (i >= x->sql.n)
        return false;
    unsigned char c = (unsigned char)x->sql.p[i];
    uint8_t cls = class_of(c);
    t->off = (uint32_t)i;
    if (cls & ID_START)
        return lex_word(x, t);
    if (cls & DIGIT)
        return lex_number(x, t);
    if (c == '/' && at(x, i + 1) == '*')
        return lex_comment(x, t);
    if (c == '-' && at(x, i + 1) == '-')
        return lex_line_comment(x, t);
    if (cls & OPERATOR)
        return lex_operator(x, t);
    if (cls & SELF)
        return lex_punctuation(x, t, c);
    if (c == '\'')
        return lex_string(x, t, TOKEN_STRING, 0);
    if (c == '"')
        return lex_quoted_ident(x, t, TOKEN_QIDENT, 0);
    if (c == '$')
        return lex_dollar(x, t);
    return give(x, t, TOKEN_OTHER, i + 1);
}

static const char *unterminated(const struct lexer *x)
{
    size_t i = x->trouble_off;
    switch (at(x, i)) {
    case '/':
        return "unterminated /* comment";
    case '"':
        return "unterminated quoted identifier";
    case '$':
        return "unterminated dollar-quoted string";
    case 'b':
    case 'B':
        return "unterminated bit string literal";
    case 'x':
    case 'X':
        return "unterminated hexadecimal string literal";
    case 'u':
    case 'U':
        return at(x, i + 2) == '"' ? "unterminated quoted identifier"
                                   : "unterminated quoted string";
    default:
        return "unterminated quoted string";
    }
}

bool lexer_error(const struct lexer *x, struct err *e)
{
    switch (x->trouble) {
    case LEXER_FINE:
        break;
    case LEXER_UNTERMINATED:
        return err_set_state(e, "42601", "%s", unterminated(x));
    case LEXER_JUNK:
        return err_set_state(e, "42601", "trailing junk after %s",
                             at(x, x->trouble_off) == '$' ? "parameter" : "numeric literal");
    case LEXER_EMPTY_IDENT:
        return err_set_state(e, "42601", "zero-length delimited identifier");
    case LEXER_LONG_OPERATOR:
        return err_set_state(e, "42601", "operator too long");
    case LEXER_OPERATOR_RUN:
        return err_set_state(e, "54000", "more than %u operator characters in a row",
                             x->limits->operator_run);
    case LEXER_NESTING:
        return err_set_state(e, "54000", "comments nested more than %u deep",
                             x->limits->comment_nesting);
    case LEXER_DEPTH:
        return err_set_state(e, "54000", "parentheses nested more than %u deep", x->limits->depth);
    case LEXER_TOKENS:
        return err_set_state(e, "54000", "more than %u tokens", x->limits->tokens);
    }
    return err_set(e, "no error");
}

int lexer_run(struct text sql, struct arena *a, struct token **out,
              const struct lexer_limits *limits, struct err *e)
{
    struct lexer x;
    struct token t, *v = NULL;
    uint32_t n = 0, cap = 0;
    *out = NULL;
    lexer_init(&x, sql, limits);
    while (lexer_next(&x, &t)) {
        if (n == x.limits->tokens) {
            trouble(&x, LEXER_TOKENS, t.off);
            break;
        }
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            struct token *more = arena_alloc(a, sizeof(*more) * cap);
            if (n)
                memcpy(more, v, sizeof(*v) * n);
            v = more;
        }
        v[n++] = t;
    }
    if (x.trouble) {
        lexer_error(&x, e);
        return -1;
    }
    *out = v;
    return (int)n;
}

static const struct text keywords[KW_number_of] = {
    { "", 0 },
#define KEYWORD(upper, lower) { #lower, sizeof(#lower) - 1 },
#include "tenant/keywords.def"
#undef KEYWORD
};

/* The first key word from each letter on, a to z; the test finds every key word by them. */
static const uint16_t by_letter[27] = {
    KW_ABORT,   KW_BACKWARD, KW_CACHE, KW_DATA,  KW_EACH,      KW_FALSE,    KW_GENERATED,
    KW_HANDLER, KW_IDENTITY, KW_JOIN,  KW_KEY,   KW_LABEL,     KW_MAPPING,  KW_NAME,
    KW_OBJECT,  KW_PARALLEL, KW_QUOTE, KW_RANGE, KW_SAVEPOINT, KW_TABLE,    KW_UESCAPE,
    KW_VACUUM,  KW_WHEN,     KW_XML,   KW_YEAR,  KW_ZONE,      KW_number_of
};

enum lexer_keyword lexer_keyword(struct text sql, struct token t)
{
    char word[24];
    if (t.kind != TOKEN_IDENT || t.len >= sizeof(word))
        return KW_no_keyword;
    for (uint32_t i = 0; i < t.len; i++) {
        char c = sql.p[t.off + i];
        word[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    word[t.len] = 0;
    if (word[0] < 'a' || word[0] > 'z')
        return KW_no_keyword;
    int low = by_letter[word[0] - 'a'], high = by_letter[word[0] - 'a' + 1];
    while (low < high) {
        int mid = low + (high - low) / 2;
        const char *a = word + 1, *b = keywords[mid].p + 1;
        while (*a && *a == *b) {
            a++;
            b++;
        }
        if (*a == *b)
            return (enum lexer_keyword)mid;
        if ((unsigned char)*a < (unsigned char)*b)
            high = mid;
        else
            low = mid + 1;
    }
    return KW_no_keyword;
}
