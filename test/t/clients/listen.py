#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# LISTEN by psycopg 3, psycopg2 and asyncpg on one pool of one server; advisory locks as migrations take them.
import asyncio
import os
import select
import sys

# Files here have the drivers' names: import the drivers.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg
import psycopg
import psycopg2

HOST, PORT = os.environ["BH_HOST"], int(os.environ["BH_PORT"])
DSN = f"host={HOST} port={PORT} user=postgres dbname=one"


def ok(good, what):
    print("ok" if good else "not ok", what, flush=True)


def notify(payload):
    with psycopg.connect(DSN, autocommit=True) as c:
        c.execute("SELECT pg_notify('jobs', %s)", [payload])


def psycopg_3():
    with psycopg.connect(DSN, autocommit=True) as c:
        c.execute("LISTEN jobs")
        notify("three")
        got = [n.payload for n in c.notifies(timeout=20, stop_after=1)] if psycopg.__version__ >= "3.2" else [next(c.notifies()).payload]
        ok(got == ["three"], "psycopg 3: notifies()")
        c.execute("UNLISTEN *")


def psycopg_2():
    c = psycopg2.connect(DSN)
    c.autocommit = True
    c.cursor().execute("LISTEN jobs")
    notify("two")
    for _ in range(100):
        select.select([c], [], [], 0.2)
        c.poll()
        if c.notifies:
            break
    ok([n.payload for n in c.notifies] == ["two"], "psycopg2: poll() and notifies")
    c.close()


async def asyncpg_():
    c = await asyncpg.connect(host=HOST, port=PORT, user="postgres", database="one")
    heard = asyncio.Queue()
    await c.add_listener("jobs", lambda con, pid, channel, payload: heard.put_nowait(payload))
    await asyncio.to_thread(notify, "async")
    ok(await asyncio.wait_for(heard.get(), 20) == "async", "asyncpg: add_listener")
    ok(await c.fetchval("SELECT $1::int + 1", 41) == 42, "asyncpg: a statement between")
    await c.remove_listener("jobs", print)
    await c.close()


def migrations():
    with psycopg.connect(DSN.replace("one", "two"), autocommit=True) as a, psycopg.connect(DSN.replace("one", "two"), autocommit=True) as b:
        ok(a.execute("SELECT pg_try_advisory_lock(77)").fetchone()[0], "a migration takes its lock")
        a.execute("BEGIN")
        a.execute("SELECT 1")
        a.execute("COMMIT")
        ok(not b.execute("SELECT pg_try_advisory_lock(77)").fetchone()[0], "another finds it taken")
        ok(a.execute("SELECT pg_advisory_unlock(77)").fetchone()[0], "the first gives it back")
        ok(b.execute("SELECT pg_try_advisory_lock(77)").fetchone()[0], "the other has it")
        ok(b.execute("SELECT pg_advisory_unlock(77)").fetchone()[0], "and gives it back")


psycopg_3()
psycopg_2()
asyncio.run(asyncpg_())
migrations()
