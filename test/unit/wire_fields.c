/* SPDX-License-Identifier: ISC */
/* Backend messages and SQL quoting. */
#include "tap.h"

#include "wire/fields.h"

static void test_error(void)
{
    struct buf b;
    struct wire_error_fields f;
    buf_init(&b);
    wire_error_build(&b, 'E',
                     &(struct wire_error){ .severity = "ERROR",
                                           .sqlstate = "42501",
                                           .message = TEXT("no\0Mforged"),
                                           .detail = TEXT("d"),
                                           .hint = TEXT("h"),
                                           .position = 12 });
    is_text(text_n(b.p + 5, b.n - 5), TEXT("SERROR\0VERROR\0C42501\0Mno\0Dd\0Hh\0P12\0\0"), "body");
    ok(wire_error_read(b.p + 5, b.n - 5, &f), "read");
    is_text(f.severity, "ERROR", "severity");
    is_text(f.sqlstate, "42501", "SQLSTATE");
    is_text(f.message, "no", "message ends at a NUL");
    is_text(f.detail, "d", "detail");
    is_text(f.hint, "h", "hint");
    size_t refused = 0, n = b.n - 5;
    for (size_t i = 0; i < n; i++)
        refused += !wire_error_read(b.p + 5, i, &f);
    is_int(refused, n, "truncations");
    ok(wire_error_read("Mx\0", 4, &f) && !f.sqlstate.n, "without SQLSTATE");
    ok(wire_error_read("VERROR\0SFEHLER\0", 16, &f), "translated");
    is_text(f.severity, "ERROR", "severity is not");
    ok(!wire_error_read("\0x", 2, &f), "tail");
    buf_clear(&b);
    wire_error_build(&b, 'N', &(struct wire_error){ .severity = "NOTICE", .message = TEXT("m") });
    is_text(text_n(b.p + 5, b.n - 5), TEXT("SNOTICE\0VNOTICE\0C\0Mm\0\0"), "short notice");
    buf_release(&b);
}

static void test_builders(void)
{
    struct buf b;
    struct text name, value;
    buf_init(&b);
    wire_ready_build(&b, 'T');
    is_text(buf_text(&b), TEXT("Z\0\0\0\5T"), "ReadyForQuery");
    buf_clear(&b);
    wire_status_build(&b, TEXT("TimeZone"), TEXT("UTC"));
    ok(wire_status_read(b.p + 5, b.n - 5, &name, &value), "ParameterStatus");
    is_text(name, "TimeZone", "name");
    is_text(value, "UTC", "value");
    ok(!wire_status_read(b.p + 5, b.n - 6, &name, &value), "cut");
    buf_clear(&b);
    wire_auth_build(&b, 5, "salt", 4);
    is_text(buf_text(&b), TEXT("R\0\0\0\14\0\0\0\5salt"), "Authentication");
    buf_clear(&b);
    wire_keydata_build(&b, 1, "key!", 4);
    is_text(buf_text(&b), TEXT("K\0\0\0\14\0\0\0\1key!"), "BackendKeyData");
    buf_clear(&b);
    wire_complete_build(&b, TEXT("SET"));
    is_text(buf_text(&b), TEXT("C\0\0\0\10SET\0"), "CommandComplete");
    buf_clear(&b);
    wire_simple_build(&b, '1');
    is_text(buf_text(&b), TEXT("1\0\0\0\4"), "ParseComplete");
    buf_clear(&b);
    const struct text options[] = { TEXT("_pq_.a") };
    wire_negotiate_build(&b, 2, options, 1);
    is_text(buf_text(&b), TEXT("v\0\0\0\23\0\3\0\2\0\0\0\1_pq_.a\0"), "NegotiateProtocolVersion");
    buf_clear(&b);
    const struct wire_column cols[] = { { "n", WIRE_INT4 }, { "t", WIRE_TEXT } };
    wire_rowdesc_build(&b, cols, 2);
    is_text(buf_text(&b),
            TEXT("T\0\0\0\56\0\2n\0\0\0\0\0\0\0\0\0\0\27\0\4\377\377\377\377\0\0"
                 "t\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"),
            "RowDescription");
    buf_clear(&b);
    const struct text row[] = { TEXT("1"), { NULL, 0 }, TEXT("") };
    wire_datarow_build(&b, row, 3);
    is_text(buf_text(&b),
            TEXT("D\0\0\0\23\0\3\0\0\0\1"
                 "1\377\377\377\377\0\0\0\0"),
            "DataRow");
    buf_release(&b);
}

static void test_trim(void)
{
    static const char body[] = "\0\2\0\0\0\27\0\0\0\31";
    struct buf b;
    buf_init(&b);
    ok(wire_paramdesc_trim(&b, body, 10, 1), "one dropped");
    is_text(buf_text(&b), TEXT("t\0\0\0\12\0\1\0\0\0\27"), "one is left");
    buf_clear(&b);
    ok(wire_paramdesc_trim(&b, body, 10, 0), "none dropped");
    is_text(text_n(b.p + 5, b.n - 5), text_n(body, 10), "as it was");
    buf_clear(&b);
    ok(wire_paramdesc_trim(&b, body, 10, 2), "all dropped");
    ok(!wire_paramdesc_trim(&b, body, 10, 3), "too many");
    ok(!wire_paramdesc_trim(&b, body, 9, 1), "cut");
    ok(!wire_paramdesc_trim(&b, body, 11, 1), "tail");
    ok(!wire_paramdesc_trim(&b, "", 0, 0), "empty");
    buf_release(&b);
}

static void quoted(struct text in, const char *literal, const char *ident)
{
    struct buf b;
    buf_init(&b);
    wire_quote_literal(&b, in);
    is_text(buf_text(&b), literal, "literal");
    buf_clear(&b);
    wire_quote_ident(&b, in);
    is_text(buf_text(&b), ident, "identifier");
    buf_release(&b);
}

int main(void)
{
    test_error();
    test_builders();
    test_trim();
    quoted(TEXT(""), "''", "\"\"");
    quoted(TEXT("a b"), "'a b'", "\"a b\"");
    quoted(TEXT("'"), "''''", "\"'\"");
    quoted(TEXT("it''s \"x\""), "'it''''s \"x\"'", "\"it''s \"\"x\"\"\"");
    quoted(TEXT("\\'"), "E'\\\\'''", "\"\\'\"");
    quoted((struct text){ NULL, 0 }, "''", "\"\"");
    return tap_done();
}
