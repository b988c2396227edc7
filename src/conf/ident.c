/* SPDX-License-Identifier: ISC */
/* Lines of auth_ident_file: map, name that the system or a certificate gives, user. */
#include "conf/hba.h"
#include "conf/hba_tokens.h"

#include "base/random.h"

#include <stdlib.h>

static bool take_system(struct hba_load *l, const struct hba_token *t, struct ident_line *out,
                        struct err *e)
{
    if (!t->t.n)
        return err_set(e, "an empty name");
    if (!t->quoted && t->t.p[0] == '/')
        return regex_compile(text_n(t->t.p + 1, t->t.n - 1), l->a, l->patterns,
                             &out->system_pattern, e);
    out->system = arena_text(l->a, t->t);
    return true;
}

static bool take_user(struct hba_load *l, const struct hba_token *t, struct ident_line *out,
                      struct err *e)
{
    const struct text group = TEXT("\\1");
    struct text w = t->t;

    if (!w.n)
        return err_set(e, "an empty name");
    if (!t->quoted && w.p[0] == '+')
        return err_set(e, "\"%.*s\": who is a member of a role is not known here; name the users",
                       TEXT_ARG(w));
    if (!t->quoted && text_is(w, "all")) {
        out->user.kind = HBA_NAME_ALL;
        return true;
    }
    if (!t->quoted && w.p[0] == '/') {
        out->user.kind = HBA_NAME_PATTERN;
        return regex_compile(text_n(w.p + 1, w.n - 1), l->a, l->patterns, &out->user.pattern, e);
    }
    out->user.name = arena_text(l->a, w);
    if (!out->system_pattern || !memmem(w.p, w.n, group.p, group.n))
        return true;
    out->with_group = true;
    return regex_groups(out->system_pattern) > 0 ||
           err_set(e, "\\1 stands for a group, and the pattern has none");
}

static bool take_line(struct hba_load *l, const struct hba_field *f, int n, struct ident_line *out,
                      struct err *e)
{
    if (n != 3 || f[0].n != 1 || f[1].n != 1 || f[2].n != 1)
        return err_set(e, "expected three words: map, name in the system, user");
    if (!f[0].tokens[0].t.n)
        return err_set(e, "an empty name");
    out->map = arena_text(l->a, f[0].tokens[0].t);
    return take_system(l, &f[1].tokens[0], out, e) && take_user(l, &f[2].tokens[0], out, e);
}

void ident_parse(struct hba_load *l, struct text body, const char *name, struct hba *out)
{
    struct hba_field *fields;
    struct hba_reader r;
    struct ident_line *lines;
    struct arena scratch;
    char *room = malloc(body.n + 1);
    enum hba_read got;
    int count = 1, n;

    if (!room)
        check_no_memory(body.n + 1);
    for (size_t i = 0; i < body.n; i++)
        count += body.p[i] == '\n';
    lines = ARENA_ARRAY(l->a, struct ident_line, count);
    arena_init(&scratch, 0);
    hba_reader_init(&r, body, room, &scratch);
    for (;;) {
        struct err e = { 0 };
        struct ident_line *line = &lines[out->n_idents];
        arena_clear(&scratch);
        got = hba_next(&r, &fields, &n, &e);
        if (got == HBA_END)
            break;
        if (got == HBA_LINE && take_line(l, fields, n, line, &e)) {
            out->n_idents++;
            continue;
        }
        *line = (struct ident_line){ .with_group = false };
        trouble_problem(l->t, (struct place){ name, r.line }, text_n(NULL, 0), "%s", e.msg);
    }
    out->idents = lines;
    arena_release(&scratch);
    free(room);
}

void hba_check_maps(struct hba_load *l, const struct hba *h)
{
    for (int i = 0; i < h->n_rules; i++) {
        const struct hba_rule *r = &h->rules[i];
        bool there = !r->map.p;
        for (int k = 0; k < h->n_idents; k++)
            there = there || text_eq(h->idents[k].map, r->map);
        if (!there)
            trouble_problem(l->t, (struct place){ r->file, r->line }, text_n(NULL, 0),
                            "the map \"%.*s\" is not in auth_ident_file", TEXT_ARG(r->map));
    }
}
