/* SPDX-License-Identifier: ISC */
/* Lines of text. */
#include "top/frame.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

void frame_init(struct frame *f)
{
    buf_init(&f->text);
    frame_clear(f, 80);
}

void frame_release(struct frame *f)
{
    buf_release(&f->text);
}

void frame_clear(struct frame *f, int width)
{
    buf_clear(&f->text);
    f->width = width;
    f->n = f->column = 0;
    f->full = false;
}

/* One character of s: how many bytes it has, what is shown for it, and how wide that is. Controls,
 * bytes that are no character, and what takes no room (combining, directions) are escaped. */
static size_t character(const char *s, size_t left, char *shown, int *width)
{
    mbstate_t state = { 0 };
    wchar_t wc;
    size_t n = mbrtowc(&wc, s, left, &state);

    if (n != (size_t)-1 && n != (size_t)-2 && n > 0 && iswprint((wint_t)wc) && wcwidth(wc) > 0) {
        memcpy(shown, s, n);
        shown[n] = '\0';
        *width = wcwidth(wc);
        return n;
    }
    snprintf(shown, 8, "\\x%02X", (unsigned)(unsigned char)*s);
    *width = 4;
    return 1;
}

int frame_width(const char *s)
{
    size_t left = strlen(s);
    char shown[MB_LEN_MAX + 8];
    int total = 0, w;

    while (left) {
        size_t n = character(s, left, shown, &w);
        s += n;
        left -= n;
        total += w;
    }
    return total;
}

/* Writes what fits into room columns; gives the columns written. */
static int put(struct frame *f, const char *s, int room)
{
    size_t left = strlen(s);
    char shown[MB_LEN_MAX + 8];
    int used = 0, w;

    while (left) {
        size_t n = character(s, left, shown, &w);
        if (used + w > room)
            break;
        buf_append(&f->text, shown, strlen(shown));
        used += w;
        s += n;
        left -= n;
    }
    f->column += used;
    return used;
}

static void spaces(struct frame *f, int n)
{
    for (; n > 0 && f->column < f->width; n--, f->column++)
        buf_char(&f->text, ' ');
}

void frame_begin(struct frame *f)
{
    f->full = f->n == FRAME_LINES;
    f->column = 0;
    if (!f->full)
        f->lines[f->n].at = buf_len(&f->text);
}

void frame_end(struct frame *f, enum frame_style style)
{
    if (f->full)
        return;
    struct frame_line *l = &f->lines[f->n++];
    l->n = buf_len(&f->text) - l->at;
    l->style = style;
}

void frame_put(struct frame *f, const char *s)
{
    if (!f->full)
        (void)put(f, s, f->width - f->column);
}

void frame_cell(struct frame *f, const char *s, int width, bool right)
{
    int room = f->width - f->column < width ? f->width - f->column : width;
    int w = frame_width(s);

    if (f->full || room <= 0)
        return;
    if (w > room) {
        int used = put(f, s, room - 1);
        buf_char(&f->text, '~');
        f->column++;
        spaces(f, room - 1 - used);
        return;
    }
    if (right)
        spaces(f, room - w);
    (void)put(f, s, w);
    if (!right)
        spaces(f, room - w);
}

void frame_printf(struct frame *f, const char *fmt, ...)
{
    char text[1000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    frame_put(f, text);
}

struct text frame_line(const struct frame *f, int i)
{
    return f->text.failed ? text_n("", 0)
                          : text_n(buf_data(&f->text) + f->lines[i].at, f->lines[i].n);
}
