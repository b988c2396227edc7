/* SPDX-License-Identifier: ISC */
/* COPY: what becomes of the statement, its plan, and the machine over its rows. */
#include "copy_reader.h"
#include "tenant_world.h"

#define COLS "\"id\", \"tenant_id\", \"subject\", \"severity\", \"closed\""

static void statements(struct world *w)
{
    static const char *const refused[][2] = {
        { "COPY tickets TO '/tmp/x'", "!copy_file" },
        { "COPY tickets FROM PROGRAM 'x'", "!copy_file" },
        { "COPY tickets TO ''", "!copy_file" },
        { "COPY BINARY tickets TO STDOUT", "!copy_table" },
        { "COPY v_both TO STDOUT", "!copy_table" },
        { "COPY secret TO STDOUT", "!denied_relation" },
        { "COPY loose TO STDOUT", "!unknown_relation" },
        { "COPY tickets (xmin) TO STDOUT", "!attribute" },
        { "COPY tickets (id, id) TO STDOUT", "!attribute" },
        { "COPY tickets (nosuch) FROM STDIN", "!attribute" },
        { "COPY tickets (tenant_id, tenant_id) FROM STDIN", "!attribute" },
        { "COPY doc_types FROM STDIN", "!read_only_relation" },
        { "COPY pg_catalog.pg_class FROM STDIN", "!read_only_relation" },
        { "COPY v_both FROM STDIN", "!read_only_relation" },
        { "COPY tickets FROM STDIN; SELECT 1", "!copy_from" },
        { "BEGIN; COPY tickets FROM STDIN", "!copy_from" },
        { "COPY tickets FROM STDIN (FREEZE false)", "!copy_from" },
        { "COPY tickets FROM STDIN (ON_ERROR ignore)", "!copy_from" },
        { "COPY tickets FROM STDIN (DEFAULT 'x')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, FORMAT text)", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT json)", "!copy_from" },
        { "COPY tickets FROM STDIN (DELIMITER 'ab')", "!copy_from" },
        { "COPY tickets FROM STDIN (DELIMITER '\xc3\xa9')", "!copy_from" },
        { "COPY tickets FROM STDIN (DELIMITER 'n')", "!copy_from" },
        { "COPY tickets FROM STDIN (DELIMITER E'\\n')", "!copy_from" },
        { "COPY tickets FROM STDIN (DELIMITER 1)", "!copy_from" },
        { "COPY tickets FROM STDIN (NULL E'a\\nb')", "!copy_from" },
        { "COPY tickets FROM STDIN (NULL 'a,b', DELIMITER ',')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, NULL '\"')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, DELIMITER '\\')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, QUOTE '\\')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, QUOTE ',')", "!copy_from" },
        { "COPY tickets FROM STDIN (QUOTE '''')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT binary, NULL 'x')", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT binary, HEADER)", "!copy_from" },
        { "COPY tickets FROM STDIN (HEADER 2)", "!copy_from" },
        { "COPY tickets FROM STDIN (ENCODING 'LATIN1')", "!copy_from" },
        { "COPY tickets (id) FROM STDIN (FORMAT csv, FORCE_NULL (tenant_id))", "!copy_from" },
        { "COPY tickets (id) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (tenant_id))", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, FORCE_NULL *)", "!copy_from" },
        { "COPY tickets FROM STDIN (FORMAT csv, FORCE_QUOTE (id))", "!copy_from" },
        { "COPY tickets FROM STDIN WHERE peers(id) > 1", "!function" },
        { "COPY app.public.tickets FROM STDIN", "!unknown_relation" },
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        world_is(w, refused[i][0], refused[i][1], NULL);
    world_is(w, "COPY tickets TO STDOUT",
             "COPY (SELECT " COLS
             " FROM ONLY \"public\".\"tickets\" WHERE {tickets.tenant_id}) TO STDOUT",
             NULL);
    world_is(w, "copy public . tickets (subject, \"id\") to stdout csv header",
             "copy (SELECT \"subject\", \"id\" FROM ONLY \"public\".\"tickets\" WHERE "
             "{tickets.tenant_id}) to stdout csv header",
             NULL);
    world_is(w, "COPY doc_types TO STDOUT", "COPY \"public\".doc_types TO STDOUT", NULL);
    world_is(w, "COPY (SELECT id FROM tickets) TO STDOUT",
             "COPY (SELECT id FROM \"public\".tickets WHERE {tickets.tenant_id}) TO STDOUT", NULL);
    world_is(w, "COPY tickets FROM STDIN", "COPY \"public\".tickets (" COLS ") FROM STDIN", NULL);
    world_is(w, "COPY tickets(id)FROM STDIN WHERE severity > 2",
             "COPY \"public\".tickets(\"tenant_id\", id)FROM STDIN WHERE severity > 2", NULL);
    world_is(w, "COPY public.tickets (id, tenant_id) FROM STDIN", "=", NULL);
    world_is(w, "COPY BINARY tickets (id) FROM STDIN",
             "COPY BINARY \"public\".tickets (\"tenant_id\", id) FROM STDIN", NULL);
    world_is(w, "COPY \"Order Items\" (\"from\") FROM STDIN",
             "COPY \"public\".\"Order Items\" (\"TenantId\", \"from\") FROM STDIN", NULL);
    w->ask.extended = true;
    world_is(w, "COPY tickets (id) TO STDOUT",
             "COPY (SELECT \"id\" FROM ONLY \"public\".\"tickets\" WHERE {tickets.tenant_id}) TO "
             "STDOUT",
             NULL);
    struct verdict *v = world_judge(w, "COPY (SELECT id FROM tickets) TO STDOUT");
    w->claims[0].value = TEXT("beta");
    w->id.hash++;
    struct verdict *other = world_judge(w, "COPY (SELECT id FROM tickets) TO STDOUT");
    ok(v != other, "a literal in the extended protocol: a verdict of its own for each tenant");
    is_int(v->n_added, 0, "and no added parameter");
    verdict_unref(w->engine, v);
    verdict_unref(w->engine, other);
    w->claims[0].value = TEXT("acme");
    w->id.hash--;
    w->ask.extended = false;
    w->ask.mode = TENANT_REJECT;
    world_is(w, "COPY tickets TO STDOUT", "!copy_table", NULL);
    world_is(w, "COPY (SELECT id FROM tickets) TO STDOUT", "!missing_predicate", NULL);
    world_is(w, "COPY tickets (id) FROM STDIN", "!unproven_value", NULL);
    world_is(w, "COPY tickets (id, tenant_id) FROM STDIN", "=", NULL);
    world_is(w, "COPY tickets FROM STDIN", "COPY tickets (" COLS ") FROM STDIN", NULL);
    w->ask.mode = TENANT_REWRITE;
}

static void plans(struct world *w)
{
    struct verdict *v = world_judge(w, "COPY tickets (id, tenant_id) FROM STDIN CSV HEADER "
                                       "DELIMITER ';' NULL 'n' QUOTE '''' ESCAPE '\\' "
                                       "FORCE NULL tenant_id FORCE NOT NULL id");
    const struct copy_plan *p = v->copy;
    ok(p && p->format == COPY_CSV && p->header == COPY_HEADER_SKIP, "CSV with a header");
    ok(p && p->delim == ';' && p->quote == '\'' && p->escape == '\\', "its characters");
    ok(p && text_is(p->null, "n") && p->force_null && p->csv_end, "its NULL");
    ok(p && p->n_fields == 2 && p->field == 1 && text_is(p->column, "tenant_id"), "its columns");
    ok(p && text_is(p->claim, "tenant") && p->type == VALUE_TEXT, "its claim");
    ok(p && text_is(p->relation, "public.tickets"), "its name");
    verdict_unref(w->engine, v);
    v = world_judge(w, "COPY invoices (total) FROM STDIN USING DELIMITERS '|'");
    p = v->copy;
    ok(p && p->format == COPY_TEXT && p->delim == '|' && text_is(p->null, "\\N"), "text");
    ok(p && p->field == -1 && p->n_fields == 1 && p->type == VALUE_INT4, "to be filled in");
    verdict_unref(w->engine, v);
    v = world_judge(w, "COPY keys FROM STDIN (FORMAT 'binary', ENCODING 'utf-8')");
    ok(v->copy && v->copy->format == COPY_BINARY && v->copy->type == VALUE_UUID, "binary");
    verdict_unref(w->engine, v);
    v = world_judge(w, "COPY tickets FROM STDIN (HEADER match, FORMAT csv)");
    ok(v->copy && v->copy->header == COPY_HEADER_MATCH, "HEADER match");
    verdict_unref(w->engine, v);
    v = world_judge(w, "COPY (SELECT 1) TO STDOUT");
    ok(!v->copy, "COPY TO has no plan");
    verdict_unref(w->engine, v);
}

static struct copy_plan plan_of(enum copy_format format, int n, int field)
{
    bool csv = format == COPY_CSV;
    return (struct copy_plan){ .format = format,
                               .delim = csv ? ',' : '\t',
                               .quote = '"',
                               .escape = '"',
                               .null = csv ? TEXT("") : TEXT("\\N"),
                               .csv_end = true,
                               .n_fields = n,
                               .field = field,
                               .relation = TEXT("public.t"),
                               .column = TEXT("tenant_id"),
                               .claim = TEXT("tenant"),
                               .type = VALUE_TEXT };
}

/* Runs data in pieces of every size; want: what is sent, or "!reason". */
static void sends(const struct copy_plan *p, const char *value, struct text in, const char *want,
                  size_t n_want, const char *what)
{
    for (size_t piece = 0; piece <= in.n && piece < 40; piece++) {
        struct buf out;
        buf_init(&out);
        struct copy_stream *s = copy_stream_new(p, text_of(value));
        bool good = s && copy_feed_all(s, in, piece, &out);
        if (s && !good) {
            buf_clear(&out);
            buf_printf(&out, "!%s", refusal_name(copy_stream_refusal(s)->reason));
        }
        struct text got = buf_text(&out);
        bool same = text_eq(got, text_n(want, n_want));
        if (!same || piece == in.n || piece == 39)
            is_text(got, text_n(want, n_want), "%s (pieces of %zu)", what, piece);
        copy_stream_free(s);
        buf_release(&out);
        if (!same)
            return;
    }
}

#define SENDS(p, value, in, want, what) sends(p, value, TEXT(in), want, sizeof(want) - 1, what)

static void text_rows(void)
{
    struct copy_plan p = plan_of(COPY_TEXT, 2, 1), f = plan_of(COPY_TEXT, 2, -1);
    SENDS(&p, "acme", "1\tacme\n2\tacme\n", "1\tacme\n2\tacme\n", "own rows");
    SENDS(&p, "acme", "1\tacme\r\n2\tacme\r\n", "1\tacme\r\n2\tacme\r\n", "CR NL");
    SENDS(&p, "acme", "1\tacme\r2\tacme", "1\tacme\r2\tacme", "CR, no end");
    SENDS(&p, "acme", "1\t\\141c\\x6D\\x65\n", "1\t\\141c\\x6D\\x65\n", "spelled out");
    SENDS(&p, "acme", "1\\\n\\\t\tacme\n", "1\\\n\\\t\tacme\n", "escaped line end and delimiter");
    SENDS(&p, "acme", "1\tacme\n\\.\n2\tother\n", "1\tacme\n", "nothing behind the end");
    SENDS(&p, "acme", "1\tacme\n\\.\r2\tother\n", "!copy_data", "the end with another line end");
    SENDS(&p, "acme", "1\tacme\\.\n", "!copy_data", "an end within a line");
    SENDS(&p, "acme", "1\tacme\nx\\", "!copy_data", "a backslash at the end");
    SENDS(&p, "acme", "1\tacme\n\\", "!copy_data", "a backslash alone at the end");
    SENDS(&p, "acme", "1\tother\n", "!wrong_tenant", "another's row");
    SENDS(&p, "acme", "1\tacme\n2\t\\x6fther\n", "!wrong_tenant", "spelled out");
    SENDS(&p, "acme", "1\t\\N\n", "!wrong_tenant", "NULL");
    SENDS(&p, "\\N", "1\t\\\\N\n", "1\t\\\\N\n", "a value like NULL");
    SENDS(&p, "acme", "1\n", "!copy_data", "no such column");
    SENDS(&p, "acme", "1\tacme\t3\n", "!copy_data", "one too many");
    SENDS(&p, "acme", "1\tacm\\e\n", "1\tacm\\e\n", "a backslash that does nothing");
    SENDS(&p, "a\303\251", "1\ta\\303\\251\n", "!wrong_tenant", "bytes of some encoding");
    SENDS(&p, "a\303\251", "1\ta\303\251\n", "1\ta\303\251\n", "characters");
    SENDS(&p, "acme", "1\tacme\0\n", "!copy_data", "a zero byte");
    SENDS(&p, "acme", "1\tacme\n\n", "!copy_data", "an empty line");
    SENDS(&f, "acme", "1\tx\n2\ty", "acme\t1\tx\nacme\t2\ty", "filled in");
    SENDS(&f, "a\tb\\c\n", "1\tx\n", "a\\tb\\\\c\\n\t1\tx\n", "and escaped");
    SENDS(&f, "acme", "\\N\tx\r\n\\.\r\nrest", "acme\t\\N\tx\r\n", "filled in up to the end");
    SENDS(&f, "acme", "", "", "nothing");
    p.header = f.header = COPY_HEADER_SKIP;
    SENDS(&p, "acme", "x\ty\tz\n1\tacme\n", "x\ty\tz\n1\tacme\n", "a header is not looked at");
    SENDS(&f, "acme", "x\n1\ty\n", "x\nacme\t1\ty\n", "nor changed");
    f.header = COPY_HEADER_MATCH;
    SENDS(&f, "acme", "a\tb\n1\ty\n", "tenant_id\ta\tb\nacme\t1\ty\n", "unless it is compared");
    f.null = TEXT("acme");
    SENDS(&f, "acme", "a\tb\n1\ty\n", "!copy_from", "the value would read as NULL");
    f = plan_of(COPY_TEXT, 2, -1);
    f.delim = 'A';
    SENDS(&f, "ABA", "1Ax\n", "\\AB\\AA1Ax\n", "the delimiter in the value");
    p = plan_of(COPY_TEXT, 2, 1);
    p.delim = 'A';
    SENDS(&p, "J", "1A\\x4A\n", "1A\\x4A\n", "a delimiter that is a digit");
    p = plan_of(COPY_TEXT, 1, 0);
    p.type = VALUE_INT4;
    SENDS(&p, "11", "11\n0011\n", "11\n0011\n", "integers");
    SENDS(&p, "11", "12\n", "!wrong_tenant", "another one");
    SENDS(&p, "11", "11 \n", "!wrong_tenant", "not as we spell it");
}

static void csv_rows(void)
{
    struct copy_plan p = plan_of(COPY_CSV, 2, 1), f = plan_of(COPY_CSV, 2, -1);
    SENDS(&p, "acme", "1,acme\n\"2\",\"acme\"\n", "1,acme\n\"2\",\"acme\"\n", "own rows");
    SENDS(&p, "acme", "\"a\nb\r\n\"\"\",ac\"me\"\n", "\"a\nb\r\n\"\"\",ac\"me\"\n", "quotes");
    SENDS(&p, "acme", "\"1,acme\n2\",other\n", "!wrong_tenant", "a line within quotes");
    SENDS(&p, "acme", "1,acme\n2,\"acme\n", "!copy_data", "an open quote");
    SENDS(&p, "a\"b", "1,\"a\"\"b\"\n", "1,\"a\"\"b\"\n", "a doubled quote");
    SENDS(&p, "acme", "1,\n", "!wrong_tenant", "empty");
    SENDS(&p, "acme", "1,acme\n\\.\n2,other\n", "1,acme\n", "the end");
    SENDS(&p, "acme", "\\.,acme\n\\.x,acme\n\\a,acme\n", "\\.,acme\n\\.x,acme\n\\a,acme\n",
          "not the end");
    SENDS(&p, "acme", "1,acme\n\\.", "!copy_data", "a short row at the end");
    SENDS(&f, "ac\"me", "1,\n2,\"\"\n", "\"ac\"\"me\",1,\n\"ac\"\"me\",2,\"\"\n", "filled in");
    p.csv_end = false;
    SENDS(&p, "acme", "1,acme\n\\.\n2,other\n", "!copy_data", "newer servers: a short row");
    p.escape = '\\';
    SENDS(&p, "acme", "\"a\\\"\n\\\\\",acme\n", "\"a\\\"\n\\\\\",acme\n", "another escape");
    SENDS(&p, "acme", "\"1\\\",acme\n2\",other\n", "!wrong_tenant", "an escaped quote");
    SENDS(&p, "a\\b", "1,\"a\\b\"\n", "1,\"a\\b\"\n", "an escape of nothing");
    f.escape = '\\';
    f.header = COPY_HEADER_MATCH;
    SENDS(&f, "a\\\"", "a,b\n1,\n", "\"tenant_id\",a,b\n\"a\\\\\\\"\",1,\n", "filled in, escaped");
    p.null = TEXT("acme");
    SENDS(&p, "acme", "1,acme\n", "!wrong_tenant", "the NULL string");
    SENDS(&p, "acme", "1,\"acme\"\n", "1,\"acme\"\n", "is none within quotes");
    p.force_null = true;
    SENDS(&p, "acme", "1,\"acme\"\n", "!wrong_tenant", "unless it is forced");
}

#define SIGN "PGCOPY\n\377\r\n\0"
#define HEAD SIGN "\0\0\0\0\0\0\0\0"

static void binary_rows(void)
{
    struct copy_plan p = plan_of(COPY_BINARY, 2, 1), f = plan_of(COPY_BINARY, 1, -1);
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\1x\0\0\0\4acme\377\377",
          HEAD "\0\2\0\0\0\1x\0\0\0\4acme\377\377", "an own row");
    SENDS(&p, "acme", SIGN "\0\0\0\1\0\0\0\3ext\0\2\377\377\377\377\0\0\0\4acme",
          SIGN "\0\0\0\1\0\0\0\3ext\0\2\377\377\377\377\0\0\0\4acme", "an extension, no trailer");
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\0\0\0\0\4acmf", "!wrong_tenant", "another's");
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\0\377\377\377\377", "!wrong_tenant", "NULL");
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\0\0\0\0\0", "!wrong_tenant", "empty");
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\0\377\377\377\376", "!copy_data", "a negative length");
    SENDS(&p, "acme", HEAD "\0\3\0\0\0\0", "!copy_data", "another number of fields");
    SENDS(&p, "acme", HEAD "\377\377x", "!copy_data", "behind the trailer");
    SENDS(&p, "acme", HEAD "\0\2\0\0\0\0", "!copy_data", "cut off");
    SENDS(&p, "acme", HEAD "\0", "!copy_data", "cut off in the number");
    SENDS(&p, "acme", "PGCOPY\n\377\r\n\1", "!copy_data", "another signature");
    SENDS(&p, "acme", SIGN "\0\1\0\0\0\0\0\0", "!copy_data", "a critical flag");
    SENDS(&p, "acme", SIGN "\0\0\0\0\200\0\0\0", "!copy_data", "a negative extension");
    SENDS(&f, "acme", HEAD "\0\1\0\0\0\1x\377\377", HEAD "\0\2\0\0\0\4acme\0\0\0\1x\377\377",
          "filled in");
    f.type = VALUE_INT8;
    SENDS(&f, "-2", HEAD "\0\1\0\0\0\1x",
          HEAD "\0\2\0\0\0\10\377\377\377\377\377\377\377\376\0\0\0\1x", "as bigint");
    f.type = VALUE_INT2;
    SENDS(&f, "258", HEAD "\0\1\0\0\0\1x", HEAD "\0\2\0\0\0\2\1\2\0\0\0\1x", "as smallint");
    f.type = VALUE_UUID;
    SENDS(&f, "00010203-0405-0607-0809-0a0b0c0d0e0f", HEAD "\0\1\0\0\0\1x",
          HEAD "\0\2\0\0\0\20\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\0\0\0\1x", "as uuid");
    SENDS(&f, "acme", HEAD "\0\1\0\0\0\1x", "!no_claim", "not of the type");
}

/* ---- random data against the second reader ---- */

static uint32_t rnd(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* Rows that are nearly right: mostly own values, now and then something else. */
static void random_rows(uint32_t *seed, const struct copy_plan *p, struct text value, struct buf *b)
{
    static const char odd[] = "\\\\\\.\n\r\"'ENAx0,;|\t a1\0";
    static const char *const ends[] = { "\n", "\n", "\r\n", "\r" };
    const char *end = ends[rnd(seed, 4)];
    int rows = (int)rnd(seed, 6);
    buf_clear(b);
    if (p->format == COPY_BINARY)
        buf_append(b, HEAD, sizeof(HEAD) - 1);
    for (int i = 0; i < rows; i++) {
        if (p->format == COPY_BINARY)
            buf_append(b, (char[]){ 0, (char)p->n_fields }, 2);
        for (int k = 0; k < p->n_fields; k++) {
            struct buf v;
            buf_init(&v);
            if (k == p->field && p->format == COPY_BINARY)
                value_binary(p->type, value, &v);
            else if (k == p->field)
                buf_text_append(&v, value);
            else
                for (uint32_t n = rnd(seed, 4); n > 0; n--)
                    buf_char(&v, "xyz\\"[rnd(seed, 4)]);
            if (p->format == COPY_BINARY)
                buf_append(b, (char[]){ 0, 0, 0, (char)v.n }, 4);
            else if (k)
                buf_char(b, p->delim);
            bool quote = p->format == COPY_CSV && rnd(seed, 3) == 0;
            if (quote)
                buf_char(b, p->quote);
            buf_text_append(b, buf_text(&v));
            if (quote)
                buf_char(b, p->quote);
            buf_release(&v);
        }
        if (p->format != COPY_BINARY)
            buf_append(b, end, strlen(end));
    }
    if (rnd(seed, 4) == 0 && p->format != COPY_BINARY)
        buf_append(b, "\\.\n", 1 + rnd(seed, 3));
    for (uint32_t n = rnd(seed, 3); n > 0 && b->n > 0; n--)
        b->p[rnd(seed, (uint32_t)b->n)] = odd[rnd(seed, sizeof(odd) - 1)];
}

static void random_data(void)
{
    uint32_t seed = 4711;
    int taken = 0, runs = 0;
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 150000; i++) {
        unsigned char bytes[COPY_PLAN_BYTES];
        struct copy_plan p;
        for (int k = 0; k < COPY_PLAN_BYTES; k++)
            bytes[k] = (unsigned char)rnd(&seed, 256);
        if (!copy_plan_of(bytes, &p))
            continue;
        struct text value = copy_value_of(bytes, &p);
        random_rows(&seed, &p, value, &b);
        runs++;
        taken += copy_check(&p, value, buf_text(&b), 1 + rnd(&seed, 5));
    }
    buf_release(&b);
    ok(taken > runs / 5 && taken < runs * 4 / 5, "%d of %d random copies let through, none wrong",
       taken, runs);
}

int main(void)
{
    struct world w;
    if (!world_make(&w, "acme"))
        return 1;
    statements(&w);
    plans(&w);
    world_free(&w);
    text_rows();
    csv_rows();
    binary_rows();
    random_data();
    return tap_done();
}
