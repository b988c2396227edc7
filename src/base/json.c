/* SPDX-License-Identifier: ISC */
/* JSON strings. */
#include "base/json.h"

void json_text(struct buf *b, struct text t)
{
    const unsigned char *p = (const unsigned char *)t.p;
    size_t from = 0, i = 0;

    buf_char(b, '"');
    while (i < t.n) {
        size_t len = text_utf8_len(p + i, t.n - i);
        bool plain =
            len > 1 || (len == 1 && p[i] >= 0x20 && p[i] != 0x7f && p[i] != '"' && p[i] != '\\');
        if (plain) {
            i += len;
            continue;
        }
        buf_append(b, p + from, i - from);
        if (len == 0)
            buf_text_append(b, TEXT("\xef\xbf\xbd"));
        else if (p[i] == '"' || p[i] == '\\')
            buf_printf(b, "\\%c", p[i]);
        else
            buf_printf(b, "\\u%04x", p[i]);
        from = ++i;
    }
    buf_append(b, p + from, t.n - from);
    buf_char(b, '"');
}

void json_key(struct buf *b, const char *name)
{
    char last = buf_len(b) ? buf_data(b)[buf_len(b) - 1] : '{';

    if (last != '{' && last != '[')
        buf_char(b, ',');
    if (name)
        buf_printf(b, "\"%s\":", name);
}

void json_member(struct buf *b, const char *name, struct text value)
{
    if (!value.n)
        return;
    json_key(b, name);
    json_text(b, value);
}
