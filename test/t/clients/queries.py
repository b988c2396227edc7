#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# What drivers send for the same statement: psycopg 3 (pipelines, prepared, server-side cursors, COPY), psycopg2, asyncpg.
import asyncio
import os
import sys

# Files here have the drivers' names: import the drivers.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg
import psycopg
import psycopg2

HOST, PORT = os.environ["BH_HOST"], int(os.environ["BH_PORT"])
DSN = f"host={HOST} port={PORT} user=postgres dbname="
SECRET = "Sesame-5ecret"


def psycopg_3():
    with psycopg.connect(DSN + "three", autocommit=True) as c:
        for i in range(12):  # prepared from the sixth on
            c.execute("SELECT %s::int AS driver_three, %s", [i, SECRET]).fetchall()
        with c.pipeline():
            for i in range(10):
                c.execute("SELECT %s::int AS piped", [i])
        try:
            with c.pipeline():
                c.execute("SELECT 1 AS before_error")
                c.execute("SELECT 1 / %s AS failing", [0])
                c.execute("SELECT 1 AS skipped")
        except psycopg.errors.DivisionByZero:
            pass
        c.execute("CREATE TEMP TABLE copied (a int, b text)")
        with c.cursor().copy("COPY copied FROM STDIN") as copy:
            for i in range(30):
                copy.write_row((i, SECRET))
    with psycopg.connect(DSN + "three") as c:
        with c.cursor("named") as cur:
            cur.execute("SELECT * FROM generate_series(1, 100)")
            cur.fetchmany(10)
            cur.fetchmany(20)


def psycopg_2():
    c = psycopg2.connect(DSN + "two")
    c.autocommit = True
    for i in range(7):
        c.cursor().execute("SELECT %s AS driver_two, %s", [i, SECRET + "'" + str(i)])
    c.close()


async def asyncpg_():
    c = await asyncpg.connect(host=HOST, port=PORT, user="postgres", database="async")
    s = await c.prepare("SELECT $1::text AS driver_async")
    for _ in range(5):
        await s.fetch(SECRET)
    await c.executemany("SELECT $1::int AS many", [(i,) for i in range(8)])
    async with c.transaction():
        async for _ in c.cursor("SELECT generate_series(1, 120) AS by_cursor", prefetch=50):
            pass
    await c.close()


psycopg_3()
psycopg_2()
asyncio.run(asyncpg_())
