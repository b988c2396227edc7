/* SPDX-License-Identifier: ISC */
/* Failed logins by address. */
#include "metrics/guesses.h"
#include "tap.h"

#include <stdio.h>
#include <string.h>

#define S USEC_PER_SEC

static void one_address(void)
{
    static struct guesses g;
    usec_t now = 1000 * S;

    ok(!guesses_blocked(&g, "192.0.2.1", now), "nobody is blocked at first");
    ok(guesses_failed(&g, "192.0.2.1", true, now), "the first one");
    for (int i = 1; i < GUESS_BURST; i++) {
        ok(!guesses_blocked(&g, "192.0.2.1", now), "failure %d is heard", i + 1);
        ok(!guesses_failed(&g, "192.0.2.1", true, now), "and is not the first");
    }
    ok(guesses_blocked(&g, "192.0.2.1", now), "the next is not heard");
    ok(guesses_blocked(&g, "::ffff:192.0.2.1", now), "by any of its names");
    ok(!guesses_blocked(&g, "192.0.2.2", now), "others are");
    ok(guesses_blocked(&g, "192.0.2.1", now + S - 1), "for a second");
    ok(!guesses_blocked(&g, "192.0.2.1", now + S), "then it is");
    guesses_failed(&g, "192.0.2.1", true, now + S);
    ok(guesses_blocked(&g, "192.0.2.1", now + S), "once");
    is_int(guesses_count(&g, now), 1, "an address");
    is_int(guesses_count(&g, now + 20 * S), 0, "all is forgiven in time");
    ok(guesses_failed(&g, "192.0.2.1", true, now + 20 * S), "and it is a first one again");
}

static void networks(void)
{
    static struct guesses g;

    for (int i = 0; i < GUESS_BURST; i++)
        guesses_failed(&g, "2001:db8:1:2::1", true, S);
    ok(guesses_blocked(&g, "2001:db8:1:2:ffff::9", S), "a /64 is one");
    ok(!guesses_blocked(&g, "2001:db8:1:3::1", S), "another is another");
    for (int i = 0; i < GUESS_BURST; i++)
        guesses_failed(&g, NULL, true, S);
    ok(guesses_blocked(&g, "no address", S), "what is no address counts together");
    ok(guesses_blocked(&g, "::", S), "as none");
}

static void many(void)
{
    static struct guesses g;
    usec_t now = 50 * S;
    char name[32];
    int flooded_at = 0;

    for (int i = 0; i < GUESS_BURST; i++)
        guesses_failed(&g, "203.0.113.9", true, now);
    for (int i = 0; i < 3 * GUESS_ADDRESSES; i++) {
        if (!flooded_at && guesses_flooded(&g, now))
            flooded_at = i + GUESS_BURST;
        snprintf(name, sizeof(name), "10.1.%d.%d", i / 200, i % 200);
        guesses_failed(&g, name, true, now);
    }
    is_int(flooded_at, GUESS_ALL_BURST, "all together have a limit");
    is_int(guesses_count(&g, now), GUESS_ADDRESSES, "the table has one");
    ok(guesses_blocked(&g, "203.0.113.9", now), "who owes most is not forgotten for them");
    ok(guesses_flooded(&g, now + S / GUESS_ALL_PER_SECOND - 1), "still too many");
    ok(!guesses_flooded(&g, now + S / GUESS_ALL_PER_SECOND), "but however many, for no longer");
    memset(&g, 0, sizeof(g));
    for (int i = 0; i < 3 * GUESS_ADDRESSES; i++) {
        snprintf(name, sizeof(name), "10.1.%d.%d", i / 200, i % 200);
        guesses_failed(&g, name, false, now);
    }
    ok(!guesses_flooded(&g, now), "failures that cost nothing keep no password from being heard");
}

int main(void)
{
    one_address();
    networks();
    many();
    return tap_done();
}
