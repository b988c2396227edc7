/* SPDX-License-Identifier: ISC */
/* The entry point: limits, parse, walk, insertion, verification, and the cache around them. */
#include "tenant/cache.h"
#include "tenant/guard.h"
#include "tenant/trace.h"
#include "tenant/value.h"
#include "tenant/walk.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct tenant_engine {
    struct cache cache;
    struct guard_limits limits;
    struct tree_parser parser;
    struct tenant_stats stats;
};

struct tenant_engine *tenant_engine_new(const struct tenant_engine_opts *o)
{
    struct tenant_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->limits = guard_default_limits;
    if (o->max_statement)
        e->limits.bytes = o->max_statement;
    if (!cache_init(&e->cache, o->cache_bytes)) {
        free(e);
        return NULL;
    }
    return e;
}

void tenant_engine_free(struct tenant_engine *e)
{
    if (!e)
        return;
    cache_release(&e->cache);
    free(e);
}

const struct tenant_stats *tenant_engine_stats(const struct tenant_engine *e)
{
    return &e->stats;
}

bool walk_refuse(struct walk *w, enum refusal r, int loc, const char *hint, const char *detail, ...)
{
    if (w->refused)
        return false;
    va_list ap;
    char *line = NULL;
    va_start(ap, detail);
    int n = vasprintf(&line, detail, ap);
    va_end(ap);
    w->refused = true;
    w->reason = r;
    w->loc = loc;
    w->detail = n > 0 ? arena_text(w->arena, text_n(line, (size_t)n)) : TEXT("");
    w->hint = arena_text(w->arena, text_of(hint));
    if (n >= 0)
        free(line);
    return false;
}

/* ---- judging one text ---- */

/* 1-based characters of a byte offset in UTF-8. */
static int position_of(struct text sql, int off)
{
    int chars = 1;
    if (off < 0 || (size_t)off > sql.n)
        return 0;
    for (int i = 0; i < off; i++)
        chars += ((unsigned char)sql.p[i] & 0xc0) != 0x80;
    return chars;
}

static enum refusal guard_reason(enum guard_code c)
{
    switch (c) {
    case GUARD_NUL:
    case GUARD_UTF8:
    case GUARD_ENCODING:
        return REFUSAL_encoding;
    case GUARD_STRINGS:
        return REFUSAL_setting;
    case GUARD_SYNTAX:
        return REFUSAL_unparsable;
    case GUARD_OK:
    case GUARD_BYTES:
    case GUARD_TOKENS:
    case GUARD_OPERATOR:
    case GUARD_COMMENT:
    case GUARD_DEPTH:
    case GUARD_STATEMENTS:
    case GUARD_PARAM:
        break;
    }
    return REFUSAL_limit;
}

static void refuse_early(struct verdict_full *v, enum refusal r, const struct err *e, int position)
{
    struct text none = { NULL, 0 };
    bool syntax = r == REFUSAL_unparsable;
    /* A syntax error reads as the server's own. */
    verdict_refuse(v, r, syntax ? text_of(e->msg) : none, syntax ? none : text_of(e->msg), none,
                   position);
    v->cacheable = !syntax;
}

/* Parameters that stand for the tenant: their type must be certain, or the server could read
 * another value than Bind's. */
static bool keep_checks(struct walk *w)
{
    struct verdict *v = &w->out->pub;
    int n = 0;
    for (int i = 0; i < w->n_params; i++)
        n += w->params[i].checked > 0;
    v->checks = ARENA_ARRAY(&w->out->arena, struct verdict_check, n + 1);
    for (int i = 0; i < w->n_params; i++) {
        const struct param_use *p = &w->params[i];
        if (!p->checked)
            continue;
        uint32_t declared = i < w->ask->n_types ? w->ask->types[i] : 0;
        if ((declared == 0 || declared == VALUE_UNKNOWN) && p->count > p->checked)
            return walk_refuse(
                w, REFUSAL_unproven_value, -1,
                "Use a parameter of its own for the tenant column, or declare its type in Parse.",
                "Parameter $%d stands for the tenant and is used elsewhere too.", i + 1);
        const struct used_claim *c = &w->used[p->claim];
        v->checks[v->n_checks++] =
            (struct verdict_check){ i + 1, arena_text(&w->out->arena, c->name), c->type };
    }
    return true;
}

/* The new text with this identity's values. */
static struct text render(struct walk *w, const struct snippet *s, struct arena *a)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < s->n; i++) {
        buf_text_append(&b, s->v[i].text);
        if (s->v[i].hole >= 0)
            wire_quote_literal(&b, w->used[w->emitted[s->v[i].hole]].value);
    }
    struct text t = b.failed ? (struct text){ NULL, 0 } : arena_text(a, buf_text(&b));
    buf_release(&b);
    return t;
}

static bool verify(struct walk *w, const struct snippet *s, const struct tree *edited)
{
    struct tree again;
    struct err e;
    struct text sql = render(w, s, w->arena);
    bool same = sql.p && tree_parse(w->parser, sql, w->arena, &again, &e) &&
                again.n_stmts == edited->n_stmts;
    for (int i = 0; same && i < edited->n_stmts; i++)
        same = tree_equal(edited->stmts[i].stmt, again.stmts[i].stmt);
    return same ||
           walk_refuse(w, REFUSAL_internal_mismatch, -1, "Write the statement in a simpler form.",
                       "The rewritten text does not mean what it should; nothing was sent.");
}

static void keep_pieces(struct walk *w, const struct snippet *s)
{
    struct verdict_full *v = w->out;
    v->n_pieces = 0;
    v->pieces = ARENA_ARRAY(&v->arena, struct verdict_piece, s->n);
    for (int i = 0; i < s->n; i++) {
        v->pieces[v->n_pieces++] =
            (struct verdict_piece){ arena_text(&v->arena, s->v[i].text), s->v[i].hole, s->v[i].at };
    }
    v->pub.action = VERDICT_REWRITE;
    if (w->is_simple) {
        v->n_holes = v->pub.n_added;
        v->pub.n_added = 0;
    }
}

/* Nodes that name something or hold a query. The walker counts those that it looks at: a part of
 * the tree that it passed by is not let through. */
static int count_names(const struct node *n)
{
    int count = 0;
    if (!n)
        return 0;
    switch (n->kind) {
    case N_RangeVar:
    case N_SelectStmt:
    case N_SubLink:
    case N_FuncCall:
    case N_TypeCast:
    case N_ColumnRef:
    case N_A_Expr:
        count = 1;
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE)
            count += count_names(n->fields[i].node);
    return count;
}

static bool judge_statement(struct walk *w, const struct tree_stmt *s)
{
    int names = count_names(s->stmt);
    w->seen = 0;
    if (!walk_statement(w, s->stmt, s->loc))
        return false;
    return (w->seen == names && w->masks == 0) ||
           walk_refuse(w, REFUSAL_internal_mismatch, s->loc,
                                           "Write the statement in a simpler form.",
                                           "A part of the statement was not looked at.");
}

static bool judge_tree(struct walk *w, const struct tree *t, bool had_hint, bool again)
{
    struct verdict *v = &w->out->pub;
    for (int i = 0; i < t->n_stmts; i++)
        if (!judge_statement(w, &t->stmts[i]))
            return false;
    if (!again && !keep_checks(w))
        return false;
    if (w->n_params + v->n_added > 65535)
        return walk_refuse(w, REFUSAL_too_many_parameters, -1, NULL,
                           "The statement has %d parameters.", w->n_params);
    if (w->inj->n_edits == 0 && !had_hint) {
        v->action = VERDICT_PASS;
        return true;
    }
    struct snippet s;
    snippet_init(&s, w->arena);
    inject_result(w->inj, &s);
    if (!verify(w, &s, t))
        return false;
    keep_pieces(w, &s);
    return true;
}

/* Refused only when run: Parse and Describe look names up and compute nothing. */
static bool describable(const struct tree *t, enum refusal r)
{
    if (t->n_stmts != 1)
        return false;
    enum stmt_kind k = walk_kind(t->stmts[0].stmt);
    if (k != STMT_SELECT && k != STMT_INSERT && k != STMT_UPDATE && k != STMT_DELETE &&
        k != STMT_MERGE)
        return false;
    switch (r) {
    case REFUSAL_missing_predicate:
    case REFUSAL_unproven_value:
    case REFUSAL_wrong_tenant:
    case REFUSAL_function:
    case REFUSAL_operator:
    case REFUSAL_merge:
    case REFUSAL_on_conflict:
    case REFUSAL_placement:
    case REFUSAL_no_claim:
        return true;
    default:
        return false;
    }
}

static void judge(struct tenant_engine *e, const struct tenant_ask *ask, struct verdict_full *v,
                  struct arena *a)
{
    static const struct guard_settings settings = { true, true };
    struct guard_report report = { 0 };
    struct tree tree = { .n_stmts = 0 };
    struct err err = { .msg = "" };
    struct inject inj;
    struct tenant_ask untraced = *ask;
    untraced.trace = NULL;
    enum guard_code g = guard_check(ask->sql, &settings, &e->limits, &report, &err);
    if (g != GUARD_OK) {
        refuse_early(v, guard_reason(g), &err, position_of(ask->sql, (int)report.off));
        return;
    }
    struct text sql = guard_blank(a, ask->sql);
    if (!tree_parse(&e->parser, sql, a, &tree, &err)) {
        refuse_early(v, strcmp(err.sqlstate, "42601") == 0 ? REFUSAL_unparsable : REFUSAL_limit,
                     &err, tree.error_pos);
        return;
    }
    if (!inject_init(&inj, a, sql, &err) || inj.max_param > 65535) {
        refuse_early(v, REFUSAL_limit, &err, 0);
        return;
    }
    struct walk w = {
        .ask = ask,
        .rewrite = ask->mode != TENANT_REJECT,
        .arena = a,
        .out = v,
        .inj = &inj,
        .parser = &e->parser,
        .is_simple = !ask->extended,
        .loc = -1,
    };
    w.n_params = inj.max_param;
    if (ask->extended && ask->n_types > w.n_params)
        w.n_params = ask->n_types;
    w.params = ARENA_ARRAY(a, struct param_use, w.n_params + 1);
    v->pub.n_params = w.n_params;
    v->pub.kind = tree.n_stmts ? walk_kind(tree.stmts[0].stmt) : STMT_OTHER;
    bool had_hint = ask->sql.n > 2 && memmem(ask->sql.p, ask->sql.n, "/*+", 3);
    bool good = inj.has_hint ? walk_refuse(&w, REFUSAL_unknown_syntax, -1, NULL,
                                           "Hints in comments are not open to tenants.")
                             : judge_tree(&w, &tree, had_hint, false);
    if (good && !w.rewrite && w.noisy) {
        /* The statement is proven, but PostgreSQL may test its conditions in any order: add the
         * barrier all the same. */
        struct walk proven = w;
        w.ask = &untraced; /* the trace says how it was proven */
        if (!tree_parse(&e->parser, sql, a, &tree, &err)) {
            refuse_early(v, REFUSAL_internal_mismatch, &err, 0);
            return;
        }
        w.rewrite = true;
        inj.n_edits = 0;
        w.n_used = 0;
        w.params = ARENA_ARRAY(a, struct param_use, w.n_params + 1);
        good = judge_tree(&w, &tree, had_hint, true);
        w.dependent |= proven.dependent;
    }
    v->cacheable = true;
    v->dependent = w.dependent;
    trace_keep(&w);
    if (good)
        return;
    struct text none = { NULL, 0 };
    v->pub.leaves_state = false;
    verdict_refuse(v, w.reason, none, w.detail, w.hint, position_of(ask->sql, w.loc));
    v->pub.describable = describable(&tree, w.reason);
}

static void observe(struct tenant_stats *s, uint64_t us)
{
    static const uint64_t edges[] = { 10, 25, 100, 250, 1000, 2500, 5000, 10000 };
    size_t i = 0;
    while (i < sizeof(edges) / sizeof(edges[0]) && us > edges[i])
        i++;
    s->parse_bucket[i]++;
    s->parse_us_sum += us;
    s->parse_count++;
}

struct verdict *tenant_judge(struct tenant_engine *e, const struct tenant_ask *ask)
{
    struct verdict_full *v = ask->trace ? NULL : cache_find(&e->cache, ask);
    if (v) {
        e->stats.hits++;
        v->pub.refs++;
        return &v->pub;
    }
    usec_t start = clock_mono_us();
    e->stats.misses++;
    v = verdict_new();
    if (!v)
        return NULL;
    struct arena a;
    arena_init(&a, 16384);
    judge(e, ask, v, &a);
    arena_release(&a);
    if (!ask->trace)
        cache_add(&e->cache, ask, v);
    e->stats.entries = e->cache.entries;
    e->stats.bytes = e->cache.bytes;
    e->stats.evictions = e->cache.evictions;
    observe(&e->stats, clock_mono_us() - start);
    return &v->pub;
}

void verdict_ref(struct verdict *v)
{
    v->refs++;
}

void verdict_unref(struct tenant_engine *e, struct verdict *v)
{
    (void)e;
    if (v && --v->refs == 0)
        verdict_free(verdict_full(v));
}
