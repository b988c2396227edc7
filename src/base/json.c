/* SPDX-License-Identifier: ISC */
/* JSON strings. */
#include "base/json.h"

/* Length of the UTF-8 sequence at p, 0 when there is none (RFC 3629: no overlong forms, no
 * surrogates, at most U+10FFFF). */
static size_t sequence(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (len == 1)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

void json_text(struct buf *b, struct text t)
{
    const unsigned char *p = (const unsigned char *)t.p;
    size_t from = 0, i = 0;

    buf_char(b, '"');
    while (i < t.n) {
        size_t len = sequence(p + i, t.n - i);
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

void json_member(struct buf *b, const char *name, struct text value)
{
    if (!value.n)
        return;
    if (buf_len(b) && buf_data(b)[buf_len(b) - 1] != '{')
        buf_char(b, ',');
    buf_printf(b, "\"%s\":", name);
    json_text(b, value);
}
