# SPDX-License-Identifier: ISC
"""What drivers do with a tenant's session: pools that clean up, named cursors, notifications, prepared statements."""
import asyncio
import os
import select
import sys

# A file here has asyncpg's name: import the driver, not that file.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import asyncpg
import psycopg
import psycopg2

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import HOST, PORT, end, ok

TENANTS = ("acme", "beta")


def url(db, user):
    return f"host={HOST} port={PORT} dbname={db} user={user} password=x"


async def pools():
    async def check(db, user):
        async with asyncpg.create_pool(host=HOST, port=PORT, database=db, user=user, password="x", min_size=1, max_size=4) as pool:
            async def one(n):
                async with pool.acquire() as k:  # given back with RESET ALL
                    a = await k.fetchval("SELECT current_setting('app.tenant_id', true)")
                    b = await k.fetchval("SELECT min(tenant_id) || max(tenant_id) FROM notes WHERE id > $1", n)
                    return (a, b) == (user, user * 2)
            return all(await asyncio.gather(*[one(n % 3) for n in range(40)]))
    for db in ("guc", "gucsession"):
        done = await asyncio.gather(*[check(db, u) for u in TENANTS])
        ok(all(done), f"{db}: asyncpg's pools of two tenants on shared servers stay bound")
    c = await asyncpg.connect(host=HOST, port=PORT, database="gucsession", user="acme", password="x")
    heard = []
    await c.add_listener("news", lambda con, pid, channel, payload: heard.append((channel, payload)))
    with psycopg.connect(url("tx", "beta"), autocommit=True) as b, psycopg.connect(url("tx", "acme"), autocommit=True) as a:
        b.execute("NOTIFY news, 'foreign'")
        a.execute("SELECT pg_notify('news', %s)", ["own"])
    await c.fetchval("SELECT 1")
    for _ in range(100):
        if heard:
            break
        await asyncio.sleep(0.05)
    ok(heard == [("news", "own")], "asyncpg's listener hears its own tenant")
    await c.reset()
    ok(await c.fetchval("SELECT current_setting('app.tenant_id', true)") == "acme", "reset() leaves the tenant bound")
    await c.close()


def psycopg3():
    for user in TENANTS:
        with psycopg.connect(url("tx", user)) as c:
            with c.cursor(name="mine", scrollable=True) as k:
                k.execute("SELECT tenant_id FROM notes WHERE id < %s ORDER BY id", [15])
                first = k.fetchmany(3)
                k.scroll(-2)
                ok({r[0] for r in first + k.fetchall()} == {user}, f"{user}: psycopg's named cursor")
            c.commit()
            for i in range(12):
                ok(c.execute("SELECT max(tenant_id) FROM notes WHERE id > %s", [i % 2], prepare=True).fetchone()[0] == user, f"{user}: prepared, {i}") if i > 8 else \
                    c.execute("SELECT max(tenant_id) FROM notes WHERE id > %s", [i % 2], prepare=True).fetchone()
                c.commit()
            c.execute("PREPARE by_sql (int) AS SELECT max(tenant_id), count(*) FROM notes WHERE id > $1")
            c.commit()
            ok(c.execute("EXECUTE by_sql (10)").fetchone() == (user, 5), f"{user}: EXECUTE by psycopg")
            c.execute("DEALLOCATE ALL")
        with psycopg.connect(url("guc", user), autocommit=True) as c:
            c.execute("DISCARD ALL")
            ok(c.execute("SELECT current_setting('app.tenant_id', true)").fetchone()[0] == user, f"{user}: bound behind DISCARD ALL")
            with c.pipeline():
                c.execute("RESET ALL")
                k = c.execute("SELECT current_setting('app.tenant_id', true)")
                ok(k.fetchone()[0] == user, f"{user}: and behind RESET ALL in a pipeline")


def psycopg_2():
    c = psycopg2.connect(url("tx", "acme"))
    k = c.cursor("server_side")
    k.itersize = 2
    k.execute("SELECT tenant_id FROM notes ORDER BY id")
    ok({r[0] for r in k} == {"acme"}, "psycopg2's named cursor")
    c.commit()
    k = c.cursor("held", withhold=True)
    k.execute("SELECT tenant_id FROM notes WHERE id < 9 ORDER BY id")
    c.commit()
    ok([r[0] for r in k] == ["acme"] * 4, "WITH HOLD in transaction pooling")
    c.rollback()
    c.reset()
    c.close()
    c = psycopg2.connect(url("session", "acme"))
    k = c.cursor("held", withhold=True)
    k.execute("SELECT tenant_id FROM notes WHERE id < 9 ORDER BY id")
    c.commit()
    ok([r[0] for r in k] == ["acme"] * 4, "and works where the client keeps its server")
    c.commit()
    c.set_session(autocommit=True)
    c.cursor().execute("LISTEN news")
    n = psycopg2.connect(url("session", "acme"))
    n.set_session(autocommit=True)
    n.cursor().execute("NOTIFY news, 'while idle'")
    select.select([c], [], [], 10)
    c.poll()
    ok([(x.channel, x.payload) for x in c.notifies] == [("news", "while idle")], "psycopg2 hears while it waits")


asyncio.run(asyncio.wait_for(pools(), 60))
psycopg3()
psycopg_2()
end()
