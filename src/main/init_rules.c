/* SPDX-License-Identifier: ISC */
/* Finds what tells a tenant's rows: columns, row-level security policies, Citus' distribution. */
#include "main/init_rules.h"

#include "base/buf.h"
#include "main/backend.h"
#include "main/catalog.h"
#include "wire/fields.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <stdlib.h>

/* What the column of a table was found by; the best source wins. */
enum source { SOURCE_NONE, SOURCE_NAME, SOURCE_CITUS, SOURCE_POLICY, SOURCE_GIVEN };

struct found {
    const struct cat_relation *rel;
    const struct cat_column *column; /* NULL: none */
    enum source source;
    const char *setting; /* SOURCE_POLICY: what the policy compares with */
    bool is_part;        /* its parent says it all */
};

struct init {
    PGconn *pg;
    struct catalog *c;
    struct arena *a;
    struct err *e;
    struct found *v; /* one per relation of the catalog */
    int n;
    struct text columns[64]; /* distinct tenant columns, most used first */
    int uses[64], n_columns;
    const char *guc; /* the setting that most policies compare with, NULL = none */
    FILE *out;
};

/* In this order, when nothing better is known. */
static const char *const usual[] = { "tenant_id",    "tenant_uuid", "tenant_no",  "tenant",
                                     "org_id",       "account_id",  "company_id", "organization_id",
                                     "workspace_id", "customer_id", "team_id",    "user_id" };

/* Types that a tenant column may have (see doc/tenant-rules.md). */
static bool type_fits(uint32_t oid)
{
    static const uint32_t oids[] = { 20, 21, 23, 25, 1043, 2950 };

    for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++)
        if (oids[i] == oid)
            return true;
    return false;
}

static const struct cat_column *column_named(const struct cat_relation *r, struct text name)
{
    for (int i = 0; i < r->n_columns; i++)
        if (text_eq(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

static struct found *by_oid(struct init *t, uint32_t oid)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i].rel->oid == oid)
            return &t->v[i];
    return NULL;
}

static bool is_table(const struct found *f)
{
    return f->rel->kind == 'r' || f->rel->kind == 'p';
}

static void take(struct found *f, const struct cat_column *c, enum source s)
{
    if (!c || s <= f->source)
        return;
    f->column = c;
    f->source = s;
}

/* ---- where columns come from ---- */

static void from_given(struct init *t, const char *columns)
{
    struct text rest = text_of(columns), name;

    while (text_split(&rest, ',', &name))
        for (int i = 0; i < t->n; i++)
            if (t->v[i].source != SOURCE_GIVEN)
                take(&t->v[i], column_named(t->v[i].rel, text_trim(name)), SOURCE_GIVEN);
}

/* A policy's expression that compares a column with a setting names both. */
static bool from_policies(struct init *t)
{
    PGresult *r = backend_query(
        t->pg, "policies",
        "SELECT p.polrelid, pg_catalog.btrim(m[1], '\"'), m[2] FROM pg_catalog.pg_policy p, LATERAL"
        " pg_catalog.regexp_matches(pg_catalog.pg_get_expr(p.polqual, p.polrelid), "
        "'(\"(?:[^\"]|\"\")+\"|[a-z_][a-z0-9_$]*)\\)*(?:::[a-z ]+)?\\)* = "
        "(?:\\(| |SELECT |NULLIF\\(|pg_catalog\\.)*current_setting\\(''([a-zA-Z0-9_.]+)''') AS m ORDER BY 1, p.polname",
        t->e);
    int best = 0;

    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct found *f = by_oid(t, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10));
        int same = 0;
        if (!f)
            continue;
        take(f, column_named(f->rel, text_of(PQgetvalue(r, i, 1))), SOURCE_POLICY);
        if (!f->setting)
            f->setting = arena_strdup(t->a, PQgetvalue(r, i, 2));
        for (int k = 0; k < PQntuples(r); k++)
            same += strcmp(PQgetvalue(r, k, 2), PQgetvalue(r, i, 2)) == 0;
        if (same > best) {
            best = same;
            t->guc = arena_strdup(t->a, PQgetvalue(r, i, 2));
        }
    }
    PQclear(r);
    return true;
}

static void from_citus(struct init *t)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i].rel->citus_column.n)
            take(&t->v[i], column_named(t->v[i].rel, t->v[i].rel->citus_column), SOURCE_CITUS);
}

static bool any_column(const struct init *t)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i].column)
            return true;
    return false;
}

/* The usual names; those that are common for other reasons only when nothing else was found. */
static void from_names(struct init *t)
{
    size_t sure = 4, n = sizeof(usual) / sizeof(usual[0]);

    for (size_t k = 0; k < n; k++) {
        if (k >= sure && any_column(t))
            break;
        for (int i = 0; i < t->n; i++)
            take(&t->v[i], column_named(t->v[i].rel, text_of(usual[k])), SOURCE_NAME);
    }
}

static void mark_parts(struct init *t)
{
    for (int i = 0; i < t->n; i++) {
        struct found *f = &t->v[i];
        for (int k = 0; k < f->rel->n_parents; k++) {
            struct found *up = by_oid(t, f->rel->parents[k]);
            if (up && up->column && f->column && text_eq(up->column->name, f->column->name))
                f->is_part = true;
        }
    }
}

static void count_columns(struct init *t)
{
    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        int k = 0;
        if (!f->column || !is_table(f) || f->is_part)
            continue;
        while (k < t->n_columns && !text_eq(t->columns[k], f->column->name))
            k++;
        if (k == (int)(sizeof(t->columns) / sizeof(t->columns[0])))
            continue;
        if (k == t->n_columns)
            t->columns[t->n_columns++] = f->column->name;
        t->uses[k]++;
    }
    for (int i = 0; i < t->n_columns; i++) /* few: simple sorting */
        for (int k = i + 1; k < t->n_columns; k++)
            if (t->uses[k] > t->uses[i]) {
                struct text name = t->columns[i];
                int uses = t->uses[i];
                t->columns[i] = t->columns[k];
                t->uses[i] = t->uses[k];
                t->columns[k] = name;
                t->uses[k] = uses;
            }
}

/* ---- writing ---- */

/* A name as the configuration reads it; control characters cannot be written there. */
static bool put_name(struct buf *b, struct text name)
{
    bool plain = name.n && !isdigit((unsigned char)name.p[0]) && name.p[0] != '$';

    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        plain = plain && (islower(c) || isdigit(c) || c == '_' || c == '$');
    }
    if (plain)
        buf_text_append(b, name);
    else
        wire_quote_ident(b, name);
    return true;
}

/* For comments: one line, whatever a name holds. */
static struct text shown(struct init *t, struct text name)
{
    struct text s = arena_text(t->a, name);
    char *p = (char *)(uintptr_t)s.p;

    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            p[i] = '?';
    return s;
}

/* A column that often tells tenants apart, though it was not taken for one here. */
static const struct cat_column *perhaps(const struct cat_relation *r)
{
    for (size_t k = 0; k < sizeof(usual) / sizeof(usual[0]); k++) {
        const struct cat_column *c = column_named(r, text_of(usual[k]));
        if (c)
            return c;
    }
    return NULL;
}

static struct text relation(struct init *t, const struct cat_relation *r)
{
    struct buf b;

    buf_init(&b);
    bool ok = put_name(&b, r->schema);
    buf_char(&b, '.');
    ok = ok && put_name(&b, r->name);
    struct text out = ok && !b.failed ? arena_text(t->a, buf_text(&b)) : (struct text){ NULL, 0 };
    buf_release(&b);
    return out;
}

static const char *source_text(struct init *t, const struct found *f)
{
    switch (f->source) {
    case SOURCE_GIVEN:
        return "as asked for";
    case SOURCE_POLICY:
        return arena_printf(t->a, "policy compares it with %s", f->setting).p;
    case SOURCE_CITUS:
        return "distribution column (Citus)";
    default:
        return "by its name";
    }
}

static bool is_rls(const struct init *t)
{
    int n = 0;

    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        if (!f->column || !is_table(f) || f->is_part)
            continue;
        if (!f->rel->rls || !f->rel->rls_forced)
            return false;
        n++;
    }
    return n > 0;
}

/* A value as the configuration reads it. */
static struct text quoted(struct init *t, const char *value)
{
    char *to = arena_alloc(t->a, 2 * strlen(value) + 3);
    size_t n = 0;

    to[n++] = '\'';
    for (const char *p = value; *p; p++) {
        if (*p == '\'')
            to[n++] = '\'';
        to[n++] = *p;
    }
    to[n++] = '\'';
    return shown(t, text_n(to, n));
}

static void write_head(struct init *t)
{
    const char *host = PQhost(t->pg), *user = PQuser(t->pg);
    int v = t->c->server_version;
    struct text db = shown(t, text_of(PQdb(t->pg)));

    fprintf(
        t->out,
        "; pgbulkhead: what the catalog of database \"%.*s\" says about tenants (PostgreSQL %d.%d).\n"
        "; Go through it, fill in the users, then: pgbulkhead --check FILE\n\n[databases]\n"
        "; the user below is who reads the catalog now; give the application's, and its password\n",
        TEXT_ARG(db), v / 10000, v % 10000);
    fprintf(t->out, "app = host=%.*s port=%s dbname=%.*s user=%.*s tenant_mode=rewrite",
            TEXT_ARG(quoted(t, host && *host ? host : "127.0.0.1")), PQport(t->pg),
            TEXT_ARG(quoted(t, PQdb(t->pg))), TEXT_ARG(quoted(t, user ? user : "")));
    if (t->guc)
        fprintf(t->out, " tenant_guc=%s", t->guc);
    if (is_rls(t))
        fprintf(t->out,
                "\n; row-level security is forced on all tenant tables: tenant_mode=rls works too");
    fprintf(
        t->out,
        "\n\n[users]\n; who logs in, and which tenant that is; further columns compare with claims\n"
        "; acme_app = tenant=acme");
    for (int i = 1; i < t->n_columns; i++)
        fprintf(t->out, " claim.%.*s=...", TEXT_ARG(shown(t, t->columns[i])));
    fprintf(t->out, "\n; ops = tenant=*\n");
}

static void write_tables(struct init *t)
{
    fprintf(t->out, "\n[tenant_rules]\n");
    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        struct text name = relation(t, f->rel);
        struct buf col;
        if (!is_table(f) || !f->column || f->is_part)
            continue;
        buf_init(&col);
        if (!name.p || !put_name(&col, f->column->name))
            fprintf(t->out, "; %.*s.%.*s: a name holds control characters\n",
                    TEXT_ARG(shown(t, f->rel->schema)), TEXT_ARG(shown(t, f->rel->name)));
        else
            fprintf(t->out, "%s%.*s = %.*s ; %s%s\n",
                    type_fits(f->column->base_type) && f->column->collation_deterministic ? ""
                                                                                          : "; ",
                    TEXT_ARG(name), TEXT_ARG(buf_text(&col)), source_text(t, f),
                    !type_fits(f->column->base_type)      ? "; its type is not supported"
                    : !f->column->collation_deterministic ? "; its collation is not deterministic"
                                                          : "");
        buf_release(&col);
    }
}

/* Decisions that are the operator's: not in force until the mark is taken away. */
static void write_choices(struct init *t)
{
    fprintf(
        t->out,
        "\n; Without a tenant column, refused until declared: take the ; away from those that all\n"
        "; tenants may read as a whole.\n");
    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        struct text name = relation(t, f->rel);
        const struct cat_column *c = perhaps(f->rel);
        if (!is_table(f) || f->column || f->rel->n_parents || !name.p || f->rel->is_extension)
            continue;
        if (c)
            fprintf(t->out, "; %.*s = %.*s claim=tenant\n", TEXT_ARG(name), TEXT_ARG(c->name));
        else
            fprintf(t->out, "; %.*s = shared\n", TEXT_ARG(name));
    }
    fprintf(
        t->out,
        "\n; Views are taken at their word: declare one only if each of its rows is the tenant's in\n"
        "; that column (or if it shows nothing of any tenant).\n");
    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        struct text name = relation(t, f->rel);
        struct buf col;
        if (!strchr("vmf", f->rel->kind) || !name.p || f->rel->is_extension)
            continue;
        buf_init(&col);
        if (f->column && put_name(&col, f->column->name))
            fprintf(t->out, "; %.*s = %.*s\n", TEXT_ARG(name), TEXT_ARG(buf_text(&col)));
        else
            fprintf(t->out, "; %.*s = deny\n", TEXT_ARG(name));
        buf_release(&col);
    }
}

static bool write_functions(struct init *t)
{
    PGresult *r = backend_query(
        t->pg, "functions",
        "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '(' ||"
        " pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', p.provolatile, p.prosecdef,"
        " p.proname ~ '[[:cntrl:]]' OR n.nspname ~ '[[:cntrl:]]', l.lanname"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384 AND p.prokind = 'f'"
        " AND p.prorettype <> ALL (ARRAY['trigger', 'event_trigger']::pg_catalog.regtype[]) AND NOT EXISTS"
        " (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
        " AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1",
        t->e);

    if (!r)
        return false;
    fprintf(
        t->out,
        "\n[tenant_functions]\n; refused until declared; only those whose answer depends on nothing but their\n"
        "; arguments may be: what a function reads is not filtered\n");
    for (int i = 0; i < PQntuples(r); i++) {
        bool pure = PQgetvalue(r, i, 1)[0] == 'i' && PQgetvalue(r, i, 2)[0] == 'f';
        if (PQgetvalue(r, i, 3)[0] == 't' || strchr(PQgetvalue(r, i, 0), '\n'))
            continue;
        if (pure)
            fprintf(t->out, "; %s = allow\n", PQgetvalue(r, i, 0));
        else
            fprintf(t->out, "; %s: %s, %s%s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 4),
                    PQgetvalue(r, i, 1)[0] == 'v' ? "volatile" : "not volatile",
                    PQgetvalue(r, i, 2)[0] == 't' ? ", SECURITY DEFINER" : "");
    }
    PQclear(r);
    return true;
}

static void write_settings(struct init *t)
{
    fprintf(
        t->out,
        "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = scram-sha-256\n"
        "; auth_file = /etc/pgbulkhead/userlist.txt\npool_mode = transaction\n");
    for (int i = 0; i < t->n_columns && i < 1; i++)
        if (!memchr(t->columns[i].p, ',', t->columns[i].n))
            fprintf(
                t->out,
                "; tables that are made later are tenant tables by this column\ntenant_columns = %.*s\n",
                TEXT_ARG(shown(t, t->columns[i])));
}

/* ---- what to look at ---- */

static bool has_tenant(const struct found *f, const struct cat_index *x)
{
    for (int i = 0; i < x->n_cols; i++)
        if (x->cols[i] == f->column->attnum)
            return true;
    return false;
}

static void warn_tables(struct init *t)
{
    for (int i = 0; i < t->n; i++) {
        const struct found *f = &t->v[i];
        struct text name = text_n(NULL, 0);
        if (!is_table(f) || !f->column || f->is_part)
            continue;
        name = arena_printf(t->a, "%.*s.%.*s", TEXT_ARG(shown(t, f->rel->schema)),
                            TEXT_ARG(shown(t, f->rel->name)));
        if (!f->column->not_null)
            fprintf(t->out, "; %.*s: the tenant column may be NULL; such rows belong to nobody\n",
                    TEXT_ARG(name));
        for (int k = 0; k < f->rel->n_uniques; k++)
            if (!has_tenant(f, &f->rel->uniques[k]) && !f->rel->uniques[k].primary)
                fprintf(
                    t->out,
                    "; %.*s: a unique key without the tenant column tells whether others have a value\n",
                    TEXT_ARG(name));
        if (f->rel->has_rules)
            fprintf(t->out, "; %.*s: has rules; tenants cannot write it\n", TEXT_ARG(name));
        if (f->rel->rls && !f->rel->rls_forced)
            fprintf(t->out, "; %.*s: row-level security does not hold for its owner (FORCE it)\n",
                    TEXT_ARG(name));
    }
}

static bool warn_rows(struct init *t, const char *what, const char *sql)
{
    PGresult *r = backend_query(t->pg, what, sql, t->e);

    for (int i = 0; r && i < PQntuples(r); i++)
        fprintf(t->out, "; %.*s\n", TEXT_ARG(shown(t, text_of(PQgetvalue(r, i, 0)))));
    PQclear(r);
    return r != NULL;
}

/* Foreign keys between tenant tables that leave the tenant out. */
static bool warn_keys(struct init *t)
{
    PGresult *r = backend_query(
        t->pg, "foreign keys",
        "SELECT conrelid, confrelid, conname, ' ' || pg_catalog.array_to_string(conkey, ' ') || ' '"
        " FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 3",
        t->e);

    for (int i = 0; r && i < PQntuples(r); i++) {
        struct found *from = by_oid(t, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10));
        struct found *to = by_oid(t, (uint32_t)strtoul(PQgetvalue(r, i, 1), NULL, 10));
        char number[16];
        if (!from || !to || !from->column || !to->column)
            continue;
        snprintf(number, sizeof(number), " %d ", from->column->attnum);
        if (!strstr(PQgetvalue(r, i, 3), number))
            fprintf(t->out, "; %.*s.%.*s: foreign key %.*s leaves the tenant column out\n",
                    TEXT_ARG(shown(t, from->rel->schema)), TEXT_ARG(shown(t, from->rel->name)),
                    TEXT_ARG(shown(t, text_of(PQgetvalue(r, i, 2)))));
    }
    PQclear(r);
    return r != NULL;
}

static bool write_warnings(struct init *t)
{
    fprintf(t->out, "\n; ---- worth a look ----\n");
    warn_tables(t);
    return warn_keys(t) &&
           warn_rows(
               t, "triggers",
               "SELECT DISTINCT n.nspname || '.' || c.relname || ': trigger ' || t.tgname ||"
               " ' runs as its author wrote it' FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c"
               " ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
               " WHERE NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY 1") &&
           warn_rows(
               t, "roles",
               "SELECT 'role ' || rolname || ' bypasses row-level security'"
               " FROM pg_catalog.pg_roles WHERE rolcanlogin AND (rolsuper OR rolbypassrls) ORDER BY 1");
}

static int by_name(const void *x, const void *y)
{
    const struct cat_relation *a = ((const struct found *)x)->rel;
    const struct cat_relation *b = ((const struct found *)y)->rel;
    int c = text_cmp(a->schema, b->schema);
    return c ? c : text_cmp(a->name, b->name);
}

static bool run(struct init *t, const char *columns)
{
    t->n = t->c->n_relations;
    t->v = ARENA_ARRAY(t->a, struct found, t->n + 1);
    for (int i = 0; i < t->n; i++)
        t->v[i].rel = t->c->relations[i];
    qsort(t->v, (size_t)t->n, sizeof(*t->v), by_name);
    if (columns)
        from_given(t, columns);
    if (!from_policies(t))
        return false;
    from_citus(t);
    if (!columns)
        from_names(t);
    mark_parts(t);
    count_columns(t);
    write_head(t);
    write_tables(t);
    write_choices(t);
    bool ok = write_functions(t);
    if (ok)
        write_settings(t);
    return ok && write_warnings(t);
}

static void quiet(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

int init_rules(const char *dsn, const char *columns, FILE *out)
{
    struct arena a;
    struct err e = { 0 };
    struct init t = { .a = &a, .e = &e, .out = out };

    arena_init(&a, 0);
    t.pg = PQconnectdb(dsn);
    bool ok = t.pg && PQstatus(t.pg) == CONNECTION_OK;
    if (ok) {
        PQsetNoticeReceiver(t.pg, quiet, NULL);
        PQsetClientEncoding(t.pg, "UTF8");
        t.c = catalog_read(t.pg, &e);
        ok = t.c && run(&t, columns) && fflush(out) == 0;
    } else {
        err_set(&e, "cannot connect: %s", t.pg ? PQerrorMessage(t.pg) : "out of memory");
    }
    if (!ok)
        fprintf(stderr, "pgbulkhead: %s\n", e.msg);
    if (t.c)
        catalog_free(t.c);
    PQfinish(t.pg);
    arena_release(&a);
    return ok ? 0 : 2;
}
