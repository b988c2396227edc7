/* SPDX-License-Identifier: ISC */
/* Lines of ini files. */
#include "conf/ini.h"

#include "conf/suggest.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_DEPTH 10

struct section_name {
    const char *name;
    enum ini_section section;
};

static const struct section_name sections[] = {
    { "pgbouncer", INI_POOLER },
    { "pgbulkhead", INI_POOLER },
    { "databases", INI_DATABASES },
    { "users", INI_USERS },
    { "peers", INI_PEERS },
    { "tenants", INI_TENANTS },
    { "tenant_rules", INI_RULES },
    { "tenant_functions", INI_FUNCTIONS },
    { "tenant_operators", INI_OPERATORS },
};
#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

const char *ini_section_name(enum ini_section s)
{
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (sections[i].section == s)
            return sections[i].name;
    return "";
}

void ini_init(struct ini *ini)
{
    *ini = (struct ini){ .may_read = true };
    arena_init(&ini->arena, 0);
}

void ini_release(struct ini *ini)
{
    for (int i = 0; i < ini->n_files; i++)
        file_wipe(&ini->files[i]);
    free(ini->files);
    free(ini->lines);
    arena_release(&ini->arena);
    *ini = (struct ini){ 0 };
}

static void take_section(struct ini *ini, struct text line, struct place at, struct trouble *t)
{
    struct suggest s;
    struct text name;

    ini->section = INI_NONE;
    ini->in_unknown = true;
    if (line.p[line.n - 1] != ']') {
        trouble_problem(t, at, text_n(NULL, 0), "\"%.*s\" does not end with ]", TEXT_ARG(line));
        return;
    }
    name = text_trim(text_n(line.p + 1, line.n - 2));
    suggest_init(&s, name);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (text_is(name, sections[i].name)) {
            ini->section = sections[i].section;
            ini->in_unknown = false;
            return;
        }
        suggest_offer(&s, sections[i].name);
    }
    if (s.best)
        trouble_problem(t, at, text_n(NULL, 0), "unknown section [%.*s], did you mean \"%s\"",
                        TEXT_ARG(name), s.best);
    else
        trouble_problem(t, at, text_n(NULL, 0), "unknown section [%.*s]", TEXT_ARG(name));
}

/* Where the = between key and value stands; NULL when there is none. */
static const char *find_separator(const struct ini *ini, struct text line)
{
    const char *found = NULL;
    bool inside = false;

    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == '"')
            inside = !inside;
        if (line.p[i] != '=' || inside)
            continue;
        found = line.p + i;
        if (ini->section != INI_OPERATORS)
            break;
    }
    return found;
}

static void take_pair(struct ini *ini, struct text line, struct place at, struct trouble *t)
{
    const char *sep;
    struct text key, value;

    if (ini->in_unknown)
        return; /* the section was reported */
    if (ini->section == INI_NONE) {
        trouble_problem(t, at, text_n(NULL, 0), "a line before the first section");
        return;
    }
    /* In the rules a comment may follow the value: nothing there can hold " ;". */
    if (ini->section >= INI_RULES) {
        bool inside = false;
        for (size_t i = 0; i < line.n; i++) {
            if (line.p[i] == '"')
                inside = !inside;
            if (i && !inside && line.p[i] == ';' &&
                (line.p[i - 1] == ' ' || line.p[i - 1] == '\t')) {
                line = text_trim(text_n(line.p, i));
                break;
            }
        }
    }
    sep = find_separator(ini, line);
    key = text_trim(text_n(line.p, sep ? (size_t)(sep - line.p) : 0));
    if (!sep || !key.n) {
        /* not shown: a line that went wrong may hold a password */
        trouble_problem(t, at, text_n(NULL, 0),
                        "neither \"key = value\" nor a comment, a section or %%include");
        return;
    }
    value = text_trim(text_n(sep + 1, (size_t)(line.p + line.n - sep - 1)));
    if (ini->n == ini->cap) {
        int cap = ini->cap ? ini->cap * 2 : 64;
        struct ini_line *more = realloc(ini->lines, sizeof(*more) * (size_t)cap);
        if (!more)
            check_no_memory(sizeof(*more) * (size_t)cap);
        ini->lines = more;
        ini->cap = cap;
    }
    ini->lines[ini->n++] = (struct ini_line){ ini->section, key, value, at };
}

static void load_file(struct ini *ini, const char *path, struct place from, struct trouble *t)
{
    struct file_text *more;
    struct file_text file;

    if (!file_read(path, &file)) {
        trouble_problem(t, from, text_n(NULL, 0), "cannot read \"%s\": %s", path, strerror(errno));
        return;
    }
    more = realloc(ini->files, sizeof(*more) * (size_t)(ini->n_files + 1));
    if (!more)
        check_no_memory(sizeof(*more));
    ini->files = more;
    ini->files[ini->n_files++] = file;
    ini_parse(ini, text_n(file.p, file.n), arena_strdup(&ini->arena, path), t);
}

static void take_include(struct ini *ini, struct text line, struct place at, struct trouble *t)
{
    const struct text word = TEXT("%include");
    struct text path = text_trim(text_n(line.p + word.n, line.n - word.n));

    if (!ini->may_read || !path.n)
        trouble_problem(t, at, text_n(NULL, 0), "%%include needs a file name");
    else if (ini->depth >= MAX_DEPTH)
        trouble_problem(t, at, text_n(NULL, 0), "%%include is nested more than %d deep", MAX_DEPTH);
    else
        load_file(ini, arena_text(&ini->arena, path).p, at, t);
}

static void take_line(struct ini *ini, struct text line, struct place at, struct trouble *t)
{
    line = text_trim(line);
    if (!line.n || line.p[0] == ';' || line.p[0] == '#')
        return;
    if (memchr(line.p, '\0', line.n))
        trouble_problem(t, at, text_n(NULL, 0), "a zero byte is not allowed");
    else if (line.p[0] == '[')
        take_section(ini, line, at, t);
    else if (text_starts(line, TEXT("%include")) &&
             (line.n == 8 || line.p[8] == ' ' || line.p[8] == '\t'))
        take_include(ini, line, at, t);
    else
        take_pair(ini, line, at, t);
}

void ini_parse(struct ini *ini, struct text body, const char *name, struct trouble *t)
{
    struct place at = { name, 0 };
    struct text line;

    if (text_starts(body, TEXT("\xEF\xBB\xBF"))) { /* a byte order mark */
        body.p += 3;
        body.n -= 3;
    }
    ini->depth++;
    while (text_split(&body, '\n', &line)) {
        at.line++;
        take_line(ini, line, at, t);
    }
    ini->depth--;
}

void ini_load(struct ini *ini, const char *path, struct trouble *t)
{
    load_file(ini, path, (struct place){ arena_strdup(&ini->arena, path), 0 }, t);
}

bool ini_unquote(struct text key, struct arena *a, struct text *out)
{
    char *to;
    size_t n = 0;

    if (!key.n || key.p[0] != '"') {
        *out = arena_text(a, key);
        for (size_t i = 0; i < key.n; i++)
            if (key.p[i] == '"' || key.p[i] == ' ' || key.p[i] == '\t')
                return false;
        return key.n > 0;
    }
    to = arena_alloc(a, key.n + 1);
    for (size_t i = 1; i < key.n; i++) {
        if (key.p[i] == '"') {
            if (i + 1 == key.n) {
                to[n] = '\0';
                *out = text_n(to, n);
                return n > 0;
            }
            if (key.p[++i] != '"')
                return false;
        }
        to[n++] = key.p[i];
    }
    return false;
}
