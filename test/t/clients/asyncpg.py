# SPDX-License-Identifier: ISC
"""asyncpg: Describe with Flush, introspection between, binary results, COPY of records, a pool."""
import asyncio
import os
import sys

# This file has the driver's own name: import the driver, not this file.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import DB, HOST, PASSWORD, PORT, USER, end, ok

ARGS = dict(host=HOST, port=PORT, user=USER, database=DB, password=PASSWORD)


async def main():
    c = await asyncpg.connect(**ARGS)
    ok(await c.fetchval("SELECT $1::int + 1", 41) == 42, "fetchval")
    await c.execute("TRUNCATE items")
    await c.executemany("INSERT INTO items (id, name) VALUES ($1, $2)", [(i, f"n{i}") for i in range(200)])
    ok(await c.fetchval("SELECT count(*) FROM items") == 200, "executemany")
    await c.copy_records_to_table("items", records=[(1000 + i, f"c{i}") for i in range(200)], columns=["id", "name"])
    ok(await c.fetchval("SELECT count(*) FROM items WHERE id >= 1000") == 200, "copy_records_to_table")
    ok(await c.fetchval("SELECT ROW(1, 'x')::text") == "(1,x)", "composite")
    ok((await c.fetchrow("SELECT '{\"a\": 1}'::jsonb AS j, ARRAY[1,2,3] AS a"))["a"] == [1, 2, 3], "types looked up")
    async with c.transaction():
        seen = [r["id"] async for r in c.cursor("SELECT id FROM items ORDER BY id", prefetch=17)]
    ok(len(seen) == 400, "a cursor")
    try:
        await c.fetch("SELECT 1/0")
        ok(False, "an error")
    except asyncpg.DivisionByZeroError:
        ok(True, "an error")
    s = await c.prepare("SELECT $1::text || '!'")
    vals = [await s.fetchval(f"v{i}") for i in range(20)]
    ok(vals == [f"v{i}!" for i in range(20)], "a prepared statement over transactions")
    await c.close()

    async with asyncpg.create_pool(min_size=2, max_size=8, **ARGS) as pool:
        async def one(n):
            async with pool.acquire() as k:
                return await k.fetchval("SELECT $1::int * 2", n) == n * 2
        ok(all(await asyncio.gather(*[one(n) for n in range(100)])), "a pool, 100 tasks")


asyncio.run(asyncio.wait_for(main(), 60))
end()
