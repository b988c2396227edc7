/* SPDX-License-Identifier: ISC */
/*
 * PostgreSQL's tokens (manual, chapter "Lexical Structure"; the scanner of version 15 with
 * standard_conforming_strings on). Linear in the size of the text whatever it holds.
 *
 * Newer and older servers differ only where this lexer, or the parser behind it, reports an error.
 */
#ifndef TENANT_LEXER_H
#define TENANT_LEXER_H

#include "base/arena.h"
#include "base/err.h"

enum token_kind {
    TOKEN_IDENT,          /* unquoted identifier or key word */
    TOKEN_QIDENT,         /* "..." */
    TOKEN_UIDENT,         /* U&"..." without its UESCAPE */
    TOKEN_STRING,         /* '...', with its continuations on further lines */
    TOKEN_ESTRING,        /* E'...' */
    TOKEN_USTRING,        /* U&'...' without its UESCAPE */
    TOKEN_NSTRING,        /* N'...' */
    TOKEN_DOLLAR,         /* $tag$...$tag$ */
    TOKEN_BIT,            /* B'...' */
    TOKEN_HEX,            /* X'...' */
    TOKEN_INT,            /* digits, at most 2147483647 */
    TOKEN_FLOAT,          /* any other number */
    TOKEN_PARAM,          /* $n */
    TOKEN_OP,             /* operator of any length but one that is TOKEN_SELF; also <= >= <> != */
    TOKEN_SELF,           /* one of , ( ) [ ] . ; : + - * / % ^ < > = */
    TOKEN_TYPECAST,       /* :: */
    TOKEN_COLON_EQUALS,   /* := */
    TOKEN_DOTDOT,         /* .. */
    TOKEN_EQUALS_GREATER, /* => */
    TOKEN_OTHER,   /* a character that no statement has outside quotes: the parser refuses it */
    TOKEN_COMMENT, /* block comment with those nested in it */
    TOKEN_LINE_COMMENT, /* -- up to, without, the end of the line */
    TOKEN_KINDS
};

struct token {
    uint32_t off, len;
    enum token_kind kind;
    uint32_t depth; /* open ( and [ around it; a bracket and its partner have the same */
};

enum lexer_trouble {
    LEXER_FINE,
    LEXER_UNTERMINATED,  /* string, identifier or comment */
    LEXER_JUNK,          /* letters directly behind a number or parameter */
    LEXER_EMPTY_IDENT,   /* "" */
    LEXER_LONG_OPERATOR, /* 64 bytes or more */
    LEXER_OPERATOR_RUN,  /* limit */
    LEXER_NESTING,       /* limit: comments within comments */
    LEXER_DEPTH,         /* limit: parentheses and brackets */
    LEXER_TOKENS         /* limit (lexer_run) */
};

struct lexer_limits {
    uint32_t tokens; /* comments included */
    uint32_t
        operator_run; /* operator bytes without anything between them, comments counting 2 each */
    uint32_t comment_nesting; /* 1 = a comment without comments in it */
    uint32_t depth;
};

/* 200,000 tokens, 63, 16, 500. */
extern const struct lexer_limits lexer_default_limits;

struct lexer {
    struct text sql;
    size_t pos; /* next byte */
    uint32_t depth;
    uint32_t run; /* operator bytes counted since run_end was not an operator byte */
    size_t run_end;
    bool after_string; /* nothing but white space since a quoted string, or a comment kept for its
                          sake */
    char *blank; /* copy of the text in which comments are overwritten with spaces; NULL: none */
    const struct lexer_limits *limits;
    enum lexer_trouble trouble;
    uint32_t trouble_off; /* where the bad token starts */
};

/* sql.n < 4 GB. limits NULL = defaults; they live as long as the lexer. */
void lexer_init(struct lexer *x, struct text sql, const struct lexer_limits *limits);
/* The next token or comment. false: at the end (x->trouble == LEXER_FINE) or in trouble. */
bool lexer_next(struct lexer *x, struct token *t);

/* All tokens, comments included, into *out in the arena. Count, or -1: e has a message as the
 * server's with SQLSTATE 42601, or 54000 for a limit, and *out is NULL. limits NULL = defaults. */
int lexer_run(struct text sql, struct arena *a, struct token **out,
              const struct lexer_limits *limits, struct err *e);

/* The message for trouble, e.g. "unterminated quoted string". */
bool lexer_error(const struct lexer *x, struct err *e);

static inline struct text token_text(struct text sql, struct token t)
{
    return (struct text){ sql.p + t.off, t.len };
}

static inline bool token_is_comment(struct token t)
{
    return t.kind == TOKEN_COMMENT || t.kind == TOKEN_LINE_COMMENT;
}

/* Is it this one character? */
static inline bool token_is_char(struct text sql, struct token t, char c)
{
    return t.kind == TOKEN_SELF && sql.p[t.off] == c;
}

enum lexer_keyword {
    KW_no_keyword,
#define KEYWORD(upper, lower) KW_##upper,
#include "tenant/keywords.def"
#undef KEYWORD
    KW_number_of
};

/* The key word that an unquoted identifier is (without regard to ASCII case), KW_no_keyword (0)
 * when it is none of keywords.def or the token is no TOKEN_IDENT. Whether it stands for a name is
 * the caller's business (`t.group`). */
enum lexer_keyword lexer_keyword(struct text sql, struct token t);

#endif
