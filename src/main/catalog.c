/* SPDX-License-Identifier: ISC */
/* The catalog loader: a dozen set queries over libpq, each row copied into the snapshot's arena. */
#include "main/catalog.h"

#include "base/map.h"
#include "tenant/tree.h"

#include <libpq-fe.h>
#include <stdlib.h>

#define OLDEST_VERSION 140000
#define MAX_DOMAIN_DEPTH 32

/* Where and what the loader has read so far. */
struct loader {
    PGconn *pg;
    struct catalog *c;
    struct err *e;
    struct map relations; /* OID's 4 bytes → struct cat_relation, system ones too */
    struct map types;     /* → struct cat_type */
};

/* Outside the system's schemas and the session's own ones; what somebody put into pg_catalog counts
 * as outside. */
#define USER_SCHEMA(oid) "(" oid " >= 16384 AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)')"
#define EXTENSION(class, oid)                                                                      \
    " LEFT JOIN (SELECT d.objid, x.extname FROM pg_catalog.pg_depend d"                            \
    " JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid WHERE d.classid = '" class              \
        "'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass" \
        " AND d.deptype = 'e') e ON e.objid = " oid
#define RELATION_FILTER                                                                            \
    "c.relpersistence <> 't' AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)' AND ("               \
    "(c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')) OR"                     \
    " (c.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema')"                        \
    " AND c.relkind IN ('r', 'v', 'm')))"

/* ---- values of a row ---- */

static uint32_t oid_at(const PGresult *r, int row, int col)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, col), NULL, 10);
}

static int int_at(const PGresult *r, int row, int col)
{
    return (int)strtol(PQgetvalue(r, row, col), NULL, 10);
}

static bool bool_at(const PGresult *r, int row, int col)
{
    return PQgetvalue(r, row, col)[0] == 't';
}

static char char_at(const PGresult *r, int row, int col)
{
    return PQgetvalue(r, row, col)[0];
}

static struct text text_at(struct loader *l, const PGresult *r, int row, int col)
{
    return arena_text(&l->c->arena,
                      text_n(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col)));
}

/* "12 34 56" → numbers. */
static int numbers_at(struct loader *l, const PGresult *r, int row, int col, uint32_t **out)
{
    const char *s = PQgetvalue(r, row, col);
    int n = 0, cap = 0;

    for (const char *p = s; *p; p++)
        cap += *p == ' ';
    *out = ARENA_ARRAY(&l->c->arena, uint32_t, cap + 1);
    while (*s) {
        char *end;

        (*out)[n] = (uint32_t)strtoul(s, &end, 10);
        if (end == s)
            break;
        n++;
        s = *end == ' ' ? end + 1 : end;
    }
    return n;
}

static struct text key_of(const uint32_t *oid)
{
    return text_n((const char *)oid, sizeof(*oid));
}

static void *by_oid(const struct map *m, uint32_t oid)
{
    return map_get(m, key_of(&oid));
}

/* Number of rows from `row` on whose first column is the same OID: groups of an ordered result. */
static int run_length(const PGresult *r, int row)
{
    uint32_t oid = oid_at(r, row, 0);
    int n = 1;

    while (row + n < PQntuples(r) && oid_at(r, row + n, 0) == oid)
        n++;
    return n;
}

/* ---- steps ---- */

static bool load_types(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "types",
        "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typbasetype,"
        " CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END,"
        " COALESCE(rg.rngsubtype, mr.rngsubtype, 0), COALESCE(e.extname, '')"
        " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
        " LEFT JOIN pg_catalog.pg_range rg ON rg.rngtypid = t.oid"
        " LEFT JOIN pg_catalog.pg_range mr ON mr.rngmultitypid = t.oid" EXTENSION(
            "pg_catalog.pg_type", "t.oid") " WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'",
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->types = ARENA_ARRAY(&c->arena, struct cat_type *, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_type *t = ARENA_NEW(&c->arena, struct cat_type);

        t->oid = oid_at(r, i, 0);
        t->schema = text_at(l, r, i, 1);
        t->name = text_at(l, r, i, 2);
        t->typtype = char_at(r, i, 3);
        t->base = oid_at(r, i, 4);
        t->elem = oid_at(r, i, 5);
        t->subtype = oid_at(r, i, 6);
        t->extension = text_at(l, r, i, 7);
        c->types[c->n_types++] = t;
        map_put(&l->types, key_of(&t->oid), t);
    }
    PQclear(r);
    return true;
}

/* What domains' CHECK constraints call: functions, and the functions of operators. */
static bool load_domain_checks(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "domain checks",
        "SELECT k.contypid, COALESCE(o.oprcode::pg_catalog.oid, d.refobjid)"
        " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d"
        " ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid"
        " LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass"
        " AND o.oid = d.refobjid"
        " WHERE k.contypid <> 0 AND d.refobjid >= 16384 AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,"
        " 'pg_catalog.pg_operator'::pg_catalog.regclass) ORDER BY 1",
        l->e);

    if (!r)
        return false;
    for (int i = 0, n; i < PQntuples(r); i += n) {
        struct cat_type *t = by_oid(&l->types, oid_at(r, i, 0));

        n = run_length(r, i);
        if (!t)
            continue;
        t->check_funcs = ARENA_ARRAY(&l->c->arena, uint32_t, n);
        for (int k = 0; k < n; k++) {
            uint32_t f = oid_at(r, i + k, 1);

            if (f >= 16384)
                t->check_funcs[t->n_check_funcs++] = f;
        }
    }
    PQclear(r);
    return true;
}

static bool load_relations(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "relations",
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relhastriggers,"
        " CASE WHEN c.relkind IN ('v', 'm') THEN w.ev_class IS NOT NULL ELSE c.relhasrules END,"
        " e.objid IS NOT NULL, c.oid < 16384, c.relowner,"
        " COALESCE((SELECT o.option_value::pg_catalog.bool FROM pg_catalog.pg_options_to_table(c.reloptions) o"
        " WHERE o.option_name = 'security_invoker'), false)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN (SELECT DISTINCT ev_class FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN') w"
        " ON w.ev_class = c.oid" EXTENSION("pg_catalog.pg_class",
                                           "c.oid") " WHERE " RELATION_FILTER,
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->relations = ARENA_ARRAY(&c->arena, struct cat_relation *, PQntuples(r) + 1);
    c->system = ARENA_ARRAY(&c->arena, struct cat_relation *, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_relation *q = ARENA_NEW(&c->arena, struct cat_relation);

        q->oid = oid_at(r, i, 0);
        q->schema = text_at(l, r, i, 1);
        q->name = text_at(l, r, i, 2);
        q->kind = char_at(r, i, 3);
        q->rls = bool_at(r, i, 4);
        q->rls_forced = bool_at(r, i, 5);
        q->has_triggers = bool_at(r, i, 6);
        q->has_rules = bool_at(r, i, 7);
        q->is_extension = bool_at(r, i, 8);
        q->owner = oid_at(r, i, 10);
        q->security_invoker = bool_at(r, i, 11);
        if (bool_at(r, i, 9))
            c->system[c->n_system++] = q;
        else
            c->relations[c->n_relations++] = q;
        map_put(&l->relations, key_of(&q->oid), q);
    }
    PQclear(r);
    return true;
}

/* A domain's base type, through domains over domains. */
static uint32_t resolve_domain(const struct loader *l, uint32_t oid)
{
    for (int depth = 0; depth < MAX_DOMAIN_DEPTH; depth++) {
        const struct cat_type *t = by_oid(&l->types, oid);

        if (!t || t->typtype != 'd')
            return oid;
        oid = t->base;
    }
    return 0;
}

static bool load_columns(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "columns",
        "SELECT a.attrelid, a.attname, a.atttypid, a.attnum, a.attnotnull, a.atthasdef, a.attgenerated <> '',"
        " a.attidentity <> '', COALESCE(k.collisdeterministic, true), a.attgenerated = 'v'"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation"
        " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S' AND " RELATION_FILTER
        " ORDER BY a.attrelid, a.attnum",
        l->e);

    if (!r)
        return false;
    for (int i = 0, n; i < PQntuples(r); i += n) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));

        n = run_length(r, i);
        if (!q)
            continue;
        q->columns = ARENA_ARRAY(&l->c->arena, struct cat_column, n);
        q->n_columns = n;
        for (int k = 0; k < n; k++) {
            struct cat_column *a = &q->columns[k];

            a->name = text_at(l, r, i + k, 1);
            a->type = oid_at(r, i + k, 2);
            a->base_type = resolve_domain(l, a->type);
            a->attnum = int_at(r, i + k, 3);
            a->not_null = bool_at(r, i + k, 4);
            a->has_default = bool_at(r, i + k, 5);
            a->generated = bool_at(r, i + k, 6);
            a->identity = bool_at(r, i + k, 7);
            a->collation_deterministic = bool_at(r, i + k, 8);
            a->is_virtual = bool_at(r, i + k, 9);
            q->has_virtual |= a->is_virtual;
        }
    }
    PQclear(r);
    return true;
}

/* Two lists of OIDs per relation: inheritance parents, and what a view reads. */
static bool load_links(struct loader *l, const char *what, const char *sql, bool parents)
{
    PGresult *r = backend_query(l->pg, what, sql, l->e);

    if (!r)
        return false;
    for (int i = 0, n; i < PQntuples(r); i += n) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));
        uint32_t *list;

        n = run_length(r, i);
        if (!q)
            continue;
        list = ARENA_ARRAY(&l->c->arena, uint32_t, n);
        for (int k = 0; k < n; k++)
            list[k] = oid_at(r, i + k, 1);
        if (parents) {
            q->parents = list;
            q->n_parents = n;
        } else {
            q->view_reads = list;
            q->n_view_reads = n;
        }
    }
    PQclear(r);
    return true;
}

static bool load_uniques(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "unique indexes",
        "SELECT i.indrelid, i.indisprimary, i.indpred IS NOT NULL, i.indnkeyatts, i.indkey::pg_catalog.text,"
        " x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid"
        " WHERE i.indisunique AND i.indisvalid AND i.indrelid >= 16384 ORDER BY 1",
        l->e);

    if (!r)
        return false;
    for (int i = 0, n; i < PQntuples(r); i += n) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));

        n = run_length(r, i);
        if (!q)
            continue;
        q->uniques = ARENA_ARRAY(&l->c->arena, struct cat_index, n);
        q->n_uniques = n;
        for (int k = 0; k < n; k++) {
            struct cat_index *x = &q->uniques[k];
            uint32_t *cols;
            int have = numbers_at(l, r, i + k, 4, &cols), keys = int_at(r, i + k, 3);

            x->name = text_at(l, r, i + k, 5);
            x->primary = bool_at(r, i + k, 1);
            x->partial = bool_at(r, i + k, 2);
            x->n_cols = keys < have ? keys : have; /* the rest is INCLUDEd */
            x->cols = ARENA_ARRAY(&l->c->arena, int, x->n_cols);
            for (int j = 0; j < x->n_cols; j++)
                x->cols[j] = (int)cols[j];
        }
    }
    PQclear(r);
    return true;
}

static bool load_policies(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "policies",
        "SELECT polrelid, polname, pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(polqual, polrelid),"
        " pg_catalog.pg_get_expr(polwithcheck, polrelid)) FROM pg_catalog.pg_policy ORDER BY 1, 2",
        l->e);

    if (!r)
        return false;
    for (int i = 0, n; i < PQntuples(r); i += n) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));

        n = run_length(r, i);
        if (!q)
            continue;
        q->policies = ARENA_ARRAY(&l->c->arena, struct cat_policy, n);
        q->n_policies = n;
        for (int k = 0; k < n; k++)
            q->policies[k] =
                (struct cat_policy){ text_at(l, r, i + k, 1), text_at(l, r, i + k, 2) };
    }
    PQclear(r);
    return true;
}

/* Who is, or may become, a role that policies do not hold or that owns relations. The owner of the
 * database is a member of pg_database_owner without being listed as one. */
static bool load_roles(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "roles",
        "WITH RECURSIVE target AS (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolbypassrls"
        " OR r.oid IN (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p'))),"
        " m(member, role) AS (SELECT t.oid, t.oid FROM target t UNION SELECT d.datdba, r.oid"
        " FROM pg_catalog.pg_database d, pg_catalog.pg_roles r WHERE d.datname = pg_catalog.current_database()"
        " AND r.rolname = 'pg_database_owner' AND r.oid IN (SELECT oid FROM target)"
        " UNION SELECT a.member, m.role FROM pg_catalog.pg_auth_members a JOIN m ON a.roleid = m.member)"
        " SELECT x.oid, r.oid, x.rolname, r.rolname, r.rolsuper, r.rolbypassrls FROM m"
        " JOIN pg_catalog.pg_roles x ON x.oid = m.member JOIN pg_catalog.pg_roles r ON r.oid = m.role"
        " ORDER BY 3, 4",
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->roles = ARENA_ARRAY(&c->arena, struct cat_role, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++)
        c->roles[c->n_roles++] = (struct cat_role){
            .oid = oid_at(r, i, 0),
            .as_oid = oid_at(r, i, 1),
            .name = text_at(l, r, i, 2),
            .as_name = text_at(l, r, i, 3),
            .as_super = bool_at(r, i, 4),
            .as_bypass = bool_at(r, i, 5),
        };
    PQclear(r);
    return true;
}

static bool load_role_switches(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "role settings",
        "SELECT COALESCE(x.rolname, ''), 'it is switched by ALTER ROLE or DATABASE ... SET ' || k.line"
        " FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) k(line)"
        " LEFT JOIN pg_catalog.pg_roles x ON x.oid = s.setrole WHERE k.line ~* '^(role|session_authorization)='"
        " AND (s.setdatabase = 0 OR s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database d"
        " WHERE d.datname = pg_catalog.current_database()))",
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->role_switches = ARENA_ARRAY(&c->arena, struct cat_role_switch, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++)
        c->role_switches[c->n_role_switches++] =
            (struct cat_role_switch){ text_at(l, r, i, 0), text_at(l, r, i, 1) };
    PQclear(r);
    return true;
}

/* The relation's columns that a view shows, when its definition is nothing but a select list of
 * plain columns over one relation; else NULL. */
static struct text *view_origins(struct arena *a, const struct cat_relation *q, struct text sql)
{
    struct tree t;
    struct err e;
    if (sql.n > 65536 || !tree_parse(NULL, sql, a, &t, &e) || t.n_stmts != 1)
        return NULL;
    struct node *n = t.stmts[0].stmt, *from = node_get(n, R_fromClause),
                *list = node_get(n, R_targetList);
    if (!node_is(n, N_SelectStmt) || node_int(n, R_op) != TREE_SETOP_NONE || list_len(from) != 1 ||
        !node_is(list_at(from, 0), N_RangeVar) || list_len(list) != q->n_columns ||
        node_get(node_get(list_at(from, 0), R_alias), R_colnames))
        return NULL;
    struct text *names = ARENA_ARRAY(a, struct text, q->n_columns + 1);
    for (int i = 0; i < q->n_columns; i++) {
        struct node *val = node_get(list_at(list, i), R_val),
                    *f = node_is(val, N_ColumnRef) ? node_get(val, R_fields) : NULL;
        struct node *last = list_at(f, list_len(f) - 1);
        struct text label = node_str(list_at(list, i), R_name);
        if (!node_is(last, N_String))
            return NULL;
        names[i] = node_str(last, R_sval);
        if (!text_eq(label.n ? label : names[i], q->columns[i].name))
            return NULL;
    }
    return names;
}

static bool load_view_origins(struct loader *l)
{
    PGresult *r =
        backend_query(l->pg, "views' definitions",
                      "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c"
                      " WHERE c.relkind = 'v' AND c.oid >= 16384 AND"
                      " pg_catalog.pg_relation_is_updatable(c.oid, false) & 28 = 28",
                      l->e);

    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));

        if (q)
            q->view_origins = view_origins(&l->c->arena, q, text_at(l, r, i, 1));
    }
    PQclear(r);
    return true;
}

static bool load_functions(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "functions",
        "SELECT p.oid, n.nspname, p.proname, p.proargtypes::pg_catalog.text, p.pronargdefaults, p.prorettype, p.prokind,"
        " p.provolatile, p.proisstrict, p.prosecdef, p.proleakproof, p.provariadic <> 0, p.proretset, g.lanname,"
        " COALESCE(e.extname, ''), p.procost"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " JOIN pg_catalog.pg_language g ON g.oid = p.prolang" EXTENSION(
            "pg_catalog.pg_proc",
            "p.oid") " WHERE " USER_SCHEMA("p.oid") " OR n.nspname NOT IN ('pg_catalog') AND p.oid < 16384",
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->functions = ARENA_ARRAY(&c->arena, struct cat_function *, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_function *f = ARENA_NEW(&c->arena, struct cat_function);

        f->oid = oid_at(r, i, 0);
        f->schema = text_at(l, r, i, 1);
        f->name = text_at(l, r, i, 2);
        f->n_args = numbers_at(l, r, i, 3, &f->args);
        f->n_defaults = int_at(r, i, 4);
        f->ret = oid_at(r, i, 5);
        f->kind = char_at(r, i, 6);
        f->volatility = char_at(r, i, 7);
        f->strict = bool_at(r, i, 8);
        f->security_definer = bool_at(r, i, 9);
        f->leakproof = bool_at(r, i, 10);
        f->variadic = bool_at(r, i, 11);
        f->returns_set = bool_at(r, i, 12);
        f->language = text_at(l, r, i, 13);
        f->extension = text_at(l, r, i, 14);
        f->cost = strtod(PQgetvalue(r, i, 15), NULL);
        c->functions[c->n_functions++] = f;
    }
    PQclear(r);
    return true;
}

static bool load_builtins(struct loader *l)
{
    PGresult *r = backend_query(l->pg, "built-in functions",
                                "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE oid < 16384"
                                " AND pronamespace = 'pg_catalog'::pg_catalog.regnamespace",
                                l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->builtins = ARENA_ARRAY(&c->arena, struct text, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++)
        c->builtins[c->n_builtins++] = text_at(l, r, i, 0);
    PQclear(r);
    return true;
}

static bool load_operators(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "operators",
        "SELECT o.oid, n.nspname, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid"
        " FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace"
        " WHERE " USER_SCHEMA("o.oid"),
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->operators = ARENA_ARRAY(&c->arena, struct cat_operator *, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_operator *o = ARENA_NEW(&c->arena, struct cat_operator);

        o->oid = oid_at(r, i, 0);
        o->schema = text_at(l, r, i, 1);
        o->name = text_at(l, r, i, 2);
        o->left = oid_at(r, i, 3);
        o->right = oid_at(r, i, 4);
        o->result = oid_at(r, i, 5);
        o->func = oid_at(r, i, 6);
        c->operators[c->n_operators++] = o;
    }
    PQclear(r);
    return true;
}

static bool load_casts(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "casts",
        "SELECT castsource, casttarget, castfunc FROM pg_catalog.pg_cast WHERE castfunc >= 16384",
        l->e);
    struct catalog *c = l->c;

    if (!r)
        return false;
    c->casts = ARENA_ARRAY(&c->arena, struct cat_cast, PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++)
        c->casts[c->n_casts++] =
            (struct cat_cast){ oid_at(r, i, 0), oid_at(r, i, 1), oid_at(r, i, 2) };
    PQclear(r);
    return true;
}

/* Citus keeps a table's distribution column as the text of an expression node; its attribute number
 * is what counts. */
static bool load_citus(struct loader *l)
{
    PGresult *r = backend_query(
        l->pg, "Citus", "SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL",
        l->e);
    bool there;

    if (!r)
        return false;
    there = bool_at(r, 0, 0);
    PQclear(r);
    if (!there)
        return true;
    r = backend_query(
        l->pg, "Citus",
        "SELECT p.logicalrelid::pg_catalog.oid, a.attname FROM pg_catalog.pg_dist_partition p"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = p.logicalrelid"
        " AND a.attnum::pg_catalog.text = pg_catalog.substring(p.partkey::pg_catalog.text, ':varattno ([0-9]+)')",
        l->e);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct cat_relation *q = by_oid(&l->relations, oid_at(r, i, 0));

        if (q)
            q->citus_column = text_at(l, r, i, 1);
    }
    PQclear(r);
    return true;
}

/* ---- search_path ---- */

/* Takes one name off a list as SHOW search_path prints it: quoted, or folded to lower case. */
static bool next_schema(struct loader *l, const char **p, struct text *name)
{
    const char *s = *p;
    char *out;
    size_t n = 0;

    while (*s == ' ' || *s == ',')
        s++;
    if (!*s)
        return false;
    out = arena_alloc(&l->c->arena, strlen(s) + 1);
    if (*s == '"') {
        for (s++; *s && !(*s == '"' && s[1] != '"'); s++) {
            if (*s == '"')
                s++;
            out[n++] = *s;
        }
        if (*s)
            s++;
    } else {
        for (; *s && *s != ','; s++)
            out[n++] = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
        while (n > 0 && out[n - 1] == ' ')
            n--;
    }
    *name = text_n(out, n);
    *p = s;
    return true;
}

static bool schema_exists(const PGresult *schemas, struct text name)
{
    for (int i = 0; i < PQntuples(schemas); i++) {
        if (text_is(name, PQgetvalue(schemas, i, 0)))
            return true;
    }
    return false;
}

static bool load_search_path(struct loader *l, const char *path)
{
    PGresult *r =
        backend_query(l->pg, "schemas", "SELECT nspname FROM pg_catalog.pg_namespace", l->e);
    struct catalog *c = l->c;
    struct text name;
    int cap = 1;

    if (!r)
        return false;
    for (const char *p = path; *p; p++)
        cap += *p == ',';
    c->search_path = ARENA_ARRAY(&c->arena, struct text, cap);
    while (next_schema(l, &path, &name)) {
        if (text_is(name, "pg_catalog"))
            c->catalog_not_first = c->n_search_path > 0;
        else if (!text_is(name, "$user") && !text_starts(name, TEXT("pg_temp")) &&
                 schema_exists(r, name) && c->n_search_path < cap)
            c->search_path[c->n_search_path++] = name;
    }
    PQclear(r);
    return true;
}

/* ---- the whole ---- */

static bool run(struct loader *l, const char *sql)
{
    PGresult *r = backend_query(l->pg, "catalog", sql, l->e);

    PQclear(r);
    return r != NULL;
}

static bool load_all(struct loader *l, const char *path)
{
    return load_search_path(l, path) && load_types(l) && load_domain_checks(l) &&
           load_relations(l) && load_columns(l) &&
           load_links(l, "inheritance",
                      "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY 1, inhseqno",
                      true) &&
           load_links(
               l, "views",
               "SELECT DISTINCT w.ev_class, d.refobjid FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d"
               " ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid"
               " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.ev_class"
               " WHERE w.rulename = '_RETURN' AND w.ev_class >= 16384 ORDER BY 1",
               false) &&
           load_uniques(l) && load_view_origins(l) && load_policies(l) && load_roles(l) &&
           load_role_switches(l) && load_functions(l) && load_builtins(l) && load_operators(l) &&
           load_casts(l) && load_citus(l);
}

static bool load(struct loader *l)
{
    PGresult *r;
    bool done;

    l->c->server_version = PQserverVersion(l->pg);
    if (l->c->server_version < OLDEST_VERSION)
        return err_set(l->e,
                       "PostgreSQL %d.%d is too old for tenant enforcement: 14 or newer is needed",
                       l->c->server_version / 10000, l->c->server_version % 10000);
    l->c->encoding = arena_text(&l->c->arena, text_of(PQparameterStatus(l->pg, "server_encoding")));
    r = backend_query(l->pg, "search_path", "SELECT pg_catalog.current_setting('search_path')",
                      l->e);
    if (!r)
        return false;
    done = run(l, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") &&
           run(l, "SET LOCAL search_path = ''") && load_all(l, PQgetvalue(r, 0, 0)) &&
           run(l, "COMMIT");
    PQclear(r);
    return done;
}

struct catalog *catalog_read(PGconn *pg, struct err *e)
{
    struct loader l = { .e = e, .pg = pg };
    bool done;

    l.c = catalog_new();
    map_init(&l.relations);
    map_init(&l.types);
    done = load(&l);
    map_release(&l.relations);
    map_release(&l.types);
    if (done)
        return l.c;
    catalog_free(l.c);
    return NULL;
}

struct catalog *catalog_load(const struct catalog_source *src, struct err *e)
{
    PGconn *pg = backend_open(src, e);
    struct catalog *c = pg ? catalog_read(pg, e) : NULL;

    PQfinish(pg);
    return c;
}
