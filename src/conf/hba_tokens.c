/* SPDX-License-Identifier: ISC */
/* Access rules and maps of names: bytes to lines, fields and tokens. */
#include "conf/hba_tokens.h"

void hba_reader_init(struct hba_reader *r, struct text body, char *room, struct arena *a)
{
    if (text_starts(body, TEXT("\xEF\xBB\xBF"))) {
        body.p += 3;
        body.n -= 3;
    }
    *r = (struct hba_reader){ .rest = body, .room = room, .next = 1, .a = a };
}

/* One line into the room, those that end with a backslash joined. false: none is left. */
static bool join_lines(struct hba_reader *r, struct text *out)
{
    struct text line;
    char *to = r->room;
    bool any = false, more = true;

    r->line = r->next;
    while (more && text_split(&r->rest, '\n', &line)) {
        any = true;
        r->next++;
        while (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        more = line.n && line.p[line.n - 1] == '\\';
        if (more)
            line.n--;
        if (line.n)
            memcpy(to, line.p, line.n);
        to += line.n;
    }
    *out = text_n(r->room, (size_t)(to - r->room));
    r->room = to;
    return any;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* One token from p on, written over its own bytes; gives where it ends, NULL: the quote is open. */
static const char *take_token(const char *p, const char *end, struct hba_token *out)
{
    char *to = (char *)(uintptr_t)p;
    bool inside = false;

    *out = (struct hba_token){ { p, 0 }, p < end && *p == '"' };
    for (; p < end; p++) {
        if (*p == '"') {
            if (inside && p + 1 < end && p[1] == '"')
                *to++ = *p++;
            else
                inside = !inside;
        } else if (!inside && (is_blank(*p) || *p == ',' || *p == '#')) {
            break;
        } else {
            *to++ = *p;
        }
    }
    out->t.n = (size_t)(to - out->t.p);
    return inside ? NULL : p;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p < end && *p == '#' ? end : p;
}

static bool take_fields(struct hba_reader *r, struct text line, struct hba_field **fields, int *n,
                        struct err *e)
{
    const char *p = line.p, *end = line.p + line.n;
    struct hba_token *tokens = ARENA_ARRAY(r->a, struct hba_token, line.n / 2 + 1);
    int used = 0;
    bool list = false; /* a comma was last */

    *fields = ARENA_ARRAY(r->a, struct hba_field, line.n / 2 + 1);
    *n = 0;
    while ((p = skip_blanks(p, end)) < end) {
        if (*p == ',')
            return err_set(e, "a comma where a name is expected");
        p = take_token(p, end, &tokens[used]);
        if (!p)
            return err_set(e, "a quote is not closed");
        if (!tokens[used].t.n && !tokens[used].quoted)
            return err_set(e, "an empty word"); /* "" in the middle of nothing */
        if (!list)
            (*fields)[(*n)++] = (struct hba_field){ &tokens[used], 0 };
        (*fields)[*n - 1].n++;
        used++;
        list = p < end && *p == ',';
        if (list)
            p++;
    }
    return !list || err_set(e, "a list ends with a comma");
}

enum hba_read hba_next(struct hba_reader *r, struct hba_field **fields, int *n, struct err *e)
{
    struct text line;

    while (join_lines(r, &line)) {
        const char *p = skip_blanks(line.p, line.p + line.n);
        if (p == line.p + line.n)
            continue;
        if (memchr(line.p, '\0', line.n)) {
            err_set(e, "a zero byte");
            return HBA_BAD;
        }
        return take_fields(r, line, fields, n, e) ? HBA_LINE : HBA_BAD;
    }
    return HBA_END;
}
