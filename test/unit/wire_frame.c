/* SPDX-License-Identifier: ISC */
/* Frames, the checked reader, the builder. */
#include "tap.h"

#include "wire/frame.h"

static void test_peek(void)
{
    struct frame f;
    is_int(frame_peek("Q\0\0\0", 4, 100, &f), FRAME_MORE, "four bytes are no head");
    is_int(frame_peek("Q\0\0\0\4", 5, 100, &f), FRAME_OK, "empty body");
    is_int(f.len, 5, "five bytes long");
    is_int(f.type, 'Q', "type");
    is_int(frame_peek("Q\0\0\0\3", 5, 100, &f), FRAME_BAD, "length below four");
    is_int(frame_peek("Q\0\0\0\143", 5, 100, &f), FRAME_OK, "largest allowed");
    is_int(f.len, 100, "its length");
    is_int(frame_peek("Q\0\0\0\144", 5, 100, &f), FRAME_BAD, "one more");
    is_int(frame_peek("Q\377\377\377\377", 5, UINT32_MAX, &f), FRAME_BAD, "wrapping length");
    is_int(frame_peek("GET / HTTP", 10, 1 << 24, &f), FRAME_BAD, "HTTP");
}

static void test_reader(void)
{
    static const char body[] = "\1\2\3\4\5\6\7name\0xy";
    struct rd r = rd_init(body, sizeof(body) - 1);
    is_int(rd_u8(&r), 1, "u8");
    is_int(rd_u16(&r), 0x203, "u16");
    is_int(rd_u32(&r), 0x4050607, "u32");
    is_text(rd_cstr(&r), "name", "string");
    ok(!rd_done(&r), "bytes are left");
    struct rd again = r;
    is_text(rd_bytes(&r, 2), "xy", "bytes");
    ok(rd_done(&r), "done");
    is_text(rd_bytes(&r, 0), "", "no bytes at the end");
    ok(rd_done(&r), "still done");
    ok(!rd_cstr(&again).n && again.bad && !rd_left(&again), "string without NUL");
    is_int(rd_u8(&again), 0, "zeros afterwards");
    r = rd_init(body, 3);
    is_int(rd_u32(&r), 0, "u32 over the end");
    ok(r.bad && !rd_done(&r), "is remembered");
    is_int(rd_u8(&r), 0, "and nothing is read behind it");
    r = rd_init(body, 3);
    is_int(rd_bytes(&r, SIZE_MAX).n, 0, "huge count");
    ok(r.bad, "is bad");
    r = rd_init(NULL, 0);
    ok(rd_done(&r), "nothing is read completely");
    is_int(rd_u16(&r), 0, "and has no number");
}

static void test_builder(void)
{
    struct buf b;
    buf_init(&b);
    buf_append(&b, "junk", 4);
    buf_consume(&b, 3);
    size_t mark = msg_begin(&b, 'X');
    msg_u8(&b, 1);
    msg_u16(&b, 0x203);
    msg_cstr(&b, TEXT("ab\0cd"));
    for (int i = 0; i < 1000; i++)
        msg_u32(&b, 0x4050607);
    msg_end(&b, mark);
    struct frame f;
    is_int(frame_peek(buf_data(&b) + 1, buf_len(&b) - 1, 10000, &f), FRAME_OK, "built");
    is_int(f.len, 5 + 1 + 2 + 3 + 4000, "length, strings end at a NUL");
    is_int(f.len, buf_len(&b) - 1, "is what was written");
    buf_clear(&b);
    mark = msg_begin(&b, 0);
    msg_bytes(&b, "abc", 3);
    msg_end(&b, mark);
    is_text(buf_text(&b), TEXT("\0\0\0\7abc"), "without type");
    b.failed = true;
    msg_end(&b, msg_begin(&b, 'Q'));
    is_int(buf_len(&b), 7, "a failed buffer takes nothing");
    buf_release(&b);
}

int main(void)
{
    test_peek();
    test_reader();
    test_builder();
    return tap_done();
}
