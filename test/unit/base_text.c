/* SPDX-License-Identifier: ISC */
/* Text slices. */
#include "tap.h"

static void test_compare(void)
{
    struct text none = { NULL, 0 };
    ok(text_eq(TEXT("abc"), TEXT("abc")), "equal");
    ok(!text_eq(TEXT("abc"), TEXT("abd")), "other last byte");
    ok(!text_eq(TEXT("abc"), TEXT("ab")), "other length");
    ok(text_eq(none, TEXT("")), "NULL slice equals empty");
    ok(text_is(text_of(NULL), ""), "NULL string is empty");
    ok(text_ieq(TEXT("AbZ{"), TEXT("aBz{")), "case does not count");
    ok(!text_ieq(TEXT("["), TEXT("{")), "only letters fold");
    ok(!text_ieq(TEXT("\xc4"), TEXT("\xe4")), "bytes above ASCII do not fold");
    ok(text_is_i(TEXT("ON"), "on"), "text_is_i");
    ok(text_cmp(TEXT("a"), TEXT("b")) < 0, "a < b");
    ok(text_cmp(TEXT("a"), TEXT("ab")) < 0, "prefix is smaller");
    ok(text_cmp(TEXT("\xff"), TEXT("a")) > 0, "bytes are unsigned");
    is_int(text_cmp(none, TEXT("")), 0, "empty slices compare equal");
    ok(text_eq_secret(TEXT("secret"), TEXT("secret")), "secrets equal");
    ok(!text_eq_secret(TEXT("secret"), TEXT("secreT")), "secrets differ");
    ok(!text_eq_secret(TEXT("secret"), TEXT("secre")), "secrets of other length differ");
    ok(text_starts(TEXT("abc"), TEXT("ab")) && text_starts(TEXT("abc"), none), "starts");
    ok(!text_starts(TEXT("ab"), TEXT("abc")), "does not start with something longer");
}

static void test_cut(void)
{
    is_text(text_trim(TEXT(" \t a b\r\n")), "a b", "trimmed");
    is_text(text_trim(TEXT(" \n ")), "", "only space");
    is_text(text_trim(TEXT("")), "", "trimming nothing");
    struct text rest = TEXT("a,,b,"), part;
    ok(text_split(&rest, ',', &part) && text_is(part, "a"), "first part");
    ok(text_split(&rest, ',', &part) && text_is(part, ""), "empty part");
    ok(text_split(&rest, ',', &part) && text_is(part, "b"), "third part");
    ok(text_split(&rest, ',', &part) && text_is(part, ""), "empty part after the last separator");
    ok(!text_split(&rest, ',', &part), "then the end");
    rest = TEXT("");
    ok(text_split(&rest, ',', &part) && part.n == 0, "an empty text has one part");
    ok(!text_split(&rest, ',', &part), "and no more");
}

static void test_numbers(void)
{
    static const struct {
        const char *in;
        bool fine;
        int64_t want;
    } cases[] = {
        { "0", true, 0 },
        { "+17", true, 17 },
        { "-17", true, -17 },
        { "007", true, 7 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+-1", false, 0 },
        { "1 ", false, 0 },
        { " 1", false, 0 },
        { "0x10", false, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t v = 0;
        bool fine = text_to_int64(text_of(cases[i].in), &v);
        ok(fine == cases[i].fine && (!fine || v == cases[i].want), "number '%s'", cases[i].in);
    }
}

int main(void)
{
    test_compare();
    test_cut();
    test_numbers();
    return tap_done();
}
