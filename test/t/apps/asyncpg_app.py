# SPDX-License-Identifier: ISC
"""An application on asyncpg's pool (doc/tenants.md, "asyncpg")."""
import asyncio

import asyncpg
import os
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "clients"))
from common import DB, HOST, PORT, USER, end, ok  # noqa: E402


async def main():
    pool = await asyncpg.create_pool(host=HOST, port=PORT, user=USER, database=DB, min_size=1, max_size=4)
    async with pool.acquire() as c:
        ok(await c.fetchval("SELECT count(*) FROM authors") == 0, "starts with nothing of others")
        a = await c.fetchval("INSERT INTO authors (name) VALUES ($1) RETURNING id", "Ada")
        await c.executemany(
            "INSERT INTO books (author_id, title, pages) VALUES ($1, $2, $3)", [(a, f"title {i}", i * 10) for i in range(1, 21)]
        )
        ok(await c.fetchval("SELECT count(*) FROM books WHERE author_id = $1", a) == 20, "executemany")
        async with c.transaction():
            ok(len([r async for r in c.cursor("SELECT id FROM books ORDER BY pages", prefetch=7)]) == 20, "a cursor")
        st = await c.prepare("SELECT title FROM books WHERE pages > $1 ORDER BY pages LIMIT 2")
        ok([r["title"] for r in await st.fetch(50)] == ["title 6", "title 7"], "a prepared statement")
        ok(await c.fetchval("SELECT array_agg(id) FROM books WHERE pages = ANY($1::int[])", [10, 20]) is not None, "an array")
    for _ in range(3):  # each release cleans the session
        async with pool.acquire() as c:
            ok(await c.fetchval("SELECT count(*) FROM books") == 20, "after a release")
    got = await asyncio.gather(*(pool.fetchval("SELECT $1::int + count(*)::int FROM books", i) for i in range(20)))
    ok(got == [20 + i for i in range(20)], "twenty at once")
    try:
        await pool.execute("INSERT INTO authors (tenant_id, name) VALUES ($1, 'planted')", "other")
        ok(False, "a foreign row is refused")
    except asyncpg.PostgresError as e:
        ok(e.sqlstate == "42501", "a foreign row is refused")
    await pool.execute("DELETE FROM books")
    ok(await pool.execute("DELETE FROM authors") == "DELETE 1", "delete, and its count")
    await pool.close()


asyncio.run(main())
end()
