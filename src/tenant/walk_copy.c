/* SPDX-License-Identifier: ISC */
/* COPY: a relation becomes a query on the way out; on the way in the rows are held against a plan.
 */
#include "tenant/copy_stream.h"
#include "tenant/rewrite.h"
#include "tenant/trace.h"

static const struct text none = { NULL, 0 };

/* ---- options of COPY FROM ---- */

static bool no_option(struct walk *w, int loc, const char *why, struct text name)
{
    return walk_refuse(
        w, REFUSAL_copy_from, loc,
        "Use FORMAT text, csv or binary with single-byte delimiter, quote and escape.",
        "COPY option \"%.*s\": %s", TEXT_ARG(name), why);
}

/* An option's single ASCII character that cannot be part of a line's end. */
static bool one_char(struct walk *w, struct node *opt, char *c)
{
    struct node *arg = node_get(opt, R_arg);
    struct text t = node_is(arg, N_String) ? node_str(arg, R_sval) : none;
    if (t.n != 1 || t.p[0] == '\r' || t.p[0] == '\n' || t.p[0] == '\0' || (t.p[0] & 0x80))
        return no_option(w, opt->loc, "it must be one ASCII character", node_str(opt, R_defname));
    *c = t.p[0];
    return true;
}

static bool option_format(struct walk *w, struct node *opt, struct copy_plan *p)
{
    struct node *arg = node_get(opt, R_arg);
    struct text t = node_is(arg, N_String) ? node_str(arg, R_sval) : none;
    if (text_is(t, "text"))
        p->format = COPY_TEXT;
    else if (text_is(t, "csv"))
        p->format = COPY_CSV;
    else if (text_is(t, "binary"))
        p->format = COPY_BINARY;
    else
        return no_option(w, opt->loc, "the format is not known", TEXT("format"));
    return true;
}

static bool option_header(struct walk *w, struct node *opt, struct copy_plan *p)
{
    struct node *arg = node_get(opt, R_arg);
    struct text t = node_is(arg, N_String) ? node_str(arg, R_sval) : none;
    if (!arg || (node_is(arg, N_Boolean) && node_int(arg, R_boolval)) ||
        (node_is(arg, N_Integer) && node_int(arg, R_ival) == 1) || text_is_i(t, "true") ||
        text_is_i(t, "on"))
        p->header = COPY_HEADER_SKIP;
    else if (node_is(arg, N_Boolean) || (node_is(arg, N_Integer) && node_int(arg, R_ival) == 0) ||
             text_is_i(t, "false") || text_is_i(t, "off"))
        p->header = COPY_HEADER_NONE;
    else if (text_is_i(t, "match"))
        p->header = COPY_HEADER_MATCH;
    else
        return no_option(w, opt->loc, "the value is not known", TEXT("header"));
    return true;
}

static bool option_null(struct walk *w, struct node *opt, struct copy_plan *p)
{
    struct node *arg = node_get(opt, R_arg);
    p->null = node_is(arg, N_String) ? node_str(arg, R_sval) : none;
    if (!node_is(arg, N_String) || p->null.n > COPY_NULL_MAX)
        return no_option(w, opt->loc, "it must be a string of at most 200 bytes", TEXT("null"));
    return true;
}

/* FORCE_NULL and FORCE_NOT_NULL; *named: is the tenant column among them? */
static bool option_columns(struct walk *w, struct node *opt, struct text column, bool *named)
{
    struct node *list = node_list(opt, R_arg);
    for (int i = 0; i < list_len(list); i++) {
        if (!node_is(list_at(list, i), N_String))
            return no_option(w, opt->loc, "list the columns", node_str(opt, R_defname));
        *named |= text_eq(node_str(list_at(list, i), R_sval), column);
    }
    return list || no_option(w, opt->loc, "list the columns", node_str(opt, R_defname));
}

static bool option_encoding(struct walk *w, struct node *opt)
{
    static const char *const names[] = { "utf8", "utf-8", "utf_8", "unicode" };
    struct node *arg = node_get(opt, R_arg);
    for (size_t i = 0; node_is(arg, N_String) && i < sizeof(names) / sizeof(names[0]); i++)
        if (text_is_i(node_str(arg, R_sval), names[i]))
            return true;
    return no_option(w, opt->loc, "only UTF8 is possible for tenants", TEXT("encoding"));
}

enum {
    OPT_FORMAT = 1,
    OPT_DELIMITER = 2,
    OPT_NULL = 4,
    OPT_HEADER = 8,
    OPT_QUOTE = 16,
    OPT_ESCAPE = 32,
    OPT_FORCE_NOT_NULL = 64,
    OPT_FORCE_NULL = 128,
    OPT_ENCODING = 256
};

static int option_bit(struct text name)
{
    static const struct {
        const char *name;
        int bit;
    } names[] = { { "format", OPT_FORMAT },
                  { "delimiter", OPT_DELIMITER },
                  { "null", OPT_NULL },
                  { "header", OPT_HEADER },
                  { "quote", OPT_QUOTE },
                  { "escape", OPT_ESCAPE },
                  { "force_not_null", OPT_FORCE_NOT_NULL },
                  { "force_null", OPT_FORCE_NULL },
                  { "encoding", OPT_ENCODING } };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (text_is(name, names[i].name))
            return names[i].bit;
    return 0;
}

static bool option(struct walk *w, struct node *opt, int bit, struct copy_plan *p, bool *forced)
{
    switch (bit) {
    case OPT_FORMAT:
        return option_format(w, opt, p);
    case OPT_DELIMITER:
        return one_char(w, opt, &p->delim);
    case OPT_NULL:
        return option_null(w, opt, p);
    case OPT_HEADER:
        return option_header(w, opt, p);
    case OPT_QUOTE:
        return one_char(w, opt, &p->quote);
    case OPT_ESCAPE:
        return one_char(w, opt, &p->escape);
    case OPT_FORCE_NOT_NULL:
        return option_columns(w, opt, p->column, forced);
    case OPT_FORCE_NULL:
        return option_columns(w, opt, p->column, &p->force_null);
    default:
        return option_encoding(w, opt);
    }
}

static bool has_char(struct text t, char c)
{
    return t.n > 0 && memchr(t.p, c, t.n) != NULL;
}

/* What PostgreSQL refuses too, and a backslash where it could begin an end-of-data marker. */
static bool options_agree(struct walk *w, int loc, const struct copy_plan *p, int seen)
{
    static const char never[] = "\\.abcdefghijklmnopqrstuvwxyz0123456789";
    if (p->format == COPY_BINARY)
        return !(seen & ~(OPT_FORMAT | OPT_ENCODING)) ||
               no_option(w, loc, "it takes no further options", TEXT("binary"));
    if (p->format == COPY_TEXT &&
        (seen & (OPT_QUOTE | OPT_ESCAPE | OPT_FORCE_NULL | OPT_FORCE_NOT_NULL)))
        return no_option(w, loc, "quotes belong to CSV", TEXT("format"));
    if (p->format == COPY_TEXT ? strchr(never, p->delim) != NULL
                               : p->delim == '\\' || p->delim == p->quote)
        return no_option(w, loc, "this character cannot be told from data", TEXT("delimiter"));
    if (p->format == COPY_CSV && p->quote == '\\')
        return no_option(w, loc, "this character cannot be told from data", TEXT("quote"));
    if (has_char(p->null, p->delim) || has_char(p->null, '\r') || has_char(p->null, '\n') ||
        (p->format == COPY_CSV && has_char(p->null, p->quote)))
        return no_option(w, loc, "it holds a delimiter, quote or line end", TEXT("null"));
    return true;
}

static bool options(struct walk *w, struct node *n, int loc, struct copy_plan *p)
{
    struct node *list = node_get(n, R_options);
    int seen = 0;
    bool forced = false;
    for (int i = 0; i < list_len(list); i++) {
        struct node *opt = list_at(list, i);
        int bit = option_bit(node_str(opt, R_defname));
        if (!node_is(opt, N_DefElem) || !bit || node_has(opt, R_defnamespace))
            return no_option(w, opt->loc, "it is not open to tenants", node_str(opt, R_defname));
        if (seen & bit)
            return no_option(w, opt->loc, "it stands there twice", node_str(opt, R_defname));
        seen |= bit;
        if (!option(w, opt, bit, p, &forced))
            return false;
    }
    bool csv = p->format == COPY_CSV;
    if (!(seen & OPT_DELIMITER))
        p->delim = csv ? ',' : '\t';
    if (!(seen & OPT_NULL))
        p->null = csv ? TEXT("") : TEXT("\\N");
    if (!(seen & OPT_QUOTE))
        p->quote = '"';
    if (!(seen & OPT_ESCAPE))
        p->escape = p->quote;
    if (p->field < 0 && (forced || p->force_null))
        return no_option(w, loc, "it names a column that is not in the column list",
                         TEXT("force_null"));
    return options_agree(w, loc, p, seen);
}

/* ---- columns ---- */

/* The columns that a COPY of the relation names or means. false: refused. */
static bool columns(struct walk *w, struct node *n, const struct policy_relation *r, int loc,
                    struct text **names, int *count)
{
    struct node *list = node_get(n, R_attlist);
    const struct cat_relation *cat = r->cat;
    int max = list_len(list) > cat->n_columns ? list_len(list) : cat->n_columns;
    struct text *v = *names = ARENA_ARRAY(w->arena, struct text, max + 1);
    *count = 0;
    for (int i = 0; !list && i < cat->n_columns; i++)
        if (!cat->columns[i].generated)
            v[(*count)++] = cat->columns[i].name;
    for (int i = 0; i < list_len(list); i++) {
        struct text name = node_str(list_at(list, i), R_sval);
        const struct cat_column *c = NULL;
        bool twice = false;
        for (int k = 0; k < cat->n_columns && !c; k++)
            if (text_eq(cat->columns[k].name, name))
                c = &cat->columns[k];
        for (int k = 0; k < *count; k++)
            twice |= text_eq(v[k], name);
        if (!c) {
            w->out->pub.wants_catalog = true;
            return walk_refuse(w, REFUSAL_attribute, loc, NULL,
                               "Column \"%.*s\" of %.*s.%.*s is not known.", TEXT_ARG(name),
                               TEXT_ARG(r->schema), TEXT_ARG(r->name));
        }
        if (twice || c->generated)
            return walk_refuse(w, REFUSAL_attribute, loc, NULL, "Column \"%.*s\" %s.",
                               TEXT_ARG(name),
                               twice ? "is specified more than once" : "is generated");
        v[(*count)++] = name;
    }
    return *count > 0 || walk_refuse(w, REFUSAL_attribute, loc, NULL, "There are no columns.");
}

/* ---- COPY FROM ---- */

/* The plan in the memory of the verdict. */
static void keep_plan(struct walk *w, const struct copy_plan *p)
{
    struct arena *a = &w->out->arena;
    struct copy_plan *kept = ARENA_NEW(a, struct copy_plan);
    *kept = *p;
    kept->null = arena_text(a, p->null);
    kept->relation = arena_text(a, p->relation);
    kept->column = arena_text(a, p->column);
    kept->claim = arena_text(a, p->claim);
    w->out->pub.copy = kept;
}

static bool copy_from(struct walk *w, struct node *n, int loc)
{
    struct level *l = level_new(w->arena, NULL);
    struct item *item;
    struct text *names;
    int count;
    if (w->rls)
        return walk_refuse(w, REFUSAL_copy_from, loc, "Use INSERT.",
                           "PostgreSQL has no COPY FROM under row-level security.");
    if (!w->alone)
        return walk_refuse(w, REFUSAL_copy_from, loc, "Send it as a message of its own.",
                           "COPY FROM stands among other statements.");
    if (!walk_target(w, l, node_get(n, R_relation), n, &item))
        return false;
    const struct tref *target = l->refs;
    const struct policy_relation *r = target->rel;
    if (!r->cat || !columns(w, n, r, target->rv->loc, &names, &count))
        return false;
    struct copy_plan plan = {
        .n_fields = count,
        .field = -1,
        .csv_end = w->ask->policy->catalog->server_version < 180000,
        .relation = arena_printf(w->arena, "%.*s.%.*s", TEXT_ARG(r->schema), TEXT_ARG(r->name)),
        .column = r->column->name,
        .claim = w->used[target->claim].name,
        .type = w->used[target->claim].type,
    };
    for (int i = 0; i < count; i++)
        if (text_eq(names[i], plan.column))
            plan.field = i;
    if (plan.field < 0 && !w->rewrite)
        return walk_refuse(w, REFUSAL_unproven_value, target->rv->loc,
                           "List the tenant column, and give it the tenant's value in each row.",
                           "The tenant column \"%.*s\" is not among the columns.",
                           TEXT_ARG(plan.column));
    if (!options(w, n, loc, &plan) || !walk_expr(w, l, node_get(n, R_whereClause)))
        return false;
    keep_plan(w, &plan);
    return rewrite_copy_columns(w, n, target, names, count, plan.field < 0);
}

/* ---- COPY TO ---- */

static bool query_form(struct walk *w, struct node *rv, const struct policy_relation *r,
                       const char *why)
{
    struct text hint =
        r->column
            ? arena_printf(w->arena,
                           "Use COPY (SELECT ... FROM \"%.*s\" WHERE \"%.*s\" = ...) TO STDOUT.",
                           TEXT_ARG(r->name), TEXT_ARG(r->column->name))
            : arena_printf(w->arena, "Use COPY (SELECT ... FROM %.*s) TO STDOUT.",
                           TEXT_ARG(r->name));
    return walk_refuse(w, REFUSAL_copy_table, rv->loc, arena_strdup(w->arena, hint.p), "%s", why);
}

static bool copy_to(struct walk *w, struct node *n)
{
    struct columns cols = { .n = 0 };
    struct node *query = node_get(n, R_query), *rv = node_get(n, R_relation);
    if (w->ask->extended) {
        w->is_simple = true; /* COPY takes no parameters: the value is part of the text */
        w->dependent = true;
    }
    if (query)
        return walk_query(w, NULL, query, &cols);
    int trace, count, claim;
    const struct policy_relation *r = walk_relation(w, rv, &trace);
    struct text *names;
    if (!r)
        return false;
    if (r->has_hidden)
        return query_form(w, rv, r, "The relation tells about other tenants' rows.");
    if (w->rls || r->cls != REL_TENANT)
        return walk_qualify(w, rv, r);
    if (!r->cat || r->cat->kind != 'r')
        return query_form(w, rv, r, "PostgreSQL copies the rows of plain tables only.");
    if (!w->rewrite)
        return query_form(w, rv, r, "COPY of a whole table reads all tenants' rows.");
    if ((claim = walk_claim(w, r, rv->loc)) < 0 || !columns(w, n, r, rv->loc, &names, &count))
        return false;
    trace_how(w, trace, "copied as a query of the tenant's rows");
    return rewrite_copy_to(w, n, r, claim, names, count);
}

bool walk_copy(struct walk *w, struct node *n, int loc)
{
    if (node_int(n, R_is_program) || node_has(n, R_filename))
        return walk_refuse(w, REFUSAL_copy_file, loc, "Use COPY ... TO STDOUT or FROM STDIN.",
                           "Files and programs are the server's.");
    return node_int(n, R_is_from) ? copy_from(w, n, loc) : copy_to(w, n);
}
