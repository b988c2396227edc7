# SPDX-License-Identifier: ISC
"""The console by psycopg 3 (client-side, server-side and binary cursors, prepared) and asyncpg."""
import asyncio
import os
import sys

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg
import psycopg
import psycopg2

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import DB, HOST, PASSWORD, PORT, USER, end, ok

DSN = f"host={HOST} port={PORT} user={USER} dbname={DB} password={PASSWORD}"


def by_psycopg3():
    with psycopg.connect(DSN, autocommit=True) as c:
        rows = c.execute("SHOW POOLS").fetchall()
        ok(rows and rows[0][0] == "test", "psycopg 3: a default cursor")
        for _ in range(8):
            again = c.execute("SHOW POOLS", prepare=True).fetchall()
        ok(len(again) == len(rows), "psycopg 3: prepared")
        cur = c.cursor(binary=True)
        cur.execute("SHOW STATS", prepare=True)
        names = [d.name for d in cur.description]
        row = dict(zip(names, cur.fetchone()))
        ok(int(row["total_query_count"]) >= 1 and row["database"] == "test", "psycopg 3: binary numerics")
        cur.execute("SHOW LISTS")
        lists = dict(cur.fetchall())
        ok(lists["databases"] == 2, "psycopg 3: binary integers")
        ok(c.execute("RELOAD").statusmessage == "RELOAD", "psycopg 3: a command")
        try:
            c.execute("SHOW NONSENSE")
            ok(False, "psycopg 3: an error")
        except psycopg.errors.ProtocolViolation as e:
            ok("invalid command" in str(e), "psycopg 3: an error")
        ok(c.execute("SHOW VERSION").fetchone()[0].startswith("PgBulkhead"), "psycopg 3: goes on")
        with c.pipeline():
            a = c.execute("SHOW VERSION")
            b = c.execute("SHOW STATE")
        ok(len(a.fetchall()) == 1 and len(b.fetchall()) == 3, "psycopg 3: a pipeline")


def by_psycopg2():
    c = psycopg2.connect(DSN)
    c.autocommit = True
    cur = c.cursor()
    cur.execute("SHOW CLIENTS LIKE 'pgb%'")
    ok(len(cur.fetchall()) >= 1 and cur.description[0].name == "type", "psycopg2")
    cur.execute("SHOW HELP")
    ok("Console usage" in "".join(c.notices), "psycopg2: SHOW HELP is a notice")
    c.close()


async def by_asyncpg():
    c = await asyncpg.connect(host=HOST, port=PORT, user=USER, database=DB, password=PASSWORD)
    rows = await c.fetch("SHOW DATABASES")
    ok(rows[0]["name"] == "test" and rows[0]["paused"] == 0, "asyncpg: fetch")
    ok((await c.fetchrow("SHOW STATS"))["total_xact_count"] >= 0, "asyncpg: numerics")
    clients = await c.fetch("SHOW CLIENTS LIKE 'test'")
    ok([r["database"] for r in clients] == ["test"], "asyncpg: LIKE")
    s = await c.prepare("SHOW POOLS")
    ok(len(await s.fetch()) == len(await s.fetch()), "asyncpg: a prepared statement twice")
    ok([a.name for a in s.get_attributes()][:2] == ["database", "user"], "asyncpg: its columns")
    ok(await c.execute("RELOAD") == "RELOAD", "asyncpg: a simple query")
    await c.fetch("SET log_stats = 1")
    try:
        await c.fetch("PAUSE nowhere")
        ok(False, "asyncpg: an error")
    except asyncpg.PostgresError as e:
        ok(e.sqlstate == "08P01" and "no such database: nowhere" in str(e), "asyncpg: an error")
    await c.close()


by_psycopg3()
by_psycopg2()
asyncio.run(by_asyncpg())
end()
