# SPDX-License-Identifier: ISC
"""psycopg 3: server-side statements, pipelines, COPY, cursors, notices, many threads."""
import threading

import psycopg
from common import DB, HOST, PASSWORD, PORT, USER, end, ok

DSN = f"host={HOST} port={PORT} user={USER} dbname={DB} password='{PASSWORD}'"

with psycopg.connect(DSN) as c:
    ok(c.execute("SELECT 1").fetchone() == (1,), "SELECT")
    c.prepare_threshold = 2
    for i in range(12):
        if c.execute("SELECT %s::int + 1, %s::text", (i, f"t{i}")).fetchone() != (i + 1, f"t{i}"):
            ok(False, "prepared after a few runs")
            break
        c.commit()
    else:
        ok(True, "prepared after a few runs, over transactions")
    c.execute("TRUNCATE items")
    with c.cursor().copy("COPY items (id, name) FROM STDIN") as copy:
        for i in range(500):
            copy.write_row((i, f"name {i}"))
    ok(c.execute("SELECT count(*) FROM items").fetchone() == (500,), "COPY FROM")
    with c.cursor().copy("COPY items (id, name) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4", "text"])
        rows = list(copy.rows())
    ok(len(rows) == 500 and rows[7] == (7, "name 7"), "COPY TO in binary")
    c.commit()
    with c.cursor(name="cur") as cur:
        cur.execute("SELECT id FROM items ORDER BY id")
        ok([r[0] for r in cur.fetchmany(5)] == [0, 1, 2, 3, 4], "a named cursor")
    c.commit()
    with c.pipeline():
        cs = [c.execute("SELECT %s::int", (i,)) for i in range(20)]
        ok([x.fetchone()[0] for x in cs] == list(range(20)), "a pipeline")
    c.commit()
    try:
        with c.pipeline():
            c.execute("SELECT 1")
            c.execute("SELECT 1/0")
            c.execute("SELECT 2")
        ok(False, "an error in a pipeline")
    except psycopg.errors.DivisionByZero:
        ok(True, "an error in a pipeline")
    c.rollback()
    with c.transaction():
        c.execute("UPDATE items SET name = 'x' WHERE id = 1")
        try:
            with c.transaction():
                c.execute("UPDATE items SET name = 'y' WHERE id = 2")
                raise psycopg.Rollback()
        except psycopg.Rollback:
            pass
    ok(c.execute("SELECT name FROM items WHERE id IN (1, 2) ORDER BY id").fetchall() == [("x",), ("name 2",)], "savepoints")
    c.cursor(binary=True).execute("SELECT 1::int8, now(), '{}'::jsonb, ARRAY[1,2]").fetchone()
    ok(True, "binary results")

bad = []


def work(n):
    with psycopg.connect(DSN, autocommit=True, prepare_threshold=1) as c:
        for i in range(60):
            if c.execute("SELECT %s::text", (f"{n}-{i}",)).fetchone() != (f"{n}-{i}",):
                bad.append(n)


threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
ok(not bad, "eight threads, each its own answers")
end()
