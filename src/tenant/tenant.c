/* SPDX-License-Identifier: ISC */
/* The entry point: limits, parse, walk, insertion, verification, and the cache around them. */
#include "tenant/cache.h"
#include "tenant/guard.h"
#include "tenant/newer.h"
#include "tenant/pattern.h"
#include "tenant/prove.h"
#include "tenant/template.h"
#include "tenant/trace.h"
#include "tenant/utility.h"
#include "tenant/value.h"
#include "tenant/walk.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SPARE_COPIES 16
#define SEEN_KEYS 2048    /* hashes of keys that were met once */
#define SPARE_BYTES 16384 /* a larger copy is not kept */

struct tenant_engine {
    struct cache texts, templates;
    struct guard_limits limits;
    struct tree_parser parser;
    struct memo memo;
    struct tenant_stats stats;
    bool use_templates, check_templates;
    /* used again for each text */
    struct guard_scan scan;
    struct buf key;
    struct arena arena;
    uint32_t seen[SEEN_KEYS];
    struct verdict_full *spare[SPARE_COPIES]; /* copies that nobody holds */
    int n_spare;
};

struct tenant_engine *tenant_engine_new(const struct tenant_engine_opts *o)
{
    struct tenant_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->limits = guard_default_limits;
    if (o->max_statement)
        e->limits.bytes = o->max_statement;
    e->use_templates = !o->no_templates;
    e->check_templates = o->check_templates;
    arena_init(&e->arena, 65536);
    memo_init(&e->memo);
    if (!cache_init(&e->texts, o->cache_bytes / 2)) {
        free(e);
        return NULL;
    }
    if (!cache_init(&e->templates, o->cache_bytes / 2)) {
        cache_release(&e->texts);
        free(e);
        return NULL;
    }
    return e;
}

void tenant_engine_free(struct tenant_engine *e)
{
    if (!e)
        return;
    cache_release(&e->texts);
    cache_release(&e->templates);
    while (e->n_spare > 0)
        verdict_free(e->spare[--e->n_spare]);
    guard_scan_release(&e->scan);
    buf_release(&e->key);
    arena_release(&e->arena);
    memo_release(&e->memo);
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

/* What the parser refuses, with a word on versions where the server's is newer than the parser's.
 */
static void refuse_syntax(struct verdict_full *v, const struct tenant_ask *ask, const struct err *e,
                          int position, struct arena *a)
{
    const char *what = NULL;
    struct text none = { NULL, 0 }, message = text_of(e->msg);
    int server = ask->policy->catalog->server_version / 10000;
    int since = server > tree_major() ? newer_syntax(ask->sql, message, &what) : 0;
    if (since > tree_major() && since <= server) {
        verdict_refuse(
            v, REFUSAL_newer_syntax, none,
            arena_printf(a,
                         "%s: %s came with PostgreSQL %d; the server is PostgreSQL %d, "
                         "the parser that judges tenants' statements is PostgreSQL %d's.",
                         e->msg, what, since, server, tree_major()),
            arena_printf(a, "Write it as PostgreSQL %d knows it.", tree_major()), position);
        return;
    }
    refuse_early(v, REFUSAL_unparsable, e, position);
    if (server <= tree_major())
        return;
    verdict_refuse(
        v, REFUSAL_unparsable, message, none,
        arena_printf(a,
                     "The parser that judges tenants' statements is PostgreSQL %d's, the "
                     "server is PostgreSQL %d.",
                     tree_major(), server),
        position);
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
            (struct verdict_check){ i + 1, arena_text(&w->out->arena, c->name), c->type, p->array };
    }
    return true;
}

static char *put_text(char *p, struct text t)
{
    if (t.n)
        memcpy(p, t.p, t.n);
    return p + t.n;
}

/* The new text with this identity's values. */
static struct text render(struct walk *w, const struct snippet *s, struct arena *a)
{
    struct text literals[VERDICT_MAX_ADDED];
    size_t size = 1;
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < w->out->pub.n_added; i++) {
        buf_clear(&b);
        wire_quote_literal(&b, w->used[w->emitted[i]].value);
        if (b.failed) {
            buf_release(&b);
            return (struct text){ NULL, 0 };
        }
        literals[i] = arena_text(a, buf_text(&b));
    }
    buf_release(&b);
    for (int i = 0; i < s->n; i++)
        size += s->v[i].text.n + (s->v[i].hole >= 0 ? literals[s->v[i].hole].n : 0);
    char *p = arena_alloc(a, size), *end = p;
    for (int i = 0; i < s->n; i++) {
        end = put_text(end, s->v[i].text);
        if (s->v[i].hole >= 0)
            end = put_text(end, literals[s->v[i].hole]);
    }
    *end = 0;
    return text_n(p, (size_t)(end - p));
}

static bool verify(struct walk *w, const struct snippet *s, const struct tree *edited)
{
    struct text sql = render(w, s, w->arena);
    return (sql.p && tree_same(w->parser, sql, edited)) ||
           walk_refuse(w, REFUSAL_internal_mismatch, -1, "Write the statement in a simpler form.",
                       "The rewritten text does not mean what it should; nothing was sent.");
}

/* The text with our commands around it: as many statements as there should be. */
static bool verify_around(struct walk *w, const struct snippet *s)
{
    const struct verdict *v = &w->out->pub;
    struct tree again;
    struct err e;
    struct text sql = render(w, s, w->arena);
    return (sql.p && tree_parse(w->parser, sql, w->arena, &again, &e) &&
            again.n_stmts == v->set_front + v->n_commands + v->set_back) ||
           walk_refuse(w, REFUSAL_internal_mismatch, -1, "Write the statement in a simpler form.",
                       "Settings cannot be put around the statement.");
}

/* How many pieces from i on can be one: text of ours up to a value. */
static int run_of_ours(const struct snippet *s, int i)
{
    int n = 1;
    while (s->v[i].at < 0 && s->v[i + n - 1].hole < 0 && i + n < s->n && s->v[i + n].at < 0)
        n++;
    return n;
}

static void keep_pieces(struct walk *w, const struct snippet *s)
{
    struct verdict_full *v = w->out;
    v->n_pieces = 0;
    v->pieces = ARENA_ARRAY(&v->arena, struct verdict_piece, s->n);
    for (int i = 0, n; i < s->n; i += n) {
        n = run_of_ours(s, i);
        size_t size = 0;
        for (int k = i; k < i + n; k++)
            size += s->v[k].text.n;
        char *p = arena_alloc(&v->arena, size + 1), *at = p;
        for (int k = i; k < i + n; k++)
            at = put_text(at, s->v[k].text);
        *at = 0;
        v->pieces[v->n_pieces++] =
            (struct verdict_piece){ text_n(p, size), s->v[i + n - 1].hole, s->v[i].at };
    }
    v->pub.action = VERDICT_REWRITE;
    if (w->is_simple) {
        v->n_holes = v->pub.n_added;
        v->pub.n_added = 0;
    }
}

/* Nodes that name something or hold a query. The walker counts those that it looks at: a part of
 * the tree that it passed by is not let through. */
int walk_count_names(const struct node *n)
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
        if (n->fields[i].type == F_NODE && !node_is(n->fields[i].node, N_String))
            count += walk_count_names(n->fields[i].node);
    return count;
}

static bool judge_statement(struct walk *w, const struct tree_stmt *s)
{
    int names = walk_count_names(s->stmt);
    w->seen = 0;
    w->top = s->stmt;
    w->proof = NULL;
    if (!walk_bound(w, s->stmt, s->loc) || !walk_statement(w, s->stmt, s->loc) || !prove_finish(w))
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
    if (!again && (!pattern_finish(w) || !keep_checks(w)))
        return false;
    if (w->n_params + v->n_added > 65535)
        return walk_refuse(w, REFUSAL_too_many_parameters, -1, NULL,
                           "The statement has %d parameters.", w->n_params);
    bool set = w->n_settings > 0 && walk_settings_fit(w, t);
    if (set)
        walk_settings_keep(w);
    if (w->inj->n_edits == 0 && !had_hint && !(set && !w->ask->extended)) {
        v->action = VERDICT_PASS;
        return true;
    }
    struct snippet s, around;
    snippet_init(&s, w->arena);
    inject_result(w->inj, &s);
    if ((w->inj->n_edits > 0 || had_hint) && !verify(w, &s, t))
        return false;
    if (set && !w->ask->extended) {
        snippet_init(&around, w->arena);
        walk_settings_wrap(w, t, &s, &around);
        if (!verify_around(w, &around))
            return false;
        s = around;
    }
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
    case REFUSAL_pattern:
    case REFUSAL_merge:
    case REFUSAL_on_conflict:
    case REFUSAL_placement:
    case REFUSAL_no_claim:
        return true;
    default:
        return false;
    }
}

/* Is a single statement of a kind that templates are made of. */
static bool has_constants(const struct tree *t)
{
    if (t->n_stmts != 1)
        return false;
    enum stmt_kind k = walk_kind(t->stmts[0].stmt);
    return k == STMT_SELECT || k == STMT_INSERT || k == STMT_UPDATE || k == STMT_DELETE ||
           k == STMT_MERGE;
}

/* Judges the text in the engine's scan. uses (may be NULL) gets what templates need to know of its
 * constants, NULL when it gets no template. */
/* Names with escapes: they are cut to their length in the server's encoding. */
static bool has_uident(const struct guard_scan *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->tok[i].kind == TOKEN_UIDENT)
            return true;
    return false;
}

static void judge(struct tenant_engine *e, const struct tenant_ask *ask, struct verdict_full *v,
                  const uint8_t **uses)
{
    struct arena *a = &e->arena;
    struct tree tree = { .n_stmts = 0 };
    struct err err = { .msg = "" };
    struct inject inj;
    struct text sql = text_n(e->scan.blank, ask->sql.n);
    struct tenant_ask untraced = *ask;
    untraced.trace = NULL;
    const uint8_t *learnt = NULL;
    memo_trim(&e->memo);
    if (!tree_parse(&e->parser, sql, a, &tree, &err)) {
        if (strcmp(err.sqlstate, "42601") == 0)
            refuse_syntax(v, ask, &err, tree.error_pos, a);
        else
            refuse_early(v, REFUSAL_limit, &err, tree.error_pos);
        return;
    }
    inject_init(&inj, a, sql, e->scan.tok, (int)e->scan.n);
    if (!policy_utf8(ask->policy) && has_uident(&e->scan)) {
        err_set(&err, "U&\"...\" in a database whose encoding is not UTF8");
        refuse_early(v, REFUSAL_encoding, &err, 0);
        return;
    }
    struct walk w = {
        .ask = ask,
        .rewrite = ask->mode != TENANT_REJECT && ask->mode != TENANT_RLS,
        .rls = ask->mode == TENANT_RLS,
        .arena = a,
        .out = v,
        .inj = &inj,
        .parser = &e->parser,
        .memo = &e->memo,
        .is_simple = !ask->extended,
        .alone = tree.n_stmts == 1,
        .loc = -1,
    };
    w.n_params = inj.max_param;
    if (ask->extended && ask->n_types > w.n_params)
        w.n_params = ask->n_types;
    w.params = ARENA_ARRAY(a, struct param_use, w.n_params + 1);
    v->pub.n_params = w.n_params;
    v->pub.kind = tree.n_stmts ? walk_kind(tree.stmts[0].stmt) : STMT_OTHER;
    bool had_hint = guard_hint(ask->sql);
    bool good = inj.has_hint ? walk_refuse(&w, REFUSAL_unknown_syntax, -1, NULL,
                                           "Hints in comments are not open to tenants.")
                             : judge_tree(&w, &tree, had_hint, false);
    if (good && uses && has_constants(&tree))
        learnt = template_learn(&e->scan, sql, tree.stmts[0].stmt, NULL, a);
    if (good && !w.rewrite && !w.rls && w.noisy) {
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
        w.unbound = false;
        inj.n_edits = 0;
        v->pub.cursors = NULL;
        w.n_settings = 0;
        w.params = ARENA_ARRAY(a, struct param_use, w.n_params + 1);
        good = judge_tree(&w, &tree, had_hint, true);
        w.dependent |= proven.dependent;
        if (learnt)
            learnt = template_learn(&e->scan, sql, tree.stmts[0].stmt, learnt, a);
    }
    v->cacheable = true;
    v->dependent = w.dependent;
    trace_keep(&w);
    if (uses)
        *uses = good ? learnt : NULL;
    if (good)
        return;
    struct text none = { NULL, 0 };
    v->pub.leaves_state = false;
    v->pub.effects = 0;
    v->pub.prepared = NULL;
    v->pub.cursors = NULL;
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

/* ---- templates ---- */

/* What was found by its template must be what judging says. */
static void check_hit(struct tenant_engine *e, const struct tenant_ask *ask,
                      const struct verdict_full *hit)
{
    struct buf one, two;
    struct verdict_full *v = verdict_new();
    if (!v)
        return;
    judge(e, ask, v, NULL);
    arena_clear(&e->arena);
    const struct verdict *a = &hit->pub, *b = &v->pub;
    CHECK(a->action == b->action && a->kind == b->kind && a->n_params == b->n_params &&
          a->n_added == b->n_added && a->n_checks == b->n_checks &&
          a->n_patterns == b->n_patterns && a->leaves_state == b->leaves_state &&
          hit->n_holes == v->n_holes);
    for (int i = 0; i < a->n_added + hit->n_holes; i++)
        CHECK(a->added[i].type == b->added[i].type &&
              text_eq(a->added[i].claim, b->added[i].claim));
    for (int i = 0; i < a->n_checks; i++)
        CHECK(a->checks[i].param == b->checks[i].param && a->checks[i].type == b->checks[i].type &&
              a->checks[i].array == b->checks[i].array &&
              text_eq(a->checks[i].claim, b->checks[i].claim));
    if (a->action == VERDICT_REWRITE) {
        buf_init(&one);
        buf_init(&two);
        CHECK(verdict_text(a, ask->identity, &one) && verdict_text(b, ask->identity, &two));
        CHECK(text_eq(buf_text(&one), buf_text(&two)));
        buf_release(&one);
        buf_release(&two);
    }
    verdict_free(v);
}

static struct verdict_full *copy_of(struct tenant_engine *e, const struct verdict_full *entry,
                                    const struct template_text *text)
{
    struct verdict_full *v = e->n_spare ? e->spare[--e->n_spare] : verdict_new();
    if (v && !template_apply(entry, text, v)) {
        verdict_free(v);
        return NULL;
    }
    return v;
}

/* Has the key been met before? A template is made for the second text that has it, so that texts
 * that come once cost little. */
static bool seen_before(struct tenant_engine *e, uint64_t hash)
{
    uint32_t *slot = &e->seen[hash % SEEN_KEYS], mark = (uint32_t)(hash >> 32) | 1;
    bool before = *slot == mark;
    *slot = mark;
    return before;
}

/* A verdict by the template of the scan's text, with a reference for the caller; NULL: none.
 * *wanted: a template should be made. */
static struct verdict_full *by_template(struct tenant_engine *e, const struct tenant_ask *ask,
                                        bool *wanted)
{
    if (!e->use_templates || !template_key(&e->scan, ask->sql, &e->key))
        return NULL;
    struct template_text text = { &e->scan, ask->sql };
    struct verdict_full *entry =
        cache_find(&e->templates, ask, buf_text(&e->key), template_fits, &text);
    *wanted = !entry && (seen_before(e, e->templates.asked) || e->check_templates);
    if (!entry)
        return NULL;
    struct verdict_full *v = entry->model;
    if (v->pub.action == VERDICT_REWRITE)
        v = copy_of(e, entry, &text);
    else
        v->pub.refs++;
    if (v && e->check_templates)
        check_hit(e, ask, v);
    return v;
}

static void keep(struct tenant_engine *e, const struct tenant_ask *ask, struct verdict_full *v,
                 const uint8_t *uses)
{
    cache_add(&e->texts, ask, ask->sql, 0, v);
    struct verdict_full *t =
        uses ? template_new(v, uses, &e->scan, text_n(e->scan.blank, ask->sql.n)) : NULL;
    if (t) {
        cache_add(&e->templates, ask, buf_text(&e->key), TEMPLATE_MAX_SAME, t);
        if (--t->pub.refs == 0)
            verdict_free(t);
    }
    e->stats.entries = e->texts.entries + e->templates.entries;
    e->stats.bytes = e->texts.bytes + e->templates.bytes;
    e->stats.evictions = e->texts.evictions + e->templates.evictions;
}

/* PREPARE: its query is judged as Parse would have it, and what is refused there is refused here.
 */
static bool look_inside(struct tenant_engine *e, const struct tenant_ask *ask,
                        struct verdict_full *v)
{
    const struct sql_prepared *p = v->pub.prepared;
    struct tenant_ask inner = *ask;
    inner.extended = true;
    inner.sql = p->query;
    inner.types = p->types;
    inner.n_types = p->n_types;
    inner.trace = NULL;
    struct verdict *q = tenant_judge(e, &inner);
    if (!q)
        return false;
    v->dependent |= verdict_full(q)->dependent || verdict_full(q)->model;
    if (q->action == VERDICT_REFUSE && !q->describable) {
        verdict_refuse(v, q->reason, q->message, q->detail, q->hint, q->position);
        v->pub.wants_catalog = q->wants_catalog;
        v->pub.subject = arena_text(&v->arena, q->subject);
        v->pub.fix = arena_text(&v->arena, q->fix);
        v->pub.prepared = NULL;
    }
    verdict_unref(e, q);
    return true;
}

struct verdict *tenant_judge(struct tenant_engine *e, const struct tenant_ask *ask)
{
    /* The server converts other encodings: what is longer or shorter there, or folded to lower
     * case, could mean another name. ASCII is the same everywhere. */
    const struct guard_settings settings = { true, policy_utf8(ask->policy) };
    struct guard_report report = { 0 };
    struct err err = { .msg = "" };
    struct verdict_full *v = ask->trace ? NULL : cache_find(&e->texts, ask, ask->sql, NULL, NULL);
    const uint8_t *uses = NULL;
    bool wanted = false;
    if (v) {
        e->stats.hits++;
        v->pub.refs++;
        return &v->pub;
    }
    usec_t start = clock_mono_us();
    enum guard_code g = guard_scan(ask->sql, &settings, &e->limits, &report, &err, &e->scan);
    if (g == GUARD_OK && e->scan.failed)
        return NULL;
    if (g == GUARD_OK && !ask->trace && (v = by_template(e, ask, &wanted)) != NULL) {
        e->stats.template_hits++;
        return &v->pub;
    }
    e->stats.misses++;
    v = verdict_new();
    if (!v)
        return NULL;
    if (g == GUARD_OK)
        judge(e, ask, v, wanted ? &uses : NULL);
    else if (g == GUARD_SYNTAX)
        refuse_syntax(v, ask, &err, position_of(ask->sql, (int)report.off), &e->arena);
    else
        refuse_early(v, guard_reason(g), &err, position_of(ask->sql, (int)report.off));
    if (v->pub.prepared && v->pub.prepared->what == SQL_PREPARE && !look_inside(e, ask, v)) {
        verdict_free(v);
        return NULL;
    }
    if (!ask->trace)
        keep(e, ask, v, uses);
    arena_clear(&e->arena);
    guard_scan_trim(&e->scan);
    observe(&e->stats, clock_mono_us() - start);
    return &v->pub;
}

void verdict_ref(struct verdict *v)
{
    v->refs++;
}

void verdict_unref(struct tenant_engine *e, struct verdict *v)
{
    if (!v || --v->refs > 0)
        return;
    struct verdict_full *f = verdict_full(v);
    if (!f->cap_pieces || e->n_spare == SPARE_COPIES || f->own.cap > SPARE_BYTES) {
        verdict_free(f);
        return;
    }
    /* a copy is used again */
    if (--f->model->pub.refs == 0)
        verdict_free(f->model);
    f->model = NULL;
    e->spare[e->n_spare++] = f;
}
