# SPDX-License-Identifier: ISC
"""COPY by psycopg 3 and asyncpg as a tenant: rows, binary rows, refusals; the tenant column is left to the proxy."""
import asyncio
import os
import sys

# This folder has files with the drivers' own names: import the drivers.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg
import psycopg

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import DB, HOST, PASSWORD, PORT, USER, end, ok

ME = os.environ["BH_TENANT"]


def with_psycopg():
    with psycopg.connect(host=HOST, port=PORT, user=USER, dbname=DB, password=PASSWORD, autocommit=True) as c:
        cur = c.cursor()
        with cur.copy("COPY docs (id, title) FROM STDIN") as copy:
            for i in range(500):
                copy.write_row((i, f"tab\t{i}\nnl\\"))
        ok(cur.rowcount == 500, "psycopg: rows as text")
        with cur.copy("COPY docs (id, title) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for i in range(500, 1000):
                copy.write_row((i, None))
        ok(cur.rowcount == 500, "psycopg: rows as binary")
        with cur.copy("COPY docs (id, tenant_id, title) FROM STDIN (FORMAT csv)") as copy:
            copy.write(f'1000,"{ME}","x"\n1001,"{ME}"'.encode())
            copy.write(',"two\nlines"'.encode())
        ok(cur.rowcount == 2, "psycopg: csv with the own value")
        try:
            with cur.copy("COPY docs (id, tenant_id) FROM STDIN") as copy:
                for i in range(20000):
                    copy.write_row((i + 5000, ME if i != 9999 else "beta"))
            ok(False, "psycopg: a foreign row")
        except psycopg.errors.InsufficientPrivilege as e:
            ok("wrong_tenant" in str(e) and "line 10000" in str(e.diag.message_detail), "psycopg: a foreign row")
        with cur.copy("COPY docs (id, tenant_id, title) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "text"])
            rows = list(copy.rows())
        ok(len(rows) == 1002 and {r[1] for r in rows} == {ME}, "psycopg: the table out")
        ok({r[2] for r in rows if r[0] < 500} == {f"tab\t{i}\nnl\\" for i in range(500)}, "psycopg: as it went in")
        with cur.copy("COPY (SELECT count(*) FROM docs) TO STDOUT") as copy:
            ok(b"".join(copy) == b"1002\n", "psycopg: a query out")
        with c.transaction():
            with cur.copy("COPY docs (id) FROM STDIN") as copy:
                copy.write_row((2000,))
            with cur.copy("COPY docs (id) FROM STDIN") as copy:
                copy.write_row((2001,))
        ok(cur.execute("SELECT count(*) FROM docs WHERE id IN (2000, 2001)").fetchone()[0] == 2, "psycopg: two in a transaction")


async def with_asyncpg():
    c = await asyncpg.connect(host=HOST, port=PORT, user=USER, database=DB, password=PASSWORD)
    r = await c.copy_records_to_table("docs", records=[(3000 + i, f"r{i}") for i in range(1000)], columns=["id", "title"])
    ok(r == "COPY 1000", "asyncpg: copy_records_to_table")
    r = await c.copy_records_to_table("docs", records=[(4000 + i, ME) for i in range(10)], columns=["id", "tenant_id"])
    ok(r == "COPY 10", "asyncpg: records with the own value")
    try:
        await c.copy_records_to_table("docs", records=[(1, ME), (2, "beta")], columns=["id", "tenant_id"])
        ok(False, "asyncpg: a foreign record")
    except asyncpg.InsufficientPrivilegeError:
        ok(True, "asyncpg: a foreign record")
    out = bytearray()

    async def take(data):
        out.extend(data)

    await c.copy_from_table("docs", columns=["id", "tenant_id"], output=take, format="csv")
    ok(out.count(b"\n") == 2014 and out.count(ME.encode()) == 2014, "asyncpg: copy_from_table")
    ok(await c.fetchval("SELECT count(*) FROM docs") == 2014, "asyncpg: goes on")
    await c.close()


with_psycopg()
asyncio.run(with_asyncpg())
end()
