/* SPDX-License-Identifier: ISC */
/*
 * Text insertion: snippets of SQL are put between the tokens of the client's text, the tree is
 * edited in step, and the caller compares the parse of the new text with the edited tree. Nothing
 * is ever printed from a tree.
 *
 * All places are found from the byte offset of a relation's name and the tokens around it. A wrong
 * guess cannot do harm: the comparison fails and the statement is refused.
 */
#ifndef TENANT_INJECT_H
#define TENANT_INJECT_H

#include "tenant/lexer.h"
#include "tenant/scope.h"
#include "tenant/verdict.h"

/* SQL made of fixed text and holes for claim values. */
struct snippet {
    struct arena *arena;
    struct verdict_piece *v;
    int n, cap;
};

void snippet_init(struct snippet *s, struct arena *a);
void snippet_text(struct snippet *s, struct text t);
void snippet_add(struct snippet *s, const char *z);
void snippet_ident(struct snippet *s, struct text name); /* always quoted */
/* schema.qualifier.column, or without the schema when it is empty; quoted, in one piece. */
void snippet_column(struct snippet *s, struct text schema, struct text qualifier,
                    struct text column);
void snippet_param(struct snippet *s, int n); /* $n, n > 0 */
void snippet_hole(struct snippet *s, int hole);
void snippet_append(struct snippet *s, const struct snippet *more);

/* Order of insertions at one offset. */
enum inject_rank {
    RANK_CLOSE_WRAP, /* ) AS alias of a sub-select */
    RANK_CLOSE_ON,   /* ) of an ON condition */
    RANK_WHERE,      /* WHERE, or its closing parenthesis */
    RANK_APPEND,     /* behind a list */
    RANK_REPLACE,    /* instead of tokens */
    RANK_OPEN_WRAP,
    RANK_QUALIFY
};

struct edit {
    uint32_t off, cut; /* cut: bytes of the client's text left out */
    enum inject_rank rank;
    int seq;
    struct snippet text;
};

struct inject_token {
    uint32_t off, end;
    int match;             /* partner of a bracket, -1 */
    char ch;               /* punctuation: the character, else 0 */
    enum lexer_keyword kw; /* 0 when none or when it stands for a name */
    bool is_op;            /* an operator */
    bool is_uident;        /* U&"": its end is not certain */
};

struct inject {
    struct arena *arena;
    struct text sql;
    struct inject_token *tok;
    int n_tok;
    int max_param; /* highest $n */
    bool has_hint; /* a comment that reads as an optimizer hint stayed in the text */
    struct edit *edits;
    int n_edits, cap;
};

/* Takes the text, its comments blanked, and its tokens (guard_scan). */
void inject_init(struct inject *j, struct arena *a, struct text sql, const struct token *t, int n);
void inject_put(struct inject *j, uint32_t off, uint32_t cut, enum inject_rank rank,
                const struct snippet *s);
/* The whole new text as pieces. */
void inject_result(struct inject *j, struct snippet *out);

/* Index of the token that starts at the byte offset; -1 none. */
int inject_at(const struct inject *j, int off);

/* A condition's place: the keyword's token, or -1 when there is none yet; the first and last token
 * of the expression. */
struct inject_place {
    int keyword; /* WHERE or ON */
    int last;    /* last token of the expression, or of what the new clause follows */
};
/* WHERE of the SELECT in whose FROM the relation's token stands. */
bool inject_select_where(const struct inject *j, int anchor, struct inject_place *p);
/* WHERE of UPDATE or DELETE, from the token of its target. */
bool inject_dml_where(const struct inject *j, int anchor, struct inject_place *p);
/* ON of a join, from the first token of its condition. */
bool inject_on(const struct inject *j, int first, struct inject_place *p);
/* Adds the condition: `KEYWORD cond AND (old)`, or ` WHERE cond`. */
void inject_condition(struct inject *j, const struct inject_place *p, const struct snippet *cond,
                      enum inject_rank close);
/* First and last token of `[ONLY] [schema.]name [*]`, also `ONLY (name)`, given the name's first
 * token. */
bool inject_relation(const struct inject *j, int anchor, bool only, int *first, int *last);
/* Last token of the TABLESAMPLE clause that follows the relation's last token and its alias; -1. */
int inject_sample_last(const struct inject *j, int last);
/* Is the relation the operand of TABLE? gives that token, else -1. */
int inject_table_keyword(const struct inject *j, int first);

/* INSERT: what stands behind the target. */
struct inject_insert {
    int target_last; /* last token of the target and its alias */
    int cols_close;  /* `)` of the column list, -1 without */
    int query;    /* first token of the query (VALUES, SELECT, TABLE, WITH or a parenthesis), -1 =
                     DEFAULT VALUES */
    int defaults; /* DEFAULT of DEFAULT VALUES, -1 */
    int end;      /* one past the last token of the query */
};
bool inject_insert_shape(const struct inject *j, int anchor, bool has_cols,
                         struct inject_insert *s);
/* The leaves of a query in text order: tokens SELECT, VALUES or TABLE. Returns how many; at most
 * max are stored. */
int inject_arms(const struct inject *j, int first, int end, int *arms, int max);
/* Last token of the target list of the SELECT at the token; -1. */
int inject_targets_last(const struct inject *j, int select);
/* Closing parentheses of the rows of VALUES at the token. */
int inject_rows(const struct inject *j, int values, int *rows, int max);
/* INSERT actions of MERGE: the number-th WHEN clause behind the token. DEFAULT VALUES: defaults >=
 * 0; else values is the opening parenthesis. target_last is INSERT itself. */
bool inject_merge_insert(const struct inject *j, int from, int number, bool has_cols,
                         struct inject_insert *s, int *values);
/* WHERE of DO UPDATE, from the first token behind ON CONFLICT's start. */
bool inject_conflict_where(const struct inject *j, int from, struct inject_place *p);

#endif
