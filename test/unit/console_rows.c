/* SPDX-License-Identifier: ISC */
/* Rows of the console's tables, and averages of counters. */
#include "base/clock.h"
#include "console/averages.h"
#include "console/row.h"
#include "tap.h"

static void one_row(void)
{
    struct row r;
    struct buf b;

    buf_init(&b);
    row_init(&r);
    row_z(&r, "ab");
    row_null(&r);
    row_int(&r, -7);
    row_uint(&r, UINT64_MAX);
    row_text(&r, (struct text){ NULL, 0 });
    row_ptr(&r, NULL);
    row_time(&r, 0);
    row_end(&r, 7, &b);

    struct frame f = { 0 };
    ok(frame_peek(buf_data(&b), buf_len(&b), 1 << 20, &f) == FRAME_OK, "a message");
    is_int(f.type, 'D', "a DataRow");
    is_int((long)f.len, (long)buf_len(&b), "one");
    struct rd rd = rd_init(buf_data(&b) + 5, buf_len(&b) - 5);
    static const char *const want[] = {
        "ab", NULL, "-7", "18446744073709551615", "", "", "1970-01-01 00:00:00 UTC"
    };
    is_int(rd_u16(&rd), 7, "seven columns");
    for (int i = 0; i < 7; i++) {
        int32_t len = (int32_t)rd_u32(&rd);
        if (!want[i]) {
            is_int(len, -1, "column %d is NULL", i);
            continue;
        }
        is_text(rd_bytes(&rd, (size_t)len), want[i], "column %d", i);
    }
    ok(rd_done(&rd), "nothing behind");
    is_int(r.n, 0, "ready for the next");
    buf_release(&b);
}

static void averages(void)
{
    struct counters from = { 0 }, to = { 0 }, avg;

    to.v[COUNT_XACTS] = 100;
    to.v[COUNT_QUERIES] = 200;
    to.v[COUNT_ASSIGNMENTS] = 50;
    to.v[COUNT_RECEIVED] = 1000;
    to.v[COUNT_XACT_US] = 5000;
    to.v[COUNT_QUERY_US] = 3000;
    to.v[COUNT_WAIT_US] = 700;
    counters_average(&from, &to, 10 * USEC_PER_SEC, &avg);
    is_int((long)avg.v[COUNT_XACTS], 10, "transactions per second");
    is_int((long)avg.v[COUNT_RECEIVED], 100, "bytes per second");
    is_int((long)avg.v[COUNT_XACT_US], 50, "time per transaction");
    is_int((long)avg.v[COUNT_QUERY_US], 15, "time per query");
    is_int((long)avg.v[COUNT_WAIT_US], 14, "wait per assignment");
    counters_average(&to, &to, 0, &avg);
    is_int((long)(avg.v[COUNT_XACTS] + avg.v[COUNT_QUERY_US]), 0, "nothing in no time");

    struct averages a = { 0 };
    struct counters now[40] = { 0 };
    now[0].v[COUNT_QUERIES] = 20;
    averages_turn(&a, now, 1, 2 * USEC_PER_SEC);
    is_int((long)a.avg[0].v[COUNT_QUERIES], 10, "the first period");
    now[0].v[COUNT_QUERIES] = 80;
    now[39].v[COUNT_QUERIES] = 4;
    averages_turn(&a, now, 40, 4 * USEC_PER_SEC);
    is_int((long)a.avg[0].v[COUNT_QUERIES], 30, "the second counts from the first");
    is_int((long)a.avg[39].v[COUNT_QUERIES], 2, "a database that came later");
    averages_turn(&a, now, 40, 6 * USEC_PER_SEC);
    is_int((long)a.avg[0].v[COUNT_QUERIES], 0, "a quiet period");
    averages_release(&a);
}

static void sums(void)
{
    struct db_stats *stats = calloc(3, sizeof(*stats));
    struct db_ledger *db = calloc(1, sizeof(*db));
    struct counters c;

    if (!stats || !db)
        exit(1);
    db->stats = stats;

    stat_add(&db->stats[0].queries, 3);
    stat_add(&db->stats[1].queries, 4);
    stat_add(&db->stats[2].queries, 1000);
    stat_add(&db->stats[1].tx_client, 9);
    counters_read(db, 2, &c);
    is_int((long)c.v[COUNT_QUERIES], 7, "two workers' counters");
    is_int((long)c.v[COUNT_SENT], 9, "sent: to clients");
    free(db);
    free(stats);
}

int main(void)
{
    one_row();
    averages();
    sums();
    return tap_done();
}
